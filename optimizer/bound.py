r"""
A proven lower bound on the cost of a day: column generation within branch and bound.

Sets: orders :math:`i`, classes :math:`k` of equal vehicle shifts, shared rows :math:`q`. For rewards
:math:`0 \le \pi_i \le p_i` (the cost of leaving the order out) and prices :math:`\mu_q \ge 0`, with
:math:`z_k` the least reduced cost of a route of the class (:mod:`optimizer.pricing`), every plan that drives
:math:`y_k` vehicles of each class costs at least

.. math:: L(\pi, \mu) = \sum_i \pi_i - \sum_q \mu_q b_q + \sum_k \min_{l_k \le y \le n_k} y z_k .

For the cost of its routes is at least the sum of their reduced costs, plus the rewards of what they carry,
minus the prices of what they take; what they do not carry is charged :math:`p_i \ge \pi_i`; and they take no
more than there is. The linear master (:mod:`optimizer.bound_master`) proposes rewards and prices; whatever
it proposes, :math:`L` is valid [1]_ as long as :math:`z_k` is not overestimated, so a search that was cut
short is worth something, too.

The part of all plans with the least bound is divided by how many vehicles of a class are driven, by whether
an order is left out, and by whether a class carries an order; the bound is the least one of all parts. Costs
are whole cents, so it is rounded up; each rounded cost term of a route is counted half a cent too low.

References
----------
.. [1] Lübbecke, M. E., & Desrosiers, J. (2005). Selected topics in column generation. *Operations
       Research*, 53(6), 1007-1023. https://doi.org/10.1287/opre.1050.0234
"""

import heapq
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from optimizer.bound_master import Master, Part, Relaxed
from optimizer.bound_relaxed import relaxed
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.master import Column
from optimizer.pricing import Duals, Path, Pricer, TooManyGroups
from optimizer.pricing_labels import COMPILED, Floats

#: Labels kept at each node while routes are proposed, before all are kept to prove that there are no more.
BEAMS = (10, 60, 300)
#: Parts of the rewards at which routes are excluded for good, from the quickest to the strongest proof.
SHARES = (0.5, 0.7, 0.8, 0.88, 0.93, 0.96, 0.985, 1.0)
#: Reduced costs above this count as none.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Bound:
    """
    What no plan can beat.

    Parameters
    ----------
    cents
        Every plan without violations costs at least this; ``None`` if nothing was proven.
    reason
        How the computation ended, for people.
    relaxed
        Constraints and costs that the bound does not know of, but that the problem may have.
    iterations, columns
        Linear masters solved, and routes of the relaxation found.
    """

    cents: int | None
    reason: str
    relaxed: tuple[str, ...]
    iterations: int
    columns: int


def lower_bound(
    day: Day,
    room: Room,
    columns: Iterable[Column],
    upper_cents: int,
    *,
    seconds: float,
    should_stop: Callable[[], bool],
) -> Bound:
    """
    Compute a lower bound on the cost of every plan without violations.

    Parameters
    ----------
    day, room
        The problem, and what its deliveries share.
    columns
        Routes that are known; they only save time.
    upper_cents
        Cost of a known plan: the search ends when the bound reaches it.
    seconds
        Wall-clock budget.
    should_stop
        Asked often; once true, what is proven so far is returned.
    """
    deadline = time.monotonic() + seconds

    def over() -> bool:
        return time.monotonic() >= deadline or should_stop()

    tree = _Tree(day, room, columns, upper_cents, over, deadline)
    try:
        return tree.solve()
    except TooManyGroups:
        reason = "no bound computed: more shops have goods than the labelling can tell apart"
        return Bound(None, reason, relaxed(day), 0, 0)


class _Tree:
    """Branch and bound over the parts of all plans."""

    def __init__(
        self,
        day: Day,
        room: Room,
        columns: Iterable[Column],
        upper_cents: int,
        over: Callable[[], bool],
        deadline: float,
    ) -> None:
        self._day, self._room = day, room
        self._upper_cents = upper_cents
        self._over, self._deadline = over, deadline
        self._pricers = [Pricer(day, room, vehicle) for vehicle in day.classes]
        self._master = Master(day, room, upper_cents + 1.0)
        self._iterations = 0
        self._extra_cents = np.full(len(day.classes), 10.0)
        self._master.price_extra(self._extra_cents)
        for pricer in self._pricers:
            self._master.add(Path(pricer.vehicle.index, (), (), pricer.empty_cents()))
        for column in columns:
            self._master.add(Path(column.vehicle.index, (), tuple(column.orders), float(column.cost_cents)))

    def solve(self) -> Bound:
        """Divide the part of least bound until all bounds reach the known plan, or time is over."""
        ticket = count()
        open_parts = [(0.0, next(ticket), self._all())]
        closed = math.inf
        while open_parts and not self._over():
            bound, _, part = heapq.heappop(open_parts)
            if bound >= min(closed, self._enough):
                heapq.heappush(open_parts, (bound, next(ticket), part))
                break
            bound, optimum = self._bound(part)
            children = [] if optimum is None else list(self._children(part, optimum))
            if optimum is None:
                heapq.heappush(open_parts, (bound, next(ticket), part))
                if bound < self._enough:
                    break
                continue
            if not children:
                closed = min(closed, bound)
            for child in children:
                heapq.heappush(open_parts, (bound, next(ticket), replace(child, bound=bound)))
        proven = min(closed, open_parts[0][0] if open_parts else math.inf)
        return self._result(proven)

    @property
    def _enough(self) -> float:
        """A plan that costs less than the known one costs at least a cent less."""
        return self._upper_cents - 1 + TOLERANCE

    def _all(self) -> Part:
        """Return the part of all plans; a vehicle that is under way goes on."""
        high = tuple(len(one.vehicles) for one in self._day.classes)
        low = tuple(len(one.vehicles) if one.under_way else 0 for one in self._day.classes)
        return Part(low, high)

    def _bound(self, part: Part) -> tuple[float, Relaxed | None]:
        """Return the bound of a part, and the optimum of its relaxation unless it is not needed."""
        bound = part.bound
        self._master.turn_to(part)
        central = True
        while not self._over():
            optimum = self._master.solve(self._deadline - time.monotonic(), central=central)
            self._iterations += 1
            if optimum is None:
                break
            if any(self._price(part, optimum.duals, beam)[1] for beam in BEAMS):
                continue
            value, is_better = self._prove(part, optimum.duals)
            bound = max(bound, value)
            if bound >= self._enough or self._over():
                break
            if is_better:
                continue
            lacking = optimum.extra > 1e-5
            if lacking.any():
                self._extra_cents[lacking] = 3 * self._extra_cents[lacking] + 100
                self._master.price_extra(self._extra_cents)
            elif central:
                central = False
            else:
                return bound, optimum
        return bound, None

    def _prove(self, part: Part, duals: Duals) -> tuple[float, bool]:
        """
        Return a proven bound, and whether routes were found that pay.

        Smaller rewards leave fewer labels, and their bound is less by about the same share.
        """
        bound = -math.inf
        for share in SHARES:
            value, is_better = self._price(part, replace(duals, orders=share * duals.orders), None)
            bound = max(bound, value)
            if is_better or bound >= self._enough or self._over():
                return bound, is_better
        return bound, False

    def _price(self, part: Part, duals: Duals, beam: int | None) -> tuple[float, bool]:
        """
        Look for routes, and return the Lagrangian bound of some prices, proven if there is no beam.

        Tell, too, whether routes were found that pay.
        """
        total = float(duals.orders.sum())
        total -= sum(price * self._room.capacity.get(row, 0) for row, price in duals.rows.items())
        is_better = False
        for pricer in self._driven(part):
            if self._over():
                return -math.inf, is_better
            priced = pricer.price(duals, self._allowed(part, pricer), beam=beam, should_stop=self._over)
            k = pricer.vehicle.index
            total += part.high[k] * priced.least if priced.least < 0 else part.low[k] * priced.least
            for path in priced.paths:
                is_better = self._master.add(path) or is_better
        return total, is_better

    def _driven(self, part: Part) -> Iterator[Pricer]:
        return (pricer for pricer in self._pricers if part.high[pricer.vehicle.index])

    def _allowed(self, part: Part, pricer: Pricer) -> list[bool]:
        k = pricer.vehicle.index
        return [(order, k) not in part.forbidden for order in range(len(self._day.problem.orders))]

    def _children(self, part: Part, optimum: Relaxed) -> Iterator[Part]:
        """Yield the parts into which a part is divided; none if nothing is divided in its optimum."""
        if not part.high or not self._day.problem.orders:
            return
        driven = np.zeros(len(part.high))
        carried = np.zeros((len(self._day.problem.orders), len(part.high)))
        for path, share in optimum.driven:
            driven[path.vehicle] += share
            for order, _ in path.orders:
                carried[order, path.vehicle] += share
        k = int(np.argmax(_division(driven)))
        if _division(driven)[k] > 1e-5:
            whole = math.floor(driven[k])
            yield replace(part, high=_with(part.high, k, whole))
            yield replace(part, low=_with(part.low, k, whole + 1))
            return
        served = np.minimum(1.0, carried.sum(axis=1))
        order = int(np.argmax(_division(served)))
        if _division(served)[order] > 1e-5:
            yield replace(part, forced=part.forced | {order})
            yield replace(part, forbidden=part.forbidden | {(order, k) for k in range(len(part.high))})
            return
        order, k = divmod(int(np.argmax(_division(carried))), len(part.high))
        if _division(carried)[order, k] > 1e-5:
            others = {(order, other) for other in range(len(part.high)) if other != k}
            yield replace(part, forbidden=part.forbidden | others, forced=part.forced | {order})
            yield replace(part, forbidden=part.forbidden | {(order, k)})

    def _result(self, proven: float) -> Bound:
        """Return the bound as whole cents, and how it came about."""
        proven = min(proven, float(self._upper_cents))
        cents = math.ceil(proven - TOLERANCE) if proven > 0 else None
        reached = cents is not None and cents >= self._upper_cents
        slow = "" if COMPILED else " (numba is not installed, which makes this slow)"
        if reached:
            reason = "no plan is cheaper"
        elif self._over():
            reason = f"the time was over{slow}"
        else:
            reason = "the relaxation is solved"
        if cents is None:
            reason = f"no bound computed: {reason}"
        return Bound(cents, reason, relaxed(self._day), self._iterations, len(self._master))


def _division(shares: Floats) -> Floats:
    """Return how far shares are from whole numbers."""
    return np.asarray(np.abs(shares - np.rint(shares)), dtype=float)


def _with(numbers: tuple[int, ...], k: int, value: int) -> tuple[int, ...]:
    return (*numbers[:k], value, *numbers[k + 1 :])
