"""Whatever the search does to a plan in arrays, it stays a plan."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optimizer.compartments import Row
from optimizer.compiled import generator
from optimizer.day import Day, Leg, VehicleClass
from optimizer.lns.anneal import NUM_RETRIED, add_left_out
from optimizer.lns.arrays import (
    CLAIMS_BEGIN,
    CLAIMS_END,
    KEPT,
    LEG,
    ORDER,
    SIZE,
    TURN,
    VEHICLE,
    WAYS_BEGIN,
    WAYS_END,
    State,
    empty_state,
)
from optimizer.lns.improver import Improver
from optimizer.lns.routes import refresh
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.search import Search
from optimizer.visits import Failure
from tests.optimizer.builders import a_place, a_problem, an_order
from tests.optimizer.lns.packed import Packed, busy_days, cost_of, days, fill, packed, packed_days

some = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10**6)


def _never() -> bool:
    return False


def _search(problem: Problem) -> Search:
    """Begin a search on a day on which something can be carried."""
    search = Search(Day(problem), should_stop=_never, must_stop=_never)
    assume(any(search.reach.reachable(order) for order in range(len(problem.orders))))
    return search


def _improver(search: Search, seed: int = 0, is_open: Callable[[int], bool] = lambda order: True) -> Improver:
    """Load the best plan of a search, for the orders that are open."""
    reachable = {order: search.reach.reachable(order) for order in range(len(search.day.problem.orders))}
    options = {order: options for order, options in reachable.items() if options and is_open(order)}
    assume(options)
    improver = Improver(search, options, seed)
    improver.load(search.incumbent)
    return improver


def _row(state: State, vehicle: int) -> list[int]:
    return [int(leg) for leg in state.legs[vehicle, : state.routes[vehicle, SIZE], LEG]]


def _assert_is_plan(improver: Improver, state: State) -> None:
    """Assert all that follows from the legs of a plan, and what no route can see alone."""
    data, packing = improver.packing.data, improver.packing
    fresh = empty_state(data, state.legs.shape[1])
    taken: Counter[Row] = Counter()
    for column in improver._kept:
        taken.update(column.taken)
    carried: list[tuple[int, int, int]] = []
    for vehicle, kind in enumerate(data.vehicle_class):
        row = _row(state, vehicle)
        if not improver._is_open[vehicle]:
            assert not row and state.cents[vehicle] == 0.0
            continue
        fresh.routes[vehicle, SIZE] = len(row)
        fresh.legs[vehicle, : len(row), LEG] = row
        assert refresh(data, fresh, vehicle, int(kind))
        assert fresh.cents[vehicle] == pytest.approx(state.cents[vehicle])
        _assert_can_be_driven(packing.day.classes[kind], packing.legs(row, int(kind)))
        for way in (number >> 1 for number in row if number != TURN and number & 1):
            carried.append((int(data.ways[way, ORDER]), way, vehicle))
            (leg,) = packing.legs([2 * way + 1], int(kind))
            taken.update(improver._search.room.claims(leg.shipment.orders[0], leg.shipment.options[0]))
    known = {(order, *row) for order, row in enumerate(state.orders.tolist()) if row[VEHICLE] >= 0}
    assert sorted(carried) == sorted(known)
    assert list(state.taken) == [taken[row] for row in packing.rows]
    assert (state.taken <= data.room).all()
    assert state.total[0] == pytest.approx(cost_of(data, state))


def _assert_can_be_driven(vehicle: VehicleClass, legs: list[Leg]) -> None:
    if legs:
        outcome = evaluate(vehicle, legs)
        # Where work is limited, no place for a break may be left.
        assert isinstance(outcome, Timetable) or (vehicle.working_time and outcome == Failure.WORKING_TIME)


@given(days, seeds, st.sampled_from((1e-9, 50.0, 5_000.0)))
@some
def test_a_plan_stays_a_plan_and_the_best_one_never_gets_dearer(
    problem: Problem, seed: int, temperature: float
) -> None:
    improver = _improver(_search(problem), seed)
    improver.construct({}, _never, at_any_price=True)
    start_cents = improver.cents

    for _ in range(3):
        improver.run(15, temperature)

        for state in (improver.current, improver.tried, improver.best):
            _assert_is_plan(improver, state)
    assert improver.cents <= start_cents + 1e-6
    assert improver.cents <= improver.current.total[0] + 1e-6
    assert (improver.current.orders == improver.tried.orders).all()


@given(days, seeds)
@some
def test_equal_seeds_give_equal_plans(problem: Problem, seed: int) -> None:
    plans = []
    for _ in range(2):
        improver = _improver(_search(problem), seed)
        improver.construct({}, _never, at_any_price=True)
        improver.run(30, 50.0)
        plans.append([_row(improver.best, vehicle) for vehicle in range(len(improver.best.routes) - 1)])

    assert plans[0] == plans[1]


@given(days, seeds)
@some
def test_routes_with_orders_that_are_not_packed_are_kept_as_they_are(problem: Problem, seed: int) -> None:
    search = _search(problem)
    first = _improver(search, seed)
    first.construct({}, _never, at_any_price=True)
    search.incumbent = first.columns()
    closed = next((order for column in search.incumbent for order, _ in column.orders), None)
    assume(closed is not None)
    second = _improver(search, seed, lambda order: order != closed)

    second.run(30, 50.0)

    # So is a route with a break, if the arrays have no room for it.
    kept = {order: column for column in second._kept for order, _ in column.orders}
    assert closed in kept
    assert set(second._kept) <= set(second.columns())
    for order in kept:
        if order in second.packing.number:
            assert second.best.orders[second.packing.number[order], VEHICLE] == KEPT
    _assert_is_plan(second, second.best)
    carried = Counter(order for column in second.columns() for order, _ in column.orders)
    assert max(carried.values()) == 1


@given(days, seeds)
@some
def test_harvested_routes_are_feasible_and_differ(problem: Problem, seed: int) -> None:
    improver = _improver(_search(problem), seed)
    improver.construct({}, _never, at_any_price=True)
    improver.run(40, 50.0)
    data, state = improver.packing.data, improver.tried

    harvest = [tuple(row) for row in improver._harvest[: improver._harvest_size[0]].tolist()]

    marks = [
        (row[0], frozenset(leg for leg in row[2 : 2 + row[1]] if leg != TURN and leg & 1)) for row in harvest
    ]
    assert len(set(marks)) == len(marks)
    for kind, size, *legs in harvest:
        state.routes[0, SIZE] = size
        state.legs[0, :size, LEG] = legs[:size]
        assert size and refresh(data, state, 0, kind)


def _retried(one: Packed, seed: int, removed: Sequence[int]) -> list[int]:
    """Return the orders that are inserted besides those just removed."""
    waiting = np.zeros(len(one.data.orders) + 1, dtype=np.int64)
    waiting[: len(removed)] = removed
    count = add_left_out(one.data, one.state, waiting, len(removed), generator(seed))
    assert list(waiting[: len(removed)]) == list(removed)
    return [int(order) for order in waiting[len(removed) : count]]


@given(packed_days(busy_days), seeds)
@some
def test_what_was_left_out_is_tried_again_where_there_is_room(one: Packed, seed: int) -> None:
    random = Random(seed)
    fill(random, one)
    idle = [order for order, (_, vehicle) in enumerate(one.state.orders.tolist()) if vehicle == -1]
    removed = random.sample(idle, random.randint(0, len(idle)))

    retried = _retried(one, seed, removed)

    with_room = {order for order in idle if any(_fits(one, way) for way in _ways(one, order))}
    assert sorted(retried) == sorted(with_room - set(removed))


def _ways(one: Packed, order: int) -> range:
    return range(one.data.orders[order, WAYS_BEGIN], one.data.orders[order, WAYS_END])


def _fits(one: Packed, way: int) -> bool:
    claims = one.data.claims[one.data.ways[way, CLAIMS_BEGIN] : one.data.ways[way, CLAIMS_END]]
    return all(one.state.taken[row] + amount <= one.data.room[row] for row, amount in claims)


def test_only_some_of_many_left_out_orders_are_tried_again() -> None:
    orders = [an_order(f"order-{number}") for number in range(NUM_RETRIED + 10)]
    one = packed(a_problem(places=[a_place("shop", 5), a_place("point", 10)], orders=orders))
    fill(Random(0), one, tries=0)

    retried = [_retried(one, seed, [0, 1, 2]) for seed in range(5)]

    assert {len(set(some)) for some in retried} == {NUM_RETRIED}
    assert len({tuple(some) for some in retried}) > 1
    assert not {0, 1, 2} & {order for some in retried for order in some}
