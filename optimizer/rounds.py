"""A round of PyVRP on a part of the best plan: what is tried, and what is made of what it finds."""

from collections.abc import Callable, Collection, Iterable, Sequence
from math import cos, dist, radians
from statistics import fmean

from optimizer.compartments import Room, Row
from optimizer.day import Day, Shipment
from optimizer.insertion import Tour, repaired
from optimizer.master import Column
from optimizer.proposer import Proposer
from optimizer.search import Search
from optimizer.shipments import consolidate, is_free, shipment_of
from optimizer.trips import joined
from optimizer.view import Choice, View

#: A round looks at so many shipments at most: neighbouring routes, which PyVRP improves faster than all.
MAX_SHIPMENTS = 110


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

    def improve(self, seed: int, iterations: int, num_neighbours: int, is_over: Callable[[], bool]) -> None:
        """Let PyVRP improve some neighbouring routes, and keep all that it comes by."""
        search = self._search
        chosen = self._neighbouring_columns()
        tours = [Tour(column.vehicle, column.timetable) for column in chosen]
        moments = {shipment: moment for tour in tours for shipment, moment in tour.moments().items()}
        carried = list(moments)
        for shipment in consolidate(self._day, search.waiting()):
            moments.update(search.moments_alone(shipment))
        choices = [self._choice(shipment, moments) for shipment in list(moments)]
        available = self._available(chosen)
        if not choices or not available:
            return
        view = View(
            self._day,
            choices,
            moments,
            available,
            required=self._required(carried, choices),
            surcharges=self._prices.of(choices),
        )
        start = [(tour.vehicle, tour.legs) for tour in tours if tour.legs]
        found = Proposer(view, num_neighbours).round(
            start, seed, iterations, lambda: is_over() or search.should_stop()
        )
        search.iterations += found.iterations
        for vehicle, legs in found.harvest:
            search.columns([repaired(vehicle, legs)])
        better = search.columns(joined([repaired(vehicle, legs) for vehicle, legs in found.best]))
        kept = [column for column in search.incumbent if column not in chosen]
        plan = search.with_homeward([*kept, *better])
        self._prices.learn(self._day, plan)
        search.adopt(plan)

    def _choice(self, shipment: Shipment, moments: dict[Shipment, tuple[int, int]]) -> Choice:
        """Return a shipment with all places it may go to, if PyVRP can choose among them."""
        (order, *others), (chosen, *_) = shipment.orders, shipment.options
        if others or not is_free(self._day, order):
            return (shipment,)
        choice = [shipment]
        for option in self._search.reach.reachable(order):
            if option != chosen:
                other = shipment_of(self._day, [order], [option])
                moments.update(self._search.moments_alone(other))
                choice.append(other)
        return choice

    def _required(self, carried: Iterable[Shipment], choices: Iterable[Choice]) -> set[Shipment]:
        """Return what is carried and dearer than the whole plan: nobody would ever leave that out."""
        driven = sum(column.cost_cents for column in self._search.incumbent)
        dear = {shipment for shipment in carried if shipment.penalty_cents > driven}
        return {shipment for choice in choices if choice[0] in dear for shipment in choice}

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

    A row that its best solution overfills becomes dearer, one with room to spare cheaper.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._cents: dict[Row, float] = {}
        self._step = 1.0

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

    def learn(self, day: Day, plan: Sequence[Column]) -> None:
        """Change the prices after a plan that was found with them."""
        pairs = [pair for column in plan for pair in column.orders]
        if not pairs:
            return
        typical = sum(column.cost_cents for column in plan) / len(pairs)
        for row, amount in self._room.taken(pairs).items():
            over = amount - self._room.capacity.get(row, 0)
            before = self._cents.get(row, 0.0)
            if over > 0:
                self._cents[row] = before + self._step * typical / 4
            elif before:
                self._cents[row] = before * 0.8
