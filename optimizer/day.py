"""A problem prepared for computing: indices for identifiers, tables, classes of equal vehicles."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optimizer.problem import LATEST_S, NO_WAY, Order, Problem, Temperature, UnderWay, Vehicle, WorkingTime
from optimizer.travel.model import forbidden

#: ``(earliest, latest)`` moments at which service may start, in order, in seconds.
Windows = tuple[tuple[int, int], ...]
Amounts = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """
    Travel of one profile between places, by index.

    Parameters
    ----------
    distance_m, duration_s
        Rows of the travel matrix.
    arrival_s
        Duration plus the fixed time of a stop at the place entered, unless both have equal coordinates.
    closed
        Places that the profile may not serve.
    """

    distance_m: list[list[int]]
    duration_s: list[list[int]]
    arrival_s: list[list[int]]
    closed: list[bool]
    distance_table: NDArray[np.int64]
    arrival_table: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a run costs: once, by distance, by time and by emissions; and what breaking a promise costs."""

    fixed_cents: int
    per_km_cents: int
    per_hour_cents: int
    co2e_g_per_km: int
    co2e_per_kg_cents: int
    late_per_hour_cents: int = 0
    moved_cents: int = 0

    @property
    def per_m_cents(self) -> float:
        """Distance and emissions of one metre."""
        return self.per_km_cents / 1e3 + self.co2e_g_per_km * self.co2e_per_kg_cents / 1e6

    @property
    def per_s_cents(self) -> float:
        """Time of one second."""
        return self.per_hour_cents / 3600


@dataclass(frozen=True, eq=False)
class VehicleClass:
    """
    Vehicle shifts that differ in their identifier only; ``vehicles`` are their indices in the problem.

    Parameters
    ----------
    start, end, base
        Where its run starts and ends, and where it returns to between trips.
    capacity, loaded_capacity
        What it may carry: at any moment, for what is on board already is there; and after loading anything.
    earliest_s, latest_s
        Within these moments the run starts and ends.
    max_duration_s, range_m, first_range_m
        Longest run; longest way on one charge, and on what is left of the first one.
    num_trips
        Trips that it may still begin.
    under_way
        Set if the run has begun: then the class is this one vehicle, and it leaves at ``earliest_s``.
    only_home
        Even the way home exceeds shift, longest run or charge: then the vehicle does nothing else.
    on_board, on_board_amounts
        Orders that are loaded already, and their load.
    """

    index: int
    vehicles: tuple[int, ...]
    profile: str
    network: Network
    start: int
    end: int
    base: int
    capacity: Amounts
    loaded_capacity: Amounts
    earliest_s: int
    latest_s: int
    max_duration_s: int
    range_m: int
    first_range_m: int
    num_trips: int
    turnaround_s: int
    prices: Prices
    skills: frozenset[str] = frozenset()
    working_time: WorkingTime | None = None
    under_way: UnderWay | None = None
    only_home: bool = False
    on_board: tuple[int, ...] = ()
    on_board_amounts: Amounts = (0, 0, 0, 0)

    @property
    def longest_work_s(self) -> int:
        """Return how long a run may last but for its breaks, so that there is time for them, too."""
        rules, run_s = self.working_time, self.max_duration_s
        if rules is None:
            return run_s
        longest_s = run_s if rules.max_work_s is None else min(run_s, rules.max_work_s)
        works_s = [longest_s, *(s for rule in rules.rules for s in (rule.work_s, run_s - rule.break_s))]
        return max(
            work_s for work_s in works_s if work_s <= longest_s and work_s + rules.breaks_s(work_s) <= run_s
        )

    def turn(self) -> "Leg":
        """Return the stop between two trips."""
        return Leg(TURN, False, self.base, ALWAYS, self.turnaround_s)

    @cached_property
    def cents(self) -> NDArray[np.float64]:
        """
        Cost of going from each place (row) to each place (column), fixed time of the stop included;
        infinite where there is no way.
        """
        metres = self.network.distance_table.astype(np.float64) * self.prices.per_m_cents
        seconds = self.network.arrival_table.astype(np.float64) * self.prices.per_s_cents
        return np.where(self.network.distance_table >= NO_WAY, np.inf, metres + seconds)


@dataclass(slots=True, eq=False)
class Leg:
    """The pickup or the delivery of a shipment."""

    shipment: "Shipment"
    is_delivery: bool
    place: int
    windows: Windows
    handling_s: int

    @property
    def is_first(self) -> bool:
        """Tell whether the shipment begins with this leg; turns belong to none."""
        return self.shipment.is_on_board if self.is_delivery else self.shipment is not TURN


@dataclass(slots=True, eq=False)
class Shipment:
    """
    Orders moved as one, each to one of its options.

    Parameters
    ----------
    orders, options
        Indices of the orders, and for each the index of its option.
    ride_limit_s
        Longest time between the end of the pickup and the start of the delivery.
    preference_cents, penalty_cents
        Sum of the options' preference penalties; sum of what leaving the orders out costs.
    classes
        Indices of the only classes of vehicles that may carry it; ``None`` leaves the choice open.
    loaded_s
        When it was loaded, if it is on board: then it has no pickup.
    promises
        For each promise that an order holds, the class it named, if any, and the latest moment, if any.
    """

    orders: tuple[int, ...]
    options: tuple[int, ...]
    pickup_place: int
    delivery_place: int
    pickup_windows: Windows
    delivery_windows: Windows
    amounts: Amounts
    pickup_handling_s: int
    delivery_handling_s: int
    ride_limit_s: int | None
    preference_cents: int
    penalty_cents: int
    classes: frozenset[int] | None = None
    loaded_s: int | None = None
    promises: tuple[tuple[int | None, int | None], ...] = ()

    @property
    def is_on_board(self) -> bool:
        """Tell whether it is loaded already."""
        return self.loaded_s is not None

    def legs(self) -> tuple[Leg, ...]:
        """Return new legs: the pickup, unless it is on board, and the delivery."""
        pickup = Leg(self, False, self.pickup_place, self.pickup_windows, self.pickup_handling_s)
        delivery = Leg(self, True, self.delivery_place, self.delivery_windows, self.delivery_handling_s)
        return (delivery,) if self.is_on_board else (pickup, delivery)


#: Open around the clock.
ALWAYS: Windows = ((0, LATEST_S),)
#: What a vehicle "carries" to the stop between two of its trips.
TURN = Shipment((), (), 0, 0, ALWAYS, ALWAYS, (0, 0, 0, 0), 0, 0, None, 0, 0)


class Day:
    """
    A problem with all its tables.

    Parameters
    ----------
    problem
        With a travel matrix for every profile.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.place_index = {place.id: index for index, place in enumerate(problem.places)}
        self.order_index = {order.id: index for index, order in enumerate(problem.orders)}
        self.windows: list[Windows] = [
            tuple((window.earliest_s, window.latest_s) for window in place.windows)
            for place in problem.places
        ]
        self.networks = _networks(problem)
        self.classes = tuple(_classes(self))
        self.class_of = {
            problem.vehicles[vehicle].id: one.index for one in self.classes for vehicle in one.vehicles
        }
        #: For each order on board the class that carries it, and when it was loaded.
        self.loaded = {
            self.order_index[goods.order]: (self.class_of[vehicle.id], goods.loaded_s)
            for vehicle in problem.vehicles
            for goods in vehicle.on_board
        }
        self.ride_limits: Mapping[Temperature, int] = problem.max_ride_s

    def option_place(self, order: int, option: int) -> int:
        """Return the index of the place that an option of an order names."""
        return self.place_index[self.problem.orders[order].options[option].place]

    def classes_for(self, order: int) -> frozenset[int] | None:
        """Return the only classes of vehicles that may carry an order, or ``None`` if any may."""
        if order in self.loaded:
            return frozenset({self.loaded[order][0]})
        row = self.problem.orders[order]
        if not row.skills and not row.vehicles:
            return None
        named = {self.class_of[name] for name in row.vehicles}
        return frozenset(
            one.index
            for one in self.classes
            if one.skills.issuperset(row.skills) and (one.index in named or not named)
        )

    def ride_limit_s(self, order: Order) -> int | None:
        """Return the tightest limit among the temperatures of an order."""
        limits = [self.ride_limits[t] for t in order.temperatures if t in self.ride_limits]
        return min(limits, default=None)

    def open_windows(self, place: int, earliest_s: int, latest_s: int) -> Windows:
        """Return when service may start at a place between two moments; empty if never."""
        if not self.windows[place]:
            return ((earliest_s, latest_s),) if earliest_s <= latest_s else ()
        return intersect(self.windows[place], ((earliest_s, latest_s),))


def intersect(one: Windows, other: Windows) -> Windows:
    """Return the moments that lie in both."""
    if len(one) == len(other) == 1:
        earliest, latest = max(one[0][0], other[0][0]), min(one[0][1], other[0][1])
        return ((earliest, latest),) if earliest <= latest else ()
    both = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return tuple(sorted((earliest, latest) for earliest, latest in both if earliest <= latest))


def _networks(problem: Problem) -> dict[str, Network]:
    coordinates = np.array([(place.latitude, place.longitude) for place in problem.places]).reshape(-1, 2)
    apart = (coordinates[:, None, :] != coordinates[None, :, :]).any(axis=2)
    parking_s = apart * np.array([place.stop_duration_s for place in problem.places], dtype=np.int64)
    closed = forbidden(problem)
    networks = {}
    for matrix in problem.matrices:
        arrival_s = matrix.duration_s + parking_s
        networks[matrix.profile] = Network(
            distance_m=matrix.distance_m.tolist(),
            duration_s=matrix.duration_s.tolist(),
            arrival_s=arrival_s.tolist(),
            closed=closed[matrix.profile].tolist(),
            distance_table=matrix.distance_m,
            arrival_table=arrival_s,
        )
    return networks


def _classes(day: Day) -> Iterator[VehicleClass]:
    """
    Yield the classes of equal vehicles, in the order of their first members.

    A vehicle that is under way or that orders name is a class of its own.
    """
    named = {name for order in day.problem.orders for name in order.vehicles}
    named |= {order.promise.vehicle or "" for order in day.problem.orders if order.promise}
    members: dict[tuple[Vehicle, str | None], list[int]] = {}
    for index, vehicle in enumerate(day.problem.vehicles):
        alone = vehicle.under_way is not None or vehicle.id in named
        key = replace(vehicle, id="any"), vehicle.id if alone else None
        members.setdefault(key, []).append(index)
    for index, ((vehicle, _), indices) in enumerate(members.items()):
        yield _class(day, index, vehicle, tuple(indices))


#: More than any limit.
UNLIMITED = 10**12


def _class(day: Day, index: int, vehicle: Vehicle, indices: tuple[int, ...]) -> VehicleClass:
    way = vehicle.under_way
    loaded = tuple(day.order_index[goods.order] for goods in vehicle.on_board)
    max_duration_s = UNLIMITED if vehicle.max_duration_s is None else vehicle.max_duration_s
    range_m = first_range_m = UNLIMITED if vehicle.range_m is None else vehicle.range_m
    latest_s = vehicle.shift.latest_s
    only_home = False
    on_board = total([day.problem.orders[order].load.amounts for order in loaded])
    if way is not None:
        # Whatever happened, going straight home is allowed.
        here, end = day.place_index[way.place], day.place_index[vehicle.end_place]
        network = day.networks[vehicle.profile]
        home_s, home_m = network.duration_s[here][end], network.distance_m[here][end]
        left_s, left_m = max_duration_s - (way.free_s - way.started_s), range_m - way.driven_m
        only_home = left_s < home_s or latest_s < way.free_s + home_s or left_m < home_m
        max_duration_s, first_range_m = max(left_s, home_s), max(left_m, home_m)
        latest_s = max(latest_s, way.free_s + home_s)
    return VehicleClass(
        index=index,
        vehicles=indices,
        profile=vehicle.profile,
        network=day.networks[vehicle.profile],
        start=day.place_index[way.place if way else vehicle.start_place],
        end=day.place_index[vehicle.end_place],
        base=day.place_index[vehicle.start_place],
        capacity=_most(vehicle.capacity.amounts, on_board),
        loaded_capacity=vehicle.capacity.amounts,
        earliest_s=way.free_s if way else vehicle.shift.earliest_s,
        latest_s=latest_s,
        max_duration_s=max_duration_s,
        range_m=range_m,
        first_range_m=first_range_m,
        num_trips=max(1, vehicle.max_trips - (way.trips - 1 if way else 0)),
        turnaround_s=vehicle.turnaround_s,
        prices=_prices(day.problem, vehicle),
        skills=frozenset(vehicle.skills),
        working_time=vehicle.working_time,
        under_way=way,
        only_home=only_home,
        on_board=loaded,
        on_board_amounts=on_board,
    )


def _prices(problem: Problem, vehicle: Vehicle) -> Prices:
    return Prices(
        fixed_cents=0 if vehicle.under_way else vehicle.fixed_cost_cents,
        per_km_cents=vehicle.cost_per_km_cents,
        per_hour_cents=vehicle.cost_per_hour_cents,
        co2e_g_per_km=vehicle.co2e_g_per_km,
        co2e_per_kg_cents=problem.co2e_price_cents_per_kg,
        late_per_hour_cents=problem.late_cents_per_hour,
        moved_cents=problem.moved_cents,
    )


def _most(one: Amounts, other: Amounts) -> Amounts:
    """Return the larger amount in each dimension."""
    weight, volume, chilled, frozen = (max(pair) for pair in zip(one, other, strict=True))
    return weight, volume, chilled, frozen


def total(loads: Iterable[Amounts]) -> Amounts:
    """Return the sum of some loads."""
    weight = volume = chilled = frozen = 0
    for one in loads:
        weight, volume, chilled, frozen = (
            weight + one[0],
            volume + one[1],
            chilled + one[2],
            frozen + one[3],
        )
    return weight, volume, chilled, frozen
