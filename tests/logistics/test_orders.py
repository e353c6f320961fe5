"""Orders are listed, changed and cancelled until the cut-off; what nobody could carry or hold is refused."""

from datetime import timedelta

import pytest

from lockers.sizes import Size, Temperature
from logistics.exceptions import (
    CutoffPassed,
    NoOpenPool,
    OrderTooHeavy,
    ParcelTooLarge,
    ResidentWithoutSupplyPoint,
    UnknownResident,
)
from logistics.models import Order, Parcel
from logistics.services import orders, pools
from logistics.states import ParcelState
from tests.logistics.builders import (
    DELIVERY_DATE,
    Village,
    a_parcel,
    a_pool,
    a_resident,
    a_supply_point,
    an_order,
    at,
)

pytestmark = pytest.mark.django_db


def test_an_order_joins_the_pool_with_the_next_cutoff() -> None:
    village = Village()
    a_pool(village.region, day=DELIVERY_DATE + timedelta(days=1))

    order = village.order()

    assert order.pool == village.pool
    assert order.state == ParcelState.POOLED
    assert order.missed_cutoff_at is None


def test_an_order_a_second_after_the_cutoff_joins_the_next_pool_and_says_so() -> None:
    village = Village()
    tomorrow = a_pool(village.region, day=DELIVERY_DATE + timedelta(days=1))

    order = village.order(listed_at=at(9, 0, 1))

    assert order.pool == tomorrow
    assert order.missed_cutoff_at == village.pool.cutoff_at


def test_at_the_very_moment_of_the_cutoff_it_is_too_late() -> None:
    village = Village()

    with pytest.raises(NoOpenPool):
        village.order(listed_at=at(9))


def test_goods_that_are_ready_after_a_pool_delivers_join_one_that_can_bring_them() -> None:
    village = Village()
    evening = village.pool.deliver_until

    with pytest.raises(NoOpenPool):
        village.order(ready_at=evening)
    tomorrow = a_pool(village.region, day=DELIVERY_DATE + timedelta(days=1))

    assert village.order(ready_at=evening).pool == tomorrow
    assert village.order(ready_at=evening, listed_at=at(9, 1)).missed_cutoff_at is None


def test_a_closed_pool_takes_no_orders_even_before_its_cutoff() -> None:
    village = Village()
    pools.close(village.pool, at=at(8))

    with pytest.raises(NoOpenPool):
        village.order(listed_at=at(8, 30))


def test_an_unknown_card_is_refused() -> None:
    village = Village()

    with pytest.raises(UnknownResident):
        orders.list_order(shop=village.shop, card_number="0", parcels=[a_parcel()], at=at(7))


def test_a_card_of_another_region_is_unknown_here() -> None:
    village, elsewhere = Village(), Village()

    with pytest.raises(UnknownResident):
        an_order(shop=village.shop, resident=elsewhere.resident)


def test_a_resident_without_a_supply_point_cannot_receive() -> None:
    village = Village()
    homeless = a_resident(village.region)

    with pytest.raises(ResidentWithoutSupplyPoint):
        an_order(shop=village.shop, resident=homeless)


def test_an_order_that_no_vehicle_carries_is_refused() -> None:
    village = Village()
    limit_g = village.shift.vehicle.payload_g

    village.order(a_parcel(weight_g=limit_g))
    with pytest.raises(OrderTooHeavy, match=f"carries {limit_g} g"):
        village.order(a_parcel(weight_g=limit_g // 2), a_parcel(weight_g=limit_g // 2 + 1))


def test_a_parcel_that_no_compartment_takes_is_refused_where_there_is_no_counter() -> None:
    village = Village(compartments=[(Size.M, Temperature.AMBIENT)])

    village.order(a_parcel(Size.S), a_parcel(Size.M))
    with pytest.raises(ParcelTooLarge):
        village.order(a_parcel(Size.L))
    with pytest.raises(ParcelTooLarge):
        village.order(a_parcel(Size.S, Temperature.FROZEN))


def test_who_needs_a_low_door_is_not_promised_a_high_one() -> None:
    village = Village()
    village.resident.needs_low_door = True
    village.resident.save()

    with pytest.raises(ParcelTooLarge):
        village.order(a_parcel(Size.S))


def test_a_counter_or_an_alternative_takes_what_the_locker_does_not() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])
    village.resident.alternatives.add(a_supply_point(village.region, with_locker=False, with_counter=True))

    order = village.order(a_parcel(Size.XL, Temperature.FROZEN))

    assert order.state == ParcelState.POOLED


def test_nothing_is_written_when_an_order_is_refused() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])

    with pytest.raises(ParcelTooLarge):
        village.order(a_parcel(Size.S), a_parcel(Size.XL))

    assert Order.objects.count() == 0
    assert Parcel.objects.count() == 0


def test_before_the_cutoff_parcels_and_note_may_change() -> None:
    village = Village()
    order = village.order(a_parcel(Size.S))

    orders.change(order, parcels=[a_parcel(Size.M), a_parcel(Size.L)], note="Vorsicht, Glas", at=at(8))

    order = Order.objects.get(pk=order.pk)
    assert [parcel.size for parcel in order.parcels.all()] == ["M", "L"]
    assert order.state == ParcelState.POOLED
    assert order.note == "Vorsicht, Glas"


def test_before_the_cutoff_an_order_may_be_cancelled_and_cancelling_again_changes_nothing() -> None:
    village = Village()
    order = village.order()

    for _ in range(2):
        orders.cancel(Order.objects.get(pk=order.pk), at=at(8))

    assert Order.objects.get(pk=order.pk).state == ParcelState.CANCELLED


def test_after_the_cutoff_an_order_stands() -> None:
    village = Village()
    order = village.order()

    with pytest.raises(CutoffPassed):
        orders.cancel(order, at=at(9))
    with pytest.raises(CutoffPassed):
        orders.change(order, parcels=None, note="zu spät", at=at(9, 30))

    order = Order.objects.get(pk=order.pk)
    assert (order.state, order.note) == (ParcelState.POOLED, "")
