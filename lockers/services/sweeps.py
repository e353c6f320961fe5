"""What falls due by itself, and is looked for again and again."""

from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction
from django.db.models import Q, QuerySet

from common.exceptions import InvalidTransition
from lockers import signals
from lockers.alarms import AlarmKind, AlarmLevel
from lockers.exceptions import CommandPending
from lockers.models import Alarm, Reservation
from lockers.services import alarms, allowlists, cabinets, claims, codes, reservations
from lockers.states import (
    COLLECTION_WINDOW,
    CONFIRMATION_WINDOW,
    REACH_GUARANTEED,
    TROUBLE,
    CodeState,
    CompartmentState,
    ReservationState,
)

#: Goods out of reach are kept so long before their time ends, lest their code dies first.
KEPT_AHEAD = timedelta(hours=1)


def sweep(*, at: datetime) -> None:
    """Move what is due at a business moment: claims, half-confirmed deposits, collections, holding times."""
    for reservation in Reservation.objects.expired(at=at).select_related("deposit_code", "locker"):
        _quietly(expire, reservation, at=at)
    for reservation in _half_confirmed(at=at):
        doubt(reservation, at=at)
    ended = at - COLLECTION_WINDOW
    for reservation in Reservation.objects.filter(
        state=ReservationState.COLLECTING, collecting_since__lte=ended
    ):
        end_window(reservation, at=at)
    for reservation in _out_of_reach(at=at):
        keep(reservation, at=at)
    for reservation in Reservation.objects.overdue(at=at):
        _quietly(fall_due, reservation, at=at)


def sweep_alarms(*, at: datetime, real_at: datetime) -> None:
    """Call the dispatcher to alarms whose cause nobody ended in time."""
    for alarm in Alarm.objects.due(at=real_at).select_related("locker", "compartment", "device"):
        escalate(alarm, at=at, real_at=real_at)


@transaction.atomic
def escalate(alarm: Alarm, *, at: datetime, real_at: datetime) -> None:
    """Call the dispatcher to an alarm; behind a door left open somebody has to look."""
    cabinets.lock(alarm.locker_id)
    # It may have ended while we waited for the lock.
    if not alarms.escalate(alarm, AlarmLevel.DISPATCHER, at=at, real_at=real_at):
        return
    if alarm.kind == AlarmKind.LEFT_OPEN and alarm.compartment is not None:
        alarm.compartment.refresh_from_db(fields=["state"])
        if alarm.compartment.state not in TROUBLE:
            cabinets.demand_check(alarm.compartment, reason="door_left_open", at=at)


@transaction.atomic
def expire(reservation: Reservation, *, at: datetime) -> None:
    """
    End a claim that nobody came for in time.

    A locker may let a courier in by itself until it confirms that the code for the deposit is gone. So that
    code ends first, and the claim once the locker has said so.
    """
    code = reservation.deposit_code
    if code is not None and code.is_live:
        claims.lock(reservation)
        codes.end_deposit(reservation, at=at)
    elif code is not None and allowlists.may_act_alone(reservation.locker):
        return
    elif claims.end(reservation, ReservationState.EXPIRED, at=at):
        signals.reservation_expired.send(sender=Reservation, reservation=reservation, at=at)


@transaction.atomic
def doubt(reservation: Reservation, *, at: datetime) -> None:
    """Have a compartment checked whose deposit lacks the closed door or the word, or both, for too long."""
    cabinets.lock(reservation.locker_id)
    if _half_confirmed(at=at).filter(pk=reservation.pk).exists() and reservation.compartment is not None:
        cabinets.demand_check(reservation.compartment, reason="half_confirmed_deposit", at=at)


@transaction.atomic
def end_window(reservation: Reservation, *, at: datetime) -> None:
    """Settle a collection whose window has ended: collected, or deposited if the door never opened."""
    claims.lock(reservation)
    reservations.complete_collection(reservation, at=at)
    if reservation.state != ReservationState.COLLECTING or reservation.opened_at is not None:
        return
    if reservation.compartment is None or reservation.compartment.commands.live().exists():
        return
    reservations.back_to_deposited(reservation)


@transaction.atomic
def keep(reservation: Reservation, *, at: datetime) -> None:
    """Let goods stay that nobody can collect: their compartment is out of use, or their code frozen."""
    claims.lock(reservation)
    if _out_of_reach(at=at).filter(pk=reservation.pk).exists():
        reservations.hold(reservation, until=at + REACH_GUARANTEED)


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


class _Move(Protocol):
    def __call__(self, reservation: Reservation, /, *, at: datetime) -> None: ...


def _quietly(move: _Move, reservation: Reservation, *, at: datetime) -> None:
    try:
        move(reservation, at=at)
    except (InvalidTransition, CommandPending):
        return  # Someone else moved it first, or is about to; the next sweep looks again.


def _out_of_reach(*, at: datetime) -> QuerySet[Reservation]:
    return Reservation.objects.filter(
        Q(compartment__state__in=TROUBLE) | Q(code__state=CodeState.FROZEN),
        state=ReservationState.DEPOSITED,
        hold_until__lt=at + KEPT_AHEAD,
    )


def _half_confirmed(*, at: datetime) -> QuerySet[Reservation]:
    since = at - CONFIRMATION_WINDOW
    is_half = Q(closed_at__lte=since, confirmed_at=None) | Q(confirmed_at__lte=since, closed_at=None)
    # Of neither nothing tells since when; nobody comes for the claim any more.
    is_forgotten = Q(closed_at=None, confirmed_at=None, expires_at__lte=since)
    return Reservation.objects.filter(
        is_half | is_forgotten,
        state=ReservationState.DEPOSITING,
        compartment__state=CompartmentState.DEPOSITING,
    ).select_related("compartment__locker")
