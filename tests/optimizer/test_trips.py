"""Several trips in one shift, with a charge at the start place in between."""

from typing import Any

import pytest

from optimizer.day import Day
from optimizer.feasibility import violations
from optimizer.insertion import Tour
from optimizer.problem import Load, Problem
from optimizer.reachability import Reachability
from optimizer.schedule import evaluate
from optimizer.solution import Reason
from optimizer.trips import joined
from optimizer.visits import Failure
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order, solved, the_only_left_out
from tests.optimizer.clock import legs_of, on_the_clock, outcome_of

HOUR = 3600


def two_trips(deadline_s: int = EIGHT + 10 * HOUR, **more: Any) -> Problem:
    """Two orders for a bike that carries one of them; a trip is 20 km long, a charge lasts 25 km."""
    small = Load(weight_g=1_000, volume_cm3=10**6)
    bike = {"range_m": 25_000, "max_trips": 2, "turnaround_s": 600, **more}
    return a_problem(
        orders=[an_order(name, deadline_s=deadline_s) for name in ("one", "two")],
        vehicles=[a_vehicle("bike", capacity=small, **bike)],
    )


def test_a_turn_takes_its_time_at_the_start_place() -> None:
    timetable = on_the_clock(two_trips(), "+0 -0 | +1 -1")

    assert timetable.distance_m == 2 * 20_000
    assert timetable.end_s - timetable.start_s == 2 * 2_000 + 600
    assert [visit.is_turn for visit in timetable.visits] == [False, False, True, False, False]


def test_the_fixed_cost_is_paid_once_for_all_trips() -> None:
    timetable = on_the_clock(two_trips(), "+0 -0 | +1 -1")

    # 100 fixed, 40 km at 10 cents, 4,600 s at 0.1 cents.
    assert timetable.cost_cents == 100 + 400 + 460


@pytest.mark.parametrize(
    ("changes", "sequence", "failure"),
    [
        ({}, "+0 -0 +1 -1", Failure.RANGE),
        ({"max_trips": 1}, "+0 -0 | +1 -1", Failure.TRIPS),
        ({"range_m": 19_999}, "+0 -0 | +1 -1", Failure.RANGE),
        ({"max_duration_s": 4_599}, "+0 -0 | +1 -1", Failure.DURATION),
        ({"shift": (EIGHT, EIGHT + 4_599)}, "+0 -0 | +1 -1", Failure.SHIFT),
    ],
)
def test_a_shift_keeps_range_number_of_trips_and_time(
    changes: dict[str, Any], sequence: str, failure: Failure
) -> None:
    assert outcome_of(two_trips(**changes), sequence) == failure


def test_each_trip_has_a_charge_of_its_own() -> None:
    assert on_the_clock(two_trips(range_m=20_000), "+0 -0 | +1 -1").distance_m == 40_000


def test_goods_stay_on_board_during_a_turn() -> None:
    timetable = on_the_clock(two_trips(range_m=10**6), "+0 | -0")

    assert timetable.distance_m == 2 * 5_000 + 2 * 10_000


def test_a_second_trip_carries_what_the_first_has_no_room_for() -> None:
    problem = two_trips()

    solution = solved(problem)

    (route,) = solution.routes
    assert [stop.place for stop in route.stops] == ["shop", "point", "hub", "shop", "point"]
    assert [stop.trip for stop in route.stops] == [1, 1, 1, 2, 2]
    assert violations(problem, solution) == []


def test_without_a_second_trip_an_order_waits() -> None:
    assert the_only_left_out(solved(two_trips(max_trips=1))).reason == Reason.NO_VEHICLE_TIME_LEFT


def test_a_turn_needs_no_opening_hours_but_time() -> None:
    closed = a_place("hub", 0, windows=[(0, EIGHT)])
    places = [closed, a_place("shop", 5), a_place("point", 10)]
    problem = a_problem(places=places, orders=two_trips().orders, vehicles=two_trips().vehicles)

    solution = solved(problem)

    assert solution.num_carried == 2
    assert violations(problem, solution) == []


def test_trips_of_equal_vehicles_are_joined_where_that_saves_a_vehicle() -> None:
    problem = two_trips()
    day = Day(problem)
    vehicle = day.classes[0]
    tours = []
    for number in (0, 1):
        timetable = evaluate(vehicle, legs_of(day, f"+{number} -{number}"))
        assert not isinstance(timetable, Failure)
        tours.append(Tour(vehicle, timetable))

    (tour,) = joined(tours)

    assert [leg.shipment.orders for leg in tour.legs if leg.is_first] == [(0,), (1,)]
    assert tour.cost_cents < sum(each.cost_cents for each in tours)


def test_trips_that_cannot_follow_each_other_stay_apart() -> None:
    day = Day(two_trips(deadline_s=EIGHT + 1_000))
    vehicle = day.classes[0]
    timetables = [evaluate(vehicle, legs_of(day, f"+{number} -{number}")) for number in (0, 1)]

    tours = [Tour(vehicle, each) for each in timetables if not isinstance(each, Failure)]

    assert len(joined(tours)) == len(tours) == 2


def test_an_order_whose_way_needs_a_charge_in_its_middle_can_be_carried() -> None:
    places = [a_place("shop", 5), a_place("point", -10)]

    def outcome(max_trips: int) -> Failure | None:
        vehicle = a_vehicle(range_m=20_000, max_trips=max_trips)
        (outcome,) = Reachability(Day(a_problem(places=places, vehicles=[vehicle]))).failures(0, 0)
        return outcome

    # Alone it is 30 km, and 20 km from the hub to the point and back.
    assert (outcome(1), outcome(2)) == (Failure.RANGE, None)


def test_goods_that_stay_on_board_while_the_vehicle_is_charged_stop_no_round_of_pyvrp() -> None:
    places = [
        a_place("shop", 5),
        a_place("point", 10),
        a_place("other shop", -5),
        a_place("other point", -10),
    ]
    orders = [
        an_order("one"),
        an_order("other", pickup="other shop", to="other point"),
        an_order("across", to="other point"),
    ]
    problem = a_problem(places=places, orders=orders, vehicles=[a_vehicle(range_m=30_000, max_trips=2)])

    solution = solved(problem, iterations=300)

    assert violations(problem, solution) == []
    assert solution.num_carried == 3
