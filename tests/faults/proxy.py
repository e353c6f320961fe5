"""A TCP proxy that does to connections what bad networks do: cuts, silence, delay, loss."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

_CHUNK = 65_536


class Proxy:
    """
    Carries connections to one port of this machine; begins as a good network.

    Cut, connections break and none is made. Held, they stand and nothing passes in either direction, not even
    their end; what was under way arrives late. Slowed, all that passes takes longer.
    """

    def __init__(self, target_port: int, *, dice: random.Random) -> None:
        self._target_port = target_port
        self._dice = dice
        self._passes = asyncio.Event()
        self._passes.set()
        self._is_cut = False
        self._delay_s = 0.0
        self._refused_share = 0.0
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Break all connections, and listen no longer."""
        if self._server is not None:
            self._server.close()
        self.mend()
        self._break(1.0)

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._is_cut = True
        self._break(1.0)

    def hold(self) -> None:
        """Let nothing pass, without a word to anybody."""
        self._passes.clear()

    def slow_down(self, delay_s: float) -> None:
        """Let whatever passes take so much longer."""
        self._delay_s = delay_s

    def drop(self, share: float) -> None:
        """Break a share of the connections, and refuse the same share of new ones."""
        self._refused_share = share
        self._break(share)

    def mend(self) -> None:
        """Be a good network again."""
        self._is_cut, self._delay_s, self._refused_share = False, 0.0, 0.0
        self._passes.set()

    @property
    def num_connections(self) -> int:
        """Return how many connections stand."""
        return len(self._lines)

    def _break(self, share: float) -> None:
        for line in list(self._lines):
            if self._dice.random() < share:
                line.hang_up()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut or self._dice.random() < self._refused_share:
            writer.transport.abort()
            return
        line = _Line(self._pass, reader, writer)
        self._lines.add(line)
        try:
            await line.carry(self._target_port)
        finally:
            self._lines.discard(line)

    async def _pass(self) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        await self._passes.wait()


class _Line:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self,
        passing: Callable[[], Awaitable[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._passing = passing
        self._reader, self._writer = reader, writer
        self._work: asyncio.Task[None] | None = None

    def hang_up(self) -> None:
        """Break both connections, as a cable that is pulled and a neighbour that says so."""
        if self._work is not None:
            self._work.cancel()

    async def carry(self, port: int) -> None:
        self._work = asyncio.current_task()
        ends = [self._writer]
        try:
            await self._passing()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            ends.append(writer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(self._reader, writer))
                tasks.create_task(self._pump(reader, self._writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            return
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction to its end; who has nothing more to say may still listen."""
        while chunk := await reader.read(_CHUNK):
            await self._passing()
            writer.write(chunk)
            await writer.drain()
        await self._passing()
        with suppress(OSError):
            writer.write_eof()
