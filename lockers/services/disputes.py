"""A resident's word that something is wrong with the goods: the code is frozen until somebody has looked."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from common import events
from lockers import signals
from lockers.exceptions import NotDeposited
from lockers.models import Reservation
from lockers.services import cabinets, claims, codes, reservations
from lockers.states import REACH_GUARANTEED, TROUBLE, WITHIN_REACH, CodeState, ReservationState


class Complaint(StrEnum):
    """What a resident says of goods behind her door."""

    NOT_MINE = "not_mine"
    DAMAGED = "damaged"
    STILL_INSIDE = "still_inside"


@transaction.atomic
def begin(reservation: Reservation, complaint: Complaint, *, by: UUID, role: str, at: datetime) -> None:
    """
    Have a compartment checked that its resident complains of, and freeze the code; again changes nothing.

    A collection that is under way ends without being one. A compartment that is out of use already keeps the
    reason for which it is.

    Raises
    ------
    NotDeposited
        If nothing lies there for the resident, yet or any longer.
    CommandPending
        If the door is being opened at this moment: nobody knows yet what it will show.
    """
    if reservation.code is not None:
        codes.lock_lockers(reservation.code)
    claims.lock(reservation)
    compartment = reservation.compartment
    if reservation.state not in WITHIN_REACH or compartment is None:
        raise NotDeposited(state=reservation.state)
    if reservation.disputed_at is not None:
        return
    claims.refuse_while_opening(compartment)
    if reservation.state == ReservationState.COLLECTING:
        reservations.back_to_deposited(reservation)
    reservation.write(disputed_at=at)
    if reservation.code is not None:
        codes.freeze(reservation.code)
    if compartment.state not in TROUBLE:
        cabinets.demand_check(compartment, reason=complaint.value, at=at)
    events.record(
        "complaint_made",
        scope=reservation.locker.namespace,
        at=at,
        locker=reservation.locker.slug,
        compartment=compartment.number,
        complaint=complaint.value,
        by=str(by),
        role=role,
    )


def end(reservation: Reservation, *, at: datetime) -> None:
    """
    Note that somebody looked into it; the code thaws with the last complaint about what it opens.

    Goods behind other doors of the same code can be collected again, and their resident is told. The lockers
    that know the code are locked.
    """
    if reservation.disputed_at is None:
        return
    reservation.write(disputed_at=None)
    code = reservation.code
    if code is None or code.state != CodeState.FROZEN:
        return
    if code.reservations.holding().filter(disputed_at__isnull=False).exists():
        return
    codes.thaw(code)
    others = code.reservations.filter(state=ReservationState.DEPOSITED).exclude(pk=reservation.pk)
    for other in others.exclude(compartment__state__in=TROUBLE):
        let_collect(other, at=at)


def let_collect(reservation: Reservation, *, at: datetime) -> None:
    """Give a resident time for goods that could not be collected for a while, and say so."""
    if reservation.state == ReservationState.DEPOSITED:
        reservations.hold(reservation, until=at + REACH_GUARANTEED)
        signals.reservation_within_reach.send(sender=Reservation, reservation=reservation, at=at)
