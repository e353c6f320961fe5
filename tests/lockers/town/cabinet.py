"""The doors of the town's locker: locks, sensors, and what really lies behind them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from lockers.device.hardware import Reading


@dataclass(slots=True)
class Opening:
    """One time that a door opened, and what can be known of it."""

    #: No lock was driven.
    is_by_itself: bool = False
    #: The device has seen the door open.
    is_noticed: bool = False


@dataclass(slots=True)
class Door:
    """One door and what lies behind it."""

    number: int
    is_open: bool = False
    is_jammed: bool = False
    #: Its sensor says that it is closed, whatever it does.
    is_blind: bool = False
    goods: list[UUID] = field(default_factory=list)
    #: The device opened it last, by its list and not by a command of the server.
    is_own_opening: bool = False
    #: The last time that it opened.
    opening: Opening = field(default_factory=Opening)
    #: Somebody uses it.
    is_taken: bool = False
    num_waiting: int = 0

    @property
    def is_abandoned(self) -> bool:
        """Tell whether nobody stands in front of it."""
        return not self.is_taken and not self.num_waiting

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Let somebody wait until it opens."""
        self.num_waiting += 1
        try:
            yield
        finally:
            self.num_waiting -= 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let somebody use it, and nobody else."""
        self.is_taken = True
        try:
            yield
        finally:
            self.is_taken = False


class Cabinet:
    """Doors that spring open when pulsed, unless they jam or the power goes."""

    def __init__(self, num_doors: int) -> None:
        self.compartments = range(1, num_doors + 1)
        self._doors = {number: Door(number) for number in self.compartments}
        self._sprung: list[Door] = []
        self.moved: Callable[[int, Reading], None] = lambda number, reading: None

    def __getitem__(self, number: int) -> Door:
        return self._doors[number]

    def __iter__(self) -> Iterator[Door]:
        return iter(self._doors.values())

    def holding(self, goods: UUID) -> Door | None:
        """Return the door behind which goods lie."""
        return next((door for door in self if goods in door.goods), None)

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor says; a door that has just been pulsed takes a moment."""
        door = self[compartment]
        is_seen_open = door.is_open and not door.is_blind and door not in self._sprung
        return Reading.OPEN if is_seen_open else Reading.CLOSED

    def spring(self, door: Door, *, by_itself: bool = False) -> None:
        """Let a door spring open, if it can; one that stands open does so for whom it was driven last."""
        if door.is_open and not by_itself:
            door.opening = Opening(is_noticed=door.opening.is_noticed)
        elif not door.is_open and not door.is_jammed:
            door.is_open, door.opening = True, Opening(is_by_itself=by_itself)
            self._sprung.append(door)

    @property
    def is_settled(self) -> bool:
        """Tell whether the sensors have seen all that moved."""
        return not self._sprung

    def settle(self) -> None:
        """Let the sensors see what sprang open."""
        sprung, self._sprung = self._sprung, []
        for door in sprung:
            if door.is_open and not door.is_blind:
                self.moved(door.number, Reading.OPEN)

    def close(self, door: Door) -> None:
        """Push a door shut."""
        self.settle()
        if door.is_open:
            door.is_open = False
            if not door.is_blind:
                self.moved(door.number, Reading.CLOSED)

    def mend(self, door: Door) -> None:
        """Mend a lock and its sensor, which now sees what it missed."""
        door.is_jammed = False
        if door.is_blind:
            door.is_blind = False
            if door.is_open:
                self.moved(door.number, Reading.OPEN)
