"""
A compartment under everything that people, devices and time may do to it, in any order: legal or not.

Hypothesis chooses who does what; the rules in plain Python beside it say what is refused, and how everything
stands afterwards.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
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
from lockers import signals
from lockers.exceptions import (
    CommandPending,
    CompartmentInUse,
    CompartmentUnavailable,
    DoorNotOpened,
    GoodsClaimed,
    HoldEnded,
    NoCompartmentAvailable,
    NotDeposited,
    NothingClaimed,
    ReopenLimitReached,
)
from lockers.link import Report
from lockers.models import Compartment, OpenCommand, Reservation
from lockers.services import checks, claims, commands, devices, inbox, reservations, sweeps
from lockers.services.checks import Finding
from lockers.services.claims import ReleaseReason
from lockers.sizes import Size, Temperature
from lockers.states import (
    TROUBLE,
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)
from tests.lockers.compartment_model import BLOCKED, Model
from tests.lockers.compartment_rows import Claim, Command, Door
from tests.lockers.conftest import Cabinet, a_cabinet, a_locker
from tests.lockers.machines import PLAYED, START

pytestmark = [pytest.mark.proof, pytest.mark.django_db]

OPERATOR = uuid4()
#: Any of those that there are.
which = st.integers(min_value=0, max_value=11)
mostly = st.sampled_from([True, True, True, False])
Refusal = type[Exception] | None


class CompartmentMachine(RuleBasedStateMachine):
    """Two compartments in the database, and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self._rollback = ExitStack()
        self._rollback.enter_context(transaction.atomic())
        self._locker = a_locker((Size.XL, Size.XL))
        self._cabinet = a_cabinet(self._locker, START)
        self._doors = {door.number: door for door in Compartment.objects.filter(locker=self._locker)}
        self._model = Model([Door(number) for number in self._doors])
        self._claims: dict[Claim, Reservation] = {}
        self._commands: dict[Command, OpenCommand] = {}
        #: What the device has to say, with what it means; and what of it arrived.
        self._said: list[tuple[Report, Callable[[], None]]] = []
        self._arrived: set[UUID] = set()
        self._announced: list[str] = []
        signals.reservation_deposited.connect(self._note_deposited)
        signals.reservation_collected.connect(self._note_collected)

    def teardown(self) -> None:
        """Leave nothing behind."""
        signals.reservation_deposited.disconnect(self._note_deposited)
        signals.reservation_collected.disconnect(self._note_collected)
        transaction.set_rollback(True)
        self._rollback.close()

    @initialize(visits=st.lists(st.tuples(which, mostly, mostly, mostly), max_size=5))
    def begin(self, visits: list[tuple[int, bool, bool, bool]]) -> None:
        """Some bundles have a place already, and some people came."""
        self.reserve(8 * 3600, 30 * 3600)
        self.reserve(8 * 3600, 1200)
        for visit in visits:
            self.visit(*visit)

    # People.

    @rule(lives_s=st.sampled_from([60, 8 * 3600]), kept_s=st.sampled_from([1200, 30 * 3600]))
    def reserve(self, lives_s: int, kept_s: int) -> None:
        """A bundle asks for a place."""
        model = self._model
        has_room = len(model.unbound()) < len(model.free_doors())
        made = self._act(
            None if has_room else NoCompartmentAvailable,
            lambda: claims.reserve(
                locker=self._locker,
                size=Size.S,
                temperature=Temperature.AMBIENT,
                reference=uuid4(),
                code=None,
                expires_at=self._at(lives_s),
                hold_until=self._at(kept_s),
            ),
        )
        if has_room:
            claim = Claim(model.now_s + lives_s, model.now_s + kept_s)
            model.claims.append(claim)
            self._claims[claim] = made

    @precondition(lambda self: self._claims)
    @rule(which=which)
    def cancel(self, which: int) -> None:
        """A bundle does not come after all."""
        claim, row = self._a_claim(which)
        match claim.state:
            case ReservationState.RESERVED:
                refusal: Refusal = CommandPending if self._is_opening(claim.door) else None
            case ReservationState.CANCELLED:
                refusal = None
            case _:
                refusal = InvalidTransition
        self._act(refusal, lambda: claims.cancel(row, at=self._at()))
        if refusal is None and claim.state == ReservationState.RESERVED:
            self._model.end(claim, ReservationState.CANCELLED)

    @precondition(lambda self: self._claims)
    @rule(which=which)
    def open_for_deposit(self, which: int) -> None:
        """A courier asks for a door."""
        claim, row = self._a_claim(which)
        refusal = self._why_no_deposit(claim)
        devices.hear(self._cabinet.device, real_at=self._at())
        made = self._act(refusal, lambda: commands.open_for_deposit(row, at=self._at(), real_at=self._at()))
        if refusal is not None:
            return
        door = self._model.doors[made.compartment.number - 1]
        if claim.door is None:
            assert door.is_free
            claim.door = door
            self._model.move(door, CompartmentState.RESERVED)
        assert door is claim.door
        self._commands[self._model.command(door, claim, Purpose.DEPOSIT)] = made

    def _why_no_deposit(self, claim: Claim) -> Refusal:
        if claim.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
            return InvalidTransition
        if claim.state == ReservationState.RESERVED and claim.expires_s < self._model.now_s:
            return InvalidTransition
        if claim.door is None:
            return None if self._model.free_doors() else NoCompartmentAvailable
        return CommandPending if self._will_wait(claim.door) else None

    @precondition(lambda self: self._claims)
    @rule(which=which)
    def say_deposited(self, which: int) -> None:
        """A courier says that the goods are in."""
        claim, row = self._a_claim(which)
        refusal: Refusal = None
        if not claim.was_deposited:
            if claim.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
                refusal = InvalidTransition
            elif claim.door is None:
                refusal = DoorNotOpened
        self._act(refusal, lambda: reservations.confirm_deposit(row, at=self._at()))
        if refusal is None and not claim.was_deposited:
            self._model.say_deposited(claim)

    @precondition(lambda self: self._claims)
    @rule(which=which, reason=st.sampled_from(list(ReleaseReason)))
    def release_door(self, which: int, reason: ReleaseReason) -> None:
        """A courier cannot use the door."""
        claim, row = self._a_claim(which)
        refusal: Refusal = None
        if claim.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
            refusal = InvalidTransition
        elif claim.door is not None and self._is_opening(claim.door):
            refusal = CommandPending
        self._act(refusal, lambda: claims.release_door(row, reason=reason, at=self._at()))
        if refusal is not None:
            return
        door = claim.door
        self._model.unbind(claim)
        if door is None:
            return
        if reason != ReleaseReason.DOES_NOT_FIT:
            self._model.demand_check(door, reason.value)
        elif door.intent not in TROUBLE:
            self._model.move(door, CompartmentState.FREE)

    @precondition(lambda self: self._claims)
    @rule(which=which)
    def open_for_collection(self, which: int) -> None:
        """A resident asks for a door."""
        claim, row = self._a_claim(which)
        refusal = self._why_no_collection(claim)
        devices.hear(self._cabinet.device, real_at=self._at())
        made = self._act(
            refusal,
            lambda: commands.open_for_collection(row, at=self._at(), real_at=self._at()),
        )
        if refusal is None and claim.door is not None:
            self._commands[self._model.command(claim.door, claim, Purpose.COLLECT)] = made

    def _why_no_collection(self, claim: Claim) -> Refusal:
        match claim.state:
            case ReservationState.OVERDUE:
                return HoldEnded
            case ReservationState.COLLECTING if self._model.is_over(claim) and claim.opened_s is not None:
                return NotDeposited
            case ReservationState.COLLECTING if not self._model.may_reopen(claim):
                return ReopenLimitReached
            case ReservationState.COLLECTING | ReservationState.DEPOSITED:
                assert claim.door is not None
                if claim.door.intent in TROUBLE:
                    return CompartmentUnavailable
                return CommandPending if self._will_wait(claim.door) else None
            case _:
                return NotDeposited

    @precondition(lambda self: self._claims)
    @rule(which=which)
    def say_empty(self, which: int) -> None:
        """A resident says that everything was taken out."""
        claim, row = self._a_claim(which)
        is_collecting = claim.state == ReservationState.COLLECTING
        refusal: Refusal = None
        if not is_collecting and claim.state != ReservationState.COLLECTED:
            refusal = NotDeposited
        elif is_collecting and self._is_opening(claim.door):
            refusal = CommandPending
        self._act(refusal, lambda: reservations.confirm_collection(row, at=self._at()))
        if is_collecting and refusal is None:
            self._model.say_empty(claim)

    # Operators.

    @rule(which=which)
    def block(self, which: int) -> None:
        """A compartment is taken out of service."""
        door, row = self._a_door(which)
        is_out = door.intent == CompartmentState.OUT_OF_SERVICE
        refusal = CommandPending if not is_out and self._is_opening(door) else None
        self._act(refusal, lambda: checks.block(row, by=OPERATOR, at=self._at()))
        if refusal is None:
            self._model.demand_check(door, door.trouble or BLOCKED, CompartmentState.OUT_OF_SERVICE)

    @rule(which=which)
    def unblock(self, which: int) -> None:
        """A compartment comes back into service."""
        door, row = self._a_door(which)
        self._act(None, lambda: checks.unblock(row, by=OPERATOR, at=self._at()))
        if door.intent != CompartmentState.OUT_OF_SERVICE:
            return
        holder = self._model.holder(door)
        lies_there = {ReservationState.DEPOSITED, ReservationState.OVERDUE}
        if door.trouble == BLOCKED and holder is not None and holder.state in lies_there:
            self._model.move(door, CompartmentState.OCCUPIED)
            door.trouble = ""
            self._let_collect(holder)
        else:
            self._model.move(door, CompartmentState.NEEDS_CHECK)

    @rule(which=which)
    def open_for_check(self, which: int) -> None:
        """An operator wants to look into a compartment."""
        door, row = self._a_door(which)
        refusal: Refusal = None
        if door.intent not in TROUBLE:
            refusal = CompartmentInUse
        elif self._will_wait(door):
            refusal = CommandPending
        devices.hear(self._cabinet.device, real_at=self._at())
        made = self._act(
            refusal, lambda: checks.open_door(row, by=OPERATOR, at=self._at(), real_at=self._at())
        )
        if refusal is None:
            self._commands[self._model.command(door, None, Purpose.OPERATOR)] = made
            holder = self._model.holder(door)
            if holder is not None and holder.state == ReservationState.DEPOSITING:
                holder.opened_s = holder.closed_s = None

    @precondition(lambda self: any(door.intent in TROUBLE for door in self._model.doors))
    @rule(which=which, found=st.sampled_from(list(Finding)))
    def settle(self, which: int, found: Finding) -> None:
        """An operator says what is inside."""
        door, row = self._a_door(which)
        holder = self._model.holder(door)
        refusal: Refusal = self._why_not(found, holder) if door.intent in TROUBLE else CompartmentInUse
        at = self._at()
        self._act(refusal, lambda: checks.settle(row, found, by=OPERATOR, at=at, real_at=at))
        if refusal is None and found != Finding.UNCLAIMED:
            self._settled(door, found, holder)
        elif refusal is None:
            door.trouble = checks.UNCLAIMED_GOODS

    def _why_not(self, found: Finding, holder: Claim | None) -> Refusal:
        if found == Finding.UNCLAIMED:
            return None
        if found == Finding.EMPTY:
            if holder is None or holder.state == ReservationState.COLLECTING:
                return None
            said_nothing = holder.state == ReservationState.DEPOSITING and holder.word_s is None
            return None if said_nothing else GoodsClaimed
        if holder is None:
            return NothingClaimed
        was_there = holder.was_deposited or (found == Finding.MISSING and holder.word_s is not None)
        return None if was_there or found == Finding.AS_CLAIMED else NothingClaimed

    def _settled(self, door: Door, found: Finding, holder: Claim | None) -> None:
        model = self._model
        model.bring_back(
            door, CompartmentState.OCCUPIED if found == Finding.AS_CLAIMED else CompartmentState.FREE
        )
        if holder is None:
            return
        match found:
            case Finding.MISSING:
                holder.state = ReservationState.MISSING
            case Finding.AS_CLAIMED if holder.state == ReservationState.DEPOSITING:
                model.deposited(holder)
                model.hold(holder)
            case Finding.AS_CLAIMED:
                if holder.state == ReservationState.COLLECTING:
                    model.back_to_deposited(holder)
                self._let_collect(holder)
            case Finding.EMPTY if holder.state == ReservationState.DEPOSITING:
                model.unbind(holder)
            case _:
                model.collected(holder)

    def _let_collect(self, holder: Claim) -> None:
        if holder.state == ReservationState.DEPOSITED:
            self._model.hold(holder)

    # The device and its doors.

    @rule()
    def hand_out(self) -> None:
        """The device fetches its commands."""
        handed = commands.hand_out(self._cabinet.device, real_at=self._at(), except_for=frozenset())
        offered = {CommandState.CREATED, CommandState.SENT}
        valid = [one for one in self._commands if one.state in offered and one.expires_s > self._model.now_s]
        assert {row.pk for row in handed} == {self._commands[one].pk for one in valid}
        for command in valid:
            command.state = CommandState.SENT

    @precondition(lambda self: self._to_execute())
    @rule(
        which=which,
        outcome=st.sampled_from(["opens", "opens", "jams", "unverified", "refused", "interrupted"]),
    )
    def execute(self, which: int, outcome: str) -> None:
        """The device carries out a command that it was handed in time, or does not."""
        waiting = self._to_execute()
        command = waiting[which % len(waiting)]
        command.is_executed = True
        match outcome:
            case "refused":
                self._declines(command, "DOOR_IN_OTHER_USE", CommandState.REFUSED)
            case "interrupted":
                self._declines(command, "INTERRUPTED", CommandState.UNKNOWN)
            case "opens":
                self._opens(command)
            case "jams":
                self._fails(command, "DOOR_JAMMED", self._model.jammed)
            case _:
                self._fails(command, "SENSOR_FAILED", self._model.unverified)

    def _declines(self, command: Command, error: str, to: CommandState) -> None:
        report = self._report("response", self._commands[command].pk, result="error", error_code=error)
        self._say(report, lambda: self._model.refused(command, to))

    def _opens(self, command: Command) -> None:
        self._pulses(command)
        seen = CommandState.ALREADY_OPEN if command.door.is_open else CommandState.OPENED
        command.door.is_open = True
        data = {"compartment_number": command.door.number, "outcome": seen.value, "detection_ms": 1}
        report = self._report("compartment_open_detected", self._commands[command].pk, **data)
        self._say(report, lambda: self._model.opened(command, seen))

    def _fails(self, command: Command, error: str, effect: Callable[[Command], None]) -> None:
        self._pulses(command)
        data = {"compartment_number": command.door.number, "error_code": error}
        report = self._report("compartment_open_failed", self._commands[command].pk, **data)
        self._say(report, lambda: effect(command))

    def _pulses(self, command: Command) -> None:
        report = self._report("response", self._commands[command].pk, result="success")
        self._say(report, lambda: self._model.pulsed(command))

    @precondition(lambda self: self._claims)
    @rule(which=which, closes=mostly, speaks=mostly, is_heard=mostly)
    def visit(self, which: int, closes: bool, speaks: bool, is_heard: bool) -> None:
        """Somebody does all that is usual with a bundle, or leaves out some of it."""
        claim, _ = self._a_claim(which)
        if is_deposit := claim.state in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
            self.open_for_deposit(which)
        else:
            self.open_for_collection(which)
        self.hand_out()
        for command in self._to_execute():
            command.is_executed = True
            self._opens(command)
        number = (claim.door.number if claim.door else 1) - 1
        if closes:
            self.close(number)
        if speaks:
            self.say_deposited(which) if is_deposit else self.press_button(number)
        if is_heard:
            self._deliver([report for report, _ in self._said])

    @precondition(lambda self: self._model.unbound())
    @rule(speaks=st.booleans(), is_cancelled=st.booleans())
    def end_in_the_dark(self, speaks: bool, is_cancelled: bool) -> None:
        """A courier opens a door of which no news comes through, and the claim ends meanwhile."""
        which = list(reversed(self._model.claims)).index(self._model.unbound()[0])
        self.open_for_deposit(which)
        self.hand_out()
        if speaks and self._model.claims[-1 - which].door is not None:
            self.say_deposited(which)
        self.wait(30)
        if is_cancelled:
            self.cancel(which)
        else:
            self.wait(9 * 3600)

    @rule(which=which)
    def close(self, which: int) -> None:
        """Somebody pushes a door shut; a sensor may say so of one that was shut."""
        door, _ = self._a_door(which)
        door.is_open = False
        self._say(
            self._report("compartment_closed", compartment_number=door.number),
            lambda: self._model.closed(door),
        )

    @rule(which=which)
    def spring_open(self, which: int) -> None:
        """A door opens by itself."""
        door, _ = self._a_door(which)
        door.is_open = True
        self._say(
            self._report("compartment_uncommanded_open", compartment_number=door.number),
            lambda: self._model.opened_by_itself(door),
        )

    @rule(which=which)
    def press_button(self, which: int) -> None:
        """Somebody presses the button, whether they collected something or not."""
        door, _ = self._a_door(which)
        self._say(
            self._report("collection_done", compartment_number=door.number), lambda: self._model.button(door)
        )

    @rule()
    def reboot(self) -> None:
        """The device begins a new life and says how it finds its doors."""
        last = self._cabinet
        boot_id = f"{int(last.boot_id[:8]) + 1:08d}-0123456789abcdef"
        self._cabinet = Cabinet(device=last.device, at=START, boot_id=boot_id)
        found = {
            door.number: DoorState.OPEN if door.is_open else DoorState.CLOSED for door in self._model.doors
        }
        doors = [{"compartment_number": number, "door_state": state.value} for number, state in found.items()]
        self._say(self._report("booted", previous_boot_id=last.boot_id, previous_seq=last.seq), lambda: None)
        self._say(self._report("compartments", compartments=doors), lambda: self._model.snapshot(found))

    @precondition(lambda self: self._said)
    @rule(data=st.data(), is_all=st.booleans())
    def deliver(self, data: st.DataObject, is_all: bool) -> None:
        """Reports arrive: all, or some in any order and maybe twice; they take effect up to the first gap."""
        reports = [report for report, _ in self._said]
        if not is_all:
            reports = data.draw(st.lists(st.sampled_from(reports), max_size=len(reports) + 2))
        self._deliver(reports)

    def _deliver(self, reports: list[Report]) -> None:
        inbox.receive(self._cabinet.device, reports, real_at=self._at())
        inbox.apply(self._cabinet.device.pk, at=self._at())
        self._arrived |= {report.message_id for report in reports}
        while self._said and self._said[0][0].message_id in self._arrived:
            _, effect = self._said.pop(0)
            effect()

    # Time.

    @rule(seconds=st.sampled_from([4, 12, 30, 700, 3000, 9 * 3600]))
    def wait(self, seconds: int) -> None:
        """Time goes by, and what is due falls due."""
        self._model.now_s += seconds
        commands.sweep(real_at=self._at())
        sweeps.sweep(at=self._at())
        self._model.sweep()

    # How everything stands.

    @invariant()
    def the_database_says_what_the_rules_say(self) -> None:
        """Compare doors, claims, commands and announcements."""
        doors = Compartment.objects.filter(locker=self._locker).order_by("number")
        found = list(doors.values_list("number", "state", "door", "num_jams", "trouble", "verify_empty"))
        assert found == [
            (door.number, door.intent, door.shows, door.num_jams, door.trouble, door.verify_empty)
            for door in self._model.doors
        ]
        assert self._model.complaints == []
        rows = Reservation.objects.filter(locker=self._locker).select_related("compartment").in_bulk()
        for claim, row in self._claims.items():
            assert _facts_of(rows[row.pk]) == _facts_as_modelled(claim)
        states = dict(OpenCommand.objects.filter(device=self._cabinet.device).values_list("pk", "state"))
        assert states == {row.pk: command.state for command, row in self._commands.items()}
        assert len(self._announced) == len(set(self._announced)) == self._model.announced.total()

    @invariant()
    def doors_and_claims_belong_together(self) -> None:
        """Hold against each other what a compartment is meant for, and how far its claim has come."""
        for door in self._model.doors:
            holder = self._model.holder(door)
            assert door.intent in TROUBLE or (holder and holder.state) in _GO_WITH[door.intent]
            assert sum(one.is_live and one.door is door for one in self._commands) <= 1

    # Tools.

    def _at(self, in_s: float = 0) -> datetime:
        return START + timedelta(seconds=self._model.now_s + in_s)

    def _act(self, refusal: Refusal, act: Callable[[], Any]) -> Any:
        """Do what is allowed, or be refused for the reason that the rules give."""
        if refusal is None:
            return act()
        with pytest.raises(refusal):
            act()
        return None

    def _a_claim(self, which: int) -> tuple[Claim, Reservation]:
        """Return a claim, rather a late one; and its row as somebody read it before."""
        claim = self._model.claims[-1 - which % len(self._model.claims)]
        return claim, self._claims[claim]

    def _a_door(self, which: int) -> tuple[Door, Compartment]:
        door = self._model.doors[which % len(self._model.doors)]
        return door, self._doors[door.number]

    def _is_opening(self, door: Door | None) -> bool:
        return self._model.is_opening(door)

    def _will_wait(self, door: Door) -> bool:
        """Tell whether an opening is waited for, even after those are settled that took too long."""
        model = self._model
        return any(one.is_live and one.door is door and not model.is_overdue(one) for one in self._commands)

    def _to_execute(self) -> list[Command]:
        return [
            one
            for one in self._commands
            if one.state == CommandState.SENT and not one.is_executed and one.expires_s > self._model.now_s
        ]

    def _report(self, kind: str, transaction_id: UUID | None = None, /, **data: Any) -> Report:
        return self._cabinet.report(kind, transaction_id, **data)

    def _say(self, report: Report, effect: Callable[[], None]) -> None:
        self._said.append((report, effect))

    def _note_deposited(self, reservation: Reservation, **_: Any) -> None:
        self._announced.append(f"{reservation.pk} deposited")

    def _note_collected(self, reservation: Reservation, **_: Any) -> None:
        self._announced.append(f"{reservation.pk} collected")


_GO_WITH: dict[CompartmentState, set[ReservationState | None]] = {
    CompartmentState.FREE: {None},
    CompartmentState.RESERVED: {ReservationState.RESERVED},
    CompartmentState.DEPOSITING: {ReservationState.DEPOSITING},
    CompartmentState.OCCUPIED: {ReservationState.DEPOSITED, ReservationState.OVERDUE},
    CompartmentState.COLLECTING: {ReservationState.COLLECTING},
}


def _facts_of(row: Reservation) -> tuple[object, ...]:
    number = row.compartment and row.compartment.number
    moments = (row.opened_at, row.closed_at, row.confirmed_at)
    return (row.state, number, *(moment is not None for moment in moments), row.num_openings)


def _facts_as_modelled(claim: Claim) -> tuple[object, ...]:
    number = claim.door and claim.door.number
    moments = (claim.opened_s, claim.closed_s, claim.word_s)
    return (claim.state, number, *(moment is not None for moment in moments), claim.num_openings)


def test_a_compartment_follows_the_rules_whatever_is_done_to_it() -> None:
    run_state_machine_as_test(
        CompartmentMachine,
        settings=settings(PLAYED, stateful_step_count=40),
    )
