"""The state of a search for a plan: the best one so far, every route seen, and how both change."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from optimizer import master, solver
from optimizer.assignment import assign, fill, proximity_costs
from optimizer.compartments import Room, Row
from optimizer.day import Day, Leg, Shipment
from optimizer.explain.reasons import Plan
from optimizer.explain.remedies import NUM_TRIALS
from optimizer.insertion import Insertion, Tour, cheapest_insertion, idle_tours, repaired
from optimizer.master import Column, Pool, plan_cost
from optimizer.reachability import Reachability
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of


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
        self._homeward = self.columns(idle_tours(day))
        self.incumbent = self._homeward
        self.relaxation: master.Relaxation | None = None
        self.iterations = 0
        self.proximity: dict[int, dict[int, float]] = {}

    @property
    def cost_cents(self) -> int:
        """Cost of the best plan so far."""
        return self.cost_of(self.incumbent)

    def cost_of(self, columns: Sequence[Column]) -> int:
        """Return the cost of a plan in cents."""
        return plan_cost(self.day, columns)

    @property
    def carried(self) -> dict[int, int]:
        """Option by order, for the orders of the best plan."""
        return dict(pair for column in self.incumbent for pair in column.orders)

    def assign(self, limits: solver.Limits, should_hurry: Callable[[], bool]) -> dict[int, int]:
        """Decide where each order goes before anything is known of routes; no more orders in a hurry."""
        orders = self.reach.explore(should_hurry)
        self.proximity = proximity_costs(self.day, self.reach, orders)
        return assign(self.day, self.room, self.proximity, limits)

    def decide(self, limits: solver.Limits) -> None:
        """Let the master choose among all routes seen."""
        columns = list(self.pool)
        relaxation = master.relax(self.day, self.room, columns, limits)
        if relaxation is not None:
            self.relaxation = relaxation
            self.adopt(master.select(self.day, self.room, columns, self.incumbent, relaxation, limits))

    def complete(self, should_stop: Callable[[], bool] | None = None) -> None:
        """Insert left-out orders where that is cheaper than leaving them out, until told to stop."""
        is_over = should_stop or self.should_stop
        num_left = math.inf
        # A route that one order has opened may be worth it for another one that was tried before.
        while len(left := self.left_out()) < num_left and not is_over():
            num_left, plan = len(left), self.plan()
            for order in left:
                if is_over():
                    break
                self.insert(plan, order)
            self.adopt(self.columns(plan.tours))

    def within_room(self, columns: list[Column]) -> list[Column]:
        """Return columns without the least urgent of those orders that overfill shared room."""
        gone = self._too_many(columns)
        return self.columns(self.plan_without(gone, columns).tours) if gone else columns

    def _too_many(self, columns: Sequence[Column]) -> set[int]:
        """Return orders, the least urgent ones, without which columns do not overfill shared room."""
        pairs = [pair for column in columns for pair in column.orders]
        taken, capacity = Counter(self.room.taken(pairs)), self.room.capacity
        orders, gone = self.day.problem.orders, set()
        for order, option in sorted(pairs, key=lambda pair: (orders[pair[0]].unserved_penalty_cents, pair)):
            claims = self.room.claims(order, option)
            if any(taken[row] > capacity.get(row, 0) for row in claims):
                taken.subtract(claims)
                gone.add(order)
        return gone

    def plan(self, columns: Sequence[Column] | None = None) -> Plan:
        """Return columns, by default those of the best plan, as tours of all vehicle shifts."""
        columns = self.incumbent if columns is None else columns
        idle = {vehicle.index: len(vehicle.vehicles) for vehicle in self.day.classes}
        tours = []
        for column in columns:
            tours.append(Tour(column.vehicle, column.timetable))
            idle[column.vehicle.index] -= 1
        for index, number in idle.items():
            tours += [Tour(self.day.classes[index]) for _ in range(number)]
        taken: Counter[Row] = Counter()
        for column in columns:
            taken.update(column.taken)
        return Plan(tours, taken)

    def adopt(self, columns: list[Column]) -> None:
        """Make columns the best plan if they are one, and cheaper than the last."""
        if plan_cost(self.day, columns) < self.cost_cents and self._is_plan(columns):
            self.incumbent = columns

    def _is_plan(self, columns: list[Column]) -> bool:
        """Tell whether columns keep what no route can see alone."""
        pairs = [pair for column in columns for pair in column.orders]
        driven = Counter(column.vehicle.index for column in columns)
        return (
            len({order for order, _ in pairs}) == len(pairs)
            and self.room.fits(Counter(), self.room.taken(pairs))
            and all(number <= len(self.day.classes[index].vehicles) for index, number in driven.items())
            and all(driven[vehicle.index] == 1 for vehicle in self.day.classes if vehicle.under_way)
        )

    def with_homeward(self, columns: list[Column]) -> list[Column]:
        """Add that vehicles go home which are under way and given nothing."""
        busy = {column.vehicle.index for column in columns}
        return [*columns, *(column for column in self._homeward if column.vehicle.index not in busy)]

    def columns(self, tours: Iterable[Tour]) -> list[Column]:
        """Put the tours in use into the pool, and return their columns."""
        return [self.pool.add(tour.vehicle, tour.timetable) for tour in tours if tour.timetable]

    def left_out(self) -> list[int]:
        """Return the left-out orders that were looked at, dearest first."""
        carried = self.carried
        orders = [order for order in self.proximity if order not in carried and self.proximity[order]]
        return sorted(orders, key=lambda o: (-self.day.problem.orders[o].unserved_penalty_cents, o))

    def moments_alone(self, shipment: Shipment) -> dict[Shipment, tuple[int, int]]:
        """Return when a shipment starts to be picked up and delivered alone; empty if no vehicle can."""
        for vehicle in self.day.classes:
            timetable = evaluate(vehicle, shipment.legs())
            if isinstance(timetable, Timetable):
                return Tour(vehicle, timetable).moments()
        return {}

    def waiting(self) -> dict[int, int]:
        """Return options, within the room left, for orders that the best plan leaves out."""
        carried = self.carried
        chosen = fill(self.day, self.room, self.proximity, carried)
        return {order: option for order, option in chosen.items() if order not in carried}

    def insert(self, plan: Plan, order: int) -> None:
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

    def plan_without(self, orders: set[int], columns: Sequence[Column] | None = None) -> Plan:
        """Return columns, by default those of the best plan, without some orders."""
        plan = self.plan(columns)
        for tour in plan.tours:
            if any(order in orders for shipment in tour.shipments for order in shipment.orders):
                tour.drive(repaired(tour.vehicle, self._legs_without(orders, tour)).timetable)
        kept = [
            pair
            for tour in plan.tours
            for s in tour.shipments
            for pair in zip(s.orders, s.options, strict=True)
        ]
        return Plan(plan.tours, self.room.taken(kept))

    def _legs_without(self, orders: set[int], tour: Tour) -> list[Leg]:
        """Return the legs of a tour without some orders; what is left of their shipments stays."""
        smaller: dict[Shipment, Sequence[Leg]] = {}
        for shipment in tour.shipments:
            pairs = zip(shipment.orders, shipment.options, strict=True)
            kept = {order: option for order, option in pairs if order not in orders}
            if not kept:
                smaller[shipment] = ()
            elif len(kept) < len(shipment.orders):
                smaller[shipment] = shipment_of(self.day, [*kept], [*kept.values()]).legs()
        legs: list[Leg] = []
        for leg in tour.legs:
            others = smaller.get(leg.shipment, [leg])
            legs += [other for other in others if other.is_delivery == leg.is_delivery]
        return legs
