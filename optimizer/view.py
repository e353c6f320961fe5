"""
A day as PyVRP sees it, and the way back.

Its view is narrower than ours: one window for each leg, no ride limits, no compartments, no breaks; the
fixed time of a stop rides on the edge into it, and every trip is a vehicle. What it proposes is put on our
own clock afterwards.

What waits where all vehicles start is delivered only, which PyVRP searches faster than pairs of legs.
Vehicles that may not carry some shipments lack the room in one more dimension of load, of which these take
one unit.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyvrp

from optimizer.day import TURN, Day, Leg, Shipment, VehicleClass, Windows
from optimizer.places import NO_WAY
from optimizer.shipments import is_delivered_only

#: PyVRP computes in whole numbers; this many of its units are a cent, so that costs of metres and seconds
#: stay whole (18,000 is the least common multiple of 1,000 m and 3,600 s).
UNITS_PER_CENT = 18_000

#: When the pickup and the delivery of each shipment start in some feasible route.
Moments = Mapping[Shipment, tuple[int, int]]


class View:
    """
    Some shipments and vehicles as PyVRP's data.

    Parameters
    ----------
    day
        The day.
    moments
        Of what may be carried; of several windows of a place PyVRP is told the one that holds the moment.
    available
        Number of trips by the index of the class that may begin them.
    required
        Shipments that may not be left out.
    """

    def __init__(
        self,
        day: Day,
        moments: Moments,
        available: Mapping[int, int],
        *,
        required: Set[Shipment] = frozenset(),
    ) -> None:
        self.day = day
        self._types = [index for index, number in sorted(available.items()) if number > 0]
        fleet = [day.classes[index] for index in self._types]
        self._clients = [shipment for shipment in moments if is_delivered_only(day, shipment)]
        self._pairs = [shipment for shipment in moments if not is_delivered_only(day, shipment)]
        self._legs = {shipment: shipment.legs() for shipment in self._pairs}
        self._name = {
            (s.orders, s.options): (letter, index)
            for letter, shipments in (("C", self._clients), ("", self._pairs))
            for index, s in enumerate(shipments)
        }
        data = _Data(day, fleet, moments, required)
        self.data = data.build(self._clients, self._pairs, [available[index] for index in self._types])

    @property
    def unit_cost(self) -> int:
        """What a metre or a second costs at most, in PyVRP's units."""
        types = self.data.vehicle_types()
        return max(1, *(max(t.unit_distance_cost, t.unit_duration_cost) for t in types))

    def routes_of(self, vehicle: VehicleClass, legs: Sequence[Leg]) -> list[pyvrp.Route]:
        """Return the trips of a shift of ours as PyVRP's routes, without shipments that are not in view."""
        routes: list[pyvrp.Route] = []
        trip: list[pyvrp.Activity] = []
        for leg in (*legs, None):
            if leg is None or leg.shipment is TURN:
                if trip:
                    routes.append(pyvrp.Route(self.data, trip, self._types.index(vehicle.index)))
                trip = []
            elif (activity := self._activity(leg)) is not None:
                trip.append(activity)
        return routes

    def legs_of(self, route: pyvrp.Route) -> list[Leg]:
        """Return a route of PyVRP as legs; what is delivered only is loaded at the start."""
        loaded: list[Leg] = []
        legs: list[Leg] = []
        for activity in route:
            if activity.is_client():
                *pickup, delivery = self._clients[activity.idx].legs()
                loaded += pickup
                legs.append(delivery)
            elif activity.is_shipment():
                shipment = self._pairs[activity.idx]
                legs.append(self._legs[shipment][activity.is_delivery()])
        return [*loaded, *legs]

    def class_of(self, route: pyvrp.Route) -> VehicleClass:
        """Return the class of vehicles that drives a route of PyVRP."""
        return self.day.classes[self._types[route.vehicle_type()]]

    def _activity(self, leg: Leg) -> pyvrp.Activity | None:
        letter, index = self._name.get((leg.shipment.orders, leg.shipment.options), ("", None))
        if index is None or (letter and not leg.is_delivery):
            return None
        if letter:
            return pyvrp.Activity(f"{letter}{index}")
        return pyvrp.Activity(f"{'U' if leg.is_delivery else 'L'}{index}")


class _Data:
    """Builds PyVRP's data; locations are the places in use, then the depots."""

    def __init__(
        self,
        day: Day,
        fleet: Sequence[VehicleClass],
        moments: Moments,
        required: Set[Shipment],
    ) -> None:
        self.day = day
        self.fleet = fleet
        self.moments = moments
        self.required = required
        self.location: dict[int, int] = {}
        self.sets: list[frozenset[int]] = []

    def build(
        self, clients: Sequence[Shipment], pairs: Sequence[Shipment], numbers: Sequence[int]
    ) -> pyvrp.ProblemData:
        """Return clients for what is delivered only, shipments for pairs, and vehicles by their numbers."""
        places = sorted({s.delivery_place for s in (*clients, *pairs)} | {s.pickup_place for s in pairs})
        self.location = {place: position for position, place in enumerate(places)}
        sets = {s.classes for s in (*clients, *pairs) if s.classes is not None}
        self.sets = sorted(sets, key=sorted)
        depots = sorted({place for vehicle in self.fleet for place in (vehicle.start, vehicle.end)})
        depot = {place: position for position, place in enumerate(depots)}
        profiles = sorted({vehicle.profile for vehicle in self.fleet})
        tables = [_tables(self.day, profile, places, depots) for profile in profiles]
        return pyvrp.ProblemData(
            [self._location(place) for place in (*places, *depots)],
            [self._client(shipment) for shipment in clients],
            [pyvrp.Depot(len(places) + position) for position in range(len(depots))],
            [
                self._vehicle_type(vehicle, number, depot, profiles)
                for vehicle, number in zip(self.fleet, numbers, strict=True)
            ],
            [distance for distance, _ in tables],
            [duration for _, duration in tables],
            [],
            [self._shipment(shipment) for shipment in pairs],
        )

    def _location(self, place: int) -> pyvrp.Location:
        row = self.day.problem.places[place]
        return pyvrp.Location(row.longitude, row.latitude)

    def _client(self, shipment: Shipment) -> pyvrp.Client:
        earliest_s, latest_s = _window_of(shipment.delivery_windows, self.moments[shipment][1])
        return pyvrp.Client(
            self.location[shipment.delivery_place],
            delivery=self._amounts(shipment),
            service_duration=shipment.delivery_handling_s,
            tw_early=earliest_s,
            tw_late=latest_s,
            release_time=0 if shipment.is_on_board else min(shipment.pickup_windows[0][0], latest_s),
            prize=self._prize(shipment),
            required=shipment in self.required,
        )

    def _shipment(self, shipment: Shipment) -> pyvrp.Shipment:
        starts_s = self.moments[shipment]
        pickup = _window_of(shipment.pickup_windows, starts_s[0])
        delivery = _window_of(shipment.delivery_windows, starts_s[1])
        return pyvrp.Shipment(
            self.location[shipment.pickup_place],
            self.location[shipment.delivery_place],
            pickup_tw_early=pickup[0],
            pickup_tw_late=pickup[1],
            pickup_service_duration=shipment.pickup_handling_s,
            delivery_tw_early=delivery[0],
            delivery_tw_late=delivery[1],
            delivery_service_duration=shipment.delivery_handling_s,
            amount=self._amounts(shipment),
            prize=self._prize(shipment),
            required=shipment in self.required,
        )

    def _prize(self, shipment: Shipment) -> int:
        return max(0, (shipment.penalty_cents - shipment.preference_cents) * UNITS_PER_CENT)

    def _amounts(self, shipment: Shipment) -> list[int]:
        return [*shipment.amounts, *(int(classes == shipment.classes) for classes in self.sets)]

    def _vehicle_type(
        self, vehicle: VehicleClass, number: int, depot: Mapping[int, int], profiles: Sequence[str]
    ) -> pyvrp.VehicleType:
        room = [10**6 if vehicle.index in classes else 0 for classes in self.sets]
        return pyvrp.VehicleType(
            num_available=number,
            capacity=[*vehicle.capacity, *room],
            start_depot=depot[vehicle.start],
            end_depot=depot[vehicle.end],
            fixed_cost=vehicle.prices.fixed_cents * UNITS_PER_CENT,
            tw_early=vehicle.earliest_s,
            tw_late=vehicle.latest_s,
            start_late=vehicle.earliest_s if vehicle.under_way else vehicle.latest_s,
            shift_duration=vehicle.longest_work_s,
            max_distance=min(vehicle.first_range_m, NO_WAY - 1),
            unit_distance_cost=round(vehicle.prices.per_m_cents * UNITS_PER_CENT),
            unit_duration_cost=round(vehicle.prices.per_s_cents * UNITS_PER_CENT),
            profile=profiles.index(vehicle.profile),
        )


def _tables(day: Day, profile: str, places: Sequence[int], depots: Sequence[int]) -> tuple[Any, Any]:
    """Return distances and durations between locations; a place closed to the profile is far away."""
    network = day.networks[profile]
    rows = np.array([*places, *depots], dtype=np.int64)
    distance = network.distance_table[np.ix_(rows, rows)].copy()
    duration = network.arrival_table[np.ix_(rows, rows)].copy()
    ends = np.arange(len(places), len(rows))
    duration[:, ends] = np.array(network.duration_s)[np.ix_(rows, rows[ends])]
    shut = np.array([network.closed[place] for place in places] + [False] * len(depots))
    distance[:, shut] = duration[:, shut] = NO_WAY
    distance[shut, :] = duration[shut, :] = NO_WAY
    np.fill_diagonal(distance, 0)
    np.fill_diagonal(duration, 0)
    return distance, duration


def _window_of(windows: Windows, moment_s: int) -> tuple[int, int]:
    return next(window for window in windows if window[0] <= moment_s <= window[1])
