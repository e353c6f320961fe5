"""
The conductor of a day: business time stands while people act, and jumps when all of them wait.

Whoever has something to do at a later moment waits for it with ``until``. Once nobody acts any more the
clock jumps by a quantum from the first moment that anybody waits for, though never past the last: everyone
with something to do until then does it now, one thing after another, and nobody acts in the future. People
come late by up to the quantum, as couriers do in the rain.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common import clock

#: People whose moments lie so near to each other act at the same time.
QUANTUM = timedelta(minutes=110)

Actor = Coroutine[Any, Any, None]
#: Is awaited before time goes on, until what people did has taken effect.
Settle = Callable[[], Awaitable[None]]


class Conductor:
    """Steers one clock file; nobody else may."""

    def __init__(self, clock_file: Path, *, quantum: timedelta = QUANTUM) -> None:
        self._clock_file = clock_file
        self._quantum = quantum
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._num_awake = 0
        self._all_wait = asyncio.Event()
        self.num_jumps = 0

    def now(self) -> datetime:
        """Return the moment of business time."""
        return clock.told_by(self._clock_file)

    def jump(self, moment: datetime) -> None:
        """Let it be a later moment; an earlier one changes nothing."""
        if moment > self.now():
            clock.steer(self._clock_file, to=moment, rate=1)
            self.num_jumps += 1

    async def until(self, moment: datetime) -> None:
        """Wait, as one of those who play, until business time has come to a moment."""
        if moment <= self.now():
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (moment, next(self._numbers), woken))
        self._rest()
        await woken

    async def play(self, *actors: Actor, settle: Settle | None = None) -> None:
        """Let people act until all of them have done what they came for."""
        async with asyncio.TaskGroup() as tasks:
            self._all_wait.clear()
            self._num_awake = len(actors)
            for actor in actors:
                tasks.create_task(self._act(actor))
            while actors:
                await self._all_wait.wait()
                if settle is not None:
                    await settle()
                if not self._waiting:
                    break
                self._wake_next()

    async def _act(self, actor: Actor) -> None:
        try:
            await actor
        finally:
            self._rest()

    def _rest(self) -> None:
        self._num_awake -= 1
        if self._num_awake == 0:
            self._all_wait.set()

    def _wake_next(self) -> None:
        self._all_wait.clear()
        last = max(moment for moment, _, _ in self._waiting)
        horizon = min(self._waiting[0][0] + self._quantum, last)
        woken = []
        while self._waiting and self._waiting[0][0] <= horizon:
            woken.append(heapq.heappop(self._waiting))
        self._num_awake += len(woken)
        self.jump(horizon)
        for _, _, future in woken:
            future.set_result(None)
