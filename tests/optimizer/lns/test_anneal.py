"""Whatever the search does to a plan in arrays, it stays a plan."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optimizer.compartments import Row
from optimizer.day import Day, Leg, VehicleClass
from optimizer.lns.arrays import KEPT, LEG, ORDER, SIZE, TURN, VEHICLE, State, empty_state
from optimizer.lns.improver import Improver
from optimizer.lns.routes import refresh
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.search import Search
from optimizer.visits import Failure
from tests.optimizer.lns.packed import cost_of, days

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
        improver.run(15, temperature, temperature)

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
        improver.run(30, 500.0, 5.0)
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

    second.run(30, 500.0, 5.0)

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
    improver.run(40, 500.0, 5.0)
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
