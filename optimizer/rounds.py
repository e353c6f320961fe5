"""A round of PyVRP on a part of the best plan: what is tried, and what is made of what it finds."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import cos, dist, radians
from random import Random
from statistics import fmean

from optimizer.compartments import Room, Row
from optimizer.day import Shipment
from optimizer.insertion import Tour, repaired
from optimizer.master import Column, Relaxation
from optimizer.proposer import Proposer
from optimizer.search import Search
from optimizer.shipments import consolidate, is_free, shipment_of
from optimizer.trips import joined
from optimizer.view import Choice, View

#: A round looks at so many shipments at most: neighbouring routes, which PyVRP improves faster than all.
MAX_SHIPMENTS = 110


#: One of so many rounds lets orders go everywhere, at a price where that is shared; what overfills it is
#: moved afterwards. In the other rounds nothing can overfill.
EVERYWHERE_EACH = 4
#: Part of the orders in a full row that have to leave it in a round.
LEAVING = 0.15


class Rounds:
    """
    Rounds of PyVRP that improve the best plan of a search.

    Each looks at a route, another one every time, and its neighbours.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._day = search.day
        self._prices = _Prices(search.room)
        self._turn = 0

    def improve(self, seed: int, iterations: int, num_neighbours: int, is_over: Callable[[], bool]) -> bool:
        """
        Let PyVRP improve some neighbouring routes, and keep all that it comes by.

        Returns
        -------
        bool
            Whether there was anything to improve.
        """
        search = self._search
        chosen = self._neighbouring_columns()
        tours = [Tour(column.vehicle, column.timetable) for column in chosen]
        moments = {shipment: moment for tour in tours for shipment, moment in tour.moments().items()}
        carried = list(moments)
        for shipment in consolidate(self._day, search.waiting()):
            moments.update(search.moments_alone(shipment))
        everywhere = self._turn % EVERYWHERE_EACH == 1
        options = self._options(moments) if everywhere else self._safe_options(moments, seed)
        choices = [self._choice(shipment, options, moments) for shipment in list(moments)]
        available = self._available(chosen)
        if not choices or not available:
            return False
        view = View(
            self._day,
            choices,
            moments,
            available,
            required=self._required(carried, choices),
            surcharges=self._prices.of(choices),
        )
        start = [(tour.vehicle, tour.legs) for tour in tours]
        found = Proposer(view, num_neighbours).round(
            start, seed, iterations, lambda: is_over() or search.should_stop()
        )
        search.iterations += found.iterations
        for vehicle, legs in found.harvest:
            search.columns([repaired(vehicle, legs)])
        better = search.columns(joined([repaired(vehicle, legs) for vehicle, legs in found.best]))
        kept = [column for column in search.incumbent if column not in chosen]
        plan = search.with_homeward([*kept, *better])
        self._prices.learn(plan, search.relaxation)
        search.adopt(search.fitted(plan))
        return True

    def _options(self, shipments: Iterable[Shipment]) -> dict[int, list[int]]:
        """Return the options of each order whose place PyVRP may choose, the present one first."""
        return {
            s.orders[0]: sorted(self._search.reach.reachable(s.orders[0]), key=lambda k: k != s.options[0])
            for s in shipments
            if len(s.orders) == 1 and is_free(self._day, s.orders[0])
        }

    def _safe_options(self, shipments: Iterable[Shipment], seed: int) -> dict[int, list[int]]:
        """
        Return options of which any choice keeps what is shared.

        Some orders that take of a full row have to leave it, so that others may take their place.
        """
        random = Random(seed)  # noqa: S311 - repeatable search, nothing secret
        room, options = self._search.room, self._options(shipments)
        present = {order: open_options[0] for order, open_options in options.items()}
        taken = room.taken({**self._search.carried, **present}.items())
        full = {row for row, amount in taken.items() if amount >= room.capacity.get(row, 0)}
        safe: dict[int, list[int]] = {}
        for order in sorted(options, key=lambda order: (random.random(), order)):
            own, leaves = room.claims(order, present[order]), random.random() < LEAVING
            others = [k for k in options[order][1:] if full.isdisjoint(room.claims(order, k))]
            safe[order] = [present[order]]
            if leaves and others and not full.isdisjoint(own):
                safe[order] = others[:1]
                taken = taken - own + room.claims(order, others[0])
        for order in safe:
            most = Counter(room.claims(order, safe[order][0]))
            for option in options[order]:
                more = room.claims(order, option) - most
                if option not in safe[order] and room.fits(taken, more):
                    safe[order].append(option)
                    taken, most = taken + more, most | room.claims(order, option)
        return safe

    def _choice(
        self,
        shipment: Shipment,
        options: Mapping[int, Sequence[int]],
        moments: dict[Shipment, tuple[int, int]],
    ) -> Choice:
        """Return a shipment, or one for each option of its order that PyVRP may choose."""
        (order, *_), (present, *_) = shipment.orders, shipment.options
        if order not in options:
            return (shipment,)
        choice = []
        for option in options[order]:
            other = shipment if option == present else shipment_of(self._day, [order], [option])
            if other is not shipment:
                moments.update(self._search.moments_alone(other))
            choice.append(other)
        return choice

    def _required(self, carried: Iterable[Shipment], choices: Iterable[Choice]) -> set[Shipment]:
        """Return what is carried and dearer than the whole plan: nobody would ever leave that out."""
        driven = sum(column.cost_cents for column in self._search.incumbent)
        dear = {shipment.orders for shipment in carried if shipment.penalty_cents > driven}
        return {shipment for choice in choices if choice[0].orders in dear for shipment in choice}

    def _neighbouring_columns(self) -> list[Column]:
        """Return a column, another at each turn, and its neighbours, up to a number of shipments."""
        columns = self._search.incumbent
        if not columns:
            return []
        first = columns[self._turn % len(columns)]
        self._turn += 1
        middle = self._middle(first)
        chosen: list[Column] = []
        num_shipments = 0
        for column in sorted(columns, key=lambda c: (c is not first, dist(self._middle(c), middle))):
            num_shipments += len(column.shipments)
            if chosen and num_shipments > MAX_SHIPMENTS:
                break
            chosen.append(column)
        return chosen

    def _middle(self, column: Column) -> tuple[float, float]:
        """Return the mean position of a route, in degrees of latitude both ways."""
        visits = column.timetable.visits
        places = [
            self._day.problem.places[place] for place in [v.place for v in visits] or [column.vehicle.start]
        ]
        north = fmean(place.latitude for place in places)
        return north, fmean(place.longitude for place in places) * cos(radians(north))

    def _available(self, chosen: Collection[Column]) -> dict[int, int]:
        """Return how many trips vehicles of each class can make that idle or drive one of the columns."""
        available = {vehicle.index: len(vehicle.vehicles) for vehicle in self._day.classes}
        for column in self._search.incumbent:
            available[column.vehicle.index] -= column not in chosen
        return {
            index: number * self._day.classes[index].num_trips
            for index, number in available.items()
            if number > 0
        }


class _Prices:
    """
    What PyVRP is told that shared room costs, since it does not know its limits.

    The prices follow the duals of the master, but a row that PyVRP's last solution overfilled becomes dearer
    than that.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._cents: dict[Row, float] = {}

    def of(self, choices: Iterable[Choice]) -> dict[tuple[int, int], float]:
        """Return the surcharge of each option that is open to choice."""
        pairs = (
            pair
            for choice in choices
            if len(choice) > 1
            for shipment in choice
            for pair in zip(shipment.orders, shipment.options, strict=True)
        )
        return {
            pair: sum(self._cents.get(row, 0.0) * amount for row, amount in self._room.claims(*pair).items())
            for pair in pairs
        }

    def learn(self, plan: Sequence[Column], relaxation: Relaxation | None) -> None:
        """Change the prices after PyVRP's last solution, and what the master thought before it."""
        pairs = [pair for column in plan for pair in column.orders]
        if not pairs:
            return
        typical = sum(column.cost_cents for column in plan) / len(pairs)
        for row, amount in self._room.taken(pairs).items():
            over = amount - self._room.capacity.get(row, 0)
            dual = min(relaxation.rows.get(row, 0.0), typical) if relaxation else 0.0
            before = self._cents.get(row, 0.0)
            self._cents[row] = (before + dual) / 2 + (typical / 4 if over > 0 else 0.0)
