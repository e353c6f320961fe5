"""Days packed into arrays, and random routes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import strategies as st

from optimizer.compartments import Room
from optimizer.day import Day, Leg, VehicleClass
from optimizer.lns.arrays import (
    CLAIMS_BEGIN,
    CLAIMS_END,
    DELIVERY_FROM,
    LEG,
    ORDER,
    PICKUP,
    PICKUP_FROM,
    SIZE,
    TURN,
    VEHICLE,
    WAYS_BEGIN,
    WAYS_END,
    Data,
    State,
    empty_state,
)
from optimizer.lns.packing import Packing
from optimizer.lns.routes import refresh
from optimizer.problem import Load, Order, Problem, Promise, Temperature, Vehicle
from optimizer.reachability import Reachability
from tests.optimizer.builders import (
    EIGHT,
    SECONDS_PER_KM,
    SIX_PM,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    under_way,
)
from tests.optimizer.strategies import ANYWHERE, POINTS, SHOPS, problems

#: Legs of one route, at most.
MAX_LEGS = 40
#: How far rounding may move a cost: half a cent for distance, time and emissions each.
ROUNDING = 1.5 + 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A day as arrays, and routes of it."""

    day: Day
    reach: Reachability
    room: Room
    packing: Packing
    state: State

    @property
    def data(self) -> Data:
        return self.packing.data

    def class_of(self, vehicle: int) -> VehicleClass:
        return self.day.classes[int(self.data.vehicle_class[vehicle])]

    def orders_for(self, vehicle: int) -> list[int]:
        """Return the orders that a vehicle can carry."""
        can = np.isfinite(self.data.extra[:, self.data.vehicle_class[vehicle]])
        return sorted({int(order) for order in self.data.ways[can, ORDER]})

    def judge(self, vehicle: int, row: Sequence[int]) -> bool:
        """Put a route into the arrays; tell whether they accept it."""
        self.state.routes[vehicle, SIZE] = len(row)
        self.state.legs[vehicle, : len(row), LEG] = row
        return bool(refresh(self.data, self.state, vehicle, int(self.data.vehicle_class[vehicle])))

    def drive(self, vehicle: int, row: Sequence[int]) -> None:
        """Make a feasible route part of the plan."""
        assert self.judge(vehicle, row)
        for leg in row:
            if leg != TURN and leg & 1:
                way = self.data.ways[leg >> 1]
                self.state.orders[way[ORDER]] = leg >> 1, vehicle
                for claimed, amount in self.data.claims[way[CLAIMS_BEGIN] : way[CLAIMS_END]]:
                    self.state.taken[claimed] += amount

    def row_of(self, vehicle: int) -> list[int]:
        size = self.state.routes[vehicle, SIZE]
        return [int(leg) for leg in self.state.legs[vehicle, :size, LEG]]

    def legs_within_their_ways(self, vehicle: int, row: Sequence[int]) -> list[Leg]:
        """Return a route as legs that have no other windows than those of its ways."""
        legs = self.packing.legs(row, self.class_of(vehicle).index)
        return [
            leg if number == TURN else replace(leg, windows=(self._window(number),))
            for number, leg in zip(row, legs, strict=True)
        ]

    def _window(self, leg: int) -> tuple[int, int]:
        way, begin = self.data.ways[leg >> 1], DELIVERY_FROM if leg & 1 else PICKUP_FROM
        return int(way[begin]), int(way[begin + 1])


def packed(problem: Problem) -> Packed:
    """Pack the orders of a problem that some vehicle can carry; those on the road go home."""
    day = Day(problem)
    reach, room = Reachability(day), Room(day)
    reachable = {order: reach.reachable(order) for order in range(len(problem.orders))}
    packing = Packing(day, room, reach, {order: some for order, some in reachable.items() if some})
    return Packed(day, reach, room, packing, empty_state(packing.data, MAX_LEGS))


def packed_days(some: st.SearchStrategy[Problem]) -> st.SearchStrategy[Packed]:
    """Packed days on which something can be carried."""
    return some.filter(_has_ways).map(packed).filter(_can_idle)


def _has_ways(problem: Problem) -> bool:
    reach = Reachability(Day(problem))
    return any(reach.reachable(order) for order in range(len(problem.orders)))


def _can_idle(one: Packed) -> bool:
    """Tell whether no vehicle is late for home already."""
    return all(one.judge(vehicle, []) for vehicle in range(len(one.data.vehicle_class)))


def a_busy_day(seed: int) -> Problem:
    """
    Make a day of many orders, most of which can be carried; no detour is shorter than the direct way.

    Distances are those of points in the plane, rounded up, which keeps the triangle inequality; the fixed
    time of a stop is the same everywhere, for else a place could be reached faster by its neighbour.
    """
    random = Random(seed)
    parking_s = random.choice((0, 90))
    points = {name: (random.uniform(0, 8), random.uniform(0, 8)) for name in ANYWHERE}
    hours = random.choice(((), ((EIGHT, EIGHT + 7_200), (EIGHT + 10_800, SIX_PM))))
    places = [
        a_place(
            name,
            number,
            stop_duration_s=parking_s,
            windows=hours if name in SHOPS else (),
            volume_limit_cm3=random.choice((None, 40_000)) if name == "counter" else None,
        )
        for number, name in enumerate(ANYWHERE)
    ]
    problem = a_problem(
        places=places,
        vehicles=_vehicles(random),
        orders=[_order(random, number) for number in range(random.randint(4, 10))],
        max_ride_s=random.choice(({}, {}, {Temperature.CHILLED: 1_800})),
        late_cents_per_hour=600,
        moved_cents=150,
    )
    where = np.array([points[place.id] for place in problem.places])
    apart = np.linalg.norm(where[:, None] - where[None, :], axis=2)
    distance_m, duration_s = (np.ceil(unit * apart).astype(np.int64) for unit in (1000, SECONDS_PER_KM))
    matrices = tuple(replace(one, distance_m=distance_m, duration_s=duration_s) for one in problem.matrices)
    return replace(problem, matrices=matrices)


def _order(random: Random, number: int) -> Order:
    ready_s = EIGHT + random.choice((0, 0, 0, 3_600, 7_200))
    deadline_s = random.choice((SIX_PM, SIX_PM, ready_s + 3_600))
    late = Promise(vehicle=random.choice((None, "vehicle-0")), latest_s=ready_s + 1_800)
    return an_order(
        f"order-{number}",
        pickup=random.choice(("hub", *SHOPS)),
        to={place: 25 * rank for rank, place in enumerate(random.sample(POINTS, random.randint(1, 2)))},
        ready_s=ready_s,
        deadline_s=deadline_s,
        temperature=random.choice((Temperature.AMBIENT, Temperature.CHILLED)),
        volume_cm3=random.choice((5_000, 10_000, 20_000)),
        handling_s=random.choice((0, 60, 900)),
        promise=random.choice((None, None, None, late)),
    )


def _vehicles(random: Random) -> list[Vehicle]:
    """Return three vehicles, two of them alike; one may be under way with an order on board."""
    one = a_vehicle(
        capacity=Load(
            weight_g=10**6,
            volume_cm3=random.choice((30_000, 10**6)),
            chilled_cm3=random.choice((20_000, 10**6)),
        ),
        max_duration_s=random.choice((None, None, 2 * 3_600)),
        range_m=random.choice((None, None, 25_000)),
        max_trips=random.choice((1, 1, 2, 3)),
        turnaround_s=300,
        end=random.choice(("hub", "bakery")),
    )
    vehicles = [replace(one, id=f"vehicle-{number}") for number in range(3)]
    if random.random() < 0.5:
        on_board, driven_m = random.choice(([], ["order-0"])), random.choice((3_000, 15_000))
        state = under_way("farm", EIGHT + 600, on_board=on_board, driven_m=driven_m)
        vehicles[0] = replace(vehicles[0], under_way=state)
    return vehicles


#: Random days, some of which have many limits and others many orders.
days = problems() | st.integers(0, 10**6).map(a_busy_day)
busy_days = st.integers(0, 10**6).map(a_busy_day)


def a_route(random: Random, one: Packed, vehicle: int, orders: Sequence[int], turns: int = 2) -> list[int]:
    """Return a random route: a way of each order, pickups before deliveries, turns anywhere between them."""
    legs: list[int] = []
    for order in orders:
        open_ways = _open_ways(one.data, order, int(one.data.vehicle_class[vehicle]))
        if not open_ways:
            continue
        way = random.choice(open_ways)
        second = random.randint(0, len(legs))
        legs.insert(second, 2 * way + 1)
        if one.data.ways[way, PICKUP] >= 0:
            legs.insert(random.randint(0, second), 2 * way)
    for _ in range(random.choice((0, 0, turns)) if legs else 0):
        legs.insert(random.randint(0, len(legs)), TURN)
    return legs


def _open_ways(data: Data, order: int, kind: int) -> list[int]:
    ways = range(data.orders[order, WAYS_BEGIN], data.orders[order, WAYS_END])
    return [way for way in ways if np.isfinite(data.extra[way, kind])]


def fill(random: Random, one: Packed, tries: int = 40) -> None:
    """Make a random plan of feasible routes, within the room that they share."""
    data, state = one.data, one.state
    state.orders[:] = -1
    state.taken[:] = 0
    for vehicle in range(len(data.vehicle_class)):
        one.drive(vehicle, [])
    for _ in range(tries):
        order, vehicle = random.randrange(len(data.orders)), random.randrange(len(data.vehicle_class))
        if state.orders[order, VEHICLE] < 0:
            _try(random, one, vehicle, order)
    state.total[0] = cost_of(data, state)


def _try(random: Random, one: Packed, vehicle: int, order: int) -> None:
    """Insert an order anywhere in a route, if that is feasible there."""
    before, legs = one.row_of(vehicle), a_route(random, one, vehicle, [order], turns=0)
    if not legs:
        return
    *pickup, delivery = legs
    first, second = sorted(random.choices(range(len(before) + 1), k=2))
    longer = [*before[:first], *pickup, *before[first:second], delivery, *before[second:]]
    if random.random() < 0.2:
        longer.insert(random.randint(0, len(longer)), TURN)
    way, taken = one.data.ways[delivery >> 1], one.state.taken.copy()
    for claimed, amount in one.data.claims[way[CLAIMS_BEGIN] : way[CLAIMS_END]]:
        taken[claimed] += amount
    if one.judge(vehicle, longer) and (taken <= one.data.room).all():
        one.state.taken[:] = taken
        one.state.orders[order] = delivery >> 1, vehicle
    else:
        assert one.judge(vehicle, before)


def cost_of(data: Data, state: State) -> float:
    """Return what all routes of a plan cost, and what it leaves out."""
    return float(state.cents[:-1].sum() + data.penalty[state.orders[:, VEHICLE] == -1].sum())
