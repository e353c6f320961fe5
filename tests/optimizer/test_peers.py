"""Peers see our problems as they are, as far as they can; their plans are costed and checked as ours are."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import pytest

from optimizer.bench.run import peer_named
from optimizer.day import Day, Shipment
from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.peers import plan
from optimizer.peers.view import Route, view
from optimizer.problem import NO_WAY, Load, Problem, Size, Temperature, TravelMatrix, Zone
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import consolidate
from optimizer.solution import Solution
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order

#: Peers whose solver is installed; PyVRP always is, for ours builds on it.
PEERS = [
    name
    for name, module in (("pyvrp", "pyvrp"), ("vroom", "vroom"), ("ortools", "ortools"))
    if find_spec(module)
]
LOCKER = (Temperature.AMBIENT, Size.S, 1)


def routes_of(name: str, problem: Problem, seconds: float = 0.2) -> tuple[Day, list[Shipment], list[Route]]:
    day = Day(with_matrices(problem))
    shipments = consolidate(day, plan.nearest(day))
    return day, shipments, peer_named(name)(day, shipments, seconds, 1)


def planned(name: str, problem: Problem) -> Solution:
    day, shipments, routes = routes_of(name, problem)
    solution = plan.finished(day, shipments, routes)
    assert violations(day.problem, solution) == []
    return solution


def proposed(name: str, problem: Problem) -> list[tuple[int, Timetable]]:
    """Return what a peer proposes, class by class, before anything is repaired."""
    _, _, routes = routes_of(name, problem)
    timetables = []
    for vehicle, legs in routes:
        timetable = evaluate(vehicle, legs)
        assert isinstance(timetable, Timetable), timetable
        timetables.append((vehicle.index, timetable))
    return sorted(timetables, key=lambda pair: pair[0])


def carried(solution: Solution) -> set[str]:
    return {d.order for route in solution.routes for stop in route.stops for d in stop.deliveries}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_finds_the_plan_of_a_single_order(name: str) -> None:
    solution = planned(name, a_problem())

    # 100 fixed, 20 km at 10 cents and 2,000 s at 360 cents an hour.
    assert solution.cost_cents == 100 + 200 + 200


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_plans_a_whole_region(name: str) -> None:
    size = RegionSize(num_orders=25, num_shops=6, num_supply_points=5, num_bikes=2, num_vans=1)

    solution = planned(name, generate(4, size))

    assert len(carried(solution)) > 12
    assert len(carried(solution)) + len(solution.left_out) == 25


@pytest.mark.parametrize("name", PEERS)
def test_what_a_peer_proposes_keeps_windows_fixed_times_capacities_and_the_shift(name: str) -> None:
    # Loading takes 10 minutes and parking 5 at both ends; the point opens at noon for two hours. The three
    # orders are too heavy to be together in the van.
    orders = [
        an_order(f"order-{n}", to=f"point-{n}", weight_g=400_000, handling_s=600, penalty_cents=10_000)
        for n in range(3)
    ]
    points = [
        a_place(f"point-{n}", 10 + n, windows=[(12 * 3600, 14 * 3600)], stop_duration_s=300) for n in range(3)
    ]
    problem = a_problem(places=[a_place("shop", 5, stop_duration_s=300), *points], orders=orders)

    ((_, timetable),) = proposed(name, problem)

    assert timetable.max_load[0] == 800_000
    assert sum(len(visit.legs) for visit in timetable.visits) == 6


def east_and_west(penalty_cents: int, range_m: int | None, max_duration_s: int | None) -> Problem:
    """Return a problem in which either order alone is 20 or 22 km away and back, both together 32 km."""
    return a_problem(
        places=[a_place("shop", 5), a_place("east", 10), a_place("west", -6)],
        orders=[an_order("east", to="east", penalty_cents=penalty_cents), an_order("west", to="west")],
        vehicles=[a_vehicle(range_m=range_m, max_duration_s=max_duration_s)],
    )


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize(("range_m", "max_duration_s"), [(30_000, None), (None, 3_000)])
def test_a_peer_leaves_a_vehicle_within_range_and_longest_run(
    name: str, range_m: int | None, max_duration_s: int | None
) -> None:
    ((_, timetable),) = proposed(name, east_and_west(100_000, range_m, max_duration_s))

    assert timetable.distance_m in (20_000, 22_000)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_gives_goods_only_to_vehicles_they_are_tied_to(name: str) -> None:
    tied = replace(an_order("tied"), vehicles=("dear",))
    vehicles = [a_vehicle("cheap"), a_vehicle("dear", fixed_cost_cents=5_000)]

    ((index, timetable),) = proposed(name, a_problem(orders=[tied], vehicles=vehicles))

    assert (index, timetable.cost.fixed_cents) == (1, 5_000)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_sends_no_vehicle_where_its_profile_may_not_go(name: str) -> None:
    around = ((8.9, 52.08), (9.1, 52.08), (9.1, 52.1), (8.9, 52.1))
    zone = Zone(id="centre", ring=around, forbidden_profiles=("van",))
    vehicles = [a_vehicle("van"), a_vehicle("bike", profile="bike", fixed_cost_cents=5_000)]

    ((index, _),) = proposed(name, a_problem(zones=[zone], vehicles=vehicles))

    assert index == 1


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_nothing_to_do_without_orders_or_where_no_order_fits(name: str) -> None:
    too_heavy = an_order(weight_g=2 * 10**6)

    assert routes_of(name, a_problem(orders=[]))[2] == []
    assert routes_of(name, a_problem(orders=[too_heavy]))[2] == []


def test_where_there_is_no_way_peers_see_one_that_nobody_can_drive() -> None:
    problem = a_problem()
    known = problem.matrices[0]
    distance, duration = known.distance_m.copy(), known.duration_s.copy()
    distance[1, 2] = duration[1, 2] = NO_WAY
    cut = TravelMatrix(profile="van", distance_m=distance, duration_s=duration)
    day = Day(replace(problem, matrices=(cut, problem.matrices[1])))
    (shipment,) = consolidate(day, {0: 0})

    seen = view(day, [shipment])
    ways, times = seen.tables("van")

    shop, point = seen.location[1], seen.location[2]
    assert ways[shop, point] == times[shop, point] == seen.never_s > SIX_PM
    assert ways[point, shop] == 5_000


def test_the_fixed_time_of_a_stop_rides_on_the_way_in_but_not_home() -> None:
    problem = a_problem(
        places=[
            a_place("hub", 0, stop_duration_s=70),
            a_place("shop", 5, stop_duration_s=50),
            a_place("point", 10),
        ]
    )
    day = Day(problem)
    (shipment,) = consolidate(day, {0: 0})

    seen = view(day, [shipment])
    _, times = seen.tables("van")

    assert times[seen.location[2], seen.location[1]] == 500 + 50
    assert times[seen.location[1], seen.depot[0]] == 500


def first_wishes(*stock: tuple[Temperature, Size, int], penalties: Sequence[int]) -> dict[int, int]:
    problem = a_problem(
        places=[
            a_place("shop", 5),
            a_place("locker", 10, compartments=stock),
            a_place("counter", 11),
        ],
        orders=[
            an_order(f"order-{n}", to={"counter": 80, "locker": 0}, penalty_cents=penalty)
            for n, penalty in enumerate(penalties)
        ],
    )
    return dict(plan.nearest(Day(problem)))


def test_every_order_goes_where_its_first_wish_is() -> None:
    assert first_wishes((*LOCKER[:2], 2), penalties=[500, 700]) == {0: 1, 1: 1}


def test_where_wishes_exceed_the_room_the_dearest_order_comes_first() -> None:
    assert first_wishes(LOCKER, penalties=[500, 700]) == {0: 0, 1: 1}


def test_an_order_without_any_room_goes_nowhere() -> None:
    problem = a_problem(
        places=[a_place("shop", 5), a_place("locker", 10, compartments=[LOCKER])],
        orders=[an_order(f"order-{n}", to="locker") for n in range(2)],
    )

    assert plan.nearest(Day(problem)) == {0: 0}


def test_between_equal_wishes_the_nearer_to_the_shop_is_taken() -> None:
    problem = a_problem(
        places=[a_place("shop", 5), a_place("far", 12), a_place("near", 7)],
        orders=[an_order(to={"far": 0, "near": 0})],
    )

    assert plan.nearest(Day(problem)) == {0: 1}


def finished(problem: Problem, *tours: tuple[int, Sequence[tuple[int, bool]]]) -> Solution:
    """Finish routes that are given as a class of vehicles and the legs of shipments."""
    day = Day(problem)
    shipments = consolidate(day, plan.nearest(day))
    legs = [shipment.legs() for shipment in shipments]
    routes = [(day.classes[k], [legs[s][is_delivery] for s, is_delivery in done]) for k, done in tours]
    solution = plan.finished(day, shipments, routes)
    assert violations(problem, solution) == []
    return solution


TOO_LONG = [(0, False), (1, False), (1, True), (0, True)]


def two_orders(*, penalty_cents: int = 100_000, num_vehicles: int = 1) -> Problem:
    """Return a problem in which the chilled order must not be the one carried to the far point and back."""
    return a_problem(
        places=[a_place("shop", 5), a_place("point", 6), a_place("far", 60)],
        vehicles=[a_vehicle(f"van-{n}") for n in range(num_vehicles)],
        orders=[
            an_order("chilled", temperature=Temperature.CHILLED, penalty_cents=penalty_cents),
            an_order("ambient", to="far"),
        ],
        max_ride_s={Temperature.CHILLED: 3_600},
    )


def test_goods_that_would_ride_too_long_are_put_where_they_do_not() -> None:
    solution = finished(two_orders(), (0, TOO_LONG))

    assert carried(solution) == {"chilled", "ambient"}
    # The chilled goods are on the way: nobody drives further than to the far point and back.
    assert sum(route.distance_m for route in solution.routes) == 120_000


def test_of_a_route_that_cannot_be_driven_the_dearer_part_is_kept() -> None:
    both = [(0, False), (1, False), (0, True), (1, True)]

    assert carried(finished(east_and_west(600, 30_000, None), (0, both))) == {"west"}


def test_what_a_peer_left_is_carried_if_that_costs_less_than_leaving_it_out() -> None:
    far_only = [(1, False), (1, True)]

    # On the way to the far point nothing is added but a stop without fixed time.
    assert carried(finished(two_orders(penalty_cents=1), (0, far_only))) == {"chilled", "ambient"}
    assert carried(finished(two_orders(penalty_cents=0), (0, far_only))) == {"ambient"}


def test_what_does_not_pay_is_left_out() -> None:
    cheap = a_problem(orders=[an_order(penalty_cents=499)])
    worth_it = a_problem(orders=[an_order(penalty_cents=501)])

    assert carried(finished(cheap, (0, [(0, False), (0, True)]))) == set()
    assert carried(finished(worth_it, (0, [(0, False), (0, True)]))) == {"order"}


def test_routes_beyond_the_shifts_there_are_stay_undriven() -> None:
    heavy = [an_order(f"order-{n}", to=f"point-{n}", weight_g=700_000) for n in range(2)]
    places = [a_place("shop", 5), a_place("point-0", 10), a_place("point-1", 10)]
    vehicles = [a_vehicle(shift=(EIGHT, EIGHT + 2_100), capacity=Load(weight_g=10**6, volume_cm3=10**7))]
    problem = a_problem(places=places, orders=heavy, vehicles=vehicles)

    solution = finished(problem, (0, [(0, False), (0, True)]), (0, [(1, False), (1, True)]))

    assert len(solution.routes) == 1
    assert carried(solution) == {"order-0"}
