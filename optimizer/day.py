"""A problem prepared for computing: indices for identifiers, tables, classes of equal vehicles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optimizer.problem import Order, Problem, Temperature, Vehicle
from optimizer.travel import forbidden

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
    """What a run costs: once, by distance, by time and by emissions."""

    fixed_cents: int
    per_km_cents: int
    per_hour_cents: int
    co2e_g_per_km: int
    co2e_per_kg_cents: int

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
    """Vehicle shifts that differ in their identifier only; ``vehicles`` are their indices in the problem."""

    index: int
    vehicles: tuple[int, ...]
    profile: str
    network: Network
    start: int
    end: int
    capacity: Amounts
    earliest_s: int
    latest_s: int
    max_duration_s: int
    range_m: int
    prices: Prices

    @cached_property
    def cents(self) -> NDArray[np.float64]:
        """Cost of going from each place (row) to each place (column), fixed time of the stop included."""
        metres = self.network.distance_table.astype(np.float64) * self.prices.per_m_cents
        seconds = self.network.arrival_table.astype(np.float64) * self.prices.per_s_cents
        return np.asarray(metres + seconds, dtype=np.float64)


@dataclass(slots=True, eq=False)
class Leg:
    """The pickup or the delivery of a shipment."""

    shipment: "Shipment"
    is_delivery: bool
    place: int
    windows: Windows
    handling_s: int


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
    """

    orders: tuple[int, ...]
    options: tuple[int, ...]
    pickup_place: int
    delivery_place: int
    pickup_windows: Windows
    delivery_windows: Windows
    amounts: Amounts
    handling_s: int
    ride_limit_s: int | None
    preference_cents: int
    penalty_cents: int

    def legs(self) -> tuple[Leg, Leg]:
        """Return new legs: the pickup and the delivery."""
        pickup = Leg(self, False, self.pickup_place, self.pickup_windows, self.handling_s)
        delivery = Leg(self, True, self.delivery_place, self.delivery_windows, self.handling_s)
        return pickup, delivery


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
        self.classes = tuple(_classes(problem, self.place_index, self.networks))
        self.ride_limits: Mapping[Temperature, int] = problem.max_ride_s

    def option_place(self, order: int, option: int) -> int:
        """Return the index of the place that an option of an order names."""
        return self.place_index[self.problem.orders[order].options[option].place]

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


def _classes(
    problem: Problem, place_index: Mapping[str, int], networks: Mapping[str, Network]
) -> Iterator[VehicleClass]:
    """Yield the classes of equal vehicles, in the order of their first members."""
    members: dict[Vehicle, list[int]] = {}
    for index, vehicle in enumerate(problem.vehicles):
        members.setdefault(replace(vehicle, id="any"), []).append(index)
    unlimited = 10**12
    for index, (vehicle, indices) in enumerate(members.items()):
        yield VehicleClass(
            index=index,
            vehicles=tuple(indices),
            profile=vehicle.profile,
            network=networks[vehicle.profile],
            start=place_index[vehicle.start_place],
            end=place_index[vehicle.end_place],
            capacity=vehicle.capacity.amounts,
            earliest_s=vehicle.shift.earliest_s,
            latest_s=vehicle.shift.latest_s,
            max_duration_s=unlimited if vehicle.max_duration_s is None else vehicle.max_duration_s,
            range_m=unlimited if vehicle.range_m is None else vehicle.range_m,
            prices=Prices(
                fixed_cents=vehicle.fixed_cost_cents,
                per_km_cents=vehicle.cost_per_km_cents,
                per_hour_cents=vehicle.cost_per_hour_cents,
                co2e_g_per_km=vehicle.co2e_g_per_km,
                co2e_per_kg_cents=problem.co2e_price_cents_per_kg,
            ),
        )
