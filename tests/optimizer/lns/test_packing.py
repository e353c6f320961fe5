"""Packing a day into arrays, and back."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.day import Leg
from optimizer.insertion import Tour
from optimizer.lns.arrays import DELIVERY_FROM, ORDER, PICKUP_FROM, SIZE, TURN
from optimizer.lns.packing import Packing
from optimizer.master import Column, Pool
from optimizer.schedule import Timetable, evaluate
from tests.optimizer.builders import EIGHT, a_place, a_problem, an_order
from tests.optimizer.lns.packed import Packed, days, fill, packed, packed_days

some = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def _calls(legs: Sequence[Leg]) -> list[tuple[object, ...]]:
    """Return what is done where, in this order."""
    return [(leg.place, leg.is_delivery, leg.shipment.orders, leg.shipment.options) for leg in legs]


def _columns(one: Packed) -> list[Column]:
    """Return the routes of a plan that the scheduler accepts as columns."""
    pool, columns = Pool(one.room), []
    for vehicle in range(len(one.data.vehicle_class)):
        kind = one.class_of(vehicle)
        if one.state.routes[vehicle, SIZE]:
            timetable = evaluate(kind, one.packing.legs(one.row_of(vehicle), kind.index))
            if isinstance(timetable, Timetable):
                columns.append(pool.add(kind, timetable))
    return columns


@given(packed_days(days), st.integers(0, 10**6))
@some
def test_a_column_becomes_a_row_of_the_same_legs(one: Packed, seed: int) -> None:
    fill(Random(seed), one)

    for column in _columns(one):
        row = one.packing.row(column)

        assert row is not None
        legs = one.packing.legs(row, column.vehicle.index)
        assert _calls(legs) == _calls(Tour(column.vehicle, column.timetable).legs)
        assert [leg == TURN for leg in row] == [not leg.shipment.orders for leg in legs]


@given(packed_days(days), st.integers(0, 10**6))
@some
def test_only_bars_all_options_but_those_assigned(one: Packed, seed: int) -> None:
    random = Random(seed)
    assignment = {
        order: random.randrange(len(one.day.problem.orders[order].options))
        for order in one.packing.orders
        if random.random() < 0.7
    }

    only = one.packing.only(assignment)

    for way in range(len(one.data.ways)):
        (leg,) = one.packing.legs([2 * way + 1], 0)
        is_assigned = assignment.get(leg.shipment.orders[0]) == leg.shipment.options[0]
        expected = one.data.extra[way] if is_assigned else np.full(len(one.day.classes), np.inf)
        assert only.extra[way] == pytest.approx(expected)


def test_a_column_with_an_order_that_is_not_packed_is_no_row() -> None:
    one = packed(a_problem(orders=[an_order("known"), an_order("unknown")]))
    known = Packing(one.day, one.room, one.reach, {0: [0]})
    one.drive(0, [0, 1, 2, 3])

    (column,) = _columns(one)

    assert one.packing.row(column) == [0, 1, 2, 3]
    assert known.row(column) is None


def test_a_way_has_one_window_at_each_of_its_places() -> None:
    halves = ((EIGHT, EIGHT + 3_600), (EIGHT + 18_000, EIGHT + 21_600))
    places = (a_place("shop", 5, windows=halves), a_place("point", 10, windows=halves))
    one = packed(a_problem(places=places))

    windows = (one.data.ways[:, [PICKUP_FROM, DELIVERY_FROM]] - EIGHT).tolist()

    # What is loaded in the afternoon is not delivered in the morning.
    assert windows == [[0, 0], [0, 18_000], [18_000, 18_000]]
    assert one.data.ways[:, ORDER].tolist() == [0, 0, 0]
