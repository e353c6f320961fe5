"""Plans for tests that are about what follows from them, and the real solver without a process of its own."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from common import intents
from common.models import Intent
from logistics.models import Plan
from logistics.services import plans, pools
from optimizer.io import read_problem, read_routes, read_solution, result_to_json, start_to_json
from optimizer.regions.parts import other_routes
from optimizer.solution import Route
from optimizer.solve import solve
from tests.logistics.builders import Village, at

BUDGET_S = 1.0


class SolverHere:
    """
    Stands in for ``SolverProcess``: the same search, a few iterations long, in this process.

    A bound is proven only where a test asks for it by ``proves``.
    """

    proves = False

    def __init__(
        self,
        problem: dict[str, Any],
        *,
        time_limit_s: float,
        seed: int,
        bound: bool = False,
        start: dict[str, Any] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._problem = read_problem(json.dumps(problem))
        self._start = None if start is None else read_solution(json.dumps(start))
        self._routes = () if start is None else read_routes(json.dumps(start))
        self._iterations = 0 if "--iterations" in options else 30
        self._num_others = 5 if "--others" in options else 0
        self._seed = seed
        self._bound = bound and self.proves

    def __enter__(self) -> "SolverHere":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind, for nothing was started."""

    def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
        """Yield the result."""
        others: list[Route] = []
        result = solve(
            self._problem,
            time_limit_s=10,
            seed=self._seed,
            iterations=self._iterations,
            bound=self._bound,
            start=self._start,
            routes=self._routes,
            on_end=lambda search: others.extend(other_routes(search, self._num_others)),
        )
        assert result.solution is not None
        offer = start_to_json(result.solution, others)["routes"]
        yield {"type": "result", **result_to_json(result, self._problem), "routes": offer}


def computed(village: Village, *, close: bool = True) -> Plan:
    """Return the plan of a village's pool, computed as a worker would."""
    if close:
        pools.close(village.pool, at=at(9))
    else:
        plans.ask(village.pool, budget_s=BUDGET_S, at=at(8))
    Plan.objects.update(budget_s=BUDGET_S)
    plan = village.pool.plans.get()
    intents.perform(Intent.objects.get(key=f"logistics.compute_plan:{plan.pk}").pk)
    plan.refresh_from_db()
    return plan


def released(village: Village) -> Plan:
    """Return the released plan of a village's pool."""
    plan = computed(village)
    plans.release(plan, at=at(9, 10))
    plan.refresh_from_db()
    return plan
