"""Trips to shifts: what one vehicle can do one after the other, with a charge in between."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations

from optimizer.day import VehicleClass
from optimizer.insertion import Tour
from optimizer.schedule import Timetable, evaluate


def joined(tours: Sequence[Tour]) -> list[Tour]:
    """
    Join tours of equal vehicles, the pair that saves most first, as long as that saves money or vehicles.

    Returns
    -------
    list
        Tours that make the same trips; more of a class than there are vehicles if they do not fit.
    """
    by_class: dict[VehicleClass, list[Tour]] = defaultdict(list)
    for tour in tours:
        if tour.legs:
            by_class[tour.vehicle].append(tour)
    return [tour for vehicle, own in by_class.items() for tour in _joined(vehicle, own)]


def _joined(vehicle: VehicleClass, tours: list[Tour]) -> list[Tour]:
    if vehicle.num_trips == 1:
        return tours
    ways = {
        (first, second): way
        for first, second in permutations(tours, 2)
        if (way := _one_after_the_other(first, second)) is not None
    }
    while ways:
        (first, second), best = min(ways.items(), key=lambda item: _added(*item))
        if _added((first, second), best) >= 0 and len(tours) <= len(vehicle.vehicles):
            break
        tours = [tour for tour in tours if tour not in (first, second)]
        ways = {pair: way for pair, way in ways.items() if first not in pair and second not in pair}
        for tour in tours:
            for pair in ((best, tour), (tour, best)):
                if (way := _one_after_the_other(*pair)) is not None:
                    ways[pair] = way
        tours.append(best)
    return tours


def _one_after_the_other(first: Tour, second: Tour) -> Tour | None:
    vehicle = first.vehicle
    timetable = evaluate(vehicle, [*first.legs, vehicle.turn(), *second.legs])
    return Tour(vehicle, timetable) if isinstance(timetable, Timetable) else None


def _added(pair: tuple[Tour, Tour], way: Tour) -> int:
    return way.cost_cents - pair[0].cost_cents - pair[1].cost_cents
