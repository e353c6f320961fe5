r"""
Labelling: the cheapest route of one vehicle for given rewards, compiled by numba where it is installed.

Sets: nodes :math:`1..n`, shops first, then delivery points; groups :math:`g` of rewards, each with one shop
and the points at any of which it can be earned. Letters of a label at node :math:`v`: reduced cost
:math:`c`, moment of departure :math:`t`, length :math:`l`; :math:`P` the groups whose goods are available and
not earned, :math:`D` those earned or out of reach for good. All other groups are open: their shop has not
been visited.

Extension to a shop makes its open groups available; to a point earns :math:`w_g` for each available group
that it serves. Picking up is thus decided when the goods are delivered, which needs no time or load of its
own. A label at :math:`v` dominates another one there if :math:`c_1 \le c_2`, :math:`t_1 \le t_2`,
:math:`l_1 \le l_2` and what only the other one can still earn is worth no more than the difference:

.. math:: \sum_{g \in (P_2 \setminus P_1) \cup (D_1 \setminus (P_2 \cup D_2))} w_g \le c_2 - c_1,

because it can do whatever the other one will do, without those groups. A label is dropped, too, if it cannot
beat the best route even if every open shop and every point with available groups costs only its cheapest
way in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    from numba import njit
except ImportError:  # pragma: no cover - depends on the environment
    COMPILED = False

    def compiled(function: Function) -> Function:
        """Return the function as it is: numba is not installed."""
        return function
else:
    COMPILED = True

    def compiled(function: Function) -> Function:
        """Compile a function when it is first called."""
        return cast("Function", njit(cache=True)(function))


#: Groups that fit the words of a label.
MAX_GROUPS = 64
#: Labels kept in one run, and at one node.
MAX_LABELS, MAX_LABELS_AT_NODE = 400_000, 60_000
#: How a run of the labelling stands: every label is extended, the step is over, there is no room for more.
DONE, PAUSED, FULL = 0, 1, 2

Floats = NDArray[np.float64]
Masks = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """
    Where a vehicle may go.

    Parameters
    ----------
    num_shops
        The first nodes; all others are delivery points.
    cents, seconds, metres
        From each node (row), and from the start of the run (last row), to each node; shape ``(n + 1, n)``.
    end_cents, end_seconds, end_metres
        From each node to the end of the run; shape ``(n,)``.
    earliest, latest
        When service may start at each node.
    service
        Least time that a visit takes.
    limits
        Start of the run, latest end, and greatest length; shape ``(3,)``.
    """

    num_shops: int
    cents: Floats
    seconds: Floats
    metres: Floats
    end_cents: Floats
    end_seconds: Floats
    end_metres: Floats
    earliest: Floats
    latest: Floats
    service: Floats
    limits: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """
    Memory of a run: labels in the order of their making, and at each node by rising cost.

    ``at_node`` holds cost, time, length, and cost less the worth of what is available; ``masks_at_node``
    the two sets of each label at a node, ``index``
    its number and ``count`` how many there are. ``state`` holds the labels extended and made, ``ends`` the
    best last label at each node (-1 for none), ``best`` the reduced cost of the best route.
    """

    node: NDArray[np.int64]
    parent: NDArray[np.int64]
    alive: NDArray[np.bool_]
    values: Floats
    masks: Masks
    at_node: Floats
    masks_at_node: Masks
    index: NDArray[np.int64]
    count: NDArray[np.int64]
    state: NDArray[np.int64]
    ends: NDArray[np.int64]
    end_values: Floats
    best: Floats

    @classmethod
    def empty(cls, num_nodes: int) -> "Labels":
        """Return memory for a graph; pages that are never used cost nothing."""
        room = min(MAX_LABELS_AT_NODE, 6_000_000 // max(1, num_nodes))
        return cls(
            node=np.empty(MAX_LABELS, np.int64),
            parent=np.empty(MAX_LABELS, np.int64),
            alive=np.empty(MAX_LABELS, np.bool_),
            values=np.empty((MAX_LABELS, 4)),
            masks=np.empty((MAX_LABELS, 2), np.uint64),
            at_node=np.empty((num_nodes, room, 4)),
            masks_at_node=np.empty((num_nodes, room, 2), np.uint64),
            index=np.empty((num_nodes, room), np.int64),
            count=np.zeros(num_nodes, np.int64),
            state=np.zeros(2, np.int64),
            ends=np.full(num_nodes, -1, np.int64),
            end_values=np.empty(num_nodes),
            best=np.zeros(1),
        )

    def restart(self, least: float) -> None:
        """Forget everything; only routes below ``least`` will be found."""
        self.count[:] = 0
        self.state[:] = -1, 0
        self.ends[:] = -1
        self.end_values[:] = least
        self.best[0] = least

    def least_open(self) -> float:
        """Return what no route through a label that was not extended can beat."""
        first, after = max(0, int(self.state[0])), int(self.state[1])
        if self.state[0] < 0:
            return -np.inf
        alive = self.alive[first:after]
        return float(self.values[first:after, 3][alive].min(initial=np.inf))

    def path(self, label: int) -> list[int]:
        """Return the nodes that lead to a label, in the order of the route."""
        nodes = []
        while label >= 0:
            nodes.append(int(self.node[label]))
            label = int(self.parent[label])
        return nodes[::-1]


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
def is_heavier(mask: np.uint64, table: Floats, limit: float) -> bool:
    """Tell whether the weight of a set exceeds a limit."""
    total = 0.0
    byte = 0
    while mask:
        total += table[byte, np.int64(mask & np.uint64(255))]
        if total > limit:
            return True
        mask = mask >> np.uint64(8)
        byte += 1
    return False


@compiled
def potential(
    available: np.uint64,
    done: np.uint64,
    num_shops: int,
    groups: Masks,
    least_in: Floats,
    table: Floats,
) -> float:
    """Return the most that any continuation of a label can gain."""
    total = 0.0
    for node in range(len(groups)):
        within = groups[node] & (~available & ~done if node < num_shops else available)
        if within:
            total += max(0.0, weight(within, table) - least_in[node])
    return total


@compiled
def within_reach(
    node: int, left: float, num_shops: int, groups: Masks, seconds: Floats, latest: Floats
) -> tuple[np.uint64, np.uint64]:
    """Return the groups whose shop, and those of which a point, can be visited in time from a node."""
    shops = points = np.uint64(0)
    for other in range(len(groups)):
        if left + seconds[node, other] <= latest[other]:
            if other < num_shops:
                shops |= groups[other]
            else:
                points |= groups[other]
    return shops, points


@compiled
def extend(
    num_shops: int,
    cents: Floats,
    seconds: Floats,
    metres: Floats,
    end_cents: Floats,
    end_seconds: Floats,
    end_metres: Floats,
    earliest: Floats,
    latest: Floats,
    service: Floats,
    limits: Floats,
    groups: Masks,
    on_board: np.uint64,
    table: Floats,
    least_in: Floats,
    node: NDArray[np.int64],
    parent: NDArray[np.int64],
    alive: NDArray[np.bool_],
    values: Floats,
    masks: Masks,
    at_node: Floats,
    masks_at_node: Masks,
    index: NDArray[np.int64],
    count: NDArray[np.int64],
    state: NDArray[np.int64],
    ends: NDArray[np.int64],
    end_values: Floats,
    best: Floats,
    beam: int,
    work: int,
) -> int:
    """
    Extend labels, first made first, until none is left, ``work`` comparisons are made or memory is full.

    At most ``beam`` labels are kept at a node, the cheapest ones; with fewer than all, nothing is proven.
    """
    num_nodes = len(groups)
    least_end = end_cents.min()
    current, made = state[0], state[1]
    while current < made:
        if current >= 0 and not alive[current]:
            current += 1
            continue
        if work <= 0 or made + num_nodes > len(node):
            state[0], state[1] = current, made
            return 1 if work <= 0 else 2
        here, cost, left, length = num_nodes, 0.0, limits[0], 0.0
        available, done = on_board, np.uint64(0)
        if current >= 0:
            here = node[current]
            cost, left, length = values[current, 0], values[current, 1], values[current, 2]
            available, done = masks[current, 0], masks[current, 1]
        for there in range(num_nodes):
            gained = groups[there] & (~available & ~done if there < num_shops else available)
            if there == here or not gained:
                continue
            begin = max(earliest[there], left + seconds[here, there])
            away = begin + service[there]
            far = length + metres[here, there]
            if begin > latest[there] or away + end_seconds[there] > limits[1]:
                continue
            if far + end_metres[there] > limits[2]:
                continue
            price = cost + cents[here, there]
            ready, over = available | gained, done
            if there >= num_shops:
                price -= weight(gained, table)
                ready, over = available & ~gained, done | gained
            shops, points = within_reach(there, away, num_shops, groups, seconds, latest)
            over |= (ready & ~points) | (~ready & ~shops)
            ready &= points
            promise = price + least_end - potential(ready, over, num_shops, groups, least_in, table)
            if promise >= best[0]:
                continue
            # What is available to one label only is worth at least the difference of all that is.
            poor = price - weight(ready, table)
            num, position, dominated = count[there], 0, False
            while position < num and at_node[there, position, 0] <= price:
                work -= 1
                if (
                    at_node[there, position, 3] <= poor + 1e-6
                    and at_node[there, position, 1] <= away
                    and at_node[there, position, 2] <= far
                ):
                    has, did = masks_at_node[there, position, 0], masks_at_node[there, position, 1]
                    lost = (ready & ~has) | (did & ~ready & ~over)
                    if not is_heavier(lost, table, price - at_node[there, position, 0]):
                        dominated = True
                        break
                position += 1
            if dominated or position >= beam:
                continue
            kept = position
            for other in range(position, num):
                work -= 1
                if (
                    at_node[there, other, 3] + 1e-6 >= poor
                    and at_node[there, other, 1] >= away
                    and at_node[there, other, 2] >= far
                ):
                    has, did = masks_at_node[there, other, 0], masks_at_node[there, other, 1]
                    lost = (has & ~ready) | (over & ~has & ~did)
                    if not is_heavier(lost, table, at_node[there, other, 0] - price):
                        alive[index[there, other]] = False
                        continue
                if kept < other:
                    at_node[there, kept] = at_node[there, other]
                    masks_at_node[there, kept] = masks_at_node[there, other]
                    index[there, kept] = index[there, other]
                kept += 1
            if kept >= beam:
                kept -= 1
                alive[index[there, kept]] = False
            if kept >= index.shape[1]:
                state[0], state[1] = current, made
                return 2
            for other in range(kept, position, -1):
                at_node[there, other] = at_node[there, other - 1]
                masks_at_node[there, other] = masks_at_node[there, other - 1]
                index[there, other] = index[there, other - 1]
            at_node[there, position, 0], at_node[there, position, 1] = price, away
            at_node[there, position, 2], at_node[there, position, 3] = far, poor
            masks_at_node[there, position, 0], masks_at_node[there, position, 1] = ready, over
            index[there, position], count[there] = made, kept + 1
            node[made], parent[made], alive[made] = there, current, True
            values[made, 0], values[made, 1], values[made, 2], values[made, 3] = price, away, far, promise
            masks[made, 0], masks[made, 1] = ready, over
            if price + end_cents[there] < end_values[there]:
                end_values[there], ends[there] = price + end_cents[there], made
                best[0] = min(best[0], end_values[there])
            made += 1
        current += 1
    state[0], state[1] = current, made
    return 0
