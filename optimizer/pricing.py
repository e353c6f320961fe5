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
and so on. Steps with the same shop and the same points add up to one group, so that labels
(:mod:`optimizer.pricing_labels`) need few bits.

What is relaxed. Ways between nodes are the cheapest, fastest and shortest ones through any places, each for
itself; waiting is free. Loads, rides, breaks, lateness and broken promises are not counted, nor are longest
runs, trips and turnarounds (with several trips no range either). Several windows of a place become one from
the first opening to the last closing, all orders of a shop, or of a point, share the widest window of any,
and a visit takes the time of its quickest order. All of this only makes routes cheaper or more, so the least
reduced cost found is never above that of any route that can be driven.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optimizer.compartments import Room, Row
from optimizer.day import Day, VehicleClass
from optimizer.pricing_labels import (
    DONE,
    MAX_GROUPS,
    MAX_LABELS,
    PAUSED,
    Floats,
    Labels,
    Masks,
    extend,
)
from optimizer.pricing_ways import Choice, Ways, least_in, levelled

#: Comparisons between two looks at the clock.
STEP = 10_000_000
#: Routes returned at once, at most.
NUM_PATHS = 30
#: A cost term may fall short of its exact value by half a cent, and the check forgives a little more.
ROUNDING_CENTS = 0.5 + 2e-6


@dataclass(frozen=True, slots=True, eq=False)
class Duals:
    """Rewards of orders, prices of shared rows, and the worth of one more vehicle of each class."""

    orders: Floats
    rows: Mapping[Row, float]
    classes: Floats


@dataclass(frozen=True, slots=True)
class Path:
    """A route of the relaxation: nodes in order, what it carries with which option, and its cost."""

    vehicle: int
    nodes: tuple[int, ...]
    orders: tuple[tuple[int, int], ...]
    cents: float


@dataclass(frozen=True, slots=True)
class Priced:
    """What no route of a class beats in reduced cost, whether the search was finished, and routes found."""

    least: float
    finished: bool
    paths: tuple[Path, ...]


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
        self._graph = levelled(self._ways.graph(day, self.places, len(shops), self._choices))
        self._labels = Labels.empty(len(self.places))
        self._least_in = least_in(self._graph.cents)
        terms = (vehicle.prices.per_km_cents, vehicle.prices.per_hour_cents)
        num_rounded = sum(price > 0 for price in terms) + (vehicle.prices.per_m_cents > 0)
        self.fixed_cents = vehicle.prices.fixed_cents - num_rounded * ROUNDING_CENTS

    def empty_cents(self) -> float:
        """Return the cost of driving without any stop."""
        return self.fixed_cents + float(self._ways.end_cents[self.vehicle.start])

    def price(
        self,
        duals: Duals,
        allowed: Sequence[bool],
        *,
        beam: int | None,
        should_stop: Callable[[], bool],
    ) -> Priced:
        """
        Search routes of negative reduced cost.

        Parameters
        ----------
        duals
            Prices at which routes are valued.
        allowed
            For each order whether the class may carry it.
        beam
            Labels kept at each node; ``None`` keeps all, and only then ``least`` is proven.
        should_stop
            Asked at every step.
        """
        worth = self._worth(duals, allowed)
        groups = self._groups(worth)
        # A route may carry nothing of worth; then it costs no less than going straight from start to end.
        goal = min(float(duals.classes[self.vehicle.index]), self.empty_cents()) - self.fixed_cents - 1e-6
        if not groups:
            return Priced(self.fixed_cents + goal, True, ())
        masks, on_board, table = _encoded(groups, len(self.places))
        self._labels.restart(goal)
        status = self._run(masks, on_board, table, beam or MAX_LABELS, should_stop)
        bound = float(self._labels.best[0])
        if status != DONE:
            bound = min(bound, self._labels.least_open())
        return Priced(self.fixed_cents + bound, status == DONE, tuple(self._paths(worth, goal)))

    def _run(
        self, masks: Masks, on_board: np.uint64, table: Floats, beam: int, should_stop: Callable[[], bool]
    ) -> int:
        graph, labels = self._graph, self._labels
        status = PAUSED
        while status == PAUSED:
            status = extend(
                graph.num_shops,
                graph.cents,
                graph.seconds,
                graph.metres,
                graph.end_cents,
                graph.end_seconds,
                graph.end_metres,
                graph.earliest,
                graph.latest,
                graph.service,
                graph.limits,
                masks,
                on_board,
                table,
                self._least_in,
                labels.node,
                labels.parent,
                labels.alive,
                labels.values,
                labels.masks,
                labels.at_node,
                labels.masks_at_node,
                labels.index,
                labels.count,
                labels.state,
                labels.ends,
                labels.end_values,
                labels.best,
                beam,
                STEP,
            )
            if should_stop():
                break
        return int(status)

    def _choice(self, day: Day, order: int, option: int) -> Choice:
        row = day.problem.orders[order]
        on_board = order in day.loaded
        handling_s = row.handling_s * (1 if on_board else 2) + row.options[option].handling_s
        return Choice(
            order=order,
            option=option,
            shop=None if on_board else self._shops[day.place_index[row.pickup_place]],
            point=self._points[day.option_place(order, option)],
            cents=row.options[option].preference_penalty_cents + handling_s * self.vehicle.prices.per_s_cents,
        )

    def _worth(self, duals: Duals, allowed: Sequence[bool]) -> list[tuple[float, Choice]]:
        """Return what each option is worth, for those that are worth anything, by rising worth."""
        worth = []
        for choice in self._choices:
            if allowed[choice.order]:
                value = float(duals.orders[choice.order]) - choice.cents
                for row, amount in self._room.claims(choice.order, choice.option).items():
                    value -= duals.rows.get(row, 0.0) * amount
                if value > 1e-9:
                    worth.append((value, choice))
        return sorted(worth, key=lambda pair: pair[0])

    def _groups(
        self, worth: Sequence[tuple[float, Choice]]
    ) -> dict[tuple[int | None, frozenset[int]], float]:
        """
        Return the steps of all orders by shop and points, and what each is worth.

        Are there too many, the least precious join the next wider ones: they are earned at more points.
        """
        by_order: dict[int, list[tuple[float, Choice]]] = {}
        for value, choice in worth:
            by_order.setdefault(choice.order, []).append((value, choice))
        groups: dict[tuple[int | None, frozenset[int]], float] = {}
        for steps in by_order.values():
            before = 0.0
            for number, (value, choice) in enumerate(steps):
                if value > before:
                    key = choice.shop, frozenset(other.point for _, other in steps[number:])
                    groups[key] = groups.get(key, 0.0) + value - before
                    before = value
        return _few(groups)

    def _paths(self, worth: Sequence[tuple[float, Choice]], goal: float) -> Iterator[Path]:
        """Yield the best routes, each of other orders than the rest."""
        made = int(self._labels.state[1])
        cents = self._labels.values[:made, 0] + self._graph.end_cents[self._labels.node[:made]]
        good = np.flatnonzero(cents < goal)
        seen = set()
        for label in good[np.argsort(cents[good])]:
            path = self.path_of(self._labels.path(int(label)), worth)
            if path.orders not in seen:
                seen.add(path.orders)
                yield path
            if len(seen) >= NUM_PATHS:
                return

    def path_of(self, nodes: Sequence[int], worth: Sequence[tuple[float, Choice]]) -> Path:
        """Return the route along some nodes with the most precious options that it can serve."""
        graph = self._graph
        chosen: dict[int, Choice] = {}
        for _, choice in worth:
            first = -1 if choice.shop is None else _first(nodes, choice.shop)
            if first is not None and choice.point in nodes[first + 1 :]:
                chosen[choice.order] = choice
        ways = graph.cents[len(self.places), nodes[0]] + graph.end_cents[nodes[-1]]
        ways += sum(graph.cents[one, other] for one, other in pairwise(nodes))
        return Path(
            vehicle=self.vehicle.index,
            nodes=tuple(nodes),
            orders=tuple((order, choice.option) for order, choice in sorted(chosen.items())),
            cents=self.fixed_cents + float(ways) + sum(choice.cents for choice in chosen.values()),
        )


def _first(nodes: Sequence[int], node: int) -> int | None:
    return next((position for position, other in enumerate(nodes) if other == node), None)


def _few(
    groups: dict[tuple[int | None, frozenset[int]], float],
) -> dict[tuple[int | None, frozenset[int]], float]:
    """Return at most as many groups as a label can hold, none of them harder to earn than before."""
    while len(groups) > MAX_GROUPS:
        shop, points = min(groups, key=lambda key: groups[key])
        value = groups.pop((shop, points))
        others = [key for key in groups if key[0] == shop]
        wider = next((key for key in others if key[1] > points), None)
        if wider is None:
            if not others:
                raise TooManyGroups
            other = min(others, key=lambda key: len(key[1] | points))
            wider = shop, other[1] | points
            value += groups.pop(other)
        groups[wider] = groups.get(wider, 0.0) + value
    return groups


class TooManyGroups(Exception):
    """More shops have goods of worth than a label can hold."""


def _encoded(
    groups: Mapping[tuple[int | None, frozenset[int]], float], num_nodes: int
) -> tuple[Masks, np.uint64, Floats]:
    """Return the groups of each node and those on board as bits, and the weights of all bytes."""
    masks = [0] * num_nodes
    on_board = 0
    weights = np.zeros(MAX_GROUPS)
    for bit, ((shop, points), value) in enumerate(groups.items()):
        weights[bit] = value
        if shop is None:
            on_board |= 1 << bit
        for node in points if shop is None else (shop, *points):
            masks[node] |= 1 << bit
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    table = np.asarray(weights.reshape(8, 8) @ bits.T, dtype=float)
    return np.array(masks, dtype=np.uint64), np.uint64(on_board), table
