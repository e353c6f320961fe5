"""The processes under fault: harmed on purpose, started again, and noticed if one ends by itself."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from deploy.local.processes import descendants
from deploy.local.supervisor import Supervisor

_LOOK_EVERY_S = 0.05
#: A worker may finish what it works on first.
OBEYS_WITHIN_S = 30.0


class Crew:
    """Parts of a run that may end at any time; each suffers one thing at a time."""

    def __init__(self, supervisor: Supervisor, names: Iterable[str]) -> None:
        self._supervisor = supervisor
        self._locks = {name: asyncio.Lock() for name in names}
        #: How often which part ended although nobody harmed it, or did not when it was asked to.
        self.deserted: Counter[str] = Counter()
        self.deaf: Counter[str] = Counter()

    @asynccontextmanager
    async def harming(self, name: str) -> AsyncIterator[int]:
        """Give the process of a part to whoever harms it; afterwards it runs, whatever was done to it."""
        async with self._locks[name]:
            try:
                yield self._supervisor.process_of(name).pid
            finally:
                await self._bring_back(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a part's own process at once; its children have to notice by themselves."""
        self._send(self._supervisor.process_of(name).pid, number)

    async def ask_to_end(self, name: str) -> None:
        """Ask a part to end, and wait until it has."""
        self.kill(name, signal.SIGTERM)
        try:
            async with asyncio.timeout(OBEYS_WITHIN_S):
                await self.ended(name)
        except TimeoutError:
            self.deaf[name] += 1
            self.kill(name)

    def freeze(self, name: str) -> None:
        """Stop a part in mid-step."""
        self.kill(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a part go on."""
        self.kill(name, signal.SIGCONT)

    def kill_child(self, name: str, *, which: float) -> bool:
        """Kill one of the processes that a part started, and tell whether there was one."""
        children = descendants(self._supervisor.process_of(name).pid)
        if children:
            self._send(children[int(which * len(children))], signal.SIGKILL)
        return bool(children)

    async def watch(self) -> None:
        """Start anew what ends by itself, and remember that it did."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for name, lock in self._locks.items():
                if not lock.locked() and self._supervisor.process_of(name).poll() is not None:
                    self.deserted[name] += 1
                    self._supervisor.respawn(name)

    async def ended(self, name: str) -> None:
        """Wait until a part's own process has ended."""
        while self._supervisor.process_of(name).poll() is None:
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _bring_back(self, name: str) -> None:
        process = self._supervisor.process_of(name)
        with suppress(TimeoutError):
            # Whoever was killed a moment ago may not have ended yet.
            async with asyncio.timeout(0.5):
                await self.ended(name)
        if process.poll() is not None:
            self._supervisor.respawn(name)

    def _send(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
