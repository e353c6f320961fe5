"""
PyVRP alone: iterated local search on the whole of one assignment [1]_.

Not known to it: several windows of a place (it is told the longest), longest times in the vehicle, breaks.

References
----------
.. [1] Wouda, N. A., Lan, L., & Kool, W. (2024). PyVRP: a high-performance VRP solver package. *INFORMS
       Journal on Computing*, 36(4), 943-955. https://doi.org/10.1287/ijoc.2023.0055
"""

import time
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import pyvrp

from optimizer.day import Day, Shipment, VehicleClass, Windows
from optimizer.peers.view import Route, View, possible, prize_cents, restrictions, view

#: A cent has at most so many units: the least common multiple of 1,000 m and 3,600 s.
MAX_UNITS_PER_CENT = 18_000
#: PyVRP's penalty of a unit too much is limited, so that units of load and of cost must not be far apart.
LEAST_CAPACITY = 10**6
#: Goods tied to some vehicles fill a dimension in which the others have no room.
TIED_AMOUNT, TIED_ROOM = 10**5, 10**11


def solve(day: Day, shipments: Sequence[Shipment], seconds: float, seed: int) -> list[Route]:
    """Plan shipments for some CPU seconds."""
    chosen = possible(day, shipments)
    found = pyvrp.solve(
        _data(day, chosen),
        _OutOfTime(seconds),
        seed,
        collect_stats=False,
        display=False,
    )
    return [_route(day, chosen, route) for route in found.best.routes() if route.is_feasible()]


class _OutOfTime:
    """Stops when the process has used its CPU seconds."""

    def __init__(self, seconds: float) -> None:
        self._end_s = time.process_time() + seconds

    def __call__(self, best_cost: float) -> bool:
        return time.process_time() >= self._end_s


def _data(day: Day, shipments: Sequence[Shipment]) -> pyvrp.ProblemData:
    seen, scales = view(day, shipments), _Scales(day, shipments)
    profiles = sorted({vehicle.profile for vehicle in day.classes})
    tables: list[tuple[Any, Any]] = [seen.tables(profile) for profile in profiles]
    places = [day.problem.places[place] for place in (*seen.location, *seen.depot)]
    return pyvrp.ProblemData(
        [pyvrp.Location(place.longitude, place.latitude) for place in places],
        [],
        [pyvrp.Depot(location) for location in seen.depot.values()],
        [_vehicle_type(vehicle, seen, profiles, scales) for vehicle in day.classes],
        [distance for distance, _ in tables],
        [duration for _, duration in tables],
        [],
        [_shipment(shipment, seen, scales) for shipment in shipments],
    )


class _Scales:
    """Whole numbers for money and loads, and a dimension of load for each set of vehicles that goods need."""

    def __init__(self, day: Day, shipments: Sequence[Shipment]) -> None:
        self.units_per_cent = _units_per_cent(day)
        rooms = [max(vehicle.capacity[k] for vehicle in day.classes) for k in range(4)]
        self._factors = [max(1, LEAST_CAPACITY // max(1, room)) for room in rooms]
        self._tied = restrictions(shipments)

    def capacity(self, vehicle: VehicleClass) -> list[int]:
        """Return the room of a vehicle in each dimension."""
        rooms = (room * factor for room, factor in zip(vehicle.capacity, self._factors, strict=True))
        return [*rooms, *(TIED_ROOM * (vehicle.index in classes) for classes in self._tied)]

    def amount(self, shipment: Shipment) -> list[int]:
        """Return what a shipment takes of each dimension."""
        amounts = (amount * factor for amount, factor in zip(shipment.amounts, self._factors, strict=True))
        return [*amounts, *(TIED_AMOUNT * (shipment.classes == classes) for classes in self._tied)]


def _units_per_cent(day: Day) -> int:
    """Return the fewest units of a cent that keep costs of metres and seconds whole, within limits."""
    prices = [vehicle.prices for vehicle in day.classes]
    per_m = [Fraction(p.per_m_cents).limit_denominator(10**6) for p in prices]
    per_s = [Fraction(p.per_hour_cents, 3600) for p in prices]
    units = lcm(*(cents.denominator for cents in (*per_m, *per_s)))
    return min(units, MAX_UNITS_PER_CENT)


def _vehicle_type(
    vehicle: VehicleClass, seen: View, profiles: Sequence[str], scales: _Scales
) -> pyvrp.VehicleType:
    first = len(seen.location)
    return pyvrp.VehicleType(
        num_available=len(vehicle.vehicles),
        capacity=scales.capacity(vehicle),
        start_depot=seen.depot[vehicle.start] - first,
        end_depot=seen.depot[vehicle.end] - first,
        fixed_cost=vehicle.prices.fixed_cents * scales.units_per_cent,
        tw_early=vehicle.earliest_s,
        tw_late=vehicle.latest_s,
        shift_duration=vehicle.max_duration_s,
        max_distance=vehicle.range_m,
        unit_distance_cost=round(vehicle.prices.per_m_cents * scales.units_per_cent),
        unit_duration_cost=round(vehicle.prices.per_s_cents * scales.units_per_cent),
        profile=profiles.index(vehicle.profile),
    )


def _shipment(shipment: Shipment, seen: View, scales: _Scales) -> pyvrp.Shipment:
    pickup, delivery = _longest(shipment.pickup_windows), _longest(shipment.delivery_windows)
    return pyvrp.Shipment(
        seen.location[shipment.pickup_place],
        seen.location[shipment.delivery_place],
        pickup_tw_early=pickup[0],
        pickup_tw_late=pickup[1],
        pickup_service_duration=shipment.pickup_handling_s,
        delivery_tw_early=delivery[0],
        delivery_tw_late=delivery[1],
        delivery_service_duration=shipment.delivery_handling_s,
        amount=scales.amount(shipment),
        prize=prize_cents(shipment) * scales.units_per_cent,
        required=False,
    )


def _longest(windows: Windows) -> tuple[int, int]:
    return max(windows, key=lambda window: window[1] - window[0])


def _route(day: Day, shipments: Sequence[Shipment], route: pyvrp.Route) -> Route:
    legs = [shipment.legs() for shipment in shipments]
    activities = [activity for activity in route if activity.is_shipment()]
    return (
        day.classes[route.vehicle_type()],
        [legs[activity.idx][activity.is_delivery()] for activity in activities],
    )
