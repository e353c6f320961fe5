"""
JSON in and out: one generic reader and writer for the frozen dataclasses.

A problem is an object with ``"format": "dorfbote-problem"`` and ``"version": 1``; the other keys are the
fields of :class:`optimizer.problem.Problem`, and so on down. Fields with a default may be left out, unknown
keys are refused. A small but complete problem::

    {"format": "dorfbote-problem", "version": 1,
     "places": [
       {"id": "hub", "latitude": 52.103, "longitude": 9.360},
       {"id": "bakery", "latitude": 52.104, "longitude": 9.356, "stop_duration_s": 120,
        "windows": [{"earliest_s": 34200, "latest_s": 64800}]},
       {"id": "grohnde", "latitude": 52.018, "longitude": 9.413, "stop_duration_s": 120,
        "compartments": [{"temperature": "ambient", "size": "M", "count": 2, "low": true}]}],
     "zones": [{"id": "centre", "ring": [[9.35, 52.10], [9.36, 52.10], [9.36, 52.11]],
                "forbidden_profiles": ["van"]}],
     "profiles": [{"id": "bike", "speed_m_s": 4.5, "detour_factor": 1.3},
                  {"id": "van", "speed_m_s": 12.0, "detour_factor": 1.3}],
     "matrices": [],
     "vehicles": [
       {"id": "bike-1", "profile": "bike", "start_place": "hub", "end_place": "hub",
        "capacity": {"weight_g": 100000, "volume_cm3": 600000, "chilled_cm3": 60000, "frozen_cm3": 0},
        "shift": {"earliest_s": 34200, "latest_s": 68400}, "max_duration_s": 21600, "range_m": 60000,
        "fixed_cost_cents": 500, "cost_per_km_cents": 8, "cost_per_hour_cents": 1800,
        "co2e_g_per_km": 5}],
     "orders": [
       {"id": "o1", "household": "h1", "pickup_place": "bakery", "ready_s": 34200, "deadline_s": 68400,
        "parcels": [{"size": "S", "temperature": "ambient", "count": 1,
                     "volume_cm3": 12000, "weight_g": 1500}],
        "options": [{"place": "grohnde", "preference_penalty_cents": 0}],
        "unserved_penalty_cents": 1500, "handling_s_per_parcel": 30,
        "compartments": [{"temperature": "ambient", "size": "S", "low": true}]}],
     "co2e_price_cents_per_kg": 20, "max_ride_s": {"chilled": 7200}}

Moments are whole seconds after midnight of the delivery day. ``compartments`` of a place: a list makes it
a locker (an empty one accepts nothing), absent or ``null`` a shop, hub or counter. ``compartments`` of an
order: what it claims when it goes to a locker, one entry for each bundle. ``low`` (``false`` if left out)
marks compartments whose doors can be reached from a wheelchair, and claims that need one of these. A matrix
has ``profile``, ``distance_m`` and ``duration_s``, square, in the order of ``places``.

A result is an object with ``"format": "dorfbote-result"``, ``"version": 1`` and the fields of
:class:`optimizer.result.Result`; its ``solution`` holds ``routes``, ``left_out`` and ``prices`` as in
:mod:`optimizer.solution`, and besides the derived ``cost``, ``cost_cents`` and ``num_carried``; each route
besides ``duration_s``; each cost besides ``total_cents``. Where the problem is at hand, each stop has its
``load``, ``load_share`` and ``slack_s`` of :mod:`optimizer.explain.margins`, and each route with stops their
least ``slack_s`` and greatest ``load_share``. As the last line after those of progress it has ``"type":
"result"``; with ``--others`` its ``routes`` are further ones, which a search that begins with it may choose.
What is derived is skipped when it is read back.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from functools import cache
from typing import Any, cast

import numpy as np

from optimizer.checks import ProblemError, unique
from optimizer.explain.margins import margins
from optimizer.problem import Problem
from optimizer.result import Progress, Result
from optimizer.solution import CostTerms, Route, Solution, Stop

PROBLEM_FORMAT = "dorfbote-problem"
RESULT_FORMAT = "dorfbote-result"
VERSION = 1
#: No whole number is larger.
LARGEST_INTEGER = 10**15

#: Properties that are written for readers' convenience, and skipped when read back.
DERIVED: dict[type, tuple[str, ...]] = {
    CostTerms: ("total_cents",),
    Route: ("duration_s",),
    Solution: ("cost", "cost_cents", "num_carried"),
}
#: What is written besides where the problem is at hand, and skipped too.
WITH_PROBLEM: dict[type, tuple[str, ...]] = {
    Route: ("load_share", "slack_s"),
    Stop: ("load", "load_share", "slack_s"),
}


def read_problem(text: str | bytes) -> Problem:
    """
    Read a problem.

    Raises
    ------
    ProblemError
        If the text is not JSON, not of this format and version, or a field makes no sense; ``field`` is the
        path to it, such as ``orders[3].parcels[0].count``.
    """
    return cast("Problem", _read(Problem, _content(_parse(text), PROBLEM_FORMAT), ""))


def read_solution(text: str | bytes) -> Solution:
    """
    Read the solution out of a result, with or without its progress lines before it.

    Raises
    ------
    ProblemError
        If the text holds no result, or one without a solution.
    """
    return cast("Solution", _read(Solution, _result(text).get("solution"), "solution"))


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON values."""
    return {"format": PROBLEM_FORMAT, "version": VERSION, **cast("dict[str, Any]", _write(problem))}


def result_to_json(result: Result, problem: Problem | None = None) -> dict[str, Any]:
    """Return a result as JSON values; with its problem, each stop tells its load and slack."""
    document = {"format": RESULT_FORMAT, "version": VERSION, **cast("dict[str, Any]", _write(result))}
    if problem is not None and result.solution is not None:
        for route, row in zip(result.solution.routes, document["solution"]["routes"], strict=True):
            row.update(_margins_to_json(problem, route, row["stops"]))
    return document


def start_to_json(plan: Solution, routes: Sequence[Route] = ()) -> dict[str, Any]:
    """Return a plan to begin with, and routes that may be driven besides its own, as JSON values."""
    content = {"solution": _write(plan), "routes": [_write(route) for route in routes]}
    return {"format": RESULT_FORMAT, "version": VERSION, **content}


def read_routes(text: str | bytes) -> tuple[Route, ...]:
    """
    Read the routes that a result, or a plan to begin with, offers besides those of its plan.

    Raises
    ------
    ProblemError
        If the text is no result.
    """
    routes = _result(text).get("routes", [])
    return cast("tuple[Route, ...]", _read(tuple[Route, ...], routes, "routes"))


def _result(text: str | bytes) -> dict[str, Any]:
    """Return the fields of a result, with or without progress lines before it."""
    lines = text.strip().splitlines()
    data = _parse(lines[-1] if len(lines) > 1 and _is_json(lines[-1]) else text)
    return _content(data, RESULT_FORMAT)


def _margins_to_json(problem: Problem, route: Route, stops: list[dict[str, Any]]) -> dict[str, Any]:
    """Put what each stop leaves unused into its values, and return what that means for the route."""
    unused = margins(problem, route)
    for margin, stop in zip(unused, stops, strict=True):
        stop.update(cast("dict[str, Any]", _write(margin)))
    if not unused:
        return {}
    return {
        "load_share": max(margin.load_share for margin in unused),
        "slack_s": min(margin.slack_s for margin in unused),
    }


def progress_to_json(progress: Progress) -> dict[str, Any]:
    """Return one report of progress as JSON values."""
    return cast("dict[str, Any]", _write(progress))


def _is_json(text: str | bytes) -> bool:
    try:
        _parse(text)
    except ProblemError:
        return False
    return True


def _parse(text: str | bytes) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except ProblemError:
        raise
    except (ValueError, RecursionError) as error:
        raise ProblemError("document", f"is not JSON ({error})") from error


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return the fields of an object; of two with one name, JSON would forget the first."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        unique("document", names)
    return fields


def _content(data: object, expected: str) -> dict[str, Any]:
    """Return the fields of a versioned document without its envelope."""
    if not isinstance(data, dict):
        raise ProblemError("document", "must be an object")
    content = dict(data)
    if content.pop("format", None) != expected:
        raise ProblemError("format", f"must be {expected}")
    if content.pop("version", None) != VERSION:
        raise ProblemError("version", f"must be {VERSION}")
    return content


def _read(kind: Any, data: object, path: str) -> object:
    """Read a value of a type; every error names the path to it."""
    if dataclasses.is_dataclass(kind):
        return _read_object(cast("type", kind), data, path)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return _read_union(arguments, data, path)
    if origin is tuple:
        return _read_tuple(arguments, data, path)
    if origin is np.ndarray:
        return _read_table(data, path)
    if origin is Mapping:
        return _read_mapping(arguments, data, path)
    return _read_scalar(kind, data, path)


def _read_object(kind: type, data: object, path: str) -> object:
    if not isinstance(data, dict):
        raise ProblemError(path or "document", "must be an object")
    hints, fields = _hints(kind), _fields(kind)
    skipped = {*DERIVED.get(kind, ()), *WITH_PROBLEM.get(kind, ())}
    given = {name: value for name, value in data.items() if name not in skipped}
    for name in given:
        if name not in fields:
            raise ProblemError(_join(path, name), "is unknown")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in given:
            raise ProblemError(_join(path, name), "is missing")
    values = {name: _read(hints[name], value, _join(path, name)) for name, value in given.items()}
    try:
        return kind(**values)
    except ProblemError as error:
        raise ProblemError(_join(path, error.field), error.reason) from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@cache
def _fields(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind)}


def _read_union(kinds: tuple[Any, ...], data: object, path: str) -> object:
    """Read one of several types: ``None``, or the first that the value fits."""
    if data is None and type(None) in kinds:
        return None
    choices = [kind for kind in kinds if kind is not type(None)]
    for kind in choices[:-1]:
        try:
            return _read(kind, data, path)
        except ProblemError:
            continue
    return _read(choices[-1], data, path)


def _read_tuple(kinds: tuple[Any, ...], data: object, path: str) -> tuple[object, ...]:
    if not isinstance(data, list):
        raise ProblemError(path, "must be a list")
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], value, f"{path}[{i}]") for i, value in enumerate(data))
    if len(data) != len(kinds):
        raise ProblemError(path, f"must have {len(kinds)} entries")
    return tuple(
        _read(kind, value, f"{path}[{i}]") for i, (kind, value) in enumerate(zip(kinds, data, strict=True))
    )


def _read_table(data: object, path: str) -> object:
    try:
        table = np.array(data)
    except ValueError as error:
        raise ProblemError(path, "must be a square table") from error
    if not np.issubdtype(table.dtype, np.integer):
        raise ProblemError(path, "must hold whole numbers")
    return table.astype(np.int64)


def _read_mapping(kinds: tuple[Any, ...], data: object, path: str) -> dict[object, object]:
    if not isinstance(data, dict):
        raise ProblemError(path, "must be an object")
    return {
        _read(kinds[0], key, path): _read(kinds[1], value, _join(path, key)) for key, value in data.items()
    }


def _read_scalar(kind: Any, data: object, path: str) -> object:
    if isinstance(kind, type) and issubclass(kind, Enum):
        if data not in [member.value for member in kind]:
            raise ProblemError(path, f"must be one of {', '.join(str(member.value) for member in kind)}")
        return kind(data)
    accepted = (int, float) if kind is float else kind
    if isinstance(data, bool) != (kind is bool) or not isinstance(data, accepted):
        raise ProblemError(path, f"must be {_TYPE_NAMES[kind]}")
    if isinstance(data, float) and not math.isfinite(data):
        raise ProblemError(path, "must be a finite number")
    if isinstance(data, int) and abs(data) > LARGEST_INTEGER:
        raise ProblemError(path, f"must lie between {-LARGEST_INTEGER} and {LARGEST_INTEGER}")
    if isinstance(data, str) and not _is_text(data):
        raise ProblemError(path, "holds half of a character, which cannot be written")
    return data


def _is_text(data: str) -> bool:
    """Tell whether a text can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    try:
        data.encode()
    except UnicodeEncodeError:
        return False
    return True


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _write(value: object) -> object:
    """Return a value as what :mod:`json` can write."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _write(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_write(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)] + list(DERIVED.get(type(value), ()))
        return {name: _write(getattr(value, name)) for name in names}
    return value
