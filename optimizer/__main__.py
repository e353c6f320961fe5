"""
Command line: ``python -m optimizer solve | check | rest | generate | network | compile | bench``.

``solve`` writes JSON lines with ``--progress``: ``{"type": "progress", ...}`` as often as something happens,
then one ``{"type": "result", ...}``; with ``--json`` only the figures of the run, as ``{"cost": ...,
"vehicles": ..., "left_out": ..., "bound": ..., "gap_percent": ..., "violations": 0, "seconds": ...}``;
without them a short table, and on standard error how far it is. Bad input ends with status 2 and
``{"type": "error", "code": ..., "field": ..., "detail": ...}``, a ``check`` that finds something with 1,
a ``solve`` without a plan with 3: the independent check refused it, or the input closed. A signal ends it
at once.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from optimizer.arguments import parser

if TYPE_CHECKING:
    from optimizer.problem import Problem
    from optimizer.result import Progress, Result
    from optimizer.solution import Route, Solution
    from optimizer.travel.model import TravelModel

STARTED = time.monotonic()
#: Exit status when standard input closed before the search was over.
ABANDONED = 3
#: Seconds of the time limit that remain for the search, however long starting up took.
LEAST_SEARCH_S = 0.5


def main(arguments: Sequence[str] | None = None, *, started_s: float | None = None) -> int:
    """Run a command, and return the exit status; its time counts from a moment before, or else from now."""
    options = parser().parse_args(arguments)
    options.started_s = time.monotonic() if started_s is None else started_s
    from optimizer.checks import (
        ProblemError,  # Slow modules load only once the arguments are known to be good.
    )

    try:
        return COMMANDS[options.command](options)
    except ProblemError as error:
        _emit({"type": "error", "code": "invalid-input", "field": error.field, "detail": str(error)})
        return 2
    except OSError as error:
        if error.filename is None:  # What is said here can no more be written than the rest.
            raise
        _emit({"type": "error", "code": "unreadable-file", "field": "file", "detail": str(error)})
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _solve(options: argparse.Namespace) -> int:
    """Plan the day of a file."""
    from optimizer import instances
    from optimizer.checks import ProblemError
    from optimizer.explain.report import print_result
    from optimizer.io import result_to_json, start_to_json
    from optimizer.regions.parts import other_routes
    from optimizer.solve import solve

    if options.workers and (options.bound or options.start or options.others):
        raise ProblemError("workers", "begin without a plan, prove no bound, and offer no other routes")
    if options.output:
        _check_writable(Path(options.output))
    start, routes = _read_start(options.start)
    document = _read_line_then_watch() if options.stop_on_eof else _read(options.file)
    problem, travel = instances.read(document, options.objective), _travel_model(options)
    limits: dict[str, Any] = {
        "time_limit_s": max(LEAST_SEARCH_S, options.time_limit - (time.monotonic() - options.started_s)),
        "seed": options.seed,
        "iterations": options.iterations,
        "on_progress": _emit_progress if options.progress else _Teller(),
        "travel": travel,
    }
    others: list[Route] = []
    if options.workers:
        result = _solve_in_parts(problem, options.workers, limits)
    else:
        result = solve(
            problem,
            bound=options.bound,
            start=start,
            routes=routes,
            on_end=lambda search: others.extend(other_routes(search, options.others)),
            **limits,
        )
    if options.output:
        text = json.dumps(result_to_json(result, problem), ensure_ascii=False)
        Path(options.output).write_text(text, encoding="utf-8")
    if options.progress:
        offer = {"routes": start_to_json(result.solution, others)["routes"]} if result.solution else {}
        _emit({"type": "result", **result_to_json(result, problem), **(offer if options.others else {})})
    elif options.json:
        _emit(_summary(result))
    else:
        print_result(problem, result)
    return 0 if result.solution else 3


def _check_writable(file: Path) -> None:
    """Refuse a file that cannot be written, before rather than after the search."""
    from optimizer.checks import require

    exists = file.exists()
    can = os.access(file if exists else file.parent, os.W_OK) and not file.is_dir()
    require(can, "output", f"{file} cannot be written")


def _solve_in_parts(problem: "Problem", workers: int, limits: dict[str, Any]) -> "Result":
    """Plan a day in territories, and leave no worker behind."""
    from optimizer.regions.parts import solve_in_parts
    from optimizer.regions.workers import processes

    executor = processes(workers)
    try:
        return solve_in_parts(problem, executor=executor, workers=workers, **limits)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _check(options: argparse.Namespace) -> int:
    """Check a solution independently of whatever made it; the status is 1 if it breaks a rule."""
    from optimizer import instances
    from optimizer.feasibility import violations
    from optimizer.io import read_solution
    from optimizer.travel.model import with_matrices

    problem = with_matrices(instances.read(_read(options.file), options.objective), _travel_model(options))
    found = violations(problem, read_solution(_read(options.solution)))
    _emit({"type": "check", "violations": found})
    return 1 if found else 0


def _rest(options: argparse.Namespace) -> int:
    """Write what is left of a day at a moment of its plan."""
    from optimizer import instances
    from optimizer.io import problem_to_json, read_solution
    from optimizer.replan import TOLERANCE_S, remaining
    from optimizer.travel.model import with_matrices

    problem = with_matrices(instances.read(_read(options.file), options.objective), _travel_model(options))
    solution = read_solution(_read(options.solution))
    tolerance_s = TOLERANCE_S if options.tolerance is None else options.tolerance
    _emit(problem_to_json(remaining(problem, solution, options.now, tolerance_s)))
    return 0


def _generate(options: argparse.Namespace) -> int:
    """Write a synthetic problem."""
    from optimizer.generator import RegionSize, generate
    from optimizer.io import problem_to_json

    size = RegionSize(
        num_orders=options.orders,
        num_shops=options.shops,
        num_supply_points=options.supply_points,
        num_bikes=options.bikes,
        num_vans=options.vans,
    )
    _emit(problem_to_json(generate(options.seed, size)))
    return 0


def _network(options: argparse.Namespace) -> int:
    """Make the road networks of an extract, or read them from their cache, and say what they hold."""
    from optimizer.travel.extract import load
    from optimizer.travel.graph import RoadGraph
    from optimizer.travel.model import OSM_ATTRIBUTION

    extract = load(options.file, options.cache)
    row: dict[str, Any] = {"type": "network", "attribution": OSM_ATTRIBUTION, "profiles": {}}
    row |= {"seconds": round(extract.seconds, 3), "from_cache": extract.from_cache}
    row["cache"] = str(extract.cache) if extract.cache else None
    for name, network in extract.networks.items():
        graph = RoadGraph(network)
        sizes = {"nodes": graph.num_nodes, "edges": graph.num_edges, "km": round(network.km, 1)}
        row["profiles"][name] = sizes | {"largest_component": round(network.share, 4)}
    if options.json:
        _emit(row)
    else:
        _print_network(row)
    return 0


def _compile(_: argparse.Namespace) -> int:
    """Compile what is compiled at the first call, so that no plan has to wait for it."""
    from optimizer.compiled import forget_older_versions
    from optimizer.generator import RegionSize, generate
    from optimizer.solve import solve

    size = RegionSize(num_orders=6, num_shops=2, num_supply_points=3, num_bikes=1, num_vans=1)
    began = time.monotonic()
    solve(generate(1, size), time_limit_s=3600.0, iterations=1, bound=True)
    forget_older_versions()
    _emit({"type": "compile", "seconds": round(time.monotonic() - began, 3)})
    return 0


def _bench(options: argparse.Namespace) -> int:
    """Measure ours and the peers; whoever stops it may go on later."""
    from optimizer.bench.command import bench

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bench(
        options.suites,
        solvers=options.solver,
        quick=options.quick,
        folder=options.results,
        data=options.data,
        jobs=max(1, options.jobs),
        again=options.again,
        report=options.report,
        revision=options.revision,
        say=lambda line: print(line, flush=True),
    )
    return 0


def _travel_model(options: argparse.Namespace) -> "TravelModel":
    """Return the travel model that the arguments name; whoever has a time limit waits no longer for it."""
    from optimizer.travel.named import travel_named

    patience_s = getattr(options, "time_limit", None)
    return travel_named(options.travel, cache_dir=options.cache, patience_s=patience_s)


def _read(file: str) -> bytes:
    return _standard_input().read() if file == "-" else Path(file).read_bytes()


def _standard_input() -> BinaryIO:
    from optimizer.checks import ProblemError

    if sys.stdin is None:
        raise ProblemError("file", "standard input is closed")
    return sys.stdin.buffer


def _read_start(file: str | None) -> "tuple[Solution | None, tuple[Route, ...]]":
    """Read a plan and routes to begin with, from a file or from one line of standard input."""
    from optimizer.io import read_routes, read_solution

    if file is None:
        return None, ()
    document = _standard_input().readline() if file == "-" else Path(file).read_bytes()
    return read_solution(document), read_routes(document)


def _read_line_then_watch() -> bytes:
    line = _standard_input().readline()
    threading.Thread(target=_end_with_input, daemon=True).start()
    return line


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(ABANDONED)


def _emit(row: dict[str, Any]) -> None:
    """Write one JSON line at once."""
    print(json.dumps(row, ensure_ascii=False), flush=True)


def _emit_progress(progress: "Progress") -> None:
    from optimizer.io import progress_to_json

    _emit({"type": "progress", **progress_to_json(progress)})


class _Teller:
    """Says on standard error what gets cheaper, and when something else than searching begins."""

    def __init__(self) -> None:
        self._cost_cents: int | None = None

    def __call__(self, progress: "Progress") -> None:
        """Take notice of a report."""
        searching = progress.phase in ("assignment", "construction", "routes", "master")
        if progress.cost_cents is None or (searching and progress.cost_cents == self._cost_cents):
            return
        self._cost_cents = progress.cost_cents
        euros = f"{progress.cost_cents / 100:.2f} EUR, {progress.carried} carried"
        if progress.bound is not None:
            euros += f", at least {progress.bound / 100:.2f} EUR"
        print(f"{progress.elapsed_s:6.1f} s  {progress.phase:12} {euros}", file=sys.stderr, flush=True)


def _summary(result: "Result") -> dict[str, Any]:
    """Return a run in a few figures."""
    solution = result.solution
    return {
        "cost": solution and solution.cost_cents,
        "vehicles": solution and len(solution.routes),
        "left_out": solution and len(solution.left_out),
        "bound": result.bound,
        "gap_percent": None if result.gap is None else round(100 * result.gap, 3),
        "violations": len(result.violations),
        "seconds": result.seconds,
    }


def _print_network(row: dict[str, Any]) -> None:
    """Print what road networks hold, for people."""
    for name, sizes in row["profiles"].items():
        print(
            f"{name:12} {sizes['nodes']:8} nodes {sizes['edges']:8} edges {sizes['km']:10.1f} km, "
            f"{sizes['largest_component']:.1%} of the roads it may use"
        )
    kept = f"{'read from' if row['from_cache'] else 'kept in'} {row['cache']}" if row["cache"] else "not kept"
    print(f"{row['seconds']:.1f} s, {kept}")
    print(row["attribution"])


COMMANDS = {
    "solve": _solve,
    "check": _check,
    "rest": _rest,
    "generate": _generate,
    "network": _network,
    "compile": _compile,
    "bench": _bench,
}


def run() -> int:
    """Run the command of this process: what it says is UTF-8, whatever the locale; nobody may listen."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    try:
        status = main(started_s=STARTED)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    os._exit(run())  # Tearing down the solvers' libraries takes time and decides nothing.
