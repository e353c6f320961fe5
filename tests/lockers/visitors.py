"""
Who comes to a simulated locker: couriers who bring goods, residents who take them, and who looks into doors.

They act on what is really there: a courier puts goods in once the door stands open, and says so over the same
bad line on which everything else is said.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from lockers.device.controller import Controller
from lockers.states import TROUBLE, Purpose
from tests.lockers.conversation import CODES, Conversation
from tests.lockers.server_model import ServerModel
from tests.lockers.simulation import Cabinet, World

#: Nothing that was said is under way any longer.
ARRIVED_S = 31.0
#: A door that was pulsed opens before, or never.
SPRUNG_S = 15.0


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody waits for a door: for whose goods, and what for."""

    name: str
    purpose: str


class Place(Protocol):
    """Where they come to."""

    world: World
    device: Controller

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after a while."""

    def on_device(self, act: Callable[[], object]) -> None:
        """Let the device do something, if it has power."""


class Visitors:
    """Everybody who comes."""

    def __init__(
        self,
        place: Place,
        dice: random.Random,
        cabinet: Cabinet,
        server: ServerModel,
        line: Conversation,
    ) -> None:
        self._place = place
        self._dice = dice
        self._cabinet = cabinet
        self._server = server
        self._line = line
        self._visits: dict[str, Visit] = {}
        self._to_come = list(CODES)
        self._words = count()
        #: Goods that couriers carry; from when on each may ask for a door again; and what does not fit where.
        self._carried: set[str] = set()
        self._asks_again_s: dict[str, float] = {}
        self._fits: dict[tuple[str, int], bool] = {}

    def put_first(self, number: int) -> None:
        """Let goods lie behind a door from the start."""
        name = self._to_come.pop()
        self._server.claims.begin_with(name, number)
        self._cabinet.doors[number].goods.add(name)

    # What they ask for.

    def bring(self) -> None:
        """Let a courier ask for a door: with new goods, or with those that are not in yet."""
        waiting = [name for name in self._server.claims.expected() if name in self._carried]
        if not waiting or self._dice.random() < 0.2:
            self._order()
        else:
            self._ask(self._dice.choice(waiting))

    def _ask(self, name: str) -> None:
        if self._asks_again_s.get(name, 0.0) > self._place.world.now_s:
            return
        door = self._server.claims.to_deposit(name)
        if door is not None:
            self._line.command(door.number, name, Purpose.DEPOSIT)

    def _order(self) -> None:
        """Let a bundle be expected, if there is room for it."""
        lives_s = self._dice.choice([60, 300, 3600])
        if self._to_come and self._server.claims.expect(self._to_come[-1], lives_s=lives_s):
            self._carried.add(self._to_come.pop())

    def fetch(self) -> None:
        """Let a resident ask for a door without going to the keypad."""
        present = self._server.claims.present()
        if not present:
            return
        name = self._dice.choice(present)
        door = self._server.claims.to_collect(name)
        if door is not None:
            self._line.command(door.number, name, Purpose.COLLECT)

    def code(self) -> str:
        """Return the code of somebody who comes to the keypad: with goods here, or too early or late."""
        known = self._server.claims.present() or list(self._server.claims.by_name)
        return CODES[self._dice.choice(known)]

    def expect(self, command_id: str, name: str | None, purpose: str) -> None:
        """Let somebody wait for the door that a command is about to open for their goods."""
        if name is not None:
            self._visits[command_id] = Visit(name, purpose)

    def cancel(self) -> None:
        """Let goods not come after all, whether their courier hears of it or not."""
        if expected := self._server.claims.expected():
            self._server.claims.cancel(self._dice.choice(expected))

    def look(self) -> None:
        """Let somebody look into a compartment that waits for it, while nobody else is there."""
        waiting = [door for door in self._server.claims.doors if door.intent in TROUBLE]
        quiet = [door for door in waiting if self._is_quiet(door.number)]
        if not quiet:
            return
        door = self._dice.choice(quiet)
        there, holder = self._cabinet.doors[door.number].goods, self._server.claims.holder(door)
        if holder is not None and there == {self._name_of(holder)}:
            self._server.claims.settle_as_claimed(door, holder)
        else:
            there.clear()
            self._server.claims.settle_empty(door)

    def _name_of(self, claim: object) -> str:
        return next(name for name, one in self._server.claims.by_name.items() if one is claim)

    def _is_quiet(self, number: int) -> bool:
        """Tell whether a door neither is about to open nor may yet be told to."""
        now_s, door = self._place.world.now_s, self._cabinet.doors[number]
        recent = any(
            one.door.number == number and one.expires_s + ARRIVED_S > now_s
            for one in self._server.claims.commands
        )
        return not recent and not door.is_open and now_s - door.pulsed_s > SPRUNG_S

    # What they do.

    def door_opened(self, number: int, command_id: str) -> None:
        """Let whoever waits for a door that stands open now do what they came for."""
        visit = self._visits.get(command_id)
        if visit is None:
            return
        if visit.purpose == Purpose.DEPOSIT.value:
            self._deposit(number, visit.name)
        else:
            self._collect(number, visit.name)
        if self._dice.random() < 0.8:
            self._place.later(
                self._dice.choice((1, 3, 20)), lambda: self._cabinet.move(number, is_open=False)
            )

    def _deposit(self, number: int, name: str) -> None:
        if name not in self._carried:
            return
        there = self._cabinet.doors[number].goods
        if there:
            self._release(name, "not_empty")
        elif not self._fits.setdefault((name, number), self._dice.random() < 0.8):
            self._release(name, "does_not_fit")
        else:
            there.add(name)
            self._carried.discard(name)
            self._say_done(number, lambda: self._server.claims.hear_deposited(name))

    def _release(self, name: str, reason: str) -> None:
        """Say that a door does not serve, until that is taken; then ask for another one."""
        self._asks_again_s[name] = self._place.world.now_s + ARRIVED_S

        is_answered = False

        def hear() -> None:
            nonlocal is_answered
            is_taken = self._server.claims.hear_release(name, reason)
            if is_answered:
                return
            is_answered = True
            if is_taken:
                self._asks_again_s[name] = self._place.world.now_s
                self._place.later(1, lambda: self._ask(name))
            else:
                self._place.later(5, lambda: self._release(name, reason))

        self._say(hear)

    def _collect(self, number: int, name: str) -> None:
        there = self._cabinet.doors[number].goods
        if name in there:
            there.remove(name)
            self._say_done(number, lambda: self._server.claims.hear_empty(name))

    def _say_done(self, number: int, hear: Callable[[], None]) -> None:
        """Say that it is done: over the line, by the button at the door, or not at all."""
        way = self._dice.choices(("line", "button", "not"), weights=(5, 3, 2))[0]
        if way == "line":
            self._say(hear)
        elif way == "button":
            self._place.later(
                self._dice.choice((1, 3, 20)),
                lambda: self._place.on_device(lambda: self._place.device.button_pressed(number)),
            )

    def _say(self, hear: Callable[[], None]) -> None:
        word = f"word {next(self._words)}"
        self._line.carry(lambda: self._server.hear_once(word, hear))
