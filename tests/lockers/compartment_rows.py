"""What the rules in plain Python are about: doors, claims and commands, and how doors are moved."""

from collections import Counter
from dataclasses import dataclass, field

from lockers.states import (
    COMMAND_TRANSITIONS,
    COMPARTMENT_TRANSITIONS,
    DOOR_TRANSITIONS,
    LIVE,
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)

#: Seconds in which a collection may be repeated.
COLLECTION_S = 600


@dataclass(eq=False, slots=True)
class Door:
    """One compartment: what it is meant for, what its door does, and why it is out of use."""

    number: int
    intent: CompartmentState = CompartmentState.FREE
    shows: DoorState = DoorState.CLOSED
    num_jams: int = 0
    trouble: str = ""
    #: Whether the next one who opens it has to look whether anything lies there.
    verify_empty: bool = False
    #: What really is so.
    is_open: bool = False

    @property
    def is_free(self) -> bool:
        """Tell whether it can be given to a claim."""
        return self.intent == CompartmentState.FREE and self.shows == DoorState.CLOSED


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
class Rows:
    """Some doors of one size, and everybody's claims to them."""

    doors: list[Door]
    now_s: float = 0
    claims: list[Claim] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    #: Commands of which the device has spoken since its last snapshot, the latest last.
    spoken_of: list[Command] = field(default_factory=list)
    announced: Counter[str] = field(default_factory=Counter)
    #: Moves of doors that no table allows.
    complaints: list[str] = field(default_factory=list)

    # Moves, by the tables.

    def move(self, door: Door, to: CompartmentState) -> None:
        """Let a compartment be meant for something else."""
        if to not in COMPARTMENT_TRANSITIONS[door.intent]:
            self.complaints.append(f"compartment {door.number}, {door.intent}, became {to}")
        door.intent = to

    def show(self, door: Door, to: DoorState) -> None:
        """Note how a door stands."""
        if to != door.shows and to not in DOOR_TRANSITIONS[door.shows]:
            self.complaints.append(f"door {door.number}, {door.shows}, became {to}")
        door.shows = to

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
