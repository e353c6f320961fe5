"""
VROOM: construction and local search on the whole of one assignment, at its highest exploration level.

It is deterministic and ends of its own accord, mostly long before its time is over. It serves as much as it
can, by priority, whatever that costs. Not known to it: cost of waiting, longest runs (only longest driving),
longest times in the vehicle, the penalty of what is left out.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import vroom

from optimizer.day import Day, Shipment, VehicleClass, Windows
from optimizer.peers.view import Route, View, possible, prize_cents, restrictions, view

#: Units of cost in a cent; VROOM takes whole prices of a kilometre and an hour.
UNITS_PER_CENT = 10
EXPLORATION = 5
MAX_PRIORITY = 100
#: VROOM keeps distances and times in 32 bits.
LARGEST = 2**31 - 1


def solve(day: Day, shipments: Sequence[Shipment], seconds: float, seed: int) -> list[Route]:
    """Plan shipments, in at most some seconds; the seed changes nothing."""
    chosen = possible(day, shipments)
    if not chosen:
        return []
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
    found = model.solve(EXPLORATION, nb_threads=1, timeout=timedelta(seconds=seconds))
    return _routes(day, chosen, found.routes)


def _vehicle(day: Day, number: int, seen: View, tied: Sequence[frozenset[int]]) -> vroom.Vehicle:
    vehicle = day.classes[day.class_of[day.problem.vehicles[number].id]]
    return vroom.Vehicle(
        id=number,
        start=seen.depot[vehicle.start],
        end=seen.depot[vehicle.end],
        profile=vehicle.profile,
        capacity=vroom.Amount(list(vehicle.capacity)),
        skills={skill for skill, classes in enumerate(tied) if vehicle.index in classes},
        time_window=vroom.TimeWindow(vehicle.earliest_s, vehicle.latest_s),
        costs=_costs(vehicle),
        max_travel_time=min(vehicle.max_duration_s, LARGEST),
        max_distance=min(vehicle.range_m, LARGEST),
    )


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
