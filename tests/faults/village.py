"""Where people work while everything fails: lockers that they can reach, a database that may be away."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError

from common import clock
from lockers.api import threads
from lockers.device.hands import Door, Hands, HandsError
from lockers.models import Locker
from tests.faults.installation import Fleet

#: Seconds after which somebody tries again what did not work.
AGAIN_S = 0.4
#: Seconds for which somebody stands before a door that should open.
PATIENCE_S = 8.0
#: What the simulator says while it has no power, or has only just got it back.
_NOT_THERE = ("has gone", "unknown or missing")

P = ParamSpec("P")
R = TypeVar("R")


async def in_database(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Do something that may be repeated, until the database was there to the end of it."""
    while True:
        try:
            return await threads.run(work, *args, **kwargs)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(AGAIN_S)


class _AlertHands(Hands):
    """Hands that let go even if the power goes in the midst of a request."""

    async def _listen(self) -> None:
        try:
            await super()._listen()
        except ConnectionError:
            for waiting in self._open.values():
                if not waiting.done():
                    waiting.set_exception(HandsError("the simulator has gone"))


@dataclass(frozen=True, slots=True)
class Site:
    """A locker in its village, and the fleet that it belongs to."""

    locker: Locker
    fleet: Fleet

    @property
    def slug(self) -> str:
        """Return the locker's name."""
        return self.locker.slug

    async def ask(self, act: Callable[[Hands], Awaitable[R]]) -> R:
        """
        Do something at the locker, again while its computer is without power; it must bear repetition.

        Raises
        ------
        HandsError
            If physics or the locker refuses.
        """
        while True:
            try:
                return await self.ask_once(act)
            except HandsError as error:
                if not any(words in str(error) for words in _NOT_THERE):
                    raise
            await asyncio.sleep(AGAIN_S)

    async def ask_once(self, act: Callable[[Hands], Awaitable[R]]) -> R:
        """
        Do something at the locker; what is refused may have happened all the same, if the power went.

        Raises
        ------
        HandsError
            If physics or the locker refuses, or nobody answers.
        """
        try:
            async with _AlertHands(self.fleet.control) as hands:
                return await act(hands)
        except OSError as error:
            raise HandsError(f"the simulator has gone: {error}") from error

    async def doors(self) -> Sequence[Door]:
        """Look at all doors, and at what lies behind them."""
        return (await self.ask(lambda hands: hands.contents(self.slug)))[self.slug]

    async def door(self, number: int) -> Door:
        """Look at one door."""
        return next(door for door in await self.doors() if door.compartment == number)

    async def opens(self, number: int) -> bool:
        """Wait before a door, and tell whether it stands open."""
        return await self.ask(lambda hands: hands.wait_open(self.slug, number, timeout_s=PATIENCE_S))

    async def close(self, number: int) -> None:
        """Push a door shut."""
        await self.ask(lambda hands: hands.close(self.slug, number))


@dataclass(slots=True)
class Village:
    """All sites, and what people saw that should not be."""

    sites: list[Site]
    dice: random.Random
    is_evening: asyncio.Event = field(default_factory=asyncio.Event)
    #: What people saw that should not be, each once.
    lost: dict[str, None] = field(default_factory=dict)
    #: Doors that somebody stands before.
    attended: set[tuple[str, int]] = field(default_factory=set)

    def now(self) -> datetime:
        """Return the moment of business time."""
        return clock.now()

    async def until_evening(self, seconds: float) -> None:
        """Wait for some time, or until nothing new is begun."""
        try:
            async with asyncio.timeout(seconds):
                await self.is_evening.wait()
        except TimeoutError:
            return


def enter_service(fleet: Fleet, slug: str, token: str) -> None:
    """Note a locker that comes into service whenever its fleet starts."""
    known = json.loads(fleet.tokens.read_text()) if fleet.tokens.exists() else []
    _keep(fleet, [*known, {"locker": slug, "token": token}])


def leave_service(fleet: Fleet, slug: str) -> None:
    """Forget a locker."""
    known = json.loads(fleet.tokens.read_text())
    _keep(fleet, [entry for entry in known if entry["locker"] != slug])


def _keep(fleet: Fleet, entries: list[dict[str, str]]) -> None:
    draft = fleet.tokens.with_suffix(".draft")
    draft.write_text(json.dumps(entries))
    draft.replace(fleet.tokens)
