"""Legs to visits, and what can be said of them without a clock: loads and distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from optimizer.day import TURN, Amounts, Leg, VehicleClass, Windows, intersect
from optimizer.places import NO_WAY


class Failure(StrEnum):
    """The first constraint that a route breaks."""

    TRANSFER = "transfer"
    VEHICLE = "vehicle"
    HOMEWARD = "homeward"
    ZONE = "zone"
    NO_WAY = "no-way"
    WEIGHT = "weight"
    VOLUME = "volume"
    CHILLED = "chilled"
    FROZEN = "frozen"
    TRIPS = "trips"
    RANGE = "range"
    WINDOW = "window"
    SHIFT = "shift"
    WORKING_TIME = "working-time"
    DURATION = "duration"
    RIDE = "ride"


#: What exceeding each dimension of a load is called.
OVERLOADS = (Failure.WEIGHT, Failure.VOLUME, Failure.CHILLED, Failure.FROZEN)


@dataclass(slots=True, eq=False)
class Visit:
    """Consecutive legs at one place, when service may start there, and the break taken before it."""

    place: int
    windows: Windows
    service_s: int
    legs: list[Leg]
    break_s: int = 0

    @property
    def is_turn(self) -> bool:
        """Tell whether a trip ends here and the next one begins."""
        return self.legs[0].shipment is TURN


def visits_of(legs: Sequence[Leg]) -> list[Visit]:
    """
    Join consecutive legs at one place to visits.

    A visit ends early where its legs have no moment in common to start, or where goods just picked up would
    be delivered; the next visit at the place costs neither travel nor the fixed time of a stop.
    """
    visits: list[Visit] = []
    for leg in legs:
        if visits and visits[-1].place == leg.place and leg.shipment is not TURN and not visits[-1].is_turn:
            last = visits[-1]
            common = intersect(last.windows, leg.windows)
            loaded_here = leg.is_delivery and any(other.shipment is leg.shipment for other in last.legs)
            if common and not loaded_here:
                last.windows = common
                last.service_s += leg.handling_s
                last.legs.append(leg)
                continue
        visits.append(Visit(leg.place, leg.windows, leg.handling_s, [leg]))
    return visits


def peak_load(vehicle: VehicleClass, visits: Sequence[Visit]) -> Amounts:
    """Return the largest load before or after any visit, in each dimension."""
    weight, volume, chilled, frozen = vehicle.on_board_amounts
    most_weight, most_volume, most_chilled, most_frozen = weight, volume, chilled, frozen
    for visit in visits:
        for leg in visit.legs:
            amounts = leg.shipment.amounts
            sign = -1 if leg.is_delivery else 1
            weight += sign * amounts[0]
            volume += sign * amounts[1]
            chilled += sign * amounts[2]
            frozen += sign * amounts[3]
        most_weight, most_volume = max(most_weight, weight), max(most_volume, volume)
        most_chilled, most_frozen = max(most_chilled, chilled), max(most_frozen, frozen)
    return most_weight, most_volume, most_chilled, most_frozen


def overload_of(vehicle: VehicleClass, visits: Sequence[Visit]) -> Failure | None:
    """Return what is overloaded where a vehicle that came with too much on board loads more."""
    load = list(vehicle.on_board_amounts)
    for visit in visits:
        for leg in visit.legs:
            sign = -1 if leg.is_delivery else 1
            load = [now + sign * amount for now, amount in zip(load, leg.shipment.amounts, strict=True)]
        if all(leg.is_delivery or leg.shipment is TURN for leg in visit.legs):
            continue
        for amount, room, failure in zip(load, vehicle.loaded_capacity, OVERLOADS, strict=True):
            if amount > room:
                return failure
    return None


def length_m(vehicle: VehicleClass, visits: Sequence[Visit]) -> int | Failure:
    """Return the length of the route, unless it lacks a way, a charge or a trip."""
    total = since_charge = 0
    here, left, trips = vehicle.start, vehicle.first_range_m, 1
    for visit in visits:
        metres = vehicle.network.distance_m[here][visit.place]
        if metres >= NO_WAY:
            return Failure.NO_WAY
        total += metres
        since_charge += metres
        here = visit.place
        if visit.is_turn:
            if since_charge > left:
                return Failure.RANGE
            since_charge, left, trips = 0, vehicle.range_m, trips + 1
    metres = vehicle.network.distance_m[here][vehicle.end]
    if metres >= NO_WAY:
        return Failure.NO_WAY
    if trips > vehicle.num_trips:
        return Failure.TRIPS
    return total + metres if since_charge + metres <= left else Failure.RANGE
