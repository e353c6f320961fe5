"""Slack is exactly what a stop may slip, and loads are what is on board."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings

from optimizer.explain.margins import Margin, margins
from optimizer.feasibility import violations
from optimizer.problem import BreakRule, Load, Problem, Temperature, WorkingTime
from optimizer.solution import CostTerms, Delivery, Route, Solution, Stop
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order, solved, under_way
from tests.optimizer.strategies import problems

NOON = 12 * 3600


def margins_of(problem: Problem) -> tuple[Margin, ...]:
    """Return what the only route of a plan leaves unused."""
    (route,) = solved(problem).routes
    return margins(problem, route)


def slacks_s(problem: Problem) -> list[int]:
    return [margin.slack_s for margin in margins_of(problem)]


def test_the_load_after_each_stop_is_what_is_on_board() -> None:
    orders = [an_order("cold", temperature=Temperature.CHILLED), an_order("warm", to="beyond", count=2)]
    places = [a_place("shop", 5), a_place("point", 10), a_place("beyond", 12)]
    capacity = Load(weight_g=4_000, volume_cm3=10**6, chilled_cm3=20_000)

    unused = margins_of(
        a_problem(places=places, orders=orders, vehicles=[a_vehicle(capacity=capacity, end="beyond")])
    )

    # Three parcels of 1 kg are loaded; the cold one leaves first.
    assert [margin.load.amounts for margin in unused] == [
        (3_000, 20_000, 10_000, 0),
        (2_000, 20_000, 0, 0),
        (0, 0, 0, 0),
    ]
    assert [margin.load_share for margin in unused] == [0.75, 0.5, 0.0]


def test_goods_on_board_from_the_start_count() -> None:
    vehicle = a_vehicle(under_way=under_way(on_board=["order"]))

    unused = margins_of(a_problem(vehicles=[vehicle], orders=[an_order(), an_order("more")]))

    # The other order waits where the vehicle is.
    assert [margin.load.weight_g for margin in unused] == [2_000, 0]


def test_every_stop_may_slip_until_the_shift_ends() -> None:
    vehicle = a_vehicle(shift=(EIGHT, EIGHT + 2_700))

    # The run of 2,000 s starts at once.
    assert slacks_s(a_problem(vehicles=[vehicle])) == [700, 700]


def test_a_run_may_get_no_longer_than_the_longest() -> None:
    assert slacks_s(a_problem(vehicles=[a_vehicle(max_duration_s=2_100)])) == [100, 100]


def test_a_deadline_bounds_what_comes_before_it_and_waiting_absorbs() -> None:
    places = [a_place("shop", 5), a_place("mill", 7), a_place("point", 10, windows=[(NOON, NOON + 600)])]
    problem = a_problem(
        places=places,
        orders=[an_order(), an_order("early", to="mill", deadline_s=EIGHT + 900)],
        vehicles=[a_vehicle(under_way=under_way("hub", EIGHT))],
    )

    # The mill is reached 700 s after eight, 200 s before its goods are due; then the vehicle waits for noon.
    assert slacks_s(problem) == [200, 200, 600]


def test_a_slip_before_loading_lengthens_no_ride_but_one_after_it_does() -> None:
    places = [a_place("farm", 2), a_place("shop", 5, stop_duration_s=60), a_place("point", 10)]
    orders = [
        an_order("cold", temperature=Temperature.CHILLED),
        an_order("warm", pickup="farm", to="shop"),
    ]
    problem = a_problem(places=places, orders=orders, max_ride_s={Temperature.CHILLED: 600})

    # The shift leaves hours; from the shop to the point it is 500 s.
    *before, ride = slacks_s(problem)
    assert ride == 100
    assert min(before) > 3_600


def test_breaks_bound_the_work_before_and_after_them() -> None:
    rules = WorkingTime(rules=(BreakRule(work_s=1_500, break_s=900),), max_unbroken_s=1_600, max_work_s=2_300)
    problem = a_problem(vehicles=[a_vehicle(working_time=rules)])

    # 2,000 s of driving and a break of 900 s at one of the stops: of 2,300 s of work 300 are left.
    assert slacks_s(problem) == [300, 300]


def test_work_may_not_grow_past_the_breaks_that_were_planned() -> None:
    rules = WorkingTime(rules=(BreakRule(work_s=2_100, break_s=900),))

    # A run of 2,000 s has no break.
    assert slacks_s(a_problem(vehicles=[a_vehicle(working_time=rules)])) == [100, 100]


def test_the_stricter_of_two_limits_bounds_a_ride() -> None:
    cold = an_order("cold", temperature=Temperature.CHILLED)
    both = replace(cold, parcels=(*cold.parcels, *an_order(temperature=Temperature.FROZEN).parcels))
    limits = {Temperature.CHILLED: 600, Temperature.FROZEN: 540}

    # From the shop to the point it is 500 s.
    assert slacks_s(a_problem(orders=[both], max_ride_s=limits))[-1] == 40


def at_windows(*windows: tuple[int, int]) -> list[int]:
    """Return the slacks of a run that is at the shop 500 s after eight, and 500 s later at the point."""
    places = [a_place("shop", 5), a_place("point", 10, windows=windows)]
    vehicle = a_vehicle(under_way=under_way("hub", EIGHT))
    return slacks_s(a_problem(places=places, vehicles=[vehicle]))


def test_a_stop_stays_in_the_opening_period_that_it_is_planned_in() -> None:
    assert at_windows((EIGHT, EIGHT + 1_200), (NOON, NOON + 600)) == [200, 200]
    assert at_windows((EIGHT, EIGHT + 900), (EIGHT + 1_500, EIGHT + 1_800)) == [800, 300]


def test_a_turn_between_two_trips_may_come_after_the_hub_has_closed() -> None:
    places = [
        a_place("hub", windows=[(EIGHT, EIGHT + 2_100)]),
        a_place("shop", 5),
        a_place("point", 10),
    ]
    vehicle = a_vehicle(
        shift=(EIGHT, EIGHT + 4_500),
        capacity=Load(weight_g=1_000, volume_cm3=10_000),
        range_m=20_000,
        max_trips=2,
        under_way=under_way("hub", EIGHT),
    )
    problem = a_problem(places=places, vehicles=[vehicle], orders=[an_order("one"), an_order("two")])

    # Two trips of 2,000 s, with the turn in the middle.
    assert slacks_s(problem) == [500] * 5


def test_what_a_vehicle_did_before_counts_for_its_run_and_its_work() -> None:
    # Out for 1,900 s, of which the last 900 were a break, and 2,000 s to go.
    state = under_way("hub", EIGHT, started_s=EIGHT - 1_900, break_s=900, rested_s=EIGHT)
    rule = BreakRule(work_s=1_500, break_s=900)

    def slacks_of(**limits: Any) -> list[int]:
        return slacks_s(a_problem(vehicles=[a_vehicle(under_way=state, **limits)]))

    assert slacks_of(max_duration_s=4_000) == [100, 100]
    assert slacks_of(working_time=WorkingTime(rules=(rule,), max_work_s=3_080)) == [80, 80]
    assert slacks_of(working_time=WorkingTime(max_unbroken_s=2_060)) == [60, 60]


def test_a_slip_before_a_break_makes_the_work_after_it_no_longer() -> None:
    places = [a_place("farm", 2), a_place("shop", 5, stop_duration_s=60), a_place("point", 10)]
    orders = [an_order("early", pickup="farm", to="shop"), an_order("late")]
    vehicle = a_vehicle(working_time=WorkingTime(max_unbroken_s=1_600))
    handed = Delivery(order="early", option=0), Delivery(order="late", option=0)
    stops = (
        a_stop("farm", EIGHT + 200, pickups=("early",)),
        a_stop("shop", EIGHT + 500, break_s=900, deliveries=handed[:1], pickups=("late",)),
        a_stop("point", EIGHT + 1_900, deliveries=handed[1:]),
    )
    route = Route(
        vehicle="van",
        start_s=EIGHT,
        end_s=EIGHT + 2_900,
        stops=stops,
        distance_m=20_000,
        wait_s=900,
        co2e_g=0,
        max_load=Load(weight_g=1_000, volume_cm3=10_000),
        cost=CostTerms(),
    )

    unused = margins(a_problem(places=places, orders=orders, vehicles=[vehicle]), route)

    # 500 s of work before the break, 1,500 s after it.
    assert [margin.slack_s for margin in unused] == [1_100, 100, 100]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_a_slip_by_the_slack_breaks_nothing_and_one_second_more_does(problem: Problem) -> None:
    solution = solved(problem, iterations=3)

    for number, route in enumerate(solution.routes):
        for position, margin in enumerate(margins(problem, route)):
            kept = slipped(solution, number, position, margin.slack_s)
            broken = slipped(solution, number, position, margin.slack_s + 1)
            assert rules_broken(problem, kept) == []
            assert rules_broken(problem, broken) != []


def a_stop(place: str, arrival_s: int, *, break_s: int = 0, **goods: Any) -> Stop:
    """Return a stop that takes no time but its break."""
    moment_s = arrival_s + break_s
    return Stop(
        place=place,
        arrival_s=arrival_s,
        start_s=moment_s,
        departure_s=moment_s,
        break_s=break_s,
        **goods,
    )


def slipped(solution: Solution, number: int, position: int, seconds: int) -> Solution:
    """Return a plan in which a stop of a route starts later, and what follows as soon as it can."""
    route = solution.routes[number]
    stops = list(route.stops)
    later_s = stops[position].start_s + seconds
    for index in range(position, len(stops)):
        stop = stops[index]
        if index > position:
            moved_s = stops[index - 1].departure_s - route.stops[index - 1].departure_s
            stop = replace(stop, arrival_s=stop.arrival_s + moved_s)
            later_s = max(stop.start_s, stop.arrival_s + stop.break_s)
        service_s = stop.departure_s - stop.start_s
        stops[index] = replace(stop, start_s=later_s, departure_s=later_s + service_s)
    end_s = route.end_s + stops[-1].departure_s - route.stops[-1].departure_s
    wait_s = sum(stop.start_s - stop.arrival_s for stop in stops)
    late: Route = replace(route, stops=tuple(stops), end_s=end_s, wait_s=wait_s)
    routes: Sequence[Route] = [*solution.routes[:number], late, *solution.routes[number + 1 :]]
    return replace(solution, routes=tuple(routes))


def rules_broken(problem: Problem, solution: Solution) -> list[str]:
    """Return what the independent check finds, but for costs, which a delay may change."""
    return [sentence for sentence in violations(problem, solution) if "_cents is" not in sentence]
