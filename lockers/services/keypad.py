"""What happens when someone types a code: the right door, or a refusal that counts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from common import events
from common.exceptions import InvalidTransition
from lockers import signals
from lockers.exceptions import CommandPending, LockerError
from lockers.models import CodeThrottle, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import cabinets, claims, codes, commands
from lockers.states import (
    OPENING_CODES,
    CodeState,
    Purpose,
    ReservationState,
)
from lockers.throttle import Failures


class Outcome(StrEnum):
    """What the keypad answers; stable codes."""

    OPENING = "opening"
    CODE_UNKNOWN = "code-unknown"
    CODE_NOT_ACTIVE = "code-not-active"
    CODE_FROZEN = "code-frozen"
    LOCKED_OUT = "locked-out"
    #: Recorded, but told to nobody: at the keypad it looks like an unknown code.
    CODE_OF_ANOTHER_LOCKER = "code-of-another-locker"


#: Refusals that count towards a lock-out.
WRONG = frozenset({Outcome.CODE_UNKNOWN, Outcome.CODE_OF_ANOTHER_LOCKER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    The answer to a typed code.

    ``outcome`` is an ``Outcome`` or the stable code of the rule that forbids the opening; ``num_left`` says
    how many further compartments wait for the same code here.
    """

    outcome: str
    command: OpenCommand | None = None
    num_left: int = 0
    locked_until: datetime | None = None

    @property
    def told(self) -> str:
        """Return what the keypad may show."""
        other = self.outcome == Outcome.CODE_OF_ANOTHER_LOCKER
        return Outcome.CODE_UNKNOWN if other else self.outcome


@transaction.atomic
def enter(locker: Locker, entered: str, *, at: datetime, real_at: datetime, request_id: UUID) -> Entry:
    """
    Open the next compartment for a code that was typed or scanned; a refusal is an answer too, and counted.

    The same request again finds the first one's command and opens nothing else. A scanned code cannot be
    guessed: it is not counted, and opens while typed ones are locked out.
    """
    cabinets.lock(locker.pk)
    repeated = OpenCommand.objects.filter(device__locker=locker, request_id=request_id).first()
    if repeated is not None:
        return Entry(outcome=Outcome.OPENING, command=repeated)
    throttle = CodeThrottle.objects.select_for_update(no_key=True).get(locker=locker)
    is_typed = not codes.is_scanned(entered)
    if is_typed and throttle.locked_until is not None and real_at < throttle.locked_until:
        entry = Entry(outcome=Outcome.LOCKED_OUT, locked_until=throttle.locked_until)
    else:
        entry = _try(locker, entered, at=at, real_at=real_at, request_id=request_id)
    if entry.command is None and throttle.last_request_id != request_id:
        throttle.last_request_id = request_id
        if is_typed and entry.outcome in WRONG:
            _count(throttle, real_at=real_at)
        throttle.save()
        note_refusal(locker, outcome=entry.outcome, at=at)
    return entry


def note_refusal(locker: Locker, *, outcome: str, at: datetime) -> None:
    """Record that a code opened nothing, for whoever asks why."""
    events.record("code_refused", scope=locker.namespace, at=at, locker=locker.slug, outcome=outcome)
    signals.code_refused.send(sender=Locker, locker=locker, outcome=outcome, at=at)


def _try(locker: Locker, entered: str, *, at: datetime, real_at: datetime, request_id: UUID) -> Entry:
    code = codes.find(namespace=locker.namespace, entered=entered)
    if code is None:
        return Entry(outcome=Outcome.CODE_UNKNOWN)
    if code.purpose == Purpose.DEPOSIT:
        return _deposit(locker, code, at=at, real_at=real_at, request_id=request_id)
    waiting = (
        code.principal.reservations.awaiting_collection().filter(locker=locker).select_related("compartment")
    )
    here = list(waiting.order_by("compartment__number"))
    if not here:
        return Entry(outcome=Outcome.CODE_OF_ANOTHER_LOCKER)
    if CodeState.FROZEN in {code.state, code.principal.state}:
        return Entry(outcome=Outcome.CODE_FROZEN)
    ready = [reservation for reservation in here if reservation.state == ReservationState.DEPOSITED]
    begun = [reservation for reservation in here if reservation.state == ReservationState.COLLECTING]
    if code.state not in OPENING_CODES or not ready + begun:
        return Entry(outcome=Outcome.CODE_NOT_ACTIVE)
    return _open_next(locker, code, ready + begun, at=at, real_at=real_at, request_id=request_id)


def _deposit(locker: Locker, code: LockerCode, *, at: datetime, real_at: datetime, request_id: UUID) -> Entry:
    """Open a door for a courier; who types the code again gets another one."""
    reservation = Reservation.objects.select_related("compartment", "code", "deposit_code").get(
        deposit_code=code
    )
    if reservation.locker_id != locker.pk:
        return Entry(outcome=Outcome.CODE_OF_ANOTHER_LOCKER)
    if reservation.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
        return Entry(outcome=Outcome.CODE_NOT_ACTIVE)
    try:
        with transaction.atomic():
            claims.give_up_opened_door(reservation, at=at)
            command = commands.open_locked_for_deposit(
                reservation, at=at, real_at=real_at, request_id=request_id
            )
    except (LockerError, InvalidTransition) as error:
        return Entry(outcome=error.code)
    _forgive(code, locker)
    if code.state == CodeState.ACTIVE:
        code.advance(CodeState.IN_USE)
    return Entry(outcome=Outcome.OPENING, command=command)


def _open_next(
    locker: Locker,
    code: LockerCode,
    candidates: list[Reservation],
    *,
    at: datetime,
    real_at: datetime,
    request_id: UUID,
) -> Entry:
    """Open the first compartment that can be opened: those not yet begun come first."""
    refusal = ""
    for position, reservation in enumerate(candidates):
        try:
            with transaction.atomic():
                command = commands.open_locked_for_collection(
                    reservation, at=at, real_at=real_at, request_id=request_id
                )
        except CommandPending as pending:
            refusal = refusal or pending.code
        except LockerError as error:
            refusal = error.code
        else:
            rest = candidates[position + 1 :]
            _forgive(code, locker)
            codes.begin_visit(code, at=at)
            num_left = sum(other.state == ReservationState.DEPOSITED for other in rest)
            return Entry(outcome=Outcome.OPENING, command=command, num_left=num_left)
    return Entry(outcome=refusal)


def _count(throttle: CodeThrottle, *, real_at: datetime) -> None:
    since = max(filter(None, [throttle.last_failure_at, throttle.locked_until]), default=real_at)
    before = Failures(num_failures=throttle.num_failures, num_lock_outs=throttle.num_lock_outs)
    counted, lock_out = before.after_another(usable_for=real_at - since)
    throttle.num_failures, throttle.num_lock_outs = counted.num_failures, counted.num_lock_outs
    throttle.last_failure_at = real_at
    if lock_out is not None:
        throttle.locked_until = real_at + lock_out


def _forgive(code: LockerCode, locker: Locker) -> None:
    """Forget the wrong codes before a right one; each code does so once, lest its holder guess on."""
    if LockerCode.objects.filter(pk=code.pk, has_forgiven=False).update(has_forgiven=True):
        CodeThrottle.objects.filter(locker=locker).update(num_failures=0)
