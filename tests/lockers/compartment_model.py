"""
What the rules say of doors, claims and commands, told once more in plain Python, without a database.

Doors are moved by the tables alone; a move that they do not allow is complained of.
"""

from collections.abc import Mapping

from lockers.states import (
    MAX_JAMS,
    MAX_REOPENINGS,
    TROUBLE,
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)
from tests.lockers.compartment_rows import Claim, Command, Door, Rows

#: Seconds: of the word or the closed door that is missing, of a command, for an answer, for a door to move,
#: and for goods that were out of reach.
CONFIRMATION_S = 600
COMMAND_S, GRACE_S, MOVING_S = 20, 5, 10
REACH_S, KEPT_AHEAD_S = 24 * 3600, 3600
BLOCKED, TWO_CLAIMS, TWO_DOORS = "blocked", "two_claims", "two_doors"
IN_PROGRESS = {ReservationState.DEPOSITING, ReservationState.COLLECTING}
_SHUT = {DoorState.CLOSED, DoorState.UNKNOWN, DoorState.JAMMED}
_STANDS_OPEN = {DoorState.OPEN, DoorState.LEFT_OPEN}
_UNUSED = {CompartmentState.FREE, CompartmentState.RESERVED}


class Model(Rows):
    """What becomes of doors and claims by what people, devices and time do."""

    # What people ask for, where nothing forbids it.

    def command(self, door: Door, claim: Claim | None, purpose: Purpose) -> Command:
        """Give a command to open a door."""
        self.settle_overdue([command for command in self.commands if command.door is door])
        made = Command(door, claim, purpose, self.now_s + COMMAND_S)
        self.commands.append(made)
        return made

    def end(self, claim: Claim, to: ReservationState) -> None:
        """End a claim; of goods that may lie behind its door, somebody has to make sure."""
        claim.state = to
        if claim.door is not None and claim.door.intent == CompartmentState.RESERVED:
            if self.may_hold_goods(claim):
                self.demand_check(claim.door, "claim_ended_in_doubt")
            else:
                self.move(claim.door, CompartmentState.FREE)

    def may_hold_goods(self, claim: Claim) -> bool:
        """Tell whether a courier may have been at a door that was never seen to open for a claim."""
        in_doubt = {CommandState.UNKNOWN, CommandState.FAILED}
        return claim.word_s is not None or any(
            one.claim is claim and one.state in in_doubt for one in self.commands
        )

    def unbind(self, claim: Claim) -> None:
        """Let a claim ask for any door again, as if nothing had happened."""
        claim.state, claim.door = ReservationState.RESERVED, None
        claim.opened_s = claim.closed_s = claim.word_s = None

    def say_deposited(self, claim: Claim) -> None:
        """Take a courier's word."""
        claim.word_s = self.now_s if claim.word_s is None else claim.word_s
        self._complete_deposit(claim)

    def say_empty(self, claim: Claim) -> None:
        """Take a resident's word."""
        claim.word_s = self.now_s
        self._complete_collection(claim)

    def demand_check(
        self, door: Door, reason: str, to: CompartmentState = CompartmentState.NEEDS_CHECK
    ) -> None:
        """Take a compartment out of use; who merely waits for it waits for another one."""
        if door.intent in {to, CompartmentState.OUT_OF_SERVICE}:
            return
        self.move(door, to)
        door.trouble = reason
        holder = self.holder(door)
        if holder is not None and holder.state == ReservationState.RESERVED:
            holder.door = None

    def bring_back(self, door: Door, to: CompartmentState) -> None:
        """Let a compartment be used again after somebody looked into it."""
        self.move(door, to)
        door.num_jams, door.trouble, door.verify_empty = 0, "", False
        if door.shows == DoorState.JAMMED:
            self.show(door, DoorState.CLOSED)

    def hold(self, claim: Claim) -> None:
        """Give a resident time whose goods were out of reach."""
        claim.hold_until_s = max(claim.hold_until_s, self.now_s + REACH_S)

    def deposited(self, claim: Claim) -> None:
        """Note that goods lie behind their door."""
        claim.state, claim.was_deposited = ReservationState.DEPOSITED, True
        claim.closed_s = self.now_s if claim.closed_s is None else claim.closed_s
        claim.word_s = self.now_s if claim.word_s is None else claim.word_s
        assert claim.door is not None
        if claim.door.intent in {CompartmentState.DEPOSITING, CompartmentState.NEEDS_CHECK}:
            self.move(claim.door, CompartmentState.OCCUPIED)
            claim.door.trouble, claim.door.verify_empty = "", False
        self.announced["deposited"] += 1

    def collected(self, claim: Claim) -> None:
        """Note that goods are with their resident."""
        claim.state = ReservationState.COLLECTED
        assert claim.door is not None
        if claim.door.intent == CompartmentState.COLLECTING:
            self.move(claim.door, CompartmentState.FREE)
            claim.door.verify_empty = claim.word_s is None
        self.announced["collected"] += 1

    def back_to_deposited(self, claim: Claim) -> None:
        """Undo a collection whose door never opened."""
        claim.state, claim.num_openings = ReservationState.DEPOSITED, 0
        assert claim.door is not None
        if claim.door.intent == CompartmentState.COLLECTING:
            self.move(claim.door, CompartmentState.OCCUPIED)

    def may_reopen(self, claim: Claim) -> bool:
        """Tell whether a collection has openings left."""
        return claim.num_openings <= MAX_REOPENINGS

    # What the device reports, in its order.

    def refused(self, command: Command, to: CommandState) -> None:
        """Note that a command was not carried out, or that nobody knows."""
        self._note_word(command)
        if command.may_become(to):
            command.state = to

    def pulsed(self, command: Command) -> None:
        """Note that a lock was driven."""
        self._note_word(command)
        if not command.may_become(CommandState.PULSED):
            return
        if command.is_live or not self.is_opening(command.door):
            command.state = CommandState.PULSED
        door, claim = command.door, command.claim
        if door.shows in _SHUT:
            self.show(door, DoorState.UNLOCKING)
        if claim is None:
            return
        if claim.door is not door:
            self._opened_too_late(claim, door)
            if command.purpose == Purpose.DEPOSIT:
                self._deposited_elsewhere(claim)
        elif command.purpose == Purpose.DEPOSIT:
            self._begin_deposit(claim, door)
        else:
            self._begin_collection(claim, door)

    def opened(self, command: Command, outcome: CommandState = CommandState.OPENED) -> None:
        """Note that a door was seen open after a pulse."""
        if command.may_become(outcome):
            self.pulsed(command)
            command.state = outcome
        elif command.state != CommandState.OPENED:
            return
        # A door may open once more after a pulse.
        self.show(command.door, DoorState.OPEN)
        command.door.num_jams = 0
        holder = self.holder(command.door)
        if holder is not None and holder.state in IN_PROGRESS and command.purpose != Purpose.OPERATOR:
            holder.opened_s, holder.closed_s = self.now_s, None

    def jammed(self, command: Command) -> None:
        """Note that a door did not move, though its lock was driven."""
        if not command.may_become(CommandState.JAMMED):
            return
        self.pulsed(command)
        command.state = CommandState.JAMMED
        door, claim = command.door, command.claim
        self.show(door, DoorState.JAMMED)
        door.num_jams += 1
        to = CompartmentState.OUT_OF_SERVICE if door.num_jams >= MAX_JAMS else CompartmentState.NEEDS_CHECK
        if claim is not None and claim.state == ReservationState.DEPOSITING:
            if claim.opened_s is None:
                self.unbind(claim)
            self.demand_check(door, "door_jammed", to)
        elif claim is not None and claim.state == ReservationState.COLLECTING and claim.opened_s is None:
            self.back_to_deposited(claim)
        if claim is not None and claim.state in IN_PROGRESS:
            self._note_closed(claim)
        if door.num_jams >= MAX_JAMS:
            self.demand_check(door, "door_jammed", CompartmentState.OUT_OF_SERVICE)

    def unverified(self, command: Command) -> None:
        """Note that a lock was driven, and that no sensor says what came of it."""
        if command.may_become(CommandState.UNVERIFIED):
            self.pulsed(command)
            command.state = CommandState.UNVERIFIED
            self.show(command.door, DoorState.UNKNOWN)

    def closed(self, door: Door) -> None:
        """Note a closed door."""
        self.show(door, DoorState.CLOSED)
        holder = self.holder(door)
        if holder is not None and holder.state in IN_PROGRESS:
            self._note_closed(holder)

    def opened_by_itself(self, door: Door) -> None:
        """Note a door that nobody was let in by; into one not in use, anything may be put."""
        self.show(door, DoorState.OPEN)
        door.verify_empty |= door.intent in _UNUSED

    def button(self, door: Door) -> None:
        """Note that somebody pressed the button after a collection."""
        holder = self.holder(door)
        if holder is not None and holder.state == ReservationState.COLLECTING:
            self.say_empty(holder)

    def deposit_button(self, door: Door) -> None:
        """Note that a courier pressed the button: the goods are in."""
        holder = self.holder(door)
        if holder is not None and holder.state == ReservationState.DEPOSITING:
            self.say_deposited(holder)

    def _note_word(self, command: Command) -> None:
        """Note that the device has spoken of a command."""
        self.spoken_of = [one for one in self.spoken_of if one is not command] + [command]

    def snapshot(self, found: Mapping[int, DoorState]) -> None:
        """Take doors as the device finds them: as a new life begins, or when it is asked."""
        for door in self.doors:
            if door.number in found:
                self._take_as_found(door, found[door.number])
        self.spoken_of = [one for one in self.spoken_of if one.door.number not in found]

    def _take_as_found(self, door: Door, found: DoorState) -> None:
        if found == DoorState.OPEN and door.shows not in _STANDS_OPEN:
            self._found_open(door)
        elif found == DoorState.CLOSED and door.shows not in {DoorState.CLOSED, DoorState.JAMMED}:
            self.closed(door)
        elif found == DoorState.UNKNOWN:
            self.show(door, DoorState.UNKNOWN)

    def _found_open(self, door: Door) -> None:
        in_question = [
            one
            for one in self.spoken_of
            if one.door is door and (one.is_live or one.state == CommandState.UNKNOWN)
        ]
        if in_question:
            self.opened(in_question[-1])
        elif door.shows == DoorState.CLOSED:
            self.opened_by_itself(door)
        else:
            self.show(door, DoorState.OPEN)

    def _begin_deposit(self, claim: Claim, door: Door) -> None:
        if claim.state == ReservationState.RESERVED:
            claim.state = ReservationState.DEPOSITING
            claim.opened_s = claim.closed_s = None
            if door.intent == CompartmentState.RESERVED:
                self.move(door, CompartmentState.DEPOSITING)
        elif claim.state == ReservationState.DEPOSITING:
            claim.closed_s = None
        elif claim.state not in {ReservationState.DEPOSITED, ReservationState.COLLECTING}:
            self._opened_too_late(claim, door)

    def _begin_collection(self, claim: Claim, door: Door) -> None:
        if claim.state in {ReservationState.DEPOSITED, ReservationState.OVERDUE}:
            claim.state, claim.collecting_since_s = ReservationState.COLLECTING, self.now_s
            claim.num_openings = 1
            claim.opened_s = claim.closed_s = claim.word_s = None
            if door.intent == CompartmentState.OCCUPIED:
                self.move(door, CompartmentState.COLLECTING)
        elif claim.state == ReservationState.COLLECTING:
            claim.num_openings += 1
            claim.closed_s = claim.word_s = None
        else:
            self._opened_too_late(claim, door)

    def _opened_too_late(self, claim: Claim, door: Door) -> None:
        holder = self.holder(door)
        if door.intent in _UNUSED:
            self.demand_check(door, "opened_after_claim_ended")
        elif holder is not None and holder is not claim:
            self._doubt_goods(door, TWO_CLAIMS)

    def _deposited_elsewhere(self, claim: Claim) -> None:
        """Doubt a deposit whose courier was let in to another door as well."""
        has_begun = claim.state in {ReservationState.DEPOSITING, ReservationState.DEPOSITED}
        if claim.door is not None and has_begun:
            self._doubt_goods(claim.door, TWO_DOORS)

    def _doubt_goods(self, door: Door, reason: str) -> None:
        self.demand_check(door, reason)
        door.trouble = reason

    def _note_closed(self, claim: Claim) -> None:
        if claim.opened_s is not None:
            claim.closed_s = self.now_s
            self._complete_deposit(claim)
            self._complete_collection(claim)

    def _complete_deposit(self, claim: Claim) -> None:
        is_said_and_closed = claim.closed_s is not None and claim.word_s is not None
        is_alone = claim.door is not None and claim.door.trouble not in {TWO_CLAIMS, TWO_DOORS}
        if claim.state == ReservationState.DEPOSITING and is_said_and_closed and is_alone:
            self.deposited(claim)

    def _complete_collection(self, claim: Claim) -> None:
        if claim.state != ReservationState.COLLECTING or claim.opened_s is None or claim.closed_s is None:
            return
        if claim.word_s is not None or self.is_over(claim):
            self.collected(claim)

    # What falls due by itself.

    def is_overdue(self, command: Command) -> bool:
        """Tell whether nobody waits for a command's outcome any longer."""
        late_s = self.now_s - command.expires_s
        match command.state:
            case CommandState.CREATED:
                return late_s >= 0
            case CommandState.SENT:
                return late_s > GRACE_S
            case CommandState.PULSED:
                return late_s > GRACE_S + MOVING_S
        return False

    def settle_overdue(self, commands: list[Command]) -> None:
        """Settle commands that nobody answered in time: those that nobody was handed are refused for sure."""
        for command in commands:
            if self.is_overdue(command):
                was_sent = command.state != CommandState.CREATED
                command.state = CommandState.UNKNOWN if was_sent else CommandState.REFUSED

    def sweep(self) -> None:
        """Let everything fall due."""
        self.settle_overdue(self.commands)
        for door in self.doors:
            if door.shows == DoorState.UNLOCKING and not self.is_opening(door):
                self.show(door, DoorState.UNKNOWN)
        for claim in self.claims:
            is_expired = claim.state == ReservationState.RESERVED and claim.expires_s < self.now_s
            if is_expired and (claim.door is None or not self.is_opening(claim.door)):
                self.end(claim, ReservationState.EXPIRED)
        for claim in self.claims:
            self._doubt(claim)
            self._end_window(claim)
        for claim in self.claims:
            if claim.state != ReservationState.DEPOSITED:
                continue
            assert claim.door is not None
            if claim.door.intent in TROUBLE and claim.hold_until_s < self.now_s + KEPT_AHEAD_S:
                self.hold(claim)
            elif claim.hold_until_s < self.now_s:
                claim.state = ReservationState.OVERDUE

    def _doubt(self, claim: Claim) -> None:
        """Have somebody look where only one of closed door and courier's word came, long ago."""
        if claim.state != ReservationState.DEPOSITING:
            return
        moments = [moment for moment in (claim.closed_s, claim.word_s) if moment is not None]
        assert claim.door is not None
        is_long_ago = len(moments) == 1 and moments[0] <= self.now_s - CONFIRMATION_S
        if is_long_ago and claim.door.intent == CompartmentState.DEPOSITING:
            self.demand_check(claim.door, "half_confirmed_deposit")

    def _end_window(self, claim: Claim) -> None:
        """Settle a collection whose time is over."""
        if claim.state == ReservationState.COLLECTING and self.is_over(claim):
            self._complete_collection(claim)
            never_opened = claim.opened_s is None and not self.is_opening(claim.door)
            if claim.state == ReservationState.COLLECTING and never_opened:
                self.back_to_deposited(claim)
