"""The results as Markdown: goals, then for each suite its solvers and its instances."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from optimizer.bench.goals import RELIABLE, goals
from optimizer.bench.suites import OURS
from optimizer.bench.summary import (
    Measure,
    Runs,
    cost,
    extra_vehicles,
    failures,
    gap_percent,
    mean_of,
    proven_gap_percent,
)

_ABOUT = """\
Runs of a suite have a core each and the same CPU seconds; those of `large`, `changes` and `short` have the
machine to themselves, and seconds on the wall. VROOM ends when it has nothing left to try, and runs once, as
does OR-Tools: seeds change nothing there. A peer plans what residents wished for first, repaired where
lockers are full, or, *our assignment*, what ours chose. Means are over seeds first, then over instances;
costs are in cents."""
_VERDICTS = {True: "met", False: "**missed**", None: "open"}
#: What the solvers of a suite are compared by; where there is nothing to compare with, the cost over ours.
_MEASURES: dict[str, tuple[str, Measure]] = {
    "li-lim": ("gap to best known, %", gap_percent),
    "vehicles": ("vehicles beyond best known", extra_vehicles),
    "vrpdo": ("gap to reference, %", gap_percent),
    "bound": ("gap to bound, %", proven_gap_percent),
}


def write(runs: Runs, file: Path) -> None:
    """Write the table."""
    file.write_text("\n".join(_lines(runs)) + "\n")


def _lines(runs: Runs) -> Iterator[str]:
    yield "# Benchmark"
    yield ""
    yield _ABOUT
    yield ""
    yield "## Goals"
    yield ""
    rows = [(goal.suite, goal.text, goal.measured, _VERDICTS[goal.met]) for goal in goals(runs)]
    yield from _table(("suite", "goal", "measured", ""), rows)
    for suite in runs.suites:
        yield from ("", f"## {suite}", "")
        yield from _solvers(runs, suite)
        yield ""
        yield from _instances(runs, suite)


def _solvers(runs: Runs, suite: str) -> Iterator[str]:
    title, _ = _MEASURES.get(suite, ("cost over ours", None))
    head = ("solver", "runs", "failed", f"{title}: mean", "worst", "best on", "CPU s", "wall s", "peak MiB")
    wins = runs.wins(suite)
    rows = []
    for solver in runs.solvers(suite):
        records = runs.of(suite, solver)
        values = _compared(runs, suite, solver)
        rows.append(
            (
                solver,
                f"{len(records)} of {runs.num_cases(suite, solver)}",
                str(len(failures(records))),
                _number(fmean(values) if values else None, 3),
                _number(max(values, default=None), 3),
                str(wins[solver]),
                *(_number(mean_of(records, name), 1) for name in ("cpu_s", "wall_s")),
                _number(mean_of(records, "peak_mib"), 0),
            )
        )
    yield from _table(head, rows)


def _compared(runs: Runs, suite: str, solver: str) -> list[float]:
    if suite in _MEASURES:
        return list(runs.means(suite, solver, _MEASURES[suite][1]).values())
    return list(runs.ratios(suite, solver, OURS).values())


def _instances(runs: Runs, suite: str) -> Iterator[str]:
    solvers = runs.solvers(suite)
    rows = []
    for instance in runs.instances(suite):
        means = {solver: runs.mean(suite, solver, instance, cost) for solver in solvers}
        least = min((value for value in means.values() if value is not None), default=None)
        cells = [_emphasised(value, least) for value in means.values()]
        rows.append((instance, _known(runs, suite, instance), *cells, _vehicles(runs, suite, instance)))
    yield from _table(("instance", "known", *solvers, "our vehicles"), rows)


def _emphasised(value: float | None, least: float | None) -> str:
    text = _number(value, 0)
    return f"**{text}**" if value is not None and value == least else text


def _known(runs: Runs, suite: str, instance: str) -> str:
    for solver in runs.solvers(suite):
        for record in runs.of(suite, solver, instance):
            if record.get("reference"):
                return ", ".join(f"{value:,} {name}" for name, value in record["reference"].items())
    return ""


def _vehicles(runs: Runs, suite: str, instance: str) -> str:
    records = (runs.of(suite, solver, instance) for solver in RELIABLE)
    return _number(next((mean_of(some, "vehicles") for some in records if some), None), 1)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
