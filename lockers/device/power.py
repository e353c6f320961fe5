"""The power of a simulated locker, which may go at any point: what is not on disk by then is lost."""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from enum import StrEnum

from lockers.device.journal import Log, Record


class PowerCut(Exception):
    """The device lost its power at this very point."""


class Moment(StrEnum):
    """When the power goes."""

    NOW = "now"
    BEFORE_PULSE = "before_pulse"
    IN_PULSE = "in_pulse"
    AFTER_PULSE = "after_pulse"


class Power:
    """The power of one life of a device: on until it goes, and then gone for good."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Tell whether the device lives."""
        return not self._gone.is_set()

    def cut(self) -> None:
        """Take the power away."""
        self._gone.set()

    def require(self) -> None:
        """
        Go on only with power.

        Raises
        ------
        PowerCut
            If it has gone.
        """
        if not self.is_on:
            raise PowerCut

    async def until_gone(self) -> None:
        """Wait until the power goes."""
        await self._gone.wait()


class PoweredLog:
    """A journal on a disk that may be full, and that takes nothing once the power has gone."""

    def __init__(self, log: Log, power: Power, *, is_full: Callable[[], bool]) -> None:
        self._log = log
        self._power = power
        self._is_full = is_full

    def read(self) -> list[Record]:
        """Return all records, the oldest first."""
        return self._log.read()

    def append(self, records: Sequence[Record]) -> None:
        """Add records, if there is power and room."""
        self._require_room()
        self._log.append(records)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replace everything, if there is power and room."""
        self._require_room()
        self._log.rewrite(records)

    def _require_room(self) -> None:
        self._power.require()
        if self._is_full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
