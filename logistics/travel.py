"""Travel of this installation: the model that ``TRAVEL_URL`` names."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from logistics.exceptions import TravelUnavailable
from optimizer.checks import ProblemError
from optimizer.problem import Problem
from optimizer.travel.model import TravelModel, TravelReport, prepare
from optimizer.travel.named import GEODESIC, travel_named

#: How often whoever waits is called while roads are read or a server is asked.
CALL_S = 10.0


def measured(problem: Problem, meanwhile: Callable[[], None]) -> tuple[Problem, tuple[TravelReport, ...]]:
    """
    Return a problem with travel matrices, and what the model says of them.

    Geodesics are left out: the solver and the independent check compute the same ones, sooner than they would
    read tables.

    Parameters
    ----------
    problem
        With or without matrices; given ones are kept.
    meanwhile
        Called every 10 s.

    Raises
    ------
    TravelUnavailable
        If the roads cannot be read.
    """
    name = settings.TRAVEL_URL
    if name == GEODESIC:
        return problem, tuple(TravelReport(profile=one.id, model=GEODESIC) for one in problem.profiles)
    with ThreadPoolExecutor(1) as executor:
        measuring = executor.submit(_prepared, problem, name)
        while not wait([measuring], timeout=CALL_S).done:
            meanwhile()
        return measuring.result()


def _prepared(problem: Problem, name: str) -> tuple[Problem, tuple[TravelReport, ...]]:
    try:
        return prepare(problem, _model(name, _last_change(name)))
    except (OSError, ProblemError) as error:
        raise TravelUnavailable(detail=str(error)) from error


def _last_change(name: str) -> int:
    """Return when the extract of a name was written, or 0 if it names none."""
    kind, _, source = name.partition(":")
    return Path(source).stat().st_mtime_ns if kind == "network" else 0


@lru_cache(maxsize=1)
def _model(name: str, _last_change: int) -> TravelModel:
    return travel_named(name)
