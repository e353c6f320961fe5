"""Claims: from a class of compartments to one door, until goods lie behind it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from common.exceptions import InvalidTransition
from lockers import signals
from lockers.capacity import Space, can_serve
from lockers.exceptions import CommandPending, DoorNotOpened, NoCompartmentAvailable
from lockers.models import Compartment, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import cabinets
from lockers.sizes import Size, Temperature
from lockers.states import CommandState, CompartmentState, ReservationState


class ReleaseReason(StrEnum):
    """What a courier says of a door that did not serve."""

    NOT_EMPTY = "not_empty"
    DOES_NOT_FIT = "does_not_fit"
    DOOR_JAMMED = "door_jammed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a bundle asks of a locker; ``reference`` says whose it is."""

    locker: Locker
    size: Size
    temperature: Temperature
    reference: UUID
    code: LockerCode | None
    expires_at: datetime
    low_door: bool = False
    hold_until: datetime | None = None


def reserve(
    *,
    locker: Locker,
    size: Size,
    temperature: Temperature,
    reference: UUID,
    code: LockerCode | None,
    expires_at: datetime,
    low_door: bool = False,
    hold_until: datetime | None = None,
) -> Reservation:
    """
    Claim a compartment of a class; the door is bound when the courier comes.

    Goods may stay until ``hold_until``, by default as long as the code is valid. A repeated claim of the same
    reference finds the first one.

    Raises
    ------
    NoCompartmentAvailable
        If not every claim of the locker could get a door.
    """
    claim = Claim(
        locker=locker,
        size=size,
        temperature=temperature,
        reference=reference,
        code=code,
        expires_at=expires_at,
        low_door=low_door,
        hold_until=hold_until,
    )
    return reserve_all([claim])[0]


@transaction.atomic
def reserve_all(claims: Sequence[Claim]) -> list[Reservation]:
    """
    Claim compartments for all or none, in the order given.

    Raises
    ------
    NoCompartmentAvailable
        For the first claim that cannot be met; ``facts`` hold its ``reference``.
    """
    lockers = {claim.locker.pk for claim in claims}
    cabinets.lock_all(lockers)
    known = {
        reservation.reference: reservation
        for reservation in Reservation.objects.holding().filter(reference__in=[c.reference for c in claims])
    }
    doors = _free_doors(lockers)
    wanted = _unbound_claims(lockers)
    new = {}
    for claim in claims:
        if claim.reference in known or claim.reference in new:
            continue
        place = (claim.locker.pk, claim.temperature)
        wanted[place].append(Space(claim.size, claim.low_door))
        if not can_serve(doors[place], wanted[place]):
            raise NoCompartmentAvailable(
                locker=claim.locker.name,
                temperature=claim.temperature.value,
                size=claim.size.value,
                reference=claim.reference,
            )
        new[claim.reference] = _reservation(claim)
    Reservation.objects.bulk_create(new.values())
    return [known.get(claim.reference) or new[claim.reference] for claim in claims]


def lock(reservation: Reservation) -> Locker:
    """Lock the locker of a claim for the rest of the transaction, and read the claim as it is now."""
    locker = cabinets.lock(reservation.locker_id)
    reservation.refresh_from_db(from_queryset=Reservation.objects.select_related("compartment", "code"))
    return locker


def bind(reservation: Reservation, locker: Locker) -> Compartment:
    """
    Give a locked claim the smallest door that fits and that no other claim depends on; keep one that it has.

    Raises
    ------
    NoCompartmentAvailable
        If no door that fits is free.
    """
    if reservation.compartment is not None:
        return reservation.compartment
    compartment = _choose_door(reservation, locker)
    compartment.advance(CompartmentState.RESERVED)
    reservation.compartment = compartment
    reservation.save(update_fields=["compartment"])
    return compartment


@transaction.atomic
def release_door(reservation: Reservation, *, reason: ReleaseReason, at: datetime) -> None:
    """
    Give up the door that the courier cannot use, so that the next opening gets another one.

    A door that is not empty or does not move waits for a check; goods that do not fit ask for the next size.

    Raises
    ------
    DoorNotOpened
        If the reservation has no door.
    InvalidTransition
        If the goods were deposited or the claim has ended.
    CommandPending
        If the door is being opened at this moment.
    """
    lock(reservation)
    compartment = reservation.compartment
    if reservation.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
        raise InvalidTransition(
            thing="reservation", present=reservation.state, wanted=ReservationState.RESERVED.value
        )
    if compartment is None:
        raise DoorNotOpened
    _refuse_while_opening(compartment)
    unbind(reservation)
    if reason == ReleaseReason.DOES_NOT_FIT:
        compartment.advance(CompartmentState.FREE)
        larger = [size for size in Size if size.rank > Size(compartment.size).rank]
        Reservation.objects.filter(pk=reservation.pk).update(size=larger[0] if larger else compartment.size)
    else:
        cabinets.demand_check(compartment, reason=reason.value, at=at)
        if reason == ReleaseReason.DOOR_JAMMED:
            signals.door_jammed.send(
                sender=Compartment,
                compartment=compartment,
                reservation=reservation,
                command=None,
                purpose="deposit",
                at=at,
            )
    reservation.refresh_from_db()


def unbind(reservation: Reservation) -> None:
    """Turn a claim to a door into a claim to its class again."""
    fresh = {"compartment": None, "opened_at": None, "closed_at": None, "confirmed_at": None}
    if reservation.state == ReservationState.DEPOSITING:
        reservation.advance(ReservationState.RESERVED, **fresh)
    else:
        Reservation.objects.filter(pk=reservation.pk, state=ReservationState.RESERVED).update(**fresh)
        reservation.refresh_from_db()


@transaction.atomic
def cancel(reservation: Reservation, *, at: datetime) -> None:
    """
    End a claim before anything was deposited; to cancel twice is harmless.

    Raises
    ------
    CommandPending
        If the door is being opened at this moment.
    InvalidTransition
        If the deposit has begun.
    """
    end(reservation, ReservationState.CANCELLED, at=at)


def end(reservation: Reservation, to: ReservationState, *, at: datetime) -> bool:
    """
    End a claim behind whose door no goods lie, and tell whether this call did; it becomes ``to``.

    Raises
    ------
    CommandPending, InvalidTransition
        As for ``cancel``.
    """
    lock(reservation)
    compartment = reservation.compartment
    if reservation.state == ReservationState.RESERVED and compartment is not None:
        _refuse_while_opening(compartment)
    if not reservation.advance(to, ended_at=at):
        return False
    if compartment is not None and compartment.state == CompartmentState.RESERVED:
        if _may_hold_goods(reservation):
            cabinets.demand_check(compartment, reason="claim_ended_in_doubt", at=at)
        else:
            compartment.advance(CompartmentState.FREE)
    return True


def _refuse_while_opening(compartment: Compartment) -> None:
    if compartment.commands.live().exists():
        raise CommandPending(number=compartment.number)


def _may_hold_goods(reservation: Reservation) -> bool:
    doubtful = OpenCommand.objects.filter(reservation=reservation, state=CommandState.UNKNOWN)
    return reservation.confirmed_at is not None or doubtful.exists()


def _reservation(claim: Claim) -> Reservation:
    return Reservation(
        locker=claim.locker,
        code=claim.code,
        reference=claim.reference,
        size=claim.size,
        temperature=claim.temperature,
        low_door=claim.low_door,
        expires_at=claim.expires_at,
        hold_until=claim.hold_until,
    )


_Place = tuple[UUID, str]


def _free_doors(lockers: Iterable[UUID]) -> dict[_Place, list[Space]]:
    doors = defaultdict(list)
    for compartment in Compartment.objects.free().filter(locker__in=lockers):
        place = (compartment.locker_id, compartment.temperature)
        doors[place].append(Space(Size(compartment.size), compartment.is_low))
    return doors


def _unbound_claims(lockers: Iterable[UUID]) -> dict[_Place, list[Space]]:
    claims = defaultdict(list)
    for reservation in Reservation.objects.unbound().filter(locker__in=lockers):
        place = (reservation.locker_id, reservation.temperature)
        claims[place].append(Space(Size(reservation.size), reservation.low_door))
    return claims


def _choose_door(reservation: Reservation, locker: Locker) -> Compartment:
    place = (locker.pk, reservation.temperature)
    free = list(Compartment.objects.free().filter(locker=locker, temperature=reservation.temperature))
    fitting = [door for door in free if _fits(reservation, door)]
    fitting.sort(key=lambda door: (door.verify_empty, Size(door.size).rank, door.is_low, door.number))
    if not fitting:
        raise NoCompartmentAvailable(
            locker=locker.name,
            temperature=reservation.temperature,
            size=reservation.size,
            reference=reservation.reference,
        )
    others = _unbound_claims([locker.pk])[place]
    others.remove(Space(Size(reservation.size), reservation.low_door))
    for door in fitting:
        rest = [Space(Size(other.size), other.is_low) for other in free if other.pk != door.pk]
        if can_serve(rest, others):
            return door
    return fitting[0]


def _fits(reservation: Reservation, door: Compartment) -> bool:
    large_enough = Size(door.size).rank >= Size(reservation.size).rank
    return large_enough and (door.is_low or not reservation.low_door)
