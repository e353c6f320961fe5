"""A round of PyVRP on a part of the best plan: what is tried, and what is made of what it finds."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from math import cos, dist, radians
from statistics import fmean

from optimizer.day import TURN, Shipment
from optimizer.insertion import Tour, repaired
from optimizer.master import Column
from optimizer.proposer import Proposer
from optimizer.search import Search
from optimizer.shipments import consolidate
from optimizer.trips import joined
from optimizer.view import View

#: A round looks at so many shipments at most: neighbouring routes, which PyVRP improves faster than all.
MAX_SHIPMENTS = 110


class Rounds:
    """
    Rounds of PyVRP that improve the best plan of a search.

    Each looks at a route, another one every time, and its neighbours. Where each order goes stays as it is.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._day = search.day
        self._turn = 0

    def improve(
        self,
        seed: int,
        iterations: int,
        num_neighbours: int,
        is_over: Callable[[], bool],
        *,
        may_add: bool = True,
    ) -> bool:
        """
        Let PyVRP improve some neighbouring routes, and keep all that it comes by.

        Parameters
        ----------
        seed
            Of PyVRP.
        iterations
            At most so many.
        num_neighbours
            Visits after which another one may come, for each.
        is_over
            Asked often.
        may_add
            Vehicles that idle may drive, too.

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
        available = self._available(chosen, may_add=may_add)
        if not moments or not available:
            return False
        view = View(self._day, moments, available, required=self._required(carried))
        start = [(tour.vehicle, tour.legs) for tour in tours]
        found = Proposer(view, num_neighbours).round(
            start, seed, iterations, lambda: is_over() or search.should_stop()
        )
        search.iterations += found.iterations
        for vehicle, legs in found.harvest:
            search.columns([repaired(vehicle, legs)])
        better = search.columns(joined([repaired(vehicle, legs) for vehicle, legs in found.best]))
        kept = [column for column in search.incumbent if column not in chosen]
        search.adopt(search.with_homeward([*kept, *better]))
        return True

    def _required(self, carried: Iterable[Shipment]) -> set[Shipment]:
        """Return what is carried and dearer than the whole plan: nobody would ever leave that out."""
        driven = sum(column.cost_cents for column in self._search.incumbent)
        return {shipment for shipment in carried if shipment.penalty_cents > driven}

    def _neighbouring_columns(self) -> list[Column]:
        """Return a column, another at each turn, and its neighbours, up to a number of shipments."""
        columns = [column for column in self._search.incumbent if not carries_over_a_turn(column)]
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

    def _available(self, chosen: Collection[Column], *, may_add: bool) -> dict[int, int]:
        """Return how many trips vehicles of each class can make that drive one of the columns, or idle."""
        available = Counter(column.vehicle.index for column in chosen)
        if may_add:
            available.update({vehicle.index: len(vehicle.vehicles) for vehicle in self._day.classes})
            available.subtract(column.vehicle.index for column in self._search.incumbent)
        return {
            index: number * self._day.classes[index].num_trips
            for index, number in available.items()
            if number > 0
        }


def carries_over_a_turn(column: Column) -> bool:
    """Tell whether something that is loaded in one trip is delivered in another, which PyVRP cannot see."""
    loaded: set[Shipment] = set()
    for leg in Tour(column.vehicle, column.timetable).legs:
        if leg.shipment is TURN:
            if loaded:
                return True
        elif leg.is_delivery:
            loaded.discard(leg.shipment)
        else:
            loaded.add(leg.shipment)
    return False
