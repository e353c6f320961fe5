"""Goods behind a door: deposited, held, collected."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from common.exceptions import InvalidTransition
from lockers import signals
from lockers.exceptions import DoorNotOpened, NotDeposited
from lockers.models import LockerCode, Reservation
from lockers.services import claims, codes
from lockers.states import CompartmentState, ReservationState

#: Two were let in to one compartment, or one to two: what lies there, and whose, no word tells, only a look.
TWO_CLAIMS, TWO_DOORS = "two_claims", "two_doors"


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
    claims.lock(reservation)
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
    if _complete_deposit(reservation, at=at) or complete_collection(reservation, at=at):
        return True
    reservation.write(closed_at=reservation.closed_at)
    return False


def _complete_deposit(reservation: Reservation, *, at: datetime) -> bool:
    """Call the goods deposited once the door is closed and the courier said so; tell whether they are."""
    if reservation.closed_at is None or reservation.confirmed_at is None:
        return False
    if reservation.state != ReservationState.DEPOSITING:
        return False
    if reservation.compartment is not None and reservation.compartment.trouble in {TWO_CLAIMS, TWO_DOORS}:
        return False
    note_deposited(reservation, at=at)
    return True


def note_deposited(reservation: Reservation, *, at: datetime) -> None:
    """Note that the goods of a deposit lie behind their door; the locker is locked."""
    code = reservation.code
    reservation.advance(
        ReservationState.DEPOSITED,
        closed_at=reservation.closed_at or at,
        confirmed_at=reservation.confirmed_at or at,
        deposited_at=at,
        hold_until=reservation.hold_until or (code and code.valid_until),
    )
    assert reservation.compartment is not None  # noqa: S101 - a constraint says so
    if reservation.compartment.state in {CompartmentState.DEPOSITING, CompartmentState.NEEDS_CHECK}:
        reservation.compartment.come_back(CompartmentState.OCCUPIED, verify_empty=False)
    codes.end_deposit(reservation, at=at)
    if code is not None:
        codes.activate(code)
    signals.reservation_deposited.send(sender=Reservation, reservation=reservation, at=at)


@transaction.atomic
def extend(reservation: Reservation, *, hold_until: datetime) -> None:
    """
    Let the goods stay longer; the resident's code lives as long.

    Raises
    ------
    InvalidTransition
        If there are no goods to hold, or their code has died.
    """
    claims.lock(reservation)
    code = reservation.code
    is_dead = code is not None and not code.is_live
    if reservation.state != ReservationState.DEPOSITED or is_dead:
        raise InvalidTransition(thing="reservation", present=reservation.state, wanted="extended")
    hold(reservation, until=hold_until)


def hold(reservation: Reservation, *, until: datetime) -> None:
    """Keep goods, and a code that still lives, at least until a moment; the locker is locked."""
    Reservation.objects.filter(pk=reservation.pk).exclude(hold_until__gte=until).update(hold_until=until)
    if reservation.code is not None:
        shared = Q(pk=reservation.code.pk) | Q(on_behalf_of=reservation.code)
        LockerCode.objects.live().filter(shared, valid_until__lt=until).update(valid_until=until)
    reservation.refresh_from_db()


@transaction.atomic
def confirm_collection(reservation: Reservation, *, at: datetime) -> None:
    """
    Record the resident's word that the compartment is empty; with the closed door the goods are collected.

    Raises
    ------
    NotDeposited
        If nothing is being collected.
    CommandPending
        If the door is being opened again at this moment.
    """
    claims.lock(reservation)
    if reservation.state == ReservationState.COLLECTED:
        return
    if reservation.state != ReservationState.COLLECTING or reservation.compartment is None:
        raise NotDeposited(state=reservation.state)
    claims.refuse_while_opening(reservation.compartment)
    note_done(reservation, at=at)


def note_done(reservation: Reservation, *, at: datetime) -> None:
    """Note the resident's word during a collection; the locker is locked."""
    reservation.confirmed_at = at
    if not complete_collection(reservation, at=at):
        reservation.write(confirmed_at=reservation.confirmed_at)


def complete_collection(reservation: Reservation, *, at: datetime) -> bool:
    """Call the goods collected once the door is closed and the resident is done; tell whether they are."""
    if reservation.state != ReservationState.COLLECTING:
        return False
    if reservation.opened_at is None or reservation.closed_at is None:
        return False
    if reservation.disputed_at is not None:
        return False
    is_confirmed = reservation.confirmed_at is not None
    if not is_confirmed and not reservation.collection_is_over(at=at):
        return False
    note_collected(reservation, at=at)
    return True


def note_collected(reservation: Reservation, *, at: datetime) -> None:
    """Note that the goods of a collection are in their resident's hands; the locker is locked."""
    reservation.advance(
        ReservationState.COLLECTED,
        closed_at=reservation.closed_at,
        confirmed_at=reservation.confirmed_at,
        ended_at=at,
    )
    assert reservation.compartment is not None  # noqa: S101 - a constraint says so
    if reservation.compartment.state == CompartmentState.COLLECTING:
        is_unconfirmed = reservation.confirmed_at is None
        reservation.compartment.advance(CompartmentState.FREE, verify_empty=is_unconfirmed)
    if reservation.code is not None:
        codes.end_if_used_up(reservation.code, at=at)
    signals.reservation_collected.send(sender=Reservation, reservation=reservation, at=at)


def note_missing(reservation: Reservation, *, at: datetime) -> None:
    """Note that goods which should lie behind a door do not; the locker is locked."""
    reservation.advance(ReservationState.MISSING, ended_at=at)
    if reservation.code is not None:
        codes.end_if_used_up(reservation.code, at=at)
    signals.reservation_missing.send(sender=Reservation, reservation=reservation, at=at)


def back_to_deposited(reservation: Reservation) -> None:
    """Undo a collection whose door never opened; the code stays good."""
    reservation.advance(ReservationState.DEPOSITED, collecting_since=None, num_openings=0)
    if reservation.compartment is not None and reservation.compartment.state == CompartmentState.COLLECTING:
        reservation.compartment.advance(CompartmentState.OCCUPIED)
