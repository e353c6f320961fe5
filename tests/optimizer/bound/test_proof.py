"""What no plan can beat."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings

from optimizer.bound.pricing import Priced, Pricer, TooManyGroups
from optimizer.bound.proof import Bound, lower_bound
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.fleet import ARBZG, OnBoard, UnderWay
from optimizer.generator import RegionSize, generate
from optimizer.insertion import Tour
from optimizer.orders import Promise, RankLimit
from optimizer.problem import Load, Problem, Size, Temperature
from optimizer.result import Phase, Progress, Status
from optimizer.solve import solve
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order, solved
from tests.optimizer.strategies import best_cost_by_enumeration, problems, tiny_problems

#: What leaving out an order costs unless a test says otherwise.
PENALTY = 100_000
#: No plan of the problems here costs so much.
MUCH = 10**7


def bound_of(
    problem: Problem,
    *,
    upper_cents: int = MUCH,
    seconds: float = 30,
    should_stop: Callable[[], bool] = lambda: False,
    told: list[int] | None = None,
) -> Bound:
    day = Day(with_matrices(problem))
    ends_s = time.monotonic() + seconds
    return lower_bound(
        day,
        Room(day),
        (),
        upper_cents,
        left_s=lambda: 0.0 if should_stop() else ends_s - time.monotonic(),
        on_bound=(told if told is not None else []).append,
    )


@given(tiny_problems())
@settings(deadline=None, max_examples=150)
def test_no_plan_of_a_tiny_problem_beats_the_bound(problem: Problem) -> None:
    best_cents = best_cost_by_enumeration(problem)

    found = bound_of(problem)

    assert found.cents is None or found.cents <= best_cents


@given(problems())
@settings(deadline=None, max_examples=25)
def test_no_plan_found_beats_the_bound(problem: Problem) -> None:
    cost_cents = solved(problem, iterations=5).cost_cents

    assert (bound_of(problem).cents or 0) <= cost_cents


def test_a_day_without_choice_has_an_exact_bound() -> None:
    # 10 km there and 10 km back: 100 fixed, 200 for the way, 200 for 2,000 s; each of the last two might have
    # been rounded up by half a cent.
    assert bound_of(a_problem()).cents == 500 - 1
    assert bound_of(a_problem(), upper_cents=500).cents == 500 - 1
    assert solved(a_problem()).cost_cents == 500


def test_most_days_with_few_orders_leave_a_small_gap() -> None:
    gaps = []
    for seed in range(5):
        size = RegionSize(num_orders=6, num_shops=3, num_supply_points=3, num_bikes=2, num_vans=1)
        problem = generate(seed, size)
        cost_cents = solved(problem, iterations=5).cost_cents
        cents = bound_of(problem, upper_cents=cost_cents).cents
        assert cents is not None and cents <= cost_cents
        gaps.append(1 - cents / cost_cents)

    assert median(gaps) < 0.02


def test_a_route_that_has_more_on_board_is_not_forgotten_for_one_that_came_as_cheaply() -> None:
    # Both ways to the second shop cost the same; only the one by the first shop need not turn back.
    places = [a_place("first", 1), a_place("second", 2), a_place("near", 3), a_place("far", 4)]
    orders = [
        an_order("order-0", pickup="second", to="near"),
        an_order("order-1", pickup="first", to="far"),
    ]
    problem = a_problem(places=places, orders=orders)

    # 4 km there and 4 km back: 100 fixed, 80 for the way, 80 for 800 s.
    assert solved(problem).cost_cents == 260
    assert bound_of(problem).cents == 260 - 1


def test_room_in_lockers_counts() -> None:
    places = [a_place("shop", 5), a_place("point", 10, compartments=[(Temperature.AMBIENT, Size.S, 1)])]
    orders = [an_order(f"order-{n}", penalty_cents=3_000) for n in range(2)]
    problem = a_problem(places=places, orders=orders)

    # One order goes for 500 cents, the other one finds no compartment.
    assert bound_of(problem).cents == 3_500 - 1


def test_a_worse_option_costs_its_preference_also_in_the_bound() -> None:
    places = [a_place("shop", 5), a_place("near", 10), a_place("far", 30)]
    problem = a_problem(places=places, orders=[an_order(to={"far": 0, "near": 70})])

    assert bound_of(problem).cents == 570 - 1


def test_limits_to_ranks_count() -> None:
    places = [a_place("shop", 5), a_place("near", 10), a_place("far", 30)]
    order = an_order(to={"far": 0, "near": 0})
    second = replace(order.options[1], rank=1)
    problem = a_problem(places=places, orders=[replace(order, options=(order.options[0], second))])

    # To the near point for 500 cents, or to the far one for 100 + 600 + 600.
    assert bound_of(problem).cents == 500 - 1
    assert bound_of(replace(problem, rank_limits=(RankLimit(rank=0, most=0),))).cents == 1_300 - 1


def test_goods_on_board_need_no_pickup_and_go_with_their_vehicle_only() -> None:
    way = UnderWay(
        place="shop", free_s=10 * 3600, started_s=EIGHT, on_board=(OnBoard(order="order", loaded_s=9 * 3600),)
    )
    out = replace(a_vehicle("out"), under_way=way)
    problem = a_problem(vehicles=[out, a_vehicle("idle")])

    # From the shop 5 km to the point and 10 km home: 150 for the way, 150 for 1,500 s.
    assert bound_of(problem).cents == 300 - 1
    assert solved(problem).cost_cents == 300


def test_every_relaxation_is_named() -> None:
    place = a_place("point", 10, windows=[(EIGHT, 10 * 3600), (14 * 3600, SIX_PM)])
    vehicle = replace(
        a_vehicle(capacity=Load(weight_g=1_500, volume_cm3=10**6), max_duration_s=3600),
        max_trips=2,
        working_time=ARBZG,
    )
    first = replace(
        an_order("first", handling_s=30, temperature=Temperature.CHILLED),
        promise=Promise(vehicle="van", latest_s=SIX_PM),
        transfer_place="hub",
    )
    problem = replace(
        a_problem(
            places=[a_place("shop", 5), place],
            vehicles=[vehicle],
            orders=[first, an_order("second", ready_s=9 * 3600)],
            max_ride_s={Temperature.CHILLED: 3600},
        ),
        late_cents_per_hour=100,
        moved_cents=100,
    )

    words = [
        *("capacities", "trips", "longest runs", "breaks", "waiting", "windows", "ready times"),
        *("handling", "rides", "lateness", "announced", "changes of vehicle"),
    ]
    found = bound_of(problem).relaxed
    assert len(found) == len(words)
    for word, name in zip(words, found, strict=True):
        assert word in name
    assert bound_of(a_problem()).relaxed == ("cost of waiting",)


def test_nothing_is_claimed_when_told_to_stop() -> None:
    found = bound_of(a_problem(), should_stop=lambda: True)

    assert found.cents is None
    assert found.reason.startswith("no bound computed: the time was over")


def test_longest_runs_count() -> None:
    # The run takes 2,000 s.
    assert bound_of(a_problem(vehicles=[a_vehicle(max_duration_s=2_000)])).cents == 500 - 1
    assert bound_of(a_problem(vehicles=[a_vehicle(max_duration_s=1_999)])).cents == PENALTY


def test_longest_rides_count() -> None:
    # From the shop 5 km to the point.
    problem = a_problem(orders=[an_order(temperature=Temperature.CHILLED)])

    assert bound_of(replace(problem, max_ride_s={Temperature.CHILLED: 500})).cents == 500 - 1
    assert bound_of(replace(problem, max_ride_s={Temperature.CHILLED: 499})).cents == PENALTY


def test_goods_that_ride_too_long_by_a_detour_are_brought_first() -> None:
    # The near shop closes before the far one opens, and its chilled goods may not come along to the far one.
    places = [
        a_place("near", 4, windows=[(EIGHT, EIGHT + 1_800)]),
        a_place("far", 8, windows=[(10 * 3600, SIX_PM)]),
        a_place("point", -4),
    ]
    orders = [
        an_order("chilled", pickup="near", to="point", temperature=Temperature.CHILLED),
        an_order("other", pickup="far", to="point"),
    ]
    problem = a_problem(places=places, orders=orders)

    # 4 + 4 + 12 + 4 km, and 4 + 8 + 12 + 12 + 4 km: each costs 10 for the way and 10 for 100 s.
    assert bound_of(problem).cents == 100 + 24 * 20 - 1
    assert bound_of(replace(problem, max_ride_s={Temperature.CHILLED: 900})).cents == 100 + 40 * 20 - 1


def test_goods_that_came_on_board_later_may_ride_further() -> None:
    # The bakery lies before the farm; whoever calls there first has its goods on board while the farm's are
    # loaded, and must bring them before the farm's second order, which lies on the way.
    places = [
        a_place("bakery", 8),
        a_place("farm", 10),
        a_place("near", 12),
        a_place("middle", 13),
        a_place("far", 16),
        a_place("depot", 24),
    ]
    orders = [
        an_order("chilled", pickup="bakery", to="far", temperature=Temperature.CHILLED),
        an_order("first", pickup="farm", to="near", handling_s=300),
        an_order("second", pickup="farm", to="middle", handling_s=300),
    ]
    problem = a_problem(places=places, orders=orders, vehicles=[a_vehicle(end="depot")])

    # 24 km and 1,200 s of handling; with a ride of at most 1,500 s 4 km more, back from the farm.
    assert bound_of(problem).cents == 100 + 24 * 20 + 120 - 1
    assert (
        bound_of(replace(problem, max_ride_s={Temperature.CHILLED: 1_500})).cents == 100 + 28 * 20 + 120 - 1
    )
    assert solved(replace(problem, max_ride_s={Temperature.CHILLED: 1_500})).cost_cents == 100 + 28 * 20 + 120


@pytest.mark.filterwarnings("error")
def test_a_vehicle_without_any_time_has_a_bound() -> None:
    orders = [an_order("next door", pickup="hub", to="near", penalty_cents=300), an_order(penalty_cents=500)]
    places = [a_place("near", 0), a_place("shop", 5), a_place("point", 10)]
    problem = a_problem(places=places, vehicles=[a_vehicle(max_duration_s=0)], orders=orders)

    # The vehicle costs 100 and gets no further than next door.
    assert bound_of(problem).cents == 100 + 500 - 1


def test_routes_found_on_the_way_make_a_better_plan() -> None:
    day = Day(with_matrices(a_problem()))
    tours: list[Tour] = []

    def improve(more: list[Tour]) -> int:
        tours.extend(more)
        return min(tour.cost_cents for tour in tours if tour.timetable)

    found = lower_bound(day, Room(day), (), MUCH, left_s=lambda: 30.0, improve=improve)

    assert found.cents == 500 - 1
    assert [tour.cost_cents for tour in tours] == [500]


@given(tiny_problems())
@settings(deadline=None, max_examples=40)
def test_what_is_told_on_the_way_grows_and_never_exceeds_what_is_proven(problem: Problem) -> None:
    told: list[int] = []

    found = bound_of(problem, told=told)

    assert told == sorted(set(told))
    assert not told or (found.cents is not None and told[-1] <= found.cents)


def test_the_bound_is_part_of_the_progress() -> None:
    problem = generate(
        2, RegionSize(num_orders=12, num_shops=4, num_supply_points=4, num_bikes=1, num_vans=1)
    )
    seen: list[Progress] = []

    result = solve(problem, time_limit_s=20, iterations=20, bound=True, on_progress=seen.append)

    bounds = [progress.bound for progress in seen if progress.bound is not None]
    assert bounds and bounds == sorted(bounds)
    assert result.bound is not None and bounds[0] < bounds[-1] <= result.bound
    assert all(progress.bound is None for progress in seen if progress.phase == Phase.ROUTES)


def test_what_the_proof_finds_is_adopted() -> None:
    """Of some days at least one is not planned best by the search alone."""
    gains = []
    for day in (3, 8, 10):
        problem = generate(
            day, RegionSize(num_orders=14, num_shops=4, num_supply_points=4, num_bikes=1, num_vans=2)
        )
        found = solve(problem, time_limit_s=20, iterations=0)
        proven = solve(problem, time_limit_s=20, iterations=0, bound=True)
        assert found.solution is not None and proven.solution is not None
        assert proven.gap is not None and proven.gap < 0.001
        gains.append(found.solution.cost_cents - proven.solution.cost_cents)

    assert min(gains) >= 0
    assert max(gains) > 0


def test_a_plan_that_costs_nothing_is_proven_at_once() -> None:
    result = solve(a_problem(places=[], vehicles=[], orders=[]), time_limit_s=20, iterations=1, bound=True)

    assert (result.bound, result.gap, result.status) == (0, 0, Status.OPTIMAL)


def test_what_was_proven_outlasts_a_price_that_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    price = Pricer.price

    def fails_then(*arguments: Any, **more: Any) -> Priced:
        if told:
            raise TooManyGroups
        return price(*arguments, **more)

    monkeypatch.setattr(Pricer, "price", fails_then)
    day = Day(with_matrices(generate(1, RegionSize(num_orders=12, num_shops=4, num_supply_points=3))))

    found = lower_bound(day, Room(day), (), MUCH, left_s=lambda: 30.0, on_bound=told.append)

    assert found.cents == told[-1] > 0
    assert found.reason == "more shops have goods than the labelling can tell apart"


def test_emissions_that_cost_nothing_are_not_rounded() -> None:
    day = Day(a_problem(vehicles=[a_vehicle(cost_per_hour_cents=0, co2e_g_per_km=0)]))

    # One term is rounded, by half a cent at most.
    assert Pricer(day, Room(day), day.classes[0]).fixed_cents == pytest.approx(99.5, abs=1e-4)
