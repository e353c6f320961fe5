"""What no plan can beat."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given, settings

from optimizer import bound as bounds
from optimizer import pricing, pricing_labels
from optimizer.bound import Bound, lower_bound
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.fleet import ARBZG, OnBoard, UnderWay
from optimizer.generator import RegionSize, generate
from optimizer.orders import Promise, RankLimit
from optimizer.problem import Load, Problem, Size, Temperature
from optimizer.travel import with_matrices
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order, solved
from tests.optimizer.strategies import best_cost_by_enumeration, problems, tiny_problems

#: No plan of the problems here costs so much.
MUCH = 10**7


def bound_of(
    problem: Problem,
    *,
    upper_cents: int = MUCH,
    seconds: float = 30,
    should_stop: Callable[[], bool] = lambda: False,
) -> Bound:
    day = Day(with_matrices(problem))
    return lower_bound(day, Room(day), (), upper_cents, seconds=seconds, should_stop=should_stop)


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


def test_a_bound_is_the_same_without_numba_and_slowness_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = generate(2, RegionSize(num_orders=4, num_shops=2, num_supply_points=2, num_bikes=1, num_vans=1))
    compiled = bound_of(problem).cents

    for name in ("weight", "is_heavier", "potential", "within_reach", "extend"):
        function = getattr(pricing_labels, name)
        monkeypatch.setattr(pricing_labels, name, getattr(function, "py_func", function))
    monkeypatch.setattr(pricing, "extend", pricing_labels.extend)
    monkeypatch.setattr(bounds, "COMPILED", False)

    assert bound_of(problem).cents == compiled
    assert "numba is not installed" in bound_of(problem, should_stop=lambda: True).reason
