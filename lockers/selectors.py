"""Reads that span lockers, compartments and reservations."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from lockers.capacity import Space, can_serve, left_over
from lockers.models import Compartment, Device, Locker, Reservation
from lockers.sizes import Height, Size, Temperature

#: Compartments by temperature, size, and whether the door is low.
Capacity = Mapping[tuple[Temperature, Size, bool], int]
#: The compartments of one temperature in one locker.
Place = tuple[UUID, str]


def profile_at(locker: str) -> Subquery:
    """Return, for a query with a way to a locker, what the device in service there speaks."""
    in_service = Device.objects.in_service().filter(locker=OuterRef(locker))
    return Subquery(in_service.values("profile")[:1])


def free_doors(lockers: Iterable[UUID]) -> defaultdict[Place, list[Space]]:
    """Return the doors that are free now, those promised to somebody included."""
    doors: defaultdict[Place, list[Space]] = defaultdict(list)
    for locker_id, temperature, size, height in (
        Compartment.objects.free()
        .filter(locker__in=lockers)
        .order_by()
        .values_list("locker_id", "temperature", "size", "height")
    ):
        doors[locker_id, temperature].append(Space(Size(size), is_low=height == Height.LOW))
    return doors


def unbound_claims(lockers: Iterable[UUID]) -> defaultdict[Place, list[Space]]:
    """Return what is promised to claims that have no door yet."""
    claims: defaultdict[Place, list[Space]] = defaultdict(list)
    for locker_id, temperature, size, low_door in (
        Reservation.objects.unbound()
        .filter(locker__in=lockers)
        .values_list("locker_id", "temperature", "size", "low_door")
    ):
        claims[locker_id, temperature].append(Space(Size(size), is_low=low_door))
    return claims


def can_meet_all_claims(locker_id: UUID, temperature: str, *, and_also: Iterable[Space] = ()) -> bool:
    """Tell whether the doors that are free now suffice for every claim without a door, and for some more."""
    place = (locker_id, temperature)
    claims = unbound_claims([locker_id])[place]
    return can_serve(free_doors([locker_id])[place], [*claims, *and_also])


def without_keypad() -> QuerySet[Any, Any]:
    """Return the lockers, by identity, that take no codes: they have a basic device."""
    return Device.objects.in_service().basic().values("locker")


def free_capacities(lockers: Iterable[Locker]) -> Mapping[UUID, Capacity]:
    """Return the free capacity of each locker, in two queries."""
    wanted = [locker.pk for locker in lockers]
    doors, claims = free_doors(wanted), unbound_claims(wanted)
    return {
        locker_id: {
            (temperature, space.size, space.is_low): number
            for temperature in Temperature
            for space, number in left_over(
                doors[locker_id, temperature.value], claims[locker_id, temperature.value]
            ).items()
        }
        for locker_id in wanted
    }
