"""A generated day that is under way, and on which not all went as planned."""

from dataclasses import replace
from functools import cache
from random import Random

from optimizer.generator import RegionSize, generate
from optimizer.problem import Compartments, Order, Place, Problem
from optimizer.replan import remaining
from optimizer.solution import Solution
from optimizer.solve import solve
from optimizer.travel.model import with_matrices

#: The plan of the morning, so long that it is always the same.
ITERATIONS, LIMIT_S = 3_000, 600.0
#: When it changes, in seconds after midnight: bikes and vans are out, others start in the afternoon.
NOW_S = 11 * 3600
#: One order of so many that may still be changed is withdrawn, and as many come in.
CHANGED = 25


@cache
def begun(size: RegionSize, day: int) -> tuple[Problem, Solution]:
    """
    Return what is left of a day, and the plan of that morning.

    Some orders were withdrawn, others came in, a vehicle does not start, and the locker that most residents
    wait for is full.
    """
    problem = with_matrices(generate(day, size))
    plan = solve(problem, time_limit_s=LIMIT_S, seed=day, iterations=ITERATIONS).solution
    if plan is None:
        raise RuntimeError("the plan of the morning breaks a rule")
    rest, random = remaining(problem, plan, NOW_S), Random(day)  # noqa: S311 - repeatable, nothing secret
    on_board = {goods.order for vehicle in rest.vehicles for goods in vehicle.on_board}
    waiting = [order for order in rest.orders if order.id not in on_board]
    number = max(1, len(waiting) // CHANGED)
    withdrawn = {order.id for order in random.sample(waiting, number)}
    late = tuple(_again(order) for order in random.sample(waiting, number))
    broken = _not_started(rest, plan)
    full = _most_wanted(rest, on_board)
    return (
        replace(
            rest,
            orders=(*(order for order in rest.orders if order.id not in withdrawn), *late),
            vehicles=tuple(vehicle for vehicle in rest.vehicles if vehicle.id != broken),
            places=tuple(_full(place) if place.id == full else place for place in rest.places),
        ),
        plan,
    )


def _again(order: Order) -> Order:
    """Return an order like another one, of which nothing was told yet."""
    return replace(order, id=f"{order.id}-late", household=f"{order.household}-late", promise=None)


def _not_started(rest: Problem, plan: Solution) -> str | None:
    """Return a vehicle of the plan that has not left."""
    planned = {route.vehicle for route in plan.routes}
    waiting = (v.id for v in rest.vehicles if v.under_way is None)
    return next((name for name in waiting if name in planned), None)


def _most_wanted(rest: Problem, on_board: set[str]) -> str:
    """Return the locker that is the first wish of most orders, of which none is under way."""
    lockers = {place.id for place in rest.places if place.compartments is not None}
    wishes = [order.options[0].place for order in rest.orders if order.id not in on_board]
    return max(sorted(lockers), key=wishes.count)


def _full(place: Place) -> Place:
    stock: tuple[Compartments, ...] = place.compartments or ()
    return replace(place, compartments=tuple(replace(row, forecast=row.count) for row in stock))
