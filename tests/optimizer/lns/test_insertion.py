"""An order is inserted where it is cheapest."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.compiled import generator
from optimizer.lns.arrays import (
    CLAIMS_BEGIN,
    CLAIMS_END,
    DELIVERY,
    FAR,
    IS_GAP,
    NUM_TRIPS,
    OUT,
    PICKUP,
    PLACE,
    RIDE,
    TURN,
    VEHICLE,
    WAYS_BEGIN,
    WAYS_END,
)
from optimizer.lns.insertion import insert_cheapest
from tests.optimizer.builders import EIGHT, a_problem, a_vehicle, an_order
from tests.optimizer.lns.packed import Packed, busy_days, cost_of, fill, packed, packed_days

#: Dearer than any way.
ANY_PRICE = 1e15


def _inserted(one: Packed, order: int, limit: float, is_open: list[int]) -> int:
    """Insert an order, and return the vehicle or -1."""
    return int(
        insert_cheapest(
            one.data,
            one.state,
            order,
            limit,
            np.array(is_open),
            0.0,
            generator(0),
        )
    )


def _cheapest(one: Packed, order: int, is_open: list[int]) -> float:
    """Return what an order adds at least, of all ways, vehicles, pairs of gaps and turns put on the clock."""
    data, state, best = one.data, one.state, np.inf
    for way in range(data.orders[order, WAYS_BEGIN], data.orders[order, WAYS_END]):
        claims = data.claims[data.ways[way, CLAIMS_BEGIN] : data.ways[way, CLAIMS_END]]
        if any(state.taken[row] + amount > data.room[row] for row, amount in claims):
            continue
        for vehicle in np.flatnonzero(is_open).tolist():
            before, cents = one.row_of(vehicle), state.cents[vehicle]
            for longer in list(_longer(one, vehicle, way, before)):
                if one.judge(vehicle, longer):
                    best = min(best, state.cents[vehicle] - cents)
                assert one.judge(vehicle, before)
    return float(best)


def _longer(one: Packed, vehicle: int, way: int, row: list[int]) -> Iterator[list[int]]:
    """
    Yield the routes that a way can make of a route: pairs of gaps, and trips of its own at both ends.

    What joins a visit is done last there.
    """
    kind = one.data.classes[one.data.vehicle_class[vehicle]]
    pickup = [2 * way] if one.data.ways[way, PICKUP] >= 0 else []
    delivery = 2 * way + 1
    gaps = [gap for gap in range(len(row) + 1) if one.state.gaps[vehicle, gap, IS_GAP]]
    ahead = [-1 if leg == TURN else one.state.legs[vehicle, q, PLACE] for q, leg in enumerate(row)]
    ahead.append(-1)
    for first in gaps if pickup else [0]:
        for second in gaps[gaps.index(first) :]:
            joins = ahead[second] == one.data.ways[way, DELIVERY]
            if not joins and (second == first or not pickup or ahead[first] != one.data.ways[way, PICKUP]):
                yield [*row[:first], *pickup, *row[first:second], delivery, *row[second:]]
    if pickup and kind[NUM_TRIPS] > 1 and (row or kind[OUT]):
        yield [*row, TURN, *pickup, delivery]
        if row:
            yield [*pickup, delivery, TURN, *row]
        if row and kind[OUT]:
            yield [TURN, *pickup, delivery, *row]


@given(packed_days(busy_days), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_order_is_inserted_where_it_is_cheapest_of_all(one: Packed, seed: int) -> None:
    random = Random(seed)
    fill(random, one, tries=random.randint(0, 60))
    is_open = [random.choice((0, 1, 1, 1)) for _ in one.data.vehicle_class]
    # Limits to rides are judged in full for a few places only.
    is_exact = (one.data.orders[:, RIDE] >= FAR).all()
    for order in np.flatnonzero(one.state.orders[:, VEHICLE] < 0).tolist():
        cheapest, before = _cheapest(one, order, is_open), one.state.total[0]
        # What costs little more than the cheapest is not looked at if the limit is tight.
        limit = random.choice((ANY_PRICE, min(ANY_PRICE, cheapest + 0.01)))

        assert not is_exact or _inserted(one, order, cheapest - 0.01, is_open) == -1
        vehicle = _inserted(one, order, limit, is_open)

        added = one.state.total[0] - before + one.data.penalty[order] if vehicle >= 0 else np.inf
        assert one.state.total[0] == pytest.approx(cost_of(one.data, one.state))
        assert added >= cheapest - 1e-6
        assert not is_exact or added == pytest.approx(cheapest)


@given(packed_days(busy_days), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_in_vain_is_tried_again_once_a_route_has_changed(one: Packed, seed: int) -> None:
    random = Random(seed)
    one.data.penalty[:] = random.choice((300.0, 800.0, 2_000.0))
    one.data.orders[:, RIDE] = FAR
    is_open = [1 for _ in one.data.vehicle_class]
    for number in range(12):
        if number % 3 == 0:
            fill(random, one, tries=random.randint(0, 60))
        for order in np.flatnonzero(one.state.orders[:, VEHICLE] < 0).tolist():
            penalty, cheapest = float(one.data.penalty[order]), _cheapest(one, order, is_open)

            vehicle = _inserted(one, order, penalty, is_open)

            assert (vehicle >= 0) == (cheapest < penalty - 1e-6)


def test_an_idle_vehicle_that_is_closed_does_not_hide_the_next_one() -> None:
    one = packed(a_problem(vehicles=[a_vehicle("van-0"), a_vehicle("van-1")]))
    fill(Random(0), one, tries=0)

    assert _inserted(one, 0, ANY_PRICE, [0, 1]) == 1


def test_a_vehicle_may_return_to_where_it_loads_already() -> None:
    early = an_order("early", pickup="hub", deadline_s=EIGHT + 3_600)
    late = an_order("late", pickup="hub", ready_s=EIGHT + 18_000)
    one = packed(a_problem(orders=[early, late]))
    one.drive(0, [2, 3])

    assert _inserted(one, 0, ANY_PRICE, [1]) == 0
    assert one.row_of(0) == [0, 1, 2, 3]
