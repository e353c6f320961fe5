"""What the command line takes."""

import argparse
import math
import os
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return the parser; the name of the command is ``command``."""
    found = argparse.ArgumentParser(prog="python -m optimizer", description="Plan a day of shared runs.")
    commands = found.add_subparsers(required=True, dest="command")
    solve = commands.add_parser("solve", help="plan the day of a problem")
    _add_problem(solve)
    solve.add_argument("--time-limit", type=_seconds, default=30.0, metavar="S")
    solve.add_argument("--iterations", type=_count, default=None, metavar="N")
    solve.add_argument("--seed", type=_count, default=0, metavar="N")
    solve.add_argument(
        "--bound", action="store_true", help="prove for half of the time how cheap it could be"
    )
    solve.add_argument(
        "--start",
        metavar="FILE",
        help="result to begin with; with --stop-on-eof - is a line before the problem",
    )
    solve.add_argument(
        "--others",
        type=_count,
        default=0,
        metavar="N",
        help="with --progress the result offers so many routes besides those of the plan",
    )
    solve.add_argument(
        "--workers",
        type=_count,
        default=0,
        metavar="N",
        help="plan a large region in territories, so many at once; without, or with 0, undivided",
    )
    solve.add_argument("--json", action="store_true", help="write the figures of the run as one JSON line")
    solve.add_argument(
        "--progress", action="store_true", help="write JSON lines while searching, and the result as the last"
    )
    solve.add_argument("--output", metavar="FILE", help="write the result to a file")
    solve.add_argument(
        "--stop-on-eof",
        action="store_true",
        help="read the problem as the first line of standard input, and end when that input closes: "
        "whoever started the search is gone then",
    )
    _add_travel(solve)
    check = commands.add_parser("check", help="check the result of a solve")
    _add_problem(check)
    check.add_argument("solution", help="result")
    _add_travel(check)
    rest = commands.add_parser("rest", help="write what is left of a day at a moment of its plan")
    _add_problem(rest)
    rest.add_argument("solution", help="result")
    rest.add_argument("--now", type=_count, required=True, metavar="S", help="seconds since midnight")
    rest.add_argument("--tolerance", type=_count, default=None, metavar="S", help="that nobody calls late")
    _add_travel(rest)
    generate = commands.add_parser("generate", help="write a synthetic problem")
    generate.add_argument("--seed", type=_count, default=0, metavar="N")
    for name, default in (("orders", 300), ("shops", 60), ("supply-points", 45), ("bikes", 8), ("vans", 4)):
        generate.add_argument(f"--{name}", type=_count, default=default, metavar="N")
    network = commands.add_parser("network", help="make the road networks of an OpenStreetMap extract")
    network.add_argument("file", help="extract, such as FILE.osm.pbf")
    network.add_argument("--json", action="store_true", help="write one JSON line")
    _add_cache(network)
    commands.add_parser("compile", help="compile the search now instead of with the first plan")
    _add_bench(commands.add_parser("bench", help="measure ours and other solvers on the same problems"))
    return found


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("suites", nargs="*", metavar="SUITE", help="all by default")
    bench.add_argument(
        "--solver", action="append", metavar="NAME", help="only this one, as often as you like"
    )
    bench.add_argument("--quick", action="store_true", help="little of each for some seconds")
    bench.add_argument("--results", type=Path, default=Path("var/bench"), metavar="DIR")
    bench.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("DORFBOTE_DATA", "../shared/data")),
        metavar="DIR",
        help="public instances",
    )
    bench.add_argument("--jobs", type=_count, default=2, metavar="N", help="runs at once")
    bench.add_argument("--again", action="store_true", help="run even what has been run")
    bench.add_argument("--report", action="store_true", help="run nothing, write table and plot")
    bench.add_argument("--revision", metavar="NAME", help="of the code; a digest by default")


def _add_problem(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", help="problem: our JSON, Li and Lim, or with delivery options (VRPDO); - for standard input"
    )
    command.add_argument("--objective", choices=("cost", "vehicles"), default="cost")


def _add_travel(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--travel",
        default="geodesic",
        metavar="MODEL",
        help="for profiles without a matrix: geodesic, network:FILE.osm.pbf or osrm:URL",
    )
    _add_cache(command)


def _add_cache(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cache", metavar="DIR", help="where road networks are kept; next to the extract")


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
