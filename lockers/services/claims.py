"""Claims: from a class of compartments to one door, until goods lie behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import UUIDField

from common.exceptions import InvalidTransition
from common.prepared import Prepared
from lockers import fitting, selectors, signals
from lockers.capacity import Space, can_serve
from lockers.exceptions import CommandPending, NoCompartmentAvailable
from lockers.models import Compartment, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import cabinets, codes
from lockers.sizes import Size, Temperature
from lockers.states import TROUBLE, CommandState, CompartmentState, ReservationState

_AS_IT_IS = Prepared(
    lambda pk: Reservation.objects.select_related("locker", "compartment", "code", "deposit_code").filter(
        pk=pk
    ),
    pk=UUIDField(),
)


class ReleaseReason(StrEnum):
    """What a courier says of a door that did not serve."""

    NOT_EMPTY = "not_empty"
    DOES_NOT_FIT = "does_not_fit"
    DOOR_JAMMED = "door_jammed"
    LOCKER_FULL = "locker_full"


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
    free = selectors.free_doors(lockers)
    wanted = selectors.unbound_claims(lockers)
    new = {}
    for claim in claims:
        if claim.reference in known or claim.reference in new:
            continue
        place = (claim.locker.pk, claim.temperature)
        wanted[place].append(Space(claim.size, claim.low_door))
        if not can_serve(free[place], wanted[place]):
            raise NoCompartmentAvailable(
                locker=claim.locker.name,
                temperature=claim.temperature.value,
                size=claim.size.value,
                reference=claim.reference,
            )
        new[claim.reference] = _reservation(claim)
    Reservation.objects.bulk_create(new.values())
    return [known.get(claim.reference) or new[claim.reference] for claim in claims]


def lock(reservation: Reservation) -> None:
    """Lock the locker of a claim for the rest of the transaction, and read the claim as it is now."""
    cabinets.lock(reservation.locker_id)
    # `refresh_from_db` would leave out what was not read before.
    vars(reservation).update(vars(_AS_IT_IS.get(pk=reservation.pk)))


def bind(reservation: Reservation) -> Compartment:
    """
    Give a locked claim the smallest door that fits and that no other claim depends on; keep one that it has.

    Raises
    ------
    NoCompartmentAvailable
        If no door that fits is free.
    """
    if reservation.compartment is not None:
        return reservation.compartment
    compartment = _door_for(reservation)
    if compartment is None:
        raise NoCompartmentAvailable(
            locker=reservation.locker.name,
            temperature=reservation.temperature,
            size=reservation.size,
            reference=reservation.reference,
        )
    compartment.advance(CompartmentState.RESERVED)
    reservation.compartment = compartment
    reservation.save(update_fields=["compartment"])
    return compartment


@transaction.atomic
def release_door(reservation: Reservation, *, reason: ReleaseReason, at: datetime) -> bool:
    """
    Give up the door that the courier cannot use, and tell whether the next opening gets another one.

    A door that is not empty or does not move waits for a check. Goods that do not fit ask for the next size;
    they get it if no other claim loses its door by that. A claim whose door has been taken away already
    merely asks for another.

    Raises
    ------
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
    if compartment is not None:
        refuse_while_opening(compartment)
    unbind(reservation)
    if compartment is not None:
        _give_back(compartment, reservation, reason=reason, at=at)
    if reason == ReleaseReason.DOES_NOT_FIT:
        return _enlarge(reservation, beyond=Size(compartment.size if compartment else reservation.size))
    return _door_for(reservation) is not None


@transaction.atomic
def has_door(reservation: Reservation) -> bool:
    """Tell whether a claim has a door, or would get one now."""
    lock(reservation)
    return reservation.compartment is not None or _door_for(reservation) is not None


def _give_back(
    compartment: Compartment, reservation: Reservation, *, reason: ReleaseReason, at: datetime
) -> None:
    if reason == ReleaseReason.DOES_NOT_FIT:
        # One that waits for a check meanwhile goes on waiting: the courier says nothing of what is inside.
        if compartment.state not in TROUBLE:
            compartment.advance(CompartmentState.FREE)
        return
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


def _enlarge(reservation: Reservation, *, beyond: Size) -> bool:
    """Let a claim without a door ask for the next size, and tell whether all claims can be met with it."""
    larger = [size for size in Size if size.rank > beyond.rank]
    if not larger:
        return False
    Reservation.objects.filter(pk=reservation.pk).update(size=larger[0])
    reservation.size = larger[0]
    return selectors.can_meet_all_claims(reservation.locker_id, reservation.temperature)


@transaction.atomic
def move(reservation: Reservation, *, to: Locker, at: datetime) -> Reservation:
    """
    Give up a claim and make the same one at another locker, or change nothing.

    The resident's code stays the same; the courier gets another one for the deposit.

    Raises
    ------
    NoCompartmentAvailable
        If the other locker has no room for it.
    CommandPending, InvalidTransition
        As for ``cancel``.
    """
    cabinets.lock_all({reservation.locker_id, to.pk})
    if not end(reservation, ReservationState.CANCELLED, at=at):
        raise InvalidTransition(thing="reservation", present=reservation.state, wanted="moved")
    moved = reserve(
        locker=to,
        size=Size(reservation.size),
        temperature=Temperature(reservation.temperature),
        reference=reservation.reference,
        code=reservation.code,
        expires_at=reservation.expires_at,
        low_door=reservation.low_door,
        hold_until=reservation.hold_until,
    )
    if reservation.deposit_code is not None:
        codes.issue_for_deposits([moved], at=at)
    return moved


def give_up_opened_door(reservation: Reservation, *, at: datetime) -> None:
    """
    Give up the door of a deposit that was opened and did not serve, whatever lies behind it now.

    The locker is locked; of a door that was not opened nothing changes.

    Raises
    ------
    CommandPending
        If the door is being opened at this moment.
    """
    compartment = reservation.compartment
    if compartment is None or reservation.opened_at is None:
        return
    refuse_while_opening(compartment)
    unbind(reservation)
    cabinets.demand_check(compartment, reason="given_up_at_keypad", at=at)


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
        refuse_while_opening(compartment)
    if not reservation.advance(to, ended_at=at):
        return False
    codes.end_deposit(reservation, at=at)
    if compartment is not None and compartment.state == CompartmentState.RESERVED:
        if _may_hold_goods(reservation):
            cabinets.demand_check(compartment, reason="claim_ended_in_doubt", at=at)
        else:
            compartment.advance(CompartmentState.FREE)
    return True


def refuse_while_opening(compartment: Compartment) -> None:
    """
    Refuse what would take a door away from whoever opens it at this moment; the locker is locked.

    Raises
    ------
    CommandPending
        If the outcome of an opening is being waited for.
    """
    if compartment.commands.live().exists():
        raise CommandPending(number=compartment.number)


def _may_hold_goods(reservation: Reservation) -> bool:
    # Hardware may fail after it has driven the lock.
    in_doubt = {CommandState.UNKNOWN, CommandState.FAILED}
    doubtful = OpenCommand.objects.filter(reservation=reservation, state__in=in_doubt)
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


def _door_for(reservation: Reservation) -> Compartment | None:
    """Return the door that an unbound claim would get now; the locker is locked."""
    place = {"locker": reservation.locker_id, "temperature": reservation.temperature}
    free = Compartment.objects.free().filter(**place)
    others = Reservation.objects.unbound().filter(**place).exclude(pk=reservation.pk)
    return fitting.choose(reservation, fitting.in_order(free), others)
