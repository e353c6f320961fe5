"""Pools take orders until their cut-off, close once, and take in what earlier pools left out."""

from datetime import timedelta

import pytest

from logistics.exceptions import CutoffInThePast, PoolExists, WindowsOutOfOrder
from logistics.models import Order, Plan, Pool
from logistics.services import parcels, pools
from logistics.states import ParcelState, PoolState
from tests.logistics.builders import DELIVERY_DATE, Village, a_pool, a_region, at

pytestmark = pytest.mark.django_db
TOMORROW = DELIVERY_DATE + timedelta(days=1)


def test_a_cutoff_in_the_past_is_refused() -> None:
    region = a_region()

    with pytest.raises(CutoffInThePast):
        a_pool(region, opened_at=at(9))


def test_a_day_has_one_pool() -> None:
    region = a_region()
    a_pool(region)

    with pytest.raises(PoolExists):
        a_pool(region)

    assert Pool.objects.count() == 1


@pytest.mark.parametrize(("loading", "until"), [((8, 59), (19, 0)), ((9, 30), (9, 30)), ((19, 0), (9, 30))])
def test_the_windows_of_a_pool_follow_each_other(loading: tuple[int, int], until: tuple[int, int]) -> None:
    with pytest.raises(WindowsOutOfOrder):
        pools.open_pool(
            region=a_region(),
            delivery_date=DELIVERY_DATE,
            cutoff_at=at(9),
            loading_from=at(*loading),
            deliver_until=at(*until),
            at=at(6),
        )


def test_loading_and_delivery_lie_on_the_delivery_date() -> None:
    with pytest.raises(WindowsOutOfOrder):
        pools.open_pool(
            region=a_region(),
            delivery_date=TOMORROW,
            cutoff_at=at(9),
            loading_from=at(9, 30),
            deliver_until=at(19),
            at=at(6),
        )


def test_at_the_cutoff_a_pool_closes_and_a_plan_is_asked_for_once() -> None:
    village = Village()

    pools.close_due(at=at(8, 59, 59))
    village.pool.refresh_from_db()
    assert village.pool.state == PoolState.OPEN

    for _ in range(2):
        pools.close_due(at=at(9))
    village.pool.refresh_from_db()
    assert village.pool.state == PoolState.CLOSED
    assert Plan.objects.filter(pool=village.pool).count() == 1


def test_what_was_left_out_joins_the_next_pool_when_that_one_closes() -> None:
    village = Village()
    order = village.order()
    tomorrow = a_pool(village.region, day=TOMORROW)
    parcels.report(
        list(order.parcels.all()),
        to=ParcelState.DEFERRED,
        made_at=at(9, 5),
        received_at=at(9, 5),
        source="system",
        reason="locker-full",
    )

    pools.close(tomorrow, at=at(9, day=TOMORROW))

    order = Order.objects.get(pk=order.pk)
    assert order.pool == tomorrow
    assert order.state == ParcelState.POOLED
    assert order.parcels.get().reason == ""
