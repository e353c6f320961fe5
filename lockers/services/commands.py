"""Opening doors: commands that live for twenty seconds."""

from datetime import datetime
from uuid import UUID

from django.db import models, transaction
from django.db.models import F

from common.exceptions import InvalidTransition
from common.prepared import Prepared, PreparedInsert, PreparedUpdate
from lockers import wake
from lockers.exceptions import (
    CodeFrozen,
    CommandPending,
    CompartmentUnavailable,
    HoldEnded,
    LockerOffline,
    NotDeposited,
    OfflineWithoutKeypad,
    ReopenLimitReached,
)
from lockers.models import Compartment, Device, Locker, OpenCommand, Reservation
from lockers.services import cabinets, claims
from lockers.states import (
    ANSWER_GRACE,
    COMMAND_LIFE,
    OPENING_TIME,
    CodeState,
    CommandState,
    CompartmentState,
    DoorState,
    Profile,
    Purpose,
    ReservationState,
    Transport,
)

_IN_SERVICE = Prepared(
    lambda locker: Device.objects.in_service().filter(locker=locker), locker=models.UUIDField()
)
_LIVE = Prepared(
    lambda compartment: OpenCommand.objects.live().filter(compartment=compartment),
    compartment=models.BigAutoField(),
)

_INSERT = PreparedInsert(OpenCommand)
_UNSENT = Prepared(
    lambda at: (
        OpenCommand.objects.offerable(at=at)
        .filter(
            state=CommandState.CREATED, device__transport=Transport.MQTT, link_epoch=F("device__link_epoch")
        )
        .select_related("compartment", "device")
        .order_by("created_at")
    ),
    at=models.DateTimeField(),
)
_CLAIM = PreparedUpdate(
    lambda command: (
        OpenCommand.objects.filter(pk=command, state=CommandState.CREATED),
        {"state": CommandState.SENT},
    ),
    command=models.UUIDField(),
)


@transaction.atomic
def open_for_deposit(reservation: Reservation, *, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open a door for a courier: the one that the claim has, or the smallest free one that fits.

    Raises
    ------
    InvalidTransition
        If the goods were deposited already or the claim has ended.
    LockerOffline
        If the locker cannot be reached now.
    NoCompartmentAvailable
        If no door that fits is free.
    CommandPending
        If the door is being opened at this moment.
    """
    claims.lock(reservation)
    return open_locked_for_deposit(reservation, at=at, real_at=real_at)


def open_locked_for_deposit(
    reservation: Reservation,
    *,
    at: datetime,
    real_at: datetime,
    request_id: UUID | None = None,
) -> OpenCommand:
    """Open a door as ``open_for_deposit`` does, where the caller has locked the locker."""
    if reservation.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
        raise InvalidTransition(
            thing="reservation", present=reservation.state, wanted=ReservationState.DEPOSITING.value
        )
    device = _reachable_device(reservation.locker_id, real_at=real_at)
    if reservation.state == ReservationState.RESERVED and reservation.expires_at < at:
        raise InvalidTransition(
            thing="reservation", present="expired", wanted=ReservationState.DEPOSITING.value
        )
    compartment = claims.bind(reservation)
    return _create(compartment, device, Purpose.DEPOSIT, reservation, real_at=real_at, request_id=request_id)


@transaction.atomic
def open_for_collection(reservation: Reservation, *, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open the door behind which a resident's goods lie; during a collection, open it again.

    Raises
    ------
    HoldEnded
        If the goods were not collected in time.
    NotDeposited
        If nothing lies there, yet or any longer.
    ReopenLimitReached
        If the door was opened again too often.
    CodeFrozen
        If the resident said that something is wrong, and nobody has looked yet.
    CompartmentUnavailable
        If the compartment waits for a check or is out of service.
    LockerOffline
        If the locker cannot be reached now.
    CommandPending
        If the door is being opened at this moment.
    """
    claims.lock(reservation)
    if reservation.code is not None and reservation.code.state == CodeState.FROZEN:
        raise CodeFrozen
    return open_locked_for_collection(reservation, at=at, real_at=real_at)


def open_locked_for_collection(
    reservation: Reservation,
    *,
    at: datetime,
    real_at: datetime,
    request_id: UUID | None = None,
) -> OpenCommand:
    """Open a door as ``open_for_collection`` does, where the caller has locked the locker."""
    device = _reachable_device(reservation.locker_id, real_at=real_at)
    compartment = _compartment_to_collect_from(reservation, at=at)
    return _create(compartment, device, Purpose.COLLECT, reservation, real_at=real_at, request_id=request_id)


@transaction.atomic
def open_for_check(compartment: Compartment, *, real_at: datetime) -> OpenCommand:
    """
    Open a door for an operator who looks into the compartment.

    Raises
    ------
    LockerOffline
        If the locker cannot be reached now.
    CommandPending
        If the door is being opened at this moment.
    """
    cabinets.lock(compartment.locker_id)
    device = _reachable_device(compartment.locker_id, real_at=real_at)
    return _create(compartment, device, Purpose.OPERATOR, None, real_at=real_at)


def hand_out(device: Device, *, real_at: datetime, except_for: frozenset[UUID]) -> list[OpenCommand]:
    """
    Return the commands that a device has not acknowledged and may still execute; the same ones each time.

    A command that was never handed out is certain not to have been executed, so the first time is noted.
    """
    offerable = list(
        OpenCommand.objects.offerable(at=real_at)
        .filter(device=device, link_epoch=device.link_epoch)
        .exclude(pk__in=except_for)
        .select_related("compartment")
        .order_by("created_at")
    )
    unsent = [command.pk for command in offerable if command.state == CommandState.CREATED]
    if unsent:
        OpenCommand.objects.filter(pk__in=unsent, state=CommandState.CREATED).update(state=CommandState.SENT)
    return offerable


def claim_unsent(*, real_at: datetime) -> list[OpenCommand]:
    """
    Claim the commands that wait to be sent over MQTT, each by one UPDATE: of several senders one gets it.

    Whoever claims a command and dies before sending leaves it without an answer: it becomes unknown.
    """
    return [command for command in _UNSENT.all(at=real_at) if claim(command)]


def claim(command: OpenCommand) -> bool:
    """Claim the right to send a command, and tell whether it was still to be had."""
    return bool(_CLAIM(command=command.pk))


def sweep(*, real_at: datetime) -> None:
    """Settle commands that got no answer in time, and doors of which nobody says whether they opened."""
    settle_overdue(OpenCommand.objects.all(), real_at=real_at)
    for compartment in _still_unlocking():
        _doubt_door(compartment)


def settle_overdue(commands: models.QuerySet[OpenCommand], *, real_at: datetime) -> None:
    """
    Call commands without an answer unknown; those that no device ever received are refused for sure.

    An answer that comes later still amends them.
    """
    commands.filter(state=CommandState.CREATED, expires_at__lte=real_at).update(
        state=CommandState.REFUSED, reason="expired"
    )
    commands.filter(state=CommandState.SENT, expires_at__lt=real_at - ANSWER_GRACE).update(
        state=CommandState.UNKNOWN
    )
    commands.filter(state=CommandState.PULSED, expires_at__lt=real_at - ANSWER_GRACE - OPENING_TIME).update(
        state=CommandState.UNKNOWN
    )


def _still_unlocking() -> models.QuerySet[Compartment]:
    """Return the compartments whose lock was driven, and whose device has not said what came of it."""
    waited_for = OpenCommand.objects.live().filter(compartment=models.OuterRef("pk"))
    return Compartment.objects.filter(~models.Exists(waited_for), door=DoorState.UNLOCKING)


@transaction.atomic
def _doubt_door(compartment: Compartment) -> None:
    cabinets.lock(compartment.locker_id)
    # The device may have said it while we waited for the lock.
    _still_unlocking().filter(pk=compartment.pk).update(door=DoorState.UNKNOWN)


def _reachable_device(locker_id: UUID, *, real_at: datetime) -> Device:
    device = _IN_SERVICE.first(locker=locker_id)
    if device is None or not device.is_reachable(at=real_at):
        has_keypad = device is not None and device.profile == Profile.FULL
        name = Locker.objects.get(pk=locker_id).name
        raise (LockerOffline if has_keypad else OfflineWithoutKeypad)(locker=name)
    return device


def _compartment_to_collect_from(reservation: Reservation, *, at: datetime) -> Compartment:
    if reservation.state == ReservationState.OVERDUE:
        raise HoldEnded
    is_collecting = reservation.state == ReservationState.COLLECTING
    if is_collecting and reservation.collection_is_over(at=at) and reservation.opened_at is not None:
        raise NotDeposited(state=ReservationState.COLLECTED.value)
    if is_collecting and not reservation.may_reopen:
        raise ReopenLimitReached
    if not is_collecting and reservation.state != ReservationState.DEPOSITED:
        raise NotDeposited(state=reservation.state)
    compartment = reservation.compartment
    assert compartment is not None  # noqa: S101 - a constraint says so
    if compartment.state not in {CompartmentState.OCCUPIED, CompartmentState.COLLECTING}:
        raise CompartmentUnavailable(number=compartment.number)
    return compartment


def _create(
    compartment: Compartment,
    device: Device,
    purpose: Purpose,
    reservation: Reservation | None,
    *,
    real_at: datetime,
    request_id: UUID | None = None,
) -> OpenCommand:
    if _LIVE.first(compartment=compartment.pk) is not None:
        settle_overdue(compartment.commands.all(), real_at=real_at)
        if compartment.commands.live().exists():
            raise CommandPending(number=compartment.number)
    command = OpenCommand(
        compartment=compartment,
        device=device,
        reservation=reservation,
        purpose=purpose,
        link_epoch=device.link_epoch,
        request_id=request_id,
        created_at=real_at,
        expires_at=real_at + COMMAND_LIFE,
    )
    _INSERT(command)
    transaction.on_commit(lambda: wake.device(device.pk))
    return command
