"""
Locker codes under everything that people and time may do with them, in any order: legal or not.

Hypothesis chooses who does what at two keypads; the rules in plain Python say what each answers, and what is
left of every code.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.exceptions import InvalidTransition
from lockers import tokens
from lockers.exceptions import CodeNotRevealable, NotDeposited, ReopenLimitReached
from lockers.models import CodeMask, CodeThrottle, Compartment, Locker, LockerCode, Reservation
from lockers.services import checks, codes, devices, disputes, keypad, reservations, sweeps
from lockers.services.checks import Finding
from lockers.services.disputes import Complaint
from lockers.services.keypad import Outcome
from lockers.sizes import Size
from lockers.states import CodeState, ReservationState
from tests.lockers.conftest import NAMESPACE, Cabinet, a_cabinet, a_locker, a_reservation, deposited
from tests.lockers.machines import PLAYED, START

pytestmark = [pytest.mark.proof, pytest.mark.django_db]

#: Any of those that there are.
which = st.integers(min_value=0, max_value=11)
LIVE = {CodeState.ISSUED, CodeState.ACTIVE, CodeState.IN_USE, CodeState.FROZEN}
AWAITED = {ReservationState.RESERVED, ReservationState.DEPOSITED, ReservationState.COLLECTING}
WITHIN_REACH = {ReservationState.DEPOSITED, ReservationState.COLLECTING}
#: How long a keypad is locked after the first, second and each further five wrong codes.
LOCK_OUTS_S = (15 * 60, 3600, 4 * 3600, 24 * 3600)
DAY_S, WINDOW_S, CLAIM_S = 24 * 3600, 600, 8 * 3600


@dataclass(eq=False, slots=True)
class Keypad:
    """The keypad of one locker, and what it remembers of wrong codes."""

    num_failures: int = 0
    num_lock_outs: int = 0
    last_failure_s: float | None = None
    locked_until_s: float = -1

    def count(self, now_s: float) -> None:
        """Count a wrong code; the fifth locks, each time for longer, until a day goes by without any."""
        if self.last_failure_s is not None and now_s - max(self.last_failure_s, self.locked_until_s) > DAY_S:
            self.num_failures = self.num_lock_outs = 0
        self.last_failure_s = now_s
        self.num_failures += 1
        if self.num_failures == 5:
            self.locked_until_s = now_s + LOCK_OUTS_S[min(self.num_lock_outs, 3)]
            self.num_failures, self.num_lock_outs = 0, self.num_lock_outs + 1


@dataclass(eq=False, slots=True)
class Code:
    """One code, and of a helper's the one that it stands for."""

    valid_until_s: float
    principal: "Code | None" = None
    state: CodeState = CodeState.ISSUED
    has_forgiven: bool = False

    @property
    def is_live(self) -> bool:
        """Tell whether it belongs to somebody."""
        return self.state in LIVE

    def end(self) -> None:
        """End it, as what it was."""
        self.state = CodeState.USED if self.state == CodeState.IN_USE else CodeState.EXPIRED


@dataclass(eq=False, slots=True)
class Bundle:
    """Goods on their way into a locker, in it or out of it; moments are seconds."""

    keypad: Keypad
    code: Code
    expires_s: float
    number: int = 0
    hold_until_s: float = 0
    state: ReservationState = ReservationState.RESERVED
    is_closed: bool = False
    collecting_since_s: float = 0
    num_openings: int = 0
    is_disputed: bool = False


class CodeMachine(RuleBasedStateMachine):
    """Codes for two lockers in the database, and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self._rollback = ExitStack()
        self._rollback.enter_context(transaction.atomic())
        self._now_s = 0.0
        lockers = [a_locker((Size.S,) * 3), a_locker((Size.S,) * 3)]
        self._lockers: dict[Keypad, Locker] = {Keypad(): locker for locker in lockers}
        self._cabinets: dict[Keypad, Cabinet] = {
            pad: a_cabinet(locker, START) for pad, locker in self._lockers.items()
        }
        self._codes: dict[Code, LockerCode] = {}
        self._digits: dict[Code, str] = {}
        self._bundles: dict[Bundle, Reservation] = {}
        #: The last request of a keypad, what was entered, and how it was answered.
        self._last: tuple[Keypad, str, UUID, keypad.Entry] | None = None

    def teardown(self) -> None:
        """Leave nothing behind."""
        transaction.set_rollback(True)
        self._rollback.close()

    @initialize(brought=st.lists(which, max_size=3), has_helper=st.booleans())
    def begin(self, brought: list[int], has_helper: bool) -> None:
        """Two people have codes, and some goods are there."""
        self.issue(3)
        self.issue(1)
        if has_helper:
            self.issue_for_helper(0)
        for which in brought:
            self.expect(which, is_brought=True)

    # Codes come and go.

    @rule(days=st.sampled_from([1, 3]))
    def issue(self, days: int) -> None:
        """Somebody gets a code; who asks for it again gets the same."""
        holder, occasion = uuid4(), uuid4()
        issued = [
            codes.issue(
                namespace=NAMESPACE,
                holder=holder,
                occasion=occasion,
                valid_until=self._at(days * DAY_S),
                at=self._at(),
            )
            for _ in range(2)
        ]
        assert issued[0].pk == issued[1].pk
        self._keep(Code(self._now_s + days * DAY_S), issued[0])

    @precondition(lambda self: self._codes)
    @rule(which=which)
    def issue_for_helper(self, which: int) -> None:
        """Somebody else is to collect."""
        code, row = self._a_code(which)
        if code.principal is not None or not code.is_live:
            with pytest.raises(InvalidTransition):
                codes.issue_for_helper(row, helper=uuid4(), at=self._at())
            return
        issued = codes.issue_for_helper(row, helper=uuid4(), at=self._at())
        is_active = code.state in {CodeState.ACTIVE, CodeState.IN_USE}
        state = CodeState.ACTIVE if is_active else CodeState.ISSUED
        self._keep(Code(code.valid_until_s, principal=code, state=state), issued)

    @precondition(lambda self: self._codes)
    @rule(which=which)
    def revoke(self, which: int) -> None:
        """A code is to open nothing any more; one that ended stays as it ended."""
        code, row = self._a_code(which)
        if not code.is_live and code.state != CodeState.REVOKED:
            with pytest.raises(InvalidTransition):
                codes.revoke(row, at=self._at())
            return
        codes.revoke(row, at=self._at())
        if code.is_live:
            code.state = CodeState.REVOKED
            self._end_helpers(code)

    # Goods come and go.

    @precondition(lambda self: self._owners())
    @rule(which=which, is_brought=st.sampled_from([True, True, False]))
    def expect(self, which: int, is_brought: bool) -> None:
        """A bundle gets a place, and is brought at once; or it never comes."""
        owners, pads = self._owners(), list(self._lockers)
        code, pad = owners[which % len(owners)], pads[which % 2]
        if (
            sum(
                one.keypad is pad and one.state in AWAITED | {ReservationState.OVERDUE}
                for one in self._bundles
            )
            == 3
        ):
            return
        row = a_reservation(
            self._lockers[pad], self._at(), code=self._codes[code], expires_in=timedelta(seconds=CLAIM_S)
        )
        bundle = Bundle(pad, code, self._now_s + CLAIM_S)
        self._bundles[bundle] = row
        if not is_brought:
            return
        self._hear(pad)
        deposited(row, self._cabinets[pad])
        assert row.compartment is not None
        bundle.number = row.compartment.number
        bundle.state, bundle.hold_until_s = ReservationState.DEPOSITED, code.valid_until_s
        if code.state == CodeState.ISSUED:
            self._activate(code)

    @precondition(lambda self: self._bundles)
    @rule(which=which)
    def complain(self, which: int) -> None:
        """A resident says that something is wrong, and closes the door if it is open."""
        bundle, row = self._a_bundle(which)
        if bundle.state not in WITHIN_REACH:
            with pytest.raises(NotDeposited):
                disputes.begin(row, Complaint.NOT_MINE, by=uuid4(), role="resident", at=self._at())
            return
        disputes.begin(row, Complaint.NOT_MINE, by=uuid4(), role="resident", at=self._at())
        if bundle.state == ReservationState.COLLECTING and not bundle.is_closed:
            cabinet = self._hear(bundle.keypad)
            cabinet.say(cabinet.report("compartment_closed", compartment_number=bundle.number))
        bundle.state, bundle.is_disputed = ReservationState.DEPOSITED, True
        if bundle.code.state in {CodeState.ACTIVE, CodeState.IN_USE}:
            bundle.code.state = CodeState.FROZEN

    @precondition(lambda self: self._disputed())
    @rule(which=which, found=st.sampled_from([Finding.AS_CLAIMED, Finding.MISSING, Finding.HANDED_OVER]))
    def look(self, which: int, found: Finding) -> None:
        """Somebody looks into what a resident complained of; the code thaws with the last complaint."""
        disputed = self._disputed()
        bundle = disputed[which % len(disputed)]
        at = self._at()
        door = Compartment.objects.get(locker=self._lockers[bundle.keypad], number=bundle.number)
        checks.settle(door, found, by=uuid4(), at=at, real_at=at)
        bundle.is_disputed = False
        # That takes longer than a keypad goes on repeating its message.
        self._last = None
        if bundle.code.state == CodeState.FROZEN:
            self._thaw(bundle.code, but=bundle)
        if found == Finding.AS_CLAIMED:
            self._hold(bundle)
            return
        is_missing = found == Finding.MISSING
        bundle.state = ReservationState.MISSING if is_missing else ReservationState.COLLECTED
        self._end_if_used_up(bundle.code)

    @precondition(lambda self: self._bundles)
    @rule(which=which)
    def extend(self, which: int) -> None:
        """A resident asks for another two days."""
        bundle, row = self._a_bundle(which)
        until_s = self._now_s + 2 * DAY_S
        if bundle.state != ReservationState.DEPOSITED or not bundle.code.is_live:
            with pytest.raises(InvalidTransition):
                reservations.extend(row, hold_until=self._at(2 * DAY_S))
            return
        reservations.extend(row, hold_until=self._at(2 * DAY_S))
        bundle.hold_until_s = max(bundle.hold_until_s, until_s)
        for one in self._family(bundle.code):
            if one.is_live:
                one.valid_until_s = max(one.valid_until_s, until_s)

    @precondition(lambda self: self._being_collected())
    @rule(which=which, is_confirmed=st.sampled_from([True, True, False]))
    def close(self, which: int, is_confirmed: bool) -> None:
        """A resident closes the door, and presses the button."""
        begun = self._being_collected()
        bundle = begun[which % len(begun)]
        cabinet = self._hear(bundle.keypad)
        cabinet.say(cabinet.report("compartment_closed", compartment_number=bundle.number))
        bundle.is_closed = True
        if is_confirmed or self._is_over(bundle):
            cabinet.say(cabinet.report("collection_done", compartment_number=bundle.number))
            self._collected(bundle)

    # At the keypad.

    @precondition(lambda self: self._codes)
    @rule(which=which, at_home=st.sampled_from([True, True, False]), is_scanned=st.booleans())
    def enter(self, which: int, at_home: bool, is_scanned: bool) -> None:
        """Somebody types or scans a code, dead or alive, here or there; what opens is opened."""
        code, _ = self._a_code(which)
        self._enter(self._home_of(code, at_home=at_home), code, is_scanned=is_scanned)

    @precondition(lambda self: self._within_reach())
    @rule(which=which, whose=which, is_scanned=st.booleans(), closes=st.sampled_from([True, True, False]))
    def collect(self, which: int, whose: int, is_scanned: bool, closes: bool) -> None:
        """A resident or a helper comes for what is there."""
        ready = self._within_reach()
        bundle = ready[which % len(ready)]
        family = self._family(bundle.code)
        self._enter(bundle.keypad, family[whose % len(family)], is_scanned=is_scanned)
        if closes and self._being_collected():
            self.close(whose, is_confirmed=True)

    def _enter(self, pad: Keypad, code: Code, *, is_scanned: bool) -> None:
        entered = tokens.qr_token(self._codes[code].pk) if is_scanned else self._digits[code]
        if not is_scanned and self._now_s < pad.locked_until_s:
            assert self._answer(pad, entered).outcome == Outcome.LOCKED_OUT
            return
        expected, bundle = self._expected(pad, code)
        answer = self._answer(pad, entered)
        assert answer.outcome == expected
        if bundle is None:
            if not is_scanned and expected in {Outcome.CODE_UNKNOWN, Outcome.CODE_OF_ANOTHER_LOCKER}:
                pad.count(self._now_s)
            return
        assert answer.command is not None
        assert answer.command.compartment.number == bundle.number
        self._open(bundle, code, answer)

    @rule(which=which, times=st.sampled_from([1, 4, 5, 6]))
    def guess(self, which: int, times: int) -> None:
        """Somebody tries digits that nobody has."""
        pad = list(self._lockers)[which % 2]
        taken = set(self._digits.values())
        digits = next(f"{number:08d}" for number in range(100) if f"{number:08d}" not in taken)
        for _ in range(times):
            is_locked = self._now_s < pad.locked_until_s
            wanted = Outcome.LOCKED_OUT if is_locked else Outcome.CODE_UNKNOWN
            assert self._answer(pad, digits).outcome == wanted
            if not is_locked:
                pad.count(self._now_s)

    @precondition(lambda self: self._last is not None)
    @rule()
    def say_again(self) -> None:
        """A keypad repeats its last message, for the answer was lost: nothing opens or counts twice."""
        assert self._last is not None
        pad, entered, request_id, first = self._last
        at = self._at()
        again = keypad.enter(self._lockers[pad], entered, at=at, real_at=at, request_id=request_id)
        assert (again.command and again.command.pk) == (first.command and first.command.pk)

    @precondition(lambda self: self._codes)
    @rule(which=which)
    def reveal(self, which: int) -> None:
        """Somebody has a code printed again."""
        code, row = self._a_code(which)
        row.refresh_from_db()
        if code.is_live:
            assert codes.reveal(row, reason="test", at=self._at()) == self._digits[code]
        else:
            with pytest.raises(CodeNotRevealable):
                codes.reveal(row, reason="test", at=self._at())

    # Time.

    @rule(seconds=st.sampled_from([60, 700, 3600, 5 * 3600, 20 * 3600, 30 * 3600]))
    def wait(self, seconds: int) -> None:
        """Time goes by, and what is due falls due."""
        self._now_s += seconds
        sweeps.sweep(at=self._at())
        codes.sweep(at=self._at())
        for bundle in self._bundles:
            if bundle.state == ReservationState.RESERVED and bundle.expires_s < self._now_s:
                bundle.state = ReservationState.EXPIRED
        for bundle in self._being_collected():
            if bundle.is_closed and self._is_over(bundle):
                self._collected(bundle)
        for bundle in self._bundles:
            is_kept = bundle.is_disputed or bundle.code.state == CodeState.FROZEN
            is_ending = bundle.hold_until_s < self._now_s + 3600
            if bundle.state == ReservationState.DEPOSITED and is_kept and is_ending:
                self._hold(bundle)
        for bundle in self._bundles:
            if bundle.state == ReservationState.DEPOSITED and bundle.hold_until_s < self._now_s:
                bundle.state = ReservationState.OVERDUE
                self._end_if_used_up(bundle.code)
        for code in self._codes:
            is_collecting = any(one.code is (code.principal or code) for one in self._being_collected())
            if code.is_live and code.valid_until_s < self._now_s and not is_collecting:
                code.state = CodeState.EXPIRED
                self._end_helpers(code)

    # How everything stands.

    @invariant()
    def the_database_says_what_the_rules_say(self) -> None:
        """Compare codes, goods and keypads; of a dead code nothing is left that could tell its digits."""
        rows = LockerCode.objects.in_bulk([row.pk for row in self._codes.values()])
        for code, row in self._codes.items():
            found = rows[row.pk]
            assert (found.state, found.valid_until) == (code.state, self._moment(code.valid_until_s))
            assert bool(found.digest) == bool(found.sealed) == code.is_live
        live = sum(code.is_live for code in self._codes)
        assert CodeMask.objects.filter(code__in=rows).count() == codes.DIGITS * live
        goods = Reservation.objects.in_bulk([row.pk for row in self._bundles.values()])
        assert [goods[row.pk].state for row in self._bundles.values()] == [one.state for one in self._bundles]
        for pad, locker in self._lockers.items():
            throttle = CodeThrottle.objects.get(locker=locker)
            assert (throttle.num_failures, throttle.num_lock_outs) == (pad.num_failures, pad.num_lock_outs)
            until = throttle.locked_until
            assert until == (None if pad.locked_until_s < 0 else self._moment(pad.locked_until_s))

    # The rules.

    def _expected(self, pad: Keypad, code: Code) -> tuple[str, Bundle | None]:
        """Return what a keypad answers to a code, and which bundle it opens for."""
        if not code.is_live:
            return Outcome.CODE_UNKNOWN, None
        owner = code.principal or code
        here = [
            one for one in self._bundles if one.code is owner and one.keypad is pad and one.state in AWAITED
        ]
        if not here:
            return Outcome.CODE_OF_ANOTHER_LOCKER, None
        if CodeState.FROZEN in {code.state, owner.state}:
            return Outcome.CODE_FROZEN, None
        ready = [one for one in here if one.state == ReservationState.DEPOSITED]
        begun = [one for one in here if one.state == ReservationState.COLLECTING]
        if code.state == CodeState.ISSUED or not ready + begun:
            return Outcome.CODE_NOT_ACTIVE, None
        refusal = ""
        for bundle in sorted(ready, key=lambda one: one.number) + sorted(begun, key=lambda one: one.number):
            if bundle.state == ReservationState.DEPOSITED:
                return Outcome.OPENING, bundle
            if self._is_over(bundle):
                refusal = NotDeposited.code
            elif bundle.num_openings > 3:
                refusal = ReopenLimitReached.code
            else:
                return Outcome.OPENING, bundle
        return refusal, None

    def _open(self, bundle: Bundle, code: Code, answer: keypad.Entry) -> None:
        """Let the door open that a keypad named."""
        if not code.has_forgiven:
            code.has_forgiven = True
            bundle.keypad.num_failures = 0
        assert answer.command is not None
        self._cabinets[bundle.keypad].opens(answer.command)
        if bundle.state == ReservationState.DEPOSITED:
            bundle.state, bundle.collecting_since_s = ReservationState.COLLECTING, self._now_s
            bundle.num_openings = 0
        bundle.num_openings += 1
        bundle.is_closed = False
        for one in (code, bundle.code):
            if one.state == CodeState.ACTIVE:
                one.state = CodeState.IN_USE

    def _collected(self, bundle: Bundle) -> None:
        bundle.state = ReservationState.COLLECTED
        self._end_if_used_up(bundle.code)

    def _end_if_used_up(self, code: Code) -> None:
        if not code.is_live:
            return
        mine = {bundle.state for bundle in self._bundles if bundle.code is code}
        if not mine & AWAITED:
            code.end()
            self._end_helpers(code)
        elif not mine & WITHIN_REACH:
            for helper in self._family(code)[1:]:
                if helper.state == CodeState.IN_USE:
                    helper.end()

    def _activate(self, code: Code) -> None:
        for one in self._family(code):
            if one.state == CodeState.ISSUED:
                one.state = CodeState.ACTIVE

    def _thaw(self, code: Code, *, but: Bundle) -> None:
        """Let a code open doors again if nobody complains of anything else that it opens."""
        mine = [one for one in self._bundles if one.code is code]
        if any(one.is_disputed for one in mine):
            return
        was_used = {one.state for one in mine} & {ReservationState.COLLECTING, ReservationState.COLLECTED}
        code.state = CodeState.IN_USE if was_used else CodeState.ACTIVE
        self._activate(code)
        for one in mine:
            if one is not but and one.state == ReservationState.DEPOSITED:
                self._hold(one)

    def _hold(self, bundle: Bundle) -> None:
        """Give a resident another day for goods that were out of reach."""
        until_s = self._now_s + DAY_S
        bundle.hold_until_s = max(bundle.hold_until_s, until_s)
        for one in self._family(bundle.code):
            if one.is_live:
                one.valid_until_s = max(one.valid_until_s, until_s)

    def _end_helpers(self, code: Code) -> None:
        for helper in self._family(code)[1:]:
            if helper.is_live and code.principal is None:
                helper.end()

    # Tools.

    def _at(self, in_s: float = 0) -> datetime:
        return self._moment(self._now_s + in_s)

    def _moment(self, second: float) -> datetime:
        return START + timedelta(seconds=second)

    def _keep(self, code: Code, row: LockerCode) -> None:
        self._codes[code] = row
        self._digits[code] = codes.digits_of(row)

    def _a_code(self, which: int) -> tuple[Code, LockerCode]:
        return list(self._codes.items())[-1 - which % len(self._codes)]

    def _a_bundle(self, which: int) -> tuple[Bundle, Reservation]:
        return list(self._bundles.items())[-1 - which % len(self._bundles)]

    def _owners(self) -> list[Code]:
        return [code for code in self._codes if code.is_live and code.principal is None]

    def _family(self, code: Code) -> list[Code]:
        return [code, *(one for one in self._codes if one.principal is code)]

    def _disputed(self) -> list[Bundle]:
        return [one for one in self._bundles if one.is_disputed]

    def _being_collected(self) -> list[Bundle]:
        return [one for one in self._bundles if one.state == ReservationState.COLLECTING]

    def _within_reach(self) -> list[Bundle]:
        return [one for one in self._bundles if one.state in WITHIN_REACH]

    def _is_over(self, bundle: Bundle) -> bool:
        return self._now_s >= bundle.collecting_since_s + WINDOW_S

    def _home_of(self, code: Code, *, at_home: bool) -> Keypad:
        """Return the keypad where most of a code's goods lie, or the other one."""
        pads = list(self._lockers)
        owner = code.principal or code
        mine = [one.keypad for one in self._bundles if one.code is owner and one.state in AWAITED]
        home = pads.index(mine[-1]) if mine else 0
        return pads[home if at_home else 1 - home]

    def _hear(self, pad: Keypad) -> Cabinet:
        """Let the device of a keypad be there, and speak now."""
        cabinet = self._cabinets[pad]
        cabinet.at = self._at()
        devices.hear(cabinet.device, real_at=self._at())
        return cabinet

    def _answer(self, pad: Keypad, entered: str) -> keypad.Entry:
        self._hear(pad)
        request_id, at = uuid4(), self._at()
        answer = keypad.enter(self._lockers[pad], entered, at=at, real_at=at, request_id=request_id)
        self._last = (pad, entered, request_id, answer)
        return answer


def test_codes_follow_the_rules_whatever_is_done_with_them() -> None:
    run_state_machine_as_test(CodeMachine, settings=settings(PLAYED, stateful_step_count=30))
