"""How long it takes to build the master's model of many columns."""

import time
from random import Random
from typing import Any

from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.insertion import Tour, construct, idle_tours
from optimizer.master import Pool, build
from optimizer.peers.plan import nearest
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import consolidate

NUM_COLUMNS = 10_000
#: A column carries any shipment of its tour with this probability.
KEPT = 0.7


def build_seconds(problem: Problem, num_columns: int = NUM_COLUMNS) -> dict[str, Any]:
    """Build the model of different parts of feasible tours, and return how long that took."""
    day = Day(problem)
    room = Room(day)
    pool = _pool(day, room, num_columns)
    columns = list(pool)
    begun_s = time.process_time()
    model, _ = build(day, room, columns)
    build_s = time.process_time() - begun_s
    return {"columns": len(columns), "rows": len(model.constraints()), "build_s": round(build_s, 3)}


def _pool(day: Day, room: Room, num_columns: int) -> Pool:
    tours = idle_tours(day)
    construct(tours, consolidate(day, nearest(day)), lambda: False)
    busy = [tour for tour in tours if tour.shipments]
    random = Random(1)  # noqa: S311 - repeatable columns, nothing secret
    pool = Pool(room)
    while busy and len(pool) < num_columns:
        tour = random.choice(busy)
        timetable = _part(tour, random)
        if timetable is not None:
            pool.add(tour.vehicle, timetable)
    return pool


def _part(tour: Tour, random: Random) -> Timetable | None:
    """Return a tour without some of its shipments."""
    kept = {id(shipment) for shipment in tour.shipments if random.random() < KEPT}
    legs = [leg for leg in tour.legs if id(leg.shipment) in kept]
    timetable = evaluate(tour.vehicle, legs) if legs else None
    return timetable if isinstance(timetable, Timetable) else None
