"""
Independent check of a solution: everything is recomputed from the problem and the claims of the plan.

This module and ``feasibility_route`` share no code with the scheduler or the models, so that one mistake
cannot hide in both.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import product

from optimizer.feasibility_route import RouteCheck
from optimizer.problem import Order, Place, Problem, Size, Temperature
from optimizer.solution import Solution
from optimizer.travel.model import with_matrices


def violations(problem: Problem, solution: Solution) -> list[str]:
    """
    Return a sentence for each rule that a solution breaks; none means that it is feasible and adds up.

    Travel is taken from the matrices of the problem, or from geodesics where there are none.
    """
    return list(_Check(with_matrices(problem), solution).all())


def overfull(problem: Problem, solution: Solution) -> list[str]:
    """
    Return a sentence for each compartment that is missing and each place that holds too much.

    That is all that may change for a plan that was found feasible while its problem is the same but for what
    is free; it needs no travel.
    """
    check = _Check(problem, solution)
    return [*check.compartments(), *check.volumes()]


class _Check:
    def __init__(self, problem: Problem, solution: Solution) -> None:
        self.problem = problem
        self.solution = solution

    def all(self) -> Iterator[str]:
        """Yield all violations; unknown names first, since nothing else can be looked up with them."""
        unknown = list(self.unknown_names())
        if unknown:
            yield from unknown
            return
        yield from self.every_order_accounted_for()
        yield from self.every_shift_once()
        yield from self.compartments()
        yield from self.volumes()
        yield from self.ranks()
        yield from self.under_way()
        check = RouteCheck(self.problem)
        for route in self.solution.routes:
            for sentence in check.violations(route):
                yield f"route of {route.vehicle}: {sentence}"

    def unknown_names(self) -> Iterator[str]:
        orders, places = self.problem.order_by_id, self.problem.place_by_id
        for left in self.solution.left_out:
            if left.order not in orders:
                yield f"order {left.order} is unknown"
        for route in self.solution.routes:
            if route.vehicle not in self.problem.vehicle_by_id:
                yield f"vehicle {route.vehicle} is unknown"
            for stop in route.stops:
                if stop.place not in places:
                    yield f"place {stop.place} is unknown"
                for order in (*stop.pickups, *(delivery.order for delivery in stop.deliveries)):
                    if order not in orders:
                        yield f"order {order} is unknown"

    def every_order_accounted_for(self) -> Iterator[str]:
        delivered = Counter(d.order for r in self.solution.routes for s in r.stops for d in s.deliveries)
        left_out = Counter(left.order for left in self.solution.left_out)
        for order in self.problem.orders:
            times = delivered[order.id] + left_out[order.id]
            if times != 1:
                yield f"order {order.id} is accounted for {times} times"
        for left in self.solution.left_out:
            if left.unserved_penalty_cents != self.problem.order_by_id[left.order].unserved_penalty_cents:
                yield f"order {left.order} is left out at a wrong penalty"

    def every_shift_once(self) -> Iterator[str]:
        for vehicle, times in Counter(route.vehicle for route in self.solution.routes).items():
            if times > 1:
                yield f"vehicle {vehicle} has {times} routes"

    def compartments(self) -> Iterator[str]:
        """
        Give each claim the smallest compartment that takes it; nothing may remain.

        Claims to low doors choose first, and large ones before small ones: so each leaves what is most useful
        to the rest.
        """
        claims: dict[tuple[str, Temperature], list[tuple[bool, int]]] = defaultdict(list)
        for place, order in self._deliveries():
            if place.compartments is not None:
                for demand in order.compartments:
                    rank = list(Size).index(demand.size)
                    claims[place.id, demand.temperature].append((demand.low, rank))
        for (place_id, temperature), wanted in claims.items():
            free = Counter(
                {
                    (stock.size, stock.low): max(0, stock.count - stock.forecast)
                    for stock in self.problem.place_by_id[place_id].compartments or ()
                    if stock.temperature == temperature
                }
            )
            for low, rank in sorted(wanted, reverse=True):
                doors = product(list(Size)[rank:], (True,) if low else (False, True))
                fitting = next((door for door in doors if free[door]), None)
                if fitting is None:
                    kind = f"low {temperature}" if low else temperature
                    yield f"{place_id} has no {kind} compartment left for size {list(Size)[rank]}"
                else:
                    free[fitting] -= 1

    def volumes(self) -> Iterator[str]:
        stored: Counter[str] = Counter()
        for place, order in self._deliveries():
            stored[place.id] += sum(parcel.count * parcel.volume_cm3 for parcel in order.parcels)
        for place in self.problem.places:
            if place.volume_limit_cm3 is not None and stored[place.id] > place.volume_limit_cm3:
                yield f"{place.id} holds {stored[place.id]} cm³ of at most {place.volume_limit_cm3}"

    def ranks(self) -> Iterator[str]:
        """Count the orders that go beyond each rank."""
        ranks = [
            self.problem.order_by_id[d.order].options[d.option].rank
            for route in self.solution.routes
            for stop in route.stops
            for d in stop.deliveries
            if 0 <= d.option < len(self.problem.order_by_id[d.order].options)
        ]
        for limit in self.problem.rank_limits:
            beyond = sum(rank > limit.rank for rank in ranks)
            if beyond > limit.most:
                yield f"{beyond} orders go beyond rank {limit.rank}, of at most {limit.most}"

    def under_way(self) -> Iterator[str]:
        """Ask for a route of every vehicle that is out, and for goods on board where they are."""
        routes = {route.vehicle: route for route in self.solution.routes}
        for vehicle in self.problem.vehicles:
            if vehicle.under_way is not None and vehicle.id not in routes:
                yield f"vehicle {vehicle.id} is under way, but has no route"
            for goods in vehicle.on_board:
                for name, route in routes.items():
                    stops = route.stops
                    if name != vehicle.id and any(
                        d.order == goods.order for s in stops for d in s.deliveries
                    ):
                        yield f"order {goods.order} is on board of {vehicle.id}, not of {name}"

    def _deliveries(self) -> Iterator[tuple[Place, Order]]:
        for route in self.solution.routes:
            for stop in route.stops:
                for delivery in stop.deliveries:
                    yield self.problem.place_by_id[stop.place], self.problem.order_by_id[delivery.order]
