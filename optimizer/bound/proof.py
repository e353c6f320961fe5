r"""
A proven lower bound on the cost of a day: column generation within branch and bound.

Sets: orders :math:`i`, classes :math:`k` of equal vehicle shifts, shared rows :math:`q`. For rewards
:math:`0 \le \pi_i \le p_i` (the cost of leaving the order out) and prices :math:`\mu_q \ge 0`, with
:math:`z_k` the least reduced cost of a route of the class (:mod:`optimizer.bound.pricing`), every plan that
drives :math:`y_k` vehicles of each class costs at least

.. math:: L(\pi, \mu) = \sum_i \pi_i - \sum_q \mu_q b_q + \sum_k \min_{l_k \le y \le n_k} y z_k .

For the cost of its routes is at least the sum of their reduced costs, plus the rewards of what they carry,
minus the prices of what they take; what they do not carry is charged :math:`p_i \ge \pi_i`; and they take no
more than there is. The linear master (:mod:`optimizer.bound.master`) proposes rewards and prices; whatever
it proposes, :math:`L` is valid [1]_ as long as :math:`z_k` is not overestimated, so a search that was cut
short is worth something, too.

The part of all plans with the least bound is divided by how many vehicles of a class are driven, by whether
an order is left out, by whether a class carries it, and by whether it goes to an option; the bound is the
least one of all parts. Costs are whole cents, so it is rounded up; each rounded cost term of a route is
counted half a cent too low.

References
----------
.. [1] Lübbecke, M. E., & Desrosiers, J. (2005). Selected topics in column generation. *Operations
       Research*, 53(6), 1007-1023. https://doi.org/10.1287/opre.1050.0234
.. [2] Wentges, P. (1997). Weighted Dantzig-Wolfe decomposition for linear mixed-integer programming.
       *International Transactions in Operational Research*, 4(2), 151-162.
       https://doi.org/10.1111/j.1475-3995.1997.tb00071.x
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from optimizer.bound.labels import MAX_LABELS_AT_NODE
from optimizer.bound.master import Master, Part, Relaxed
from optimizer.bound.pricing import Duals, Path, Pricer, TooManyGroups, blended
from optimizer.bound.relaxed import relaxed
from optimizer.bound.routes import tour_of
from optimizer.compartments import Room
from optimizer.compiled import Floats
from optimizer.day import Day
from optimizer.insertion import Tour
from optimizer.master import Column

#: How routes are searched: how much the best prices so far count beside those of the master, and whether all
#: labels are kept to prove that no more routes pay.
STEPS = ((0.6, False), (0.0, False), (0.0, True))
#: Labels kept at each node at first; twice as many for a class each time they neither find a route nor prove
#: that there is none.
FIRST_BEAM = 100
#: Masters between two times that the routes found are handed on.
PLAN_EVERY = 20
#: Labels kept at each node, and routes returned, where a cheaper plan is looked for among nearly best routes.
NEAR = 200
#: Further prices are not worth looking for where they can raise the bound by less than this.
SMALL_CENTS = 0.5
#: Reduced costs above this count as none.
TOLERANCE = 1e-4
#: How a bound came about that the plan reaches.
OPTIMAL = "no plan is cheaper"


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
    left_s: Callable[[], float],
    improve: Callable[[list[Tour]], int] | None = None,
    on_bound: Callable[[int], None] = lambda cents: None,
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
    left_s
        Asked often for the seconds left; once there are none, what is proven so far is returned.
    improve
        Given tours that cheaper plans may consist of; returns the cost of the best plan then known.
    on_bound
        Told of each greater bound in cents.
    """
    if upper_cents == 0:
        return Bound(0, OPTIMAL, (), 0, 0)
    tree = _Tree(day, room, columns, upper_cents, left_s, improve, on_bound)
    try:
        return tree.solve()
    except TooManyGroups:
        return tree.given_up("more shops have goods than the labelling can tell apart")


class _Tree:
    """Branch and bound over the parts of all plans."""

    def __init__(
        self,
        day: Day,
        room: Room,
        columns: Iterable[Column],
        upper_cents: int,
        left_s: Callable[[], float],
        improve: Callable[[list[Tour]], int] | None,
        on_bound: Callable[[int], None],
    ) -> None:
        self._day, self._room = day, room
        self._upper_cents = upper_cents
        self._left_s = left_s
        self._improve, self._on_bound = improve, on_bound
        #: The least bound of the parts that are not being bounded, and what was told last.
        self._others, self._told = math.inf, 0
        self._failed = False
        self._tried: set[Path] = set()
        self._options = range(max((len(order.options) for order in day.problem.orders), default=0))
        self._pricers = [Pricer(day, room, vehicle) for vehicle in day.classes]
        self._master = Master(day, room, upper_cents + 1.0)
        self._iterations = 0
        self._beams = [FIRST_BEAM] * len(day.classes)
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
            self._others = min(closed, open_parts[0][0] if open_parts else math.inf)
            bound, optimum = self._bound(part)
            children = [] if optimum is None else list(self._children(part, optimum))
            if optimum is None:
                heapq.heappush(open_parts, (bound, next(ticket), part))
                if bound < self._enough:
                    break
                continue
            self._plan(optimum, self._near(part, optimum))
            if not children:
                closed = min(closed, bound)
            for child in children:
                heapq.heappush(open_parts, (bound, next(ticket), replace(child, bound=bound)))
        proven = min(closed, open_parts[0][0] if open_parts else math.inf)
        return self._result(proven)

    def given_up(self, reason: str) -> Bound:
        """Return what was proven before something made it impossible to go on."""
        return self._said(self._told or None, reason)

    def _over(self) -> bool:
        return self._left_s() <= 0

    def _tell(self, proven: float) -> None:
        cents = self._whole(proven)
        if cents is not None and cents > self._told:
            self._told = cents
            self._on_bound(cents)

    def _whole(self, proven: float) -> int | None:
        """Return a bound in whole cents, if it says anything."""
        proven = min(proven, float(self._upper_cents))
        return math.ceil(proven - TOLERANCE) if proven > 0 else None

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
        central, best = True, _Best()
        while not self._over():
            optimum = self._master.solve(self._left_s(), central=central)
            self._iterations += 1
            if optimum is None:
                self._failed = not self._over()
                break
            lacking = optimum.extra > 1e-5
            self._raise_extra(lacking)
            pays = self._find(part, optimum.duals, best)
            bound = max(bound, best.value)
            self._tell(min(bound, self._others))
            if self._iterations % PLAN_EVERY == 0:
                self._plan(optimum, [])
            if bound >= self._enough:
                break
            if lacking.any() or self._over() or (pays and optimum.value > bound + SMALL_CENTS):
                continue
            if not central:
                return bound, optimum
            central = False
        return bound, None

    def _near(self, part: Part, optimum: Relaxed) -> Iterator[Path]:
        """Yield routes that are no part of the optimum of a relaxation, but may be one of a cheaper plan."""
        duals, slack_cents = optimum.duals, self._upper_cents - optimum.value
        raised = replace(duals, classes=duals.classes + slack_cents)
        for pricer in self._driven(part) if self._improve and slack_cents > 0 else ():
            yield from pricer.price(
                raised, part.forbidden, beam=NEAR, should_stop=self._over, num_paths=NEAR
            ).paths

    def _plan(self, optimum: Relaxed, near: Iterable[Path]) -> None:
        """Hand on routes that a cheaper plan may consist of, for the known plan to get better."""
        if self._improve is None or self._over():
            return
        slack_cents = self._upper_cents - optimum.value
        found = [*self._master.within(slack_cents, optimum.duals), *near]
        new = [path for path in dict.fromkeys(found) if path not in self._tried]
        self._tried.update(new)
        if new:
            tours = [tour_of(self._day, path) for path in new]
            self._upper_cents = min(self._upper_cents, self._improve(tours))

    def _raise_extra(self, lacking: NDArray[np.bool_]) -> None:
        if lacking.any():
            self._extra_cents[lacking] = 3 * self._extra_cents[lacking] + 100
            self._master.price_extra(self._extra_cents)

    def _find(self, part: Part, duals: Duals, best: "_Best") -> bool:
        """
        Look for routes that pay at some prices, and tell whether there are any.

        Prices between these and the best ones so far come first: they change less [2]_.
        """
        for share, is_last in STEPS:
            if share and best.duals is None:
                continue
            tried = duals if best.duals is None else blended(best.duals, duals, share)
            value, pays = self._price(part, tried, duals, keeps_all=is_last)
            if value > best.value:
                best.duals, best.value = tried, value
            if pays:
                return True
            if self._over():
                break
        return False

    def _price(self, part: Part, duals: Duals, present: Duals, *, keeps_all: bool) -> tuple[float, bool]:
        """Return the bound that some prices prove, and whether routes were found that pay at present ones."""
        total = float(duals.orders.sum())
        total -= sum(price * self._room.capacity.get(row, 0) for row, price in duals.rows.items())
        pays = False
        for pricer in self._driven(part):
            if self._over():
                return -math.inf, pays
            k = pricer.vehicle.index
            beam = MAX_LABELS_AT_NODE if keeps_all else self._beams[k]
            priced = pricer.price(duals, part.forbidden, beam=beam, should_stop=self._over)
            total += part.high[k] * priced.least if priced.least < 0 else part.low[k] * priced.least
            new = [path for path in priced.paths if self._master.add(path)]
            pays = pays or any(self._master.reduced_cents(path, present) < -1e-6 for path in new)
            if not new and priced.least < duals.classes[k] - SMALL_CENTS:
                self._beams[k] = min(2 * self._beams[k], MAX_LABELS_AT_NODE)
        return total, pays

    def _driven(self, part: Part) -> Iterator[Pricer]:
        return (pricer for pricer in self._pricers if part.high[pricer.vehicle.index])

    def _children(self, part: Part, optimum: Relaxed) -> Iterator[Part]:
        """Yield the parts into which a part is divided; none if nothing is divided in its optimum."""
        if not part.high or not self._day.problem.orders:
            return
        vehicles = range(len(part.high))
        driven = np.zeros(len(part.high))
        carried = np.zeros((len(self._day.problem.orders), len(self._options), len(part.high)))
        for path, share in optimum.driven:
            driven[path.vehicle] += share
            for order, option in path.orders:
                carried[order, option, path.vehicle] += share
        k = int(np.argmax(_division(driven)))
        if _division(driven)[k] > 1e-5:
            whole = math.floor(driven[k])
            yield replace(part, high=_with(part.high, k, whole))
            yield replace(part, low=_with(part.low, k, whole + 1))
            return
        served = np.minimum(1.0, carried.sum(axis=(1, 2)))
        order = int(np.argmax(_division(served)))
        if _division(served)[order] > 1e-5:
            yield replace(part, forced=part.forced | {order})
            yield replace(
                part, forbidden=part.forbidden | {(order, o, k) for o in self._options for k in vehicles}
            )
            return
        order, k = _argmax(carried.sum(axis=1))
        if _division(carried.sum(axis=1))[order, k] > 1e-5:
            others = {(order, o, other) for o in self._options for other in vehicles if other != k}
            yield replace(part, forbidden=part.forbidden | others, forced=part.forced | {order})
            yield replace(part, forbidden=part.forbidden | {(order, o, k) for o in self._options})
            return
        order, option = _argmax(carried.sum(axis=2))
        if _division(carried.sum(axis=2))[order, option] > 1e-5:
            others = {(order, o, k) for o in self._options for k in vehicles if o != option}
            yield replace(part, forbidden=part.forbidden | others, forced=part.forced | {order})
            yield replace(part, forbidden=part.forbidden | {(order, option, k) for k in vehicles})

    def _result(self, proven: float) -> Bound:
        """Return the bound as whole cents, and how it came about."""
        cents = self._whole(proven)
        reached = cents is not None and cents >= self._upper_cents
        if reached:
            reason = OPTIMAL
        elif self._over():
            reason = "the time was over"
        elif self._failed:
            reason = "the linear master was not solved"
        else:
            reason = "the relaxation is solved"
        return self._said(cents, reason)

    def _said(self, cents: int | None, reason: str) -> Bound:
        if cents is None:
            reason = f"no bound computed: {reason}"
        return Bound(cents, reason, relaxed(self._day), self._iterations, len(self._master))


@dataclass(slots=True)
class _Best:
    """The prices that proved the greatest bound so far."""

    value: float = -math.inf
    duals: Duals | None = None


def _division(shares: Floats) -> Floats:
    """Return how far shares are from whole numbers."""
    return np.asarray(np.abs(shares - np.rint(shares)), dtype=float)


def _argmax(shares: Floats) -> tuple[int, int]:
    """Return row and column of the share that is farthest from a whole number."""
    row, column = divmod(int(np.argmax(_division(shares))), shares.shape[1])
    return row, column


def _with(numbers: tuple[int, ...], k: int, value: int) -> tuple[int, ...]:
    return (*numbers[:k], value, *numbers[k + 1 :])
