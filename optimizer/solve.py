"""Composition: problem, limits and seed in, a checked result out."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from random import Random

from optimizer.day import Day
from optimizer.explain import Explainer
from optimizer.feasibility import violations
from optimizer.master import Column
from optimizer.problem import Load, Problem
from optimizer.recreate import has_choice, recreate
from optimizer.result import OnProgress, Phase, PhaseTime, Progress, Result, ShouldStop, Status
from optimizer.rounds import Rounds
from optimizer.search import Search
from optimizer.solution import Delivery, Route, Solution, Stop
from optimizer.solver import Limits
from optimizer.travel import TravelModel, with_matrices

#: Parts of the time limit: for explaining and checking, for the assignment, for one call of the master.
REST, ASSIGNMENT, MASTER = 0.1, 0.15, 0.1
#: Groups of orders that are moved between two rounds of PyVRP.
MOVES_PER_ROUND = 12
#: Rounds of PyVRP in a run.
NUM_ROUNDS = 10
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

    Returns
    -------
    Result
        With a solution that passed the independent check: leaving out every order is a plan, so there is
        always one. Should the check refuse the plan, which would be a defect of this package, the solution
        is ``None``, the status unknown, and ``violations`` says why.
    """
    run = _Run(time_limit_s, on_progress, should_stop)
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
    return run.result(search, solution, broken, seed)


def _improve(run: "_Run", search: Search, seed: int, iterations: int | None) -> None:
    """Alternate between moving orders, proposing routes and choosing among all of them."""
    random = Random(seed)  # noqa: S311 - repeatable search, nothing secret
    rounds = Rounds(search)
    number = 0
    while not run.over() and (iterations is None or search.iterations < iterations):
        before = search.iterations
        if has_choice(search):
            with run.phase(Phase.ASSIGNMENT):
                for _ in range(MOVES_PER_ROUND):
                    recreate(search, random)
        with run.phase(Phase.ROUTES):
            left, is_over = _round(run, iterations, search.iterations)
            rounds.improve(seed + number, left, NUM_NEIGHBOURS, is_over)
        with run.phase(Phase.MASTER):
            search.decide(Limits(seconds=min(MASTER * run.limit_s, run.left_s())))
            search.complete()
        number += 1
        if search.iterations == before:
            return


def _round(run: "_Run", iterations: int | None, done: int) -> tuple[int, Callable[[], bool]]:
    """Return after how many iterations a round ends, or how it knows that its time is over."""
    if iterations is not None:
        return min(ceil(iterations / NUM_ROUNDS), iterations - done), run.over
    ends_s = run.elapsed_s() + run.limit_s / NUM_ROUNDS
    return 10**9, lambda: run.elapsed_s() > ends_s


def _solution(run: "_Run", search: Search) -> Solution:
    day, carried = search.day, search.carried
    explainer = Explainer(
        day, search.room, search.reach, search.plan(), should_hurry=run.finished, should_stop=run.late
    )
    left_out = [explainer.explain(order) for order in range(len(day.problem.orders)) if order not in carried]
    return Solution(routes=tuple(_routes(day, search.incumbent)), left_out=tuple(left_out))


def _routes(day: Day, columns: Sequence[Column]) -> Iterator[Route]:
    """Yield the routes of columns, given to the vehicles of their classes in order."""
    free = {vehicle.index: iter(vehicle.vehicles) for vehicle in day.classes}
    for column in sorted(columns, key=lambda c: (c.vehicle.index, c.timetable.start_s, c.orders)):
        vehicle = day.problem.vehicles[next(free[column.vehicle.index])]
        timetable = column.timetable
        weight, volume, chilled, frozen = timetable.max_load
        yield Route(
            vehicle=vehicle.id,
            start_s=timetable.start_s,
            end_s=timetable.end_s,
            stops=tuple(_stops(day, column)),
            distance_m=timetable.distance_m,
            wait_s=timetable.wait_s,
            co2e_g=(timetable.distance_m * vehicle.co2e_g_per_km + 500) // 1000,
            max_load=Load(weight_g=weight, volume_cm3=volume, chilled_cm3=chilled, frozen_cm3=frozen),
            cost=timetable.cost,
        )


def _stops(day: Day, column: Column) -> Iterator[Stop]:
    orders, timetable = day.problem.orders, column.timetable
    trip = column.vehicle.under_way.trips if column.vehicle.under_way else 1
    for visit, arrival_s, start_s in zip(
        timetable.visits, timetable.arrivals_s, timetable.starts_s, strict=True
    ):
        yield Stop(
            place=day.problem.places[visit.place].id,
            arrival_s=arrival_s,
            start_s=start_s,
            departure_s=start_s + visit.service_s,
            pickups=tuple(
                orders[o].id for leg in visit.legs if not leg.is_delivery for o in leg.shipment.orders
            ),
            deliveries=tuple(
                Delivery(order=orders[o].id, option=k)
                for leg in visit.legs
                if leg.is_delivery
                for o, k in zip(leg.shipment.orders, leg.shipment.options, strict=True)
            ),
            trip=trip,
            break_s=visit.break_s,
        )
        trip += visit.is_turn


class _Run:
    """The clock of a run, its phases, and those who watch it."""

    def __init__(
        self, limit_s: float, on_progress: OnProgress | None, should_stop: ShouldStop | None
    ) -> None:
        self.limit_s = limit_s
        self._started = time.monotonic()
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._search: Search | None = None
        self._seconds: dict[Phase, float] = {}

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def left_s(self) -> float:
        """Seconds left to search, so that explaining and checking end in time."""
        return (1 - REST) * self.limit_s - self.elapsed_s()

    def over(self) -> bool:
        """Tell whether improving must end."""
        return self.left_s() <= 0 or self._told()

    def finished(self) -> bool:
        """Tell whether the time limit is reached."""
        return self.elapsed_s() > self.limit_s or self._told()

    def half_late(self) -> bool:
        """Tell whether looking at more orders would leave no time to carry those seen."""
        return self.elapsed_s() > (self.limit_s + GRACE_S) / 3 or self._told()

    def late(self) -> bool:
        """Tell whether everything but the check must end."""
        return self.elapsed_s() > self.limit_s + GRACE_S or self._told()

    def _told(self) -> bool:
        return self._should_stop is not None and self._should_stop()

    def watch(self, search: Search) -> None:
        """Report the best plan of a search from now on."""
        self._search = search

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Measure a phase, and report where the run stands before it."""
        self.report(phase)
        begun = time.monotonic()
        yield
        self._seconds[phase] = self._seconds.get(phase, 0.0) + time.monotonic() - begun

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

    def result(self, search: Search, solution: Solution, broken: list[str], seed: int) -> Result:
        """Return how the run ended."""
        self.report(Phase.DONE)
        return Result(
            status=_status(solution, broken),
            solution=None if broken else solution,
            violations=tuple(broken),
            seconds=round(self.elapsed_s(), 3),
            phases=tuple(PhaseTime(phase=p, seconds=round(s, 3)) for p, s in self._seconds.items()),
            seed=seed,
            iterations=search.iterations,
            columns=len(search.pool),
        )


def _status(solution: Solution, broken: Sequence[str]) -> Status:
    """Return what is known: a plan that costs nothing cannot be beaten."""
    if broken:
        return Status.UNKNOWN
    return Status.OPTIMAL if solution.cost_cents == 0 else Status.FEASIBLE
