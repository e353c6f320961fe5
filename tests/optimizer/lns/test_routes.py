"""A route in arrays is judged as the scheduler judges it."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.day import Leg, VehicleClass
from optimizer.lns.arrays import (
    CAPACITY,
    DELIVERY_FROM,
    DURATION,
    FIRST_RANGE,
    LATEST,
    LENGTH,
    LONGEST,
    ON_BOARD,
    ORDER,
    PICKUP_FROM,
    RIDE,
    TURN,
)
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.visits import Failure, visits_of
from tests.optimizer.lns.packed import ROUNDING, Packed, a_route, days, packed_days

#: Routes of each day.
NUM_ROUTES = 15
often = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def _some_routes(one: Packed, random: Random) -> Iterator[tuple[int, list[int]]]:
    """Yield vehicles and routes of some orders for them."""
    for _ in range(NUM_ROUTES):
        vehicle = random.randrange(len(one.data.vehicle_class))
        orders = one.orders_for(vehicle)
        orders = random.sample(orders, random.randint(0, min(5, len(orders))))
        yield vehicle, a_route(random, one, vehicle, orders)


def _without_rules(problem: Problem) -> Problem:
    """Leave out what the arrays do not know: breaks, and what being late costs."""
    vehicles = tuple(replace(vehicle, working_time=None) for vehicle in problem.vehicles)
    return replace(problem, vehicles=vehicles, late_cents_per_hour=0)


def _begin_together(legs: list[Leg]) -> bool:
    """Tell whether all that is done in one go at a place can also begin at one moment."""
    anytime = [replace(leg, windows=((0, 10**7),)) for leg in legs]
    return len(visits_of(legs)) == len(visits_of(anytime))


@given(packed_days(days.map(_without_rules)), st.integers(0, 10**6))
@often
def test_a_route_in_arrays_is_judged_as_the_scheduler_judges_it(one: Packed, seed: int) -> None:
    for vehicle, row in _some_routes(one, Random(seed)):
        legs = one.legs_within_their_ways(vehicle, row)
        if not _begin_together(legs):
            continue

        accepted = one.judge(vehicle, row)

        outcome = evaluate(one.class_of(vehicle), legs)
        assert accepted == isinstance(outcome, Timetable), outcome
        if isinstance(outcome, Timetable):
            assert one.state.routes[vehicle, LENGTH] == outcome.distance_m
            assert one.state.routes[vehicle, DURATION] == outcome.end_s - outcome.start_s
            # A vehicle that idles costs nothing; the scheduler is never asked about one.
            if row or one.class_of(vehicle).under_way:
                assert one.state.cents[vehicle] == pytest.approx(outcome.cost_cents, abs=ROUNDING)


@given(packed_days(days), st.integers(0, 10**6))
@often
def test_what_arrays_accept_the_scheduler_accepts_and_finds_no_dearer(one: Packed, seed: int) -> None:
    """
    Legs have one window each in the arrays, all their windows in the scheduler, which may use an earlier one.

    Lateness is not priced in the arrays, and breaks are left out of the longest run, so that no place for a
    break may be found afterwards.
    """
    for vehicle, row in _some_routes(one, Random(seed)):
        if not row or not one.judge(vehicle, row):
            continue
        kind = one.class_of(vehicle)

        outcome = evaluate(kind, one.packing.legs(row, kind.index))

        if isinstance(outcome, Timetable):
            assert one.state.routes[vehicle, LENGTH] == outcome.distance_m
            if kind.working_time is None and one.day.problem.late_cents_per_hour == 0:
                assert one.state.cents[vehicle] >= outcome.cost_cents - ROUNDING
        else:
            assert kind.working_time is not None and outcome == Failure.WORKING_TIME


@given(packed_days(days.map(_without_rules)), st.integers(0, 10**6))
@often
def test_limits_bite_where_they_bite_in_the_schedule(one: Packed, seed: int) -> None:
    """Limits of a route that is feasible are set to what it needs, or to one less."""
    random = Random(seed)
    for vehicle, row in _some_routes(one, random):
        kind = one.class_of(vehicle)
        legs = one.legs_within_their_ways(vehicle, row)
        outcome = evaluate(kind, legs)
        if not row or not isinstance(outcome, Timetable):
            continue
        ways, classes = one.data.ways.copy(), one.data.classes.copy()
        rides = {id(leg.shipment): (leg.shipment, leg.shipment.ride_limit_s) for leg in legs}
        orders = one.data.orders.copy()

        tighter = _tightened(random, one, kind, row, outcome)

        legs = one.legs_within_their_ways(vehicle, row)
        if _begin_together(legs):
            accepted, outcome = one.judge(vehicle, row), evaluate(tighter, legs)
            assert accepted == isinstance(outcome, Timetable), outcome
            if isinstance(outcome, Timetable):
                assert one.state.routes[vehicle, DURATION] == outcome.end_s - outcome.start_s
        one.data.ways[:], one.data.classes[:], one.data.orders[:] = ways, classes, orders
        for shipment, limit_s in rides.values():
            shipment.ride_limit_s = limit_s


def _tightened(
    random: Random, one: Packed, kind: VehicleClass, row: list[int], outcome: Timetable
) -> VehicleClass:
    """Set a limit of a class, or the end of a window, to what a route needs or to one less."""
    less, limits = random.choice((0, 1)), one.data.classes[kind.index]
    what = random.choice(
        ("run", "range", "shift", "load", "window", "window", "begin", "begin", "ride", "ride")
    )
    if what == "run":
        limits[LONGEST] = outcome.end_s - outcome.start_s - less
        return replace(kind, max_duration_s=int(limits[LONGEST]))
    if what == "range":
        limits[FIRST_RANGE] = outcome.distance_m - less
        return replace(kind, first_range_m=int(limits[FIRST_RANGE]))
    if what == "shift":
        limits[LATEST] = outcome.end_s - less
        return replace(kind, latest_s=int(limits[LATEST]))
    if what == "load":
        dimension = random.randrange(4)
        # What is on board fits.
        least = limits[ON_BOARD + dimension]
        limits[CAPACITY + dimension] = max(least, outcome.max_load[dimension] - less)
        capacity = [*kind.capacity]
        capacity[dimension] -= kind.capacity[dimension] - int(limits[CAPACITY + dimension])
        return replace(kind, capacity=(capacity[0], capacity[1], capacity[2], capacity[3]))
    leg = random.choice([leg for leg in row if leg != TURN])
    moments = dict(zip(row, _starts(outcome), strict=True))
    if what == "ride":
        _limit_ride(one, outcome, leg >> 1, less)
        return kind
    begin = DELIVERY_FROM if leg & 1 else PICKUP_FROM
    window = one.data.ways[leg >> 1, begin : begin + 2]
    if what == "begin":
        window[0] = min(window[1], moments[leg] + less)
    else:
        window[1] = max(window[0], moments[leg] - less)
    return kind


def _limit_ride(one: Packed, outcome: Timetable, way: int, less: int) -> None:
    """Limit the ride of what a way brings to what it takes in a schedule, or to one second less."""
    (delivery,) = one.packing.legs([2 * way + 1], 0)
    left_s = arrived_s = None
    for visit, start_s in zip(outcome.visits, outcome.starts_s, strict=True):
        for leg in visit.legs:
            if leg.shipment is delivery.shipment and leg.is_delivery:
                arrived_s = start_s
            elif leg.shipment is delivery.shipment:
                left_s = start_s + visit.service_s
    if left_s is not None and arrived_s is not None:
        delivery.shipment.ride_limit_s = arrived_s - left_s - less
        one.data.orders[one.data.ways[way, ORDER], RIDE] = arrived_s - left_s - less


def _starts(timetable: Timetable) -> list[int]:
    """Return for each leg when its visit starts."""
    return [
        start_s
        for visit, start_s in zip(timetable.visits, timetable.starts_s, strict=True)
        for _ in visit.legs
    ]
