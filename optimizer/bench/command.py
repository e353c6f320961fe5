"""``python -m optimizer bench``: run what has not been run, then write the table and the plot."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from optimizer.bench import plot, problems, suites, table
from optimizer.bench.runner import Record, Results, installed, run_all, waiting
from optimizer.bench.summary import Runs

TABLE, PLOT = "bench.md", "bench.svg"


def bench(
    names: Sequence[str],
    *,
    solvers: Sequence[str] | None = None,
    quick: bool,
    folder: Path,
    data: Path,
    jobs: int,
    again: bool,
    report: bool,
    revision: str | None,
    say: Callable[[str], None],
) -> None:
    """
    Run suites, and report on all that is known of them.

    Parameters
    ----------
    names
        Of suites; none means all.
    solvers
        Run only cases of these, as the table names them.
    quick
        Run little of each for some seconds, to see that everything works.
    folder
        Where results, table and plot are kept.
    data
        Where the public instances lie.
    jobs
        Runs at once, one core each.
    again
        Run even what has been run.
    report
        Run nothing.
    revision
        Name of the code that runs; by default a digest of it.
    say
        Told of every run.

    Raises
    ------
    ProblemError
        If a suite is unknown, or a solver that no suite runs.
    """
    chosen = suites.chosen(names, quick=quick)
    suites.check_solvers(solvers or ())
    results = Results.of(folder.resolve())
    if not report:
        cases = [case for suite in chosen for case in suite.cases() if installed(case)]
        cases = [case for case in cases if solvers is None or case.solver in solvers]
        known = {case.instance for case in cases if problems.is_there(case.instance, data)}
        if num_unknown := sum(case.instance not in known for case in cases):
            say(f"{num_unknown} runs are left out: their instances are not in {data}")
        cases = [case for case in cases if case.instance in known]
        cases = cases if again else waiting(cases, results, revision)
        total, number = len(cases), 0
        hours = sum(case.seconds for case in cases) / jobs / 3600
        say(f"{total} runs, {hours:.1f} h at most")

        def tell(record: Record) -> None:
            nonlocal number
            number += 1
            say(f"[{number}/{total}] {_line(record)}")

        run_all(cases, results, data=data.resolve(), jobs=jobs, revision=revision, tell=tell)
    runs = Runs(chosen, results.records())
    table.write(runs, results.folder / TABLE)
    say(f"{results.folder / TABLE} written")
    if find_spec("matplotlib"):
        plot.write(runs, results.folder / PLOT)
        say(f"{results.folder / PLOT} written")


def _line(record: Record) -> str:
    """Return a line for people."""
    case = f"{record['suite']} {record['instance']} {record['solver']} seed {record['seed']}"
    plan = f"cost {record.get('cost', '–')}, {record.get('violations', 0)} violations"
    return f"{case}: {record.get('error') or plan}, {record['wall_s']} s"
