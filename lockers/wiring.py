"""How the locks of a basic device's cabinet are wired, and how its client is told."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Boards have eight channels, counted from 0; the boards are counted from 1.
CHANNELS_PER_BOARD = 8
HIGHEST_BOARD, HIGHEST_CHANNEL = 247, 254
#: Kinds of boards that newer clients want to know, in the order in which they are hashed.
_HARDWARE = ("adapter_type", "channel_count", "feedback_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Where the lock of a compartment is connected."""

    compartment_number: int
    board: int
    channel: int

    def as_told(self) -> dict[str, int]:
        """Return the lock in the client's own words."""
        return {
            "compartment_number": self.compartment_number,
            "slaveId": self.board,
            "address": self.channel,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """
    All locks of a cabinet, by number, and what the client is told of its boards.

    ``hardware`` holds what the release of the client asks for of ``adapter_type``, ``channel_count`` and
    ``feedback_type``; older ones ask for nothing.
    """

    locks: Sequence[Lock]
    hardware: Mapping[str, str | int]

    @classmethod
    def usual(cls, numbers: Collection[int]) -> "Wiring":
        """Return the wiring in which the compartments follow one another, board after board."""
        places = enumerate(sorted(numbers))
        locks = [
            Lock(
                compartment_number=number,
                board=place // CHANNELS_PER_BOARD + 1,
                channel=place % CHANNELS_PER_BOARD,
            )
            for place, number in places
        ]
        return cls(locks=locks, hardware={})

    @classmethod
    def stored(cls, content: Mapping[str, Any]) -> "Wiring":
        """Return a wiring from what ``as_stored`` wrote."""
        return cls(locks=[Lock(**lock) for lock in content["locks"]], hardware=content["hardware"])

    def as_stored(self) -> dict[str, Any]:
        """Return the wiring as JSON."""
        return {"locks": [asdict(lock) for lock in self.locks], "hardware": dict(self.hardware)}

    def fits(self, numbers: Collection[int]) -> bool:
        """Tell whether each compartment has one lock, and no lock has two."""
        places = {(lock.board, lock.channel) for lock in self.locks}
        wired = [lock.compartment_number for lock in self.locks]
        return sorted(wired) == sorted(numbers) and len(places) == len(wired)

    def as_told(self) -> dict[str, Any]:
        """Return the wiring in the client's own words."""
        hardware = {name: self.hardware[name] for name in _HARDWARE if name in self.hardware}
        by_number = sorted(self.locks, key=lambda lock: lock.compartment_number)
        return {**hardware, "compartments": [lock.as_told() for lock in by_number]}

    def digest(self) -> str:
        """Return the hash by which the client checks what it was told; without hardware, that of the list."""
        told = self.as_told()
        hashed = json.dumps(told if self.hardware else told["compartments"], separators=(",", ":"))
        return hashlib.sha256(hashed.encode()).hexdigest()
