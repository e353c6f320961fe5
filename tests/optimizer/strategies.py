"""Random problems, and the best plan of tiny ones by trying all."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, permutations, product

from hypothesis import strategies as st

from optimizer.compartments import Room
from optimizer.day import Day, Leg, VehicleClass
from optimizer.problem import (
    ARBZG,
    BreakRule,
    Load,
    Order,
    Place,
    Problem,
    Promise,
    RankLimit,
    Size,
    Temperature,
    Vehicle,
    WorkingTime,
    Zone,
)
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order, under_way

HOUR = 3600
#: What a plan that cannot be driven costs, in cents.
IMPOSSIBLE = 10**12
SHOPS = ("bakery", "farm")
POINTS = ("north", "south", "counter")
ANYWHERE = ("hub", *SHOPS, *POINTS)
SKILLS = ("deposit", "stairs")
VEHICLES = ("vehicle-0", "vehicle-1", "vehicle-2")
#: Rules that bite within an hour.
SHORT_HOURS = WorkingTime(
    rules=(BreakRule(work_s=1_200, break_s=900), BreakRule(work_s=2_400, break_s=1_200)),
    max_unbroken_s=1_800,
    max_work_s=3_600,
)
temperatures = st.sampled_from(list(Temperature))


@st.composite
def _places(draw: st.DrawFn) -> tuple[Place, ...]:
    km = st.integers(0, 12)
    windows = st.sampled_from(
        (
            [],
            [(EIGHT, SIX_PM)],
            [(9 * HOUR, 12 * HOUR)],
            [(EIGHT, 10 * HOUR), (14 * HOUR, 16 * HOUR)],
        )
    )
    few = st.tuples(temperatures, st.sampled_from(list(Size)), st.integers(0, 2), st.booleans())
    heights = (False, True)
    plenty = st.just([(temperature, Size.XL, 1, low) for temperature in Temperature for low in heights])
    stock = plenty | st.lists(few, max_size=4, unique_by=lambda kind: (kind[0], kind[1], kind[3]))
    parking = st.sampled_from((0, 90))
    shops = [a_place(name, draw(km), windows=draw(windows), stop_duration_s=draw(parking)) for name in SHOPS]
    lockers = [
        a_place(name, draw(km), stop_duration_s=draw(parking), compartments=draw(stock))
        for name in POINTS[:2]
    ]
    claimed = draw(st.sampled_from((0, 0, 1)))
    lockers = [
        replace(one, compartments=tuple(replace(kind, forecast=claimed) for kind in one.compartments or ()))
        for one in lockers
    ]
    limit = draw(st.sampled_from((None, None, 25_000)))
    counter = a_place(POINTS[2], draw(km), windows=draw(windows), volume_limit_cm3=limit)
    return (*shops, *lockers, counter)


@st.composite
def _orders(draw: st.DrawFn, number: int) -> Order:
    ready_s = draw(st.sampled_from((EIGHT, EIGHT, 10 * HOUR, 13 * HOUR)))
    places = draw(st.lists(st.sampled_from(POINTS), min_size=1, max_size=3, unique=True))
    promise = Promise(
        vehicle=draw(st.sampled_from((None, *VEHICLES))),
        latest_s=draw(st.sampled_from((None, EIGHT + 1_500, 11 * HOUR))),
    )
    return an_order(
        f"order-{number}",
        pickup=draw(st.sampled_from(("hub", *SHOPS))),
        to={place: 25 * rank for rank, place in enumerate(places)},
        ready_s=ready_s,
        deadline_s=draw(st.sampled_from((SIX_PM, SIX_PM, ready_s + HOUR))),
        temperature=draw(st.just(Temperature.AMBIENT) | temperatures),
        size=draw(st.sampled_from(list(Size))),
        count=draw(st.integers(1, 3)),
        handling_s=draw(st.sampled_from((0, 45))),
        penalty_cents=draw(st.sampled_from((5_000, 900, 300))),
        low=draw(st.sampled_from((False, False, True))),
        ranks=range(len(places)),
        option_handling_s=draw(st.sampled_from((0, 0, 120))),
        skills=draw(st.sampled_from(((), (), (), SKILLS[:1], SKILLS))),
        promise=draw(st.sampled_from((None, promise))),
        transfer_place=draw(st.sampled_from((None, None, None, None, "hub"))),
    )


@st.composite
def _vehicles(draw: st.DrawFn, number: int) -> Vehicle:
    start_s = draw(st.sampled_from((EIGHT, EIGHT, 12 * HOUR)))
    return a_vehicle(
        f"vehicle-{number}",
        profile=draw(st.sampled_from(("bike", "van"))),
        end=draw(st.sampled_from(("hub", "bakery"))),
        shift=(start_s, start_s + draw(st.sampled_from((6 * HOUR, 10 * HOUR, HOUR)))),
        capacity=draw(
            st.sampled_from(
                (
                    Load(weight_g=90_000, volume_cm3=10**6, chilled_cm3=10**5, frozen_cm3=10**5),
                    Load(weight_g=3_500, volume_cm3=40_000, chilled_cm3=20_000),
                )
            )
        ),
        max_duration_s=draw(st.sampled_from((None, 3 * HOUR, HOUR))),
        range_m=draw(st.sampled_from((None, 30_000, 12_000))),
        fixed_cost_cents=draw(st.sampled_from((0, 200))),
        co2e_g_per_km=draw(st.sampled_from((0, 150))),
        skills=draw(st.sampled_from(((), SKILLS[:1], SKILLS))),
        max_trips=draw(st.sampled_from((1, 1, 2))),
        turnaround_s=draw(st.sampled_from((0, 600))),
        working_time=draw(st.sampled_from((None, None, ARBZG, SHORT_HOURS))),
    )


@st.composite
def _on_the_road(draw: st.DrawFn, vehicle: Vehicle, on_board: Sequence[str]) -> Vehicle:
    """Return a vehicle under way; its state may leave it no time or charge to get home within limits."""
    started_s = vehicle.shift.earliest_s
    free_s = started_s + draw(st.sampled_from((0, 1_800, 3 * HOUR)))
    rested = draw(st.booleans()) and free_s > started_s
    state = under_way(
        draw(st.sampled_from(ANYWHERE)),
        free_s,
        started_s=started_s,
        on_board=on_board,
        loaded_s=draw(st.sampled_from((started_s, free_s))),
        driven_m=draw(st.sampled_from((0, 4_000, 11_000, 40_000))),
        trips=draw(st.integers(1, 3)),
        break_s=900 if rested else 0,
        rested_s=started_s + 900 if rested else None,
    )
    return replace(vehicle, under_way=state)


@st.composite
def _fleet(draw: st.DrawFn, number: int, orders: Sequence[Order]) -> list[Vehicle]:
    """Return vehicles, some of which may be under way with orders on board."""
    vehicles = [draw(_vehicles(index)) for index in range(number)]
    on_the_road = draw(st.integers(0, number)) if draw(st.booleans()) else 0
    waiting = [order.id for order in orders]
    for index in range(on_the_road):
        loaded, waiting = waiting[: (count := draw(st.integers(0, 2)))], waiting[count:]
        vehicles[index] = draw(_on_the_road(vehicles[index], loaded))
    return vehicles


@st.composite
def _no_ways(draw: st.DrawFn, vehicles: Sequence[Vehicle]) -> list[tuple[str, str]]:
    """Return pairs of places without a way; none of them is the way home of a vehicle under way."""
    needed = {(vehicle.under_way.place, vehicle.end_place) for vehicle in vehicles if vehicle.under_way}
    pairs = [pair for pair in permutations(ANYWHERE, 2) if pair not in needed]
    return draw(st.lists(st.sampled_from(pairs), max_size=3, unique=True)) if draw(st.booleans()) else []


@st.composite
def problems(draw: st.DrawFn, max_orders: int = 8, max_vehicles: int = 3) -> Problem:
    """Small days in which any constraint may bite."""
    zone = Zone(
        id="centre",
        ring=((8.9, 52.0), (9.1, 52.0), (9.1, 52.03), (8.9, 52.03)),
        forbidden_profiles=("van",),
    )
    orders = [draw(_orders(number)) for number in range(draw(st.integers(1, max_orders)))]
    vehicles = draw(_fleet(draw(st.sampled_from((max_vehicles, 1, 2, 0))), orders))
    pins = st.sampled_from(((), (), (), *((vehicle.id,) for vehicle in vehicles)))
    ranks = (RankLimit(rank=0, most=1), RankLimit(rank=1, most=0))
    return a_problem(
        places=draw(_places()),
        vehicles=vehicles,
        orders=[replace(order, vehicles=draw(pins)) for order in orders],
        zones=draw(st.sampled_from(((), (zone,)))),
        co2e_price_cents_per_kg=50,
        max_ride_s=draw(st.sampled_from(({}, {Temperature.CHILLED: HOUR, Temperature.FROZEN: 1_200}))),
        no_way=draw(_no_ways(vehicles)),
        rank_limits=draw(st.sampled_from(((), ranks[:1], ranks))),
        late_cents_per_hour=draw(st.sampled_from((0, 600))),
        moved_cents=draw(st.sampled_from((0, 150))),
    )


def tiny_problems() -> st.SearchStrategy[Problem]:
    """Days small enough to try every plan."""
    return problems(max_orders=3, max_vehicles=2)


def best_cost_by_enumeration(problem: Problem) -> int:
    """Return the cost of the cheapest plan: every option, vehicle, sequence and turn is tried."""
    day = Day(problem)
    room = Room(day)
    penalties = [order.unserved_penalty_cents for order in problem.orders]
    best = IMPOSSIBLE

    @cache
    def cheapest(number: int, mine: tuple[tuple[int, int], ...]) -> int:
        return _cheapest_route(day, day.classes[number], mine)

    choices = [[None, *_choices(day, order)] for order in range(len(problem.orders))]
    for chosen in product(*choices):
        taken = [(order, choice[0]) for order, choice in enumerate(chosen) if choice is not None]
        if not room.fits(room.taken([]), room.taken(taken)):
            continue
        cost = sum(penalties[order] for order, choice in enumerate(chosen) if choice is None)
        for vehicle in day.classes:
            for shift in vehicle.vehicles:
                mine = tuple((o, c[0]) for o, c in enumerate(chosen) if c is not None and c[1] == shift)
                cost += cheapest(vehicle.index, mine)
        best = min(best, cost)
    return best


def _choices(day: Day, order: int) -> list[tuple[int, int]]:
    """Return pairs of option and vehicle shift."""
    if day.problem.orders[order].transfer_place is not None:
        return []
    options = range(len(day.problem.orders[order].options))
    return [(option, shift) for option in options for shift in range(len(day.problem.vehicles))]


def _cheapest_route(day: Day, vehicle: VehicleClass, orders: Sequence[tuple[int, int]]) -> int:
    if not orders and vehicle.under_way is None:
        return 0
    shipments = [shipment_of(day, [order], [option]) for order, option in orders]
    if not all(leg.windows for shipment in shipments for leg in shipment.legs()):
        return IMPOSSIBLE
    outcomes = (evaluate(vehicle, legs) for legs in _sequences(vehicle, [s.legs() for s in shipments]))
    return min((t.cost_cents for t in outcomes if isinstance(t, Timetable)), default=IMPOSSIBLE)


def _sequences(vehicle: VehicleClass, shipments: Sequence[tuple[Leg, ...]]) -> Iterator[list[Leg]]:
    """Yield all orders of legs that load before they deliver, with and without turns in between."""
    pairs = [legs for legs in shipments if len(legs) > 1]
    for legs in permutations([leg for shipment in shipments for leg in shipment]):
        if all(legs.index(pickup) < legs.index(delivery) for pickup, delivery in pairs):
            for num_turns in range(vehicle.num_trips if legs else 1):
                for positions in combinations(range(len(legs) + 1), num_turns):
                    yield _with_turns(vehicle, legs, positions)


def _with_turns(vehicle: VehicleClass, legs: Sequence[Leg], positions: Sequence[int]) -> list[Leg]:
    """Return legs with a turn before each of some positions."""
    return [
        leg
        for position, here in enumerate((*legs, None))
        for leg in (vehicle.turn() if position in positions else None, here)
        if leg is not None
    ]
