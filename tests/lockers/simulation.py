"""
What really happens to a simulated locker, in virtual time: power cuts, slow and full disks, moving doors.

Time passes where the real world takes it: on the disk, on the wire, between events.
"""

import errno
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import HardwareFailed, Reading
from lockers.device.journal import Record


class PowerCut(Exception):
    """The device lost power at this very point."""


@dataclass
class World:
    """What really happens: time, power, and room on the disk."""

    dice: random.Random
    now_s: float = 0.0

    chance_of_cut: float = 0.02
    chance_of_cut_at_pulse: float = 0.1
    chance_of_slow_disk: float = 0.05
    disk_is_full: bool = False
    is_calm: bool = False

    def maybe_cut(self, chance: float | None = None) -> None:
        """Cut the power, perhaps."""
        if not self.is_calm and self.dice.random() < (self.chance_of_cut if chance is None else chance):
            raise PowerCut


class Disk:
    """A log in memory; a write may be slow, and the power may go before or after it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: list[Record] = []
        #: Every report that was ever written, by its message.
        self.written: dict[str, wire.Envelope] = {}

    def read(self) -> list[Record]:
        """Return what survived."""
        return list(self.records)

    def append(self, records: Sequence[Record]) -> None:
        """Write, which takes time, or find no room."""
        self._world.maybe_cut()
        if self._world.disk_is_full:
            raise OSError(errno.ENOSPC, "full")
        slow = self._world.dice.random() < self._world.chance_of_slow_disk
        self._world.now_s += self._world.dice.uniform(1, 25) if slow else 0.001
        self.records += records
        for record in records:
            if record["is"] == "report":
                self.written[record["envelope"]["message_id"]] = record["envelope"]
        self._world.maybe_cut()

    def rewrite(self, records: Sequence[Record]) -> None:
        """Write everything anew, or find no room."""
        if self._world.disk_is_full:
            raise OSError(errno.ENOSPC, "full")
        self._world.maybe_cut()
        self.records = list(records)


@dataclass(slots=True)
class Door:
    """One door and what lies behind it; of what its sensor says nothing follows unless it works."""

    is_open: bool = False
    is_jammed: bool = False
    has_no_current: bool = False
    sensor: Reading | None = None
    goods: set[str] = field(default_factory=set)
    pulsed_s: float = float("-inf")

    @property
    def reading(self) -> Reading:
        """Return what the sensor says."""
        return self.sensor or (Reading.OPEN if self.is_open else Reading.CLOSED)


@dataclass(frozen=True, slots=True)
class Pulse:
    """A lock was driven: for which command, when, and in which connection of the device."""

    command_id: str
    at_s: float
    link_epoch: str
    #: The question of somebody at the keypad to which the device answers by itself.
    question: str | None


class Stage(Protocol):
    """Where a cabinet stands: its world, and the device that it belongs to."""

    world: World
    device: Controller

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after a while."""

    def on_device(self, act: Callable[[], object]) -> None:
        """Let the device do something, if it has power."""

    def door_opened(self, number: int, command_id: str) -> None:
        """Let whoever waits for a door that opens do what they came for."""


class Cabinet:
    """Three doors that spring open a while after they are pulsed; the power may go before or after."""

    compartments = (1, 2, 3)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.doors = {number: Door() for number in self.compartments}
        self.in_hand = ""
        self.question: str | None = None
        self.pulses: list[Pulse] = []

    def pulse(self, compartment: int) -> None:
        """Drive a lock for the command in hand."""
        world, door, command_id = self._stage.world, self.doors[compartment], self.in_hand
        world.maybe_cut()
        if door.has_no_current:
            raise HardwareFailed
        door.pulsed_s = world.now_s
        self.pulses.append(Pulse(command_id, world.now_s, self._stage.device.link_epoch, self.question))
        self._stage.later(
            world.dice.choice([0.02, 0.3, 3, 14]), lambda: self._spring(compartment, command_id)
        )
        world.maybe_cut(world.chance_of_cut_at_pulse)

    def reading(self, compartment: int) -> Reading:
        """Return what a sensor says."""
        return self.doors[compartment].reading

    def move(self, number: int, *, is_open: bool) -> None:
        """Move a door, or leave it where it is."""
        self._change(number, is_open=is_open)

    def break_sensor(self, number: int, sensor: Reading | None) -> None:
        """Let a sensor say something of its own, or the truth."""
        self._change(number, sensor=sensor)

    def _spring(self, number: int, command_id: str) -> None:
        if not self.doors[number].is_jammed:
            self._change(number, is_open=True)
        if self.doors[number].is_open:
            self._stage.door_opened(number, command_id)

    def _change(self, number: int, **changes: Any) -> None:
        door = self.doors[number]
        before = door.reading
        for name, value in changes.items():
            setattr(door, name, value)
        if door.reading != before:
            self._stage.on_device(lambda: self._stage.device.door_moved(number, door.reading))
