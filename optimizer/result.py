"""How a run ended, and how far it is while it lasts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from optimizer.solution import Solution
from optimizer.travel.model import TravelReport


class Status(StrEnum):
    """What is known about the solution."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """What the run is busy with."""

    TRAVEL = "travel"
    ASSIGNMENT = "assignment"
    CONSTRUCTION = "construction"
    ROUTES = "routes"
    MASTER = "master"
    CHECK = "check"
    BOUND = "bound"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    Where a run stands.

    Parameters
    ----------
    cost_cents, carried
        Of the best plan so far; ``None`` before the first.
    bound
        Cents that every plan costs at least, as far as that is proven; ``None`` before anything is.
    fraction
        Part of the time limit that is used, 0 to 1.
    """

    phase: Phase
    elapsed_s: float
    cost_cents: int | None
    bound: int | None
    carried: int | None
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTime:
    """Seconds spent in one phase, all its turns together."""

    phase: Phase
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    The outcome of a run.

    Parameters
    ----------
    violations
        What the independent check found in a plan that was discarded for it; empty whenever there is a
        solution.
    bound, gap
        A proven lower bound on the cost of any plan in cents, and the distance of the solution to it as part
        of the solution's cost; ``None`` with the reason in ``bound_reason``.
    relaxed
        Constraints and costs that the bound does not know of.
    travel
        What the travel model says of the matrices it made; none of given ones.
    iterations
        Iterations of the search.
    columns
        Number of different routes the master could choose from.
    """

    status: Status
    solution: Solution | None
    violations: tuple[str, ...]
    seconds: float
    phases: tuple[PhaseTime, ...]
    seed: int
    iterations: int
    columns: int
    bound: int | None = None
    gap: float | None = None
    bound_reason: str = "no bound computed"
    relaxed: tuple[str, ...] = ()
    travel: tuple[TravelReport, ...] = ()


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]
