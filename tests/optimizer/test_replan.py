"""A plan that is interrupted can go on, and nothing of it is done twice."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.checks import ProblemError
from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.problem import Problem, Size, Temperature, UnderWay
from optimizer.replan import remaining
from optimizer.solution import Delivery, Reason, Solution
from optimizer.solve import solve
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order, solved, under_way

SIZE = RegionSize(num_orders=14, num_shops=4, num_supply_points=5, num_bikes=2, num_vans=1)
NOON = 12 * 3600
AMBIENT = Temperature.AMBIENT
_DAYS: dict[int, tuple[Problem, Solution]] = {}


def day(seed: int) -> tuple[Problem, Solution]:
    """Return a day with a plan; what may be changed has a price."""
    if seed not in _DAYS:
        problem = replace(with_matrices(generate(seed, SIZE)), late_cents_per_hour=600, moved_cents=150)
        plan = solve(problem, time_limit_s=30, seed=1, iterations=300).solution
        assert plan is not None
        _DAYS[seed] = problem, plan
    return _DAYS[seed]


moments = st.integers(9 * 3600, 19 * 3600)


@settings(deadline=None)
@given(seed=st.integers(1, 6), now_s=moments)
def test_a_plan_goes_on_as_it_was_when_nothing_has_changed(seed: int, now_s: int) -> None:
    problem, plan = day(seed)
    rest = remaining(problem, plan, now_s)

    result = solve(rest, time_limit_s=30, iterations=0, start=plan)

    assert result.solution is not None
    assert violations(rest, result.solution) == []
    left = {row.order for row in result.solution.left_out}
    assert left <= {row.order for row in plan.left_out}
    assert result.solution.cost.stability_cents == 0
    assert result.solution.cost.lateness_cents == 0


@settings(deadline=None)
@given(seed=st.integers(1, 6), now_s=moments)
def test_every_order_is_delivered_on_board_or_open(seed: int, now_s: int) -> None:
    problem, plan = day(seed)
    rest = remaining(problem, plan, now_s)
    open_orders = {order.id for order in rest.orders}
    on_board = {goods.order for vehicle in rest.vehicles for goods in vehicle.on_board}
    delivered = {order.id for order in problem.orders} - open_orders
    last_s = {d.order: stop.start_s for route in plan.routes for stop in route.stops for d in stop.deliveries}

    assert on_board <= open_orders
    # What is delivered later than now is delivered at the stop that a vehicle drives to.
    driving = {
        d.order
        for route in plan.routes
        if route.start_s <= now_s
        for stop in [stop for stop in route.stops if stop.departure_s > now_s][:1]
        for d in stop.deliveries
    }
    assert delivered == {name for name, start_s in last_s.items() if start_s < now_s} | driving


@settings(deadline=None)
@given(seed=st.integers(1, 6), now_s=moments)
def test_delivered_goods_keep_their_room(seed: int, now_s: int) -> None:
    problem, plan = day(seed)
    rest = remaining(problem, plan, now_s)
    delivered = {order.id for order in problem.orders} - {order.id for order in rest.orders}
    orders = {order.id: order for order in problem.orders}
    claimed = sum(
        len(orders[d.order].compartments)
        for route in plan.routes
        for stop in route.stops
        for d in stop.deliveries
        if d.order in delivered and _has_compartments(problem, stop.place)
    )
    before, after = (
        sum(row.free for place in one.places for row in place.compartments or ()) for one in (problem, rest)
    )

    assert before - after == claimed


def _has_compartments(problem: Problem, name: str) -> bool:
    return next(place for place in problem.places if place.id == name).compartments is not None


def test_before_the_day_only_promises_are_new() -> None:
    problem, plan = day(1)

    rest = remaining(problem, plan, 0)

    assert [replace(order, promise=None) for order in rest.orders] == list(problem.orders)
    assert rest.vehicles == problem.vehicles
    assert rest.places == problem.places


def test_after_the_day_nothing_can_be_done() -> None:
    problem, plan = day(1)

    rest = remaining(problem, plan, 24 * 3600)

    assert rest.vehicles == ()
    assert {order.id for order in rest.orders} == {row.order for row in plan.left_out}


def test_what_a_broken_vehicle_had_not_loaded_goes_elsewhere() -> None:
    problem, plan = day(2)
    broken = max(plan.routes, key=lambda route: len(route.stops)).vehicle
    now_s = min(route.start_s for route in plan.routes) - 60
    rest = remaining(problem, plan, now_s)
    rest = replace(rest, vehicles=tuple(v for v in rest.vehicles if v.id != broken))

    result = solve(rest, time_limit_s=30, iterations=300, start=plan)

    assert result.solution is not None
    assert violations(rest, result.solution) == []
    assert broken not in {route.vehicle for route in result.solution.routes}
    carried = {d.order for route in result.solution.routes for stop in route.stops for d in stop.deliveries}
    assert carried


def test_an_order_that_only_a_vehicle_may_carry_that_is_back_is_left_out() -> None:
    orders = [an_order("one", vehicles=("van",)), an_order("two", vehicles=("van",), ready_s=NOON)]
    vehicles = [a_vehicle(shift=(EIGHT, EIGHT + 2_500)), a_vehicle("spare")]
    problem = a_problem(orders=orders, vehicles=vehicles)
    plan = solved(problem)
    (route,) = plan.routes

    for now_s in (route.end_s, EIGHT + 2_501, 24 * 3_600 - 1):
        rest = remaining(problem, plan, now_s)

        again = solved(rest)
        assert [(left.order, left.reason) for left in again.left_out] == [("two", Reason.UNREACHABLE_IN_TIME)]
        assert not again.routes


@pytest.mark.parametrize("now_s", [EIGHT + 1_001, EIGHT + 1_999])
def test_who_drives_home_can_do_something_new_only_there(now_s: int) -> None:
    problem = a_problem(vehicles=[a_vehicle(range_m=50_000, shift=(EIGHT, NOON))])
    plan = solved(problem)
    (route,) = plan.routes
    shifted = route.start_s - EIGHT

    (vehicle,) = remaining(problem, plan, now_s + shifted).vehicles

    assert vehicle.under_way == UnderWay(
        place="hub", free_s=route.end_s, started_s=route.start_s, driven_m=20_000
    )


def test_who_was_sent_home_does_not_turn_back_into_the_past() -> None:
    out = a_vehicle(under_way=under_way("point", EIGHT, driven_m=7_000))
    problem = a_problem(vehicles=[out], orders=[])
    plan = solved(problem)

    (vehicle,) = remaining(problem, plan, EIGHT + 900).vehicles

    assert vehicle.under_way is not None
    assert (vehicle.under_way.place, vehicle.under_way.free_s) == ("hub", EIGHT + 1_000)
    assert vehicle.under_way.driven_m == 17_000


def test_what_is_delivered_leaves_the_doors_that_the_rest_of_the_plan_needs() -> None:
    doors = [(AMBIENT, Size.S, 1, True), (AMBIENT, Size.XL, 1, False)]
    places = [a_place("shop", 5), a_place("point", 10, compartments=doors)]
    orders = [an_order("small", deadline_s=EIGHT + 3_600), an_order("big", size=Size.XL, ready_s=NOON)]
    problem = a_problem(places=places, orders=orders)
    plan = solved(problem)
    assert not plan.left_out

    rest = remaining(problem, plan, NOON - 3_600)

    assert {order.id for order in rest.orders} == {"big"}
    assert solved(rest).left_out == ()


def test_where_only_one_door_would_do_for_both_who_needs_it_low_has_it() -> None:
    doors = [(AMBIENT, Size.S, 1, True), (AMBIENT, Size.S, 1, False)]
    places = [a_place("shop", 5), a_place("point", 10, compartments=doors)]
    orders = [an_order("any", deadline_s=EIGHT + 3_600), an_order("low", low=True, ready_s=NOON)]
    problem = a_problem(places=places, orders=orders)
    plan = solved(problem)

    rest = remaining(problem, plan, NOON - 3_600)

    assert solved(rest).left_out == ()


def test_a_plan_of_another_problem_is_refused_with_the_field() -> None:
    problem = a_problem()
    plan = solved(problem)
    (route,) = plan.routes
    far, other = (
        replace(route.stops[0], place="nowhere"),
        replace(route.stops[1], deliveries=(Delivery(order="order", option=99),)),
    )

    for stops, field in (
        ((far, route.stops[1]), "solution.routes[0].stops[0].place"),
        ((route.stops[0], other), "solution.routes[0].stops[1].deliveries[0].option"),
    ):
        with pytest.raises(ProblemError) as error:
            remaining(problem, replace(plan, routes=(replace(route, stops=stops),)), NOON)
        assert error.value.field == field


def test_without_travel_tables_nothing_is_known_of_the_way_so_far() -> None:
    problem, plan = day(1)

    with pytest.raises(ProblemError, match="matrices"):
        remaining(replace(problem, matrices=()), plan, 0)


def test_goods_that_came_home_wait_there() -> None:
    vehicles = [
        a_vehicle("out", end="shop", under_way=under_way("shop", on_board=["order"])),
        a_vehicle("idle"),
    ]
    problem = a_problem(vehicles=vehicles, orders=[an_order(deadline_s=EIGHT + 600)])
    plan = solved(problem)
    assert [left.order for left in plan.left_out] == ["order"]

    rest = remaining(problem, plan, EIGHT + 550)

    assert [vehicle.id for vehicle in rest.vehicles] == ["idle"]
    (order,) = rest.orders
    assert (order.pickup_place, order.ready_s) == ("shop", EIGHT + 500)
