"""Ruin and recreate for a search: from its best plan and back."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from optimizer.compiled import Ints, below, generator
from optimizer.insertion import Tour, repaired
from optimizer.lns.anneal import anneal, recreate
from optimizer.lns.arrays import (
    CLAIMS_BEGIN,
    CLAIMS_END,
    DURATION,
    KEPT,
    LEG,
    LENGTH,
    NUM_KEYS,
    NUM_TRIPS,
    ORDER,
    PER_M,
    PER_S,
    SIZE,
    VEHICLE,
    Data,
    State,
    empty_state,
)
from optimizer.lns.packing import Packing
from optimizer.lns.routes import copy_route, refresh
from optimizer.lns.shrink import close_one, shrink
from optimizer.master import Column
from optimizer.search import Search

#: Legs of one route, and routes that are remembered between two looks at them, at most.
MAX_LEGS, MAX_HARVEST = 1_000, 400
#: Orders that are inserted at once.
CHUNK = 50
#: Slots for routes that were seen.
NUM_SEEN = 2**17


class Improver:
    """
    Ruin and recreate on the orders of a search.

    Its arrays outlast calls, so that annealing goes on where it was.

    Parameters
    ----------
    options
        That are open to each order, at least one.
    """

    def __init__(self, search: Search, options: Mapping[int, Sequence[int]], seed: int) -> None:
        self._search = search
        self.packing = Packing(search.day, search.room, search.reach, options)
        data = self.packing.data
        max_legs = min(
            MAX_LEGS, 2 * len(self.packing.orders) + 2 * int(data.classes[:, NUM_TRIPS].max(initial=1)) + 4
        )
        self.current, self.tried, self.best = (empty_state(data, max_legs) for _ in range(3))
        self._random = generator(seed)
        self._is_open = np.ones(len(data.vehicle_class), dtype=np.int64)
        self._harvest = np.zeros((MAX_HARVEST, max_legs + 2), dtype=np.int64)
        self._harvest_size = np.zeros(1, dtype=np.int64)
        self._seen = np.zeros(NUM_SEEN, dtype=np.int64)
        self._kept: list[Column] = []
        #: The vehicle that was taken away, and how often orders found no place since.
        self._closed = -1
        self._misses = np.zeros(len(self.packing.orders))

    def load(self, columns: list[Column]) -> None:
        """Begin from a plan; what the arrays cannot express stays untouched."""
        state, data = self.current, self.packing.data
        state.orders[:] = -1
        state.taken[:] = 0
        self._kept = []
        free = {
            kind.index: [v for v in range(len(data.vehicle_class)) if data.vehicle_class[v] == kind.index]
            for kind in self._search.day.classes
        }
        self._is_open[:] = 1
        for column in columns:
            vehicle = free[column.vehicle.index].pop(0)
            row = self.packing.row(column)
            if row is None or not self._put(state, vehicle, row):
                self._keep(column, vehicle)
        for vehicles in free.values():
            for vehicle in vehicles:
                if not self._put(state, vehicle, []):
                    # It is late for home already.
                    self._close(vehicle)
        state.total[0] = state.cents[:-1].sum() + data.penalty[state.orders[:, VEHICLE] == -1].sum()
        self._copy(state, self.tried)
        self._copy(state, self.best)

    def _put(self, state: State, vehicle: int, row: list[int]) -> bool:
        data = self.packing.data
        if len(row) + 4 > state.legs.shape[1]:
            return False
        state.routes[vehicle, SIZE] = len(row)
        state.legs[vehicle, : len(row), LEG] = row
        if not refresh(data, state, vehicle, int(data.vehicle_class[vehicle])):
            return False
        for leg in row:
            if leg >= 0 and leg & 1:
                way = leg >> 1
                state.orders[data.ways[way, ORDER]] = way, vehicle
                for row_number, amount in data.claims[
                    data.ways[way, CLAIMS_BEGIN] : data.ways[way, CLAIMS_END]
                ]:
                    state.taken[row_number] += amount
        return True

    def _keep(self, column: Column, vehicle: int) -> None:
        """Leave a route as it is, with its orders and what it takes of shared room."""
        state = self.current
        self._kept.append(column)
        self._close(vehicle)
        for order, _ in column.orders:
            if order in self.packing.number:
                state.orders[self.packing.number[order], VEHICLE] = KEPT
        row_number = {row: number for number, row in enumerate(self.packing.rows)}
        for row, amount in column.taken.items():
            state.taken[row_number[row]] += amount

    def _close(self, vehicle: int) -> None:
        self._is_open[vehicle] = 0
        self.current.routes[vehicle] = 0
        self.current.cents[vehicle] = 0.0

    @staticmethod
    def _copy(source: State, target: State) -> None:
        for row in range(len(source.routes)):
            copy_route(source, row, target, row)
        for name in ("orders", "taken", "total"):
            getattr(target, name)[:] = getattr(source, name)

    def construct(
        self, assignment: Mapping[int, int], should_stop: Callable[[], bool], *, at_any_price: bool
    ) -> None:
        """
        Insert what is left out: each order where it is assigned, then wherever it fits.

        At any price is for a plan from nothing, or no vehicle would be opened whose first order alone does
        not pay; what is not worth its cost goes again when the plan is improved.
        """
        data, state = self.packing.data, self.current
        for only in (self.packing.only(assignment), data):
            waiting = np.flatnonzero(state.orders[:, VEHICLE] == -1)
            key = below(self._random, 2 * NUM_KEYS)
            waiting = waiting[np.argsort(data.keys[key % NUM_KEYS][waiting], kind="stable")]
            for first in range(0, len(waiting), CHUNK):
                if should_stop():
                    break
                part = waiting[first : first + CHUNK].copy()
                self._insert(only, part, at_any_price)
        self._copy(state, self.tried)
        self._copy(state, self.best)

    def _insert(self, data: Data, orders: Ints, at_any_price: bool) -> None:
        touched = np.zeros(len(data.vehicle_class), dtype=np.int64)
        recreate(
            data,
            self.current,
            orders,
            len(orders),
            self._is_open,
            at_any_price,
            0.0,
            self._random,
            touched,
        )

    def run(self, iterations: int, temperature: float) -> None:
        """Anneal for some iterations at a temperature in cents."""
        anneal(
            self.packing.data,
            self.current,
            self.tried,
            self.best,
            self._is_open,
            self._random,
            iterations,
            temperature,
            self._harvest,
            self._harvest_size,
            self._seen,
        )

    def shrink(self, iterations: int, temperature: float) -> int:
        """
        Try for some iterations to do with one vehicle less than the best plan.

        Returns
        -------
        int
            Orders for which no other vehicle was found yet; with 0 there is a new best plan.
        """
        data = self.packing.data
        if self._closed < 0:
            self._copy(self.best, self.current)
            self._copy(self.best, self.tried)
            self._closed = close_one(data, self.current, self.tried, self._is_open, self._misses)
        left = shrink(
            data,
            self.current,
            self.tried,
            self._is_open,
            self._random,
            iterations,
            temperature,
            self._misses,
        )
        if left == 0:
            self._copy(self.current, self.best)
            self._closed = -1
        return left

    def end_shrinking(self) -> None:
        """Go on from the best plan, with all vehicles."""
        self._closed = -1
        self.load(self.columns())

    @property
    def cents_per_order(self) -> float:
        """What carrying an order costs in the best plan, in the mean and without fixed costs."""
        routes, prices = self.best.routes[:-1], self.packing.data.prices[self.packing.data.vehicle_class]
        cents = (routes[:, LENGTH] * prices[:, PER_M] + routes[:, DURATION] * prices[:, PER_S]) @ (
            routes[:, SIZE] > 0
        )
        return float(cents) / max(1, int((self.best.orders[:, VEHICLE] >= 0).sum()))

    @property
    def cents(self) -> float:
        """Estimated cost of the best plan."""
        return float(self.best.total[0])

    def columns(self) -> list[Column]:
        """Return the best plan on the clock."""
        data = self.packing.data
        tours = [
            self._tour(
                int(data.vehicle_class[vehicle]),
                self.best.legs[vehicle, : self.best.routes[vehicle, SIZE], LEG].tolist(),
            )
            for vehicle in range(len(data.vehicle_class))
            if self.best.routes[vehicle, SIZE]
        ]
        return self._search.with_homeward([*self._search.columns(tours), *self._kept])

    def gather(self, should_stop: Callable[[], bool]) -> None:
        """Put the routes harvested since the last time into the pool, latest first, until told to stop."""
        rows = self._harvest[: self._harvest_size[0]].tolist()
        self._harvest_size[0] = 0
        for row in reversed(rows):
            if should_stop():
                break
            self._search.columns([self._tour(row[0], row[2 : 2 + row[1]])])

    def _tour(self, vehicle_class: int, row: list[int]) -> Tour:
        return repaired(self._search.day.classes[vehicle_class], self.packing.legs(row, vehicle_class))
