"""Plans: asked for, computed in a process of their own, released as runs."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from common import events, intents
from common.clock import now
from common.models import Intent, IntentState
from logistics import explanations, planning, travel
from logistics.exceptions import (
    PlanInComputation,
    PlanInfeasible,
    PlanOutdated,
    PoolReleased,
    PoolStillOpen,
    TravelUnavailable,
)
from logistics.models import Plan, Pool
from logistics.services import releases
from logistics.solver import SolverFailed, SolverProcess
from logistics.states import IN_COMPUTATION, PlanState, PoolState
from optimizer import io
from optimizer.feasibility import overfull, violations
from optimizer.problem import Problem
from optimizer.regions.parts import number_of_parts
from optimizer.solution import Reason, Solution
from optimizer.travel.model import TravelReport

#: How long the solver may take beyond its budget before it counts as hanging.
OVERRUN_S = 60.0
#: How often at least the wish to cancel is read.
TICK_S = 0.5
LEASE_RENEWAL_S = 10.0
#: Without any one of these there is no plan; of territories some may be missing.
STEPS = ("logistics.compute_plan", "logistics.divide_plan", "logistics.recombine_plan")
#: A bound is sought for so many orders at most, in at least so many seconds: half of them go into the proof.
PROVABLE_ORDERS, PROVABLE_S = 60, 5.0
#: Why a plan was stopped whose pool closed meanwhile.
POOL_CLOSED = "pool-closed"
NOT_PROVABLE = "no bound computed: too large to prove anything within the time"


@transaction.atomic
def ask(pool: Pool, *, budget_s: float, seed: int = 0, at: datetime) -> Plan:
    """
    Ask for a plan; it is computed in the background.

    Raises
    ------
    PlanInComputation, PoolReleased
        If the pool has a plan under way, or is on the road.
    """
    if pool.state in (PoolState.RELEASED, PoolState.DONE):
        raise PoolReleased
    try:
        with transaction.atomic():
            plan = Plan.objects.create(pool=pool, budget_s=budget_s, seed=seed, created_at=at)
    except IntegrityError as error:
        raise PlanInComputation from error
    intents.ask("logistics.compute_plan", key=str(plan.pk), plan_id=str(plan.pk))
    return plan


def ask_automatically(pool: Pool, *, at: datetime) -> None:
    """
    Ask for a plan of a pool that has closed, with the installation's budget.

    A plan under way is of what the pool held before: it is stopped, and whoever ends it asks anew.
    """
    with suppress(PlanInComputation):
        ask(pool, budget_s=settings.PLAN_BUDGET_S, at=at)
        return
    pool.plans.filter(state=PlanState.RUNNING).update(is_cancel_requested=True, error=POOL_CLOSED)


def cancel(plan: Plan, *, at: datetime) -> None:
    """
    Stop a computation; the worker notices within a second.

    Raises
    ------
    InvalidTransition
        If the plan is not being computed.
    """
    running = Plan.objects.filter(pk=plan.pk, state=PlanState.RUNNING)
    if not running.update(is_cancel_requested=True):
        plan.advance(PlanState.CANCELLED, finished_at=at)


def compute(claim: intents.Claim, *, plan_id: str) -> None:
    """Compute a plan and store it, unless it was cancelled or someone else took the claim."""
    plan = Plan.objects.select_related("pool__region").get(pk=plan_id)
    if plan.state not in IN_COMPUTATION:
        claim.finish()
        return
    problem = planning.problem_of(plan.pool)
    plan.advance(PlanState.RUNNING)
    if num_territories(problem, plan.budget_s) > 1:
        with transaction.atomic():
            claim.finish()
            intents.ask("logistics.divide_plan", key=str(plan.pk), plan_id=str(plan.pk))
        return
    conclude(claim, plan, problem, time_limit_s=plan.budget_s, bound=_is_provable(plan, problem))


def num_territories(problem: Problem, budget_s: float) -> int:
    """Return into how many territories a problem is divided."""
    workers, size = settings.PLAN_WORKERS, settings.PLAN_TERRITORY_ORDERS
    if not workers or not size:
        return 1
    return number_of_parts(len(problem.orders), budget_s, workers=workers, size=size)


def conclude(
    claim: intents.Claim, plan: Plan, problem: Problem, *, start: dict[str, Any] | None = None, **limits: Any
) -> None:
    """Let the solver plan within its limits, check what it found, and store it with what was planned."""
    digest = planning.digest(problem)
    try:
        problem, reports = travel.measured(problem, claim.extend)
        result = solved(claim, plan, problem, seed=plan.seed, start=start, **limits)
    except (SolverFailed, TravelUnavailable) as error:
        fail(claim, plan, error=str(error))
        return
    if result is None:
        cancelled(claim, plan)
        return
    if start is not None:
        _keep_reasons(result["solution"]["left_out"], start["solution"]["left_out"])
    solution = io.read_solution(json.dumps(result))
    broken = violations(problem, solution)
    if broken:
        fail(claim, plan, error=f"plan-infeasible: {broken[0]}")
        return
    _store(
        claim,
        plan,
        PlanState.PROPOSED,
        error="",
        problem_digest=digest,
        travel=[_in_short(report) for report in reports],
        solution=explanations.in_words(result["solution"], solution, plan.pool),
        cost_cents=solution.cost_cents,
        lower_bound_cents=result["bound"],
        bound_reason=(result["bound_reason"] if _is_provable(plan, problem) else NOT_PROVABLE)[:300],
        relaxed=result["relaxed"],
        num_carried=solution.num_carried,
        num_left_out=len(solution.left_out),
    )


def _in_short(report: TravelReport) -> dict[str, str]:
    return {
        "profile": report.profile,
        "model": report.model,
        "attribution": report.attribution,
        "missing": report.sentence,
    }


def _keep_reasons(left_out: list[dict[str, Any]], known: Sequence[dict[str, Any]]) -> None:
    """Say of orders for which there was no time at the end what was known of them before."""
    before = {row["order"]: row for row in known}
    for number, row in enumerate(left_out):
        if row["reason"] == Reason.PLANNING_TIME_OVER:
            left_out[number] = before.get(row["order"], row)


def release(plan: Plan, *, at: datetime) -> None:
    """
    Turn a proposed plan into runs, claim compartments, and tell residents and shops; again changes nothing.

    Raises
    ------
    PoolStillOpen, PoolReleased, PlanOutdated, PlanInfeasible, InvalidTransition
        If orders may still come, another plan was released, this one is not what the pool now holds, or
        breaks a rule by now.
    """
    with transaction.atomic():
        pool = Pool.objects.select_for_update(of=("self",)).select_related("region").get(pk=plan.pool_id)
        plan.refresh_from_db(fields=["state", "solution", "problem_digest"])
        if plan.state == PlanState.RELEASED:
            return
        if pool.state == PoolState.OPEN:
            raise PoolStillOpen
        if pool.state != PoolState.CLOSED:
            raise PoolReleased
        solution = _still_valid(plan, pool) if plan.state == PlanState.PROPOSED else None
        plan.advance(PlanState.RELEASED)
        assert solution is not None  # noqa: S101 - only a proposed plan can be released
        pool.advance(PoolState.RELEASED)
        releases.write_runs(plan, pool, solution, at=at)
        events.record("plan_released", scope=pool.region.slug, at=at, plan=str(plan.pk))


def fail_abandoned(*, at: datetime) -> None:
    """Mark plans as failed whose computation was given up after too many attempts."""
    given_up = Intent.objects.filter(kind__in=STEPS, state=IntentState.DEAD)
    numbers = given_up.values_list("arguments__plan_id", flat=True)
    abandoned = Plan.objects.filter(pk__in=list(numbers), state__in=IN_COMPUTATION)
    for plan_id in list(abandoned.values_list("pk", flat=True)):
        with transaction.atomic():
            plan = Plan.objects.select_for_update(of=("self",)).defer("problem").get(pk=plan_id)
            if plan.state in IN_COMPUTATION:
                plan.advance(PlanState.FAILED, error="solver-gave-up", finished_at=at)
                forget(plan)


def forget(plan: Plan) -> None:
    """Keep of the territories of a plan no more than how long they took and what went wrong."""
    Plan.objects.filter(pk=plan.pk).update(problem=None)
    plan.territories.update(problem=None, start=None, solution=None)


def _still_valid(plan: Plan, pool: Pool) -> Solution:
    if _is_outdated(plan, pool):
        raise PlanOutdated
    problem = planning.problem_of(pool)
    solution = io.read_solution(
        json.dumps({"format": io.RESULT_FORMAT, "version": 1, "solution": plan.solution})
    )
    # All else was checked when it was planned, and is as it was then.
    broken = overfull(problem, solution)
    if broken:
        raise PlanInfeasible(count=len(broken), first=broken[0])
    return solution


def _is_provable(plan: Plan, problem: Problem) -> bool:
    return len(problem.orders) <= PROVABLE_ORDERS and plan.budget_s >= PROVABLE_S


def solved(
    claim: intents.Claim,
    plan: Plan,
    problem: Problem,
    *,
    time_limit_s: float,
    note: Callable[[Plan, Mapping[str, Any] | None], bool] | None = None,
    **more: Any,
) -> dict[str, Any] | None:
    """
    Return the solver's result, or ``None`` if the plan was cancelled meanwhile.

    Raises
    ------
    SolverFailed
        If it ends without a result, or does not end.
    """
    started_s = renewed_s = time.monotonic()
    with SolverProcess(io.problem_to_json(problem), time_limit_s=time_limit_s, **more) as solver:
        for message in solver.messages(tick_s=TICK_S):
            if message is not None and message["type"] == "result":
                if message["solution"] is None:
                    raise SolverFailed(detail=message["violations"][0])
                return message
            if message is not None and message["type"] == "error":
                raise SolverFailed(detail=message["detail"])
            moment_s = time.monotonic()
            if moment_s - started_s > time_limit_s + OVERRUN_S:
                raise SolverFailed(detail="it hangs")
            if moment_s - renewed_s > LEASE_RENEWAL_S:
                claim.extend()
                renewed_s = moment_s
            if not (note or note_progress)(plan, message):
                return None
    raise SolverFailed(detail="no result")


def fail(claim: intents.Claim, plan: Plan, *, error: str) -> None:
    """Give a plan up, with the reason."""
    _store(claim, plan, PlanState.FAILED, error=error[:300])


def cancelled(claim: intents.Claim, plan: Plan) -> None:
    """Note that a plan is not wanted any more."""
    _store(claim, plan, PlanState.CANCELLED)


def note_progress(plan: Plan, progress: Mapping[str, Any] | None) -> bool:
    """Store what the solver said, and tell whether it may go on."""
    wanted = Plan.objects.filter(pk=plan.pk, state=PlanState.RUNNING, is_cancel_requested=False)
    return bool(wanted.update(progress=progress)) if progress is not None else wanted.exists()


def _store(claim: intents.Claim, plan: Plan, to: PlanState, **outcome: Any) -> None:
    with transaction.atomic():
        # Either the pool closes after this and asks for a plan itself, or it has closed and is seen so.
        pool = Pool.objects.select_for_update(of=("self",)).select_related("region").get(pk=plan.pool_id)
        claim.finish()
        is_stopped = Plan.objects.filter(pk=plan.pk, error=POOL_CLOSED).exists()
        if plan.advance(to, finished_at=now(), **outcome):
            events.record(f"plan_{to.value}", scope=pool.region.slug, at=now(), plan=str(plan.pk))
            is_of_before = _is_outdated(plan, pool) if to == PlanState.PROPOSED else is_stopped
            if pool.state == PoolState.CLOSED and is_of_before:
                ask_automatically(pool, at=now())


def _is_outdated(plan: Plan, pool: Pool) -> bool:
    """Tell whether a plan is of something else than its pool now holds."""
    return plan.problem_digest != planning.digest(planning.problem_of(pool))
