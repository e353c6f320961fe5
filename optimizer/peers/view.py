"""What every peer is told: the shifts that exist, and the tables between places in use and depots."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.day import Day, Leg, Shipment, VehicleClass
from optimizer.places import NO_WAY

#: A class of vehicles, and the legs of one of its shifts in their order.
Route = tuple[VehicleClass, list[Leg]]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """
    Locations as peers number them: places where goods are loaded or delivered, then the ends of runs.

    A place that is both appears twice, for the fixed time of a stop rides on the way into a place, and the
    end of a run has none.

    Parameters
    ----------
    location
        Number of each place in use.
    depot
        Number of each start and end.
    """

    day: Day
    location: dict[int, int]
    depot: dict[int, int]

    @property
    def never_s(self) -> int:
        """A duration that no shift has, and that is no larger than it must be: VROOM's costs may overflow."""
        return 1 + max((vehicle.latest_s for vehicle in self.day.classes), default=0)

    def tables(self, profile: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """
        Return distances and durations between locations; where there is no way, or none may stop, both are
        :attr:`never_s`.

        Returns
        -------
        tuple
            Two arrays of shape ``(n, n)`` for *n* locations, 0 on their diagonals.
        """
        network = self.day.networks[profile]
        rows = np.array([*self.location, *self.depot], dtype=np.int64)
        ends = np.arange(len(self.location), len(rows))
        distance = network.distance_table[np.ix_(rows, rows)].copy()
        duration = network.arrival_table[np.ix_(rows, rows)].copy()
        duration[:, ends] = np.array(network.duration_s)[np.ix_(rows, rows[ends])]
        closed = np.array([network.closed[place] for place in self.location] + [False] * len(self.depot))
        barred = closed[:, None] | closed[None, :] | (distance >= NO_WAY)
        distance[barred] = duration[barred] = self.never_s
        np.fill_diagonal(distance, 0)
        np.fill_diagonal(duration, 0)
        return distance, duration


def view(day: Day, shipments: Sequence[Shipment]) -> View:
    """Return the locations of some shipments and of all shifts."""
    places = sorted({place for s in shipments for place in (s.pickup_place, s.delivery_place)})
    ends = sorted({place for vehicle in day.classes for place in (vehicle.start, vehicle.end)})
    return View(
        day,
        {place: number for number, place in enumerate(places)},
        {place: len(places) + number for number, place in enumerate(ends)},
    )


def restrictions(shipments: Sequence[Shipment]) -> list[frozenset[int]]:
    """Return the sets of vehicle classes to which some shipments are tied, each once."""
    return sorted({s.classes for s in shipments if s.classes is not None}, key=sorted)


def prize_cents(shipment: Shipment) -> int:
    """Return what carrying a shipment is worth."""
    return max(0, shipment.penalty_cents - shipment.preference_cents)


def possible(day: Day, shipments: Sequence[Shipment]) -> list[Shipment]:
    """Return the shipments that have a window at both ends and fit into some vehicle."""
    return [
        shipment
        for shipment in shipments
        if shipment.pickup_windows
        and shipment.delivery_windows
        and any(
            all(amount <= room for amount, room in zip(shipment.amounts, vehicle.capacity, strict=True))
            for vehicle in day.classes
        )
    ]
