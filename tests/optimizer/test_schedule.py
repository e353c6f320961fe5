"""A route on the clock."""

import pytest

from optimizer.problem import Problem, Temperature
from optimizer.visits import Failure
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order
from tests.optimizer.clock import on_the_clock, outcome_of

HOUR = 3600


def test_legs_at_one_place_are_one_visit() -> None:
    problem = a_problem(orders=[an_order("a", handling_s=30), an_order("b", handling_s=40)])

    timetable = on_the_clock(problem, "+0 +1 -0 -1")

    assert [visit.service_s for visit in timetable.visits] == [70, 70]


def test_a_visit_waits_for_the_last_of_its_goods() -> None:
    problem = a_problem(orders=[an_order("a"), an_order("b", ready_s=11 * HOUR)])

    timetable = on_the_clock(problem, "+0 +1 -0 -1")

    assert timetable.starts_s[0] == 11 * HOUR


def test_goods_that_cannot_start_together_are_two_visits() -> None:
    problem = a_problem(
        orders=[an_order("a", deadline_s=9 * HOUR), an_order("b", ready_s=10 * HOUR)],
    )

    timetable = on_the_clock(problem, "+0 -0 +1 -1")

    assert len(timetable.visits) == 4
    assert outcome_of(problem, "+0 +1 -0 -1") == Failure.WINDOW


def test_the_run_waits_through_the_lunch_break_only_if_it_must() -> None:
    windows = [(EIGHT, 9 * HOUR), (14 * HOUR, 15 * HOUR)]
    places = [a_place("shop", 5), a_place("point", 10, windows=windows)]
    problem = a_problem(places=places, orders=[an_order("a", ready_s=9 * HOUR)])

    timetable = on_the_clock(problem, "+0 -0")

    # Shop at 13:51:40, point at 14:00, no waiting.
    assert (timetable.starts_s, timetable.wait_s) == ([14 * HOUR - 500, 14 * HOUR], 0)


def test_waiting_happens_before_loading_where_goods_may_not_ride_long() -> None:
    places = [a_place("early", 5), a_place("shop", 6), a_place("point", 10, windows=[(10 * HOUR, 11 * HOUR)])]
    orders = [
        an_order("a", pickup="early", deadline_s=10 * HOUR),
        an_order("b", temperature=Temperature.CHILLED),
    ]
    early = a_place("early", 5, windows=[(EIGHT, EIGHT + HOUR)])
    problem = a_problem(places=[early, *places[1:]], orders=orders, max_ride_s={Temperature.CHILLED: 400})

    timetable = on_the_clock(problem, "+0 +1 -0 -1")

    # From the shop to the point it takes 400 s; the vehicle must not leave the shop before 09:53:20.
    assert timetable.starts_s == [EIGHT + HOUR, 10 * HOUR - 400, 10 * HOUR]


def test_the_load_is_counted_after_deliveries() -> None:
    places = [a_place("shop", 5), a_place("point", 10)]
    orders = [an_order("a", weight_g=700), an_order("b", pickup="point", to="shop", weight_g=800)]

    timetable = on_the_clock(a_problem(places=places, orders=orders), "+0 +1 -0 -1")

    assert timetable.max_load[0] == 800


SKILLED = an_order(skills=("stairs", "deposit"))
REFUSED: dict[str, tuple[Problem, Failure]] = {
    "a skill that the vehicle lacks": (
        a_problem(vehicles=[a_vehicle(skills=("stairs",))], orders=[SKILLED]),
        Failure.VEHICLE,
    ),
    "a skill that no vehicle has": (a_problem(orders=[SKILLED]), Failure.VEHICLE),
    "a pin to another vehicle": (
        a_problem(vehicles=[a_vehicle(), a_vehicle("other")], orders=[an_order(vehicles=("other",))]),
        Failure.VEHICLE,
    ),
    "no way to the shop": (a_problem(no_way=[("hub", "shop")]), Failure.NO_WAY),
    "no way between the places": (a_problem(no_way=[("shop", "point")]), Failure.NO_WAY),
    "no way home": (a_problem(no_way=[("point", "hub")]), Failure.NO_WAY),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_vehicle_that_may_not_or_cannot_carry_an_order_is_told_why(case: str) -> None:
    problem, failure = REFUSED[case]

    assert outcome_of(problem, "+0 -0") == failure


def test_a_vehicle_that_has_the_skills_and_the_pin_carries_the_order() -> None:
    vehicles = [a_vehicle(skills=("deposit", "stairs"))]
    order = an_order(skills=("stairs", "deposit"), vehicles=("van",))

    assert on_the_clock(a_problem(vehicles=vehicles, orders=[order]), "+0 -0").distance_m == 20_000


def test_a_way_that_is_missing_matters_only_where_it_is_taken() -> None:
    problem = a_problem(no_way=[("point", "shop"), ("hub", "point")])

    assert on_the_clock(problem, "+0 -0").distance_m == 20_000


def test_handing_over_takes_the_time_of_each_order_and_of_its_option() -> None:
    orders = [an_order(name, handling_s=20, count=2, option_handling_s=100) for name in ("a", "b")]

    timetable = on_the_clock(a_problem(orders=orders), "+0 +1 -0 -1")

    assert [visit.service_s for visit in timetable.visits] == [2 * 40, 2 * (40 + 100)]
