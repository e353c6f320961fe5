"""However a plan under way ends, a pool that closed meanwhile gets a plan of all that it holds."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common import intents
from common.models import Intent, IntentState
from logistics.exceptions import PoolReleased
from logistics.models import Plan, Run
from logistics.services import plans, pools
from logistics.solver import SolverFailed
from logistics.states import PlanState
from tests.logistics.builders import Village, at
from tests.logistics.solving import SolverHere, computed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def while_planning(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen once while a solver is at work."""

    def happens(what: Callable[[], object]) -> None:
        events = [what]

        class Interrupted(SolverHere):
            def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
                if events:
                    events.pop()()
                    yield None
                yield from super().messages(tick_s=tick_s)

        monkeypatch.setattr("logistics.services.plans.SolverProcess", Interrupted)

    return happens


def work_on() -> None:
    """Compute all plans that are asked for."""
    while waiting := Intent.objects.filter(state=IntentState.WAITING, kind="logistics.compute_plan"):
        for one in list(waiting):
            intents.perform(one.pk)


def states(village: Village) -> list[tuple[str, int | None]]:
    """Return the states of a village's plans, and how many orders each carries."""
    return list(village.pool.plans.order_by("finished_at").values_list("state", "num_carried"))


def test_a_plan_under_way_is_stopped_for_one_of_what_came_before_the_cutoff(
    while_planning: Callable[[Callable[[], object]], None],
) -> None:
    village = Village()
    village.order()

    def close() -> None:
        village.order(listed_at=at(8, 59))
        pools.close(village.pool, at=at(9))

    while_planning(close)
    plans.ask(village.pool, budget_s=1, at=at(8, 58))

    work_on()

    assert states(village) == [(PlanState.CANCELLED, None), (PlanState.PROPOSED, 2)]
    assert village.pool.plans.earliest("finished_at").error == "pool-closed"
    plans.release(village.pool.plans.latest("finished_at"), at=at(9, 5))
    assert Run.objects.count() == 1


def test_a_plan_that_ends_after_all_is_followed_by_one_of_what_the_pool_holds(
    while_planning: Callable[[Callable[[], object]], None],
) -> None:
    village = Village()
    village.order()

    def close_unseen() -> None:
        village.order(listed_at=at(8, 59))
        pools.close(village.pool, at=at(9))
        Plan.objects.update(is_cancel_requested=False, error="")

    while_planning(close_unseen)
    plans.ask(village.pool, budget_s=1, at=at(8, 58))

    work_on()

    assert states(village) == [(PlanState.PROPOSED, 1), (PlanState.PROPOSED, 2)]


def test_a_queued_plan_is_of_what_the_pool_holds_when_it_is_computed() -> None:
    village = Village()
    plans.ask(village.pool, budget_s=1, at=at(8, 58))
    village.order(listed_at=at(8, 59))
    pools.close(village.pool, at=at(9))

    work_on()

    assert states(village) == [(PlanState.PROPOSED, 1)]


def test_a_plan_of_a_closed_pool_that_a_dispatcher_stops_stays_stopped(
    while_planning: Callable[[Callable[[], object]], None],
) -> None:
    village = Village()
    village.order()
    pools.close(village.pool, at=at(9))
    while_planning(lambda: plans.cancel(village.pool.plans.get(), at=at(9, 1)))

    work_on()

    assert states(village) == [(PlanState.CANCELLED, None)]


def test_a_plan_that_fails_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SolverFailed(detail="no memory left")

    village = Village()
    village.order()
    pools.close(village.pool, at=at(8, 30))
    monkeypatch.setattr("logistics.services.plans.SolverProcess", fails)

    work_on()

    assert states(village) == [(PlanState.FAILED, None)]


def test_a_plan_that_the_check_refuses_fails_with_the_rule_that_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refused(SolverHere):
        def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
            yield {"type": "result", "solution": None, "violations": ["route of van: ends after the shift"]}

    village = Village()
    village.order()
    monkeypatch.setattr("logistics.services.plans.SolverProcess", Refused)

    plan = computed(village)

    assert plan.state == PlanState.FAILED
    assert "ends after the shift" in plan.error


def test_a_pool_on_the_road_is_not_planned_again_and_no_second_plan_is_released() -> None:
    village = Village()
    village.order()
    another = computed(village)
    plans.ask(village.pool, budget_s=1, at=at(9, 2))
    work_on()
    plans.release(village.pool.plans.latest("finished_at"), at=at(9, 10))
    village.pool.refresh_from_db()

    with pytest.raises(PoolReleased):
        plans.ask(village.pool, budget_s=1, at=at(9, 11))
    with pytest.raises(PoolReleased):
        plans.release(another, at=at(9, 11))

    assert Run.objects.count() == 1


def test_the_wish_to_stop_a_plan_that_has_ended_is_refused_even_if_nobody_saw_it_end() -> None:
    village = Village()
    plan = computed(village)
    plan.state = PlanState.RUNNING

    with pytest.raises(Exception, match="proposed"):
        plans.cancel(plan, at=at(9, 5))

    plan.refresh_from_db()
    assert not plan.is_cancel_requested
