"""The real solver without a process of its own, for tests that are about what follows from a plan."""

import json
from collections.abc import Iterator
from typing import Any

from optimizer.io import read_problem, result_to_json
from optimizer.solve import solve


class SolverHere:
    """Stands in for ``SolverProcess``: the same search, a few iterations long, in this process."""

    def __init__(self, problem: dict[str, Any], *, time_limit_s: float, seed: int) -> None:
        self._problem = read_problem(json.dumps(problem))
        self._seed = seed

    def __enter__(self) -> "SolverHere":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind, for nothing was started."""

    def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
        """Yield the result."""
        result = solve(self._problem, time_limit_s=10, seed=self._seed, iterations=30)
        yield {"type": "result", **result_to_json(result)}
