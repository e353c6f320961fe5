r"""
Completion bounds: what the rest of a route can gain at most, whatever its times, lengths and rides are.

Without limits of time and length no route need visit a place twice: its goods can all be picked up at the
first visit of a shop, and delivered at the last visit of a point, and ways are the cheapest ones through any
places. So the rest of a route is a shortest path over sets of visited places, found from the full set
backwards [1]_: with :math:`V` visited and the vehicle at :math:`v`,

.. math:: C(V, v) = \min\Bigl(c_{v,\mathrm{end}},\ \min_{w \notin V} c_{vw} - r(V, w) + C(V \cup w, w)\Bigr).

At a point, :math:`r` is the weight of the groups whose shop is in :math:`V` and whose points are not. At a
shop, it is that of its groups of which some, but not all points are in :math:`V`: they are earned later, and
counted here so that no group is counted twice. Where the best such route is too long or takes too much time,
a second table charges each metre or second with a rate :math:`\lambda \ge 0`; with :math:`R` of them left,
:math:`C_\lambda(V, v) - \lambda R` is a bound, too. Where there are more places than bits, near ones are
joined, shops with shops and points with points; ways between them are the shortest of any, and only from a
joined place may the next visit be at the same one.

References
----------
.. [1] Held, M., & Karp, R. M. (1962). A dynamic programming approach to sequencing problems. *Journal of the
       Society for Industrial and Applied Mathematics*, 10(1), 196-210. https://doi.org/10.1137/0110015
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizer.compiled import Floats, Ints, compiled

Masks = NDArray[np.uint64]

#: Joined places that the table of completions tells apart.
MAX_JOINED = 16
#: Rates that are tried each time, and by which factor they differ at first.
RATE_STEPS, RATE_FACTOR = 4, 2.0


class Completion(NamedTuple):
    r"""
    Bounds on the rest of a route.

    Parameters
    ----------
    joined, bits
        For each node, and for the start of the run, the joined place that it belongs to, and its bit; no bit
        for the start.
    num_shops
        The first joined places; all others are delivery points.
    groups
        Of each joined place, those that have one of its nodes as shop or point.
    cents
        :math:`C(V, v)` for each set of joined places (row) and each joined place and the start (column).
    rated_cents, rates
        :math:`C_\lambda(V, v)`, and the rates of a metre and of a second; shape ``(2,)``.
    """

    joined: Ints
    bits: Masks
    num_shops: int
    groups: Masks
    cents: Floats
    rated_cents: Floats
    rates: Floats


class Measure(NamedTuple):
    """
    Length or time of ways, with how much there is of it.

    Parameters
    ----------
    ways, ends
        From each node (row), and from the start (last row), to each node, and from each node to the end.
    """

    ways: Floats
    ends: Floats
    limit: float


@compiled
def weight(mask: np.uint64, table: Floats) -> float:
    """Return the weight of a set; ``table`` holds that of each value of each byte."""
    total = 0.0
    byte = 0
    while mask:
        total += table[byte, np.int64(mask & np.uint64(255))]
        mask = mask >> np.uint64(8)
        byte += 1
    return total


@compiled
def least_completion(
    completion: Completion,
    table: Floats,
    node: int,
    over: np.uint64,
    visited: np.uint64,
    metres: float,
    seconds: float,
) -> float:
    """
    Return the least reduced cost that any rest of a route can add to a label.

    A visited point where something could still be earned counts as visited, and what could be earned there
    as earned for nothing; or it counts as not visited, and what was earned there may be earned once more.
    Both are bounds, and so is each choice for each point. No more than some metres and seconds are left.
    """
    place = completion.joined[node]
    num_places = len(completion.groups)
    pending = ~over
    free, unseen = np.uint64(0), visited
    free_if_less, unseen_if_less = np.uint64(0), visited
    for other in range(completion.num_shops, num_places):
        bit = np.uint64(1) << np.uint64(other)
        if visited & bit:
            still = completion.groups[other] & pending
            if still:
                free |= still
                unseen &= ~bit
                if weight(still, table) > weight(completion.groups[other] & over, table):
                    unseen_if_less &= ~bit
                else:
                    free_if_less |= still
    paid, paid_if_less = weight(free, table), weight(free_if_less, table)
    rest = -np.inf
    for least, left in (
        (completion.cents, 0.0),
        (completion.rated_cents, completion.rates[0] * metres + completion.rates[1] * seconds),
    ):
        rest = max(rest, least[np.int64(visited), place] - paid - left)
        if free:
            rest = max(rest, least[np.int64(unseen), place] - left)
            rest = max(rest, least[np.int64(unseen_if_less), place] - paid_if_less - left)
    return float(rest)


@compiled
def fill_gains(
    gains: Floats, num_shops: int, weights: Floats, shops: Ints, points: Masks, groups: Masks
) -> None:
    """Write :math:`r(V, w)` for each set (row) and place (column); ``shops`` holds -1 for goods on board."""
    for places in range(len(gains)):
        visited = np.uint64(places)
        for place in range(gains.shape[1]):
            if visited >> np.uint64(place) & np.uint64(1):
                continue
            total = 0.0
            mask, group = groups[place], 0
            while mask:
                if mask & np.uint64(1):
                    seen = visited & points[group]
                    if place < num_shops:
                        if seen and seen != points[group]:
                            total += weights[group]
                    elif not seen and (shops[group] < 0 or visited >> np.uint64(shops[group]) & np.uint64(1)):
                        total += weights[group]
                mask = mask >> np.uint64(1)
                group += 1
            gains[places, place] = total


@compiled
def fill_completions(least: Floats, cents: Floats, end_cents: Floats, gains: Floats) -> None:
    """Write :math:`C(V, v)`, from the full set backwards; the last column is that of the start."""
    num_places = len(end_cents)
    for places in range(len(least) - 1, -1, -1):
        for here in range(num_places + 1):
            best = end_cents[here] if here < num_places else np.inf
            for there in range(num_places):
                if not places >> there & 1:
                    after = cents[here, there] - gains[places, there] + least[places | 1 << there, there]
                    best = min(best, after)
            least[places, here] = best


class Completions:
    """
    Completion bounds of one class of vehicles for changing rewards.

    Parameters
    ----------
    num_shops
        The first nodes.
    cents, end_cents
        From each node (row), and from the start (last row), to each node, and from each node to the end.
    length, time
        What limits a route besides its cost.
    """

    def __init__(
        self, num_shops: int, cents: Floats, end_cents: Floats, length: Measure, time: Measure
    ) -> None:
        parts = _joined(cents, num_shops)
        self._num_shops = sum(nodes[0] < num_shops for nodes in parts)
        self._place_of = {node: place for place, nodes in enumerate(parts) for node in nodes}
        self._cents, self._end_cents = _shortest(cents, parts), _ends(end_cents, parts)
        self._measures = [
            Measure(np.nan_to_num(_shortest(one.ways, parts), posinf=0.0), _ends(one.ends, parts), one.limit)
            for one in (length, time)
        ]
        self._rates = np.zeros(2)
        self._rated = np.zeros((1 << len(parts), len(parts) + 1))
        self._gains = np.zeros((1 << len(parts), len(parts)))
        self._least = np.zeros((1 << len(parts), len(parts) + 1))
        places = [self._place_of[node] for node in range(len(end_cents))]
        self._joined = np.array([*places, len(parts)], dtype=np.int64)
        self._bits = np.array([*(1 << place for place in places), 0], dtype=np.uint64)

    def of(self, weights: Floats, shops: Ints, masks: Masks) -> Completion:
        """
        Return the bounds for some rewards.

        Parameters
        ----------
        weights, shops
            Of each group; -1 for goods on board.
        masks
            Of each node, the groups that have it as shop or point.
        """
        groups = np.zeros(len(self._end_cents), dtype=np.uint64)
        points = np.zeros(len(weights), dtype=np.uint64)
        for node, mask in enumerate(masks):
            place = self._place_of[node]
            groups[place] |= mask
            if place >= self._num_shops:
                for group in range(len(weights)):
                    if int(mask) >> group & 1:
                        points[group] |= np.uint64(1 << place)
        places = np.array([-1 if shop < 0 else self._place_of[int(shop)] for shop in shops], dtype=np.int64)
        fill_gains(self._gains, self._num_shops, weights, places, points, groups)
        fill_completions(self._least, self._cents, self._end_cents, self._gains)
        rates = self._rate()
        rated = self._rated if rates.any() else self._least
        return Completion(self._joined, self._bits, self._num_shops, groups, self._least, rated, rates)

    def _rate(self) -> Floats:
        """Fill the table with rates that raise the bound of whole routes most, and return them."""
        excess = self._excess(self._least, self._cents, self._end_cents)
        number = int(np.argmax(excess))
        rates = np.zeros(2)
        if excess[number] <= 0:
            return rates
        measure = self._measures[number]
        guess = abs(float(self._least[0, -1])) / max(measure.limit, 1.0)
        rate, factor = self._rates[number] or guess, RATE_FACTOR
        best = -np.inf
        for _ in range(RATE_STEPS):
            cents, ends = self._cents + rate * measure.ways, self._end_cents + rate * measure.ends
            fill_completions(self._rated, cents, ends, self._gains)
            value = float(self._rated[0, -1]) - rate * measure.limit
            if value > best:
                best, rates[number] = value, rate
            rate *= factor if self._excess(self._rated, cents, ends)[number] > 0 else 1 / factor
            factor **= 0.7
        self._rates[number] = rates[number]
        cents = self._cents + rates[number] * measure.ways
        fill_completions(self._rated, cents, self._end_cents + rates[number] * measure.ends, self._gains)
        return rates

    def _excess(self, least: Floats, cents: Floats, ends: Floats) -> Floats:
        """Return by how much, relative to its limit, the best route of a table exceeds each measure."""
        num_places = len(ends)
        used = np.zeros(len(self._measures))
        here, visited = num_places, 0
        while visited < len(least) - 1:
            on = [place for place in range(num_places) if not visited >> place & 1]
            after = [
                cents[here, place] - self._gains[visited, place] + least[visited | 1 << place, place]
                for place in on
            ]
            there = on[int(np.argmin(after))]
            if here < num_places and ends[here] <= min(after):
                break
            used += [measure.ways[here, there] for measure in self._measures]
            here, visited = there, visited | 1 << there
        if here < num_places:
            used += [measure.ends[here] for measure in self._measures]
        limits = np.array([measure.limit for measure in self._measures])
        return np.asarray((used - limits) / np.maximum(limits, 1.0), dtype=float)


def _shortest(ways: Floats, parts: Sequence[Sequence[int]]) -> Floats:
    """
    Return the shortest ways between joined nodes, and from the start, which is the last row.

    From one node to the next of the same part is a way, too, but none leads from a node to itself.
    """
    rows = [*parts, [len(ways) - 1]]
    onward = ways.copy()
    np.fill_diagonal(onward, np.inf)
    shortest = [[onward[np.ix_(row, nodes)].min() for nodes in parts] for row in rows]
    return np.array(shortest, dtype=float).reshape(len(rows), len(parts))


def _ends(ends: Floats, parts: Sequence[Sequence[int]]) -> Floats:
    return np.array([ends[nodes].min() for nodes in parts], dtype=float)


def _joined(cents: Floats, num_shops: int) -> list[list[int]]:
    """Return the nodes in parts of near ones, shops first, not more than there are bits."""
    num_nodes = cents.shape[1]
    apart = np.minimum(cents[:num_nodes], cents[:num_nodes].T)
    parts = [[node] for node in range(num_nodes)]
    while len(parts) > MAX_JOINED:
        _, one, other = min(
            (apart[np.ix_(parts[one], parts[other])].min(), one, other)
            for one in range(len(parts))
            for other in range(one + 1, len(parts))
            if (parts[one][0] < num_shops) == (parts[other][0] < num_shops)
        )
        parts[one] += parts.pop(other)
    return parts
