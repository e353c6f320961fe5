r"""
Labelling: the cheapest route of one vehicle for given rewards, compiled by numba.

Sets: nodes :math:`1..n`, shops first, then delivery points; groups :math:`g` of rewards, each with one shop,
the points at any of which it can be earned, and the longest ride of its goods. Letters of a label at node
:math:`v`: reduced cost :math:`c`, moment of departure :math:`t`, length :math:`l`, time spent driving and at
stops :math:`b`, for each shop the :math:`b` of its last visit; :math:`P` the groups whose goods are available
and not earned, :math:`D` those earned or out of reach for good, :math:`V` the places visited. All other
groups are open: a visit of their shop makes them available.

Extension to a shop makes its open groups available and those with a longest ride fresh; to a point earns
:math:`w_g` for each available group that it serves. Picking up is thus decided when the goods are delivered,
which needs no time or load of its own. Goods that can reach no point within their longest ride are open
again. A label at :math:`v` dominates another one there if :math:`c_1 \le c_2`, :math:`t_1 \le t_2`,
:math:`l_1 \le l_2`, :math:`b_1 \le b_2`, and what only the other one can still earn is worth no more than the
difference:

.. math:: \sum_{g \in (P_2 \setminus P'_1) \cup (D_1 \setminus (P_2 \cup D_2))} w_g \le c_2 - c_1,

where :math:`P'_1` are those of :math:`P_1` whose goods are no longer on board than with the other label. For
it can do whatever the other one will do, without those groups. A label is dropped, too, if no completion
(:mod:`optimizer.bound.completion`) can make it beat the best route.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizer.bound.completion import Completion, Masks, least_completion, weight
from optimizer.compiled import Floats, Ints, compiled

#: Labels kept in one run, and at one node.
MAX_LABELS, MAX_LABELS_AT_NODE = 1_000_000, 100_000
#: How a run of the labelling stands: every label is extended, the step is over, there is no room for more.
DONE, PAUSED, FULL = 0, 1, 2
#: Columns of the values of a label: reduced cost, departure, length, time spent, what no completion beats.
COST, TIME, LENGTH, SPENT, PROMISE = 0, 1, 2, 3, 4
#: In place of the last one at each node: reduced cost less the worth of what is available.
POOR = 4
#: Columns of the sets of a label.
AVAILABLE, OVER, VISITED = 0, 1, 2


class Graph(NamedTuple):
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
        Start of the run, latest end, greatest length, and longest run; shape ``(4,)``.
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


class Rewards(NamedTuple):
    """
    What can be earned.

    Parameters
    ----------
    groups
        Of each node, those that have it as shop or point.
    on_board, limited
        Groups that need no shop, and those with a longest ride.
    shops, rides
        Of each group, its shop (0 if it needs none) and its longest ride in seconds.
    soonest
        Seconds from each node (row) to the next point of each group (column).
    table
        Weight of each value of each byte of a set; shape ``(8, 256)``.
    """

    groups: Masks
    on_board: np.uint64
    limited: np.uint64
    shops: Ints
    rides: Floats
    soonest: Floats
    table: Floats


class Labels(NamedTuple):
    """
    Memory of a run: labels in the order of their making, the start first, and at each node by rising cost.

    ``loaded`` holds for each label and shop the time spent when the shop was last left; ``members`` the
    numbers of the labels at each node and ``num_members`` how many there are; ``state`` the labels extended
    and made; ``best`` the reduced cost of the best route, and what no completion of labels dropped to save
    time beats.
    """

    node: Ints
    parent: Ints
    alive: NDArray[np.bool_]
    values: Floats
    masks: Masks
    loaded: Floats
    at_node: Floats
    masks_at_node: Masks
    members: Ints
    num_members: Ints
    state: Ints
    best: Floats


def empty_labels(num_nodes: int, num_shops: int) -> Labels:
    """Return memory for a graph; pages that are never used cost nothing."""
    room = min(MAX_LABELS_AT_NODE, 6_000_000 // max(1, num_nodes))
    return Labels(
        node=np.empty(MAX_LABELS, np.int64),
        parent=np.empty(MAX_LABELS, np.int64),
        alive=np.empty(MAX_LABELS, np.bool_),
        values=np.empty((MAX_LABELS, 5)),
        masks=np.empty((MAX_LABELS, 3), np.uint64),
        loaded=np.zeros((MAX_LABELS, num_shops)),
        at_node=np.empty((num_nodes, room, 5)),
        masks_at_node=np.empty((num_nodes, room, 2), np.uint64),
        members=np.empty((num_nodes, room), np.int64),
        num_members=np.zeros(num_nodes, np.int64),
        state=np.zeros(2, np.int64),
        best=np.zeros(2),
    )


def restart(labels: Labels, graph: Graph, rewards: Rewards, completion: Completion, least: float) -> None:
    """Forget everything but the start of the run; only routes below ``least`` will be found."""
    labels.num_members[:] = 0
    labels.state[:] = 0, 1
    labels.best[:] = least, np.inf
    labels.node[0], labels.parent[0], labels.alive[0] = len(graph.end_cents), -1, True
    labels.values[0] = 0.0, graph.limits[0], 0.0, 0.0, completion.cents[0, -1]
    metres, seconds = graph.limits[2], min(graph.limits[1] - graph.limits[0], graph.limits[3])
    rated = completion.rated_cents[0, -1] - completion.rates @ (metres, seconds)
    labels.values[0, PROMISE] = max(labels.values[0, PROMISE], rated)
    labels.masks[0] = rewards.on_board, 0, 0
    labels.loaded[0] = 0.0


def least_proven(labels: Labels) -> float:
    """Return what no route can beat, though labels may be left to extend, or were dropped to save time."""
    first, after = labels.state
    alive = labels.alive[first:after]
    least_open = labels.values[first:after, PROMISE][alive].min(initial=np.inf)
    return float(min(labels.best[0], labels.best[1], least_open))


def nodes_to(labels: Labels, label: int) -> list[int]:
    """Return the nodes that lead to a label, in the order of the route."""
    nodes = []
    while label > 0:
        nodes.append(int(labels.node[label]))
        label = int(labels.parent[label])
    return nodes[::-1]


@compiled
def extend(
    graph: Graph, rewards: Rewards, completion: Completion, labels: Labels, beam: int, work: int
) -> int:
    """
    Extend labels, first made first, until none is left, ``work`` comparisons are made or memory is full.

    At most ``beam`` labels are kept at a node, the cheapest ones.
    """
    num_nodes = len(graph.end_cents)
    current, made = labels.state[0], labels.state[1]
    status = DONE
    while current < made:
        if labels.alive[current] and labels.values[current, PROMISE] < labels.best[0]:
            if work <= 0 or made + num_nodes > len(labels.node):
                status = PAUSED if work <= 0 else FULL
                break
            work -= num_nodes
            for there in range(num_nodes):
                if is_promising(graph, rewards, completion, labels, current, there, made):
                    position, compared = place_of(rewards, labels, made, there)
                    work -= compared
                    if position < 0:
                        continue
                    if position >= beam:
                        forget(labels, made)
                        continue
                    work -= insert(rewards, labels, current, made, there, position, beam)
                    if labels.num_members[there] >= labels.members.shape[1]:
                        labels.state[0], labels.state[1] = current, made + 1
                        return FULL
                    end = labels.values[made, COST] + graph.end_cents[there]
                    labels.best[0] = min(labels.best[0], end)
                    made += 1
        current += 1
    labels.state[0], labels.state[1] = current, made
    return status


@compiled
def is_promising(
    graph: Graph,
    rewards: Rewards,
    completion: Completion,
    labels: Labels,
    current: int,
    there: int,
    made: int,
) -> bool:
    """Write the extension of a label to a node as label ``made``, and tell whether it may beat the best."""
    here, groups, is_shop = labels.node[current], rewards.groups[there], there < graph.num_shops
    available, over = labels.masks[current, AVAILABLE], labels.masks[current, OVER]
    gained = groups & (~over & (~available | rewards.limited) if is_shop else available)
    if there == here or not gained:
        return False
    begin = max(graph.earliest[there], labels.values[current, TIME] + graph.seconds[here, there])
    away = begin + graph.service[there]
    far = labels.values[current, LENGTH] + graph.metres[here, there]
    spent = labels.values[current, SPENT] + graph.seconds[here, there]
    if begin > graph.latest[there] or away + graph.end_seconds[there] > graph.limits[1]:
        return False
    if far + graph.end_metres[there] > graph.limits[2]:
        return False
    if spent + graph.service[there] + graph.end_seconds[there] > graph.limits[3]:
        return False
    price = labels.values[current, COST] + graph.cents[here, there]
    for shop in range(graph.num_shops):
        labels.loaded[made, shop] = labels.loaded[current, shop]
    if is_shop:
        available |= gained
        labels.loaded[made, there] = spent + graph.service[there]
    else:
        gained &= ~late(gained & rewards.limited, rewards, labels.loaded[made], spent, -1)
        if not gained:
            return False
        price -= weight(gained, rewards.table)
        available, over = available & ~gained, over | gained
    spent += graph.service[there]
    available &= ~late(available & rewards.limited, rewards, labels.loaded[made], spent, there)
    shops, points = within_reach(graph, rewards, there, away)
    over |= ~points | (~available & ~shops)
    available &= points
    visited = labels.masks[current, VISITED] | completion.bits[there]
    labels.values[made, COST], labels.values[made, TIME] = price, away
    labels.values[made, LENGTH], labels.values[made, SPENT] = far, spent
    labels.masks[made, AVAILABLE], labels.masks[made, OVER] = available, over
    labels.masks[made, VISITED] = visited
    labels.node[made], labels.parent[made], labels.alive[made] = there, current, True
    metres, seconds = graph.limits[2] - far, min(graph.limits[1] - away, graph.limits[3] - spent)
    rest = least_completion(completion, rewards.table, there, over, visited, metres, seconds)
    labels.values[made, PROMISE] = price + rest
    return bool(price + rest < labels.best[0])


@compiled
def late(groups: np.uint64, rewards: Rewards, loaded: Floats, spent: float, here: int) -> np.uint64:
    """Return those of some groups whose goods ride too long to a point: to this one, or to the next."""
    found = np.uint64(0)
    group = 0
    while groups:
        if groups & np.uint64(1):
            arrival = spent if here < 0 else spent + rewards.soonest[here, group]
            if arrival - loaded[rewards.shops[group]] > rewards.rides[group]:
                found |= np.uint64(1) << np.uint64(group)
        groups = groups >> np.uint64(1)
        group += 1
    return found


@compiled
def within_reach(graph: Graph, rewards: Rewards, node: int, left: float) -> tuple[np.uint64, np.uint64]:
    """Return the groups whose shop, and those of which a point, can be visited in time from a node."""
    shops = points = np.uint64(0)
    for other in range(len(graph.end_cents)):
        if left + graph.seconds[node, other] <= graph.latest[other]:
            if other < graph.num_shops:
                shops |= rewards.groups[other]
            else:
                points |= rewards.groups[other]
    return shops, points


@compiled
def place_of(rewards: Rewards, labels: Labels, made: int, there: int) -> tuple[int, int]:
    """Return the position of a label at its node, -1 if it is dominated, and the comparisons made."""
    cost = labels.values[made, COST]
    available, over = labels.masks[made, AVAILABLE], labels.masks[made, OVER]
    # What is available to one label only is worth at least the difference of all that is.
    poor = cost - weight(available, rewards.table)
    position, num = 0, labels.num_members[there]
    while position < num and labels.at_node[there, position, COST] <= cost:
        if (
            labels.at_node[there, position, POOR] <= poor + 1e-6
            and labels.at_node[there, position, TIME] <= labels.values[made, TIME]
            and labels.at_node[there, position, LENGTH] <= labels.values[made, LENGTH]
            and labels.at_node[there, position, SPENT] <= labels.values[made, SPENT]
        ):
            has, did = labels.masks_at_node[there, position, 0], labels.masks_at_node[there, position, 1]
            lost = (available & ~has) | (did & ~available & ~over)
            spare = cost - labels.at_node[there, position, COST]
            if not is_heavier(lost, rewards.table, spare):
                lost |= staler(rewards, labels, labels.members[there, position], made, available & has)
                if not is_heavier(lost, rewards.table, spare):
                    return -1, position
        position += 1
    return position, position


@compiled
def insert(
    rewards: Rewards, labels: Labels, current: int, made: int, there: int, position: int, beam: int
) -> int:
    """Insert a label at its node, drop those that it dominates, and return the comparisons made."""
    cost = labels.values[made, COST]
    available, over = labels.masks[made, AVAILABLE], labels.masks[made, OVER]
    poor = cost - weight(available, rewards.table)
    num, kept = labels.num_members[there], position
    for other in range(position, num):
        if (
            labels.at_node[there, other, POOR] + 1e-6 >= poor
            and labels.at_node[there, other, TIME] >= labels.values[made, TIME]
            and labels.at_node[there, other, LENGTH] >= labels.values[made, LENGTH]
            and labels.at_node[there, other, SPENT] >= labels.values[made, SPENT]
        ):
            has, did = labels.masks_at_node[there, other, 0], labels.masks_at_node[there, other, 1]
            lost = (has & ~available) | (over & ~has & ~did)
            spare = labels.at_node[there, other, COST] - cost
            if not is_heavier(lost, rewards.table, spare):
                lost |= staler(rewards, labels, made, labels.members[there, other], available & has)
                if not is_heavier(lost, rewards.table, spare):
                    labels.alive[labels.members[there, other]] = False
                    continue
        if kept < other:
            move(labels, there, other, kept)
        kept += 1
    if kept >= beam:
        kept -= 1
        last = labels.members[there, kept]
        if last > current:
            forget(labels, last)
    for other in range(kept, position, -1):
        move(labels, there, other - 1, other)
    for column in range(POOR):
        labels.at_node[there, position, column] = labels.values[made, column]
    labels.at_node[there, position, POOR] = poor
    labels.masks_at_node[there, position, 0], labels.masks_at_node[there, position, 1] = available, over
    labels.members[there, position], labels.num_members[there] = made, kept + 1
    return int(num - position)


@compiled
def forget(labels: Labels, label: int) -> None:
    """Drop a label that might have led to the best route."""
    labels.alive[label] = False
    labels.best[1] = min(labels.best[1], labels.values[label, PROMISE])


@compiled
def move(labels: Labels, there: int, source: int, target: int) -> None:
    """Copy what is kept of a label at its node to another position."""
    for column in range(POOR + 1):
        labels.at_node[there, target, column] = labels.at_node[there, source, column]
    labels.masks_at_node[there, target, 0] = labels.masks_at_node[there, source, 0]
    labels.masks_at_node[there, target, 1] = labels.masks_at_node[there, source, 1]
    labels.members[there, target] = labels.members[there, source]


@compiled
def staler(rewards: Rewards, labels: Labels, one: int, other: int, groups: np.uint64) -> np.uint64:
    """Return those of some groups whose goods have been on board longer with one label than with another."""
    found = np.uint64(0)
    groups &= rewards.limited
    longer = labels.values[one, SPENT] - labels.values[other, SPENT]
    group = 0
    while groups:
        if groups & np.uint64(1):
            shop = rewards.shops[group]
            if longer > labels.loaded[one, shop] - labels.loaded[other, shop]:
                found |= np.uint64(1) << np.uint64(group)
        groups = groups >> np.uint64(1)
        group += 1
    return found


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
