"""
Shadow prices: what one more compartment, litre at a counter, or vehicle would be worth.

The linear relaxation of the master gives a dual value for each row of room and each class of vehicles. It
knows only the routes found, and the plan is whole where it is not: so it is an estimate. Where room or
vehicles are used up, a plan with one more is sought by solving the master once more, by carrying an order
there that is left out or goes elsewhere, or by filling the vehicle; what it is cheaper by is certain.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from optimizer import master, solver
from optimizer.compartments import Room, Row, counts, is_rank
from optimizer.day import Day
from optimizer.explain.remedies import repeatable
from optimizer.explain.wording import price_in_words
from optimizer.goods import Size, Temperature
from optimizer.insertion import Tour, cheapest_insertion
from optimizer.master import Column, Pool, Relaxation
from optimizer.places import Compartments
from optimizer.search import Search
from optimizer.shipments import shipment_of
from optimizer.solution import Facts, Price, PriceKind

#: Positions of a route that are tried before it is called full.
NUM_TRIALS = 4
#: Orders that are tried in one more compartment, and in one more vehicle.
MAX_TRIED = 12
#: Left-out orders for which routes are made that overfill a place.
MAX_WITHOUT_ROOM = 40
#: Duals below this count as none.
TOLERANCE = 0.005
#: Cubic centimetres of a litre.
LITRE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """One more of something: which rows of the master it widens, and which class of vehicles."""

    kind: PriceKind
    facts: Facts
    available: int
    rows: Sequence[Row] = ()
    vehicle: int | None = None


class Prices:
    """
    Finds prices for a plan that is final.

    ``left_s`` tells how many seconds remain; once there are none, prices that were not found stay unknown.
    """

    def __init__(self, search: Search, *, left_s: Callable[[], float]) -> None:
        self._search = search
        self._day, self._room = search.day, search.room
        self._left_s = left_s
        self._columns = list(search.pool)
        self._relaxation: Relaxation | None = None
        self._found: dict[tuple[int | None, frozenset[Row]], int] = {}
        self._carried = search.carried
        self._cost_cents = search.cost_cents
        self._full = self._rows_in_the_way()
        self._repeatable = {vehicle.index for vehicle in repeatable(self._day)}
        self._driven_cents = sum(column.cost_cents for column in search.incumbent)
        self._driven = Counter(column.vehicle.index for column in search.incumbent)

    def all(self) -> tuple[Price, ...]:
        """Return the prices of compartments and counters in the order of places, then of vehicles."""
        self._columns += self._columns_without_room()
        if self._left_s() > 0:
            limits = solver.Limits(seconds=self._left_s())
            self._relaxation = master.relax(self._day, self._room, self._columns, limits)
        units = [*self._of_room(), *self._of_vehicles()]
        duals = [self._dual_cents(unit) for unit in units]
        by_dual = sorted(range(len(units)), key=lambda number: (-(duals[number] or 0.0), number))
        saved = {number: self._saved_cents(units[number], duals[number]) for number in by_dual}
        return tuple(self._price(unit, duals[n], saved[n]) for n, unit in enumerate(units))

    def _rows_in_the_way(self) -> set[Row]:
        """Return the rows that are used up, or have too little left for an order that is left out."""
        taken, capacity = self._room.taken(self._carried.items()), self._room.capacity
        rows = {row for row, room in capacity.items() if taken[row] >= room}
        for order in self._search.left_out():
            for option in self._search.reach.reachable(order):
                claims = self._room.claims(order, option).items()
                rows |= {row for row, amount in claims if taken[row] + amount > capacity.get(row, 0)}
        return rows

    def _columns_without_room(self) -> list[Column]:
        """Return routes that carry a left-out order where there is no room: searches for plans keep none."""
        plan, pool = self._search.plan(), Pool(self._room)
        for order in self._search.left_out()[:MAX_WITHOUT_ROOM]:
            for option in self._search.reach.reachable(order):
                if self._left_s() <= 0:
                    break
                if not self._room.fits(plan.taken, self._room.claims(order, option)):
                    shipment = shipment_of(self._day, [order], [option])
                    way = cheapest_insertion(plan.tours, shipment, NUM_TRIALS)
                    if way is not None:
                        pool.add(way.tour.vehicle, way.timetable)
        return list(pool)

    def _of_room(self) -> Iterator[_Unit]:
        """Yield each kind of compartment that is asked for at each locker, and each counter with a limit."""
        kinds: dict[tuple[int, Temperature], set[tuple[bool, Size]]] = {}
        for row in self._room.capacity:
            place, temperature, (low, other) = row
            if is_rank(row):
                continue
            name = self._day.problem.places[place].id
            if temperature is None:
                litres = self._room.capacity[row] // LITRE
                yield _Unit(PriceKind.VOLUME, {"place": name}, litres, [row])
                continue
            sizes = kinds.setdefault((place, temperature), set())
            sizes |= {(True, low)} if low is not None and other is None else set()
            sizes |= {(False, other)} if other is not None else set()
        for (place, temperature), sizes in kinds.items():
            for low_door, size in sorted(sizes, key=lambda kind: (kind[0], kind[1].rank)):
                yield self._of_compartments(place, temperature, size, low_door)

    def _of_compartments(self, place: int, temperature: Temperature, size: Size, low: bool) -> _Unit:
        row = self._day.problem.places[place]
        stock = (c for c in row.compartments or () if (c.temperature, c.size) == (temperature, size))
        available = sum(compartments.free for compartments in stock if compartments.low or not low)
        one = Compartments(temperature=temperature, size=size, count=1, low=low)
        rows = [r for r in self._room.capacity if r[:2] == (place, temperature) and counts(one, r[2])]
        facts: Facts = {"place": row.id, "temperature": str(temperature), "size": str(size)}
        return _Unit(PriceKind.COMPARTMENTS, {**facts, "door": "low"} if low else facts, available, rows)

    def _of_vehicles(self) -> Iterator[_Unit]:
        for vehicle in self._day.classes:
            facts = {"vehicle": self._day.problem.vehicles[vehicle.vehicles[0]].id}
            yield _Unit(PriceKind.VEHICLES, facts, len(vehicle.vehicles), vehicle=vehicle.index)

    def _dual_cents(self, unit: _Unit) -> float | None:
        if self._relaxation is None:
            return None
        if unit.vehicle is not None:
            return max(0.0, self._relaxation.classes.get(unit.vehicle, 0.0))
        factor = LITRE if unit.kind == PriceKind.VOLUME else 1
        return factor * max(0.0, sum(self._relaxation.rows.get(row, 0.0) for row in unit.rows))

    def _price(self, unit: _Unit, dual_cents: float | None, saved_cents: int | None) -> Price:
        price = Price(
            kind=unit.kind,
            sentence="",
            facts=unit.facts,
            available=unit.available,
            vehicles=self._equal_vehicles(unit),
            shadow_cents=None if dual_cents is None else round(dual_cents, 2),
            saved_cents=saved_cents,
        )
        return replace(price, sentence=price_in_words(price))

    def _equal_vehicles(self, unit: _Unit) -> tuple[str, ...]:
        if unit.vehicle is None:
            return ()
        return tuple(self._day.problem.vehicles[v].id for v in self._day.classes[unit.vehicle].vehicles)

    def _saved_cents(self, unit: _Unit, dual_cents: float | None) -> int | None:
        """Return by how much a plan with one more is cheaper, if there is time to look for one."""
        if unit.vehicle is not None:
            if unit.vehicle not in self._repeatable:
                return None
            if self._driven[unit.vehicle] < len(self._day.classes[unit.vehicle].vehicles):
                return 0
        elif self._full.isdisjoint(unit.rows):
            return 0
        elif unit.kind == PriceKind.VOLUME:
            # One litre alone seldom takes another order; remedies tell how much would.
            return None
        # What fills up the same rows is worth the same, such as a larger compartment where a small one lacks.
        key = unit.vehicle, frozenset(self._full.intersection(unit.rows))
        if key not in self._found and self._left_s() <= 0:
            return None
        if key not in self._found:
            saved_cents = self._by_moving(unit) if unit.vehicle is None else self._by_driving(unit.vehicle)
            if dual_cents is not None and dual_cents > TOLERANCE:
                saved_cents = max(saved_cents, self._by_choosing(unit, dual_cents))
            self._found[key] = saved_cents
        return self._found[key]

    def _by_choosing(self, unit: _Unit, dual_cents: float) -> int:
        """Return what choosing anew among all routes found saves."""
        assert self._relaxation is not None  # noqa: S101 - it gave the dual
        day, room = self._widened(unit)
        # The duals stay feasible: with one more unit the relaxation is cheaper by the dual at most.
        relaxation = replace(self._relaxation, cents=self._relaxation.cents - dual_cents)
        incumbent, limits = self._search.incumbent, solver.Limits(seconds=self._left_s())
        chosen = master.select(day, room, self._columns, incumbent, relaxation, limits)
        return self._cost_cents - master.plan_cost(day, chosen)

    def _widened(self, unit: _Unit) -> tuple[Day, Room]:
        """Return the day and its room with one more of something."""
        day, room = copy.copy(self._day), copy.copy(self._room)
        room.capacity = self._more_capacity(unit)
        if unit.vehicle is not None:
            more = replace(day.classes[unit.vehicle], vehicles=(*day.classes[unit.vehicle].vehicles, -1))
            day.classes = tuple(more if one.index == more.index else one for one in day.classes)
        return day, room

    def _more_capacity(self, unit: _Unit) -> dict[Row, int]:
        capacity = dict(self._room.capacity)
        for row in unit.rows:
            capacity[row] += 1
        return capacity

    def _by_moving(self, unit: _Unit) -> int:
        """Return what carrying one order to the place saves that is left out or goes elsewhere."""
        room = copy.copy(self._room)
        room.capacity = self._more_capacity(unit)
        best = 0
        for order, option in self._wanting(str(unit.facts["place"])):
            if self._left_s() <= 0:
                break
            plan = self._search.plan_without({order})
            num_kept = sum(len(shipment.orders) for tour in plan.tours for shipment in tour.shipments)
            is_whole = num_kept == len(self._carried.keys() - {order})
            if not is_whole or not room.fits(plan.taken, room.claims(order, option)):
                continue
            way = cheapest_insertion(plan.tours, shipment_of(self._day, [order], [option]), NUM_TRIALS)
            if way is not None:
                driven_cents = sum(tour.cost_cents for tour in plan.tours) + way.added_cents
                best = max(best, self._driven_cents + self._unserved_cents(order) - driven_cents)
        return best

    def _wanting(self, place: str) -> list[tuple[int, int]]:
        """Return orders that might rather go to a place, with the option that says so."""
        wanting: list[tuple[int, int, int]] = []
        for order, row in enumerate(self._day.problem.orders):
            present = self._carried.get(order)
            for option in self._search.reach.reachable(order):
                there = row.options[option]
                if there.place != place or option == present:
                    continue
                spared = self._unserved_cents(order)
                if present is not None:
                    spared = row.options[present].preference_penalty_cents
                wanting.append((there.preference_penalty_cents - spared, order, option))
        return [(order, option) for _, order, option in sorted(wanting)[:MAX_TRIED]]

    def _by_driving(self, vehicle: int) -> int:
        """Return what filling one more vehicle with left-out orders saves."""
        plan = self._search.plan()
        tour = Tour(self._day.classes[vehicle])
        saved_cents = 0
        for order in self._search.left_out()[:MAX_TRIED]:
            for option in self._search.reach.reachable(order):
                claims = self._room.claims(order, option)
                if self._left_s() <= 0 or not self._room.fits(plan.taken, claims):
                    continue
                way = cheapest_insertion([tour], shipment_of(self._day, [order], [option]), NUM_TRIALS)
                fixed_cents = 0 if tour.timetable else tour.vehicle.prices.fixed_cents
                if way is not None and way.added_cents - fixed_cents < self._unserved_cents(order):
                    saved_cents += self._unserved_cents(order) - way.added_cents
                    plan.taken.update(claims)
                    tour.drive(way.timetable)
                    break
        return max(0, saved_cents)

    def _unserved_cents(self, order: int) -> int:
        """Return what leaving an order out costs the plan at hand."""
        return 0 if order in self._carried else self._day.problem.orders[order].unserved_penalty_cents
