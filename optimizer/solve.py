"""Composition: problem, limits and seed in, a checked result out."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from optimizer.bound.proof import Bound, lower_bound
from optimizer.day import Day
from optimizer.explain.prices import Prices
from optimizer.explain.reasons import Explainer
from optimizer.feasibility import violations
from optimizer.improve import Budget, Improvement, Step
from optimizer.insertion import Tour
from optimizer.problem import Problem
from optimizer.restart import begin
from optimizer.result import OnProgress, Phase, PhaseTime, Progress, Result, ShouldStop, Status
from optimizer.routes import routes_of
from optimizer.search import Search
from optimizer.solution import Route, Solution
from optimizer.solver import Limits
from optimizer.travel.model import TravelModel, TravelReport, prepare

#: Parts of the time limit: for explaining and checking, for the assignment, for each of the two models of one
#: call of the master, and the one after which there is no further call.
REST, ASSIGNMENT, MASTER_CALL, MASTER = 0.1, 0.15, 0.04, 0.07
#: Part of the time limit for explaining; parts of that after which no more orders are inserted, and no more
#: remedies sought.
PROBING, COMPLETING, REMEDIES = 0.08, 0.2, 0.7
#: Part of the time limit for the search, where the rest is for a proof.
SEARCHING = 0.5
#: Seconds by which a first plan, and the reasons for what it leaves out, may overrun the time limit, or the
#: moment at which travel is known if that comes later: a plan that carries nothing because the machine was
#: busy or a server of roads did not answer helps nobody.
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
    start: Solution | None = None,
    routes: Sequence[Route] = (),
    without: Collection[Step] = (),
    on_end: Callable[[Search], None] | None = None,
) -> Result:
    """
    Plan a day.

    Parameters
    ----------
    problem
        Missing travel matrices are computed.
    time_limit_s
        Wall-clock budget for everything, the check included, but for ``GRACE_S``.
    seed
        Equal seeds and ``iterations`` give equal plans as long as the time limit is not reached.
    iterations
        Of ruin and recreate, and those of PyVRP by their weight; ``None`` goes on until the time is over.
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
    start
        Plan to begin with, of this problem or one like it; see :func:`optimizer.restart.begin`. With no
        ``iterations`` at all nothing but the choice among known routes can improve it.
    routes
        Routes that may be driven besides those of ``start``.
    without
        Steps to leave out, to measure what they bring.
    on_end
        Told of the search when it is over, for whoever wants more of its routes than those of the plan.

    Returns
    -------
    Result
        With a solution that passed the independent check: leaving out every order is a plan, so there is
        always one. Should the check refuse the plan, which would be a defect of this package, the solution
        is ``None``, the status unknown, and ``violations`` says why.
    """
    searching_s = time_limit_s * SEARCHING if bound else time_limit_s
    run = _Run(searching_s, time_limit_s, on_progress, should_stop, clock)
    with run.phase(Phase.TRAVEL):
        problem, reports = prepare(problem, travel)
        day = Day(problem)
        search = Search(day, should_stop=run.over, must_stop=run.late)
        run.begin(search)
    with run.phase(Phase.ASSIGNMENT):
        is_wanted = start is None and Step.ASSIGNMENT not in without
        seconds = (ASSIGNMENT if iterations is None else 1.0) * run.limit_s if is_wanted else 0.0
        assignment = search.assign(Limits(seconds=seconds), run.half_late)
        if Step.ASSIGNMENT in without:
            assignment = {}
    with run.phase(Phase.CONSTRUCTION):
        improvement = _improvement(run, search, seed, iterations, without)
        if start is not None:
            begin(search, start, routes)
        improvement.construct(assignment, run.late, at_any_price=start is None)
    with run.phase(Phase.ROUTES):
        improvement.run(assignment, goes_on=start is not None)
    with run.phase(Phase.CHECK):
        solution = _solution(run, search, is_counted=iterations is not None)
        broken = violations(day.problem, solution)
    proven = None
    if bound and not broken:
        with run.phase(Phase.BOUND):
            proven = _prove(run, search, time_limit_s)
        if search.cost_cents < solution.cost_cents:
            better = _solution(run, search, is_counted=iterations is not None)
            solution = solution if violations(day.problem, better) else better
    if on_end is not None:
        on_end(search)
    return run.result(search, solution, broken, seed, proven, reports)


def _prove(run: "_Run", search: Search, time_limit_s: float) -> Bound:
    """Return what no plan can beat, as far as the rest of the time allows; the plan may get better by it."""
    run.limit_s = time_limit_s

    def left_s() -> float:
        return 0.0 if run.is_told() else max(0.0, time_limit_s - run.elapsed_s())

    def improve(tours: list[Tour]) -> int:
        search.columns(tours)
        search.decide(Limits(seconds=min(MASTER_CALL * time_limit_s, left_s())))
        return search.cost_cents

    def tell(cents: int) -> None:
        run.bound = cents
        run.report(Phase.BOUND)

    return lower_bound(
        search.day,
        search.room,
        search.pool,
        search.cost_cents,
        left_s=left_s,
        improve=improve,
        on_bound=tell,
    )


def _improvement(
    run: "_Run", search: Search, seed: int, iterations: int | None, without: Collection[Step]
) -> Improvement:
    """Return what improves the best plan of a search within the time and the iterations of a run."""
    # Where iterations are counted, no call may end by the clock but the last one.
    call_s = MASTER_CALL * run.limit_s if iterations is None else run.limit_s
    begun_s = run.elapsed_s()
    searching_s = max(run.left_s(), 1e-9)

    def spent() -> float:
        if iterations is None:
            return (run.elapsed_s() - begun_s) / searching_s
        return search.iterations / iterations if iterations else 1.0

    def decide() -> None:
        is_busy = iterations is None and run.share(Phase.MASTER) > MASTER
        if is_busy or run.is_told() or Step.MASTER in without:
            return
        with run.phase(Phase.MASTER):
            search.decide(Limits(seconds=min(call_s, max(0.0, run.left_s()))))

    return Improvement(
        search,
        seed,
        Budget(
            spent=spent,
            elapsed_s=run.elapsed_s,
            iterations=iterations,
            should_stop=run.over,
            decide=decide,
            report=lambda: run.report(Phase.ROUTES),
        ),
        without,
    )


def _solution(run: "_Run", search: Search, *, is_counted: bool) -> Solution:
    """Return the best plan, explained as well as there is time for; who counts iterations gives all of it."""
    probing_s = PROBING * run.limit_s
    if is_counted:
        probing_s = max(probing_s, run.left_s() + probing_s)
    ends_s = min(run.limit_s, run.elapsed_s() + probing_s)

    def left_s(part: float) -> float:
        return 0.0 if run.is_told() else ends_s - (1 - part) * probing_s - run.elapsed_s()

    search.complete(lambda: left_s(COMPLETING) <= 0)
    day, carried = search.day, search.carried
    explainer = Explainer(
        day,
        search.room,
        search.reach,
        search.plan(),
        should_hurry=lambda: left_s(REMEDIES) <= 0,
        should_stop=run.late,
    )
    left_out = explainer.explain([order for order in range(len(day.problem.orders)) if order not in carried])
    prices = Prices(search, left_s=lambda: left_s(1)).all()
    return Solution(routes=tuple(routes_of(day, search.incumbent)), left_out=left_out, prices=prices)


class _Run:
    """The clock of a run, its phases, and those who watch it; before a proof there is an earlier limit."""

    def __init__(
        self,
        limit_s: float,
        last_s: float,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
        clock: Callable[[], float],
    ) -> None:
        self.limit_s = limit_s
        self._last_s = last_s
        self._clock = clock
        self._started = clock()
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._search: Search | None = None
        self._begun_s = 0.0
        self._seconds: dict[Phase, float] = {}
        #: Seconds of the phases within the current one.
        self._inner_s = 0.0
        #: Cents that every plan is proven to cost at least.
        self.bound: int | None = None

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def left_s(self) -> float:
        """Seconds left to search, so that explaining and checking end in time."""
        return (1 - REST) * self.limit_s - self.elapsed_s()

    def over(self) -> bool:
        """Tell whether improving must end."""
        return self.left_s() <= 0 or self.is_told()

    def half_late(self) -> bool:
        """Tell whether looking at more orders would leave no time to carry those seen."""
        return self.elapsed_s() > self._begun_s + (self._ends_s - self._begun_s) / 3 or self.is_told()

    def late(self) -> bool:
        """Tell whether everything but the check must end."""
        return self.elapsed_s() > self._ends_s or self.is_told()

    @property
    def _ends_s(self) -> float:
        return max(self.limit_s, self._begun_s) + GRACE_S

    def is_told(self) -> bool:
        """Tell whether someone asked for an end."""
        return self._should_stop is not None and self._should_stop()

    def share(self, phase: Phase) -> float:
        """Part of the time so far that a phase took."""
        return self._seconds.get(phase, 0.0) / max(self.elapsed_s(), 1e-9)

    def begin(self, search: Search) -> None:
        """Report the best plan of a search from now on, when travel is known."""
        self._search = search
        self._begun_s = self.elapsed_s()

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Measure a phase, without those within it, and report where the run stands before it."""
        self.report(phase)
        begun, inner_s = self._clock(), self._inner_s
        self._inner_s = 0.0
        yield
        seconds = self._clock() - begun
        self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds - self._inner_s
        self._inner_s = inner_s + seconds

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
                bound=self.bound,
                carried=len(search.carried) if search else None,
                fraction=1.0 if phase == Phase.DONE else min(1.0, elapsed_s / max(self._last_s, 1e-9)),
            )
        )

    def result(
        self,
        search: Search,
        solution: Solution,
        broken: list[str],
        seed: int,
        proven: Bound | None,
        travel: tuple[TravelReport, ...],
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
            travel=travel,
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
