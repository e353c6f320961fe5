"""What would let a left-out order come along: changes tried one by one, each put on the clock."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from optimizer.compartments import Room, Row, is_rank
from optimizer.day import Amounts, Day, Shipment, VehicleClass
from optimizer.explain.wording import remedy_in_words
from optimizer.goods import Load
from optimizer.insertion import Insertion, Tour, cheapest_insertion
from optimizer.problem import CompartmentDemand
from optimizer.shipments import shipment_of
from optimizer.solution import Facts, Remedy, RemedyKind

#: Positions of a route that are tried before it is called full.
NUM_TRIALS = 8
#: Nobody is asked for more than so many minutes, or kilometres of range.
MOST_MINUTES, MOST_KM = 120, 60
#: Remedies that are told of one order.
MAX_REMEDIES = 3
#: Changes that one order may have tried.
MAX_TRIALS = 120
#: More than any load.
BOUNDLESS: Amounts = (10**15, 10**15, 10**15, 10**15)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """
    Something that could be otherwise, by an amount from 1 to ``most``.

    ``apply`` returns the tours and shipments that there would be.
    """

    kind: RemedyKind
    most: int
    apply: Callable[[int], tuple[Sequence[Tour], Sequence[Shipment]]]
    facts: Callable[[int, Insertion], Facts]


class Prober:
    """
    Tries changes against a plan that is final.

    Each change is the only one: everything else stays as planned, and routes get longer by one order at
    most. ``should_hurry`` is asked before every trial; once true, nothing more is tried.
    """

    def __init__(
        self,
        day: Day,
        room: Room,
        tours: Sequence[Tour],
        taken: Counter[Row],
        *,
        should_hurry: Callable[[], bool],
    ) -> None:
        self._day, self._room = day, room
        self._tours, self._taken = tours, taken
        self._should_hurry = should_hurry
        self._trials = 0
        self._changed: dict[tuple[RemedyKind, int], Sequence[Tour]] = {}

    def remedies(self, order: int, options: Sequence[int], kinds: Iterable[RemedyKind]) -> tuple[Remedy, ...]:
        """Return some remedies of the kinds, for an order at options at which there is room for it."""
        self._trials = 0
        found: list[Remedy] = []
        for kind in kinds:
            for change in self._changes(order, options, kind):
                if len(found) < MAX_REMEDIES and (remedy := self._least(order, change)) is not None:
                    found.append(remedy)
        return tuple(found)

    def room_for(self, order: int, options: Iterable[int]) -> tuple[Remedy, ...]:
        """Return what more room is worth at one of the options, each at a full place, the best first."""
        found: list[Remedy] = []
        for option in options:
            if self._should_hurry():
                break
            facts = self._shortage(order, option)
            way = self.way([self.shipment(order, option)])
            if way is None or facts is None:
                continue
            kind = RemedyKind.MORE_COMPARTMENTS if "size" in facts else RemedyKind.MORE_VOLUME
            if (remedy := self._remedy(order, kind, facts, way)) is not None:
                found.append(remedy)
        return tuple(sorted(found, key=lambda remedy: -remedy.saved_cents)[:MAX_REMEDIES])

    def shipment(self, order: int, option: int) -> Shipment:
        """Return the shipment of an order at an option."""
        return shipment_of(self._day, [order], [option])

    def way(self, shipments: Iterable[Shipment], tours: Sequence[Tour] | None = None) -> Insertion | None:
        """Return the cheapest way to carry one of the shipments, or ``None``."""
        present = self._tours if tours is None else tours
        ways = (cheapest_insertion(present, shipment, NUM_TRIALS) for shipment in shipments)
        return min((way for way in ways if way), key=lambda way: way.added_cents, default=None)

    def _remedy(self, order: int, kind: RemedyKind, facts: Facts, way: Insertion) -> Remedy | None:
        saved_cents = self._penalty(order) - way.added_cents
        if saved_cents <= 0:
            return None
        remedy = Remedy(kind=kind, sentence="", facts=facts, saved_cents=saved_cents)
        return replace(remedy, sentence=remedy_in_words(remedy))

    def _least(self, order: int, change: Change) -> Remedy | None:
        """Return the least change that lets an order come along at a profit, by bisection."""
        too_little, enough = 0, change.most
        best = self._tried(order, change, enough)
        while best is not None and enough - too_little > 1:
            middle = (too_little + enough) // 2
            remedy = self._tried(order, change, middle)
            if remedy is None:
                too_little = middle
            else:
                enough, best = middle, remedy
        return best

    def _tried(self, order: int, change: Change, amount: int) -> Remedy | None:
        self._trials += 1
        if self._trials > MAX_TRIALS or self._should_hurry():
            return None
        tours, shipments = change.apply(amount)
        way = self.way(shipments, tours)
        return self._remedy(order, change.kind, change.facts(amount, way), way) if way else None

    def _changes(self, order: int, options: Sequence[int], kind: RemedyKind) -> Iterator[Change]:
        """Yield the changes of a kind that could help an order at one of some options."""
        row, places = self._day.problem.orders[order], self._day.problem.places
        present = [self.shipment(order, option) for option in options]
        if kind == RemedyKind.READY_EARLIER and row.ready_s > 0:
            shop = {"place": row.pickup_place}
            yield _in_minutes(
                kind, lambda n: (self._tours, self._moved(order, options, earlier_s=60 * n)), shop
            )
        elif kind == RemedyKind.DEADLINE_LATER:
            yield _in_minutes(kind, lambda n: (self._tours, self._moved(order, options, later_s=60 * n)), {})
        elif kind == RemedyKind.LONGER_OPENING:
            for place in sorted({p for s in present for p in (s.pickup_place, s.delivery_place)}):
                if self._day.windows[place]:
                    opened = partial(self._opened, order, options, place)
                    yield _in_minutes(kind, opened, {"place": places[place].id})
        elif kind in _OF_VEHICLES:
            yield self._of_vehicles(kind, present)

    def _of_vehicles(self, kind: RemedyKind, shipments: Sequence[Shipment]) -> Change:
        """Return a change of any one vehicle; the facts name the one that drives then."""

        def apply(amount: int) -> tuple[Sequence[Tour], Sequence[Shipment]]:
            if (kind, amount) not in self._changed:
                self._changed[kind, amount] = self._changed_tours(kind, amount)
            return self._changed[kind, amount], shipments

        def facts(amount: int, way: Insertion) -> Facts:
            vehicle = self._day.problem.vehicles[way.tour.vehicle.vehicles[0]]
            excess: dict[str, int] = {}
            if kind == RemedyKind.LONGER_SHIFT:
                excess["minutes"] = amount
            elif kind == RemedyKind.LONGER_RANGE:
                excess["distance_m"] = 1000 * amount
            elif kind == RemedyKind.LARGER_VEHICLE:
                rooms = self._day.classes[way.tour.vehicle.index].loaded_capacity
                loads = zip(Load.__dataclass_fields__, way.timetable.max_load, rooms, strict=True)
                excess = {name: load - room for name, load, room in loads if load > room}
            return {"vehicle": vehicle.id, **excess}

        most = {RemedyKind.LONGER_SHIFT: MOST_MINUTES, RemedyKind.LONGER_RANGE: MOST_KM}.get(kind, 1)
        return Change(kind, most, apply, facts)

    def _changed_tours(self, kind: RemedyKind, amount: int) -> Sequence[Tour]:
        if kind == RemedyKind.MORE_VEHICLES:
            return [Tour(vehicle) for vehicle in repeatable(self._day)]
        return [_changed(tour, kind, amount) for tour in self._tours]

    def _moved(
        self, order: int, options: Sequence[int], *, earlier_s: int = 0, later_s: int = 0
    ) -> Sequence[Shipment]:
        """Return the shipments of an order as if it were ready or due at other moments."""
        row = self._day.problem.orders[order]
        shipments = [self.shipment(order, option) for option in options]
        moments = max(0, row.ready_s - earlier_s), row.deadline_s + later_s
        for shipment in shipments:
            shipment.pickup_windows = self._day.open_windows(shipment.pickup_place, *moments)
            shipment.delivery_windows = self._day.open_windows(shipment.delivery_place, *moments)
        return shipments

    def _opened(
        self, order: int, options: Sequence[int], place: int, minutes: int
    ) -> tuple[Sequence[Tour], Sequence[Shipment]]:
        """Return the shipments of an order as if a place closed later for it."""
        row = self._day.problem.orders[order]
        longer = tuple((earliest, latest + 60 * minutes) for earliest, latest in self._day.windows[place])
        windows = tuple(
            (max(row.ready_s, earliest), min(row.deadline_s, latest))
            for earliest, latest in longer
            if earliest <= row.deadline_s and row.ready_s <= latest
        )
        shipments = [self.shipment(order, option) for option in options]
        for shipment in shipments:
            if shipment.pickup_place == place:
                shipment.pickup_windows = windows
            if shipment.delivery_place == place:
                shipment.delivery_windows = windows
        return self._tours, shipments

    def _shortage(self, order: int, option: int) -> Facts | None:
        """Return how much more room of which kind an option needs; ``None`` if it lacks something else."""
        row, claims = self._day.problem.orders[order], self._room.claims(order, option)
        short = {
            claimed: self._taken[claimed] + amount - self._room.capacity.get(claimed, 0)
            for claimed, amount in claims.items()
            if self._taken[claimed] + amount > self._room.capacity.get(claimed, 0)
        }
        temperatures = {temperature for _, temperature, _ in short}
        if not short or any(is_rank(claimed) for claimed in short) or len(temperatures) > 1:
            return None
        place = row.options[option].place
        (temperature,) = temperatures
        count = max(short.values())
        if temperature is None:
            return {"place": place, "volume_cm3": count}
        demands = [demand for demand in row.compartments if demand.temperature == temperature]
        largest: CompartmentDemand = max(demands, key=lambda demand: demand.size.rank)
        size = str(largest.size)
        facts: Facts = {"place": place, "temperature": str(temperature), "size": size, "count": count}
        return {**facts, "door": "low"} if any(demand.low for demand in demands) else facts

    def _penalty(self, order: int) -> int:
        return self._day.problem.orders[order].unserved_penalty_cents


def repeatable(day: Day) -> list[VehicleClass]:
    """Return classes of which there could be one more: not under way, and no order names their vehicles."""
    orders = day.problem.orders
    named = {name for order in orders for name in (*order.vehicles, order.promise and order.promise.vehicle)}
    return [
        vehicle
        for vehicle in day.classes
        if not vehicle.under_way and named.isdisjoint(day.problem.vehicles[v].id for v in vehicle.vehicles)
    ]


_OF_VEHICLES = (
    RemedyKind.LONGER_SHIFT,
    RemedyKind.LONGER_RANGE,
    RemedyKind.LARGER_VEHICLE,
    RemedyKind.MORE_VEHICLES,
)


def _in_minutes(
    kind: RemedyKind, apply: Callable[[int], tuple[Sequence[Tour], Sequence[Shipment]]], facts: Facts
) -> Change:
    return Change(kind, MOST_MINUTES, apply, lambda minutes, _: {**facts, "minutes": minutes})


def _changed(tour: Tour, kind: RemedyKind, amount: int) -> Tour:
    """Return a tour as if its vehicle had more time, range or room."""
    vehicle, seconds, metres = tour.vehicle, 60 * amount, 1000 * amount
    changes: dict[str, Any] = {"capacity": BOUNDLESS, "loaded_capacity": BOUNDLESS}
    if kind == RemedyKind.LONGER_SHIFT:
        changes = {
            "latest_s": vehicle.latest_s + seconds,
            "max_duration_s": vehicle.max_duration_s + seconds,
        }
    elif kind == RemedyKind.LONGER_RANGE:
        changes = {"range_m": vehicle.range_m + metres, "first_range_m": vehicle.first_range_m + metres}
    other = replace(vehicle, **changes)
    # Costs stay what they are, and their table is large.
    vars(other)["cents"] = vehicle.cents
    return Tour(other, tour.timetable)
