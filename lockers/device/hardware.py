"""The port below which the hardware lies: locks that are pulsed and sensors that are read."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol


class Reading(StrEnum):
    """What a door sensor says, after debouncing."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class HardwareFailed(Exception):
    """The lock could not be driven; it is certain that it was not."""


class Hardware(Protocol):
    """The locks and sensors of one cabinet."""

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
