"""
How a locker answers codes by itself: by the signed list, when the server is away or behind.

It never trusts a wall clock. How late it is at least follows from the server's last word and the monotonic
clock; a list that is out of touch stays good for 72 hours, after that each entry until its own end.
"""

import hashlib
import hmac
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from lockers import wire
from lockers.device.allowlist import Allowlist, Claim, Entry, Errand, Sequel, Use, allowlist_in, sequel
from lockers.device.hardware import Hardware, Reading
from lockers.device.journal import Journal
from lockers.device.messages import Answer
from lockers.device.timekeeping import Calendar
from lockers.throttle import Failures

#: So long a locker out of touch may rely on all of its list.
OUT_OF_TOUCH = timedelta(hours=72)
COLLECTION_WINDOW_S = 600.0
MAX_REOPENINGS = 3
DIGITS = 8
#: A QR token: what it is, then 16 bytes that name the code and 16 that prove it, base64url.
QR_PREFIX = "DB1."
QR_LENGTH = len(QR_PREFIX) + 43


class Outcome(StrEnum):
    """What the keypad answers; as the server does."""

    OPENING = "opening"
    CODE_UNKNOWN = "code-unknown"
    CODE_NOT_ACTIVE = "code-not-active"
    LOCKED_OUT = "locked-out"
    REOPEN_LIMIT_REACHED = "reopen-limit-reached"
    NO_COMPARTMENT_AVAILABLE = "no-compartment-available"
    HARDWARE_FAILED = "hardware-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A door that a code opens."""

    entry: Entry
    claim_id: str
    number: int
    num_left: int = 0


class Keypad:
    """Knows codes by the list, and counts wrong ones."""

    def __init__(
        self,
        *,
        list_key: bytes | None,
        allowlist: wire.Envelope | None,
        journal: Journal,
        hardware: Hardware,
        calendar: Calendar,
        monotonic: Callable[[], float],
    ) -> None:
        self._list_key = list_key
        self._journal = journal
        self._hardware = hardware
        self._calendar = calendar
        self._monotonic = monotonic
        self._list = None if allowlist is None else allowlist_in(allowlist)
        self._signer = None if allowlist is None else str(allowlist["kid"])
        self._received_s = monotonic()
        self._made_s: dict[str, float] = {}
        self._errands: dict[str, Errand] = {}
        self._booted_s = monotonic()
        self._locked_until_s = self._booted_s + journal.failures.locked_s
        #: When the last wrong code was entered, as late as it can have been.
        self._last_failure_s = self._booted_s

    @property
    def has_list(self) -> bool:
        """Tell whether the locker can answer codes by itself."""
        return self._list is not None and self._list_key is not None

    def list_version(self, *, obeyed: Container[str]) -> int:
        """
        Return the version of the list; 0 if there is none, or if who signed it is obeyed no more.

        Such a list serves until a restart or until there is another, and that may have any version.
        """
        return self._list.version if self._list is not None and self._signer in obeyed else 0

    def put(self, message: wire.Envelope, *, obeyed: Container[str]) -> int | None:
        """
        Keep a list and return its version, unless it is older than the present one.

        ``obeyed`` are the names of the keys that may have signed lists.

        Raises
        ------
        BadEnvelope
            If it cannot be read.
        """
        fresh, present = allowlist_in(message), self.list_version(obeyed=obeyed)
        if fresh.version <= present:
            return present if fresh.version == present else None
        self._journal.keep_list(message)
        self._list, self._signer = fresh, str(message["kid"])
        self._received_s = self._monotonic()
        return fresh.version

    def note_made(self, report: wire.Envelope) -> None:
        """Note when a report was made; of earlier lives the clock knows nothing."""
        self._made_s[report["message_id"]] = self._monotonic()
        while len(self._made_s) > 1_000:
            del self._made_s[next(iter(self._made_s))]

    def note_errand(self, command_id: str, claim_id: str | None, purpose: str) -> None:
        """Note what a command of the server is for."""
        self._errands[command_id] = Errand(claim_id, purpose)
        while len(self._errands) > 1_000:
            del self._errands[next(iter(self._errands))]

    def is_ahead(self) -> bool:
        """Tell whether the device opened doors by itself that the server's list does not know of yet."""
        return self._list is not None and self._sequel(self._list).has_decided

    def is_in_other_use(self, number: int, claim_id: str | None) -> bool:
        """Tell whether the server, behind on what happened here, would open a door on other goods."""
        return self._list is not None and self._sequel(self._list).is_in_other_use(number, claim_id)

    def deposits_into(self, number: int) -> bool:
        """Tell whether a door was last opened for a courier, as far as is known."""
        use = None if self._list is None else self._sequel(self._list).uses.get(number)
        return use is not None and use.purpose == "deposit"

    def is_locked(self) -> bool:
        """Tell whether typed codes are refused for now."""
        return self._monotonic() < self._locked_until_s

    def tick(self) -> None:
        """Note once that a lock-out is over, lest it begin anew at every start."""
        past = self._journal.failures
        if past.locked_s and not self.is_locked():
            self._journal.note_failures(
                num_failures=past.num_failures, num_lock_outs=past.num_lock_outs, locked_s=0.0
            )

    def note_wrong(self) -> timedelta | None:
        """Count a wrong code, and return for how long the keypad is locked now, if it is."""
        now_s, past = self._monotonic(), self._journal.failures
        usable_for = timedelta(seconds=now_s - max(self._last_failure_s, self._locked_until_s))
        counted = Failures(num_failures=past.num_failures, num_lock_outs=past.num_lock_outs)
        counted, lock_out = counted.after_another(usable_for=usable_for)
        self._last_failure_s = now_s
        locked_s = 0.0 if lock_out is None else lock_out.total_seconds()
        self._journal.note_failures(
            num_failures=counted.num_failures, num_lock_outs=counted.num_lock_outs, locked_s=locked_s
        )
        self._locked_until_s = now_s + locked_s
        return lock_out

    def forgive(self, entry_id: str | None) -> None:
        """Forget the wrong codes before a right one; each code does so once, lest its holder guess on."""
        past = self._journal.failures
        if past.num_failures and entry_id not in past.forgiven:
            self._journal.forgive(entry_id)

    def decide(self, entered: str) -> Opening | Answer:
        """Return the door that an entered code opens, or the answer that it opens none."""
        entry = self._entry(entered)
        if entry is None:
            return Answer(outcome=Outcome.CODE_UNKNOWN)
        assert self._list is not None  # noqa: S101 - an entry comes from it
        happened = self._sequel(self._list)
        if entry.purpose == "deposit":
            return self._deposit(entry, self._list.claims[entry.claims[0]], happened)
        return self._collect(entry, self._list, happened)

    def _entry(self, entered: str) -> Entry | None:
        if self._list is None or self._list_key is None:
            return None
        digest = hmac.new(self._list_key, entered.encode(), hashlib.sha256).hexdigest()
        token = hashlib.sha256(entered.encode()).hexdigest()
        for entry in self._list.entries:
            known = entry.digest if is_typed(entered) else entry.qr
            if hmac.compare_digest(known, digest if is_typed(entered) else token):
                return entry if self._is_good(entry) else None
        return None

    def _is_good(self, entry: Entry) -> bool:
        now, contact = self._calendar.now(), self._calendar.contact
        return now is None or contact is None or now <= max(entry.not_after, contact + OUT_OF_TOUCH)

    def _deposit(self, entry: Entry, claim: Claim, happened: Sequel) -> Opening | Answer:
        if claim.state == "here" or self._deposited_at(claim, happened) is not None:
            return Answer(outcome=Outcome.CODE_NOT_ACTIVE)
        for number in claim.doors:
            is_touched = number in happened.uses or number in happened.spoilt
            if is_touched or number in happened.tried[entry.entry_id]:
                continue
            if self._hardware.reading(number) == Reading.CLOSED:
                return Opening(entry=entry, claim_id=claim.claim_id, number=number)
        return Answer(outcome=Outcome.NO_COMPARTMENT_AVAILABLE)

    def _collect(self, entry: Entry, allowlist: Allowlist, happened: Sequel) -> Opening | Answer:
        visit_s = happened.visits.get(entry.entry_id)
        if entry.one_visit and visit_s is not None and self._is_over(visit_s):
            return Answer(outcome=Outcome.CODE_NOT_ACTIVE)
        here = sorted(self._here(entry, allowlist, happened))
        if not here:
            return Answer(outcome=Outcome.CODE_NOT_ACTIVE)
        num_openings, number, claim_id = here[0]
        if num_openings > MAX_REOPENINGS:
            return Answer(outcome=Outcome.REOPEN_LIMIT_REACHED)
        num_left = sum(not opened for opened, _, _ in here[1:])
        return Opening(entry=entry, claim_id=claim_id, number=number, num_left=num_left)

    def _here(self, entry: Entry, allowlist: Allowlist, happened: Sequel) -> Iterator[tuple[int, int, str]]:
        """Yield how often each door was opened that an entry may open now, its number, and the claim."""
        for claim in (allowlist.claims[claim_id] for claim_id in entry.claims):
            if (collecting := self._use_of(claim, "collect", happened)) is not None:
                number, use = collecting
                if not (use.is_done and self._is_closed(number)) and not self._is_over(use.since_s):
                    yield use.num_openings, number, claim.claim_id
            elif (deposited := self._deposited_at(claim, happened)) is not None:
                yield 0, deposited, claim.claim_id
            elif claim.state == "here" and claim.number is not None and claim.number not in happened.uses:
                yield 0, claim.number, claim.claim_id

    def _deposited_at(self, claim: Claim, happened: Sequel) -> int | None:
        """Return the door behind which a courier put goods since the list was made."""
        found = self._use_of(claim, "deposit", happened)
        if found is not None and found[1].is_done and self._is_closed(found[0]):
            return found[0]
        return None

    def _use_of(self, claim: Claim, purpose: str, happened: Sequel) -> tuple[int, Use] | None:
        """Return the last door that was opened for a claim."""
        last = None
        for number, use in happened.uses.items():
            if (use.claim_id, use.purpose) == (claim.claim_id, purpose):
                last = number, use
        return last

    def _is_closed(self, number: int) -> bool:
        return self._hardware.reading(number) == Reading.CLOSED

    def _is_over(self, since_s: float) -> bool:
        return self._monotonic() - since_s >= COLLECTION_WINDOW_S

    def _sequel(self, allowlist: Allowlist) -> Sequel:
        return sequel(
            allowlist,
            self._journal.reports_after(allowlist.as_of),
            received_s=self._received_s,
            made_s=lambda report: self._made_s.get(report["message_id"], self._booted_s),
            errands=self._errands,
        )


def is_typed(entered: str) -> bool:
    """Tell whether a code was typed, rather than scanned."""
    return len(entered) == DIGITS and entered.isascii() and entered.isdigit()


def is_scanned(entered: str) -> bool:
    """Tell whether a code has the form of a QR token."""
    return entered.startswith(QR_PREFIX) and len(entered) == QR_LENGTH
