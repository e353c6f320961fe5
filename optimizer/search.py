"""The search for a plan: a constructive start, rounds of proposals, and the master that decides."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import cos, dist, radians
from random import Random
from statistics import fmean

from optimizer import master, solver
from optimizer.assignment import assign, fill, proximity_costs
from optimizer.compartments import Room, Row
from optimizer.day import Day, Shipment
from optimizer.explain import Plan
from optimizer.insertion import Insertion, Tour, cheapest_insertion, construct, idle_tours, repaired
from optimizer.master import Column, Pool, plan_cost
from optimizer.proposer import Proposer
from optimizer.reachability import Reachability
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import consolidate, shipment_of

#: A round looks at so many shipments at most: neighbouring routes, which PyVRP improves faster than all.
MAX_SHIPMENTS = 110
#: Iterations of PyVRP in one round.
ROUND_ITERATIONS = 20
#: Shipments that are taken out and inserted anew at once, at most.
MAX_REMOVED = 25
#: Positions of a route that are put on the clock when a left-out order is tried once more.
NUM_TRIALS = 4


class Search:
    """
    The state of a search: the best plan so far, and every route seen on the way.

    ``should_stop`` ends improving, ``must_stop`` ends even the construction of a first plan; whatever was
    found until then stands.
    """

    def __init__(self, day: Day, *, should_stop: Callable[[], bool], must_stop: Callable[[], bool]) -> None:
        self.day = day
        self.should_stop = should_stop
        self.must_stop = must_stop
        self.reach = Reachability(day)
        self.room = Room(day)
        self.pool = Pool(self.room)
        self.incumbent: list[Column] = []
        self.iterations = 0
        self.proximity: dict[int, dict[int, float]] = {}
        self._turn = 0

    @property
    def cost_cents(self) -> int:
        """Cost of the best plan so far."""
        return plan_cost(self.day, self.incumbent)

    @property
    def carried(self) -> dict[int, int]:
        """Option by order, for the orders of the best plan."""
        return dict(pair for column in self.incumbent for pair in column.orders)

    def assign(self, limits: solver.Limits, should_hurry: Callable[[], bool]) -> dict[int, int]:
        """Decide where each order goes before anything is known of routes; no more orders in a hurry."""
        orders = self.reach.explore(should_hurry)
        self.proximity = proximity_costs(self.day, self.reach, orders)
        return assign(self.day, self.room, self.proximity, {}, limits)

    def construct(self, assignment: dict[int, int]) -> None:
        """Build a first plan: what few vehicles can carry first, then what has the longest way."""
        tours = idle_tours(self.day)
        shipments = sorted(consolidate(self.day, assignment), key=self._difficulty)
        construct(tours, shipments, self.must_stop)
        self._adopt(self._columns(tours))

    def improve(self, seed: int, iterations: int) -> None:
        """Let PyVRP improve some neighbouring routes, and keep all that it comes by."""
        tours = self._neighbouring_tours()
        moments: dict[Shipment, tuple[int, int]] = {}
        for tour in tours:
            moments.update(tour.moments())
        for shipment in consolidate(self.day, self._waiting()):
            moments.update(self._moments_alone(shipment))
        available = self._available(tours)
        if not moments or not available:
            return
        proposer = Proposer(self.day, moments, available)
        proposer.start_from([(tour.vehicle, tour.legs) for tour in tours if tour.legs])
        found = proposer.round(seed, iterations, self.should_stop)
        self.iterations += found.iterations
        for proposal in found.harvest:
            self._columns([repaired(proposal.vehicle, proposal.legs)])
        better = self._columns(repaired(proposal.vehicle, proposal.legs) for proposal in found.best)
        changed = {order for tour in tours for s in tour.shipments for order in s.orders}
        kept = [column for column in self.incumbent if column.orders[0][0] not in changed]
        self._adopt([*kept, *better])

    def reassign(self, random: Random) -> None:
        """
        Take related orders out of the best plan and insert them anew, each at whatever option is cheapest.

        This is ruin and recreate [1]_, and the only step that changes where an order goes once routes exist.

        References
        ----------
        .. [1] Schrimpf, G., et al. (2000). Record breaking optimization results using the ruin and recreate
               principle. *Journal of Computational Physics*, 159(2), 139-171.
               https://doi.org/10.1006/jcph.1999.6413
        """
        removed = self._related(random)
        plan = self.plan_without(removed)
        waiting = sorted({*removed, *self._left_out()}, key=lambda order: (random.random(), order))
        for order in waiting:
            if self.should_stop():
                return
            self._insert(plan, order)
        self._adopt(self._columns(plan.tours))

    def decide(self, limits: solver.Limits) -> None:
        """Let the master choose among all routes seen."""
        self._adopt(master.select(self.day, self.room, list(self.pool), self.incumbent, limits))

    def complete(self) -> None:
        """Insert left-out orders where that is cheaper than leaving them out."""
        plan = self.plan()
        for order in self._left_out():
            if self.should_stop():
                break
            self._insert(plan, order)
        self._adopt(self._columns(plan.tours))

    def plan(self) -> Plan:
        """Return the best plan as tours of all vehicle shifts."""
        idle = {vehicle.index: len(vehicle.vehicles) for vehicle in self.day.classes}
        tours = []
        for column in self.incumbent:
            tours.append(Tour(column.vehicle, column.timetable))
            idle[column.vehicle.index] -= 1
        for index, number in idle.items():
            tours += [Tour(self.day.classes[index]) for _ in range(number)]
        taken: Counter[Row] = Counter()
        for column in self.incumbent:
            taken.update(column.taken)
        return Plan(tours, taken)

    def _adopt(self, columns: list[Column]) -> None:
        """Make columns the best plan if they are cheaper."""
        if plan_cost(self.day, columns) < self.cost_cents:
            self.incumbent = columns

    def _columns(self, tours: Iterable[Tour]) -> list[Column]:
        """Put the tours in use into the pool, and return their columns."""
        return [self.pool.add(tour.vehicle, tour.timetable) for tour in tours if tour.timetable]

    def _difficulty(self, shipment: Shipment) -> tuple[int, int, int]:
        order, option = shipment.orders[0], shipment.options[0]
        num_classes = self.reach.failures(order, option).count(None)
        vehicle = self.day.classes[0]
        distance_m = vehicle.network.distance_m[shipment.pickup_place][shipment.delivery_place]
        return num_classes, -distance_m, order

    def _left_out(self) -> list[int]:
        """Return the left-out orders that were looked at, dearest first."""
        carried = self.carried
        orders = [order for order in self.proximity if order not in carried and self.proximity[order]]
        return sorted(orders, key=lambda o: (-self.day.problem.orders[o].unserved_penalty_cents, o))

    def _moments_alone(self, shipment: Shipment) -> dict[Shipment, tuple[int, int]]:
        """Return when a shipment starts to be picked up and delivered alone; empty if no vehicle can."""
        for vehicle in self.day.classes:
            timetable = evaluate(vehicle, shipment.legs())
            if isinstance(timetable, Timetable):
                return Tour(vehicle, timetable).moments()
        return {}

    def _waiting(self) -> dict[int, int]:
        """Return options, within the room left, for orders that the best plan leaves out."""
        carried = self.carried
        chosen = fill(self.day, self.room, self.proximity, carried)
        return {order: option for order, option in chosen.items() if order not in carried}

    def _insert(self, plan: Plan, order: int) -> None:
        """Insert an order where it is cheapest, unless leaving it out is cheaper still."""
        best: tuple[Insertion, int] | None = None
        limit = self.day.problem.orders[order].unserved_penalty_cents
        for option in self.reach.reachable(order):
            if self.room.fits(plan.taken, self.room.claims(order, option)):
                shipment = shipment_of(self.day, [order], [option])
                way = cheapest_insertion(plan.tours, shipment, NUM_TRIALS)
                if way is not None and way.added_cents < limit:
                    best, limit = (way, option), way.added_cents
        if best is not None:
            way, option = best
            way.tour.drive(way.timetable)
            plan.taken.update(self.room.claims(order, option))

    def plan_without(self, orders: set[int]) -> Plan:
        """Return the best plan without some orders."""
        plan = self.plan()
        for tour in plan.tours:
            if any(order in orders for shipment in tour.shipments for order in shipment.orders):
                legs = [leg for leg in tour.legs if orders.isdisjoint(leg.shipment.orders)]
                tour.drive(repaired(tour.vehicle, legs).timetable)
        kept = [
            pair
            for tour in plan.tours
            for s in tour.shipments
            for pair in zip(s.orders, s.options, strict=True)
        ]
        return Plan(plan.tours, self.room.taken(kept))

    def _related(self, random: Random) -> set[int]:
        """Return some carried orders that begin and end near each other, with all that share a shipment."""
        shipments = [s for column in self.incumbent for s in column.shipments]
        if not shipments:
            return set()
        seed = random.choice(shipments)
        distance_m = self.day.classes[0].network.distance_m

        def unrelated(other: Shipment) -> float:
            apart = distance_m[seed.pickup_place][other.pickup_place]
            apart += distance_m[seed.delivery_place][other.delivery_place]
            return apart * (0.5 + random.random())

        count = random.randint(1, min(MAX_REMOVED, len(shipments)))
        return {order for s in sorted(shipments, key=unrelated)[:count] for order in s.orders}

    def _neighbouring_tours(self) -> list[Tour]:
        """Return a route, another at each turn, and its neighbours, up to a number of shipments."""
        tours = [Tour(column.vehicle, column.timetable) for column in self.incumbent]
        if not tours:
            return []
        first = tours[self._turn % len(tours)]
        self._turn += 1
        middle = self._middle(first)
        chosen: list[Tour] = []
        num_shipments = 0
        for tour in sorted(tours, key=lambda t: (t is not first, dist(self._middle(t), middle))):
            num_shipments += len(tour.shipments)
            if chosen and num_shipments > MAX_SHIPMENTS:
                break
            chosen.append(tour)
        return chosen

    def _middle(self, tour: Tour) -> tuple[float, float]:
        """Return the mean position of a tour, in degrees of latitude both ways."""
        places = [self.day.problem.places[visit.place] for visit in tour.visits]
        north = fmean(place.latitude for place in places)
        return north, fmean(place.longitude for place in places) * cos(radians(north))

    def _available(self, tours: Sequence[Tour]) -> dict[int, int]:
        """Return how many vehicles of each class idle or drive one of the tours."""
        available = {vehicle.index: len(vehicle.vehicles) for vehicle in self.day.classes}
        for column in self.incumbent:
            available[column.vehicle.index] -= 1
        for tour in tours:
            available[tour.vehicle.index] += 1
        return {index: number for index, number in available.items() if number > 0}
