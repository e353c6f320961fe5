"""
The claims of a server in memory: the rules of ``compartment_model``, with names, and what is refused by them.

What the rules do to doors and claims, ``test_machines_compartment`` holds against the services.
"""

from collections.abc import Iterable

from lockers.states import (
    TROUBLE,
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)
from tests.lockers.compartment_model import Model
from tests.lockers.compartment_rows import Claim, Command, Door

_TO_COME = frozenset({ReservationState.RESERVED, ReservationState.DEPOSITING})
_THERE = frozenset({ReservationState.DEPOSITED, ReservationState.COLLECTING})
#: Goods are held longer than any run takes.
KEPT_S = 1e9


class Claims(Model):
    """Who has a claim to which door, and what is granted."""

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__([Door(number, shows=DoorState.UNKNOWN) for number in numbers])
        self.by_name: dict[str, Claim] = {}
        #: Who asks for a larger door than which.
        self._too_small: set[tuple[str, int]] = set()

    def door(self, number: int) -> Door:
        """Return a door."""
        return next(door for door in self.doors if door.number == number)

    def expected(self) -> list[str]:
        """Return whose goods are to come."""
        return [name for name, claim in self.by_name.items() if claim.state in _TO_COME]

    def present(self) -> list[str]:
        """Return whose goods lie here for their resident."""
        return [name for name, claim in self.by_name.items() if claim.state in _THERE]

    def expect(self, name: str, *, lives_s: float) -> bool:
        """Make a claim, unless the locker is full."""
        if len(self.unbound()) >= len(self.free_doors()):
            return False
        self._add(name, Claim(self.now_s + lives_s, self.now_s + KEPT_S))
        return True

    def begin_with(self, name: str, number: int) -> None:
        """Let goods lie behind a door from the start."""
        claim = Claim(KEPT_S, KEPT_S, ReservationState.DEPOSITED, self.door(number), was_deposited=True)
        self.door(number).intent = CompartmentState.OCCUPIED
        self._add(name, claim)

    def _add(self, name: str, claim: Claim) -> None:
        self.by_name[name] = claim
        self.claims.append(claim)

    # Doors that are asked for.

    def to_deposit(self, name: str) -> Door | None:
        """Return the door that a courier may open now: the one of the claim, or one that becomes so."""
        claim = self.by_name[name]
        is_expired = claim.state == ReservationState.RESERVED and claim.expires_s < self.now_s
        if claim.state not in _TO_COME or is_expired:
            return None
        if claim.door is None:
            large = [door for door in self.free_doors() if (name, door.number) not in self._too_small]
            claim.door = min(large, key=lambda door: door.verify_empty, default=None)
            if claim.door is not None:
                self.move(claim.door, CompartmentState.RESERVED)
        return self._unless_opening(claim.door)

    def to_collect(self, name: str) -> Door | None:
        """Return the door that a resident may open now."""
        claim = self.by_name[name]
        is_begun = claim.state == ReservationState.COLLECTING
        is_done = is_begun and self.is_over(claim) and claim.opened_s is not None
        if claim.state not in _THERE or is_done or (is_begun and not self.may_reopen(claim)):
            return None
        if claim.door is None or claim.door.intent in TROUBLE:
            return None
        return self._unless_opening(claim.door)

    def _unless_opening(self, door: Door | None) -> Door | None:
        self.settle_overdue([command for command in self.commands if command.door is door])
        return None if self.is_opening(door) else door

    def decided_by_device(self, name: str, number: int) -> Command:
        """Note a command that the device gave itself, by the list: of its outcome nothing is known yet."""
        door, claim = self.door(number), self.by_name[name]
        made = Command(door, claim, Purpose.COLLECT, self.now_s, CommandState.UNKNOWN)
        self.commands.append(made)
        self.spoken_of.append(made)
        return made

    # What people say.

    def hear_deposited(self, name: str) -> None:
        """Take a courier's word that goods are in, if there is a door that it can be about."""
        claim = self.by_name[name]
        if claim.state in _TO_COME and claim.door is not None:
            self.say_deposited(claim)

    def hear_empty(self, name: str) -> None:
        """Take a resident's word that everything was taken out, unless the door is opened again."""
        claim = self.by_name[name]
        if claim.state == ReservationState.COLLECTING and not self.is_opening(claim.door):
            self.say_empty(claim)

    def hear_release(self, name: str, reason: str) -> bool:
        """
        Take a courier's word that the door does not serve: it is free, or has to be looked into.

        While it is being opened this is refused, and what is returned is false.
        """
        claim, door = self.by_name[name], self.by_name[name].door
        if claim.state not in _TO_COME or door is None:
            return True
        if self.is_opening(door):
            return False
        self.unbind(claim)
        if reason != "does_not_fit":
            self.demand_check(door, reason)
            return True
        self._too_small.add((name, door.number))
        if door.intent not in TROUBLE:
            self.move(door, CompartmentState.FREE)
        return True

    def cancel(self, name: str) -> None:
        """End a claim whose goods do not come, unless its door is being opened."""
        claim = self.by_name[name]
        if claim.state == ReservationState.RESERVED and not self.is_opening(claim.door):
            self.end(claim, ReservationState.CANCELLED)

    # What was found.

    def settle_empty(self, door: Door) -> None:
        """Bring a compartment back that was found empty."""
        holder = self.holder(door)
        self.bring_back(door, CompartmentState.FREE)
        if holder is None:
            return
        if holder.state == ReservationState.COLLECTING:
            self.collected(holder)
        elif holder.was_deposited or holder.word_s is not None:
            holder.state = ReservationState.MISSING
        else:
            self.unbind(holder)

    def settle_as_claimed(self, door: Door, holder: Claim) -> None:
        """Bring a compartment back in which the goods lie that should."""
        self.bring_back(door, CompartmentState.OCCUPIED)
        if holder.state == ReservationState.DEPOSITING:
            self.deposited(holder)
        elif holder.state == ReservationState.COLLECTING:
            self.back_to_deposited(holder)
