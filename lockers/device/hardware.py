"""The port below which the hardware lies: locks that are pulsed, sensors that are read, a beeper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Reading(StrEnum):
    """What a door sensor says, after debouncing."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class Zone(StrEnum):
    """Part of a cabinet that is kept at a temperature of its own."""

    AMBIENT = "ambient"
    CHILLED = "chilled"
    FROZEN = "frozen"


class Source(StrEnum):
    """What a cabinet lives on."""

    MAINS = "mains"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class Supply:
    """What a cabinet lives on, and the charge of its battery if that is known."""

    source: Source
    percent: int | None


class HardwareFailed(Exception):
    """The lock could not be driven; it is certain that it was not."""


class Hardware(Protocol):
    """
    The locks and door sensors of one cabinet.

    Movements are called back: whenever a reading changes, the port calls ``Controller.door_moved``, in the
    thread of the device. Only the port knows how its contacts bounce and how often it reads them, so it
    debounces: a door is open at once, closed after a second of being so, and unknown after three reads in a
    row that failed.
    """

    @property
    def compartments(self) -> Sequence[int]:
        """Return the numbers of the compartments."""

    def pulse(self, compartment: int) -> None:
        """
        Drive a lock once.

        Raises
        ------
        HardwareFailed
            If it certainly was not driven.
        """

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor of a door says now."""


class Housing(Protocol):
    """
    What a cabinet has besides its doors.

    It is asked several times a second, and answers at once with what the port read last. Of what a cabinet
    lacks it says nothing: ``None``, or no such zone.
    """

    def beep(self, compartment: int) -> None:
        """Give a short signal at a door that stands open."""

    def is_tampered(self) -> bool | None:
        """Tell whether somebody meddles with the cabinet; a contact that cannot be read says so too."""

    def temperatures(self) -> Mapping[Zone, int | None]:
        """Return tenths of a degree Celsius by zone; ``None`` where a sensor cannot be read."""

    def supply(self) -> Supply | None:
        """Return what the cabinet lives on."""


class Bare:
    """A cabinet that has nothing but doors."""

    def beep(self, compartment: int) -> None:
        """Be silent."""

    def is_tampered(self) -> bool | None:
        """Know nothing."""
        return None

    def temperatures(self) -> Mapping[Zone, int | None]:
        """Measure nothing."""
        return {}

    def supply(self) -> Supply | None:
        """Know nothing."""
        return None
