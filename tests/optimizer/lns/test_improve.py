"""How the search uses its budget."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.day import Day
from optimizer.improve import Budget, Improvement, Step
from optimizer.lns.improver import Improver
from optimizer.problem import Problem
from optimizer.result import Phase
from optimizer.rounds import Rounds
from optimizer.search import Search
from optimizer.solve import solve
from optimizer.solver import Limits
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order
from tests.optimizer.strategies import problems

some = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
ITERATIONS = 60


def _never() -> bool:
    return False


def _budget(search: Search, elapsed_s: Callable[[], float]) -> Budget:
    return Budget(
        spent=lambda: search.iterations / ITERATIONS,
        elapsed_s=elapsed_s,
        iterations=ITERATIONS,
        should_stop=_never,
        report=lambda: None,
        decide=lambda: search.decide(Limits(seconds=10)),
    )


def _improved(
    problem: Problem, seed: int, elapsed_s: Callable[[], float], start: Search | None = None
) -> Search:
    """Improve a plan for some iterations; without a start, one that is constructed first."""
    search = Search(Day(problem), should_stop=_never, must_stop=_never)
    assignment = search.assign(Limits(seconds=10), _never)
    improvement = Improvement(search, seed, _budget(search, elapsed_s))
    if start is None:
        improvement.construct(assignment, _never, at_any_price=True)
    else:
        search.incumbent = start.incumbent
    improvement.run(assignment, goes_on=start is not None)
    return search


def _plan(search: Search) -> list[tuple[int, list[int], tuple[tuple[int, int], ...]]]:
    return [(column.vehicle.index, column.timetable.starts_s, column.orders) for column in search.incumbent]


@given(problems(), st.integers(0, 1_000))
@some
def test_with_a_limit_to_iterations_the_clock_does_not_matter(problem: Problem, seed: int) -> None:
    slow = count(step=7.5)

    one = _improved(problem, seed, lambda: 0.0)
    other = _improved(problem, seed, lambda: next(slow))

    assert _plan(one) == _plan(other)


@given(problems(), st.integers(0, 1_000))
@some
def test_a_plan_that_is_improved_gets_no_dearer(problem: Problem, seed: int) -> None:
    first = _improved(problem, seed, lambda: 0.0)

    second = _improved(first.day.problem, seed + 1, lambda: 0.0, start=first)

    assert second.cost_cents <= first.cost_cents


def test_a_day_without_vehicles_or_orders_has_an_empty_plan() -> None:
    assert _improved(a_problem(vehicles=[]), 0, lambda: 0.0).incumbent == []
    assert _improved(a_problem(orders=[]), 0, lambda: 0.0).incumbent == []


def test_an_order_that_nothing_can_carry_is_left_out() -> None:
    heavy = an_order("heavy", weight_g=10**7)

    search = _improved(a_problem(orders=[heavy, an_order("light")]), 0, lambda: 0.0)

    assert search.carried == {1: 0}


def test_vehicles_are_saved_first_only_where_they_cost_more_than_driving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved: list[int] = []
    shrink = Improver.shrink

    def noted(improver: Improver, iterations: int, temperature: float) -> int:
        saved.append(iterations)
        return shrink(improver, iterations, temperature)

    monkeypatch.setattr(Improver, "shrink", noted)

    def planned_twice(names: Sequence[str], fixed_cost_cents: int) -> Search:
        # Both orders fill a vehicle, and no shift is long enough for two runs.
        problem = a_problem(
            vehicles=[
                a_vehicle(name, shift=(EIGHT, EIGHT + 2_500), fixed_cost_cents=fixed_cost_cents)
                for name in names
            ],
            orders=[an_order(name, weight_g=10**6) for name in names],
        )
        first = _improved(problem, 0, lambda: 0.0)
        saved.clear()
        return _improved(problem, 0, lambda: 0.0, start=first)

    # A vehicle costs 100 or 1,000, the driving of each 400.
    assert len(planned_twice(["one", "other"], 100).incumbent) == 2
    assert len(planned_twice(["one"], 1_000).incumbent) == 1
    assert not saved
    assert len(planned_twice(["one", "other"], 1_000).incumbent) == 2
    assert saved


def _with_a_vehicle_at_either_end(shift: tuple[int, int]) -> Problem:
    """Build a problem whose cheapest plan has two vehicles, one for each order."""
    return a_problem(
        places=[
            a_place("hub", 0),
            a_place("shop", 1),
            a_place("point", 2),
            a_place("other point", 18),
            a_place("other shop", 19),
            a_place("other hub", 20),
        ],
        vehicles=[
            a_vehicle("one", shift=shift),
            a_vehicle("other", start="other hub", end="other hub", shift=shift),
        ],
        orders=[an_order("one"), an_order("other", pickup="other shop", to="other point")],
    )


@pytest.mark.parametrize("may_add", [True, False])
def test_a_round_uses_a_vehicle_that_idles_only_if_it_may(may_add: bool) -> None:
    search = Search(
        Day(_with_a_vehicle_at_either_end((EIGHT, EIGHT + 1_000))), should_stop=_never, must_stop=_never
    )
    assignment = search.assign(Limits(seconds=10), _never)
    Improvement(search, 0, _budget(search, lambda: 0.0)).construct(assignment, _never, at_any_price=True)
    search.incumbent = search.incumbent[:1]
    assert len(search.carried) == 1

    Rounds(search).improve(0, 100, 10, _never, may_add=may_add)

    assert len(search.carried) == 1 + may_add


@pytest.mark.parametrize(
    ("seconds", "may_add", "starts"), [(6_000, [True, True, False, True], 2), (1_000, [True] * 4, 3)]
)
def test_where_orders_have_no_choice_the_last_start_does_with_a_vehicle_less_if_that_is_possible(
    monkeypatch: pytest.MonkeyPatch,
    constructed: list[bool],
    seconds: int,
    may_add: list[bool],
    starts: int,
) -> None:
    asked: list[bool] = []
    used: list[int] = []
    improve = Rounds.improve

    def noted(rounds: Rounds, *args: Any, may_add: bool) -> bool:
        asked.append(may_add)
        goes_on = improve(rounds, *args, may_add=may_add)
        used.append(len(rounds._search.incumbent))
        return goes_on

    monkeypatch.setattr(Rounds, "improve", noted)
    problem = _with_a_vehicle_at_either_end((EIGHT, EIGHT + seconds))

    result = solve(problem, time_limit_s=60, iterations=400)

    assert asked[:4] == may_add
    assert used[:4] == [2 if may else 1 for may in may_add]
    assert len(constructed) == starts
    assert result.solution is not None
    assert len(result.solution.routes) == 2


@pytest.fixture
def constructed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each start so far began with an assignment."""
    starts: list[bool] = []
    construct = Improver.construct

    def noted(improver: Improver, assignment: dict[int, int], *args: Any, **kw: Any) -> None:
        starts.append(bool(assignment))
        construct(improver, assignment, *args, **kw)

    monkeypatch.setattr(Improver, "construct", noted)
    return starts


@pytest.mark.parametrize(("iterations", "starts"), [(119, 1), (120, 3)])
def test_there_are_several_starts_if_there_are_enough_iterations_for_each_order(
    constructed: list[bool], iterations: int, starts: int
) -> None:
    places = [a_place("shop", 5), a_place("point", 10), a_place("other", 12)]
    orders = [an_order(name, to={"point": 0, "other": 50}) for name in ("one", "two")]

    solve(a_problem(places=places, orders=orders), time_limit_s=60, iterations=iterations)

    assert len(constructed) == starts


def test_each_step_can_be_left_out_to_measure_what_it_brings(
    monkeypatch: pytest.MonkeyPatch, constructed: list[bool]
) -> None:
    problem = a_problem(orders=[an_order("one"), an_order("other")])
    rounds = Rounds.improve
    asked: list[bool] = []

    def noted_rounds(*args: Any, **kw: Any) -> bool:
        asked.append(True)
        return rounds(*args, **kw)

    monkeypatch.setattr(Rounds, "improve", noted_rounds)

    def steps_seen(*without: Step) -> tuple[list[bool], bool, bool]:
        constructed.clear()
        asked.clear()
        result = solve(problem, time_limit_s=60, iterations=200, without=without)
        assert result.solution is not None
        assert not result.solution.left_out
        return [*constructed], bool(asked), Phase.MASTER in {phase.phase for phase in result.phases}

    assert steps_seen() == ([True, False, True], True, True)
    assert steps_seen(Step.ASSIGNMENT) == ([False, False, False], True, True)
    assert steps_seen(Step.STARTS) == ([True], True, True)
    assert steps_seen(Step.MASTER) == ([True, False, True], True, False)
    assert steps_seen(Step.ROUNDS) == ([True, False, True], False, True)
