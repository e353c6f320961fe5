"""PyVRP: routes for given choices of where each order may go, in rounds that go on from the best plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyvrp
from pyvrp.IteratedLocalSearch import IteratedLocalSearchCallbacks, IteratedLocalSearchParams
from pyvrp.search import NeighbourhoodParams
from pyvrp.solve import SolveParams

from optimizer.day import Leg, VehicleClass
from optimizer.view import View

#: A trip that someone drives: its vehicles, and legs in their order.
Trip = tuple[VehicleClass, Sequence[Leg]]


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """
    What one round of the search brought.

    Parameters
    ----------
    best
        Trips of its best solution.
    harvest
        Trips of the local optima on the way, without those of ``best``: of those that one class of vehicles
        makes with the same shipments, the cheapest.
    """

    best: list[Trip]
    harvest: list[Trip]
    iterations: int


class Proposer:
    """
    Searches trips for the shipments and vehicles of a view.

    Parameters
    ----------
    num_neighbours
        Of each leg, that it may be moved next to.
    """

    def __init__(self, view: View, num_neighbours: int) -> None:
        self._view = view
        self._num_neighbours = num_neighbours

    def round(
        self, start: Sequence[Trip], seed: int, iterations: int, should_stop: Callable[[], bool]
    ) -> Round:
        """
        Search for some iterations, or until told to stop.

        Parameters
        ----------
        start
            Feasible shifts of shipments in the view; without any the search makes a start of its own.
        seed, iterations, should_stop
            Equal seeds and iterations bring equal rounds, unless one is told to stop.
        """
        harvester = _Harvester()
        params = SolveParams(
            ils=IteratedLocalSearchParams(callbacks=harvester),
            neighbourhood=NeighbourhoodParams(num_neighbours=self._num_neighbours),
        )
        view = self._view
        routes = [route for vehicle, legs in start for route in view.routes_of(vehicle, legs)]
        found = pyvrp.solve(
            view.data,
            _Stop(iterations, should_stop),
            seed,
            collect_stats=False,
            display=False,
            params=params,
            initial_solution=pyvrp.Solution(view.data, routes) if routes else None,
        )
        best = found.best.routes()
        kept = {_goods(route) for route in best}
        harvest = [route for goods, (_, route) in harvester.routes.items() if goods not in kept]
        return Round(
            [(view.class_of(route), view.legs_of(route)) for route in best],
            [(view.class_of(route), view.legs_of(route)) for route in harvest],
            found.num_iterations,
        )


class _Stop:
    """Ends a round after some iterations, or when told to."""

    def __init__(self, iterations: int, should_stop: Callable[[], bool]) -> None:
        self.left = iterations
        self.should_stop = should_stop

    def __call__(self, best_cost: float) -> bool:
        self.left -= 1
        return self.left < 0 or self.should_stop()


class _Harvester(IteratedLocalSearchCallbacks):
    """Collects the feasible routes of local optima, the cheapest for each class and load."""

    def __init__(self) -> None:
        self.routes: dict[tuple[object, ...], tuple[int, pyvrp.Route]] = {}

    def on_iteration(
        self,
        current: pyvrp.Solution,
        candidate: pyvrp.Solution,
        best: pyvrp.Solution,
        cost_evaluator: pyvrp.CostEvaluator,
    ) -> None:
        """Keep the routes of a candidate that was accepted."""
        if candidate is not current:
            return
        for route in candidate.routes():
            if route.is_feasible():
                goods, cost = _goods(route), route.distance_cost() + route.duration_cost()
                known = self.routes.get(goods)
                if known is None or cost < known[0]:
                    self.routes[goods] = cost, route


def _goods(route: pyvrp.Route) -> tuple[object, ...]:
    """Return the class of vehicles of a route, and what it delivers."""
    delivered = [
        (activity.idx, activity.is_client())
        for activity in route
        if activity.is_client() or activity.is_delivery()
    ]
    return route.vehicle_type(), *sorted(delivered)
