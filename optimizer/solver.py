"""HiGHS through PuLP: warm-started, limited, and honest about what it found."""

from dataclasses import dataclass
from typing import Any

import highspy
import pulp

#: Seconds below which starting a solver is not worth it.
LEAST_S = 0.05


def _call_warm(lp: pulp.LpProblem) -> None:
    """Run HiGHS from the present values of the variables, which PuLP 3 does not hand on."""
    start = highspy.HighsSolution()
    start.col_value = [variable.varValue or 0.0 for variable in lp.variables()]
    lp.solverModel.setSolution(start)
    lp.solverModel.run()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    When to stop one solver run.

    Parameters
    ----------
    max_nodes
        Of the branch-and-bound tree; unlike seconds it ends equal runs alike.
    """

    seconds: float
    max_nodes: int = 2_000


def run(model: pulp.LpProblem, limits: Limits, *, gap: float = 0.0) -> bool:
    """
    Solve a model from the present values of its variables, and tell whether they hold a solution now.

    After a time limit PuLP calls any outcome optimal; only ``sol_status`` tells, and even that claims a
    solution where HiGHS found none, so values are trusted only after a look at the constraints. The search
    stops at the relative ``gap``.
    """
    if limits.seconds < LEAST_S or not model.variables():
        return False
    highs = _highs(limits, gapRel=gap, mip_max_nodes=limits.max_nodes)
    highs.callSolver = _call_warm
    model.solve(highs)
    return model.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible) and _holds(model)


def run_relaxed(model: pulp.LpProblem, limits: Limits) -> bool:
    """Solve the linear relaxation for its duals, and tell whether it was solved to the end."""
    if limits.seconds < LEAST_S or not model.variables():
        return False
    model.solve(_highs(limits, mip=False))
    return bool(model.sol_status == pulp.LpSolutionOptimal)


def _highs(limits: Limits, **options: object) -> Any:
    return pulp.HiGHS(msg=False, threads=1, timeLimit=limits.seconds, **options)


def _holds(model: pulp.LpProblem) -> bool:
    """Tell whether the values of the variables are whole and keep every constraint."""
    values = [variable.varValue for variable in model.variables()]
    if any(value is None or abs(value - round(value)) > 1e-5 for value in values):
        return False
    return all(constraint.valid(1e-5) for constraint in model.constraints())
