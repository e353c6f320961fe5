"""What is left out has a remedy that works."""

from dataclasses import replace

from optimizer.problem import Problem, Size, Temperature
from optimizer.solution import Reason, Remedy, RemedyKind
from tests.optimizer.builders import (
    EIGHT,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    the_only_left_out,
)

HOUR = 3600
AMBIENT_S = (Temperature.AMBIENT, Size.S)


def the_remedy(problem: Problem) -> Remedy:
    remedy = the_only_left_out(solved(problem)).remedy
    assert remedy is not None
    return remedy


def test_goods_that_miss_the_closing_time_should_be_ready_earlier() -> None:
    places = [a_place("shop", 5), a_place("point", 10, windows=[(0, 12 * HOUR)])]
    order = an_order(ready_s=12 * HOUR)

    remedy = the_remedy(a_problem(places=places, orders=[order]))

    # The point is 500 s away.
    assert (remedy.kind, remedy.facts) == (RemedyKind.READY_EARLIER, {"minutes": 15})
    helped = replace(order, ready_s=12 * HOUR - 15 * 60)
    assert solved(a_problem(places=places, orders=[helped])).num_carried == 1


def test_goods_that_are_due_too_early_should_be_due_later() -> None:
    remedy = the_remedy(a_problem(orders=[an_order(deadline_s=EIGHT + 900)]))

    assert (remedy.kind, remedy.facts) == (RemedyKind.DEADLINE_LATER, {"minutes": 15})


def test_a_run_that_is_just_too_long_needs_a_longer_shift() -> None:
    remedy = the_remedy(a_problem(vehicles=[a_vehicle(max_duration_s=1_500)]))

    assert (remedy.kind, remedy.facts) == (RemedyKind.LONGER_SHIFT, {"minutes": 15, "vehicle": "van"})


def test_a_full_locker_needs_more_compartments_and_their_worth_is_told() -> None:
    places = [a_place("shop", 5), a_place("point", 10, compartments=[(*AMBIENT_S, 1)])]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]

    remedy = the_remedy(a_problem(places=places, orders=orders))

    # The vehicle goes there anyway.
    assert remedy.kind == RemedyKind.MORE_COMPARTMENTS
    assert remedy.facts == {"place": "point", "size": "S", "saved_cents": 5_000}


def test_what_is_not_worth_the_detour_needs_a_higher_penalty_and_that_suffices() -> None:
    remedy = the_remedy(a_problem(orders=[an_order(penalty_cents=499)]))

    # 100 fixed, 200 for 20 km, 200 for 2,000 s.
    assert (remedy.kind, remedy.facts) == (RemedyKind.HIGHER_PENALTY, {"penalty_cents": 501})
    assert solved(a_problem(orders=[an_order(penalty_cents=501)])).num_carried == 1


def test_a_vehicle_that_is_busy_all_day_has_no_time_left() -> None:
    # The shop lies in the middle; by their deadlines the vehicle reaches one end of the road only.
    places = [a_place("home", 0), a_place("shop", 5), a_place("point", 10)]
    orders = [an_order(name, to=name, deadline_s=EIGHT + 1_000) for name in ("home", "point")]

    left_out = the_only_left_out(solved(a_problem(places=places, orders=orders)))

    assert left_out.reason == Reason.NO_VEHICLE_TIME_LEFT
    assert left_out.remedy is not None
    assert left_out.remedy.kind == RemedyKind.DEADLINE_LATER


def test_who_needs_a_low_door_learns_whether_there_is_none_or_they_are_taken() -> None:
    orders = [an_order("one", penalty_cents=5_000, low=True), an_order("two", penalty_cents=6_000, low=True)]
    high, low = (*AMBIENT_S, 2, False), (*AMBIENT_S, 1, True)
    none = [a_place("shop", 5), a_place("point", 10, compartments=[high])]
    taken = [a_place("shop", 5), a_place("point", 10, compartments=[high, low])]

    reasons = {left.reason for left in solved(a_problem(places=none, orders=orders)).left_out}
    left_out = the_only_left_out(solved(a_problem(places=taken, orders=orders)))

    assert reasons == {Reason.NO_COMPARTMENT_LARGE_ENOUGH}
    assert (left_out.order, left_out.reason) == ("one", Reason.LOCKER_FULL)
    assert left_out.remedy is not None
    assert left_out.remedy.sentence == "More room behind low doors in point would save 5000 cents."
    assert left_out.remedy.facts["door"] == "low"
