"""Put shipments into routes where they cost least: to complete a plan, and to find what would help."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from optimizer.day import TURN, Day, Leg, Shipment, VehicleClass, Windows
from optimizer.schedule import Timetable, evaluate, latest_starts_of
from optimizer.visits import Visit

#: Positions of a route that are put on the clock, cheapest estimates first.
NUM_TRIALS = 3
#: Feasible ways that are compared, over all routes.
NUM_WAYS = 4
#: Instead of the visits after which to call: on one more trip, after all others.
LATER_TRIP = -1


class Tour:
    """A vehicle shift under construction: its class, its legs, and both on the clock."""

    def __init__(self, vehicle: VehicleClass, timetable: Timetable | None = None) -> None:
        self.vehicle = vehicle
        self.drive(timetable)

    def drive(self, timetable: Timetable | None) -> None:
        """Take over another timetable; ``None`` leaves the vehicle idle."""
        self.timetable = timetable
        self.visits = timetable.visits if timetable else []
        self.legs = [leg for visit in self.visits for leg in visit.legs]
        self.route = np.array([self.vehicle.start, *(visit.place for visit in self.visits), self.vehicle.end])
        self.ready_s, self.latest_s = _slack(self.vehicle, self.visits)

    @property
    def cost_cents(self) -> int:
        """Cost of the route; an unused vehicle costs nothing."""
        return self.timetable.cost_cents if self.timetable else 0

    def moments(self) -> dict[Shipment, tuple[int, int]]:
        """Return when the pickup and the delivery of each shipment start; on board there is no pickup."""
        starts_s: dict[Shipment, list[int]] = {}
        for visit, start_s in zip(
            self.visits, self.timetable.starts_s if self.timetable else (), strict=True
        ):
            for leg in visit.legs:
                if leg.shipment is not TURN:
                    starts_s.setdefault(leg.shipment, []).append(start_s)
        return {shipment: (starts[0], starts[-1]) for shipment, starts in starts_s.items()}

    @property
    def shipments(self) -> list[Shipment]:
        """What the tour carries, in the order of pickup."""
        return [leg.shipment for leg in self.legs if leg.is_first]


@dataclass(frozen=True, slots=True, eq=False)
class Insertion:
    """A feasible way to carry one more shipment, and what it adds to the cost."""

    tour: Tour
    timetable: Timetable
    added_cents: int
    estimate_cents: float


def idle_tours(day: Day) -> list[Tour]:
    """Return a tour without goods for each vehicle shift; what is under way goes home."""
    return [Tour(vehicle, homeward(vehicle)) for vehicle in day.classes for _ in vehicle.vehicles]


def homeward(vehicle: VehicleClass) -> Timetable | None:
    """Return what a vehicle does that is given nothing: if it is under way it goes home."""
    if vehicle.under_way is None:
        return None
    timetable = evaluate(vehicle, ())
    return timetable if isinstance(timetable, Timetable) else None


def insertions(
    tours: Sequence[Tour], shipment: Shipment, num_trials: int = NUM_TRIALS
) -> Iterator[Insertion]:
    """
    Yield feasible ways to carry a shipment, on a trip of the route or one more, cheapest estimates first.

    Positions that cannot keep the windows are ruled out by the slack of the routes, the rest is ranked by
    travel and service, and ``num_trials`` in each route are put on the clock. Equal idle vehicles count once.
    """
    for estimate, tour, after_pickup, after_delivery in _ranked(_distinct(tours), shipment, num_trials):
        if _too_long(tour, shipment, after_pickup, after_delivery):
            continue
        *pickup, delivery = shipment.legs()
        if after_pickup == LATER_TRIP:
            longer = [*tour.legs, tour.vehicle.turn(), *pickup, delivery]
        else:
            first = sum(len(visit.legs) for visit in tour.visits[:after_pickup])
            second = first + sum(len(visit.legs) for visit in tour.visits[after_pickup:after_delivery])
            longer = [*tour.legs[:first], *pickup, *tour.legs[first:second], delivery, *tour.legs[second:]]
        timetable = evaluate(tour.vehicle, longer)
        if isinstance(timetable, Timetable):
            yield Insertion(tour, timetable, timetable.cost_cents - tour.cost_cents, estimate)


def cheapest_insertion(tours: Sequence[Tour], shipment: Shipment, num_trials: int) -> Insertion | None:
    """
    Return the cheapest way that was tried to carry a shipment, or ``None`` if none was feasible.

    Trying ends after some feasible ways, or where estimates exceed the cost of a way found.
    """
    best: Insertion | None = None
    for way in islice(insertions(tours, shipment, num_trials), NUM_WAYS):
        if best is not None and way.estimate_cents > best.added_cents:
            break
        if best is None or way.added_cents < best.added_cents:
            best = way
    return best


def construct(
    tours: Sequence[Tour], shipments: Sequence[Shipment], should_stop: Callable[[], bool]
) -> list[Shipment]:
    """
    Insert shipments one after the other at the first feasible position, whatever it costs.

    What is not worth its cost goes again when routes are improved; asking for it here would never open a
    vehicle whose first shipment alone does not pay.

    Returns
    -------
    list
        Shipments that fit nowhere.
    """
    left: list[Shipment] = []
    for shipment in shipments:
        way = None if should_stop() else next(insertions(tours, shipment), None)
        if way is None:
            left.append(shipment)
        else:
            way.tour.drive(way.timetable)
    return left


def repaired(vehicle: VehicleClass, legs: Sequence[Leg]) -> Tour:
    """Return a feasible tour of a route's shipments; those that no longer fit are dropped."""
    for kept in (_without_idle_turns(vehicle, legs), legs):
        timetable = evaluate(vehicle, kept) if kept else homeward(vehicle)
        if isinstance(timetable, Timetable) or not kept:
            return Tour(vehicle, timetable if isinstance(timetable, Timetable) else None)
    tour = Tour(vehicle, homeward(vehicle))
    construct([tour], [leg.shipment for leg in legs if leg.is_first], lambda: False)
    return tour


def _without_idle_turns(vehicle: VehicleClass, legs: Sequence[Leg]) -> list[Leg]:
    """Return legs without trips in which nothing is done any more; who is out may still charge first."""
    kept: list[Leg] = []
    for leg in legs:
        is_idle = kept[-1].shipment is TURN if kept else vehicle.under_way is None
        if leg.shipment is not TURN or not is_idle:
            kept.append(leg)
    return kept[:-1] if kept and kept[-1].shipment is TURN else kept


def _distinct(tours: Sequence[Tour]) -> list[Tour]:
    """Return the tours without repeated idle ones."""
    idle = {tour.vehicle.index: tour for tour in reversed(tours) if not tour.visits}
    return [tour for tour in tours if tour.visits or idle[tour.vehicle.index] is tour]


def _ranked(
    tours: Sequence[Tour], shipment: Shipment, num_trials: int
) -> Iterator[tuple[float, Tour, int, int]]:
    """Yield estimates, cheapest first, with tours and the visits after which to call, or ``LATER_TRIP``."""
    candidates: list[tuple[float, int, int, int]] = []
    for number, tour in enumerate(tours):
        table = _estimates(tour, shipment)
        flat = table.ravel()
        count = min(num_trials, len(flat))
        candidates.extend(
            (float(flat[position]), number, *divmod(position, len(table)))
            for position in np.argpartition(flat, count - 1)[:count].tolist()
            if flat[position] < np.inf
        )
        if (estimate := _of_later_trip(tour, shipment)) < np.inf:
            candidates.append((estimate, number, LATER_TRIP, LATER_TRIP))
    for estimate, number, after_pickup, after_delivery in sorted(candidates):
        yield estimate, tours[number], after_pickup, after_delivery


def _estimates(tour: Tour, shipment: Shipment) -> NDArray[np.float64]:
    """
    Return estimated extra cost by visits after which to pick up (row) and deliver (column).

    Row and column 0 mean right after the start; impossible pairs are infinite, and for goods on board all
    rows but the first. Fixed costs are left out.
    """
    vehicle = tour.vehicle
    pickup, delivery, on_board = shipment.pickup_place, shipment.delivery_place, shipment.is_on_board
    if _is_barred(vehicle, shipment):
        return np.full((1, 1), np.inf)
    cents = vehicle.cents
    before, after = tour.route[:-1], tour.route[1:]
    # A vehicle that would stay where it is saves nothing, even if its start and end are apart.
    saved = cents[before, after] if tour.timetable else np.zeros(1)
    delivery_possible = _possible(tour, delivery, shipment.delivery_windows, shipment.delivery_handling_s)
    if on_board:
        table = np.full((len(before), len(before)), np.inf)
        detour = cents[before, delivery] + cents[delivery, after] - saved
        table[0] = np.where(delivery_possible, detour, np.inf)
        return table
    to_pickup, from_delivery = cents[before, pickup], cents[delivery, after]
    pickup_possible = _possible(tour, pickup, shipment.pickup_windows, shipment.pickup_handling_s)
    pickup_detour = np.where(pickup_possible, to_pickup + cents[pickup, after] - saved, np.inf)
    delivery_detour = np.where(delivery_possible, cents[before, delivery] + from_delivery - saved, np.inf)
    total: NDArray[np.float64] = pickup_detour[:, None] + delivery_detour[None, :]
    total[_pickup_last(len(before))] = np.inf
    direct = to_pickup + cents[pickup, delivery] + from_delivery - saved
    total.ravel()[:: len(before) + 1] = np.where(pickup_possible | delivery_possible, direct, np.inf)
    return total


def _of_later_trip(tour: Tour, shipment: Shipment) -> float:
    """Return the estimated extra cost of one more trip after the last one, infinite if there can be none."""
    vehicle, pickup, delivery = tour.vehicle, shipment.pickup_place, shipment.delivery_place
    num_turns = sum(leg.shipment is TURN for leg in tour.legs)
    is_last = num_turns + 1 >= vehicle.num_trips
    if not tour.visits or is_last or shipment.is_on_board or _is_barred(vehicle, shipment):
        return np.inf
    cents, last = vehicle.cents, tour.visits[-1].place
    turned = cents[last, vehicle.base] - cents[last, vehicle.end] + cents[vehicle.base, pickup]
    return float(turned + cents[pickup, delivery] + cents[delivery, vehicle.end])


def _is_barred(vehicle: VehicleClass, shipment: Shipment) -> bool:
    """Tell whether a vehicle may or can not carry a shipment, whatever else it does."""
    closed, pickup = vehicle.network.closed, shipment.pickup_place
    if closed[shipment.delivery_place] or (closed[pickup] and not shipment.is_on_board):
        return True
    if shipment.classes is not None and vehicle.index not in shipment.classes:
        return True
    return any(amount > room for amount, room in zip(shipment.amounts, vehicle.capacity, strict=True))


@lru_cache(maxsize=512)
def _pickup_last(size: int) -> NDArray[np.bool_]:
    """Return the pairs in which the delivery would not come after the pickup."""
    return np.tri(size, dtype=np.bool_)


def _too_long(tour: Tour, shipment: Shipment, after_pickup: int, after_delivery: int) -> bool:
    """Tell whether range or longest run rule a position out, which is cheaper to see than the whole clock."""
    if not tour.timetable or shipment.is_on_board or tour.vehicle.num_trips > 1:
        return False
    pickup, delivery, route = shipment.pickup_place, shipment.delivery_place, tour.route
    before, after = int(route[after_pickup]), int(route[after_delivery + 1])
    behind, ahead = int(route[after_pickup + 1]), int(route[after_delivery])
    direct = after_pickup == after_delivery
    calls = ((before, pickup), (pickup if direct else ahead, delivery))
    onward = ((delivery, after),) if direct else ((pickup, behind), (delivery, after))
    saved = ((before, after),) if direct else ((before, behind), (ahead, after))
    vehicle, network = tour.vehicle, tour.vehicle.network
    table = network.distance_m
    distance_m = tour.timetable.distance_m + _sum(table, calls) + _sum(table, onward) - _sum(table, saved)
    if distance_m > vehicle.first_range_m:
        return True
    timetable, table = tour.timetable, network.duration_s
    busy_s = timetable.end_s - timetable.start_s - timetable.wait_s
    busy_s += shipment.pickup_handling_s + shipment.delivery_handling_s
    busy_s += _sum(network.arrival_s, calls) + _sum(table, onward) - _sum(table, saved)
    return busy_s > vehicle.max_duration_s


def _sum(table: list[list[int]], ways: Sequence[tuple[int, int]]) -> int:
    return sum(table[one][other] for one, other in ways)


def _slack(vehicle: VehicleClass, visits: Sequence[Visit]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Return when the vehicle can leave each visit at the earliest, and start the next at the latest.

    Both have one entry for each gap between visits, the first after the start of the run.
    """
    arrival_s = vehicle.network.arrival_s
    now, here = vehicle.earliest_s, vehicle.start
    ready = [now]
    for visit in visits:
        now += arrival_s[here][visit.place]
        now = next((max(now, earliest) for earliest, latest in visit.windows if now <= latest), now)
        now += visit.service_s
        ready.append(now)
        here = visit.place
    latest = [*latest_starts_of(vehicle, visits, vehicle.latest_s), vehicle.latest_s]
    return np.array(ready), np.array(latest)


def _possible(tour: Tour, place: int, windows: Windows, handling_s: int) -> NDArray[np.bool_]:
    """Tell after which visits a call at a place can keep its windows and the slack of what follows."""
    before, after = tour.route[:-1], tour.route[1:]
    if not windows:
        return np.zeros(len(before), dtype=bool)
    arrival_table = tour.vehicle.network.arrival_table
    starts_s = np.maximum(tour.ready_s + arrival_table[before, place], windows[0][0])
    in_time = starts_s <= windows[-1][1]
    onward_s = arrival_table[place, after]
    onward_s[-1] = tour.vehicle.network.duration_s[place][tour.vehicle.end]
    leaves_in_time = starts_s + handling_s + onward_s <= tour.latest_s
    # Where the vehicle stands already, the call joins a visit that may have begun in time.
    possible: NDArray[np.bool_] = (in_time | (before == place)) & (
        leaves_in_time | (before == place) | (after == place)
    )
    return possible
