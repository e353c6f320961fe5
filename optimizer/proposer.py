"""PyVRP: routes for given choices of where each order may go, in rounds that go on from the best plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyvrp
from pyvrp.IteratedLocalSearch import (
    IteratedLocalSearch,
    IteratedLocalSearchCallbacks,
    IteratedLocalSearchParams,
)
from pyvrp.PenaltyManager import PenaltyManager, PenaltyParams
from pyvrp.search import OPERATORS, LocalSearch, NeighbourhoodParams, compute_neighbours

from optimizer.day import Leg, VehicleClass
from optimizer.view import View

#: What a unit of load, a second or a metre too many costs at first, at least and at most, in multiples of
#: what a metre or second costs at most; and after how many local optima that changes.
FIRST_PENALTY, LEAST_PENALTY, MOST_PENALTY, UPDATE_EVERY = 20.0, 0.1, 100_000.0, 50
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
        view = self._view
        generator = pyvrp.RandomNumberGenerator(seed=seed)
        neighbours = compute_neighbours(view.data, NeighbourhoodParams(num_neighbours=self._num_neighbours))
        moves = LocalSearch(view.data, generator, neighbours)
        for operator in OPERATORS:
            if operator.supports(view.data):
                moves.add_operator(operator(view.data))
        penalties = self._penalties(view)
        routes = [route for vehicle, legs in start for route in view.routes_of(vehicle, legs)]
        first = pyvrp.Solution(view.data, routes)
        if not routes:
            random = pyvrp.Solution.make_random(view.data, generator)
            first = moves(random, penalties.max_cost_evaluator(), exhaustive=True)
        search = IteratedLocalSearch(
            view.data, penalties, moves, first, IteratedLocalSearchParams(callbacks=harvester)
        )
        found = search.run(_Stop(iterations, should_stop), collect_stats=False, display=False)
        best = found.best.routes()
        kept = {_goods(route) for route in best}
        harvest = [route for goods, (_, route) in harvester.routes.items() if goods not in kept]
        return Round(
            [(view.class_of(route), view.legs_of(route)) for route in best],
            [(view.class_of(route), view.legs_of(route)) for route in harvest],
            found.num_iterations,
        )

    @staticmethod
    def _penalties(view: View) -> PenaltyManager:
        """Return penalties that begin low: they rise quickly where they must, and fall slowly."""
        params = PenaltyParams(
            solutions_between_updates=UPDATE_EVERY,
            min_penalty=LEAST_PENALTY * view.unit_cost,
            max_penalty=MOST_PENALTY * view.unit_cost,
        )
        first = FIRST_PENALTY * view.unit_cost
        return PenaltyManager(([first] * view.data.num_load_dimensions, first, first), params)


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
