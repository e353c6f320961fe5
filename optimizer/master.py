r"""
PuLP: which of the routes found are driven.

Sets: columns :math:`r` (a whole shift of one vehicle, put on the clock by :mod:`optimizer.schedule`), orders
:math:`i`, classes :math:`k` of equal vehicle shifts, rows :math:`q` of room that deliveries share
(compartments of a locker, see :class:`optimizer.compartments.Room`; volume of a counter). Letters:
:math:`x_r` the column is driven, :math:`u_i` the order is left out; :math:`c_r`, :math:`p_i` their costs in
cents, :math:`n_k` the number of shifts, :math:`a_{rq}` what a column takes of a row, :math:`b_q` the room.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pulp

from optimizer import solver
from optimizer.compartments import Room, Row
from optimizer.day import Day, Shipment, VehicleClass
from optimizer.schedule import Timetable

#: The solver gets at most this many columns besides those of the plan, those of least reduced cost.
MAX_COLUMNS = 3_000


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A route that may be driven, the orders it carries with their options, and the room it takes."""

    vehicle: VehicleClass
    timetable: Timetable
    orders: tuple[tuple[int, int], ...]
    taken: Counter[Row]

    @property
    def cost_cents(self) -> int:
        """Cost of the route."""
        return self.timetable.cost_cents

    @property
    def shipments(self) -> list[Shipment]:
        """What the route carries, in the order of pickup."""
        return [leg.shipment for visit in self.timetable.visits for leg in visit.legs if leg.is_first]


@dataclass(frozen=True, slots=True, eq=False)
class Variables:
    """The variables of the model, see the module's docstring."""

    x: list[pulp.LpVariable]
    u: list[pulp.LpVariable]


class Pool:
    """Routes seen so far; of those of one class that carry the same to the same places, the cheapest."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._columns: dict[tuple[object, ...], Column] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def add(self, vehicle: VehicleClass, timetable: Timetable) -> Column:
        """Add a route, and return its column."""
        shipments = {id(leg.shipment): leg.shipment for visit in timetable.visits for leg in visit.legs}
        orders = sorted(pair for s in shipments.values() for pair in zip(s.orders, s.options, strict=True))
        key = vehicle.index, tuple(orders)
        known = self._columns.get(key)
        if known is None or timetable.cost_cents < known.cost_cents:
            self._columns[key] = Column(vehicle, timetable, tuple(orders), self._room.taken(orders))
        return self._columns[key]


@dataclass(frozen=True, slots=True, eq=False)
class Relaxation:
    """
    What the linear relaxation of the model says, in cents.

    Parameters
    ----------
    cents
        Its value: no plan of these columns is cheaper.
    reduced_cents
        Of each column.
    orders, classes, rows
        Duals: what carrying an order is worth, what one more vehicle shift, one more unit of room would save.
    """

    cents: float
    reduced_cents: Sequence[float]
    orders: Sequence[float]
    classes: Mapping[int, float]
    rows: Mapping[Row, float]


def relax(day: Day, room: Room, columns: Sequence[Column], limits: solver.Limits) -> Relaxation | None:
    """Solve the linear relaxation, or return ``None`` if that takes too long."""
    model, variables = build(day, room, columns)
    if not solver.run_relaxed(model, limits):
        return None
    dual = {constraint.name: constraint.pi for constraint in model.constraints()}
    rows = _rows(variables, columns)
    return Relaxation(
        cents=pulp.value(model.objective),
        reduced_cents=[x.dj for x in variables.x],
        orders=[dual[f"each_order_once_{i}"] for i in range(len(variables.u))],
        classes={
            vehicle.index: -dual.get(f"shifts_available_{vehicle.index}", 0.0) for vehicle in day.classes
        },
        rows={row: -dual.get(f"within_room_{number}", 0.0) for number, row in enumerate(rows)},
    )


def select(
    day: Day,
    room: Room,
    columns: Sequence[Column],
    incumbent: Sequence[Column],
    relaxation: Relaxation,
    limits: solver.Limits,
) -> list[Column]:
    """
    Choose the columns that are driven, with the help of the relaxation of the same columns.

    The solver starts from the incumbent, which is returned if nothing cheaper is found.
    """
    kept = _promising(day, columns, incumbent, relaxation)
    model, variables = build(day, room, kept)
    _start_from(variables, kept, incumbent)
    if not solver.run(model, limits):
        return list(incumbent)
    chosen = [column for column, x in zip(kept, variables.x, strict=True) if x.value() > 0.5]
    return chosen if plan_cost(day, chosen) < plan_cost(day, incumbent) else list(incumbent)


def plan_cost(day: Day, columns: Iterable[Column]) -> int:
    """Return the cost of driving some columns and leaving out the other orders, in cents."""
    columns = list(columns)
    carried = {order for column in columns for order, _ in column.orders}
    unserved = sum(
        order.unserved_penalty_cents for i, order in enumerate(day.problem.orders) if i not in carried
    )
    return unserved + sum(column.cost_cents for column in columns)


def driven_columns(variables: Variables, columns: Sequence[Column]) -> pulp.LpAffineExpression:
    r""":math:`\sum_r c_r x_r`."""
    costs = [column.cost_cents for column in columns]
    return pulp.LpAffineExpression(zip(variables.x, costs, strict=True))


def left_out_orders(variables: Variables, day: Day) -> pulp.LpAffineExpression:
    r""":math:`\sum_i p_i u_i`."""
    penalties = [order.unserved_penalty_cents for order in day.problem.orders]
    return pulp.LpAffineExpression(zip(variables.u, penalties, strict=True))


def each_order_once(model: pulp.LpProblem, variables: Variables, columns: Sequence[Column]) -> None:
    r""":math:`\sum_{r \ni i} x_r + u_i = 1` for every order *i*."""
    terms = [[(u, 1)] for u in variables.u]
    for x, column in zip(variables.x, columns, strict=True):
        for order, _ in column.orders:
            terms[order].append((x, 1))
    for i, entries in enumerate(terms):
        model += pulp.LpAffineExpression(entries) == 1, f"each_order_once_{i}"


def shifts_available(
    model: pulp.LpProblem, variables: Variables, columns: Sequence[Column], day: Day
) -> None:
    r""":math:`\sum_{r \in R_k} x_r \le n_k` for every class *k*, with equality if it is under way."""
    terms: dict[int, list[tuple[pulp.LpVariable, int]]] = {}
    for x, column in zip(variables.x, columns, strict=True):
        terms.setdefault(column.vehicle.index, []).append((x, 1))
    for k, entries in terms.items():
        driven, number = pulp.LpAffineExpression(entries), len(day.classes[k].vehicles)
        under_way = day.classes[k].under_way is not None
        model += driven == number if under_way else driven <= number, f"shifts_available_{k}"


def within_room(model: pulp.LpProblem, variables: Variables, columns: Sequence[Column], room: Room) -> None:
    r""":math:`\sum_r a_{rq} x_r \le b_q` for every row *q*."""
    for number, (row, entries) in enumerate(_rows(variables, columns).items()):
        if sum(amount for _, amount in entries) > room.capacity.get(row, 0):
            model += pulp.LpAffineExpression(entries) <= room.capacity.get(row, 0), f"within_room_{number}"


def _rows(variables: Variables, columns: Sequence[Column]) -> dict[Row, list[tuple[pulp.LpVariable, int]]]:
    """Return what the columns take of each row, in a fixed order."""
    terms: dict[Row, list[tuple[pulp.LpVariable, int]]] = {}
    for x, column in zip(variables.x, columns, strict=True):
        for row, amount in column.taken.items():
            terms.setdefault(row, []).append((x, amount))
    return terms


def build(day: Day, room: Room, columns: Sequence[Column]) -> tuple[pulp.LpProblem, Variables]:
    """Return the model of which columns are driven, and its variables."""
    model = pulp.LpProblem("master", pulp.LpMinimize)
    variables = Variables(
        x=[model.add_variable(f"x_{r}", cat=pulp.LpBinary) for r in range(len(columns))],
        u=[model.add_variable(f"u_{i}", cat=pulp.LpBinary) for i in range(len(day.problem.orders))],
    )
    model += driven_columns(variables, columns) + left_out_orders(variables, day)
    each_order_once(model, variables, columns)
    shifts_available(model, variables, columns, day)
    within_room(model, variables, columns, room)
    return model, variables


def _start_from(variables: Variables, columns: Sequence[Column], incumbent: Sequence[Column]) -> None:
    driven = {id(column) for column in incumbent}
    carried = {order for column in incumbent for order, _ in column.orders}
    for x, column in zip(variables.x, columns, strict=True):
        x.setInitialValue(int(id(column) in driven))
    for i, u in enumerate(variables.u):
        u.setInitialValue(int(i not in carried))


def _promising(
    day: Day, columns: Sequence[Column], incumbent: Sequence[Column], relaxation: Relaxation
) -> list[Column]:
    """
    Return the columns that a cheaper plan could use, those of the incumbent always among them.

    A column whose reduced cost in the linear relaxation exceeds the distance between the incumbent and the
    relaxation is in no cheaper plan of these columns.
    """
    slack = plan_cost(day, incumbent) - relaxation.cents
    needed = {id(column) for column in incumbent}
    ranked = sorted(
        (reduced, r)
        for r, reduced in enumerate(relaxation.reduced_cents)
        if reduced <= slack + 1e-6 and id(columns[r]) not in needed
    )
    return list(incumbent) + [columns[r] for _, r in sorted(ranked[:MAX_COLUMNS], key=lambda pair: pair[1])]
