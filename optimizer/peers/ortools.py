"""
OR-Tools routing: parallel cheapest insertion, then guided local search, on the whole of one assignment.

Where its insertion is not ready in a quarter of the time, or poorer than ours, the search starts from ours:
of 300 orders it carried 88 where ours carried nearly all.

Nodes 2 *i* and 2 *i* + 1 are the pickup and the delivery of shipment *i*; the ends of runs follow. Not known
to it: breaks.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.day import Day, Leg, Shipment, VehicleClass, Windows
from optimizer.insertion import construct, idle_tours
from optimizer.peers.view import Route, View, possible, prize_cents, view

#: 18,000 units are a cent: the least common multiple of 1,000 m and 3,600 s keeps all costs whole.
UNITS_PER_CENT = 18_000
#: Part of the time for its own first plan.
FIRST = 0.25
#: Part of the time for which the search is not taken up again.
REST = 0.05


class _Model:
    """The routing model of some shipments."""

    def __init__(self, day: Day, shipments: Sequence[Shipment]) -> None:
        from ortools.constraint_solver import pywrapcp  # See ``solve``.

        self.day = day
        self.shipments = shipments
        self.fleet = [vehicle for vehicle in day.classes for _ in vehicle.vehicles]
        seen = view(day, shipments)
        self.locations = _locations(shipments, seen)
        ends = [2 * len(shipments) - len(seen.location) + seen.depot[v.end] for v in self.fleet]
        starts = [2 * len(shipments) - len(seen.location) + seen.depot[v.start] for v in self.fleet]
        self.manager = pywrapcp.RoutingIndexManager(len(self.locations), len(self.fleet), starts, ends)
        self.routing = pywrapcp.RoutingModel(self.manager)
        self.tables = {p: seen.tables(p) for p in {vehicle.profile for vehicle in self.fleet}}
        self._registered: dict[tuple[object, ...], int] = {}
        self._add_costs()
        self._add_loads()
        self._add_range()
        self.time = self._add_time()
        for number, shipment in enumerate(shipments):
            self._add_shipment(number, shipment)

    def _index(self, node: int) -> int:
        return int(self.manager.NodeToIndex(node))

    def _transit(self, key: tuple[object, ...], table: NDArray[np.int64]) -> int:
        """Register a table between locations as one between nodes, once."""
        if key not in self._registered:
            rows = table[np.ix_(self.locations, self.locations)].tolist()
            self._registered[key] = self.routing.RegisterTransitMatrix(rows)
        return self._registered[key]

    def _add_costs(self) -> None:
        for number, vehicle in enumerate(self.fleet):
            per_m = vehicle.prices.per_m_cents * UNITS_PER_CENT
            cents = np.rint(self.tables[vehicle.profile][0] * per_m).astype(np.int64)
            evaluator = self._transit(("cost", vehicle.profile, per_m), cents)
            self.routing.SetArcCostEvaluatorOfVehicle(evaluator, number)
            self.routing.SetFixedCostOfVehicle(vehicle.prices.fixed_cents * UNITS_PER_CENT, number)

    def _add_loads(self) -> None:
        for dimension in range(4):
            amounts = [shipment.amounts[dimension] for shipment in self.shipments]
            if any(amounts):
                loads = [sign * amount for amount in amounts for sign in (1, -1)]
                loads += [0] * (len(self.locations) - len(loads))
                rooms = [vehicle.capacity[dimension] for vehicle in self.fleet]
                unary = self.routing.RegisterUnaryTransitVector(loads)
                self.routing.AddDimensionWithVehicleCapacity(unary, 0, rooms, True, f"load {dimension}")

    def _add_range(self) -> None:
        evaluators = [self._transit(("way", v.profile), self.tables[v.profile][0]) for v in self.fleet]
        ranges = [vehicle.range_m for vehicle in self.fleet]
        self.routing.AddDimensionWithVehicleTransitAndCapacity(evaluators, 0, ranges, True, "way")

    def _add_time(self) -> Any:
        horizon = max(vehicle.latest_s for vehicle in self.fleet)
        evaluators = [self._durations(vehicle) for vehicle in self.fleet]
        limits = [horizon] * len(self.fleet)
        self.routing.AddDimensionWithVehicleTransitAndCapacity(evaluators, horizon, limits, False, "time")
        clock = self.routing.GetDimensionOrDie("time")
        for number, vehicle in enumerate(self.fleet):
            for end in (self.routing.Start(number), self.routing.End(number)):
                clock.CumulVar(end).SetRange(vehicle.earliest_s, vehicle.latest_s)
            clock.SetSpanUpperBoundForVehicle(min(vehicle.max_duration_s, horizon), number)
            per_s = round(vehicle.prices.per_s_cents * UNITS_PER_CENT)
            clock.SetSpanCostCoefficientForVehicle(per_s, number)
        return clock

    def _durations(self, vehicle: VehicleClass) -> int:
        """Register travel and fixed time of stops, plus the handling at the node that is left."""
        key = "time", vehicle.profile
        if key not in self._registered:
            handling = [
                s for ship in self.shipments for s in (ship.pickup_handling_s, ship.delivery_handling_s)
            ]
            handling += [0] * (len(self.locations) - len(handling))
            table = self.tables[vehicle.profile][1][np.ix_(self.locations, self.locations)]
            rows = (table + np.array(handling)[:, None]).tolist()
            self._registered[key] = self.routing.RegisterTransitMatrix(rows)
        return self._registered[key]

    def _add_shipment(self, number: int, shipment: Shipment) -> None:
        pickup, delivery = self._index(2 * number), self._index(2 * number + 1)
        routing, solver = self.routing, self.routing.solver()
        routing.AddPickupAndDelivery(pickup, delivery)
        solver.Add(routing.VehicleVar(pickup) == routing.VehicleVar(delivery))
        solver.Add(self.time.CumulVar(pickup) <= self.time.CumulVar(delivery))
        if shipment.ride_limit_s is not None:
            ride = self.time.CumulVar(delivery) - self.time.CumulVar(pickup)
            solver.Add(ride <= shipment.pickup_handling_s + shipment.ride_limit_s)
        prize = prize_cents(shipment) * UNITS_PER_CENT
        for index, windows in ((pickup, shipment.pickup_windows), (delivery, shipment.delivery_windows)):
            _limit(self.time.CumulVar(index), windows)
            routing.AddDisjunction([index], prize // 2)
            if shipment.classes is not None:
                allowed = [n for n, vehicle in enumerate(self.fleet) if vehicle.index in shipment.classes]
                routing.VehicleVar(index).SetValues([-1, *allowed])

    def constructed(self) -> Any:
        """
        Return the plan of our construction, in so far as the model finds no fault with it.

        It counts every leg of a stop for itself, so that a route may break a limit here that stops keep.
        """
        tours = idle_tours(self.day)
        construct(tours, self.shipments, lambda: False)
        return self._read([self._readable(number, tour.legs) for number, tour in enumerate(tours)])

    def _readable(self, number: int, legs: Sequence[Leg]) -> list[Leg]:
        """Return a route, or what of it may ride for any time, or nothing."""
        patient = [leg for leg in legs if leg.shipment.ride_limit_s is None]
        before: list[list[Leg]] = [[] for _ in range(number)]
        after: list[list[Leg]] = [[] for _ in self.fleet[number + 1 :]]
        return next((list(part) for part in (legs, patient) if self._read([*before, list(part), *after])), [])

    def _read(self, routes: Sequence[Sequence[Leg]]) -> Any:
        number = {id(shipment): number for number, shipment in enumerate(self.shipments)}
        indices = [
            [self._index(2 * number[id(leg.shipment)] + leg.is_delivery) for leg in legs] for legs in routes
        ]
        return self.routing.ReadAssignmentFromRoutes(indices, True)

    def routes(self, found: Any) -> list[tuple[int, list[int]]]:
        """Return the nodes of each route in use, with the class of its vehicle."""
        routes = []
        for number, vehicle in enumerate(self.fleet):
            index, nodes = found.Value(self.routing.NextVar(self.routing.Start(number))), []
            while not self.routing.IsEnd(index):
                nodes.append(int(self.manager.IndexToNode(index)))
                index = found.Value(self.routing.NextVar(index))
            if nodes:
                routes.append((vehicle.index, nodes))
        return routes


def solve(day: Day, shipments: Sequence[Shipment], seconds: float, seed: int) -> list[Route]:
    """
    Plan shipments for some CPU seconds; the seed changes nothing.

    The search has a process of its own: OR-Tools and highspy each bring a HiGHS, and only one can be loaded.
    """
    chosen = possible(day, shipments)
    if not chosen or not day.classes:
        return []
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        found = executor.submit(_search, day, chosen, seconds).result()
    legs = [leg for shipment in chosen for leg in shipment.legs()]
    return [(day.classes[index], [legs[node] for node in nodes]) for index, nodes in found]


def _search(day: Day, shipments: Sequence[Shipment], seconds: float) -> list[tuple[int, list[int]]]:
    """
    Return classes of vehicles with the nodes they visit.

    OR-Tools watches the clock on the wall: where others slowed it down, the search is taken up again.
    """
    end_s = time.process_time() + seconds
    model = _Model(day, shipments)
    parameters = _parameters(FIRST * seconds)
    parameters.solution_limit = 1
    found = model.routing.SolveWithParameters(parameters)
    constructed = model.constructed()
    if constructed and (not found or constructed.ObjectiveValue() < found.ObjectiveValue()):
        found = constructed
    parameters = _parameters(seconds)
    while found and (left_s := end_s - time.process_time()) > REST * seconds:
        parameters.time_limit.FromMilliseconds(int(1000 * left_s))
        found = model.routing.SolveFromAssignmentWithParameters(found, parameters) or found
    return model.routes(found) if found else []


def _parameters(seconds: float) -> Any:
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    parameters = pywrapcp.DefaultRoutingSearchParameters()
    parameters.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
    parameters.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    parameters.time_limit.FromMilliseconds(int(1000 * seconds))
    return parameters


def _locations(shipments: Sequence[Shipment], seen: View) -> list[int]:
    """Return the location of each node."""
    ends = (place for s in shipments for place in (s.pickup_place, s.delivery_place))
    return [*(seen.location[place] for place in ends), *seen.depot.values()]


def _limit(moment: Any, windows: Windows) -> None:
    moment.SetRange(windows[0][0], windows[-1][1])
    for before, after in pairwise(windows):
        moment.RemoveInterval(before[1] + 1, after[0] - 1)
