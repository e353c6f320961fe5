r"""
Pricing: the route of a class of vehicles that pays most at given prices, over places instead of orders.

Sets: orders :math:`i`, their options :math:`o`, shared rows :math:`q` (see
:class:`optimizer.compartments.Room`). Letters: :math:`\pi_i \ge 0` the reward of carrying an order,
:math:`\mu_q \ge 0` the price of a unit of a row, :math:`b_{ioq}` what an option takes of it,
:math:`e_{io}` its preference penalty, :math:`h_{io}` the cost of the time for picking up and handing over.
An option is worth

.. math:: v_{io} = \pi_i - e_{io} - h_{io} - \sum_q \mu_q b_{ioq},

and a route earns for each order the best option it visits after the order's shop. Sorted by worth, the
options of an order are steps: the first step is earned at any of its options, the next at any but the worst,
and so on. Steps with the same shop, the same points and the same longest ride add up to one group, so that
labels (:mod:`optimizer.bound.labels`) need few bits.

What is relaxed. Ways between nodes are the cheapest, fastest and shortest ones through any places, each for
itself; waiting is free, and counts neither for rides nor for longest runs. Loads, breaks, lateness and broken
promises are not counted, nor are trips and turnarounds (with several trips no range either). Several windows
of a place become one from the first opening to the last closing, all orders of a shop, or of a point, share
the widest window of any, and a visit takes the time of its quickest order. All of this only makes routes
cheaper or more, so the least reduced cost found is never above that of any route that can be driven.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np

from optimizer.bound.completion import Completion, Completions, Measure
from optimizer.bound.labels import (
    PAUSED,
    Graph,
    Rewards,
    empty_labels,
    extend,
    least_proven,
    nodes_to,
    restart,
)
from optimizer.bound.ways import Choice, Ways
from optimizer.compartments import Room, Row
from optimizer.compiled import Floats
from optimizer.day import Day, VehicleClass

#: Groups that fit the words of a label.
MAX_GROUPS = 64
#: Comparisons between two looks at the clock.
STEP = 10_000_000
#: Routes returned at once, unless more are asked for.
NUM_PATHS = 30
#: A cost term may fall short of its exact value by half a cent, and the check forgives a little more.
ROUNDING_CENTS = 0.5 + 2e-6


@dataclass(frozen=True, slots=True, eq=False)
class Duals:
    """Rewards of orders, prices of shared rows, and the worth of one more vehicle of each class."""

    orders: Floats
    rows: Mapping[Row, float]
    classes: Floats


def blended(one: Duals, other: Duals, share: float) -> Duals:
    """Return prices between two others; ``share`` is that of the first."""

    def mixed(a: float, b: float) -> float:
        return share * a + (1 - share) * b

    return Duals(
        orders=share * one.orders + (1 - share) * other.orders,
        rows={row: mixed(one.rows[row], price) for row, price in other.rows.items()},
        classes=share * one.classes + (1 - share) * other.classes,
    )


@dataclass(frozen=True, slots=True)
class Path:
    """
    A route of the relaxation: what it carries with which option, its cost, and its places in order.

    Routes that are known from elsewhere have no places here.
    """

    vehicle: int
    places: tuple[int, ...]
    orders: tuple[tuple[int, int], ...]
    cents: float


@dataclass(frozen=True, slots=True)
class Priced:
    """What no route of a class beats in reduced cost, however short the search was, and routes found."""

    least: float
    paths: tuple[Path, ...]


class Group(NamedTuple):
    """The shop of some rewards, if the goods are not on board, their points, and their longest ride."""

    shop: int | None
    points: frozenset[int]
    ride_s: float

    def is_within(self, other: "Group") -> bool:
        """Tell whether another group can be earned wherever this one can."""
        return self.shop == other.shop and self.points <= other.points and self.ride_s <= other.ride_s


class Pricer:
    """Pricing for one class of vehicles."""

    def __init__(self, day: Day, room: Room, vehicle: VehicleClass) -> None:
        self._room = room
        self.vehicle = vehicle
        self._ways = Ways(vehicle)
        options = [
            (order, option)
            for order, row in enumerate(day.problem.orders)
            for option in range(len(row.options))
            if self._ways.can_carry(day, order, option)
        ]
        waiting = {order for order, _ in options if order not in day.loaded}
        shops = sorted({day.place_index[day.problem.orders[order].pickup_place] for order in waiting})
        points = sorted({day.option_place(order, option) for order, option in options})
        self._shops = {place: node for node, place in enumerate(shops)}
        self._points = {place: node for node, place in enumerate(points, start=len(shops))}
        self.places = (*shops, *points)
        self._choices = [self._choice(day, order, option) for order, option in options]
        self.graph = self._ways.graph(day, self.places, len(shops), self._choices)
        self._labels = empty_labels(len(self.places), len(shops))
        self._completions = _completions(self.graph)
        prices = vehicle.prices
        terms = (
            prices.per_km_cents,
            prices.per_hour_cents,
            prices.co2e_g_per_km * prices.co2e_per_kg_cents,
        )
        self.fixed_cents = prices.fixed_cents - sum(price > 0 for price in terms) * ROUNDING_CENTS

    def empty_cents(self) -> float:
        """Return the cost of driving without any stop."""
        return self.fixed_cents + float(self._ways.end_cents[self.vehicle.start])

    def price(
        self,
        duals: Duals,
        forbidden: Collection[tuple[int, int, int]],
        *,
        beam: int,
        should_stop: Callable[[], bool],
        num_paths: int = NUM_PATHS,
    ) -> Priced:
        """
        Search routes of negative reduced cost.

        Parameters
        ----------
        duals
            Prices at which routes are valued.
        forbidden
            Orders, options and classes that do not go together.
        beam
            Labels kept at each node.
        should_stop
            Asked at every step.
        num_paths
            Routes returned at most.
        """
        worth = self.worth(duals, forbidden)
        groups = self._groups(worth)
        # A route may carry nothing of worth; then it costs no less than going straight from start to end.
        goal = min(float(duals.classes[self.vehicle.index]), self.empty_cents()) - self.fixed_cents - 1e-6
        if not groups:
            return Priced(self.fixed_cents + goal, ())
        rewards, completion = self._encoded(groups)
        restart(self._labels, self.graph, rewards, completion, goal)
        self._run(rewards, completion, beam, should_stop)
        least = self.fixed_cents + least_proven(self._labels)
        return Priced(least, tuple(islice(self._paths(worth, goal), num_paths)))

    def _run(
        self, rewards: Rewards, completion: Completion, beam: int, should_stop: Callable[[], bool]
    ) -> None:
        while extend(self.graph, rewards, completion, self._labels, beam, STEP) == PAUSED:
            if should_stop():
                return

    def _choice(self, day: Day, order: int, option: int) -> Choice:
        row = day.problem.orders[order]
        on_board = order in day.loaded
        handling_s = row.handling_s * (1 if on_board else 2) + row.options[option].handling_s
        ride_s = None if on_board else day.ride_limit_s(row)
        return Choice(
            order=order,
            option=option,
            shop=None if on_board else self._shops[day.place_index[row.pickup_place]],
            point=self._points[day.option_place(order, option)],
            cents=row.options[option].preference_penalty_cents + handling_s * self.vehicle.prices.per_s_cents,
            ride_s=math.inf if ride_s is None else float(ride_s),
        )

    def worth(self, duals: Duals, forbidden: Collection[tuple[int, int, int]]) -> list[tuple[float, Choice]]:
        """Return what each option is worth, for those that are worth anything, by rising worth."""
        worth = []
        for choice in self._choices:
            if (choice.order, choice.option, self.vehicle.index) not in forbidden:
                value = float(duals.orders[choice.order]) - choice.cents
                for row, amount in self._room.claims(choice.order, choice.option).items():
                    value -= duals.rows.get(row, 0.0) * amount
                if value > 1e-9:
                    worth.append((value, choice))
        return sorted(worth, key=lambda pair: pair[0])

    def _groups(self, worth: Sequence[tuple[float, Choice]]) -> dict[Group, float]:
        """
        Return the steps of all orders by shop, points and longest ride, and what each is worth.

        Are there too many, the least precious join the next wider ones: they are earned at more points.
        """
        by_order: dict[int, list[tuple[float, Choice]]] = {}
        for value, choice in worth:
            by_order.setdefault(choice.order, []).append((value, choice))
        groups: dict[Group, float] = {}
        for steps in by_order.values():
            before = 0.0
            for number, (value, choice) in enumerate(steps):
                if value > before:
                    points = frozenset(other.point for _, other in steps[number:])
                    key = Group(choice.shop, points, choice.ride_s)
                    groups[key] = groups.get(key, 0.0) + value - before
                    before = value
        return _few(groups)

    def _encoded(self, groups: Mapping[Group, float]) -> tuple[Rewards, Completion]:
        """Return the groups as bits of words, and what a rest of a route can gain of them."""
        num_nodes = len(self.places)
        masks = [0] * num_nodes
        on_board = limited = 0
        weights, rides = np.zeros(MAX_GROUPS), np.full(MAX_GROUPS, np.inf)
        shops = np.full(MAX_GROUPS, -1, dtype=np.int64)
        soonest = np.full((num_nodes, MAX_GROUPS), np.inf)
        for bit, (group, value) in enumerate(groups.items()):
            weights[bit], rides[bit] = value, group.ride_s
            on_board |= (group.shop is None) << bit
            limited |= (group.ride_s < math.inf) << bit
            shops[bit] = -1 if group.shop is None else group.shop
            soonest[:, bit] = self.graph.seconds[:num_nodes, sorted(group.points)].min(axis=1)
            for node in group.points if group.shop is None else (group.shop, *group.points):
                masks[node] |= 1 << bit
        bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
        rewards = Rewards(
            groups=np.array(masks, dtype=np.uint64),
            on_board=np.uint64(on_board),
            limited=np.uint64(limited),
            shops=np.maximum(shops, 0),
            rides=rides,
            soonest=soonest,
            table=np.asarray(weights.reshape(8, 8) @ bits.T, dtype=float),
        )
        return rewards, self._completions.of(weights, shops, rewards.groups)

    def _paths(self, worth: Sequence[tuple[float, Choice]], goal: float) -> Iterator[Path]:
        """Yield the best routes, each of other orders than the rest."""
        made = int(self._labels.state[1])
        cents = np.full(made, np.inf)
        cents[1:] = self._labels.values[1:made, 0] + self.graph.end_cents[self._labels.node[1:made]]
        good = np.flatnonzero(cents < goal)
        seen = set()
        for label in good[np.argsort(cents[good])]:
            path = self.path_of(nodes_to(self._labels, int(label)), worth)
            if path.orders not in seen:
                seen.add(path.orders)
                yield path

    def _rides(self, nodes: Sequence[int]) -> dict[tuple[int | None, int], float]:
        """Return the shortest ride from each shop, or on board, to each later point of a route."""
        graph, spent_s = self.graph, 0.0
        left_s: dict[int | None, float] = {None: 0.0}
        rides: dict[tuple[int | None, int], float] = {}
        here = len(self.places)
        for node in nodes:
            spent_s += graph.seconds[here, node]
            if node >= graph.num_shops:
                for shop, moment_s in left_s.items():
                    ride_s = 0.0 if shop is None else spent_s - moment_s
                    rides[shop, node] = min(ride_s, rides.get((shop, node), math.inf))
            spent_s += graph.service[node]
            if node < graph.num_shops:
                left_s[node] = spent_s
            here = node
        return rides

    def path_of(self, nodes: Sequence[int], worth: Sequence[tuple[float, Choice]]) -> Path:
        """Return the route along some nodes with the most precious options that it can serve."""
        graph = self.graph
        ridden_s = self._rides(nodes)
        chosen: dict[int, Choice] = {}
        for _, choice in worth:
            ride_s = ridden_s.get((choice.shop, choice.point))
            if ride_s is not None and ride_s <= choice.ride_s:
                chosen[choice.order] = choice
        ways = graph.cents[len(self.places), nodes[0]] + graph.end_cents[nodes[-1]]
        ways += sum(graph.cents[one, other] for one, other in pairwise(nodes))
        return Path(
            vehicle=self.vehicle.index,
            places=tuple(self.places[node] for node in nodes),
            orders=tuple((order, choice.option) for order, choice in sorted(chosen.items())),
            cents=self.fixed_cents + float(ways) + sum(choice.cents for choice in chosen.values()),
        )


def _completions(graph: Graph) -> Completions:
    start_s, latest_s, longest_m, longest_s = graph.limits
    seconds = Measure(graph.seconds + graph.service, graph.end_seconds, min(latest_s - start_s, longest_s))
    metres = Measure(graph.metres, graph.end_metres, longest_m)
    return Completions(graph.num_shops, graph.cents, graph.end_cents, metres, seconds)


def _few(groups: dict[Group, float]) -> dict[Group, float]:
    """Return at most as many groups as a label can hold, none of them harder to earn than before."""
    while len(groups) > MAX_GROUPS:
        num_of_shop = Counter(group.shop for group in groups)
        joinable = [group for group in groups if num_of_shop[group.shop] > 1]
        if not joinable:
            raise TooManyGroups
        least = min(joinable, key=lambda group: groups[group])
        value = groups.pop(least)
        others = [group for group in groups if group.shop == least.shop]
        wider = next((group for group in others if least.is_within(group)), None)
        if wider is None:
            other = min(others, key=lambda group: len(group.points | least.points))
            wider = Group(least.shop, other.points | least.points, max(other.ride_s, least.ride_s))
            value += groups.pop(other)
        groups[wider] = groups.get(wider, 0.0) + value
    return groups


class TooManyGroups(Exception):
    """More shops have goods of worth than a label can hold."""
