"""Runs: equal ones end alike, limits hold, and whatever they find is feasible and near the best."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.io import result_to_json
from optimizer.problem import Place, Problem, Profile, TravelMatrix
from optimizer.result import Phase, Progress
from optimizer.solution import Reason
from optimizer.solve import solve
from optimizer.travel.model import GeodesicTravel, TravelReport, report_of, whole_matrix
from tests.optimizer.builders import a_problem, solved, the_result
from tests.optimizer.strategies import best_cost_by_enumeration, problems, tiny_problems


def test_equal_seeds_and_iterations_give_equal_plans() -> None:
    problem = generate(3, RegionSize(num_orders=16, num_shops=4, num_supply_points=4))

    first, second = (the_result(problem, iterations=45, seed=5) for _ in range(2))

    assert first.solution == second.solution
    assert first.iterations == second.iterations == 45


def test_progress_begins_with_travel_ends_done_and_never_gets_dearer() -> None:
    seen: list[Progress] = []
    problem = generate(3, RegionSize(num_orders=16, num_shops=4, num_supply_points=4))

    solve(problem, time_limit_s=60, iterations=45, on_progress=seen.append)

    assert (seen[0].phase, seen[-1].phase) == (Phase.TRAVEL, Phase.DONE)
    costs = [report.cost_cents for report in seen if report.cost_cents is not None]
    assert all(later <= earlier for earlier, later in pairwise(costs))
    assert all(0 <= report.fraction <= 1 for report in seen)


def test_with_a_proof_to_come_no_more_of_the_time_is_used_than_there_is() -> None:
    seen: list[Progress] = []

    solve(a_problem(), time_limit_s=4, bound=True, on_progress=seen.append)

    fractions = [report.fraction for report in seen[:-1]]
    assert fractions == sorted(fractions)
    assert fractions == [pytest.approx(min(1, report.elapsed_s / 4), abs=1e-3) for report in seen[:-1]]
    assert {Phase.ROUTES, Phase.BOUND} <= {report.phase for report in seen}


def test_a_result_tells_what_the_travel_model_could_not_do() -> None:
    class Nowhere(GeodesicTravel):
        def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
            nowhere = np.full((len(places), len(places)), np.inf)
            matrix = whole_matrix(places, profile, nowhere, nowhere)
            return matrix, report_of(matrix, places, model="nowhere", attribution="nobody")

    problem = replace(a_problem(), matrices=())

    result = solve(problem, time_limit_s=10, iterations=1, travel=Nowhere())

    assert {report.profile for report in result.travel} == {"bike", "van"}
    assert {report.num_unreachable for report in result.travel} == {6}
    assert ("hub", "shop") in result.travel[0].unreachable
    assert result_to_json(result)["travel"][0]["unreachable"][0] == ["hub", "shop"]


def test_better_plans_are_told_while_they_are_searched() -> None:
    seen: list[int | None] = []
    problem = generate(1, RegionSize(num_orders=60, num_shops=10, num_supply_points=8))

    def note(progress: Progress) -> None:
        if progress.phase == Phase.ROUTES:
            seen.append(progress.cost_cents)

    solve(problem, time_limit_s=60, iterations=1_000, on_progress=note)

    # Every fiftieth of a run is told.
    assert len(seen) >= 20
    assert len(set(seen)) >= 3


def test_a_run_that_is_told_to_stop_returns_a_checked_plan_at_once() -> None:
    problem = generate(1, RegionSize(num_orders=60, num_shops=10, num_supply_points=8))
    started = time.monotonic()

    result = solve(problem, time_limit_s=60, should_stop=lambda: True)

    assert time.monotonic() - started < 30
    assert result.solution is not None
    assert {left.reason for left in result.solution.left_out} == {Reason.PLANNING_TIME_OVER}


def test_a_day_far_too_large_for_its_time_has_a_plan_and_a_reason_for_each_order_left_out() -> None:
    problem = generate(1, RegionSize(num_orders=10_000, num_supply_points=300, num_bikes=100, num_vans=50))

    result = solve(problem, time_limit_s=1)

    assert result.solution is not None
    assert violations(problem, result.solution) == []
    left_out = result.solution.left_out
    assert result.solution.num_carried + len({left.order for left in left_out}) == 10_000
    assert Reason.PLANNING_TIME_OVER in {left.reason for left in left_out}


def test_a_day_whose_travel_took_all_the_time_still_has_a_plan() -> None:
    now_s = 0.0

    class Slow(GeodesicTravel):
        def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
            nonlocal now_s
            now_s += 20
            return super().measure(places, profile)

    result = solve(replace(a_problem(), matrices=()), time_limit_s=1, travel=Slow(), clock=lambda: now_s)

    assert result.seconds == 40
    assert result.solution is not None
    assert result.solution.num_carried == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_whatever_is_found_keeps_every_constraint(problem: Problem) -> None:
    result = the_result(problem, iterations=15)

    assert result.solution is not None
    assert violations(problem, result.solution) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tiny_problems())
def test_no_plan_is_cheaper_than_the_best_of_all_and_few_are_dearer(problem: Problem) -> None:
    solution = solved(problem, iterations=60)

    best = best_cost_by_enumeration(problem)
    assert best <= solution.cost_cents
    assert solution.cost_cents <= best + _largest_penalty(problem)


def _largest_penalty(problem: Problem) -> int:
    return max(order.unserved_penalty_cents for order in problem.orders)
