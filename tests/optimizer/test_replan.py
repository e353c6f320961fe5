"""A plan that is interrupted can go on, and nothing of it is done twice."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.checks import ProblemError
from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.problem import Problem
from optimizer.replan import remaining
from optimizer.solution import Solution
from optimizer.solve import solve
from optimizer.travel.model import with_matrices

SIZE = RegionSize(num_orders=14, num_shops=4, num_supply_points=5, num_bikes=2, num_vans=1)
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


def test_without_travel_tables_nothing_is_known_of_the_way_so_far() -> None:
    problem, plan = day(1)

    with pytest.raises(ProblemError, match="matrices"):
        remaining(replace(problem, matrices=()), plan, 0)
