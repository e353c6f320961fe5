"""
One case in a process of its own: ``python -m optimizer.bench.run CASE DATA FOLDER`` prints one JSON line.

Modules of solvers load only where they are needed: OR-Tools, which starts a process of its own from this one,
must not meet highspy.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.bench.suites import Case
    from optimizer.problem import Problem
    from optimizer.result import Progress, Result
    from optimizer.shipments import Assignment
    from optimizer.solution import Solution

Record = dict[str, Any]
#: Processes that plan territories of a case that has the machine for itself.
NUM_WORKERS = 2
#: A plan is near to the last one if it costs so many times as much at most.
NEAR = 1.05


def main(arguments: Sequence[str]) -> None:
    """Run a case, and print what came of it."""
    from optimizer.bench.suites import Case

    case = Case(**json.loads(arguments[0]))
    print(json.dumps(run(case, Path(arguments[1]), Path(arguments[2]))))


def run(case: "Case", data: Path, folder: Path) -> Record:
    """Run a case; public instances lie in ``data``, assignments of ours for the peers in ``folder``."""
    from optimizer.bench import problems, suites
    from optimizer.travel.model import with_matrices

    problem = with_matrices(problems.load(case.instance, case.objective, data))
    begun_s, used_s = time.perf_counter(), _cpu_s()
    if case.solver == suites.MASTER:
        found = _master(problem)
    elif case.solver.startswith(suites.OURS):
        found = _ours(case, problem, folder)
    else:
        found = _peer(case, problem, folder)
    return {
        "orders": len(problem.orders),
        "reference": problems.reference(case.instance, case.objective, data),
        "wall_s": round(time.perf_counter() - begun_s, 2),
        "cpu_s": round(_cpu_s() - used_s, 2),
        "peak_mib": _peak_mib(),
        **found,
    }


def _ours(case: "Case", problem: "Problem", folder: Path) -> Record:
    from optimizer.bench import problems, suites
    from optimizer.improve import Step
    from optimizer.solve import solve

    seen: list[tuple[float, int]] = []

    def note(progress: "Progress") -> None:
        begins = progress.phase in ("travel", "assignment", "construction")
        if not begins and progress.cost_cents is not None:
            seen.append((progress.elapsed_s, progress.cost_cents))

    solved = problems.roomy(problem) if case.solver == suites.ROOMY else problem
    seconds = case.seconds * (suites.LONG if case.solver == suites.LONG_AGAIN else 1)
    limits: dict[str, Any] = {"time_limit_s": seconds, "seed": case.seed, "on_progress": note}
    # The clock stands still while other processes have the core, as it does for the peers.
    limits["clock"] = time.monotonic if case.alone else time.process_time
    if case.solver == suites.DIVIDED:
        result = _in_parts(solved, limits, at_once=case.alone)
    else:
        result = solve(
            solved,
            bound=case.solver == suites.BOUND,
            start=None if case.solver not in suites.FROM_PLAN else problems.plan_of(case.instance),
            without=[step for step in Step if case.solver == suites.WITHOUT + step],
            **limits,
        )
    record: Record = {
        "phases": {phase.phase: phase.seconds for phase in result.phases},
        "iterations": result.iterations,
        "columns": result.columns,
        "bound": result.bound,
        "gap_percent": None if result.gap is None else round(100 * result.gap, 3),
    }
    if result.solution is None:
        return {**record, "violations": len(result.violations), "error": "; ".join(result.violations[:3])}
    if case.solver == suites.OURS:
        _keep_assignment(case, result.solution, folder)
    return {**record, **_first(seen, result.solution.cost_cents), **_outcome(problem, result.solution)}


def _first(seen: list[tuple[float, int]], cost_cents: int) -> Record:
    """Return what the first complete plan cost, and how long it took to come near to the last."""
    if not seen:
        return {}
    near_s = next((elapsed_s for elapsed_s, cents in seen if cents <= NEAR * cost_cents), None)
    return {"first_cost": seen[0][1], "near_s": near_s}


def _in_parts(problem: "Problem", limits: dict[str, Any], *, at_once: bool) -> "Result":
    """Plan in territories, on all cores or on this one, one after the other."""
    from concurrent.futures import ThreadPoolExecutor

    from optimizer.regions.parts import solve_in_parts
    from optimizer.regions.workers import processes

    workers = NUM_WORKERS if at_once else 1
    executor = processes(workers) if at_once else ThreadPoolExecutor(workers)
    try:
        return solve_in_parts(problem, executor=executor, workers=workers, **limits)
    finally:
        executor.shutdown(cancel_futures=True)


def _peer(case: "Case", problem: "Problem", folder: Path) -> Record:
    from optimizer.bench import suites
    from optimizer.day import Day
    from optimizer.peers import plan
    from optimizer.shipments import consolidate

    peer = peer_named(case.solver.removesuffix(suites.GIVEN_OURS))
    day = Day(problem)
    assignment = _assignment_of_ours(case, day, folder) if case.after_ours else plan.nearest(day)
    shipments = consolidate(day, assignment)
    routes = peer(day, shipments, case.seconds, case.seed)
    solution = plan.finished(day, shipments, routes)
    return {"shipments": len(shipments), **_outcome(problem, solution)}


def peer_named(name: str) -> Any:
    """Return a peer; its solver must be installed."""
    if name == "vroom":
        from optimizer.peers import vroom

        return vroom.solve
    if name == "ortools":
        from optimizer.peers import ortools

        return ortools.solve
    from optimizer.peers import pyvrp

    return pyvrp.solve


def _outcome(problem: "Problem", solution: "Solution") -> Record:
    """Return what a plan costs, by the independent check; the rows lifted for it count here."""
    from optimizer.feasibility import violations

    broken = violations(problem, solution)
    return {
        "cost": solution.cost_cents,
        "terms": asdict(solution.cost),
        "vehicles": len(solution.routes),
        "left_out": len(solution.left_out),
        "violations": len(broken),
    }


def _master(problem: "Problem") -> Record:
    from optimizer.bench.columns import build_seconds

    return build_seconds(problem)


def _keep_assignment(case: "Case", solution: "Solution", folder: Path) -> None:
    stops = (stop for route in solution.routes for stop in route.stops)
    options = {delivery.order: delivery.option for stop in stops for delivery in stop.deliveries}
    file = _assignment_file(case, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(options))


def _assignment_of_ours(case: "Case", day: Any, folder: Path) -> "Assignment":
    options = json.loads(_assignment_file(case, folder).read_text())
    return {day.order_index[order]: option for order, option in options.items()}


def _assignment_file(case: "Case", folder: Path) -> Path:
    return folder / "assignments" / f"{case.suite}-{case.instance}-{case.seed}-{case.seconds}.json"


def _cpu_s() -> float:
    """Return CPU seconds of this process and of those it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_mib() -> int:
    """Return the largest memory of this process or of one it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usage.ru_maxrss for usage in usages) // 1024


if __name__ == "__main__":
    main(sys.argv[1:])
