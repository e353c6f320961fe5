"""Territories whose workers fail, die, hear twice or end at once: nothing is lost, nothing happens twice."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from common import intents
from common.clock import real_now
from common.models import Event, Intent, IntentState
from logistics.models import Plan, Territory
from logistics.services import plans, territories
from logistics.solver import SolverFailed
from logistics.states import PlanState, TerritoryState
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


def breaking(monkeypatch: pytest.MonkeyPatch, *, only: Sequence[int]) -> None:
    """Let the solver die in some of its runs, counted from 0."""
    runs: list[int] = []

    class Breaking(SolverHere):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            runs.append(len(runs))
            if runs[-1] in only:
                raise SolverFailed(detail="no memory left")
            super().__init__(*arguments, **more)

    monkeypatch.setattr("logistics.services.plans.SolverProcess", Breaking)


def test_where_the_solver_dies_the_plan_so_far_stands(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    divided()
    work("plan_territory")
    work("recombine_plan")
    breaking(monkeypatch, only=(0, 1))
    work("plan_territory")

    work("recombine_plan")

    carried = [order for row in Territory.objects.filter(family=2) for order in delivered(row.start)]
    assert len(carried) == len(set(carried)) == NUM_ORDERS


def test_messages_that_come_twice_change_nothing(plan: Plan) -> None:
    work_on()
    plan.refresh_from_db()
    before = plan.cost_cents, Territory.objects.count(), Intent.objects.count()

    for one in Intent.objects.filter(kind__contains="plan"):
        intents.perform(one.pk)

    plan.refresh_from_db()
    assert (plan.cost_cents, Territory.objects.count(), Intent.objects.count()) == before


def test_a_territory_whose_worker_died_is_planned_by_another(plan: Plan) -> None:
    row, _ = divided()
    row.advance(TerritoryState.RUNNING, started_at=at(9))
    long_ago = real_now() - timedelta(minutes=5)
    Intent.objects.filter(arguments__territory_id=row.pk).update(
        state=IntentState.CLAIMED, lease_until=long_ago, attempts=1
    )

    intents.perform(Intent.objects.get(arguments__territory_id=row.pk).pk)

    row.refresh_from_db()
    assert row.state == TerritoryState.DONE


@pytest.mark.parametrize("only", [(0,), (0, 1), (2,)])
def test_where_the_solver_dies_the_orders_of_a_territory_are_not_lost(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, only: Sequence[int]
) -> None:
    breaking(monkeypatch, only=only)

    work_on()

    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED
    assert (plan.num_carried or 0) + (plan.num_left_out or 0) == NUM_ORDERS
    failed = Territory.objects.filter(state=TerritoryState.FAILED)
    assert [row.error for row in failed] == [str(SolverFailed(detail="no memory left"))] * len(only)


def test_the_region_goes_on_without_a_territory_that_was_given_up(plan: Plan) -> None:
    row, _ = divided()
    Intent.objects.filter(arguments__territory_id=row.pk).update(state=IntentState.DEAD)
    work("plan_territory")
    assert asked("recombine_plan") == []

    territories.skip_abandoned(at=at(9, 5))
    territories.skip_abandoned(at=at(9, 6))
    assert len(asked("recombine_plan")) == 1
    work_on()

    row.refresh_from_db()
    plan.refresh_from_db()
    assert (row.state, row.error) == (TerritoryState.FAILED, "solver-gave-up")
    assert plan.state == PlanState.PROPOSED
    assert (plan.num_carried or 0) + (plan.num_left_out or 0) == NUM_ORDERS


def test_a_territory_that_was_given_up_is_not_planned_later(plan: Plan) -> None:
    row, _ = divided()
    given_up = Intent.objects.filter(arguments__territory_id=row.pk)
    given_up.update(state=IntentState.DEAD)
    territories.skip_abandoned(at=at(9, 5))
    given_up.update(state=IntentState.WAITING)

    work("plan_territory")

    row.refresh_from_db()
    assert row.state == TerritoryState.FAILED
    assert given_up.get().state == IntentState.DONE


def test_a_plan_whose_recombination_was_given_up_is_failed(plan: Plan) -> None:
    divided()
    work("plan_territory")
    Intent.objects.filter(kind="logistics.recombine_plan").update(state=IntentState.DEAD)

    plans.fail_abandoned(at=at(9, 5))

    plan.refresh_from_db()
    assert (plan.state, plan.error, plan.problem) == (PlanState.FAILED, "solver-gave-up", None)
    assert not Territory.objects.exclude(problem=None, start=None, solution=None).exists()


def test_a_cancelled_plan_stops_in_all_territories(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    divided()
    monkeypatch.undo()
    plan.refresh_from_db()
    plans.cancel(plan, at=at(9, 1))

    work_on()

    plan.refresh_from_db()
    assert (plan.state, plan.problem) == (PlanState.CANCELLED, None)
    assert Event.objects.filter(kind="plan_cancelled").count() == 1
    assert not Territory.objects.filter(state=TerritoryState.DONE).exists()
    assert {one.state for one in asked("plan_territory")} == {IntentState.DONE}


@pytest.mark.postgres
def test_of_workers_that_end_at_once_one_asks_for_the_next_step(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided()
    numbers = [one.pk for one in asked("plan_territory")]
    together = threading.Barrier(len(numbers))
    go_on = territories._go_on

    def go_on_together(*arguments: Any) -> None:
        # Both have written their row by now, unless one waits for the other as it should.
        with suppress(threading.BrokenBarrierError):
            together.wait(timeout=1)
        go_on(*arguments)

    def end(number: int) -> None:
        try:
            intents.perform(number)
        finally:
            connection.close()

    monkeypatch.setattr(territories, "_go_on", go_on_together)
    workers = [threading.Thread(target=end, args=(number,)) for number in numbers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert {row.state for row in Territory.objects.all()} == {TerritoryState.DONE}
    assert len(asked("recombine_plan")) == 1
