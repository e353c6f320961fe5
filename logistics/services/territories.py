"""Large regions: territories are rows that any worker plans, and whoever ends the last one asks for more."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max

from common import intents
from common.clock import now
from common.models import Intent, IntentState
from logistics import planning, travel
from logistics.exceptions import TravelUnavailable
from logistics.models import Plan, Territory
from logistics.services import plans
from logistics.solver import SolverFailed
from logistics.states import UNPLANNED, PlanState, TerritoryState
from optimizer import io
from optimizer.problem import Problem
from optimizer.regions import territories
from optimizer.regions.parts import NUM_FAMILIES, NUM_OTHERS, end_s, territory_s
from optimizer.solution import Solution
from optimizer.travel.model import with_matrices


def divide(claim: intents.Claim, *, plan_id: str) -> None:
    """Divide the region of a plan into territories, each to be planned by whoever takes it."""
    plan = _in_work(claim, plan_id)
    if plan is None:
        return
    problem = planning.problem_of(plan.pool)
    parts = territories.split(with_matrices(problem), plans.num_territories(problem, plan.budget_s))
    if len(parts) == 1:
        plans.conclude(claim, plan, problem, time_limit_s=plan.budget_s)
        return
    document = io.problem_to_json(problem)
    with transaction.atomic():
        claim.finish()
        Plan.objects.filter(pk=plan.pk).update(problem=document)
        _write(plan, parts, family=0)


def plan_one(claim: intents.Claim, *, territory_id: int) -> None:
    """Plan a territory, unless that is done or no longer wanted; if the solver fails, its start stands."""
    row = Territory.objects.get(pk=territory_id)
    plan = _in_work(claim, row.plan_id)
    if plan is None:
        return
    if row.state not in UNPLANNED or row.problem is None:
        claim.finish()
        return
    row.advance(TerritoryState.RUNNING, started_at=now())
    try:
        result = plans.solved(
            claim,
            plan,
            _measured(claim, row.problem),
            time_limit_s=row.budget_s,
            seed=row.seed,
            start=row.start,
            options=("--others", str(NUM_OTHERS)),
            note=_is_wanted,
        )
    except (SolverFailed, TravelUnavailable) as error:
        _end(claim, row, TerritoryState.FAILED, error=str(error)[:300])
        return
    if result is None:
        _stop(claim, plan)
        return
    solution = {"solution": result["solution"], "routes": result.get("routes", [])}
    _end(claim, row, TerritoryState.DONE, solution=solution)


def recombine(claim: intents.Claim, *, plan_id: str, family: int) -> None:
    """Make one plan of those of a family; then heal its borders by other territories, or conclude."""
    plan = _in_work(claim, plan_id)
    if plan is None:
        return
    problem = io.read_problem(json.dumps(plan.problem))
    rows = plan.territories.order_by("family", "number")
    whole = territories.united(problem, [_plan_of(row) for row in rows if row.family == family])
    if family + 1 < NUM_FAMILIES:
        parts = territories.regroup(
            with_matrices(problem),
            whole,
            plans.num_territories(problem, plan.budget_s),
            seed=plan.seed + family + 1,
        )
        with transaction.atomic():
            claim.finish()
            _write(plan, parts, family=family + 1)
        return
    routes = [route for row in rows if row.solution for route in io.read_routes(_result(row.solution))]
    plans.conclude(
        claim,
        plan,
        problem,
        time_limit_s=end_s(plan.budget_s, len(problem.orders)),
        start=io.start_to_json(whole, routes),
        options=("--iterations", "0"),
        note=_note_end,
    )
    plans.forget(plan)


def skip_abandoned(*, at: datetime) -> None:
    """Go on without territories whose planning was given up after too many attempts."""
    given_up = Intent.objects.filter(kind="logistics.plan_territory", state=IntentState.DEAD)
    numbers = given_up.values_list("arguments__territory_id", flat=True)
    for row in Territory.objects.filter(pk__in=list(numbers), state__in=UNPLANNED):
        with transaction.atomic():
            plan = Plan.objects.select_for_update(of=("self",)).get(pk=row.plan_id)
            row.advance(TerritoryState.FAILED, error="solver-gave-up", finished_at=at)
            _go_on(plan, row.family)


def _in_work(claim: intents.Claim, plan_id: UUID | str) -> Plan | None:
    """Return a plan that is being computed, or finish what nobody needs any more."""
    plan = Plan.objects.select_related("pool__region").defer("problem").get(pk=plan_id)
    if plan.state != PlanState.RUNNING:
        claim.finish()
        return None
    if plan.is_cancel_requested:
        _stop(claim, plan)
        return None
    return plan


def _stop(claim: intents.Claim, plan: Plan) -> None:
    plans.cancelled(claim, plan)
    plans.forget(plan)


def _write(plan: Plan, parts: Sequence[territories.Territory], *, family: int) -> None:
    """Write a family of territories, and ask for their plans."""
    num_orders = sum(len(part.orders) for part in parts)
    left_s = plan.budget_s - end_s(plan.budget_s, num_orders) - _taken_s(plan, range(family))
    rows = Territory.objects.bulk_create(
        Territory(
            plan=plan,
            family=family,
            number=part.number,
            budget_s=territory_s(family, left_s, len(parts), settings.PLAN_WORKERS),
            seed=plan.seed + family,
            # Who plans it measures travel once more: that is quicker than storing and reading tables.
            problem=io.problem_to_json(replace(part.problem, matrices=())),
            start=None if part.start is None else io.start_to_json(part.start),
        )
        for part in parts
    )
    intents.ask_all("logistics.plan_territory", {str(row.pk): {"territory_id": row.pk} for row in rows})


def _end(claim: intents.Claim, row: Territory, to: TerritoryState, **outcome: Any) -> None:
    with transaction.atomic():
        claim.finish()
        # Of two that end at the same moment, the second sees the first.
        plan = Plan.objects.select_for_update(of=("self",)).get(pk=row.plan_id)
        row.advance(to, finished_at=now(), **outcome)
        _go_on(plan, row.family)


def _go_on(plan: Plan, family: int) -> None:
    """Say how many territories have a plan, and ask for the next step if all have."""
    rows = plan.territories.filter(family=family)
    num_left, num_all = rows.filter(state__in=UNPLANNED).count(), rows.count()
    part_s = (1 - num_left / num_all) * _taken_s(plan, [family])
    fraction = (_taken_s(plan, range(family)) + part_s) / plan.budget_s
    progress = {"phase": "territories", "fraction": round(fraction, 3)}
    Plan.objects.filter(pk=plan.pk, state=PlanState.RUNNING).update(progress=progress)
    if num_left == 0:
        intents.ask(
            "logistics.recombine_plan", key=f"{plan.pk}:{family}", plan_id=str(plan.pk), family=family
        )


def _taken_s(plan: Plan, families: Iterable[int]) -> float:
    """Return how long workers take for the territories of some families."""
    rows = plan.territories.filter(family__in=list(families)).values("family")
    counted = rows.annotate(number=Count("pk"), seconds=Max("budget_s")).values_list("number", "seconds")
    return float(sum(seconds * ceil(number / settings.PLAN_WORKERS) for number, seconds in counted))


def _note_end(plan: Plan, progress: Mapping[str, Any] | None) -> bool:
    """Store what the choice at the end says, as the last part of the whole."""
    if progress is None:
        return _is_wanted(plan, None)
    share = 1 - end_s(plan.budget_s, plan.pool.orders.count()) / plan.budget_s
    return plans.note_progress(plan, {**progress, "fraction": share + (1 - share) * progress["fraction"]})


def _measured(claim: intents.Claim, document: dict[str, Any]) -> Problem:
    problem, _ = travel.measured(io.read_problem(json.dumps(document)), claim.extend)
    return problem


def _is_wanted(plan: Plan, progress: Mapping[str, Any] | None) -> bool:
    """Tell whether a plan may go on; what one territory has reached says nothing of the region."""
    return Plan.objects.filter(pk=plan.pk, state=PlanState.RUNNING, is_cancel_requested=False).exists()


def _plan_of(row: Territory) -> Solution:
    """Return what a territory does now: its plan, else what it began with, else nothing."""
    document = row.solution or row.start
    if document is not None:
        return io.read_solution(_result(document))
    problem = io.read_problem(json.dumps(row.problem))
    return territories.Territory(number=row.number, problem=problem).plan_so_far()


def _result(document: Mapping[str, Any]) -> str:
    return json.dumps({"format": io.RESULT_FORMAT, "version": io.VERSION, **document})
