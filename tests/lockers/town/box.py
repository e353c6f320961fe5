"""The device of the town's locker: the real mind over the simulated doors, as long as it has power."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import HardwareFailed, Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal
from lockers.device.keypad import Opening
from lockers.device.messages import Answer
from tests.lockers import simulation
from tests.lockers.simulation import Disk, PowerCut
from tests.lockers.town.cabinet import Cabinet
from tests.lockers.town.luck import Luck

#: What the device's own clock shows; it is wrong by years.
WRONG_CLOCK = datetime.fromisoformat("2019-01-01T00:00:00+00:00")
T = TypeVar("T")


class World(simulation.World):
    """What really happens, and whether a mishap does."""

    def chance(self, chance: float) -> bool:
        """Tell whether a mishap happens; in calm weather none does."""
        return not self.is_calm and self.dice.random() < chance


class Witness(Protocol):
    """Whoever notes for which command a lock is driven, what for, and in which connection."""

    def pulsed(self, number: int, command_id: str, purpose: str, link_epoch: str) -> None:
        """Note that a lock is about to be driven."""


class Box:
    """A device over all its lives; what happens while it is off it does not notice."""

    controller: Controller

    def __init__(
        self,
        world: World,
        luck: Luck,
        cabinet: Cabinet,
        identity: Identity,
        witness: Witness,
        *,
        mind: type[Controller],
        memory: type[Journal],
    ) -> None:
        self._world, self._luck = world, luck
        self._cabinet = cabinet
        self._identity = identity
        self._witness = witness
        self._mind, self._memory = mind, memory
        self._disk = Disk(world)
        self._in_hand = ("", "")
        self._started_s = 0.0
        self.compartments = cabinet.compartments
        self.is_on = False
        self.num_lives = 0

    def boot(self) -> None:
        """Begin a new life."""
        self._started_s = self._world.now_s
        self.num_lives += 1
        self.controller = self._mind(
            identity=self._identity,
            journal=self._memory(self._disk),
            hardware=self,
            monotonic=self.uptime_s,
            wall_clock=lambda: WRONG_CLOCK + timedelta(seconds=self._world.now_s),
        )
        self._watch()
        self._cabinet.settle()
        self.is_on = True
        self.do(self.controller.boot)
        if self.is_on:
            self._cabinet.moved = self._moved
            for door in self._cabinet:
                door.opening.is_noticed |= door.is_open and not door.is_blind

    def uptime_s(self) -> float:
        """Return how long the present life has lasted."""
        return self._world.now_s - self._started_s

    def do(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        """Let the mind act, if there is one; the power may go in the midst of it."""
        if not self.is_on:
            return None
        try:
            return act(*args, **kwargs)
        except PowerCut:
            self.is_on = False
            self._cabinet.moved = lambda number, reading: None
            return None

    def pulse(self, compartment: int) -> None:
        """Drive a lock for the command in hand; the power may go just before or after."""
        self._world.maybe_cut()
        if self._world.chance(self._luck.broken_lock):
            raise HardwareFailed
        door = self._cabinet[compartment]
        door.is_jammed = door.is_jammed or (bool(door.goods) and self._world.chance(self._luck.stuck))
        self._witness.pulsed(compartment, *self._in_hand, self.controller.link_epoch)
        self._cabinet.spring(door)
        self._world.maybe_cut(self._luck.power_cut_after_a_pulse)

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor says."""
        return self._cabinet.reading(compartment)

    def _watch(self) -> None:
        """Note which command is in hand, and what for: the server's, or one that the device gives itself."""
        drive, pulse, open_by_list = self.controller._drive, self.controller._pulse, self.controller._open

        def driven(command: wire.Envelope, command_id: str, number: int) -> None:
            self._in_hand = ("", command["data"]["purpose"])
            drive(command, command_id, number)

        def opened(opening: Opening) -> Answer:
            self._in_hand = ("", opening.entry.purpose)
            return open_by_list(opening)

        def pulsed(command_id: str, number: int) -> bool:
            self._in_hand = (command_id, self._in_hand[1])
            return pulse(command_id, number)

        self.controller._drive = driven  # type: ignore[method-assign]
        self.controller._open = opened  # type: ignore[method-assign]
        self.controller._pulse = pulsed  # type: ignore[method-assign]

    def _moved(self, number: int, reading: Reading) -> None:
        self.do(self.controller.door_moved, number, reading)
        self._cabinet[number].opening.is_noticed |= self.is_on
