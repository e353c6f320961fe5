"""A large region is planned in territories: rows for any worker, and nobody waits for anybody."""

import json
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest

from common import intents
from logistics.models import Plan, Shift, Territory
from logistics.services import plans
from logistics.states import PlanState, TerritoryState
from optimizer import io
from optimizer.regions import territories as cut
from optimizer.regions.parts import END, NUM_FAMILIES, end_s
from optimizer.routes import routes_of
from optimizer.search import Search
from optimizer.solution import Route
from tests.logistics.builders import at
from tests.logistics.dividing import (
    NUM_ORDERS,
    a_plan_of_two_villages,
    asked,
    delivered,
    divided,
    work,
    work_on,
)
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def plan(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Plan:
    return a_plan_of_two_villages(settings, monkeypatch)


def watching(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Note what each run of the solver is given."""
    runs: list[dict[str, Any]] = []

    class Watched(SolverHere):
        def __init__(self, problem: dict[str, Any], **more: Any) -> None:
            runs.append(more)
            super().__init__(problem, **more)

    monkeypatch.setattr("logistics.services.plans.SolverProcess", Watched)
    return runs


def routes_so_far(search: Search, _: int) -> Iterator[Route]:
    """Yield routes to offer, whatever they are worth."""
    yield from routes_of(search.day, search.incumbent)


def test_a_large_pool_is_planned_in_territories(plan: Plan) -> None:
    work_on()

    plan.refresh_from_db()
    assert (plan.state, plan.error) == (PlanState.PROPOSED, "")
    assert (plan.num_carried, plan.num_left_out) == (NUM_ORDERS, 0)
    rows = Territory.objects.all()
    assert {row.state for row in rows} == {TerritoryState.DONE}
    assert {row.family for row in rows} == set(range(NUM_FAMILIES))
    assert rows.filter(family=0).count() == 2


@pytest.mark.parametrize(("workers", "budget_s", "first_s"), [(1, 30, 3.5625), (2, 30, 7.125), (2, 600, 75)])
def test_families_and_the_choice_at_the_end_share_the_budget(
    plan: Plan,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    budget_s: float,
    first_s: float,
) -> None:
    settings.PLAN_WORKERS = workers
    Plan.objects.update(budget_s=budget_s)
    runs = watching(monkeypatch)

    work_on()

    plan.refresh_from_db()
    families = [Territory.objects.filter(family=family) for family in range(NUM_FAMILIES)]
    seconds = [max(row.budget_s for row in rows) * ceil(len(rows) / workers) for rows in families]
    assert {row.budget_s for row in families[0]} == {first_s}
    assert sum(seconds) + runs[-1]["time_limit_s"] == pytest.approx(budget_s)
    assert runs[-1]["time_limit_s"] == end_s(budget_s, NUM_ORDERS)


def test_each_territory_goes_on_from_what_the_plan_does_there(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watching(monkeypatch)
    divided()
    work("plan_territory")
    work("recombine_plan")

    work("plan_territory")

    first, later = runs[:2], runs[2:]
    assert [run["start"] for run in first] == [None, None]
    assert [run["start"] for run in later] == [
        row.start for row in Territory.objects.filter(family=1).order_by("number")
    ]
    assert {run["seed"] for run in first} == {plan.seed}
    assert {run["seed"] for run in later} == {plan.seed + 1}


def test_at_the_end_the_routes_of_all_territories_can_be_chosen(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watching(monkeypatch)
    monkeypatch.setattr("tests.logistics.solving.other_routes", routes_so_far)
    divided()
    for _ in range(1, NUM_FAMILIES):
        work("plan_territory")
        work("recombine_plan")
    work("plan_territory")
    rows = list(Territory.objects.order_by("family", "number"))
    offered = [route for row in rows for route in (row.solution or {})["routes"]]

    work("recombine_plan")

    last = runs[-1]
    assert len(offered) >= NUM_FAMILIES
    assert last["options"] == ("--iterations", "0")
    assert last["start"]["routes"] == offered
    assert sorted(delivered(last["start"])) == sorted(
        order for row in rows if row.family == NUM_FAMILIES - 1 for order in delivered(row.solution)
    )
    assert all("--others" in run["options"] for run in runs[:-1])


def test_a_family_begins_with_the_last_one_alone(plan: Plan) -> None:
    divided()
    work("plan_territory")
    work("recombine_plan")
    work("plan_territory")
    for row in Territory.objects.filter(family=1):
        part = cut.Territory(number=row.number, problem=io.read_problem(json.dumps(row.problem)))
        nothing = io.start_to_json(part.plan_so_far())
        Territory.objects.filter(pk=row.pk).update(solution=nothing)

    work("recombine_plan")

    assert [delivered(row.start) for row in Territory.objects.filter(family=2)] == [[], []]


def test_families_are_cut_in_different_ways(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    regroup = cut.regroup

    def noted(*arguments: Any, seed: int) -> Any:
        seeds.append(seed)
        return regroup(*arguments, seed=seed)

    monkeypatch.setattr(cut, "regroup", noted)

    work_on()

    assert len(set(seeds)) == len(seeds) == NUM_FAMILIES - 1


def test_a_plan_made_in_territories_can_be_released(plan: Plan) -> None:
    work_on()
    plan.refresh_from_db()

    plans.release(plan, at=at(9, 10))

    plan.refresh_from_db()
    assert plan.state == PlanState.RELEASED


def test_a_small_pool_stays_undivided(plan: Plan, settings: Any) -> None:
    settings.PLAN_TERRITORY_ORDERS = NUM_ORDERS // 2 + 1

    work_on()

    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED
    assert not Territory.objects.exists()


def test_a_pool_with_little_time_stays_undivided(plan: Plan) -> None:
    Plan.objects.update(budget_s=4)

    work_on()

    plan.refresh_from_db()
    assert (plan.state, plan.num_carried) == (PlanState.PROPOSED, NUM_ORDERS)
    assert not Territory.objects.exists()


def test_without_workers_for_territories_a_pool_stays_undivided(plan: Plan, settings: Any) -> None:
    settings.PLAN_WORKERS = 0

    work_on()

    plan.refresh_from_db()
    assert plan.num_carried == NUM_ORDERS
    assert not Territory.objects.exists()


def test_a_region_that_gives_only_one_territory_is_planned_as_a_whole(plan: Plan) -> None:
    Shift.objects.exclude(pk=Shift.objects.earliest("pk").pk).delete()

    work_on()

    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED
    assert not Territory.objects.exists()


def test_what_a_territory_knew_of_an_order_outlasts_an_end_without_time() -> None:
    known = {"order": "one", "reason": "no-capacity", "sentence": "No vehicle has room."}
    other = {"order": "two", "reason": "planning-time-over", "sentence": "Planning ended."}
    left_out = [{**other, "order": "one"}, other]

    plans._keep_reasons(left_out, [known])

    assert left_out == [known, other]


def test_progress_never_falls(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    class Telling(SolverHere):
        def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
            for fraction in (0.0, 0.5, 1.0):
                yield {"type": "progress", "phase": "routes", "fraction": fraction}
                plan.refresh_from_db()
                seen.append(plan.progress.get("fraction", 0.0))
            yield from super().messages(tick_s=tick_s)

    monkeypatch.setattr("logistics.services.plans.SolverProcess", Telling)

    work_on()

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(set(seen)) > NUM_FAMILIES


def test_who_ends_the_last_territory_asks_for_the_next_step(plan: Plan) -> None:
    divided()
    first, last = asked("plan_territory")

    intents.perform(first.pk)
    assert asked("recombine_plan") == []
    plan.refresh_from_db()
    assert plan.progress["fraction"] == pytest.approx((1 - END) / NUM_FAMILIES / 2, abs=1e-3)
    intents.perform(last.pk)

    assert [one.arguments["family"] for one in asked("recombine_plan")] == [0]
    plan.refresh_from_db()
    assert plan.progress["fraction"] == pytest.approx((1 - END) / NUM_FAMILIES, abs=1e-3)


def test_later_territories_begin_with_the_plans_of_the_first(plan: Plan) -> None:
    divided()
    work("plan_territory")
    work("recombine_plan")

    later = Territory.objects.filter(family=1)
    assert later
    carried = [order for row in later for order in delivered(row.start)]
    assert len(carried) == len(set(carried)) == NUM_ORDERS


def test_a_finished_plan_keeps_no_problems_of_territories(plan: Plan) -> None:
    work_on()

    plan.refresh_from_db()
    assert plan.problem is None
    assert not Territory.objects.exclude(problem=None, start=None, solution=None).exists()


def test_the_real_solver_plans_a_territory_and_goes_on_from_a_plan(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided()
    monkeypatch.undo()
    Territory.objects.update(budget_s=1)

    work("plan_territory")
    work("recombine_plan")
    Territory.objects.update(budget_s=1)
    work("plan_territory")

    assert {row.state for row in Territory.objects.all()} == {TerritoryState.DONE}
    assert all("routes" in (row.solution or {}) for row in Territory.objects.all())
