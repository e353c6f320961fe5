"""What the links over HTTPS and MQTT share: how the server can fail a locker, and when to try again."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import StrEnum
from typing import Any

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.messages import Answer

RETRY_AFTER_S = (0.2, 0.5, 1.0, 2.0, 5.0)
TICK_S = 0.25
_dice = random.SystemRandom()


class LinkKind(StrEnum):
    """What carries the envelopes."""

    HTTPS = "https"
    MQTT = "mqtt"


class Refused(Exception):
    """The server refused a message, with a stable code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Unreachable(Exception):
    """The server gave no answer that can be used."""


class Backoff:
    """Waits longer after each failure in a row, and never just as long as other lockers do."""

    def __init__(self, retry_after_s: Sequence[float] = RETRY_AFTER_S) -> None:
        self._retry_after_s = retry_after_s
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew with the shortest wait."""
        self._failures = 0

    async def wait(self) -> None:
        """Wait before the next attempt."""
        longest_s = self._retry_after_s[min(self._failures, len(self._retry_after_s) - 1)]
        self._failures += 1
        await asyncio.sleep(longest_s * _dice.uniform(0.5, 1.0))


class Link(ABC):
    """Keeps one locker connected until it is cancelled or its identity is refused."""

    def __init__(self, controller: Controller, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._controller = controller
        self._monotonic = monotonic
        self._news = asyncio.Event()
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Exchange messages with the server, and let the locker notice what does not happen in time."""
        async with asyncio.TaskGroup() as tasks:
            for activity in (*self._activities(), self._tick()):
                tasks.create_task(activity)

    async def until_connected(self) -> None:
        """Wait until the server has answered a greeting."""
        await self._connected.wait()

    def has_news(self) -> None:
        """Tell the link that there is something to report."""
        self._news.set()

    async def enter(self, code: str) -> Answer:
        """
        Answer a code that was typed or scanned: as the server says, or by the list if it does not in time.

        Raises
        ------
        Refused
            If the server refuses the question.
        Unreachable
            If it gives no answer and the locker has no list.
        """
        question = None
        if self._is_in_touch() or not self._controller.knows_codes:
            if answer := self._controller.answer_first(code):
                self.has_news()
                return answer
            question = self._controller.entered(code)
            try:
                answer = await self._ask(question)
            except (Refused, Unreachable) as failure:
                is_final = isinstance(failure, Refused) and failure.code != "stale-epoch"
                if is_final or not self._controller.knows_codes:
                    raise
            else:
                self._controller.note_answer(answer)
                return answer
        answer = self._controller.decide(code, instead_of=question)
        self.has_news()
        return answer

    @abstractmethod
    def _is_in_touch(self) -> bool:
        """Tell whether the server would probably answer now."""

    @abstractmethod
    async def _ask(self, question: wire.Envelope) -> Answer:
        """
        Put a question about a code to the server; if it is to be opened, the door springs open.

        Raises
        ------
        Refused
            If the server refuses the question.
        Unreachable
            If it gives no answer.
        """

    @abstractmethod
    def _activities(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Return what goes on at the same time for as long as the link runs."""

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._controller.tick()
            if self._controller.has_unreported():
                self._news.set()
