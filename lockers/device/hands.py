"""What people do at simulated lockers, for scripts: type codes, put goods in, take them out, close doors."""

import asyncio
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Lines of the control protocol may hold the contents of all lockers.
LONGEST_LINE = 16 * 1024 * 1024


class HandsError(Exception):
    """The simulator did not do what was asked; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadAnswer:
    """What the keypad shows after a code."""

    outcome: str
    compartment: int | None
    num_left: int
    is_deposit: bool = False

    @property
    def is_opening(self) -> bool:
        """Tell whether a door opens."""
        return self.outcome == "opening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A compartment as one would find it."""

    compartment: int
    is_open: bool
    goods: tuple[str, ...]
    num_openings: int = 0
    num_beeps: int = 0


class Hands:
    """
    A client of the simulator's control socket; many requests may be in flight.

    Use as ``async with Hands(path) as hands``. Every method raises ``HandsError`` for what is refused or
    physically impossible.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(self._path, limit=LONGEST_LINE)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        self._writer.close()

    async def add(self, locker: str, token: str) -> None:
        """Bring a further locker into service, and wait until it is connected."""
        await self._ask("add", locker=locker, token=token)

    async def remove(self, locker: str) -> None:
        """Take a locker out of service; it falls silent."""
        await self._ask("remove", locker=locker)

    async def keypad(self, locker: str, digits: str) -> KeypadAnswer:
        """Type a code; if it is right, the door is springing open when this returns."""
        answer = await self._ask("keypad", locker=locker, digits=digits)
        return KeypadAnswer(**answer)

    async def wait_open(self, locker: str, compartment: int, *, timeout_s: float) -> bool:
        """Wait for a door to open; tell whether it did in time."""
        return bool(await self._ask("wait_open", locker=locker, compartment=compartment, timeout_s=timeout_s))

    async def put(self, locker: str, compartment: int, goods: Iterable[str]) -> None:
        """Put goods through an open door."""
        await self._ask("put", locker=locker, compartment=compartment, goods=list(goods))

    async def take(self, locker: str, compartment: int) -> list[str]:
        """Take everything out through an open door."""
        return list(await self._ask("take", locker=locker, compartment=compartment))

    async def close(self, locker: str, compartment: int) -> None:
        """Push a door shut."""
        await self._ask("close", locker=locker, compartment=compartment)

    async def done(self, locker: str, compartment: int) -> None:
        """Press the button that says: everything is out."""
        await self._ask("done", locker=locker, compartment=compartment)

    async def jam(self, locker: str, compartment: int, *, is_jammed: bool = True) -> None:
        """Let a door stick, or stick no more."""
        await self.inflict(locker, "jam", compartment=compartment, on=is_jammed)

    async def cut(self, locker: str, seconds: float, *, half_open: bool = False) -> None:
        """Cut a locker's network for some time; half-open, nobody is told and nothing passes."""
        await self.inflict(locker, "cut", seconds=seconds, half_open=half_open)

    async def inflict(self, locker: str, fault: str, **arguments: Any) -> None:
        """Let a locker suffer any fault there is."""
        await self._ask("fault", locker=locker, fault=fault, **arguments)

    async def contents(self, locker: str | None = None) -> dict[str, list[Door]]:
        """Look into one locker, or into all."""
        found = await self._ask("contents", locker=locker)
        return {
            name: [
                Door(
                    compartment=door["compartment"],
                    is_open=door["door"] == "open",
                    goods=tuple(door["goods"]),
                    num_openings=door["num_openings"],
                    num_beeps=door["num_beeps"],
                )
                for door in doors
            ]
            for name, doors in found.items()
        }

    async def _ask(self, do: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        answered = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n")
            await self._writer.drain()
            return await answered
        finally:
            del self._open[number]

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            answer = json.loads(line)
            waiting = self._open.get(answer["id"])
            if waiting is None or waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(HandsError(answer["error"]))
            else:
                waiting.set_result(answer["ok"])
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(HandsError("the simulator has gone"))
