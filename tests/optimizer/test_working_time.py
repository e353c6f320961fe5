"""Whoever drives rests often and long enough."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from optimizer import schedule
from optimizer.day import Day, VehicleClass
from optimizer.feasibility import violations
from optimizer.problem import ARBZG, BreakRule, Problem, WorkingTime
from optimizer.schedule import Timetable
from optimizer.solution import Reason
from optimizer.visits import Failure, Visit
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
DAY = (0, 24 * HOUR)
#: The route of the tests takes 2,000 s: the shop is 500 s away, the point 500 s farther.
SHORT = WorkingTime(rules=(BreakRule(work_s=1_999, break_s=900),))


def a_day_of(work_s: int, **more: Any) -> Problem:
    """One order that takes so long to carry, by the German rules."""
    return a_problem(
        vehicles=[a_vehicle(shift=DAY, working_time=ARBZG, **more)],
        orders=[an_order(ready_s=0, deadline_s=DAY[1], handling_s=(work_s - 2_000) // 2)],
    )


def the_breaks(problem: Problem) -> list[int]:
    return [visit.break_s for visit in on_the_clock(problem, "+0 -0").visits if visit.break_s]


@pytest.mark.parametrize(
    ("work_s", "breaks"),
    [
        (6 * HOUR, []),
        (6 * HOUR + 2, [30 * 60]),
        (9 * HOUR, [30 * 60]),
        (9 * HOUR + 2, [45 * 60]),
        (10 * HOUR, [45 * 60]),
    ],
)
def test_breaks_follow_the_german_rules(work_s: int, breaks: list[int]) -> None:
    problem = a_day_of(work_s)

    timetable = on_the_clock(problem, "+0 -0")

    assert the_breaks(problem) == breaks
    assert timetable.end_s - timetable.start_s == work_s + sum(breaks)


def test_nobody_works_more_than_ten_hours() -> None:
    assert outcome_of(a_day_of(10 * HOUR + 2), "+0 -0") == Failure.WORKING_TIME


@pytest.mark.parametrize(
    ("longest_run_h", "work_h"), [(None, 10), (10.5, 9.75), (9.5, 9), (9.25, 8.75), (6.25, 6), (6, 6), (1, 1)]
)
def test_a_run_leaves_time_for_its_breaks_and_no_more(longest_run_h: float | None, work_h: float) -> None:
    longest_run_s = None if longest_run_h is None else round(longest_run_h * HOUR)
    problem = a_problem(vehicles=[a_vehicle(working_time=ARBZG, max_duration_s=longest_run_s)])

    assert Day(problem).classes[0].longest_work_s == work_h * HOUR


def test_a_day_of_almost_ten_hours_needs_one_vehicle() -> None:
    orders = [an_order(str(number), handling_s=1_650) for number in range(10)]
    vehicles = [
        a_vehicle(name, shift=DAY, working_time=ARBZG, fixed_cost_cents=50_000) for name in ("one", "two")
    ]

    solution = solved(a_problem(orders=orders, vehicles=vehicles), iterations=300)

    # 9 h 10 of loading and handing over, and half an hour of driving.
    assert (len(solution.routes), solution.num_carried) == (1, 10)


def test_who_drives_without_rules_needs_no_break() -> None:
    problem = a_day_of(9 * HOUR)
    free = a_problem(vehicles=[a_vehicle(shift=DAY)], orders=problem.orders)

    assert the_breaks(free) == []


def test_a_break_is_no_working_time_but_part_of_the_run() -> None:
    assert outcome_of(a_day_of(9 * HOUR, max_duration_s=9 * HOUR + 1_799), "+0 -0") == Failure.WORKING_TIME
    assert isinstance(outcome_of(a_day_of(9 * HOUR, max_duration_s=9 * HOUR + 1_800), "+0 -0"), Timetable)


def test_work_at_one_stop_is_never_interrupted() -> None:
    order = an_order(ready_s=0, deadline_s=DAY[1], handling_s=6 * HOUR)
    rules = WorkingTime(max_unbroken_s=6 * HOUR)
    problem = a_problem(vehicles=[a_vehicle(shift=DAY, working_time=rules)], orders=[order])

    assert outcome_of(problem, "+0 -0") == Failure.WORKING_TIME


def test_a_break_falls_so_that_neither_stretch_is_too_long() -> None:
    rules = WorkingTime(max_unbroken_s=1_400)
    problem = a_problem(vehicles=[a_vehicle(working_time=rules)])

    timetable = on_the_clock(problem, "+0 -0")

    # Work ends 500 s or 1,000 s after the start of the run for a quarter of an hour, the shortest break.
    assert [visit.break_s for visit in timetable.visits] in ([0, 900], [900, 0])
    (rest,) = [s for s, visit in zip(timetable.arrivals_s, timetable.visits, strict=True) if visit.break_s]
    assert rest - timetable.start_s <= 1_400
    assert timetable.end_s - (rest + 900) <= 1_400


def test_waiting_for_a_door_to_open_is_used_for_the_break() -> None:
    # Goods must be fetched at eight, and the point opens an hour later.
    shop = a_place("shop", 5, windows=[(EIGHT, EIGHT + 500)])
    point = a_place("point", 10, windows=[(EIGHT + HOUR, 12 * HOUR)])
    vehicles = [[a_vehicle()], [a_vehicle(working_time=SHORT)]]

    free, bound = (
        on_the_clock(a_problem(places=[shop, point], vehicles=fleet), "+0 -0") for fleet in vehicles
    )

    assert [visit.break_s for visit in bound.visits] == [0, 900]
    assert (bound.start_s, bound.end_s) == (free.start_s, free.end_s)


def test_a_break_may_take_the_place_of_waiting_elsewhere() -> None:
    # The vehicle is out and cannot leave later; the point opens 1,800 s after it could be there.
    places = [a_place("shop", 20), a_place("point", 40, windows=[(EIGHT + 5_800, 24 * HOUR)])]
    vehicle = a_vehicle(
        end="point",
        working_time=WorkingTime(max_unbroken_s=HOUR),
        under_way=under_way("hub", EIGHT),
    )

    timetable = on_the_clock(a_problem(places=places, vehicles=[vehicle]), "+0 -0")

    # 4,000 s to the point are too long without a break; after one at the shop 900 s are left to wait.
    assert [visit.break_s for visit in timetable.visits] == [900, 0]
    assert timetable.end_s - timetable.start_s == 5_800


def test_a_place_that_closes_for_lunch_is_looked_at_once_for_each_of_its_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    forward = schedule._forward

    def noted(vehicle: VehicleClass, visits: Sequence[Visit], start_s: int) -> schedule.Times | None:
        looked.append(start_s)
        return forward(vehicle, visits, start_s)

    monkeypatch.setattr(schedule, "_forward", noted)
    lunch = [(6 * HOUR, 12 * HOUR), (13 * HOUR, 20 * HOUR)]
    places = [a_place("shop", 5, windows=lunch), a_place("point", 10, windows=lunch)]
    day = a_day_of(7 * HOUR)

    timetable = on_the_clock(replace(day, places=(day.places[0], *places)), "+0 -0")

    assert sum(visit.break_s for visit in timetable.visits) == 30 * 60
    assert len(looked) < 30


def test_a_break_is_part_of_the_plan() -> None:
    problem = a_problem(vehicles=[a_vehicle(working_time=SHORT)])

    solution = solved(problem)

    (route,) = solution.routes
    assert sum(stop.break_s for stop in route.stops) == 900
    assert route.duration_s == 2_000 + 900
    assert violations(problem, solution) == []


def test_an_order_that_takes_too_long_for_one_goes_with_another() -> None:
    rules = WorkingTime(max_work_s=1_999)
    vehicles = [a_vehicle("tired", working_time=rules), a_vehicle("rested", fixed_cost_cents=5_000)]

    assert [route.vehicle for route in solved(a_problem(vehicles=vehicles)).routes] == ["rested"]
    left_out = the_only_left_out(solved(a_problem(vehicles=vehicles[:1])))
    assert left_out.reason == Reason.RUN_TOO_LONG


RULES = WorkingTime(rules=(BreakRule(work_s=3_000, break_s=1_800),), max_unbroken_s=2_000, max_work_s=4_000)


@pytest.mark.parametrize(
    ("state", "breaks"),
    [
        # 1,500 s from the shop to the end: with what was worked before, that is just within the rules.
        ({"started_s": EIGHT, "free_s": EIGHT + 500}, []),
        ({"started_s": EIGHT, "free_s": EIGHT + 501}, [900]),
        (
            {
                "started_s": EIGHT,
                "free_s": EIGHT + 2_400,
                "break_s": 900,
                "rested_s": EIGHT + 2_400,
            },
            [],
        ),
        (
            {
                "started_s": EIGHT,
                "free_s": EIGHT + 2_401,
                "break_s": 900,
                "rested_s": EIGHT + 2_401,
            },
            [900],
        ),
    ],
)
def test_work_and_breaks_before_the_plan_count(state: dict[str, Any], breaks: list[int]) -> None:
    vehicle = a_vehicle(working_time=RULES, under_way=under_way("shop", **state, on_board=["order"]))
    problem = a_problem(vehicles=[vehicle])

    timetable = on_the_clock(problem, "-0")

    assert [visit.break_s for visit in timetable.visits if visit.break_s] == breaks
    assert violations(problem, solved(problem)) == []


def test_who_has_worked_enough_takes_on_nothing_more() -> None:
    way = under_way("shop", EIGHT + 2_501, on_board=["order"])
    problem = a_problem(vehicles=[a_vehicle(working_time=WorkingTime(max_work_s=4_000), under_way=way)])

    assert outcome_of(problem, "-0") == Failure.WORKING_TIME
    assert isinstance(outcome_of(problem, ""), Timetable)
