"""
VROOM: construction and local search on the whole of one assignment, at the highest level that time allows.

It is deterministic and ends of its own accord, often long before its time is over. Its first plans heed no
time limit: the lowest level tells how long the others will take, and the better plan on our clock counts. It
serves as much as it can, by priority, whatever that costs. Not known to it: cost of waiting, longest times in
the vehicle, the penalty of what is left out; and shifts end when the longest run does that begins with them.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import vroom

from optimizer.day import Day, Shipment, VehicleClass, Windows
from optimizer.peers.plan import finished
from optimizer.peers.view import Route, View, possible, prize_cents, restrictions, view

#: Units of cost in a cent; VROOM takes whole prices of a kilometre and an hour.
UNITS_PER_CENT = 10
MAX_PRIORITY = 100
MAX_LEVEL = 5
#: A level takes at most about so many times the seconds of the one below.
GROWTH = 1.8
#: VROOM keeps distances and times in 32 bits.
LARGEST = 2**31 - 1


def solve(day: Day, shipments: Sequence[Shipment], seconds: float, seed: int) -> list[Route]:
    """Plan shipments, in some CPU seconds at most but for the lowest level; the seed changes nothing."""
    chosen = possible(day, shipments)
    if not chosen:
        return []
    begun_s = time.process_time()
    plans = [_plan(day, chosen, 0, seconds)]
    used_s = time.process_time() - begun_s
    affordable = [n for n in range(1, MAX_LEVEL + 1) if used_s * GROWTH**n <= seconds - used_s]
    if affordable:
        plans.append(_plan(day, chosen, affordable[-1], seconds - used_s))
    proposals = [_routes(day, chosen, found.routes) for found in plans]
    return min(proposals, key=lambda routes: finished(day, chosen, routes).cost_cents)


def _plan(day: Day, chosen: Sequence[Shipment], level: int, seconds: float) -> Any:
    return _model(day, chosen).solve(level, nb_threads=1, timeout=timedelta(seconds=seconds))


def _model(day: Day, chosen: Sequence[Shipment]) -> vroom.Input:
    seen, tied = view(day, chosen), restrictions(chosen)
    model = vroom.Input()
    for profile in sorted({vehicle.profile for vehicle in day.classes}):
        distance, duration = seen.tables(profile)
        model.set_distances_matrix(profile, distance)
        model.set_durations_matrix(profile, duration)
    model.add_vehicle([_vehicle(day, v, seen, tied) for c in day.classes for v in c.vehicles])
    most = max(prize_cents(shipment) for shipment in chosen)
    for number, shipment in enumerate(chosen):
        _add(model, number, shipment, seen, tied, most)
    return model


def _vehicle(day: Day, number: int, seen: View, tied: Sequence[frozenset[int]]) -> vroom.Vehicle:
    vehicle = day.classes[day.class_of[day.problem.vehicles[number].id]]
    return vroom.Vehicle(
        id=number,
        start=seen.depot[vehicle.start],
        end=seen.depot[vehicle.end],
        profile=vehicle.profile,
        capacity=vroom.Amount(list(vehicle.capacity)),
        skills={skill for skill, classes in enumerate(tied) if vehicle.index in classes},
        time_window=vroom.TimeWindow(vehicle.earliest_s, _latest_s(vehicle)),
        costs=_costs(vehicle),
        max_travel_time=min(vehicle.max_duration_s, LARGEST),
        max_distance=min(vehicle.range_m, LARGEST),
    )


def _latest_s(vehicle: VehicleClass) -> int:
    """Return the end of a shift that cannot become longer than the longest run."""
    return min(vehicle.latest_s, vehicle.earliest_s + vehicle.max_duration_s)


def _costs(vehicle: VehicleClass) -> vroom.VehicleCosts:
    return vroom.VehicleCosts(
        fixed=vehicle.prices.fixed_cents * UNITS_PER_CENT,
        per_hour=vehicle.prices.per_hour_cents * UNITS_PER_CENT,
        per_km=round(1000 * vehicle.prices.per_m_cents * UNITS_PER_CENT),
    )


def _add(
    model: vroom.Input,
    number: int,
    shipment: Shipment,
    seen: View,
    tied: Sequence[frozenset[int]],
    most_cents: int,
) -> None:
    pickup = vroom.ShipmentStep(
        id=number,
        location=seen.location[shipment.pickup_place],
        default_service=shipment.pickup_handling_s,
        time_windows=_windows(shipment.pickup_windows),
    )
    delivery = vroom.ShipmentStep(
        id=number,
        location=seen.location[shipment.delivery_place],
        default_service=shipment.delivery_handling_s,
        time_windows=_windows(shipment.delivery_windows),
    )
    model.add_shipment(
        pickup,
        delivery,
        amount=vroom.Amount(list(shipment.amounts)),
        skills=set() if shipment.classes is None else {tied.index(shipment.classes)},
        priority=MAX_PRIORITY * prize_cents(shipment) // max(1, most_cents),
    )


def _windows(windows: Windows) -> list[vroom.TimeWindow]:
    return [vroom.TimeWindow(earliest, latest) for earliest, latest in windows]


def _routes(day: Day, shipments: Sequence[Shipment], steps: Any) -> list[Route]:
    """Return the routes in a table of steps."""
    routes = []
    for number in sorted(set(steps["vehicle_id"])):
        vehicle = day.classes[day.class_of[day.problem.vehicles[int(number)].id]]
        legs = [shipment.legs() for shipment in shipments]
        own = steps[(steps["vehicle_id"] == number) & steps["type"].isin(("pickup", "delivery"))]
        done = zip(own["id"], own["type"], strict=True)
        routes.append((vehicle, [legs[int(shipment)][kind == "delivery"] for shipment, kind in done]))
    return routes
