"""Reservations: from a claim to a class of compartments to goods taken out of one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from common.exceptions import InvalidTransition
from lockers import signals
from lockers.capacity import Space, can_serve
from lockers.exceptions import CommandPending, DoorNotOpened, NoCompartmentAvailable, NotDeposited
from lockers.models import Compartment, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import cabinets, codes
from lockers.sizes import Size, Temperature
from lockers.states import (
    COLLECTION_WINDOW,
    CONFIRMATION_WINDOW,
    CodeState,
    CommandState,
    CompartmentState,
    ReservationState,
)


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
def confirm_deposit(reservation: Reservation, *, at: datetime) -> None:
    """
    Record the courier's word that the goods are in; with the closed door it completes the deposit.

    The two may come in either order, and the word may come before the device could report the opening.

    Raises
    ------
    DoorNotOpened
        If no door was ever opened for it.
    InvalidTransition
        If the claim has ended.
    """
    lock(reservation)
    confirm_locked_deposit(reservation, at=at)


def confirm_locked_deposit(reservation: Reservation, *, at: datetime) -> None:
    """Record a word as ``confirm_deposit`` does, where the claim was read after its locker was locked."""
    if reservation.deposited_at is not None:
        return
    if reservation.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
        raise InvalidTransition(
            thing="reservation", present=reservation.state, wanted=ReservationState.DEPOSITED.value
        )
    if reservation.compartment is None:
        raise DoorNotOpened
    reservation.confirmed_at = reservation.confirmed_at or at
    if not _complete_deposit(reservation, at=at):
        reservation.write(confirmed_at=reservation.confirmed_at)


def note_closed(reservation: Reservation, *, at: datetime) -> bool:
    """
    Note that a door that was open is closed, and tell whether the deposit or collection is complete by that.

    The locker is locked.
    """
    reservation.closed_at = at
    if _complete_deposit(reservation, at=at) or _complete_collection(reservation, at=at):
        return True
    reservation.write(closed_at=reservation.closed_at)
    return False


def _complete_deposit(reservation: Reservation, *, at: datetime) -> bool:
    """Call the goods deposited once the door is closed and the courier said so; tell whether they are."""
    if reservation.closed_at is None or reservation.confirmed_at is None:
        return False
    if reservation.state != ReservationState.DEPOSITING:
        return False
    code = reservation.code
    reservation.advance(
        ReservationState.DEPOSITED,
        closed_at=reservation.closed_at,
        confirmed_at=reservation.confirmed_at,
        deposited_at=at,
        hold_until=reservation.hold_until or (code and code.valid_until),
    )
    assert reservation.compartment is not None  # noqa: S101 - a constraint says so
    if reservation.compartment.state in {CompartmentState.DEPOSITING, CompartmentState.NEEDS_CHECK}:
        reservation.compartment.advance(CompartmentState.OCCUPIED, verify_empty=False)
    if code is not None and code.state == CodeState.ISSUED:
        code.advance(CodeState.ACTIVE)
    signals.reservation_deposited.send(sender=Reservation, reservation=reservation, at=at)
    return True


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
    _end_claim(reservation, ReservationState.CANCELLED, at=at)


@transaction.atomic
def expire(reservation: Reservation, *, at: datetime) -> None:
    """End a claim that nobody came for in time."""
    if _end_claim(reservation, ReservationState.EXPIRED, at=at):
        signals.reservation_expired.send(sender=Reservation, reservation=reservation, at=at)


@transaction.atomic
def extend(reservation: Reservation, *, hold_until: datetime) -> None:
    """
    Let the goods stay longer; the resident's code lives as long.

    Raises
    ------
    InvalidTransition
        If there are no goods to hold, or their code has died.
    """
    lock(reservation)
    code = reservation.code
    is_dead = code is not None and not code.is_live
    if reservation.state != ReservationState.DEPOSITED or is_dead:
        raise InvalidTransition(thing="reservation", present=reservation.state, wanted="extended")
    Reservation.objects.filter(pk=reservation.pk).update(hold_until=hold_until)
    if code is not None:
        LockerCode.objects.filter(pk=code.pk, valid_until__lt=hold_until).update(valid_until=hold_until)
    reservation.refresh_from_db()


@transaction.atomic
def confirm_collection(reservation: Reservation, *, at: datetime) -> None:
    """
    Record the resident's word that the compartment is empty; with the closed door the goods are collected.

    Raises
    ------
    NotDeposited
        If nothing is being collected.
    """
    lock(reservation)
    if reservation.state == ReservationState.COLLECTED:
        return
    if reservation.state != ReservationState.COLLECTING:
        raise NotDeposited(state=reservation.state)
    note_done(reservation, at=at)


def note_done(reservation: Reservation, *, at: datetime) -> None:
    """Note the resident's word during a collection; the locker is locked."""
    reservation.confirmed_at = at
    if not _complete_collection(reservation, at=at):
        reservation.write(confirmed_at=reservation.confirmed_at)


def _complete_collection(reservation: Reservation, *, at: datetime) -> bool:
    """Call the goods collected once the door is closed and the resident is done; tell whether they are."""
    if reservation.state != ReservationState.COLLECTING:
        return False
    if reservation.opened_at is None or reservation.closed_at is None:
        return False
    is_confirmed = reservation.confirmed_at is not None
    if not is_confirmed and not reservation.collection_is_over(at=at):
        return False
    reservation.advance(
        ReservationState.COLLECTED,
        closed_at=reservation.closed_at,
        confirmed_at=reservation.confirmed_at,
        ended_at=at,
    )
    assert reservation.compartment is not None  # noqa: S101 - a constraint says so
    if reservation.compartment.state == CompartmentState.COLLECTING:
        reservation.compartment.advance(CompartmentState.FREE, verify_empty=not is_confirmed)
    if reservation.code is not None:
        codes.end_if_used_up(reservation.code, at=at)
    signals.reservation_collected.send(sender=Reservation, reservation=reservation, at=at)
    return True


@transaction.atomic
def end_window(reservation: Reservation, *, at: datetime) -> None:
    """Settle a collection whose window has ended: collected, or deposited if the door never opened."""
    lock(reservation)
    _complete_collection(reservation, at=at)
    if reservation.state != ReservationState.COLLECTING or reservation.opened_at is not None:
        return
    if reservation.compartment is None or reservation.compartment.commands.live().exists():
        return
    back_to_deposited(reservation)


def back_to_deposited(reservation: Reservation) -> None:
    """Undo a collection whose door never opened; the code stays good."""
    reservation.advance(ReservationState.DEPOSITED, collecting_since=None, num_openings=0)
    if reservation.compartment is not None and reservation.compartment.state == CompartmentState.COLLECTING:
        reservation.compartment.advance(CompartmentState.OCCUPIED)


@transaction.atomic
def fall_due(reservation: Reservation, *, at: datetime) -> None:
    """Note that goods were not collected in time; they stay, and the code dies with the last."""
    cabinets.lock(reservation.locker_id)
    # It may have been extended while we waited for the lock.
    is_due = Reservation.objects.overdue(at=at).filter(pk=reservation.pk).exists()
    if not is_due or not reservation.advance(ReservationState.OVERDUE):
        return
    if reservation.code is not None:
        codes.end_if_used_up(reservation.code, at=at)
    signals.reservation_overdue.send(sender=Reservation, reservation=reservation, at=at)


@transaction.atomic
def doubt(reservation: Reservation, *, at: datetime) -> None:
    """Have a compartment checked whose deposit lacks the closed door or the courier's word for too long."""
    cabinets.lock(reservation.locker_id)
    if _half_confirmed(at=at).filter(pk=reservation.pk).exists() and reservation.compartment is not None:
        cabinets.demand_check(reservation.compartment, reason="half_confirmed_deposit", at=at)


def sweep(*, at: datetime) -> None:
    """Move what is due at a business moment: claims, half-confirmed deposits, collections, holding times."""
    for reservation in Reservation.objects.expired(at=at):
        _quietly(expire, reservation, at=at)
    for reservation in _half_confirmed(at=at):
        doubt(reservation, at=at)
    ended = at - COLLECTION_WINDOW
    for reservation in Reservation.objects.filter(
        state=ReservationState.COLLECTING, collecting_since__lte=ended
    ):
        end_window(reservation, at=at)
    for reservation in Reservation.objects.overdue(at=at):
        _quietly(fall_due, reservation, at=at)


class _Move(Protocol):
    def __call__(self, reservation: Reservation, /, *, at: datetime) -> None: ...


def _quietly(move: _Move, reservation: Reservation, *, at: datetime) -> None:
    try:
        move(reservation, at=at)
    except (InvalidTransition, CommandPending):
        return  # Someone else moved it first, or is about to; the next sweep looks again.


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


def _refuse_while_opening(compartment: Compartment) -> None:
    if compartment.commands.live().exists():
        raise CommandPending(number=compartment.number)


def _end_claim(reservation: Reservation, to: ReservationState, *, at: datetime) -> bool:
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


def _may_hold_goods(reservation: Reservation) -> bool:
    doubtful = OpenCommand.objects.filter(reservation=reservation, state=CommandState.UNKNOWN)
    return reservation.confirmed_at is not None or doubtful.exists()


def _half_confirmed(*, at: datetime) -> QuerySet[Reservation]:
    since = at - CONFIRMATION_WINDOW
    return Reservation.objects.filter(
        Q(closed_at__lte=since, confirmed_at=None) | Q(confirmed_at__lte=since, closed_at=None),
        state=ReservationState.DEPOSITING,
        compartment__state=CompartmentState.DEPOSITING,
    ).select_related("compartment__locker")
