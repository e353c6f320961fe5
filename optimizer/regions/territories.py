"""
Large regions: territories that are planned apart, each a problem of its own.

The first ones are made of orders: of the corridors between their shops and supply points, on the plane of
EPSG:25832 (UTM zone 32). Later ones are made of the routes of a plan: neighbouring routes meet in one
territory that lay in two before, so what the old borders spoilt is healed. Every order is in one territory,
every vehicle in at most one, and what they share is divided (see :mod:`optimizer.regions.allotment`), so
plans of the territories are together a plan of the region.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import cos, pi, sin
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from optimizer.assignment import ORDERS_PER_S, ORDERS_PER_TRIP, assign
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.explain.reasons import SENTENCES
from optimizer.problem import Order, Place, Problem, TravelMatrix, Vehicle
from optimizer.regions.allotment import Shares, share_room, share_vehicles
from optimizer.solution import LeftOut, Reason, Route, Solution
from optimizer.solver import Limits

if TYPE_CHECKING:
    from pyproj import Transformer

#: Orders that a territory has at least, where there are several: with fewer, what borders spoil costs more
#: than what is won by planning them at the same time.
SIZE = 2_500
#: A territory has at least so many vehicles: fewer can hardly make up for one that is full.
LEAST_VEHICLES = 3
#: By how much later cuts move and turn, so that no border stays: part of the weight, radians.
SHIFT, TURN = 0.1, pi / 2
#: Beyond its handling an order keeps a vehicle busy for its part of two stops and of the way between them, as
#: a rule of thumb.
STOP_S, SPEED_M_S = 100.0, 15.0

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Territory:
    """
    A part of a region.

    Parameters
    ----------
    number
        From 0, among the territories made together.
    problem
        Its orders, vehicles and places, with the room and the exceptions that are its own; options keep their
        numbers.
    start
        What a plan of the region does here; ``None`` before the first.
    """

    number: int
    problem: Problem
    start: Solution | None = None

    @property
    def orders(self) -> tuple[str, ...]:
        """Orders that nobody else may carry."""
        return tuple(order.id for order in self.problem.orders)

    def plan_so_far(self) -> Solution:
        """Return the start, or a plan that carries nothing."""
        if self.start is not None:
            return self.start
        reason = Reason.PLANNING_TIME_OVER
        left_out = (
            LeftOut(
                order=order.id,
                reason=reason,
                sentence=SENTENCES[reason],
                unserved_penalty_cents=order.unserved_penalty_cents,
            )
            for order in self.problem.orders
        )
        return Solution(routes=(), left_out=tuple(left_out))


def how_many(num_orders: int, workers: int, size: int = SIZE) -> int:
    """
    Return how many territories a region is divided into.

    Each has ``size`` orders or more in the mean. Where there are more than workers, all of these always have
    one to plan.
    """
    number = max(1, num_orders // size)
    return number - number % workers if number > workers else number


def split(problem: Problem, number: int) -> list[Territory]:
    """
    Divide a region into some territories before anything is planned.

    Recursive bisection: the corridors of the orders are cut across their principal axis into territories of
    about equally many orders; those of one shop and supply point stay together. There are fewer territories
    if each would have too few vehicles. The problem needs a travel matrix for every profile.
    """
    chosen = _first_choice(problem)
    positions = _positions(problem.places)
    index = {place.id: number for number, place in enumerate(problem.places)}
    corridors: dict[tuple[int, int], list[str]] = {}
    for order in problem.orders:
        option = chosen.get(order.id, 0)
        ends = index[order.pickup_place], index[order.options[option].place]
        corridors.setdefault(ends, []).append(order.id)
    middles = np.array([positions[list(ends)].mean(axis=0) for ends in corridors]).reshape(-1, 2)
    weights = np.array([len(orders) for orders in corridors.values()], dtype=float)
    groups = _bisected(middles, weights, _num_parts(problem, number))
    rows = list(corridors.values())
    parts = [
        _Part([order for c in group for order in rows[c]], middles[group].mean(axis=0)) for group in groups
    ]
    parts = parts or [_Part([], np.zeros(2))]
    _give_vehicles(problem, parts, problem.vehicles, positions)
    return _territories(problem, parts, chosen, None)


def regroup(problem: Problem, plan: Solution, number: int, *, seed: int) -> list[Territory]:
    """
    Divide a region along the routes of a plan: cuts and their directions are drawn anew by ``seed``.

    Each territory begins with routes of the plan, and has room for all that they deliver. Orders that are
    left out belong where their corridor lies, idle vehicles are shared out anew.
    """
    positions = _positions(problem.places)
    index = {place.id: number for number, place in enumerate(problem.places)}
    parts = []
    for route in plan.routes:
        orders = [delivery.order for stop in route.stops for delivery in stop.deliveries]
        at = [index[stop.place] for stop in route.stops]
        at = at or [index[_home(problem.vehicle_by_id[route.vehicle])]]
        parts.append(_Part(orders, positions[at].mean(axis=0), [route.vehicle], [route]))
    for left in plan.left_out:
        order = problem.order_by_id[left.order]
        ends = [index[order.pickup_place], index[order.options[0].place]]
        parts.append(_Part([order.id], positions[ends].mean(axis=0)))
    middles = np.array([part.middle for part in parts]).reshape(-1, 2)
    weights = np.array([max(1, len(part.orders)) for part in parts], dtype=float)
    random = Random(seed)  # noqa: S311 - repeatable borders, nothing secret
    groups = _bisected(middles, weights, _num_parts(problem, number), random)
    joined = [_joined([parts[number] for number in group]) for group in groups] or [_Part([], np.zeros(2))]
    busy = {route.vehicle for route in plan.routes}
    idle = [vehicle for vehicle in problem.vehicles if vehicle.id not in busy]
    _give_vehicles(problem, joined, idle, positions)
    chosen = {d.order: d.option for route in plan.routes for stop in route.stops for d in stop.deliveries}
    return _territories(problem, joined, chosen, plan)


def united(problem: Problem, plans: Iterable[Solution]) -> Solution:
    """Return plans of territories as one plan, routes and left-out orders as the problem names them."""
    parts = list(plans)
    routes = {route.vehicle: route for part in parts for route in part.routes}
    left_out = {left.order: left for part in parts for left in part.left_out}
    return Solution(
        routes=tuple(routes[vehicle.id] for vehicle in problem.vehicles if vehicle.id in routes),
        left_out=tuple(left_out[order.id] for order in problem.orders if order.id in left_out),
    )


@dataclass(slots=True)
class _Part:
    """A territory in the making: names of orders and vehicles, and what a plan says of them."""

    orders: list[str]
    middle: Points
    vehicles: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


def _joined(parts: Sequence[_Part]) -> _Part:
    weights = [max(1, len(part.orders)) for part in parts]
    return _Part(
        [order for part in parts for order in part.orders],
        np.average([part.middle for part in parts], axis=0, weights=weights),
        [vehicle for part in parts for vehicle in part.vehicles],
        [route for part in parts for route in part.routes],
    )


@cache
def _plane() -> "Transformer":
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", "EPSG:25832", always_xy=True)


def _positions(places: Sequence[Place]) -> Points:
    """Return metres east and north of places, one row each."""
    longitudes, latitudes = [place.longitude for place in places], [place.latitude for place in places]
    return np.column_stack(_plane().transform(longitudes, latitudes)).astype(float)


def _num_parts(problem: Problem, number: int) -> int:
    return max(1, min(number, len(problem.vehicles) // LEAST_VEHICLES))


def _first_choice(problem: Problem) -> dict[str, int]:
    """Return a first choice of options, within the room there is, before anything is known of routes."""
    day = Day(problem)
    costs: dict[int, dict[int, float]] = {}
    for number, order in enumerate(problem.orders):
        shop = day.place_index[order.pickup_place]
        costs[number] = {
            k: option.preference_penalty_cents
            + min((float(v.cents[shop, day.place_index[option.place]]) for v in day.classes), default=0.0)
            / ORDERS_PER_TRIP
            for k, option in enumerate(order.options)
        }
    limits = Limits(seconds=1.0 + 2 * len(costs) / ORDERS_PER_S)
    chosen = assign(day, Room(day), costs, limits)
    return {problem.orders[number].id: option for number, option in chosen.items()}


def _bisected(
    points: Points, weights: Points, num_parts: int, random: Random | None = None
) -> list[list[int]]:
    """
    Return groups of points of about equal weight, cut across the axis along which they lie farthest apart.

    With ``random`` the cuts move and turn by chance.
    """
    groups: list[list[int]] = []
    todo = [(list(range(len(points))), num_parts)]
    while todo:
        group, number = todo.pop()
        if number <= 1 or len(group) < 2:
            groups.append(group)
            continue
        first, turn = number // 2 / number, 0.0
        if random is not None:
            first, turn = first + random.uniform(-SHIFT, SHIFT), random.uniform(-TURN, TURN)
        one, other = _cut(points, weights, group, first, turn)
        todo += [(other, number - number // 2), (one, number // 2)]
    return [group for group in groups if group]


def _cut(
    points: Points, weights: Points, group: list[int], first: float, turn: float
) -> tuple[list[int], list[int]]:
    """Return a group in two, the first with a part of the weight."""
    rows, mine = points[group], weights[group]
    centred = rows - np.average(rows, axis=0, weights=mine)
    _, axes = np.linalg.eigh((centred * mine[:, None]).T @ centred)
    axis = axes[:, -1]
    # The sign of an axis is arbitrary; fixed, it makes equal runs alike on any machine.
    axis = axis if axis[np.argmax(np.abs(axis))] > 0 else -axis
    turned = np.array([axis[0] * cos(turn) - axis[1] * sin(turn), axis[0] * sin(turn) + axis[1] * cos(turn)])
    order = np.argsort(np.round(centred @ turned, 3), kind="stable")
    reached = np.cumsum(mine[order]) - mine[order] / 2
    where = min(max(1, int(np.searchsorted(reached, first * mine.sum()))), len(group) - 1)
    ranked = [group[position] for position in order]
    return sorted(ranked[:where]), sorted(ranked[where:])


def _give_vehicles(
    problem: Problem, parts: Sequence[_Part], vehicles: Sequence[Vehicle], positions: Points
) -> None:
    """Share out vehicles; orders without a route that are on board of one, or ask for it, come along."""
    index = {place.id: number for number, place in enumerate(problem.places)}
    homes = positions[[index[_home(vehicle)] for vehicle in vehicles]].reshape(-1, 2)
    centres = np.array([part.middle for part in parts])
    needs = [_work_s(problem, part, index, positions) for part in parts]
    for vehicle, number in zip(vehicles, share_vehicles(vehicles, homes, needs, centres), strict=True):
        parts[number].vehicles.append(vehicle.id)
    part_of_vehicle = {vehicle: number for number, part in enumerate(parts) for vehicle in part.vehicles}
    bound = {o.id: o.vehicles[0] for o in problem.orders if o.vehicles}
    bound |= {goods.order: vehicle.id for vehicle in problem.vehicles for goods in vehicle.on_board}
    for number, part in enumerate(parts):
        carried = {d.order for route in part.routes for stop in route.stops for d in stop.deliveries}
        waiting = [order for order in part.orders if order in bound and order not in carried]
        for name in waiting:
            if part_of_vehicle[bound[name]] != number:
                part.orders.remove(name)
                parts[part_of_vehicle[bound[name]]].orders.append(name)


def _work_s(problem: Problem, part: _Part, index: Mapping[str, int], positions: Points) -> float:
    """Return about how long the orders of a part keep vehicles busy, in seconds."""
    total = 1.0
    for name in part.orders:
        order = problem.order_by_id[name]
        ends = positions[index[order.pickup_place]] - positions[index[order.options[0].place]]
        total += 2 * order.handling_s + STOP_S + float(np.hypot(*ends)) / SPEED_M_S
    return total


def _home(vehicle: Vehicle) -> str:
    return vehicle.under_way.place if vehicle.under_way else vehicle.start_place


def _territories(
    problem: Problem, parts: Sequence[_Part], chosen: Mapping[str, int], plan: Solution | None
) -> list[Territory]:
    part_of_order = {order: number for number, part in enumerate(parts) for order in part.orders}
    shares = share_room(problem, part_of_order, len(parts), chosen)
    return [
        Territory(
            number=number,
            problem=_part_of(problem, part, shares, number),
            start=None if plan is None else _plan_of(part, plan),
        )
        for number, part in enumerate(parts)
    ]


def _plan_of(part: _Part, plan: Solution) -> Solution:
    orders = set(part.orders)
    left_out = tuple(left for left in plan.left_out if left.order in orders)
    return Solution(routes=tuple(part.routes), left_out=left_out)


def _part_of(problem: Problem, part: _Part, shares: Shares, number: int) -> Problem:
    """Return the problem of a part; travel is cut out of what is known, never computed again."""
    names, mine = set(part.orders), set(part.vehicles)
    orders = [_order_of(order, mine) for order in problem.orders if order.id in names]
    vehicles = [vehicle for vehicle in problem.vehicles if vehicle.id in mine]
    called = {name for order in orders for name in _places_of(order)}
    called |= {name for v in vehicles for name in (v.start_place, v.end_place, _home(v))}
    rows = [row for row, place in enumerate(problem.places) if place.id in called]
    table = np.ix_(rows, rows)
    return replace(
        problem,
        places=tuple(shares.places[number].get(p.id, p) for p in problem.places if p.id in called),
        vehicles=tuple(vehicles),
        orders=tuple(orders),
        matrices=tuple(
            TravelMatrix(
                profile=one.profile, distance_m=one.distance_m[table], duration_s=one.duration_s[table]
            )
            for one in problem.matrices
        ),
        rank_limits=shares.rank_limits[number],
    )


def _order_of(order: Order, vehicles: set[str]) -> Order:
    """Return an order that names only vehicles of its part, of which one at least always is."""
    named = tuple(name for name in order.vehicles if name in vehicles)
    return order if named == order.vehicles else replace(order, vehicles=named)


def _places_of(order: Order) -> Iterable[str]:
    transfer = () if order.transfer_place is None else (order.transfer_place,)
    return (order.pickup_place, *(option.place for option in order.options), *transfer)
