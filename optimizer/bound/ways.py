"""Where vehicles of a class may go when routes are priced: cheapest, fastest and shortest ways."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.bound.labels import Graph
from optimizer.compiled import Floats
from optimizer.day import UNLIMITED, Day, VehicleClass
from optimizer.problem import NO_WAY


@dataclass(frozen=True, slots=True)
class Choice:
    """
    An option of an order that a class can serve, with its nodes, cost and longest ride.

    An order on board has no shop, and no longest ride here.
    """

    order: int
    option: int
    shop: int | None
    point: int
    cents: float
    ride_s: float


class Ways:
    """Cheapest, fastest and shortest ways of a vehicle through any places."""

    def __init__(self, vehicle: VehicleClass) -> None:
        self._vehicle = vehicle
        network, prices = vehicle.network, vehicle.prices
        no_way = network.distance_table >= NO_WAY
        drive_s = np.array(network.duration_s, dtype=float)
        metres = np.where(no_way, np.inf, network.distance_table)
        seconds = np.where(no_way, np.inf, drive_s)
        self.cents = _closure(vehicle.cents)
        self.seconds = _closure(np.where(no_way, np.inf, network.arrival_table))
        self.metres = _closure(metres)
        driven_cents = network.distance_table * prices.per_m_cents + drive_s * prices.per_s_cents
        last_cents = np.where(no_way, np.inf, driven_cents)
        self.end_cents = _to_end(self.cents, last_cents[:, vehicle.end])
        self.end_seconds = _to_end(self.seconds, seconds[:, vehicle.end])
        self.end_metres = _to_end(self.metres, metres[:, vehicle.end])

    @property
    def _range_m(self) -> float:
        """Greatest length of the run, as far as it is one charge."""
        return float(self._vehicle.first_range_m if self._vehicle.num_trips <= 1 else UNLIMITED)

    def can_carry(self, day: Day, order: int, option: int) -> bool:
        """Tell whether the vehicle might carry an order alone to one of its options."""
        vehicle, row = self._vehicle, day.problem.orders[order]
        classes = day.classes_for(order)
        shop, point = day.place_index[row.pickup_place], day.option_place(order, option)
        on_board = order in day.loaded
        closed = vehicle.network.closed
        if classes is not None and vehicle.index not in classes:
            return False
        if closed[point] or (closed[shop] and not on_board):
            return False
        if any(amount > limit for amount, limit in zip(row.load.amounts, vehicle.capacity, strict=True)):
            return False
        here, now, metres = vehicle.start, float(vehicle.earliest_s), 0.0
        stops = [(point, row.handling_s + row.options[option].handling_s)]
        for place, service_s in stops if on_board else [(shop, row.handling_s), *stops]:
            windows = day.open_windows(place, row.ready_s, row.deadline_s)
            now += self.seconds[here, place]
            metres += self.metres[here, place]
            if not windows or now > windows[-1][1]:
                return False
            now = max(now, float(windows[0][0])) + service_s
            here = place
        in_time = now + self.end_seconds[here] <= vehicle.latest_s
        return bool(in_time and metres + self.end_metres[here] <= self._range_m)

    def graph(self, day: Day, places: Sequence[int], num_shops: int, choices: Sequence[Choice]) -> Graph:
        """Return the graph of some places, shops first."""
        vehicle, nodes = self._vehicle, list(places)
        rows = [*nodes, vehicle.start]
        earliest, latest, service = _windows(day, places, choices)
        return Graph(
            num_shops=num_shops,
            cents=self.cents[np.ix_(rows, nodes)],
            seconds=self.seconds[np.ix_(rows, nodes)],
            metres=self.metres[np.ix_(rows, nodes)],
            end_cents=self.end_cents[nodes],
            end_seconds=self.end_seconds[nodes],
            end_metres=self.end_metres[nodes],
            earliest=earliest,
            latest=latest,
            service=service,
            limits=np.array(
                [vehicle.earliest_s, vehicle.latest_s, self._range_m, vehicle.max_duration_s], dtype=float
            ),
        )


def _windows(day: Day, places: Sequence[int], choices: Sequence[Choice]) -> tuple[Floats, Floats, Floats]:
    """Return the widest window of each node, and the least time that a visit takes."""
    earliest, latest = np.full(len(places), np.inf), np.full(len(places), -np.inf)
    service = np.full(len(places), np.inf)
    for choice in choices:
        row = day.problem.orders[choice.order]
        visits = [(choice.point, row.handling_s + row.options[choice.option].handling_s)]
        if choice.shop is not None:
            visits.append((choice.shop, row.handling_s))
        for node, service_s in visits:
            windows = day.open_windows(places[node], row.ready_s, row.deadline_s)
            earliest[node] = min(earliest[node], windows[0][0])
            latest[node] = max(latest[node], windows[-1][1])
            service[node] = min(service[node], service_s)
    return earliest, latest, service


def _closure(table: Floats) -> Floats:
    """Return the least sums along any ways (Floyd and Warshall)."""
    least = np.array(table, dtype=float)
    np.fill_diagonal(least, 0.0)
    for through in range(len(least)):
        np.minimum(least, least[:, through, None] + least[None, through, :], out=least)
    return least


def _to_end(table: Floats, last: Floats) -> Floats:
    return np.asarray((table + last[None, :]).min(axis=1), dtype=float)
