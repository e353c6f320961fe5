"""Cases and lines of the benchmark, with a default for everything."""

from typing import Any

from optimizer.bench.runner import Record
from optimizer.bench.suites import OURS, Case


def a_case(instance: str = "region-20-1", *, solver: str = OURS, seed: int = 1, seconds: int = 1) -> Case:
    return Case(suite="regional", instance=instance, solver=solver, seed=seed, seconds=seconds)


def a_record(case: Case, **fields: Any) -> Record:
    defaults = {"revision": "r1", "status": "done", "violations": 0, "left_out": 0, "orders": 53}
    measured = {"wall_s": 1.0, "cpu_s": 1.0, "peak_mib": 80}
    return case.to_json() | defaults | measured | fields
