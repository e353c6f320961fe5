"""Vehicles that are out already: they go on where they are, with what they have on board."""

from dataclasses import replace
from typing import Any

import pytest

from optimizer.day import Day
from optimizer.feasibility import violations
from optimizer.problem import BreakRule, Load, Problem, Temperature, UnderWay, Vehicle, WorkingTime
from optimizer.reachability import Reachability
from optimizer.schedule import Timetable
from optimizer.solution import Reason, Solution
from optimizer.visits import Failure
from tests.optimizer.builders import (
    EIGHT,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    the_only_left_out,
    under_way,
)
from tests.optimizer.clock import on_the_clock, outcome_of

HOUR = 3600


def out(way: UnderWay, **more: Any) -> Vehicle:
    return a_vehicle(under_way=way, **more)


def loaded(**state: Any) -> UnderWay:
    """At the shop with the order on board, which is 1,500 s and 15 km from the end of the run."""
    return under_way("shop", on_board=["order"], **state)


def the_checked(problem: Problem) -> Solution:
    solution = solved(problem)
    assert violations(problem, solution) == []
    return solution


def test_goods_on_board_are_delivered_from_where_the_vehicle_is() -> None:
    solution = the_checked(a_problem(vehicles=[out(loaded())]))

    (route,) = solution.routes
    assert (route.start_s, route.end_s) == (EIGHT + 500, EIGHT + 2_000)
    assert [(stop.place, stop.pickups) for stop in route.stops] == [("point", ())]


def test_only_what_is_still_to_come_is_paid() -> None:
    timetable = on_the_clock(a_problem(vehicles=[out(loaded())]), "-0")

    # Nothing fixed, 15 km at 10 cents, 1,500 s at 0.1 cents.
    cost = timetable.cost
    assert (cost.fixed_cents, cost.distance_cents, cost.time_cents) == (0, 150, 150)


def test_a_vehicle_that_is_out_waits_where_it_comes_too_early() -> None:
    places = [a_place("shop", 5), a_place("point", 10, windows=[(9 * HOUR, 10 * HOUR)])]

    timetable = on_the_clock(a_problem(places=places, vehicles=[out(loaded())]), "-0")

    assert timetable.start_s == EIGHT + 500
    assert timetable.wait_s == 9 * HOUR - (EIGHT + 1_000)


@pytest.mark.parametrize(
    ("just", "too_little", "failure"),
    [
        (
            out(loaded(), max_duration_s=2_000),
            out(loaded(), max_duration_s=1_999),
            Failure.DURATION,
        ),
        (
            out(loaded(), shift=(EIGHT, EIGHT + 2_000)),
            out(loaded(), shift=(EIGHT, EIGHT + 1_999)),
            Failure.SHIFT,
        ),
        (
            out(loaded(driven_m=5_000), range_m=20_000),
            out(loaded(driven_m=5_001), range_m=20_000),
            Failure.RANGE,
        ),
    ],
)
def test_what_was_used_before_counts(just: Vehicle, too_little: Vehicle, failure: Failure) -> None:
    assert isinstance(outcome_of(a_problem(vehicles=[just]), "-0"), Timetable)
    assert outcome_of(a_problem(vehicles=[too_little]), "-0") == failure


def test_trips_begun_count() -> None:
    order = an_order("next")
    orders = [an_order(), order]
    second, third = (a_vehicle(max_trips=2, under_way=loaded(trips=trips)) for trips in (1, 2))

    assert isinstance(outcome_of(a_problem(orders=orders, vehicles=[second]), "-0 | +1 -1"), Timetable)
    assert outcome_of(a_problem(orders=orders, vehicles=[third]), "-0 | +1 -1") == Failure.TRIPS


def test_a_charge_at_the_start_place_fills_what_was_driven() -> None:
    orders = [an_order(), an_order("next")]
    vehicle = a_vehicle(max_trips=2, range_m=20_000, under_way=loaded(driven_m=5_000))
    problem = a_problem(orders=orders, vehicles=[vehicle])

    assert on_the_clock(problem, "-0 | +1 -1").distance_m == 15_000 + 20_000
    assert outcome_of(problem, "-0 +1 -1") == Failure.RANGE


def test_an_order_that_a_fresh_charge_would_reach_is_not_called_out_of_range() -> None:
    # Two kilometres are left, the hub is one away.
    places = [a_place("near", 1), a_place("shop", 5), a_place("point", 10)]
    way = under_way("near", driven_m=18_000)
    can, cannot = (a_vehicle(max_trips=most, range_m=20_000, under_way=way) for most in (2, 1))

    reaches, fails = (
        Reachability(Day(a_problem(places=places, vehicles=[vehicle]))).failures(0, 0)
        for vehicle in (can, cannot)
    )

    assert (reaches, fails) == ((None,), (Failure.RANGE,))


def test_goods_on_board_take_room_until_they_are_delivered() -> None:
    room = Load(weight_g=1_500, volume_cm3=10**6)
    orders = [an_order(), an_order("next", pickup="point", to="shop")]
    problem = a_problem(orders=orders, vehicles=[out(loaded(), capacity=room)])

    assert outcome_of(problem, "+1 -0 -1") != Failure.WEIGHT  # One stop at the point, deliveries come first.
    at_the_shop = replace(orders[1], pickup_place="shop")
    problem = replace(problem, orders=(orders[0], replace(at_the_shop, options=orders[0].options)))
    assert outcome_of(problem, "+1 -0 -1") == Failure.WEIGHT
    assert on_the_clock(problem, "-0 +1 -1").max_load[0] == 1_000


def test_a_vehicle_that_carries_more_than_it_may_unloads_but_loads_no_more() -> None:
    small = Load(weight_g=900, volume_cm3=10**6)
    orders = [an_order(), an_order("next", weight_g=100)]
    problem = a_problem(orders=orders, vehicles=[out(loaded(), capacity=small)])

    assert outcome_of(problem, "+1 -0 -1") == Failure.WEIGHT
    assert the_checked(problem).num_carried == 2


@pytest.mark.parametrize(("weight_g", "carried"), [(900, 2), (901, 1)])
def test_what_a_vehicle_came_with_is_no_reason_to_fill_it_up_to_that_again(
    weight_g: int, carried: int
) -> None:
    small, larger = (Load(weight_g=weight_g, volume_cm3=10**6) for weight_g in (900, 1_000))
    orders = [an_order(), an_order("next", pickup="point", to="hub", weight_g=weight_g)]
    problem = a_problem(orders=orders, vehicles=[out(loaded(), capacity=small)])
    plan = solved(a_problem(orders=orders, vehicles=[out(loaded(), capacity=larger)]))

    solution = the_checked(problem)

    assert solution.num_carried == carried
    refused = [] if carried == 2 else ["route of van: carries 901 of at most 900 weight_g"]
    assert violations(problem, plan) == refused


def test_a_full_vehicle_takes_other_goods_once_it_is_empty() -> None:
    room = Load(weight_g=1_000, volume_cm3=10**6)
    problem = a_problem(orders=[an_order(), an_order("next")], vehicles=[out(loaded(), capacity=room)])

    assert the_checked(problem).num_carried == 2


def test_the_time_on_board_begins_when_goods_were_loaded() -> None:
    orders = [an_order(temperature=Temperature.CHILLED)]
    limits = {Temperature.CHILLED: 900}
    fresh, stale = (
        a_problem(orders=orders, max_ride_s=limits, vehicles=[out(loaded(loaded_s=moment))])
        for moment in (EIGHT + 100, EIGHT + 99)
    )

    assert isinstance(outcome_of(fresh, "-0"), Timetable)
    assert outcome_of(stale, "-0") == Failure.RIDE
    assert the_only_left_out(the_checked(stale)).reason == Reason.TOO_LONG_IN_VEHICLE


def test_goods_on_board_are_nobody_elses() -> None:
    # The other vehicle stands where the goods were loaded, and would be cheaper.
    cheap = a_vehicle("cheap", start="shop", end="shop", fixed_cost_cents=0, cost_per_km_cents=0)
    problem = a_problem(vehicles=[cheap, out(loaded())])

    assert outcome_of(problem, "-0") == Failure.VEHICLE
    assert [route.vehicle for route in the_checked(problem).routes] == ["van"]


def test_goods_on_board_need_no_shop() -> None:
    # The shop has closed for good, no way leads from it, and neither pin nor skill is looked at any more.
    places = [a_place("shop", 5, windows=[(0, 1)]), a_place("point", 10)]
    order = an_order(skills=("stairs",), vehicles=("other",))
    vehicles = [out(under_way("hub", EIGHT + 900, on_board=["order"])), a_vehicle("other")]
    problem = a_problem(places=places, orders=[order], vehicles=vehicles, no_way=[("shop", "point")])

    assert the_checked(problem).num_carried == 1


def test_goods_on_board_that_nobody_takes_stay_there() -> None:
    places = [a_place("shop", 5), a_place("point", 10, windows=[(0, EIGHT)])]

    solution = the_checked(a_problem(places=places, vehicles=[out(loaded())]))

    (route,) = solution.routes
    assert route.stops == ()
    assert route.max_load.weight_g == 1_000
    assert the_only_left_out(solution).reason == Reason.UNREACHABLE_IN_TIME


def test_a_vehicle_that_is_out_and_has_nothing_to_do_goes_home() -> None:
    (route,) = the_checked(a_problem(orders=[], vehicles=[out(under_way("point", EIGHT + HOUR))])).routes

    assert (route.vehicle, route.stops, route.distance_m) == ("van", (), 10_000)
    assert (route.start_s, route.end_s) == (EIGHT + HOUR, EIGHT + HOUR + 1_000)


#: The point is 10 km and 1,000 s from the hub; the vehicle is there an hour after it began.
LATE: dict[str, Any] = {"place": "point", "free_s": EIGHT + HOUR}
HOMEWARD: dict[str, Vehicle] = {
    "shift": out(under_way(**LATE), shift=(EIGHT, EIGHT + HOUR + 999)),
    "a shift that is over": out(under_way(**LATE), shift=(EIGHT, EIGHT + 1)),
    "longest run": out(under_way(**LATE), max_duration_s=HOUR + 999),
    "a run that lasts too long already": out(under_way(**LATE), max_duration_s=1),
    "range": out(under_way(**LATE, driven_m=15_001), range_m=25_000),
    "a charge that is used up": out(under_way(**LATE, driven_m=30_000), range_m=25_000),
    "a charge that is used up, with trips left": out(
        under_way(**LATE, driven_m=30_000), range_m=25_000, max_trips=3
    ),
    "longest work": out(under_way(**LATE), working_time=WorkingTime(max_work_s=HOUR + 999)),
}


@pytest.mark.parametrize("limit", HOMEWARD)
def test_a_vehicle_whose_way_home_is_too_long_may_go_straight_home_and_nothing_else(limit: str) -> None:
    # The order waits on the way home, and goes to a place on the way home: neither a detour nor time.
    order = an_order(pickup="point", to="shop")
    problem = a_problem(orders=[order], vehicles=[HOMEWARD[limit]])

    solution = the_checked(problem)

    (route,) = solution.routes
    assert (route.stops, route.duration_s) == ((), 1_000)
    assert isinstance(outcome_of(problem, "+0 -0"), Failure)
    assert solution.num_carried == 0


@pytest.mark.parametrize(
    "vehicle",
    [
        out(under_way(**LATE), shift=(EIGHT, EIGHT + HOUR + 1_000)),
        out(under_way(**LATE), max_duration_s=HOUR + 1_000),
        out(under_way(**LATE, driven_m=15_000), range_m=25_000),
        out(under_way(**LATE), working_time=WorkingTime(max_work_s=HOUR + 1_000)),
    ],
)
def test_what_lies_on_the_way_is_taken_along_where_the_way_home_just_fits(vehicle: Vehicle) -> None:
    order = an_order(pickup="point", to="shop")

    assert the_checked(a_problem(orders=[order], vehicles=[vehicle])).num_carried == 1


def test_a_vehicle_with_only_the_way_home_left_has_no_time_for_orders() -> None:
    order = an_order(pickup="point", to="shop")

    left_out = the_only_left_out(solved(a_problem(orders=[order], vehicles=[HOMEWARD["shift"]])))

    assert left_out.reason == Reason.NO_VEHICLE_TIME_LEFT


def test_a_break_on_the_way_lets_a_tired_courier_go_on() -> None:
    rules = WorkingTime(rules=(BreakRule(work_s=HOUR, break_s=900),))
    order = an_order(pickup="point", to="shop")

    (route,) = the_checked(
        a_problem(orders=[order], vehicles=[out(under_way(**LATE), working_time=rules)])
    ).routes

    assert [stop.break_s for stop in route.stops if stop.break_s] == [900]
    assert route.duration_s == 1_000 + 900


def test_more_trips_than_allowed_may_have_begun_but_no_other_begins() -> None:
    vehicle = a_vehicle(max_trips=1, under_way=loaded(trips=2))
    problem = a_problem(orders=[an_order(), an_order("next")], vehicles=[vehicle])

    assert outcome_of(problem, "-0 | +1 -1") == Failure.TRIPS
    (route,) = the_checked(problem).routes
    assert {stop.trip for stop in route.stops} == {2}


def test_each_vehicle_under_way_is_a_class_of_its_own() -> None:
    here, there = (a_vehicle(name, under_way=under_way()) for name in ("here", "there"))
    idle = [a_vehicle(name) for name in ("one", "two")]

    day = Day(a_problem(vehicles=[here, there, *idle]))

    assert [vehicle.vehicles for vehicle in day.classes] == [(0,), (1,), (2, 3)]


def test_every_vehicle_under_way_gets_a_route_and_idle_ones_only_if_it_pays() -> None:
    vehicles = [a_vehicle("idle"), *(a_vehicle(name, under_way=under_way()) for name in ("here", "there"))]

    solution = the_checked(a_problem(vehicles=vehicles))

    assert sorted(route.vehicle for route in solution.routes) == ["here", "there"]
    assert sum(bool(route.stops) for route in solution.routes) == 1
