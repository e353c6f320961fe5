"""What the lines say: the latest of each case, its gap or ratio, means over seeds, and who wins."""

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

from optimizer.bench.runner import Record, key_of
from optimizer.bench.suites import GIVEN_OURS, PEERS, Suite

#: A number of one line, ``None`` if it has none.
Measure = Callable[[Record], float | None]


def gap_percent(record: Record) -> float | None:
    """Return how much dearer a plan is than the best known one, in per cent."""
    known = record.get("reference", {}).get("cost")
    return None if known is None or "cost" not in record else 100 * (record["cost"] / known - 1)


def extra_vehicles(record: Record) -> float | None:
    """Return how many vehicles more than known to suffice a plan takes."""
    known = record.get("reference", {}).get("vehicles")
    return None if known is None or "vehicles" not in record else float(record["vehicles"] - known)


def proven_gap_percent(record: Record) -> float | None:
    """Return how far a plan is from its bound at most, in per cent."""
    value = record.get("gap_percent")
    return None if value is None else float(value)


def cost(record: Record) -> float | None:
    """Return what a plan costs, in cents."""
    value = record.get("cost")
    return None if value is None else float(value)


class Runs:
    """
    The latest lines of some suites.

    Parameters
    ----------
    records
        All lines, oldest first; those of other cases are passed over.
    """

    def __init__(self, suites: Sequence[Suite], records: Iterable[Record]) -> None:
        self.suites = {suite.name: suite for suite in suites}
        self._cases = {suite.name: [case.key for case in suite.cases()] for suite in suites}
        self._latest = {key_of(record): record for record in records}

    def solvers(self, suite: str) -> list[str]:
        """Return the solvers of a suite, ours first."""
        return list(dict.fromkeys(key[2] for key in self._cases.get(suite, ())))

    def instances(self, suite: str) -> list[str]:
        """Return the instances of a suite."""
        return list(dict.fromkeys(key[1] for key in self._cases.get(suite, ())))

    def num_cases(self, suite: str, solver: str) -> int:
        """Return how many runs there are to be."""
        return sum(key[2] == solver for key in self._cases.get(suite, ()))

    def of(self, suite: str, solver: str, instance: str | None = None) -> list[Record]:
        """Return the lines of a solver, failures among them."""
        keys = [key for key in self._cases.get(suite, ()) if key[2] == solver and instance in (None, key[1])]
        return [self._latest[key] for key in keys if key in self._latest]

    def values(self, suite: str, solver: str, measure: Measure) -> list[float]:
        """Return a measure of each run that has it."""
        return [value for record in self.of(suite, solver) if (value := measure(record)) is not None]

    def mean(self, suite: str, solver: str, instance: str, measure: Measure) -> float | None:
        """Return the mean of a measure over the seeds of an instance."""
        records = self.of(suite, solver, instance)
        values = [value for record in records if (value := measure(record)) is not None]
        return fmean(values) if values else None

    def means(self, suite: str, solver: str, measure: Measure) -> dict[str, float]:
        """Return means over seeds by instance."""
        pairs = ((name, self.mean(suite, solver, name, measure)) for name in self.instances(suite))
        return {name: value for name, value in pairs if value is not None}

    def best_peer(self, suite: str, instance: str, measure: Measure) -> float | None:
        """Return the least mean of any peer that makes its own assignment."""
        values = [self.mean(suite, peer, instance, measure) for peer in PEERS]
        return min((value for value in values if value is not None), default=None)

    def ratios(self, suite: str, solver: str, other: str) -> dict[str, float]:
        """Return by instance what a solver costs, over what another does."""
        costs, others = self.means(suite, solver, cost), self.means(suite, other, cost)
        return {name: costs[name] / others[name] for name in costs if others.get(name)}

    def ratios_on_our_assignment(self, suite: str, ours: str) -> list[float]:
        """Return for each run of ours its cost over the least of the peers that got its assignment."""
        ratios = []
        for record in self.of(suite, ours):
            others = [
                value
                for peer in PEERS
                for other in self.of(suite, peer + GIVEN_OURS, record["instance"])
                if other["seed"] == record["seed"] and (value := cost(other)) is not None
            ]
            own = cost(record)
            if own is not None and others:
                ratios.append(own / min(others))
        return ratios

    def wins(self, suite: str) -> dict[str, int]:
        """Return on how many instances nobody else's mean cost is lower."""
        counts = dict.fromkeys(self.solvers(suite), 0)
        for instance in self.instances(suite):
            costs = {solver: self.mean(suite, solver, instance, cost) for solver in counts}
            known = {solver: value for solver, value in costs.items() if value is not None}
            for solver, value in known.items():
                counts[solver] += value <= min(known.values())
        return counts


def failures(records: Iterable[Record]) -> list[Record]:
    """Return the lines of runs without a plan that passed the check."""
    return [record for record in records if record["status"] != "done" or record.get("violations", 0) > 0]


def mean_of(records: Iterable[Record], name: str) -> float | None:
    """Return the mean of a field over the lines that have it."""
    values: list[Any] = [record[name] for record in records if record.get(name) is not None]
    return fmean(values) if values else None
