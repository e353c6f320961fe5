"""Plans: asked for, computed in a process of their own, released as runs."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from common import events, intents
from common.clock import now
from common.models import Intent, IntentState
from logistics import explanations, planning
from logistics.exceptions import PlanInComputation, PlanInfeasible, PlanOutdated, PoolStillOpen
from logistics.models import Plan, Pool
from logistics.services import releases
from logistics.solver import SolverFailed, SolverProcess
from logistics.states import IN_COMPUTATION, PlanState, PoolState
from optimizer import io
from optimizer.feasibility import violations
from optimizer.problem import Problem
from optimizer.regions.territories import how_many
from optimizer.solution import Solution

#: How long the solver may take beyond its budget before it counts as hanging.
OVERRUN_S = 60.0
#: How often progress is stored and the wish to cancel is read.
TICK_S = 0.5
LEASE_RENEWAL_S = 10.0
#: Without any one of these there is no plan; of territories some may be missing.
STEPS = ("logistics.compute_plan", "logistics.divide_plan", "logistics.recombine_plan")
#: A bound is sought for so many orders at most, in at least so many seconds: half of them go into the proof.
PROVABLE_ORDERS, PROVABLE_S = 60, 5.0
NOT_PROVABLE = "no bound computed: too large to prove anything within the time"


@transaction.atomic
def ask(pool: Pool, *, budget_s: float, seed: int = 0, at: datetime) -> Plan:
    """
    Ask for a plan; it is computed in the background.

    Raises
    ------
    PlanInComputation
        If the pool has a plan under way.
    """
    try:
        with transaction.atomic():
            plan = Plan.objects.create(pool=pool, budget_s=budget_s, seed=seed, created_at=at)
    except IntegrityError as error:
        raise PlanInComputation from error
    intents.ask("logistics.compute_plan", key=str(plan.pk), plan_id=str(plan.pk))
    return plan


def ask_automatically(pool: Pool, *, at: datetime) -> None:
    """Ask for a plan with the installation's budget, unless one is under way."""
    if not pool.plans.filter(state__in=IN_COMPUTATION).exists():
        ask(pool, budget_s=settings.PLAN_BUDGET_S, at=at)


def cancel(plan: Plan, *, at: datetime) -> None:
    """
    Stop a computation; the worker notices within a second.

    Raises
    ------
    InvalidTransition
        If the plan is not being computed.
    """
    if plan.state == PlanState.RUNNING:
        Plan.objects.filter(pk=plan.pk).update(is_cancel_requested=True)
    else:
        plan.advance(PlanState.CANCELLED, finished_at=at)


def compute(claim: intents.Claim, *, plan_id: str) -> None:
    """Compute a plan and store it, unless it was cancelled or someone else took the claim."""
    plan = Plan.objects.select_related("pool__region").get(pk=plan_id)
    if plan.state not in IN_COMPUTATION:
        claim.finish()
        return
    problem = planning.problem_of(plan.pool)
    plan.advance(PlanState.RUNNING)
    Plan.objects.filter(pk=plan.pk).update(problem_digest=planning.digest(problem))
    if num_territories(problem) > 1:
        with transaction.atomic():
            claim.finish()
            intents.ask("logistics.divide_plan", key=str(plan.pk), plan_id=str(plan.pk))
        return
    conclude(claim, plan, problem, time_limit_s=plan.budget_s, bound=_is_provable(plan, problem))


def num_territories(problem: Problem) -> int:
    """Return into how many territories a problem is divided."""
    return how_many(len(problem.orders), settings.PLAN_WORKERS, settings.PLAN_TERRITORY_ORDERS)


def conclude(claim: intents.Claim, plan: Plan, problem: Problem, **limits: Any) -> None:
    """Let the solver plan within its limits, check what it found, and store it."""
    try:
        result = solved(claim, plan, io.problem_to_json(problem), seed=plan.seed, **limits)
    except SolverFailed as error:
        fail(claim, plan, error=str(error))
        return
    if result is None:
        cancelled(claim, plan)
        return
    solution = io.read_solution(json.dumps(result))
    broken = violations(problem, solution)
    if broken:
        fail(claim, plan, error=f"plan-infeasible: {broken[0]}")
        return
    _store(
        claim,
        plan,
        PlanState.PROPOSED,
        solution=explanations.in_words(result["solution"], solution, plan.pool),
        cost_cents=solution.cost_cents,
        lower_bound_cents=result["bound"],
        bound_reason=(result["bound_reason"] if _is_provable(plan, problem) else NOT_PROVABLE)[:300],
        relaxed=result["relaxed"],
        num_carried=solution.num_carried,
        num_left_out=len(solution.left_out),
    )


def release(plan: Plan, *, at: datetime) -> None:
    """
    Turn a proposed plan into runs, claim compartments, and tell residents and shops; again changes nothing.

    Raises
    ------
    PoolStillOpen, PlanOutdated, PlanInfeasible, InvalidTransition
        If orders may still come, the plan is not what the pool now holds, or breaks a rule by now.
    """
    with transaction.atomic():
        pool = Pool.objects.select_for_update(of=("self",)).select_related("region").get(pk=plan.pool_id)
        plan.refresh_from_db(fields=["state", "solution", "problem_digest"])
        if plan.state == PlanState.RELEASED:
            return
        if pool.state == PoolState.OPEN:
            raise PoolStillOpen
        solution = _still_valid(plan, pool) if plan.state == PlanState.PROPOSED else None
        plan.advance(PlanState.RELEASED)
        assert solution is not None  # noqa: S101 - only a proposed plan can be released
        pool.advance(PoolState.RELEASED)
        releases.write_runs(plan, pool, solution, at=at)
        events.record("plan_released", scope=pool.region.slug, at=at, plan=str(plan.pk))


def fail_abandoned(*, at: datetime) -> None:
    """Mark plans as failed whose computation was given up after too many attempts."""
    given_up = Intent.objects.filter(kind__in=STEPS, state=IntentState.DEAD)
    for plan_id in given_up.values_list("arguments__plan_id", flat=True):
        Plan.objects.filter(pk=plan_id, state__in=IN_COMPUTATION).update(
            state=PlanState.FAILED, error="solver-gave-up", finished_at=at
        )


def _still_valid(plan: Plan, pool: Pool) -> Solution:
    problem = planning.problem_of(pool)
    if planning.digest(problem) != plan.problem_digest:
        raise PlanOutdated
    solution = io.read_solution(
        json.dumps({"format": io.RESULT_FORMAT, "version": 1, "solution": plan.solution})
    )
    broken = violations(problem, solution)
    if broken:
        raise PlanInfeasible(count=len(broken), first=broken[0])
    return solution


def _is_provable(plan: Plan, problem: Problem) -> bool:
    return len(problem.orders) <= PROVABLE_ORDERS and plan.budget_s >= PROVABLE_S


def solved(
    claim: intents.Claim,
    plan: Plan,
    problem: dict[str, Any],
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
    with SolverProcess(problem, time_limit_s=time_limit_s, **more) as solver:
        for message in solver.messages(tick_s=TICK_S):
            if message is not None and message["type"] == "result":
                return message
            if message is not None and message["type"] == "error":
                raise SolverFailed(detail=message["detail"])
            moment_s = time.monotonic()
            if moment_s - started_s > time_limit_s + OVERRUN_S:
                raise SolverFailed(detail="it hangs")
            if moment_s - renewed_s > LEASE_RENEWAL_S:
                claim.extend()
                renewed_s = moment_s
            if not (note or _note_progress)(plan, message):
                return None
    raise SolverFailed(detail="no result")


def fail(claim: intents.Claim, plan: Plan, *, error: str) -> None:
    """Give a plan up, with the reason."""
    _store(claim, plan, PlanState.FAILED, error=error[:300])


def cancelled(claim: intents.Claim, plan: Plan) -> None:
    """Note that a plan is not wanted any more."""
    _store(claim, plan, PlanState.CANCELLED)


def _note_progress(plan: Plan, progress: Mapping[str, Any] | None) -> bool:
    """Store what the solver said, and tell whether it may go on."""
    wanted = Plan.objects.filter(pk=plan.pk, state=PlanState.RUNNING, is_cancel_requested=False)
    return bool(wanted.update(progress=progress)) if progress is not None else wanted.exists()


def _store(claim: intents.Claim, plan: Plan, to: PlanState, **outcome: Any) -> None:
    with transaction.atomic():
        claim.finish()
        if plan.advance(to, finished_at=now(), **outcome):
            events.record(f"plan_{to.value}", scope=plan.pool.region.slug, at=now(), plan=str(plan.pk))
