"""Reads that span lockers, compartments and reservations."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from lockers.capacity import Space, left_over
from lockers.models import Compartment, Locker, Reservation
from lockers.sizes import Height, Size, Temperature

#: Compartments by temperature, size, and whether the door is low.
Capacity = Mapping[tuple[Temperature, Size, bool], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompartmentFacts:
    """What should be behind a door, for comparing it with what is."""

    number: int
    state: str
    door: str
    size: Size
    temperature: Temperature
    reservation_id: UUID | None
    reference: UUID | None
    reservation_state: str | None


def free_capacity(locker: Locker) -> Capacity:
    """Return how many compartments of each class are free now and promised to nobody."""
    return free_capacities([locker])[locker.pk]


def free_capacities(lockers: Iterable[Locker]) -> Mapping[UUID, Capacity]:
    """Return the free capacity of each locker, in two queries."""
    wanted = [locker.pk for locker in lockers]
    doors = defaultdict(list)
    claims = defaultdict(list)
    for locker_id, temperature, size, height in (
        Compartment.objects.free()
        .filter(locker__in=wanted)
        .order_by()
        .values_list("locker_id", "temperature", "size", "height")
    ):
        doors[locker_id, temperature].append(Space(Size(size), is_low=height == Height.LOW))
    for locker_id, temperature, size, low_door in (
        Reservation.objects.unbound()
        .filter(locker__in=wanted)
        .values_list("locker_id", "temperature", "size", "low_door")
    ):
        claims[locker_id, temperature].append(Space(Size(size), is_low=low_door))
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


def physical_state(locker: Locker) -> list[CompartmentFacts]:
    """Return what should lie where in a locker, by compartment number."""
    return physical_states([locker])[locker.pk]


def physical_states(lockers: Iterable[Locker]) -> Mapping[UUID, list[CompartmentFacts]]:
    """Return what should lie where in each locker, in two queries."""
    facts: dict[UUID, list[CompartmentFacts]] = {locker.pk: [] for locker in lockers}
    holders = {
        reservation.compartment_id: reservation
        for reservation in Reservation.objects.holding().filter(locker__in=facts).exclude(compartment=None)
    }
    for compartment in Compartment.objects.filter(locker__in=facts).order_by("number"):
        holder = holders.get(compartment.pk)
        facts[compartment.locker_id].append(
            CompartmentFacts(
                number=compartment.number,
                state=compartment.state,
                door=compartment.door,
                size=Size(compartment.size),
                temperature=Temperature(compartment.temperature),
                reservation_id=holder.pk if holder else None,
                reference=holder.reference if holder else None,
                reservation_state=holder.state if holder else None,
            )
        )
    return facts
