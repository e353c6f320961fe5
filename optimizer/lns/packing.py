"""A day packed into arrays, and legs of the arrays unpacked again."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from optimizer.compartments import Room
from optimizer.compiled import Ints
from optimizer.day import ALWAYS, Day, Leg, Shipment, VehicleClass
from optimizer.lns.arrays import AMOUNT, CLAIMS_END, FAR, NUM_KEYS, TURN, Data
from optimizer.master import Column
from optimizer.reachability import Reachability
from optimizer.shipments import shipment_of

#: Related orders that each order knows.
NUM_NEAR = 150
#: Pieces of a delivery window after what was promised, and the length of all but the last.
NUM_LATE, LATE_S = 4, 1800
#: See :class:`optimizer.lns.arrays.Data`.
SETTINGS = (0.01, 12.0, 10.0, 0.5, 0.2, 0.08, 0.04, 0.08)


class _Way(NamedTuple):
    """A shipment of one order within one window of each place, and what being so late costs in the mean."""

    shipment: Shipment
    pickup: tuple[int, int]
    delivery: tuple[int, int]
    late_cents: float


class Packing:
    """
    The orders of a day that are looked at, as arrays.

    Parameters
    ----------
    options
        That are open to each order, at least one; orders not named stay as they are.
    """

    def __init__(
        self, day: Day, room: Room, reach: Reachability, options: Mapping[int, Sequence[int]]
    ) -> None:
        self.day = day
        self.orders = list(options)
        self.number = {order: number for number, order in enumerate(self.orders)}
        self._options = options
        self._shipments = {
            (order, option): shipment_of(day, [order], [option])
            for order in self.orders
            for option in options[order]
        }
        self._ways: list[_Way] = []
        self._starts = [0]
        for order in self.orders:
            for option in options[order]:
                shipment = self._shipments[order, option]
                pickups = ALWAYS if shipment.is_on_board else shipment.pickup_windows
                deliveries = list(_priced(shipment, day.problem.late_cents_per_hour))
                for pickup, (delivery, cents) in product(pickups, deliveries):
                    if pickup[0] <= delivery[1]:
                        self._ways.append(_Way(shipment, pickup, delivery, cents))
            self._starts.append(len(self._ways))
        self.rows = list(room.capacity)
        self.data = self._packed(room, reach)

    def _packed(self, room: Room, reach: Reachability) -> Data:
        day, ways = self.day, self._ways
        classes = day.classes
        profiles = sorted({vehicle.profile for vehicle in classes})
        networks = [day.networks[profile] for profile in profiles]
        row_number = {row: number for number, row in enumerate(self.rows)}
        claims = [room.claims(s.orders[0], s.options[0]) for s, *_ in ways]
        shipments = [self._shipments[order, self._options[order][0]] for order in self.orders]
        # Any profile tells well enough who is near whom.
        metres = networks[0].distance_table
        begins = np.cumsum([0, *(len(claim) for claim in claims)])
        return Data(
            vehicle_class=_ints([vehicle.index for vehicle in classes for _ in vehicle.vehicles]),
            classes=_ints([_class(vehicle, profiles.index(vehicle.profile)) for vehicle in classes]),
            prices=np.array(
                [(v.prices.fixed_cents, v.prices.per_m_cents, v.prices.per_s_cents) for v in classes],
                dtype=np.float64,
            ),
            travel=np.array(
                [(n.distance_table, n.arrival_table, n.duration_s) for n in networks], dtype=np.int32
            ),
            ways=_ints(
                [
                    (
                        self.number[s.orders[0]],
                        -1 if s.is_on_board else s.pickup_place,
                        s.delivery_place,
                        *pickup,
                        *delivery,
                        s.pickup_handling_s,
                        s.delivery_handling_s,
                        begins[way],
                        begins[way + 1],
                    )
                    for way, (s, pickup, delivery, _) in enumerate(ways)
                ],
                CLAIMS_END + 1,
            ),
            extra=self._extra(reach),
            claims=_ints([(row_number[row], n) for claim in claims for row, n in claim.items()], 2),
            orders=_ints(
                [
                    (
                        begin,
                        end,
                        FAR if s.ride_limit_s is None else s.ride_limit_s,
                        -1 if s.loaded_s is None else s.loaded_s,
                        *s.amounts,
                    )
                    for s, (begin, end) in zip(shipments, pairwise(self._starts), strict=True)
                ],
                AMOUNT + 4,
            ),
            penalty=np.array([s.penalty_cents for s in shipments], dtype=np.float64),
            near=_near(shipments, metres),
            keys=_keys(shipments, metres[classes[0].start]),
            room=_ints([room.capacity[row] for row in self.rows]),
            settings=np.array(SETTINGS),
        )

    def _extra(self, reach: Reachability) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Return preference and broken promises of each way on each class, infinite where it is ruled out."""
        extra = np.full((len(self._ways), len(self.day.classes)), np.inf)
        for number, (shipment, _, _, late_cents) in enumerate(self._ways):
            failures = reach.failures(shipment.orders[0], shipment.options[0])
            for vehicle, failure in zip(self.day.classes, failures, strict=True):
                if failure is None and not vehicle.only_home:
                    moved = sum(
                        promised is not None and promised != vehicle.index
                        for promised, _ in shipment.promises
                    )
                    extra[number, vehicle.index] = (
                        shipment.preference_cents + moved * vehicle.prices.moved_cents + late_cents
                    )
        return extra

    def only(self, assignment: Mapping[int, int]) -> Data:
        """Return the arrays with no other ways than those to the assigned options."""
        barred = np.array(
            [assignment.get(s.orders[0]) != s.options[0] for s, *_ in self._ways], dtype=np.bool_
        )
        extra = np.where(barred[:, None], np.inf, self.data.extra) if len(barred) else self.data.extra
        return self.data._replace(extra=extra)

    def legs(self, row: Sequence[int], vehicle_class: int) -> list[Leg]:
        """Return a route of the arrays as legs."""
        vehicle = self.day.classes[vehicle_class]
        legs: dict[int, tuple[Leg, ...]] = {}
        out: list[Leg] = []
        for number in row:
            if number == TURN:
                out.append(vehicle.turn())
                continue
            way = number >> 1
            if way not in legs:
                legs[way] = self._ways[way][0].legs()
            out.append(legs[way][-1 if number & 1 else 0])
        return out

    def row(self, column: Column) -> list[int] | None:
        """Return a column as a route of the arrays, or ``None`` if it holds what is not packed."""
        timetable = column.timetable
        moments: dict[tuple[int, int], dict[bool, int]] = {}
        for visit, start_s in zip(timetable.visits, timetable.starts_s, strict=True):
            for leg in visit.legs:
                for pair in zip(leg.shipment.orders, leg.shipment.options, strict=True):
                    moments.setdefault(pair, {})[leg.is_delivery] = start_s
        way_of = {pair: self._way(pair, starts_s) for pair, starts_s in moments.items()}
        row: list[int] = []
        for visit in timetable.visits:
            if visit.is_turn:
                row.append(TURN)
            for leg in visit.legs:
                for pair in zip(leg.shipment.orders, leg.shipment.options, strict=True):
                    way = way_of[pair]
                    if way is None:
                        return None
                    row.append(2 * way + leg.is_delivery)
        return row

    def _way(self, pair: tuple[int, int], starts_s: Mapping[bool, int]) -> int | None:
        """Return the way of an order to an option within whose windows it is served."""
        if pair not in self._shipments:
            return None
        number = self.number[pair[0]]
        for way in range(self._starts[number], self._starts[number + 1]):
            shipment, pickup, delivery, _ = self._ways[way]
            is_held = delivery[0] <= starts_s[True] <= delivery[1]
            is_held &= False not in starts_s or pickup[0] <= starts_s[False] <= pickup[1]
            if shipment.options[0] == pair[1] and is_held:
                return way
        return None


def _priced(shipment: Shipment, cents_per_hour: int) -> Iterator[tuple[tuple[int, int], float]]:
    """
    Yield the windows of a delivery, cut where a promise ends and in pieces from there on, with what it costs
    to deliver in the middle of each.
    """
    moments = [latest_s for _, latest_s in shipment.promises if latest_s is not None]
    promised_s = min(moments, default=FAR) if cents_per_hour else FAR
    for earliest_s, latest_s in shipment.delivery_windows:
        if earliest_s <= promised_s:
            yield (earliest_s, min(latest_s, promised_s)), 0.0
        for number in range(NUM_LATE):
            begin_s = promised_s + 1 + number * LATE_S
            end_s = latest_s if number == NUM_LATE - 1 else min(latest_s, begin_s + LATE_S - 1)
            if max(begin_s, earliest_s) <= end_s:
                middle_s = (max(begin_s, earliest_s) + end_s) / 2 - promised_s
                yield (max(begin_s, earliest_s), end_s), len(moments) * middle_s * cents_per_hour / 3600


def _keys(shipments: Sequence[Shipment], metres: Ints) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the keys by which orders are sorted."""
    keys = np.zeros((NUM_KEYS, len(shipments)))
    for number, s in enumerate(shipments):
        away = float(metres[s.delivery_place])
        width = s.delivery_windows[-1][1] - s.delivery_windows[0][0] if s.delivery_windows else 0
        keys[:, number] = (
            -sum(s.amounts),
            -away,
            away,
            width,
            s.delivery_windows[0][0] if s.delivery_windows else 0,
            -s.delivery_windows[-1][1] if s.delivery_windows else 0,
            -s.penalty_cents,
        )
    return keys


def _near(shipments: Sequence[Shipment], metres: Ints) -> Ints:
    """Return for each order the others by the sum of the ways between pickups and between deliveries."""
    pickups = np.array([s.pickup_place for s in shipments], dtype=np.int64)
    deliveries = np.array([s.delivery_place for s in shipments], dtype=np.int64)
    apart = metres[np.ix_(pickups, pickups)] + metres[np.ix_(deliveries, deliveries)]
    np.fill_diagonal(apart, -1)
    return np.argsort(apart, axis=1, kind="stable")[:, 1 : NUM_NEAR + 1].astype(np.int64)


def _class(vehicle: VehicleClass, profile: int) -> Sequence[int]:
    """Return the row of a class of vehicles."""
    return (
        profile,
        vehicle.start,
        vehicle.end,
        vehicle.base,
        vehicle.earliest_s,
        vehicle.latest_s,
        min(vehicle.longest_work_s, FAR),
        vehicle.first_range_m,
        vehicle.range_m,
        vehicle.num_trips,
        vehicle.turnaround_s,
        int(vehicle.under_way is not None),
        *vehicle.capacity,
        *vehicle.on_board_amounts,
    )


def _ints(rows: Sequence[object], width: int | None = None) -> Ints:
    values = np.array(rows, dtype=np.int64)
    return values if width is None else values.reshape(-1, width)
