r"""
PuLP: the linear master of the lower bound, over routes of the relaxation found so far.

Letters as in :mod:`optimizer.master`. A *part* of the plans is given by the least and greatest number
:math:`l_k, n_k` of vehicles of each class that are driven, by orders that must not go to an option with a
class, and by orders that must not be left out. Orders are covered at least once, which loses nothing: a
plan that carries an order twice can drop one of them.

PuLP makes the rows; routes are then added to the model that HiGHS holds, which goes on from its last basis:
that is what makes hundreds of masters a second possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import pulp

from optimizer import solver
from optimizer.bound.pricing import Duals, Path
from optimizer.compartments import Room, Row
from optimizer.compiled import Floats
from optimizer.day import Day


@dataclass(frozen=True, slots=True)
class Part:
    """Some of all plans, see the module's docstring; ``bound`` is below the cost of each of them."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    forbidden: frozenset[tuple[int, int, int]] = frozenset()
    forced: frozenset[int] = frozenset()
    bound: float = 0.0

    def admits(self, path: Path) -> bool:
        """Tell whether a route may be driven in this part."""
        return not any((*pair, path.vehicle) in self.forbidden for pair in path.orders)


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """
    The optimum of a linear master: its value, prices, the routes driven, each with its share, and how many
    vehicles of each class are driven beyond those there are.
    """

    value: float
    duals: Duals
    driven: tuple[tuple[Path, float], ...]
    extra: Floats


class Master:
    """
    The linear master over the routes found so far that a part of the plans admits.

    Parameters
    ----------
    too_much_cents
        What leaving out an order costs where that is not allowed: more than any plan worth finding.
    """

    def __init__(self, day: Day, room: Room, too_much_cents: float) -> None:
        self._day, self._room = day, room
        self._too_much_cents = too_much_cents
        self._part: Part | None = None
        self._paths: list[Path] = []
        self._known: dict[tuple[object, ...], float] = {}
        model = pulp.LpProblem("bound", pulp.LpMinimize)
        orders = day.problem.orders
        self._u = [model.add_variable(f"u_{i}", lowBound=0) for i in range(len(orders))]
        penalties = [order.unserved_penalty_cents for order in orders]
        model += pulp.LpAffineExpression(zip(self._u, penalties, strict=True))
        self._covers = each_order_covered(model, self._u)
        self._extra = [model.add_variable(f"e_{k}", lowBound=0) for k in range(len(day.classes))]
        self._shifts = shifts_driven(model, self._extra, [len(one.vehicles) for one in day.classes])
        self._rooms = within_room(model, room)
        solver.run_relaxed(model, solver.Limits(seconds=60))
        self._highs: Any = model.solverModel
        self._highs.setOptionValue("presolve", "off")

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: Path) -> bool:
        """Add a route, and tell whether it is new or cheaper than the same orders were before."""
        key = path.vehicle, path.orders
        if self._known.get(key, np.inf) <= path.cents + 1e-6:
            return False
        self._known[key] = path.cents
        entries = {self._shifts[path.vehicle].index: 1.0}
        entries.update({self._covers[order].index: 1.0 for order, _ in path.orders})
        for row, amount in self._room.taken(path.orders).items():
            entries[self._rooms[row].index] = float(amount)
        is_admitted = self._part is None or self._part.admits(path)
        most = highspy.kHighsInf if is_admitted else 0.0
        self._highs.addCol(path.cents, 0.0, most, len(entries), list(entries), list(entries.values()))
        self._paths.append(path)
        return True

    def reduced_cents(self, path: Path, duals: Duals) -> float:
        """Return what a route costs beyond what it saves at some prices."""
        saved = float(duals.classes[path.vehicle]) + sum(float(duals.orders[o]) for o, _ in path.orders)
        taken = self._room.taken(path.orders)
        return path.cents - saved + sum(duals.rows.get(row, 0.0) * n for row, n in taken.items())

    def within(self, slack_cents: float, duals: Duals) -> list[Path]:
        """Return the routes with places whose reduced cost is not above some slack."""
        return [
            path for path in self._paths if path.places and self.reduced_cents(path, duals) <= slack_cents
        ]

    def turn_to(self, part: Part) -> None:
        """Restrict the master to a part of the plans."""
        self._part = part
        for column, path in enumerate(self._paths, start=self._num_others):
            self._highs.changeColBounds(column, 0.0, highspy.kHighsInf if part.admits(path) else 0.0)
        for k, row in enumerate(self._shifts):
            # A limit that binds nobody would still get a price in the middle of all best ones.
            low = float(part.low[k]) if part.low[k] else -highspy.kHighsInf
            self._highs.changeRowBounds(row.index, low, float(part.high[k]))
        for order, u in enumerate(self._u):
            penalty = self._day.problem.orders[order].unserved_penalty_cents
            self._highs.changeColCost(u.index, self._too_much_cents if order in part.forced else penalty)

    @property
    def _num_others(self) -> int:
        """Number of columns that are no routes."""
        return len(self._u) + len(self._extra)

    def price_extra(self, cents: Floats) -> None:
        """Set what a vehicle beyond those there are costs; that bounds the worth of a vehicle."""
        for var, price in zip(self._extra, cents, strict=True):
            self._highs.changeColCost(var.index, float(price))

    def solve(self, seconds: float, *, central: bool) -> Relaxed | None:
        """
        Return the optimum over the routes admitted, or nothing if time runs out.

        Parameters
        ----------
        seconds
            Wall-clock limit.
        central
            Return prices from the middle of the best ones instead of a corner: they change less.
        """
        self._highs.setOptionValue("solver", "ipm" if central else "simplex")
        self._highs.setOptionValue("run_crossover", "off" if central else "on")
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + max(seconds, solver.LEAST_S))
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return self.solve(seconds, central=False) if central else None
        solution = self._highs.getSolution()
        prices, shares = np.array(solution.row_dual), np.array(solution.col_value)
        duals = Duals(
            orders=np.array([max(0.0, prices[row.index]) for row in self._covers]),
            rows={row: max(0.0, -prices[limit.index]) for row, limit in self._rooms.items()},
            classes=np.array([prices[row.index] for row in self._shifts]),
        )
        routes = shares[self._num_others :]
        driven = tuple((self._paths[r], float(routes[r])) for r in np.flatnonzero(routes > 1e-7))
        extra = np.array([shares[var.index] for var in self._extra])
        return Relaxed(float(self._highs.getObjectiveValue()), duals, driven, extra)


def each_order_covered(model: pulp.LpProblem, u: Sequence[pulp.LpVariable]) -> list[pulp.LpConstraint]:
    r""":math:`\sum_{r \ni i} x_r + u_i \ge 1` for every order *i*."""
    return [_added(model, var >= 1, f"covered_{i}") for i, var in enumerate(u)]


def shifts_driven(
    model: pulp.LpProblem, extra: Sequence[pulp.LpVariable], high: Sequence[int]
) -> list[pulp.LpConstraint]:
    r""":math:`l_k \le \sum_{r \in R_k} x_r - e_k \le n_k` for every class *k*."""
    return [
        _added(model, -1 * var <= most, f"driven_{k}")
        for k, (var, most) in enumerate(zip(extra, high, strict=True))
    ]


def within_room(model: pulp.LpProblem, room: Room) -> dict[Row, pulp.LpConstraint]:
    r""":math:`\sum_r a_{rq} x_r \le b_q` for every row *q*."""
    return {
        row: _added(model, pulp.LpAffineExpression() <= most, f"room_{q}")
        for q, (row, most) in enumerate(room.capacity.items())
    }


def _added(model: pulp.LpProblem, row: pulp.LpConstraint, name: str) -> pulp.LpConstraint:
    model += row, name
    return row
