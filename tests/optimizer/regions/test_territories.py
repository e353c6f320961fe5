"""A region in territories: nothing is twice, nothing is lost, and together they keep what is shared."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.problem import Problem, Size, Temperature
from optimizer.regions.allotment import proportional
from optimizer.regions.territories import Territory, how_many, regroup, split, united
from optimizer.solution import Solution
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import a_place, a_problem, a_vehicle, an_order, solved
from tests.optimizer.strategies import problems

AMBIENT_S = (Temperature.AMBIENT, Size.S)
some_days = problems(max_orders=9, max_vehicles=6)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def region() -> Problem:
    """A day of 60 orders with its travel matrices."""
    size = RegionSize(num_orders=60, num_shops=12, num_supply_points=9, num_bikes=6, num_vans=3)
    return with_matrices(generate(5, size))


@pytest.fixture(scope="module")
def plan(region: Problem) -> Solution:
    """A plan of that day, made at once."""
    return solved(region, iterations=0)


def planned(territories: list[Territory]) -> list[Solution]:
    return [solved(territory.problem, iterations=3) for territory in territories]


@quick
@given(some_days)
def test_every_order_and_every_vehicle_is_in_one_territory(problem: Problem) -> None:
    territories = split(problem, 4)

    orders = Counter(order for territory in territories for order in territory.orders)
    vehicles = Counter(vehicle.id for territory in territories for vehicle in territory.problem.vehicles)
    assert orders == Counter(order.id for order in problem.orders)
    assert vehicles == Counter(vehicle.id for vehicle in problem.vehicles)


@quick
@given(some_days)
def test_plans_of_territories_are_together_a_plan(problem: Problem) -> None:
    together = united(problem, planned(split(problem, 4)))

    assert violations(problem, together) == []


@quick
@given(some_days, st.integers(0, 3))
def test_territories_along_routes_can_go_on_from_the_plan(problem: Problem, seed: int) -> None:
    plan = solved(problem, iterations=3)

    territories = regroup(problem, plan, 4, seed=seed)

    starts = [territory.start for territory in territories if territory.start is not None]
    together = united(problem, starts)
    assert (together.routes, together.left_out) == (united(problem, [plan]).routes, plan.left_out)
    for territory, start in zip(territories, starts, strict=True):
        assert violations(territory.problem, start) == []
    assert violations(problem, united(problem, planned(territories))) == []


def doors(territories: list[Territory], place: str) -> list[int]:
    return [
        sum(one.free for one in territory.problem.place_by_id[place].compartments or ())
        for territory in territories
        if place in territory.problem.place_by_id
    ]


def two_villages(**at_the_point: object) -> Problem:
    """Two shops far apart, three orders each, all for one point in the middle; vans for two territories."""
    orders = [
        an_order(f"{shop}-{number}", pickup=shop, to={"point": 0, "counter": 50}, ranks=(0, 1))
        for shop in ("south", "north")
        for number in range(3)
    ]
    places = [
        a_place("south", 0),
        a_place("north", 80),
        a_place("point", 40, compartments=at_the_point.get("compartments")),  # type: ignore[arg-type]
        a_place("counter", 40, volume_limit_cm3=at_the_point.get("volume_limit_cm3")),  # type: ignore[arg-type]
    ]
    vehicles = [a_vehicle(f"van-{number}") for number in range(6)]
    more = {name: value for name, value in at_the_point.items() if name == "rank_limits"}
    return a_problem(places=places, orders=orders, vehicles=vehicles, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1, 3, 4, 6, 7])
def test_the_doors_of_a_shared_locker_are_divided(number: int) -> None:
    problem = two_villages(compartments=[(*AMBIENT_S, number)], volume_limit_cm3=0)

    territories = split(problem, 2)

    assert len(territories) == 2
    assert sum(doors(territories, "point")) == number
    assert united(problem, planned(territories)).num_carried == min(6, number)


def test_the_volume_of_a_shared_counter_is_divided() -> None:
    territories = split(two_villages(compartments=[], volume_limit_cm3=45_000), 2)

    limits = [territory.problem.place_by_id["counter"].volume_limit_cm3 for territory in territories]
    assert sum(limit or 0 for limit in limits) == 45_000
    # Each order has 10 l: four fit, two for each territory.
    assert united(two_villages(), planned(territories)).num_carried == 4


def test_a_territory_keeps_the_room_that_its_routes_use() -> None:
    problem = two_villages(compartments=[(*AMBIENT_S, 2)], volume_limit_cm3=10_000)
    plan = solved(problem)

    territories = regroup(problem, plan, 2, seed=1)

    assert plan.num_carried == 3
    assert sum(doors(territories, "point")) == 2
    for territory in territories:
        assert territory.start is not None
        assert violations(territory.problem, territory.start) == []


def test_travel_is_cut_out_of_what_is_known(region: Problem) -> None:
    territory = split(region, 2)[0].problem
    here, there = territory.places[0], territory.places[-1]

    for part, whole in zip(territory.matrices, region.matrices, strict=True):
        row, column = region.places.index(here), [place.id for place in region.places].index(there.id)
        assert part.distance_m[0, -1] == whole.distance_m[row, column]
        assert part.duration_s[0, -1] == whole.duration_s[row, column]


def test_territories_have_about_as_many_orders_each_and_vehicles_nearby(region: Problem) -> None:
    territories = split(region, 3)

    assert len(territories) == 3
    assert all(10 <= len(territory.orders) <= 30 for territory in territories)
    assert [len(territory.problem.vehicles) for territory in territories] == [3, 3, 3]


def test_territories_of_different_seeds_have_other_borders() -> None:
    km = range(0, 80, 10)
    problem = a_problem(
        places=[*(a_place(f"shop-{one}", one) for one in km), a_place("point", 40)],
        orders=[an_order(f"order-{one}", pickup=f"shop-{one}", vehicles=(f"van-{one}",)) for one in km],
        vehicles=[a_vehicle(f"van-{one}") for one in km],
    )
    # Eight routes in a row, each with one order, of which a cut leaves three, four or five on a side.
    plan = solved(problem)

    families = {
        frozenset(frozenset(territory.orders) for territory in regroup(problem, plan, 3, seed=seed))
        for seed in range(8)
    }

    assert len(families) > 1


def test_equal_seeds_draw_equal_borders(region: Problem, plan: Solution) -> None:
    one, other = (regroup(region, plan, 3, seed=7) for _ in range(2))

    assert [territory.orders for territory in one] == [territory.orders for territory in other]


def test_there_are_never_more_territories_than_the_fleet_can_serve() -> None:
    problem = two_villages()
    few = replace(problem, vehicles=problem.vehicles[:5])

    assert len(split(few, 6)) == 1


@pytest.mark.parametrize(
    ("orders", "workers", "number"),
    [(0, 2, 1), (4_999, 2, 1), (5_000, 2, 2), (9_000, 2, 2), (10_000, 2, 4), (10_000, 3, 3), (10_000, 8, 4)],
)
def test_territories_are_as_many_as_workers_or_times_that_and_none_is_small(
    orders: int, workers: int, number: int
) -> None:
    assert how_many(orders, workers, 2_500) == number


@given(st.integers(0, 1000), st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_shares_add_up_and_follow_the_weights(amount: int, weights: list[int]) -> None:
    shares = proportional(amount, weights)

    if not sum(weights):
        assert sum(shares) == 0
        return
    assert sum(shares) == amount
    assert all(abs(s - amount * w / sum(weights)) < 1 for s, w in zip(shares, weights, strict=True))
