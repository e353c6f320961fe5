"""Composition: problem, limits and seed in, a checked result out."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from random import Random
from typing import Any

from optimizer.bound import Bound, lower_bound
from optimizer.day import Day
from optimizer.explain import Explainer
from optimizer.feasibility import violations
from optimizer.problem import Problem
from optimizer.recreate import recreate
from optimizer.result import OnProgress, Phase, PhaseTime, Progress, Result, ShouldStop, Status
from optimizer.rounds import Rounds
from optimizer.routes import routes_of
from optimizer.search import Search
from optimizer.solution import Solution
from optimizer.solver import Limits
from optimizer.travel import TravelModel, with_matrices

#: Parts of the time limit: for explaining and checking, for the assignment, for one call of the master, and
#: for all of them.
REST, ASSIGNMENT, MASTER_CALL, MASTER = 0.1, 0.15, 0.04, 0.07
#: Groups of orders that are moved between two rounds of PyVRP.
MOVES_PER_ROUND = 4
#: Part of the time limit for the search, where the rest is for a proof.
SEARCHING = 0.5
#: Rounds of PyVRP in a run: where orders may go elsewhere, or were promised something of which PyVRP does not
#: know, many short ones with moves of orders between them; elsewhere nothing but PyVRP changes the plan, and
#: it needs some time to get anywhere.
NUM_ROUNDS, NUM_ROUNDS_WITHOUT_CHOICE = 120, 10
#: Where iterations are limited, each round has at least so many.
LEAST_ROUND = 20
#: Neighbours of each leg.
NUM_NEIGHBOURS = 50
#: Seconds by which a first plan, and the reasons for what it leaves out, may overrun the time limit: a plan
#: that carries nothing because the machine was busy helps nobody.
GRACE_S = 3.2


def solve(
    problem: Problem,
    *,
    time_limit_s: float,
    seed: int = 0,
    iterations: int | None = None,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    travel: TravelModel | None = None,
    clock: Callable[[], float] = time.monotonic,
    bound: bool = False,
) -> Result:
    """
    Plan a day.

    Parameters
    ----------
    problem
        Missing travel matrices are computed.
    time_limit_s
        Wall-clock budget for everything, the check included.
    seed
        Equal seeds and ``iterations`` give equal plans as long as the time limit is not reached.
    iterations
        Of the route proposer; ``None`` goes on until the time is over.
    on_progress
        Told of each phase and each better plan.
    should_stop
        Asked often; once true, the best plan so far is checked and returned.
    travel
        Model for the profiles without a matrix; geodesics by default.
    clock
        What seconds are: those on the wall, or those of the processor for comparisons.
    bound
        Spend the second half of the time on proving how cheap a plan could be at best.

    Returns
    -------
    Result
        With a solution that passed the independent check: leaving out every order is a plan, so there is
        always one. Should the check refuse the plan, which would be a defect of this package, the solution
        is ``None``, the status unknown, and ``violations`` says why.
    """
    searching_s = time_limit_s * SEARCHING if bound else time_limit_s
    run = _Run(searching_s, on_progress, should_stop, clock)
    with run.phase(Phase.TRAVEL):
        day = Day(with_matrices(problem, travel))
        search = Search(day, should_stop=run.over, must_stop=run.late)
        run.watch(search)
    with run.phase(Phase.ASSIGNMENT):
        assignment = search.assign(Limits(seconds=ASSIGNMENT * time_limit_s), run.half_late)
    with run.phase(Phase.CONSTRUCTION):
        search.construct(assignment)
        search.complete()
    _improve(run, search, seed, iterations)
    with run.phase(Phase.CHECK):
        solution = _solution(run, search)
        broken = violations(day.problem, solution)
    proven = None
    if bound and not broken:
        with run.phase(Phase.BOUND):
            proven = _prove(run, search, time_limit_s)
    return run.result(search, solution, broken, seed, proven)


def _prove(run: "_Run", search: Search, time_limit_s: float) -> Bound:
    """Return what no plan can beat, as far as the rest of the time allows to prove it."""
    seconds = max(0.0, time_limit_s - run.elapsed_s())
    return lower_bound(
        search.day,
        search.room,
        search.pool,
        search.cost_cents,
        seconds=seconds,
        should_stop=lambda: run.elapsed_s() > time_limit_s or run.is_told(),
    )


def _improve(run: "_Run", search: Search, seed: int, iterations: int | None) -> None:
    """Alternate between moving orders, proposing routes and choosing among all of them."""
    random = Random(seed)  # noqa: S311 - repeatable search, nothing secret
    rounds = Rounds(search)
    orders = search.day.problem.orders
    has_choice = any(len(order.options) > 1 or order.promise is not None for order in orders)
    num_rounds = NUM_ROUNDS if has_choice else NUM_ROUNDS_WITHOUT_CHOICE
    number = 0

    def decide() -> None:
        with run.phase(Phase.MASTER):
            search.decide(Limits(seconds=min(MASTER_CALL * run.limit_s, max(0.0, run.left_s()))))
            search.complete()

    while not run.over() and (iterations is None or search.iterations < iterations):
        if has_choice:
            with run.phase(Phase.ASSIGNMENT):
                for _ in range(MOVES_PER_ROUND):
                    recreate(search, random)
        with run.phase(Phase.ROUTES):
            left, is_over = _round(run, num_rounds, iterations, search.iterations)
            goes_on = rounds.improve(seed + number, left, NUM_NEIGHBOURS, is_over)
        if iterations is not None or run.share(Phase.MASTER) < MASTER:
            decide()
        number += 1
        if not goes_on:
            break
    decide()


def _round(run: "_Run", num_rounds: int, iterations: int | None, done: int) -> tuple[int, Callable[[], bool]]:
    """Return after how many iterations a round ends, or how it knows that its time is over."""
    if iterations is not None:
        return min(max(LEAST_ROUND, ceil(iterations / num_rounds)), iterations - done), run.over
    ends_s = run.elapsed_s() + run.limit_s / num_rounds
    return 10**9, lambda: run.elapsed_s() > ends_s


def _solution(run: "_Run", search: Search) -> Solution:
    day, carried = search.day, search.carried
    explainer = Explainer(
        day, search.room, search.reach, search.plan(), should_hurry=run.finished, should_stop=run.late
    )
    left_out = [explainer.explain(order) for order in range(len(day.problem.orders)) if order not in carried]
    return Solution(routes=tuple(routes_of(day, search.incumbent)), left_out=tuple(left_out))


class _Run:
    """The clock of a run, its phases, and those who watch it."""

    def __init__(
        self,
        limit_s: float,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
        clock: Callable[[], float],
    ) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._started = clock()
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._search: Search | None = None
        self._seconds: dict[Phase, float] = {}

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def left_s(self) -> float:
        """Seconds left to search, so that explaining and checking end in time."""
        return (1 - REST) * self.limit_s - self.elapsed_s()

    def over(self) -> bool:
        """Tell whether improving must end."""
        return self.left_s() <= 0 or self.is_told()

    def finished(self) -> bool:
        """Tell whether the time limit is reached."""
        return self.elapsed_s() > self.limit_s or self.is_told()

    def half_late(self) -> bool:
        """Tell whether looking at more orders would leave no time to carry those seen."""
        return self.elapsed_s() > (self.limit_s + GRACE_S) / 3 or self.is_told()

    def late(self) -> bool:
        """Tell whether everything but the check must end."""
        return self.elapsed_s() > self.limit_s + GRACE_S or self.is_told()

    def is_told(self) -> bool:
        """Tell whether someone asked for an end."""
        return self._should_stop is not None and self._should_stop()

    def share(self, phase: Phase) -> float:
        """Part of the time so far that a phase took."""
        return self._seconds.get(phase, 0.0) / max(self.elapsed_s(), 1e-9)

    def watch(self, search: Search) -> None:
        """Report the best plan of a search from now on."""
        self._search = search

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Measure a phase, and report where the run stands before it."""
        self.report(phase)
        begun = self._clock()
        yield
        self._seconds[phase] = self._seconds.get(phase, 0.0) + self._clock() - begun

    def report(self, phase: Phase) -> None:
        """Tell whoever listens where the run stands."""
        if self._on_progress is None:
            return
        search, elapsed_s = self._search, self.elapsed_s()
        self._on_progress(
            Progress(
                phase=phase,
                elapsed_s=round(elapsed_s, 3),
                cost_cents=search.cost_cents if search else None,
                bound=None,
                carried=len(search.carried) if search else None,
                fraction=1.0 if phase == Phase.DONE else min(1.0, elapsed_s / max(self.limit_s, 1e-9)),
            )
        )

    def result(
        self, search: Search, solution: Solution, broken: list[str], seed: int, proven: Bound | None
    ) -> Result:
        """Return how the run ended."""
        self.report(Phase.DONE)
        return Result(
            status=_status(solution, broken, proven),
            solution=None if broken else solution,
            violations=tuple(broken),
            seconds=round(self.elapsed_s(), 3),
            phases=tuple(PhaseTime(phase=p, seconds=round(s, 3)) for p, s in self._seconds.items()),
            seed=seed,
            iterations=search.iterations,
            columns=len(search.pool),
            **_of_bound(solution, proven),
        )


def _status(solution: Solution, broken: Sequence[str], proven: Bound | None) -> Status:
    """Return what is known: a plan that costs nothing, or what is proven at least, cannot be beaten."""
    if broken:
        return Status.UNKNOWN
    least = proven.cents if proven and proven.cents is not None else 0
    return Status.OPTIMAL if solution.cost_cents <= least else Status.FEASIBLE


def _of_bound(solution: Solution, proven: Bound | None) -> dict[str, Any]:
    """Return the fields of a result that tell what is proven."""
    if proven is None:
        return {}
    gap = None
    if proven.cents is not None:
        gap = (solution.cost_cents - proven.cents) / max(solution.cost_cents, 1)
    return {"bound": proven.cents, "gap": gap, "bound_reason": proven.reason, "relaxed": proven.relaxed}
