"""
PyVRP: routes for one assignment of orders to supply points.

PyVRP's view is narrower than ours: one window for each leg, no ride limits, no compartments, the fixed time
of a stop rides on the edge into it. What it proposes is put on our own clock afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvrp
from pyvrp.IteratedLocalSearch import IteratedLocalSearchCallbacks, IteratedLocalSearchParams
from pyvrp.search import NeighbourhoodParams
from pyvrp.solve import SolveParams

from optimizer.day import Day, Leg, Shipment, VehicleClass, Windows

#: PyVRP computes in whole numbers; this many of its units are a cent, so that costs of metres and seconds
#: stay whole (18,000 is the least common multiple of 1,000 m and 3,600 s).
UNITS_PER_CENT = 18_000
#: Of each leg; 15 gave four times the iterations of 50 on a day of 300 orders, and better plans.
NUM_NEIGHBOURS = 15
#: Distance and duration that no vehicle has.
FORBIDDEN = 10**7


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A route that the search came by: a class of vehicles, and legs in their order."""

    vehicle: VehicleClass
    legs: list[Leg]


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """
    What one round of the search brought.

    Parameters
    ----------
    best
        Routes of its best solution.
    harvest
        Routes of the local optima on the way, each once, without those of ``best``.
    """

    best: list[Proposal]
    harvest: list[Proposal]
    iterations: int


class Proposer:
    """
    Searches routes for a set of shipments.

    Parameters
    ----------
    day
        The day.
    moments
        For each shipment when its pickup and its delivery start in some feasible route; of several windows
        of a place PyVRP is told the one that holds the moment.
    available
        Number of vehicle shifts by the index of their class.
    """

    def __init__(
        self, day: Day, moments: Mapping[Shipment, tuple[int, int]], available: Mapping[int, int]
    ) -> None:
        self.day = day
        self.shipments = list(moments)
        self.legs = [shipment.legs() for shipment in self.shipments]
        self._types = [index for index, number in sorted(available.items()) if number > 0]
        self._data = _data(day, moments, [(day.classes[t], available[t]) for t in self._types])
        self._start: pyvrp.Solution | None = None

    def start_from(self, routes: Sequence[tuple[VehicleClass, Sequence[Leg]]]) -> None:
        """Let the next round start from these routes, which must consist of this proposer's shipments."""
        index = {id(shipment): position for position, shipment in enumerate(self.shipments)}
        self._start = pyvrp.Solution(
            self._data,
            [
                pyvrp.Route(
                    self._data,
                    [_activity(leg, index[id(leg.shipment)]) for leg in legs],
                    self._types.index(vehicle.index),
                )
                for vehicle, legs in routes
            ],
        )

    def round(self, seed: int, iterations: int, should_stop: Callable[[], bool]) -> Round:
        """Search for some iterations, or until told to stop; the next round goes on from the best found."""
        harvester = _Harvester()
        params = SolveParams(
            ils=IteratedLocalSearchParams(callbacks=harvester),
            neighbourhood=NeighbourhoodParams(num_neighbours=NUM_NEIGHBOURS),
        )
        stop = _Stop(iterations, should_stop)
        found = pyvrp.solve(
            self._data,
            stop,
            seed,
            collect_stats=False,
            display=False,
            params=params,
            initial_solution=self._start,
        )
        self._start = found.best
        best = [self._proposal(route) for route in found.best.routes()]
        kept = {_key(route) for route in found.best.routes()}
        harvest = [self._proposal(route) for key, route in harvester.routes.items() if key not in kept]
        return Round(best, harvest, found.num_iterations)

    def _proposal(self, route: pyvrp.Route) -> Proposal:
        legs = [
            self.legs[activity.idx][activity.is_delivery()] for activity in route if activity.is_shipment()
        ]
        return Proposal(self.day.classes[self._types[route.vehicle_type()]], legs)


class _Stop:
    """Ends a round after some iterations, or when told to."""

    def __init__(self, iterations: int, should_stop: Callable[[], bool]) -> None:
        self.left = iterations
        self.should_stop = should_stop

    def __call__(self, best_cost: float) -> bool:
        self.left -= 1
        return self.left < 0 or self.should_stop()


class _Harvester(IteratedLocalSearchCallbacks):
    """Collects the feasible routes of local optima."""

    def __init__(self) -> None:
        self.routes: dict[str, pyvrp.Route] = {}

    def on_iteration(
        self,
        current: pyvrp.Solution,
        candidate: pyvrp.Solution,
        best: pyvrp.Solution,
        cost_evaluator: pyvrp.CostEvaluator,
    ) -> None:
        """Keep the routes of a candidate that was accepted."""
        if candidate is current:
            for route in candidate.routes():
                if route.is_feasible():
                    self.routes.setdefault(_key(route), route)


def _key(route: pyvrp.Route) -> str:
    return f"{route.vehicle_type()} {route}"


def _activity(leg: Leg, index: int) -> pyvrp.Activity:
    return pyvrp.Activity(f"{'U' if leg.is_delivery else 'L'}{index}")


def _data(
    day: Day, moments: Mapping[Shipment, tuple[int, int]], fleet: Sequence[tuple[VehicleClass, int]]
) -> pyvrp.ProblemData:
    """Return shipments and fleet as PyVRP's data; locations are the places in use, then the depots."""
    places = sorted({place for s in moments for place in (s.pickup_place, s.delivery_place)})
    location = {place: position for position, place in enumerate(places)}
    depots = sorted({place for vehicle, _ in fleet for place in (vehicle.start, vehicle.end)})
    depot = {place: position for position, place in enumerate(depots)}
    profiles = sorted({vehicle.profile for vehicle, _ in fleet})
    tables = [_tables(day, profile, places, depots) for profile in profiles]
    return pyvrp.ProblemData(
        [_location(day, place) for place in (*places, *depots)],
        [],
        [pyvrp.Depot(len(places) + position) for position in range(len(depots))],
        [_vehicle_type(vehicle, number, depot, profiles) for vehicle, number in fleet],
        [distance for distance, _ in tables],
        [duration for _, duration in tables],
        [],
        [_shipment(shipment, location, starts) for shipment, starts in moments.items()],
    )


def _location(day: Day, place: int) -> pyvrp.Location:
    row = day.problem.places[place]
    return pyvrp.Location(row.longitude, row.latitude)


def _tables(day: Day, profile: str, places: Sequence[int], depots: Sequence[int]) -> tuple[Any, Any]:
    """Return distances and durations between locations; a place closed to the profile is far away."""
    network = day.networks[profile]
    rows = np.array([*places, *depots], dtype=np.int64)
    distance = network.distance_table[np.ix_(rows, rows)].copy()
    duration = network.arrival_table[np.ix_(rows, rows)].copy()
    ends = np.arange(len(places), len(rows))
    duration[:, ends] = np.array(network.duration_s)[np.ix_(rows, rows[ends])]
    shut = np.array([network.closed[place] for place in places] + [False] * len(depots))
    distance[:, shut] = duration[:, shut] = FORBIDDEN
    distance[shut, :] = duration[shut, :] = FORBIDDEN
    np.fill_diagonal(distance, 0)
    np.fill_diagonal(duration, 0)
    return distance, duration


def _vehicle_type(
    vehicle: VehicleClass, number: int, depot: Mapping[int, int], profiles: Sequence[str]
) -> pyvrp.VehicleType:
    return pyvrp.VehicleType(
        num_available=number,
        capacity=list(vehicle.capacity),
        start_depot=depot[vehicle.start],
        end_depot=depot[vehicle.end],
        fixed_cost=vehicle.prices.fixed_cents * UNITS_PER_CENT,
        tw_early=vehicle.earliest_s,
        tw_late=vehicle.latest_s,
        shift_duration=vehicle.max_duration_s,
        max_distance=vehicle.range_m,
        unit_distance_cost=round(vehicle.prices.per_m_cents * UNITS_PER_CENT),
        unit_duration_cost=round(vehicle.prices.per_s_cents * UNITS_PER_CENT),
        profile=profiles.index(vehicle.profile),
    )


def _shipment(shipment: Shipment, location: Mapping[int, int], starts_s: tuple[int, int]) -> pyvrp.Shipment:
    pickup = _window_of(shipment.pickup_windows, starts_s[0])
    delivery = _window_of(shipment.delivery_windows, starts_s[1])
    return pyvrp.Shipment(
        location[shipment.pickup_place],
        location[shipment.delivery_place],
        pickup_tw_early=pickup[0],
        pickup_tw_late=pickup[1],
        pickup_service_duration=shipment.handling_s,
        delivery_tw_early=delivery[0],
        delivery_tw_late=delivery[1],
        delivery_service_duration=shipment.handling_s,
        amount=list(shipment.amounts),
        prize=max(0, shipment.penalty_cents - shipment.preference_cents) * UNITS_PER_CENT,
        required=False,
    )


def _window_of(windows: Windows, moment_s: int) -> tuple[int, int]:
    return next(window for window in windows if window[0] <= moment_s <= window[1])
