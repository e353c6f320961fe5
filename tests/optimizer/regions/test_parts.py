"""A region planned in parts: the same by one worker or two, and whole whatever happens to a worker."""

import logging
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.problem import Problem
from optimizer.regions.parts import Answer, Task, plan_territory, solve_in_parts, territory_s
from optimizer.regions.territories import regroup, split
from optimizer.result import Phase, Progress, Result
from optimizer.solution import Reason
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import solved


class Here(Executor):
    """Works at once, in this thread; what comes ``breaks`` refuses to work."""

    def __init__(self, breaks: Sequence[int] = ()) -> None:
        self.tasks: list[Task] = []
        self._breaks = breaks

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        """Work, and return what came of it."""
        future: Future[Any] = Future()
        self.tasks.append(arguments[0])
        if len(self.tasks) - 1 in self._breaks:
            future.set_exception(MemoryError("the worker is gone"))
        else:
            future.set_result(work(*arguments, **more))
        return future


@pytest.fixture(scope="module")
def region() -> Problem:
    """A day of 45 orders with its travel matrices."""
    size = RegionSize(num_orders=45, num_shops=9, num_supply_points=9, num_bikes=6, num_vans=3)
    return with_matrices(generate(5, size))


def copy(thing: Any) -> Any:
    """Return what another process would get."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def in_parts(problem: Problem, executor: Executor, **more: Any) -> Result:
    settings = {"workers": 1, "time_limit_s": 60.0, "iterations": 2, "size": 15, **more}
    return solve_in_parts(problem, executor=executor, **settings)


def test_a_region_in_parts_gets_one_plan(region: Problem) -> None:
    executor = Here()

    result = in_parts(region, executor)

    assert len(executor.tasks) >= 3 * 2
    assert result.solution is not None
    assert violations(region, result.solution) == []
    assert result.iterations >= len(executor.tasks)


def test_a_territory_whose_time_is_over_offers_other_routes_too(region: Problem) -> None:
    first = plan_territory(Task(territory=split(region, 1)[0], time_limit_s=60.0, seed=1, iterations=2))
    (again,) = regroup(region, first.solution, 1, seed=1)
    seconds = count(0.0, 0.06)

    answer = plan_territory(Task(territory=again, time_limit_s=100.0, seed=1, clock=lambda: next(seconds)))

    assert answer.iterations > 0
    assert answer.others


def test_one_worker_and_two_find_the_same(region: Problem) -> None:
    with ThreadPoolExecutor(2) as two:
        results = [in_parts(region, Here(), size=22), in_parts(region, two, workers=2, size=22)]

    one, other = results
    assert one.solution is not None
    assert one.solution == other.solution


def test_no_later_family_of_territories_makes_the_plan_dearer(region: Problem) -> None:
    seen: list[Progress] = []

    result = in_parts(region, Here(), on_progress=seen.append)

    costs = [one.cost_cents for one in seen if one.phase == Phase.ROUTES and one.cost_cents is not None]
    assert result.solution is not None
    assert [*costs, result.solution.cost_cents] == sorted([*costs, result.solution.cost_cents], reverse=True)


@pytest.mark.parametrize(
    ("family", "left_s", "number", "workers", "seconds"),
    [
        (0, 100, 2, 2, 25),
        (0, 100, 3, 2, 12.5),
        (0, 1_000, 2, 2, 75),
        (1, 900, 2, 2, 300),
        (3, 300, 4, 2, 150),
    ],
)
def test_families_share_the_time_and_the_first_does_not_take_long(
    family: int, left_s: float, number: int, workers: int, seconds: float
) -> None:
    assert territory_s(family, left_s, number, workers) == seconds


def test_the_first_complete_plan_is_reported(region: Problem) -> None:
    seen: list[Progress] = []

    in_parts(region, Here(), on_progress=seen.append)

    first = next(one for one in seen if one.cost_cents is not None)
    assert first.carried
    assert 0 < first.fraction < 1
    assert (seen[-1].phase, seen[-1].fraction) == (Phase.DONE, 1.0)


def test_territories_travel_as_plain_data(region: Problem) -> None:
    for territory in (
        split(region, 3)[0],
        regroup(region, solved(region, iterations=0), 3, seed=1)[0],
    ):
        task = Task(territory=territory, time_limit_s=60, seed=1, iterations=2)

        answer = plan_territory(copy(task))

        assert copy(answer) == plan_territory(task)


@pytest.mark.parametrize("breaks", [(0,), (0, 1, 2), (3, 4), range(100)])
def test_where_a_worker_fails_nothing_is_lost(
    region: Problem, breaks: Sequence[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        result = in_parts(region, Here(breaks))

    assert result.solution is not None
    assert violations(region, result.solution) == []
    assert "the worker is gone" in caplog.text
    assert "Territory 0 with" in caplog.text


def test_workers_that_take_nothing_any_more_lose_nothing(region: Problem) -> None:
    class Broken(Here):
        def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
            raise BrokenExecutor

    result = in_parts(region, Broken())

    assert result.solution is not None
    assert violations(region, result.solution) == []


def test_nobody_waits_for_a_worker_that_hangs(region: Problem, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Here):
        def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
            return Future()

    moments = count(step=5.0)

    result = in_parts(region, Hanging(), clock=lambda: next(moments))

    assert "Nobody waits any longer for 3 territories" in caplog.text
    assert result.solution is not None
    assert violations(region, result.solution) == []


def test_where_a_worker_fails_routes_stay_as_they_were(region: Problem) -> None:
    seen: list[Progress] = []
    executor = Here(range(3, 100))

    result = in_parts(region, executor, on_progress=seen.append)

    first = next(one for one in seen if one.cost_cents is not None)
    assert result.solution is not None
    assert first.cost_cents is not None
    assert result.solution.cost_cents <= first.cost_cents


def test_a_dearer_plan_of_a_territory_is_not_taken(region: Problem) -> None:
    class Lazy(Here):
        def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
            (task,) = arguments
            if task.territory.start is None:
                return super().submit(work, task)
            nothing = replace(task.territory, start=None).plan_so_far()
            future: Future[Any] = Future()
            future.set_result(Answer(solution=nothing, others=(), iterations=0, columns=0))
            return future

    seen: list[Progress] = []

    in_parts(region, Lazy(), on_progress=seen.append)

    costs = {one.cost_cents for one in seen if one.phase == Phase.ROUTES and one.cost_cents is not None}
    assert len(costs) == 1


def test_a_plan_that_would_break_a_rule_is_no_plan_of_a_territory(
    region: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optimizer.solve.violations", lambda *_: ["it flies"])

    with pytest.raises(RuntimeError, match="it flies"):
        plan_territory(Task(territory=split(region, 3)[0], time_limit_s=60, seed=0, iterations=1))


def test_who_is_told_to_stop_does_not_wait_for_workers(region: Problem) -> None:
    class Never(Here):
        def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
            future: Future[Answer] = Future()
            futures.append(future)
            return future

    futures: list[Future[Answer]] = []

    result = in_parts(region, Never(), should_stop=lambda: bool(futures))

    assert result.solution is not None
    assert violations(region, result.solution) == []
    assert all(future.cancelled() for future in futures)


@pytest.mark.parametrize("changes", [{"size": 45}, {"time_limit_s": 1.0}])
def test_a_small_day_or_little_time_is_planned_undivided(region: Problem, changes: dict[str, Any]) -> None:
    executor = Here()

    result = in_parts(region, executor, **changes)

    assert executor.tasks == []
    assert result.solution is not None


def test_orders_that_nobody_explained_again_keep_the_reason_of_their_territory(region: Problem) -> None:
    heavy = replace(region.orders[0], parcels=(replace(region.orders[0].parcels[0], weight_g=10**6),))
    costs: list[int] = []

    def note(progress: Progress) -> None:
        costs.extend([] if progress.cost_cents is None else [progress.cost_cents])

    result = in_parts(
        replace(region, orders=(heavy, *region.orders[1:])),
        Here(),
        on_progress=note,
        should_stop=lambda: bool(costs),
    )

    assert result.solution is not None
    (left,) = (left for left in result.solution.left_out if left.order == heavy.id)
    assert left.reason == Reason.NO_VEHICLE_LARGE_ENOUGH
