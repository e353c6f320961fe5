"""What was announced, and which places residents like: changing it costs, and some of it is limited."""

from dataclasses import replace

import pytest

from optimizer.feasibility import violations
from optimizer.problem import Problem, Promise, RankLimit, Size, Temperature, WorkingTime
from optimizer.solution import Reason
from tests.optimizer.builders import (
    EIGHT,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    the_only_left_out,
)
from tests.optimizer.clock import on_the_clock

HOUR = 3600
NOON = 12 * HOUR


def late_by_opening(**more: object) -> Problem:
    """The home is 5 km away, the point 10 km, but open from noon only; home was promised for nine."""
    places = [a_place("home", 5), a_place("point", 10, windows=[(NOON, NOON + HOUR)])]
    orders = [
        an_order("early", pickup="hub", to="home", promise=Promise(latest_s=9 * HOUR)),
        an_order("late", pickup="hub"),
    ]
    return a_problem(places=places, orders=orders, **more)  # type: ignore[arg-type] # fields of a problem


@pytest.mark.parametrize(
    ("latest_s", "cents"), [(None, 0), (EIGHT + 1_000, 0), (EIGHT + 940, 10), (EIGHT + 937, 11)]
)
def test_each_minute_after_the_promised_moment_costs(latest_s: int | None, cents: int) -> None:
    order = an_order(deadline_s=EIGHT + 1_000, promise=Promise(latest_s=latest_s))

    cost = on_the_clock(a_problem(orders=[order], late_cents_per_hour=600), "+0 -0").cost

    assert cost.lateness_cents == cents
    assert cost.total_cents == 500 + cents


@pytest.mark.parametrize(("vehicle", "cents"), [(None, 0), ("van", 0), ("spare", 70), ("gone", 70)])
def test_an_order_that_changes_vehicles_costs_once(vehicle: str | None, cents: int) -> None:
    problem = a_problem(
        orders=[an_order(promise=Promise(vehicle=vehicle))],
        vehicles=[a_vehicle(), a_vehicle("spare")],
        moved_cents=70,
    )

    assert on_the_clock(problem, "+0 -0").cost.stability_cents == cents


def test_the_run_starts_early_where_being_late_costs_more_than_waiting() -> None:
    cheap, dear = (on_the_clock(late_by_opening(late_cents_per_hour=c), "+0 +1 -0 -1") for c in (1, 3_600))

    assert (cheap.wait_s, cheap.start_s) == (0, NOON - 1_000)
    assert dear.start_s == EIGHT
    assert dear.wait_s == NOON - 1_000 - EIGHT
    assert dear.cost.lateness_cents == 0


def test_nobody_starts_earlier_than_working_time_allows() -> None:
    tired = a_vehicle(working_time=WorkingTime(max_work_s=2 * HOUR))

    timetable = on_the_clock(late_by_opening(late_cents_per_hour=3_600, vehicles=[tired]), "+0 +1 -0 -1")

    assert timetable.start_s == NOON - 1_000


def test_the_promised_vehicle_keeps_its_order_unless_another_saves_more() -> None:
    promised, cheap = a_vehicle("promised", fixed_cost_cents=200), a_vehicle("cheap")
    order = an_order(promise=Promise(vehicle="promised"))

    for moved_cents, driven in ((99, "cheap"), (101, "promised")):
        problem = a_problem(orders=[order], vehicles=[promised, cheap], moved_cents=moved_cents)
        solution = solved(problem)
        assert [route.vehicle for route in solution.routes] == [driven]
        assert violations(problem, solution) == []


def test_the_promised_moment_decides_which_order_comes_first() -> None:
    places = [a_place("west", -5), a_place("east", 5)]
    dislikes = {"west": "east", "east": "west"}
    orders = [
        an_order(name, pickup="hub", to={name: 0, other: 9_000}, deadline_s=EIGHT + 1_500)
        for name, other in dislikes.items()
    ]

    for first in ("west", "east"):
        promised = [
            replace(order, promise=Promise(latest_s=EIGHT + 500)) if order.id == first else order
            for order in orders
        ]
        problem = a_problem(places=places, orders=promised, late_cents_per_hour=3_600)
        (route,) = solved(problem).routes
        assert [stop.place for stop in route.stops if stop.deliveries] == [first, dislikes[first]]


def sent_elsewhere(*limits: RankLimit) -> Problem:
    """Three orders whose best place is far away, and whose second best is on the way."""
    places = [a_place("shop", 1), a_place("near", 2), a_place("far", 40)]
    orders = [an_order(name, to={"far": 0, "near": 10}, ranks=(0, 1)) for name in ("a", "b", "c")]
    return a_problem(places=places, orders=orders, rank_limits=limits)


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_no_more_orders_than_agreed_go_to_places_that_are_liked_less(most: int) -> None:
    problem = sent_elsewhere(RankLimit(rank=0, most=most))

    solution = solved(problem)

    options = [d.option for route in solution.routes for stop in route.stops for d in stop.deliveries]
    # Whoever must go far takes all others along; only where nobody must, all go near.
    assert len(options) == 3
    assert sum(options) == (3 if most == 3 else 0) or sum(options) <= most
    assert violations(problem, solution) == []


def test_a_limit_on_ranks_counts_only_what_is_worse() -> None:
    options = [
        d.option
        for route in solved(sent_elsewhere(RankLimit(rank=1, most=0))).routes
        for stop in route.stops
        for d in stop.deliveries
    ]

    assert options == [1, 1, 1]


def test_who_cannot_be_sent_elsewhere_any_more_is_told_so() -> None:
    orders = [
        an_order(name, to="point", ranks=(1,), penalty_cents=c) for name, c in (("a", 9_000), ("b", 8_000))
    ]

    left_out = the_only_left_out(solved(a_problem(orders=orders, rank_limits=(RankLimit(rank=0, most=1),))))
    nobody = solved(a_problem(orders=orders, rank_limits=(RankLimit(rank=0, most=0),)))

    assert (left_out.order, left_out.reason) == ("b", Reason.TOO_MANY_SENT_ELSEWHERE)
    assert {left.reason for left in nobody.left_out} == {Reason.TOO_MANY_SENT_ELSEWHERE}


def test_a_locker_without_room_is_no_matter_of_ranks() -> None:
    stock = [(Temperature.AMBIENT, Size.S, 0)]
    places = [a_place("shop", 5), a_place("point", 10, compartments=stock)]
    problem = a_problem(
        places=places, orders=[an_order(ranks=(1,))], rank_limits=(RankLimit(rank=0, most=0),)
    )

    assert the_only_left_out(solved(problem)).reason == Reason.NO_COMPARTMENT_LARGE_ENOUGH
