"""The problems of the benchmark by name: public instances, and generated days of a region."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, cast

from optimizer import instances
from optimizer.bench.changes import begun
from optimizer.checks import ProblemError
from optimizer.generator import RegionSize, generate
from optimizer.problem import Place, Problem
from optimizer.solution import Solution

#: Names of generated days.
GENERATED = re.compile("(region|tight|large|changed)-([0-9]+)-([0-9]+)")
#: A tight day has one of so many compartments, but of each kind at least one.
TIGHT = 3
#: Compartments of each kind of a day on which they never bind.
PLENTY = 10_000


def load(name: str, objective: str, data: Path) -> Problem:
    """
    Return the problem of a name.

    It is the stem of a public instance, or ``region-ORDERS-SEED``, ``large-ORDERS-SEED``, with few
    compartments ``tight-ORDERS-SEED`` or, under way and not as planned, ``changed-ORDERS-SEED``.

    Raises
    ------
    ProblemError
        If the name means nothing.
    """
    if (generated := GENERATED.fullmatch(name)) is not None:
        kind, orders, day = generated[1], int(generated[2]), int(generated[3])
        if kind == "changed":
            return begun(_size(kind, orders), day)[0]
        problem = generate(day, _size(kind, orders))
        return tightened(problem) if kind == "tight" else problem
    file = _file_of(name, data)
    if file is None:
        raise ProblemError(
            "instance", f"{name} is neither a generated day nor a file in {data / 'instances'}"
        )
    return instances.read(file.read_bytes(), objective)


def is_there(name: str, data: Path) -> bool:
    """Tell whether a day can be generated, or the file of a public instance is there."""
    return GENERATED.fullmatch(name) is not None or _file_of(name, data) is not None


def _file_of(name: str, data: Path) -> Path | None:
    return next((data / "instances").glob(f"*/{name}.txt"), None)


def plan_of(name: str) -> Solution | None:
    """Return the plan by which a day has begun, if it has."""
    generated = GENERATED.fullmatch(name)
    if generated is None or generated[1] != "changed":
        return None
    return begun(_size("changed", int(generated[2])), int(generated[3]))[1]


def _size(kind: str, num_orders: int) -> RegionSize:
    """Return a size in the proportions of a day of 300 orders, or of a large one of 5,000."""
    parts, supply_points, bikes, vans = (5_000, 300, 100, 50) if kind == "large" else (300, 45, 8, 4)
    return RegionSize(
        num_orders=num_orders,
        num_shops=max(4, num_orders // 5),
        num_supply_points=max(4, round(num_orders * supply_points / parts)),
        num_bikes=max(1, round(num_orders * bikes / parts)),
        num_vans=max(1, round(num_orders * vans / parts)),
    )


def tightened(problem: Problem) -> Problem:
    """Return the problem with a fraction of its compartments."""
    return replace(
        problem, places=tuple(_restocked(p, lambda count: ceil(count / TIGHT)) for p in problem.places)
    )


def roomy(problem: Problem) -> Problem:
    """Return the problem without the rows that all runs share: more compartments than orders."""
    return replace(problem, places=tuple(_restocked(p, lambda _: PLENTY) for p in problem.places))


def _restocked(place: Place, count: Callable[[int], int]) -> Place:
    if place.compartments is None:
        return place
    stock = tuple(replace(kind, count=count(kind.count)) for kind in place.compartments)
    return replace(place, compartments=stock)


def reference(name: str, objective: str, data: Path) -> dict[str, int]:
    """
    Return what is known of a public instance: the best ``cost``, or the fewest ``vehicles``.

    Without the public data nothing is known of any.
    """
    known = _facts(data / "instances" / "li_lim_best_known.json")
    if objective == instances.Objective.VEHICLES:
        row = known.get("vehicles_first", {}).get(name)
        return {} if row is None else {"vehicles": int(row["solved_with_vehicles"])}
    options = _facts(data / "instances" / "vrpdo" / "reference_solutions.json")
    if name in options:
        return {"cost": round(options[name]["cost"])}
    cost = known.get("distance_x1000", {}).get(name)
    return {} if cost is None else {"cost": cost}


def _facts(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(file.read_text())) if file.exists() else {}
