"""What we want to reach, and whether we do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, median

from optimizer.bench.runner import Record
from optimizer.bench.suites import AGAIN, BOUND, DIVIDED, LONG_AGAIN, MASTER, OURS, PEERS, ROOMY, WITHOUT
from optimizer.bench.summary import Runs, cost, extra_vehicles, failures, gap_percent, proven_gap_percent

#: Ours, whose plans must keep the rules, and may not take longer than said.
RELIABLE = (OURS, DIVIDED, AGAIN, BOUND, MASTER)
PUNCTUAL = (OURS, DIVIDED, AGAIN, BOUND, ROOMY)
#: Orders up to which an instance of Li and Lim has 100 tasks.
ORDERS_OF_100_TASKS = 60


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of a suite, what was measured, and whether it is met: ``None`` if it cannot be told yet."""

    suite: str
    text: str
    measured: str
    met: bool | None


def goals(runs: Runs) -> list[Goal]:
    """Return the goals of all suites that were chosen."""
    found = []
    for suite in runs.suites:
        found += [_cautious(goal, runs) for goal in _GOALS[suite](runs)]
    return [*found, *_time_limit(runs)]


def _cautious(goal: Goal, runs: Runs) -> Goal:
    """Return a goal that is met only if all runs of ours brought a plan that keeps the rules."""
    solvers = [solver for solver in runs.solvers(goal.suite) if solver in RELIABLE]
    wanted = sum(runs.num_cases(goal.suite, solver) for solver in solvers)
    records = [record for solver in solvers for record in runs.of(goal.suite, solver)]
    plans = len(records) - len(failures(records))
    if plans == wanted or not records:
        return goal
    measured = f"{goal.measured} ({plans} of {wanted} plans)"
    return replace(goal, measured=measured, met=None if goal.met else goal.met)


def _goal(suite: str, text: str, value: float | None, most: float, form: str = "{:.2f}") -> Goal:
    """Return a goal that something stays below a number."""
    if value is None:
        return Goal(suite, text, "not run", None)
    return Goal(suite, text, form.format(value), value <= most)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _li_lim(runs: Runs) -> Iterator[Goal]:
    suite = "li-lim"
    gaps = runs.values(suite, OURS, gap_percent)
    mean = _mean(list(runs.means(suite, OURS, gap_percent).values()))
    yield _goal(suite, "mean gap to the best known at most 0.10 %", mean, 0.10, "{:.3f} %")
    yield _goal(suite, "worst gap at most 0.8 %", max(gaps, default=None), 0.8, "{:.3f} %")
    for peer in PEERS:
        theirs = _mean(list(runs.means(suite, peer, gap_percent).values()))
        if mean is None or theirs is None:
            yield Goal(suite, f"mean gap below {peer}", "not run", None)
        else:
            yield Goal(suite, f"mean gap below {peer}", f"{mean:.3f} % against {theirs:.3f} %", mean < theirs)


def _vehicles(runs: Runs) -> Iterator[Goal]:
    suite = "vehicles"
    extra = runs.means(suite, OURS, extra_vehicles)
    small = [name for name in extra if _orders(runs, suite, name) <= ORDERS_OF_100_TASKS]
    yield _reached(suite, "best known number of vehicles on all of 100 tasks", extra, small, 1.0)
    large = [name for name in extra if name not in small]
    yield _reached(suite, "best known number of vehicles on 60 % of those of 200 tasks", extra, large, 0.6)
    peers = {name: runs.best_peer(suite, name, extra_vehicles) for name in extra}
    worse = [name for name, best in peers.items() if best is not None and extra[name] > best]
    compared = any(best is not None for best in peers.values())
    measured = ", ".join(worse) or "nowhere more"
    text = "never more vehicles than the best peer"
    yield Goal(suite, text, measured if compared else "not run", not worse if compared else None)


def _orders(runs: Runs, suite: str, instance: str) -> int:
    return max(int(record.get("orders", 0)) for record in runs.of(suite, OURS, instance))


def _reached(suite: str, text: str, extra: dict[str, float], instances: Sequence[str], part: float) -> Goal:
    if not instances:
        return Goal(suite, text, "not run", None)
    reached = sum(extra[name] <= 0 for name in instances)
    return Goal(suite, text, f"{reached} of {len(instances)}", reached >= part * len(instances))


def _vrpdo(runs: Runs) -> Iterator[Goal]:
    suite = "vrpdo"
    mean = _mean(list(runs.means(suite, OURS, gap_percent).values()))
    yield _goal(suite, "mean cost at most that of the reference solutions", mean, 0.0, "{:+.2f} %")
    records = runs.of(suite, OURS)
    broken = [record for record in records if record in failures(records) or record.get("left_out")]
    yield _goal(suite, "no plan infeasible", len(broken) if records else None, 0, "{:.0f} infeasible")


def _regional(runs: Runs) -> Iterator[Goal]:
    suite = "regional"
    yield _goal(
        suite,
        "5 % cheaper in the mean than the best peer from first wishes",
        _mean(_ratios_to_best_peer(runs, suite)),
        0.95,
        "{:.3f} of its cost",
    )
    ratios = runs.ratios_on_our_assignment(suite, OURS)
    text = "cheaper in the mean than the best peer given our assignment"
    yield _goal(suite, text, _mean(ratios), 1.0 - 1e-9, "{:.4f} of its cost")
    text = "never more than 0.3 % dearer than it"
    yield _goal(suite, text, max(ratios, default=None), 1.003, "{:.4f} of its cost at worst")


def _ratios_to_best_peer(runs: Runs, suite: str) -> list[float]:
    """Return for each instance our mean cost over the least mean cost of a peer."""
    ours = runs.means(suite, OURS, cost)
    best = {name: runs.best_peer(suite, name, cost) for name in ours}
    return [ours[name] / value for name, value in best.items() if value]


def _compartments(runs: Runs) -> Iterator[Goal]:
    suite = "compartments"
    ratio = _mean(_ratios_to_best_peer(runs, suite))
    text = "gain over the best peer from first wishes where compartments bind"
    yield _goal(suite, text, None if ratio is None else 100 * (ratio - 1), 0.0, "{:+.1f} %")
    lifted = runs.of(suite, ROOMY)
    overfull = sum(record.get("violations", 0) > 0 for record in lifted)
    text = "rows of compartments change the plan: without them lockers overflow"
    measured = f"in {overfull} of {len(lifted)} runs" if lifted else "not run"
    yield Goal(suite, text, measured, overfull > 0 if lifted else None)


def _bound(runs: Runs) -> Iterator[Goal]:
    suite = "bound"
    records, gaps = runs.of(suite, BOUND), runs.values(suite, BOUND, proven_gap_percent)
    text = "a bound for 80 % of the problems"
    measured = f"{len(gaps)} of {len(records)}" if records else "not run"
    yield Goal(suite, text, measured, len(gaps) >= 0.8 * len(records) if records else None)
    yield _goal(suite, "median gap at most 2 %", median(gaps) if gaps else None, 2.0, "{:.2f} %")


def _large(runs: Runs) -> Iterator[Goal]:
    suite = "large"
    by_size, complete = _by_size(runs, DIVIDED)
    text = "a complete plan that passes the check"
    yield Goal(suite, text, f"{len(complete)} of {len(by_size)}", complete == by_size if by_size else None)
    peak = max((record["peak_mib"] for record in complete), default=None)
    yield _goal(suite, "at most 4 GiB", peak, 4096, "{:.0f} MiB")
    first = [100 * (r["first_cost"] / r["cost"] - 1) for r in complete[:1] if r.get("first_cost")]
    yield _goal(suite, "first complete plan within 5 % of the last", _mean(first), 5.0, "{:.1f} %")
    for solver in (DIVIDED, OURS):
        seconds = [record["near_s"] for record in _by_size(runs, solver)[1] if record.get("near_s")]
        growth = seconds[0] / seconds[1] if len(seconds) > 1 else None
        text = "time to a plan within 5 % of the last grows at most 2.3 times when orders double"
        yield _goal(suite, f"{text}: {solver}", growth, 2.3, "{:.2f} times")
    ratio = runs.ratios(suite, DIVIDED, OURS).get(by_size[0]["instance"]) if by_size else None
    yield _goal(suite, "within 2 % of the undivided plan", ratio, 1.02, "{:.3f} of its cost")


def _by_size(runs: Runs, solver: str) -> tuple[list[Record], list[Record]]:
    """Return the runs of large days, largest first, and those of them that brought a plan."""
    by_size = sorted(runs.of("large", solver), key=lambda record: -int(record.get("orders", 0)))
    return by_size, [record for record in by_size if record not in failures(by_size)]


def _changes(runs: Runs) -> Iterator[Goal]:
    suite = "changes"
    seconds = max((record["wall_s"] for record in runs.of(suite, AGAIN)), default=None)
    yield _goal(suite, "a new plan within 5 s on the wall", seconds, 5.0, "{:.1f} s at worst")
    ratio = _mean(list(runs.ratios(suite, AGAIN, OURS).values()))
    text = "at least as cheap as one from nothing"
    yield _goal(suite, text, ratio, 1.0, "{:.3f} of its cost")
    ratio = _mean(list(runs.ratios(suite, AGAIN, LONG_AGAIN).values()))
    text = "at most 5 % dearer than with 10 times as long"
    yield _goal(suite, text, ratio, 1.05, "{:.3f} of its cost")


def _short(runs: Runs) -> Iterator[Goal]:
    seconds = max((record["wall_s"] for record in runs.of("short", OURS)), default=None)
    yield _goal("short", "a plan of 10,000 orders after 1 s", seconds, 6.0, "{:.1f} s on the wall")


def _steps(runs: Runs, suite: str) -> Iterator[Goal]:
    for solver in runs.solvers(suite)[1:]:
        ratio = _mean(list(runs.ratios(suite, solver, OURS).values()))
        measured = "not run" if ratio is None else f"{ratio:.4f} of the cost"
        text = f"dearer without {solver.removeprefix(WITHOUT)}"
        yield Goal(suite, text, measured, None if ratio is None else ratio > 1)


def _master(runs: Runs) -> Iterator[Goal]:
    suite = "master"
    built = [record["build_s"] for record in runs.of(suite, MASTER) if "build_s" in record]
    yield _goal(suite, "10,000 columns built in a second", _mean(built), 1.0, "{:.2f} s")
    parts = [
        part for name in runs.suites for r in runs.of(name, OURS) if (part := _master_part(r)) is not None
    ]
    yield _goal(suite, "the master takes at most 10 % of the time", _mean(parts), 0.10, "{:.1%}")


def _master_part(record: Record) -> float | None:
    phases = record.get("phases", {})
    return phases.get("master", 0.0) / sum(phases.values()) if phases else None


def _time_limit(runs: Runs) -> Iterator[Goal]:
    late = [
        record["wall_s" if record["alone"] else "cpu_s"] - record["seconds"] - max(0.1 * record["seconds"], 5)
        for suite in runs.suites
        for solver in PUNCTUAL
        for record in runs.of(suite, solver)
        if record["status"] == "done"
    ]
    text = "the time limit is kept within 10 % or 5 s"
    yield _goal("all", text, max(late, default=None), 0.0, "{:+.1f} s beyond that at worst")


_GOALS: dict[str, Callable[[Runs], Iterator[Goal]]] = {
    "li-lim": _li_lim,
    "vehicles": _vehicles,
    "vrpdo": _vrpdo,
    "regional": _regional,
    "compartments": _compartments,
    "bound": _bound,
    "large": _large,
    "changes": _changes,
    "short": _short,
    "steps": partial(_steps, suite="steps"),
    "steps-li-lim": partial(_steps, suite="steps-li-lim"),
    "master": _master,
}
