"""Compartments out of use: reported, looked into, settled, blocked and unblocked by people."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from common import events
from lockers.exceptions import CompartmentInUse, GoodsClaimed, NothingClaimed
from lockers.models import Compartment, Locker, OpenCommand, Reservation
from lockers.services import cabinets, claims, commands, disputes, reservations
from lockers.states import REACH_GUARANTEED, TROUBLE, CompartmentState, ReservationState

#: Why a compartment is out of use that an operator blocked while nothing else was wrong with it.
BLOCKED = "blocked"
#: Goods were found that no claim speaks of.
UNCLAIMED_GOODS = "unclaimed_goods"


class Difference(StrEnum):
    """What is otherwise than the list of what should lie where says."""

    UNEXPECTED_GOODS = "unexpected_goods"
    MISSING_GOODS = "missing_goods"
    WRONG_GOODS = "wrong_goods"
    FAULTY_DOOR = "faulty_door"


class Finding(StrEnum):
    """What somebody found who looked into a compartment."""

    EMPTY = "empty"
    AS_CLAIMED = "as_claimed"
    UNCLAIMED = "unclaimed"
    MISSING = "missing"
    HANDED_OVER = "handed_over"


@transaction.atomic
def report(
    compartment: Compartment, difference: Difference, *, note: str = "", by: UUID, at: datetime
) -> None:
    """
    Have a compartment checked that is not as the list says; one that is out of use already stays as it is.

    Raises
    ------
    CommandPending
        If the door is being opened at this moment.
    """
    _lock(compartment)
    if compartment.state not in TROUBLE:
        claims.refuse_while_opening(compartment)
        cabinets.demand_check(compartment, reason=difference.value, note=note, at=at)
    _record("difference_reported", compartment, by=by, at=at, difference=difference.value)


@transaction.atomic
def block(compartment: Compartment, *, note: str = "", by: UUID, at: datetime) -> None:
    """
    Take a compartment out of service, with whatever lies in it; to block it again changes the note only.

    Goods stay linked, and their code stays good for when the compartment is back.

    Raises
    ------
    CommandPending
        If the door is being opened at this moment.
    """
    _lock(compartment)
    if compartment.state == CompartmentState.OUT_OF_SERVICE:
        compartment.write(trouble_note=note)
        return
    claims.refuse_while_opening(compartment)
    # What waits for a check goes on waiting for it, under its own reason.
    reason = compartment.trouble or BLOCKED
    cabinets.demand_check(compartment, reason=reason, note=note, to=CompartmentState.OUT_OF_SERVICE, at=at)
    _record("compartment_blocked", compartment, by=by, at=at)


@transaction.atomic
def unblock(compartment: Compartment, *, by: UUID, at: datetime) -> None:
    """
    End that a compartment is out of service; what is not out of service stays as it is.

    One that was blocked with goods in it can be opened by their resident again. Into any other somebody has
    to look first: nobody knows what was put there meanwhile.
    """
    _lock(compartment)
    if compartment.state != CompartmentState.OUT_OF_SERVICE:
        return
    holder = _holder(compartment)
    lies_there = {ReservationState.DEPOSITED, ReservationState.OVERDUE}
    is_disputed = holder is not None and holder.disputed_at is not None
    if compartment.trouble == BLOCKED and holder and holder.state in lies_there and not is_disputed:
        compartment.come_back(CompartmentState.OCCUPIED)
        disputes.let_collect(holder, at=at)
    else:
        compartment.advance(CompartmentState.NEEDS_CHECK)
    _record("compartment_unblocked", compartment, by=by, at=at)


@transaction.atomic
def open_door(compartment: Compartment, *, by: UUID, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open a door for an operator who looks into a compartment that is out of use.

    Raises
    ------
    CompartmentInUse
        If it is in use: nobody opens it without saying why.
    LockerOffline, CommandPending
        If the door cannot be opened now.
    """
    _lock(compartment)
    if compartment.state not in TROUBLE:
        raise CompartmentInUse(number=compartment.number)
    command = commands.open_for_check(compartment, real_at=real_at)
    holder = _holder(compartment)
    if holder is not None and holder.state == ReservationState.DEPOSITING:
        # From now on it is the operator who opens and closes, not the courier.
        holder.write(opened_at=None, closed_at=None)
    _record("opened_for_check", compartment, by=by, at=at)
    return command


@transaction.atomic
def settle(
    compartment: Compartment,
    found: Finding,
    *,
    note: str = "",
    by: UUID,
    at: datetime,
    real_at: datetime,
) -> None:
    """
    Bring a compartment back into use by the word of somebody who looked into it.

    With goods that nobody claims it goes on waiting, under a note. Otherwise a code thaws that the resident's
    complaint had frozen. An empty compartment gives the claim of a courier who said nothing yet another door,
    and ends a collection that was under way.

    Raises
    ------
    GoodsClaimed
        If it is called empty, but goods should lie there.
    NothingClaimed
        If goods are called missing, handed over or as claimed that nobody said were there.
    CompartmentInUse
        If it is in use.
    """
    _lock_with_others(compartment)
    if compartment.state not in TROUBLE:
        raise CompartmentInUse(number=compartment.number)
    if found == Finding.UNCLAIMED:
        compartment.write(trouble=UNCLAIMED_GOODS, trouble_note=note)
    else:
        holder = _holder(compartment)
        if holder is not None:
            disputes.end(holder, at=at)
        _SETTLED[found](compartment, holder, at=at, real_at=real_at)
    _record("compartment_checked", compartment, by=by, at=at, found=found.value)


def _settle_empty(
    compartment: Compartment, holder: Reservation | None, *, at: datetime, real_at: datetime
) -> None:
    if holder is not None:
        if holder.state == ReservationState.COLLECTING:
            reservations.note_collected(holder, at=at)
        elif holder.state == ReservationState.DEPOSITING and holder.confirmed_at is None:
            claims.unbind(holder)
        else:
            raise GoodsClaimed(number=compartment.number)
    cabinets.settle_check(compartment, is_empty=True, at=at, real_at=real_at)


def _settle_as_claimed(
    compartment: Compartment, holder: Reservation | None, *, at: datetime, real_at: datetime
) -> None:
    if holder is None:
        raise NothingClaimed(number=compartment.number)
    cabinets.settle_check(compartment, is_empty=False, at=at, real_at=real_at)
    if holder.state == ReservationState.DEPOSITING:
        reservations.note_deposited(holder, at=at)
        reservations.hold(holder, until=at + REACH_GUARANTEED)
        return
    if holder.state == ReservationState.COLLECTING:
        reservations.back_to_deposited(holder)
    disputes.let_collect(holder, at=at)


def _settle_missing(
    compartment: Compartment, holder: Reservation | None, *, at: datetime, real_at: datetime
) -> None:
    if holder is None or (holder.deposited_at is None and holder.confirmed_at is None):
        raise NothingClaimed(number=compartment.number)
    reservations.note_missing(holder, at=at)
    cabinets.settle_check(compartment, is_empty=True, at=at, real_at=real_at)


def _settle_handed_over(
    compartment: Compartment, holder: Reservation | None, *, at: datetime, real_at: datetime
) -> None:
    if holder is None or holder.deposited_at is None:
        raise NothingClaimed(number=compartment.number)
    if holder.state != ReservationState.COLLECTING:
        holder.advance(ReservationState.COLLECTING, collecting_since=at)
    reservations.note_collected(holder, at=at)
    cabinets.settle_check(compartment, is_empty=True, at=at, real_at=real_at)


_SETTLED = {
    Finding.EMPTY: _settle_empty,
    Finding.AS_CLAIMED: _settle_as_claimed,
    Finding.MISSING: _settle_missing,
    Finding.HANDED_OVER: _settle_handed_over,
}


def _lock(compartment: Compartment) -> None:
    """Lock a compartment's locker for the rest of the transaction, and read the compartment as it is now."""
    cabinets.lock(compartment.locker_id)
    compartment.refresh_from_db(from_queryset=Compartment.objects.select_related("locker"))


def _lock_with_others(compartment: Compartment) -> None:
    """Lock as ``_lock`` does, with the other lockers that know the code of what lies there: it may thaw."""
    codes = Reservation.objects.holding().filter(compartment=compartment).values("code")
    known = Q(pk=compartment.locker_id) | Q(reservations__code__in=codes)
    cabinets.lock_all(Locker.objects.filter(known).values_list("pk", flat=True).distinct())
    _lock(compartment)


def _holder(compartment: Compartment) -> Reservation | None:
    held = Reservation.objects.holding().select_related("code").filter(compartment=compartment)
    holder = held.first()
    if holder is not None:
        holder.compartment = compartment
    return holder


def _record(kind: str, compartment: Compartment, *, by: UUID, at: datetime, **facts: str) -> None:
    locker = compartment.locker
    events.record(
        kind,
        scope=locker.namespace,
        at=at,
        locker=locker.slug,
        compartment=compartment.number,
        by=str(by),
        **facts,
    )
