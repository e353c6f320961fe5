"""Random problems, and the best plan of tiny ones by trying all."""

from collections.abc import Iterator, Sequence
from itertools import permutations, product

from hypothesis import strategies as st

from optimizer.compartments import Room
from optimizer.day import Day, Leg, VehicleClass
from optimizer.problem import Load, Order, Place, Problem, Size, Temperature, Vehicle, Zone
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order

HOUR = 3600
SHOPS = ("bakery", "farm")
POINTS = ("north", "south", "counter")
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
    limit = draw(st.sampled_from((None, None, 25_000)))
    counter = a_place(POINTS[2], draw(km), windows=draw(windows), volume_limit_cm3=limit)
    return (*shops, *lockers, counter)


@st.composite
def _orders(draw: st.DrawFn, number: int) -> Order:
    ready_s = draw(st.sampled_from((EIGHT, EIGHT, 10 * HOUR, 13 * HOUR)))
    places = draw(st.lists(st.sampled_from(POINTS), min_size=1, max_size=3, unique=True))
    return an_order(
        f"order-{number}",
        pickup=draw(st.sampled_from(SHOPS)),
        to={place: 25 * rank for rank, place in enumerate(places)},
        ready_s=ready_s,
        deadline_s=draw(st.sampled_from((SIX_PM, SIX_PM, ready_s + HOUR))),
        temperature=draw(st.just(Temperature.AMBIENT) | temperatures),
        size=draw(st.sampled_from(list(Size))),
        count=draw(st.integers(1, 3)),
        handling_s=draw(st.sampled_from((0, 45))),
        penalty_cents=draw(st.sampled_from((5_000, 900, 300))),
        low=draw(st.sampled_from((False, False, True))),
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
        range_m=draw(st.sampled_from((None, 30_000))),
        fixed_cost_cents=draw(st.sampled_from((0, 200))),
        co2e_g_per_km=draw(st.sampled_from((0, 150))),
    )


@st.composite
def problems(draw: st.DrawFn, max_orders: int = 8, max_vehicles: int = 3) -> Problem:
    """Small days in which any constraint may bite."""
    zone = Zone(
        id="centre",
        ring=((8.9, 52.0), (9.1, 52.0), (9.1, 52.03), (8.9, 52.03)),
        forbidden_profiles=("van",),
    )
    return a_problem(
        places=draw(_places()),
        vehicles=[
            draw(_vehicles(number)) for number in range(draw(st.sampled_from((max_vehicles, 1, 2, 0))))
        ],
        orders=[draw(_orders(number)) for number in range(draw(st.integers(1, max_orders)))],
        zones=draw(st.sampled_from(((), (zone,)))),
        co2e_price_cents_per_kg=50,
        max_ride_s=draw(st.sampled_from(({}, {Temperature.CHILLED: HOUR, Temperature.FROZEN: 1_200}))),
    )


def tiny_problems() -> st.SearchStrategy[Problem]:
    """Days small enough to try every plan."""
    return problems(max_orders=3, max_vehicles=2)


def best_cost_by_enumeration(problem: Problem) -> int:
    """Return the cost of the cheapest plan: every option, vehicle and sequence is tried."""
    day = Day(problem)
    room = Room(day)
    penalties = [order.unserved_penalty_cents for order in problem.orders]
    best = sum(penalties)
    choices = [[None, *_choices(day, order)] for order in range(len(problem.orders))]
    for chosen in product(*choices):
        taken = [(order, choice[0]) for order, choice in enumerate(chosen) if choice is not None]
        if not room.fits(room.taken([]), room.taken(taken)):
            continue
        cost = sum(penalties[order] for order, choice in enumerate(chosen) if choice is None)
        for vehicle in day.classes:
            for shift in vehicle.vehicles:
                mine = [(o, c[0]) for o, c in enumerate(chosen) if c is not None and c[1] == shift]
                cost += _cheapest_route(day, vehicle, mine)
        best = min(best, cost)
    return best


def _choices(day: Day, order: int) -> list[tuple[int, int]]:
    """Return pairs of option and vehicle shift."""
    options = range(len(day.problem.orders[order].options))
    return [(option, shift) for option in options for shift in range(len(day.problem.vehicles))]


def _cheapest_route(day: Day, vehicle: VehicleClass, orders: Sequence[tuple[int, int]]) -> int:
    if not orders:
        return 0
    shipments = [shipment_of(day, [order], [option]) for order, option in orders]
    if any(not s.pickup_windows or not s.delivery_windows for s in shipments):
        return 10**12
    outcomes = (evaluate(vehicle, legs) for legs in _sequences([s.legs() for s in shipments]))
    return min((t.cost_cents for t in outcomes if isinstance(t, Timetable)), default=10**12)


def _sequences(pairs: Sequence[tuple[Leg, Leg]]) -> Iterator[list[Leg]]:
    for legs in permutations([leg for pair in pairs for leg in pair]):
        if all(legs.index(pickup) < legs.index(delivery) for pickup, delivery in pairs):
            yield list(legs)
