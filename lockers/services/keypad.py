"""What happens when someone types a code: the right door, or a refusal that counts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from common import events
from lockers import signals
from lockers.exceptions import CommandPending, LockerError
from lockers.models import CodeThrottle, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import cabinets, codes, commands
from lockers.states import (
    LOCK_OUT_FORGOTTEN_AFTER,
    LOCK_OUTS,
    OPENING_CODES,
    WRONG_CODES_ALLOWED,
    CodeState,
    ReservationState,
)


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
def enter(locker: Locker, digits: str, *, at: datetime, real_at: datetime, request_id: UUID) -> Entry:
    """
    Open the next compartment that waits for a code; a refusal is an answer too, for it must be counted.

    The same request again finds the first one's command and opens nothing else.
    """
    cabinets.lock(locker.pk)
    repeated = OpenCommand.objects.filter(device__locker=locker, request_id=request_id).first()
    if repeated is not None:
        return Entry(outcome=Outcome.OPENING, command=repeated)
    throttle = CodeThrottle.objects.select_for_update(no_key=True).get(locker=locker)
    if throttle.locked_until is not None and real_at < throttle.locked_until:
        entry = Entry(outcome=Outcome.LOCKED_OUT, locked_until=throttle.locked_until)
    else:
        entry = _try(locker, digits, at=at, real_at=real_at, request_id=request_id)
        _count(throttle, entry, real_at=real_at)
    if entry.command is None:
        events.record(
            "code_refused", scope=locker.namespace, at=at, locker=locker.slug, outcome=entry.outcome
        )
        signals.code_refused.send(sender=Locker, locker=locker, outcome=entry.outcome, at=at)
    return entry


def _try(locker: Locker, digits: str, *, at: datetime, real_at: datetime, request_id: UUID) -> Entry:
    code = codes.find(namespace=locker.namespace, digits=digits)
    if code is None:
        return Entry(outcome=Outcome.CODE_UNKNOWN)
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
                    reservation, locker, at=at, real_at=real_at, request_id=request_id
                )
        except CommandPending as pending:
            refusal = refusal or pending.code
        except LockerError as error:
            refusal = error.code
        else:
            rest = candidates[position + 1 :]
            _forgive(code, locker)
            _begin_visit(code, at=at)
            num_left = sum(other.state == ReservationState.DEPOSITED for other in rest)
            return Entry(outcome=Outcome.OPENING, command=command, num_left=num_left)
    return Entry(outcome=refusal)


def _begin_visit(code: LockerCode, *, at: datetime) -> None:
    """Note that a helper came; the code is good for this visit only."""
    if code.on_behalf_of_id is not None and code.state == CodeState.ACTIVE:
        code.advance(CodeState.IN_USE)
        events.record("opened_by_helper", scope=code.namespace, at=at, helper=str(code.pk))


def _count(throttle: CodeThrottle, entry: Entry, *, real_at: datetime) -> None:
    if entry.outcome not in WRONG:
        return
    last = throttle.last_failure_at
    if last is not None and real_at - last > LOCK_OUT_FORGOTTEN_AFTER:
        throttle.num_failures = throttle.num_lock_outs = 0
    throttle.num_failures += 1
    throttle.last_failure_at = real_at
    if throttle.num_failures >= WRONG_CODES_ALLOWED:
        step = min(throttle.num_lock_outs, len(LOCK_OUTS) - 1)
        throttle.locked_until = real_at + LOCK_OUTS[step]
        throttle.num_lock_outs += 1
        throttle.num_failures = 0
    throttle.save()


def _forgive(code: LockerCode, locker: Locker) -> None:
    """Forget the wrong codes before a right one; each code does so once, lest its holder guess on."""
    if LockerCode.objects.filter(pk=code.pk, has_forgiven=False).update(has_forgiven=True):
        CodeThrottle.objects.filter(locker=locker).update(num_failures=0)
