"""What the rules say of doors, claims and commands, told once more in plain Python, without a database."""

from collections import Counter
from dataclasses import dataclass, field

from lockers.states import (
    COMMAND_TRANSITIONS,
    LIVE,
    MAX_JAMS,
    MAX_REOPENINGS,
    TROUBLE,
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)

#: Seconds: of the word or the closed door that is missing, of a collection, of a command, for an answer, for
#: a door to move, and for goods that were out of reach.
CONFIRMATION_S = COLLECTION_S = 600
COMMAND_S, GRACE_S, MOVING_S = 20, 5, 10
REACH_S, KEPT_AHEAD_S = 24 * 3600, 3600
BLOCKED, TWO_CLAIMS = "blocked", "two_claims"
IN_PROGRESS = {ReservationState.DEPOSITING, ReservationState.COLLECTING}


@dataclass(eq=False, slots=True)
class Door:
    """One compartment: what it is meant for, what its door does, and why it is out of use."""

    number: int
    intent: CompartmentState = CompartmentState.FREE
    shows: DoorState = DoorState.CLOSED
    num_jams: int = 0
    trouble: str = ""
    #: What really is so.
    is_open: bool = False

    @property
    def is_free(self) -> bool:
        """Tell whether it can be given to a claim."""
        return self.intent == CompartmentState.FREE and self.shows in {DoorState.CLOSED, DoorState.UNKNOWN}


@dataclass(eq=False, slots=True)
class Claim:
    """One bundle's claim; moments are seconds."""

    expires_s: float
    hold_until_s: float
    state: ReservationState = ReservationState.RESERVED
    door: Door | None = None
    opened_s: float | None = None
    closed_s: float | None = None
    word_s: float | None = None
    collecting_since_s: float = 0
    num_openings: int = 0
    was_deposited: bool = False


@dataclass(eq=False, slots=True)
class Command:
    """One attempt to open a door."""

    door: Door
    claim: Claim | None
    purpose: Purpose
    expires_s: float
    state: CommandState = CommandState.CREATED
    is_executed: bool = False

    @property
    def is_live(self) -> bool:
        """Tell whether its outcome is being waited for."""
        return self.state in LIVE

    def may_become(self, to: CommandState) -> bool:
        """Tell whether an answer adds to what is known."""
        return to in COMMAND_TRANSITIONS[self.state]


@dataclass(slots=True)
class Model:
    """Some doors of one size, and everybody's claims to them."""

    doors: list[Door]
    now_s: float = 0
    claims: list[Claim] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    #: Commands of which the device has spoken since its last snapshot, the latest last.
    spoken_of: list[Command] = field(default_factory=list)
    announced: Counter[str] = field(default_factory=Counter)

    # Questions.

    def free_doors(self) -> list[Door]:
        """Return the doors that can be given away."""
        return [door for door in self.doors if door.is_free]

    def unbound(self) -> list[Claim]:
        """Return the claims that wait for a door."""
        reserved = ReservationState.RESERVED
        return [claim for claim in self.claims if claim.state == reserved and claim.door is None]

    def holder(self, door: Door) -> Claim | None:
        """Return the claim whose door this is."""
        ended = {
            ReservationState.COLLECTED,
            ReservationState.MISSING,
            ReservationState.CANCELLED,
            ReservationState.EXPIRED,
        }
        return next((one for one in self.claims if one.door is door and one.state not in ended), None)

    def is_opening(self, door: Door | None) -> bool:
        """Tell whether the outcome of an opening is being waited for."""
        return any(command.is_live and command.door is door for command in self.commands)

    def is_over(self, claim: Claim) -> bool:
        """Tell whether the time in which a collection may be repeated has ended."""
        return self.now_s >= claim.collecting_since_s + COLLECTION_S

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
        doubtful = any(one.claim is claim and one.state == CommandState.UNKNOWN for one in self.commands)
        if claim.door is not None and claim.door.intent == CompartmentState.RESERVED:
            if claim.word_s is not None or doubtful:
                self.demand_check(claim.door, "claim_ended_in_doubt")
            else:
                claim.door.intent = CompartmentState.FREE

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
        door.intent, door.trouble = to, reason
        holder = self.holder(door)
        if holder is not None and holder.state == ReservationState.RESERVED:
            holder.door = None

    def bring_back(self, door: Door, to: CompartmentState) -> None:
        """Let a compartment be used again after somebody looked into it."""
        door.intent, door.num_jams, door.trouble = to, 0, ""
        if door.shows == DoorState.JAMMED:
            door.shows = DoorState.CLOSED

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
            claim.door.intent, claim.door.trouble = CompartmentState.OCCUPIED, ""
        self.announced["deposited"] += 1

    def collected(self, claim: Claim) -> None:
        """Note that goods are with their resident."""
        claim.state = ReservationState.COLLECTED
        assert claim.door is not None
        if claim.door.intent == CompartmentState.COLLECTING:
            claim.door.intent = CompartmentState.FREE
        self.announced["collected"] += 1

    def back_to_deposited(self, claim: Claim) -> None:
        """Undo a collection whose door never opened."""
        claim.state, claim.num_openings = ReservationState.DEPOSITED, 0
        assert claim.door is not None
        if claim.door.intent == CompartmentState.COLLECTING:
            claim.door.intent = CompartmentState.OCCUPIED

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
        if door.shows in {DoorState.CLOSED, DoorState.UNKNOWN, DoorState.JAMMED}:
            door.shows = DoorState.UNLOCKING
        if claim is None:
            return
        if claim.door is not door:
            self._opened_too_late(claim, door)
        elif command.purpose == Purpose.DEPOSIT:
            self._begin_deposit(claim, door)
        else:
            self._begin_collection(claim, door)

    def opened(self, command: Command, outcome: CommandState = CommandState.OPENED) -> None:
        """Note that a door was seen open after a pulse."""
        if not command.may_become(outcome):
            return
        self.pulsed(command)
        command.state = outcome
        command.door.shows, command.door.num_jams = DoorState.OPEN, 0
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
        door.shows = DoorState.JAMMED
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
            command.door.shows = DoorState.UNKNOWN

    def closed(self, door: Door) -> None:
        """Note a closed door."""
        door.shows = DoorState.CLOSED
        holder = self.holder(door)
        if holder is not None and holder.state in IN_PROGRESS:
            self._note_closed(holder)

    def opened_by_itself(self, door: Door) -> None:
        """Note a door that nobody was let in by."""
        door.shows = DoorState.OPEN

    def button(self, door: Door) -> None:
        """Note that somebody pressed the button after a collection."""
        holder = self.holder(door)
        if holder is not None and holder.state == ReservationState.COLLECTING:
            self.say_empty(holder)

    def _note_word(self, command: Command) -> None:
        """Note that the device has spoken of a command."""
        self.spoken_of = [one for one in self.spoken_of if one is not command] + [command]

    def snapshot(self, are_open: dict[int, bool]) -> None:
        """Take the doors as a new life of the device finds them."""
        for door in self.doors:
            if are_open[door.number] and door.shows not in {DoorState.OPEN, DoorState.LEFT_OPEN}:
                self._found_open(door)
            elif not are_open[door.number] and door.shows not in {DoorState.CLOSED, DoorState.JAMMED}:
                if door.intent in {CompartmentState.FREE, CompartmentState.RESERVED}:
                    door.shows = DoorState.CLOSED
                else:
                    self.closed(door)
        self.spoken_of = []

    def _found_open(self, door: Door) -> None:
        in_question = [
            one
            for one in self.spoken_of
            if one.door is door and (one.is_live or one.state == CommandState.UNKNOWN)
        ]
        if in_question:
            self.opened(in_question[-1])
        else:
            door.shows = DoorState.OPEN

    def _begin_deposit(self, claim: Claim, door: Door) -> None:
        if claim.state == ReservationState.RESERVED:
            claim.state, door.intent = ReservationState.DEPOSITING, CompartmentState.DEPOSITING
            claim.opened_s = claim.closed_s = None
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
                door.intent = CompartmentState.COLLECTING
        elif claim.state == ReservationState.COLLECTING:
            claim.num_openings += 1
            claim.closed_s = claim.word_s = None
        else:
            self._opened_too_late(claim, door)

    def _opened_too_late(self, claim: Claim, door: Door) -> None:
        holder = self.holder(door)
        if door.intent in {CompartmentState.FREE, CompartmentState.RESERVED}:
            self.demand_check(door, "opened_after_claim_ended")
        elif holder is not None and holder is not claim:
            self.demand_check(door, TWO_CLAIMS)
            door.trouble = TWO_CLAIMS

    def _note_closed(self, claim: Claim) -> None:
        if claim.opened_s is not None:
            claim.closed_s = self.now_s
            self._complete_deposit(claim)
            self._complete_collection(claim)

    def _complete_deposit(self, claim: Claim) -> None:
        is_said_and_closed = claim.closed_s is not None and claim.word_s is not None
        is_alone = claim.door is not None and claim.door.trouble != TWO_CLAIMS
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
