"""
A large region planned in parts: territories in parallel, then others across the old borders, then a choice
among the routes of all of them.

Whoever calls brings the executor: threads or processes here; what goes in and out is plain data. Nothing
depends on who is done first, except how much is found before the time is over.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from heapq import nsmallest
from math import ceil

from optimizer.feasibility import violations
from optimizer.master import Column, Relaxation
from optimizer.problem import Problem
from optimizer.regions.territories import SIZE, Territory, how_many, regroup, split, united
from optimizer.result import OnProgress, Phase, Progress, Result, ShouldStop
from optimizer.routes import routes_of
from optimizer.search import Search
from optimizer.solution import Reason, Route, Solution
from optimizer.solve import solve
from optimizer.travel.model import TravelModel, prepare

logger = logging.getLogger(__name__)

#: Families of territories, with equal parts of the time: the first makes a plan, the others heal its borders.
NUM_FAMILIES = 4
#: A territory of the first family gets so many seconds at most, so that there is soon a complete plan.
FIRST_S = 75.0
#: Part of the time limit, but at least so many seconds for each order, for choosing, explaining and checking
#: at the end; never more than a third of the limit.
END, END_S_PER_ORDER, MOST_END = 0.05, 0.006, 1 / 3
#: A territory of the first family gets at least so many seconds, or nothing is divided; one of a later
#: family, which begins with a plan, needs less.
LEAST_S, LEAST_LATER_S = 2.0, 1.0
#: Routes that a territory offers besides those of its plan.
NUM_OTHERS = 40
#: How often the wish to stop is read.
TICK_S = 0.2


def end_s(time_limit_s: float, num_orders: int) -> float:
    """Return how many seconds of a time limit remain for what follows the last territories."""
    return min(max(END * time_limit_s, END_S_PER_ORDER * num_orders), MOST_END * time_limit_s)


def number_of_parts(num_orders: int, time_limit_s: float, *, workers: int, size: int = SIZE) -> int:
    """Return how many territories a region is divided into: one where there is too little time for more."""
    number = how_many(num_orders, workers, size)
    left_s = time_limit_s - end_s(time_limit_s, num_orders)
    return number if territory_s(0, left_s, number, workers) >= LEAST_S else 1


def territory_s(family: int, left_s: float, number: int, workers: int) -> float:
    """Return how long each territory of a family may take of the time left for it and all later families."""
    seconds = left_s / (NUM_FAMILIES - family) / ceil(number / workers)
    return seconds if family else min(seconds, FIRST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is asked: plan a territory."""

    territory: Territory
    time_limit_s: float
    seed: int
    iterations: int | None = None
    num_others: int = NUM_OTHERS
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a worker returns: the plan of a territory, and its best other routes."""

    solution: Solution
    others: tuple[Route, ...]
    iterations: int
    columns: int


def plan_territory(task: Task) -> Answer:
    """
    Plan a territory, beginning with what the plan of the region does there.

    Raises
    ------
    RuntimeError
        If the independent check refuses the plan.
    """
    others: list[Route] = []
    result = solve(
        task.territory.problem,
        time_limit_s=task.time_limit_s,
        seed=task.seed,
        iterations=task.iterations,
        clock=task.clock,
        start=task.territory.start,
        on_end=lambda search: others.extend(other_routes(search, task.num_others)),
    )
    if result.solution is None:
        raise RuntimeError(f"the plan of a territory breaks a rule: {result.violations[0]}")
    return Answer(
        solution=result.solution,
        others=tuple(others),
        iterations=result.iterations,
        columns=result.columns,
    )


def other_routes(search: Search, number: int) -> Iterator[Route]:
    """Yield the routes of least reduced cost that the plan of a search does not drive."""
    driven = {id(column) for column in search.incumbent}
    relaxation = search.relaxation
    if relaxation is None:
        return
    others = ((_reduced_cents(c, relaxation), n, c) for n, c in enumerate(search.pool) if id(c) not in driven)
    for _, _, column in nsmallest(number, others):
        yield from routes_of(search.day, [column])


def _reduced_cents(column: Column, relaxation: Relaxation) -> float:
    """Return the cost of a column beyond what the duals say that it is worth, sure or not."""
    worth = sum(relaxation.orders[order] for order, _ in column.orders)
    room = sum(relaxation.rows.get(row, 0.0) * amount for row, amount in column.taken.items())
    return column.cost_cents - worth + room + relaxation.classes[column.vehicle.index]


def solve_in_parts(
    problem: Problem,
    *,
    executor: Executor,
    workers: int,
    time_limit_s: float,
    seed: int = 0,
    iterations: int | None = None,
    size: int = SIZE,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    travel: TravelModel | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """
    Plan a day in territories.

    Parameters
    ----------
    problem, size
        Missing travel matrices are computed. A problem with fewer than twice ``size`` orders is planned
        undivided, and so is one for which there is too little time; others in territories of at least that
        size.
    executor, workers
        Who plans territories, and how many of them at once, on which their number depends; it is not shut
        down. If it raises instead of planning a territory, that is logged, and the orders there keep their
        routes of before.
    time_limit_s, seed, should_stop, travel, clock
        As for :func:`optimizer.solve.solve`. A worker that plans a territory does not hear that it should
        stop, but nobody waits for it. Seconds of the processor make sense only if all work in this process.
    iterations
        Of each territory in each family of them.
    on_progress
        Told of each territory that is done; there is no cost before the first complete plan.

    Returns
    -------
    Result
        As that of :func:`optimizer.solve.solve`.
    """
    watch = _Watch(time_limit_s, len(problem.orders), on_progress, should_stop, clock)
    watch.report(Phase.TRAVEL, None)
    problem, reports = prepare(problem, travel)
    families = _Families(
        problem, executor, workers, watch, seed, iterations, how_many(len(problem.orders), workers, size)
    )
    plan = families.plan()
    result = solve(
        problem,
        time_limit_s=max(0.0, time_limit_s - watch.elapsed_s()),
        seed=seed,
        iterations=iterations if plan is None else 0,
        on_progress=watch.tell,
        should_stop=should_stop,
        clock=clock,
        start=plan,
        routes=families.others,
    )
    return replace(
        result,
        solution=result.solution and _with_known_reasons(result.solution, plan),
        seconds=round(watch.elapsed_s(), 3),
        iterations=result.iterations + families.num_iterations,
        travel=reports,
    )


def _with_known_reasons(solution: Solution, plan: Solution | None) -> Solution:
    """Return a solution with what territories knew of orders for which there was no time at the end."""
    known = {left.order: left for left in plan.left_out} if plan else {}
    return replace(
        solution,
        left_out=tuple(
            known.get(left.order, left) if left.reason == Reason.PLANNING_TIME_OVER else left
            for left in solution.left_out
        ),
    )


class _Families:
    """Territories planned by workers, one family after the other, and what came of them."""

    def __init__(
        self,
        problem: Problem,
        executor: Executor,
        workers: int,
        watch: "_Watch",
        seed: int,
        iterations: int | None,
        number: int,
    ) -> None:
        self.others: list[Route] = []
        self.num_iterations = 0
        self._problem = problem
        self._executor = executor
        self._workers = workers
        self._watch = watch
        self._seed = seed
        self._iterations = iterations
        self._number = number

    def plan(self) -> Solution | None:
        """Return the plan of all territories, or ``None`` if there is only one, or no time for more."""
        if self._number == 1:
            return None
        territories = split(self._problem, self._number)
        if len(territories) == 1 or self._seconds(0, territories) < LEAST_S:
            return None
        plan: Solution | None = None
        for number in range(NUM_FAMILIES):
            if plan is not None:
                territories = regroup(self._problem, plan, self._number, seed=self._seed + number)
            if self._watch.is_told() or (number and self._seconds(number, territories) < LEAST_LATER_S):
                break
            plan = self._planned(territories, number, plan)
            if number == 0:
                self._announce(plan)
        return plan or united(self._problem, (territory.plan_so_far() for territory in territories))

    def _seconds(self, number: int, territories: Sequence[Territory]) -> float:
        return territory_s(number, self._watch.left_s(), len(territories), self._workers)

    def _planned(self, territories: Sequence[Territory], number: int, plan: Solution | None) -> Solution:
        """Return what the territories make of the plan, as far as they answer."""
        seconds = self._seconds(number, territories)
        futures = {
            self._submitted(
                Task(
                    territory=territory,
                    time_limit_s=seconds,
                    seed=self._seed + number,
                    iterations=self._iterations,
                    clock=self._watch.clock,
                )
            ): territory
            for territory in territories
        }
        parts = [territory.plan_so_far() for territory in territories]
        others: list[tuple[Route, ...]] = [()] * len(parts)
        cost_cents = None if plan is None else plan.cost_cents
        for future in self._done(futures):
            territory = futures[future]
            answer = _answer_of(future, territory)
            if answer is None:
                continue
            present, found = parts[territory.number], answer.solution
            if plan is None or found.cost_cents <= present.cost_cents:
                parts[territory.number] = found
            if cost_cents is not None:
                cost_cents += parts[territory.number].cost_cents - present.cost_cents
            others[territory.number] = answer.others
            self.num_iterations += answer.iterations
            self._watch.report(Phase.ROUTES, cost_cents)
        self.others += [route for some in others for route in some]
        return united(self._problem, parts)

    def _submitted(self, task: Task) -> Future[Answer]:
        """Hand a task to a worker; who cannot take any more has failed it."""
        try:
            return self._executor.submit(plan_territory, task)
        except RuntimeError as error:
            failed: Future[Answer] = Future()
            failed.set_exception(error)
            return failed

    def _done(self, futures: Iterable[Future[Answer]]) -> Iterator[Future[Answer]]:
        """Yield what is done as soon as it is; once told to stop, or long after the time, forget the rest."""
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=TICK_S, return_when=FIRST_COMPLETED)
            yield from done
            if waiting and (self._watch.is_told() or self._watch.is_over()):
                logger.warning("Nobody waits any longer for %s territories", len(waiting))
                for future in waiting:
                    future.cancel()
                return

    def _announce(self, plan: Solution) -> None:
        """Report the first complete plan if the independent check has no word against it."""
        broken = violations(self._problem, plan)
        if broken:
            logger.error("The plans of the territories together break a rule: %s", broken[0])
        else:
            self._watch.report(Phase.ROUTES, plan.cost_cents, plan.num_carried)


def _answer_of(future: Future[Answer], territory: Territory) -> Answer | None:
    """Return what came of a territory, or nothing if planning it failed."""
    try:
        return future.result()
    except Exception as error:  # Whatever befell a worker, the other territories still make a plan.
        orders = len(territory.problem.orders)
        logger.error("Territory %s with %s orders failed: %r", territory.number, orders, error)
        return None


class _Watch:
    """The clock of a run, and those who watch it."""

    def __init__(
        self,
        limit_s: float,
        num_orders: int,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._limit_s = limit_s
        self._end_s = end_s(limit_s, num_orders)
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._started = clock()

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._started

    def left_s(self) -> float:
        """Seconds left for territories."""
        return max(0.0, self._limit_s - self._end_s - self.elapsed_s())

    def is_over(self) -> bool:
        """Tell whether the time is over even for what follows territories."""
        return self.elapsed_s() > self._limit_s

    def is_told(self) -> bool:
        """Tell whether someone asked for an end."""
        return self._should_stop is not None and self._should_stop()

    def report(self, phase: Phase, cost_cents: int | None, carried: int | None = None) -> None:
        """Tell whoever listens where the run stands."""
        self.tell(
            Progress(phase=phase, elapsed_s=0, cost_cents=cost_cents, bound=None, carried=carried, fraction=0)
        )

    def tell(self, progress: Progress) -> None:
        """Pass on what a step of the run reports, with the time of the whole run."""
        if self._on_progress is None:
            return
        elapsed_s = self.elapsed_s()
        is_done = progress.phase == Phase.DONE
        fraction = 1.0 if is_done else min(1.0, elapsed_s / max(self._limit_s, 1e-9))
        self._on_progress(replace(progress, elapsed_s=round(elapsed_s, 3), fraction=fraction))
