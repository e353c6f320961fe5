"""The disorder of a simulated locker's network: messages come twice, late, and in another order."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from lockers import wire

logger = logging.getLogger(__name__)

#: A message takes up to so long, if its turn is to be upset.
LONGEST_DELAY_S = 0.5
#: A copy comes up to so much later.
LONGEST_ECHO_S = 3.0
#: So many messages of each side may come again.
REMEMBERED = 20


class Disorder:
    """Decides what happens to each message; ``doubled`` and ``shuffled`` are shares of all, from 0 to 1."""

    def __init__(self) -> None:
        self.doubled = 0.0
        self.shuffled = 0.0
        self._dice = random.Random()  # noqa: S311 - nothing is secret here
        self._said: deque[Any] = deque(maxlen=REMEMBERED)
        self._heard: deque[Any] = deque(maxlen=REMEMBERED)
        self._echoes: set[asyncio.Task[None]] = set()

    @property
    def reigns(self) -> bool:
        """Tell whether anything is upset at all."""
        return self.doubled > 0 or self.shuffled > 0

    def delay_s(self) -> float:
        """Return how long a message is under way, while others overtake it."""
        return self._dice.uniform(0, LONGEST_DELAY_S) if self._happens(self.shuffled) else 0.0

    def echo(self, again: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do something once more, later, or not at all; nobody learns what comes of it."""
        if self._happens(self.doubled):
            echo = asyncio.create_task(self._echo(again))
            self._echoes.add(echo)
            echo.add_done_callback(self._echoes.discard)

    def upset_said(self, messages: list[Any]) -> list[Any]:
        """Return what the device says, mixed with what it said before."""
        return self._upset(messages, self._said)

    def upset_heard(self, messages: list[Any]) -> list[Any]:
        """Return what the server says, mixed with what it said before."""
        return self._upset(messages, self._heard)

    def end(self) -> None:
        """Let nothing come any more."""
        for echo in self._echoes:
            echo.cancel()

    async def _echo(self, again: Callable[[], Coroutine[Any, Any, object]]) -> None:
        await asyncio.sleep(self._dice.uniform(0, LONGEST_ECHO_S))
        try:
            await again()
        except Exception as error:
            # Whatever becomes of a copy, the original goes its own way.
            logger.debug("a copy was lost: %s", error)

    def _upset(self, messages: list[Any], before: deque[Any]) -> list[Any]:
        again = [message for message in [*before, *messages] if self._happens(self.doubled)]
        before += messages
        upset = [*messages, *again][: wire.MAX_BATCH]
        if self._happens(self.shuffled):
            self._dice.shuffle(upset)
        return upset

    def _happens(self, share: float) -> bool:
        return self._dice.random() < share
