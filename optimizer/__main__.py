"""
Command line: ``python -m optimizer solve | check | generate``.

``solve`` writes JSON lines with ``--progress`` or ``--json``: ``{"type": "progress", ...}`` as often as
something happens, then one ``{"type": "result", ...}``; without them it writes a short table. Bad input ends
with status 2 and ``{"type": "error", "code": ..., "field": ..., "detail": ...}``, a plan that fails the
independent check with 3. A signal ends it at once.
"""

import argparse
import json
import math
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.result import Progress, Result

STARTED = time.monotonic()
#: Exit status when standard input closed before the search was over.
ABANDONED = 3
#: Seconds of the time limit that remain for the search, however long starting up took.
LEAST_SEARCH_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit status."""
    options = _parser().parse_args(arguments)
    from optimizer.checks import (
        ProblemError,  # Slow modules load only once the arguments are known to be good.
    )

    try:
        return int(options.command(options))
    except ProblemError as error:
        _emit({"type": "error", "code": "invalid-input", "field": error.field, "detail": str(error)})
        return 2
    except OSError as error:
        _emit({"type": "error", "code": "unreadable-file", "field": "file", "detail": str(error)})
        return 2
    except BrokenPipeError:
        return 1


def _solve(options: argparse.Namespace) -> int:
    """Plan the day of a file."""
    from optimizer.io import read_problem, result_to_json
    from optimizer.solve import solve

    problem = read_problem(_read_line_then_watch() if options.stop_on_eof else _read(options.file))
    result = solve(
        problem,
        time_limit_s=max(LEAST_SEARCH_S, options.time_limit - (time.monotonic() - STARTED)),
        seed=options.seed,
        iterations=options.iterations,
        on_progress=_emit_progress if options.progress else None,
    )
    if options.progress or options.json:
        _emit({"type": "result", **result_to_json(result)})
    else:
        _print_table(result)
    return 0 if result.solution else 3


def _check(options: argparse.Namespace) -> int:
    """Check a solution independently of whatever made it; the status is 1 if it breaks a rule."""
    from optimizer.feasibility import violations
    from optimizer.io import read_problem, read_solution

    found = violations(read_problem(_read(options.file)), read_solution(_read(options.solution)))
    _emit({"type": "check", "violations": found})
    return 1 if found else 0


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m optimizer", description="Plan a day of shared runs.")
    commands = parser.add_subparsers(required=True)
    solve = commands.add_parser("solve", help="plan the day of a JSON problem")
    solve.add_argument("file", help="problem, - for standard input")
    solve.add_argument("--time-limit", type=_seconds, default=30.0, metavar="S")
    solve.add_argument("--iterations", type=_count, default=None, metavar="N")
    solve.add_argument("--seed", type=_count, default=0, metavar="N")
    solve.add_argument("--json", action="store_true", help="write the result as one JSON line")
    solve.add_argument("--progress", action="store_true", help="write JSON lines while searching")
    solve.add_argument(
        "--stop-on-eof",
        action="store_true",
        help="read the problem as the first line of standard input, and end when that input closes: "
        "whoever started the search is gone then",
    )
    solve.set_defaults(command=_solve)
    check = commands.add_parser("check", help="check the result of a solve")
    check.add_argument("file", help="problem")
    check.add_argument("solution", help="result")
    check.set_defaults(command=_check)
    generate = commands.add_parser("generate", help="write a synthetic problem")
    generate.add_argument("--seed", type=_count, default=0, metavar="N")
    for name, default in (("orders", 300), ("shops", 60), ("supply-points", 45), ("bikes", 8), ("vans", 4)):
        generate.add_argument(f"--{name}", type=_count, default=default, metavar="N")
    generate.set_defaults(command=_generate)
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError("must be a whole number from 0")
    return value


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _read_line_then_watch() -> bytes:
    line = sys.stdin.buffer.readline()
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


def _print_table(result: "Result") -> None:
    """Print a plan for people."""
    solution = result.solution
    if solution is None:
        print(f"no plan ({result.status})")
        return
    for route in solution.routes:
        km, hours = route.distance_m / 1000, route.duration_s / 3600
        orders = sum(len(stop.deliveries) for stop in route.stops)
        print(
            f"{route.vehicle:12} {orders:4} orders {len(route.stops):4} stops {km:7.1f} km {hours:5.1f} h "
            f"{route.cost.total_cents / 100:9.2f} EUR"
        )
    for left in solution.left_out:
        print(f"{left.order:12} left out: {left.sentence} {left.remedy.sentence if left.remedy else ''}")
    print(
        f"{solution.num_carried} carried, {len(solution.left_out)} left out, "
        f"{solution.cost_cents / 100:.2f} EUR, {result.bound_reason}, {result.seconds:.1f} s"
    )


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # Tearing down the solvers' libraries takes time and decides nothing.
