"""The proxy carries what it is given, and fails in each of its ways."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Long enough for what should pass, short enough to see that something does not.
SOON_S, SILENT_S = 5.0, 0.15


@asynccontextmanager
async def a_network(handle: Callable[..., object] | None = None) -> AsyncIterator[tuple[Proxy, int]]:
    """Run a server that says everything again, behind a proxy."""
    server = await asyncio.start_server(handle or _echo, "127.0.0.1", 0)  # type: ignore[arg-type]
    proxy = Proxy(server.sockets[0].getsockname()[1], dice=random.Random(1))
    try:
        yield proxy, await proxy.open()
    finally:
        await proxy.close()
        server.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()


async def said(client: Client, text: bytes) -> bytes:
    """Say something and return what comes back."""
    reader, writer = client
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), SOON_S)


async def is_broken(client: Client) -> bool:
    """Tell whether a connection has ended."""
    try:
        return await asyncio.wait_for(client[0].read(1), SOON_S) == b""
    except ConnectionError:
        return True


async def test_a_good_network_carries_both_directions_to_their_end() -> None:
    async with a_network() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        goods = random.Random(2).randbytes(1_000_000)

        writer.write(goods)
        writer.write_eof()

        assert await asyncio.wait_for(reader.read(), SOON_S) == goods


async def test_a_cut_breaks_what_stands_and_refuses_what_is_new_until_it_is_mended() -> None:
    async with a_network() as (proxy, port):
        standing = await asyncio.open_connection("127.0.0.1", port)
        await said(standing, b"before")

        proxy.cut()

        assert await is_broken(standing)
        assert await is_broken(await asyncio.open_connection("127.0.0.1", port))
        proxy.mend()
        assert await said(await asyncio.open_connection("127.0.0.1", port), b"after") == b"after"


async def test_a_silent_network_tells_nobody_and_delivers_late() -> None:
    async with a_network() as (proxy, port):
        reader, writer = client = await asyncio.open_connection("127.0.0.1", port)
        await said(client, b"before")

        proxy.hold()
        writer.write(b"late")

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(4), SILENT_S)
        proxy.mend()
        assert await asyncio.wait_for(reader.readexactly(4), SOON_S) == b"late"


async def test_a_silent_network_hides_that_the_other_side_has_gone() -> None:
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await left.wait()
        writer.close()

    left = asyncio.Event()
    async with a_network(leave) as (proxy, port):
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        while not proxy.num_connections:
            await asyncio.sleep(0.01)

        proxy.hold()
        left.set()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), SILENT_S)
        proxy.mend()
        assert await asyncio.wait_for(reader.read(1), SOON_S) == b""


async def test_a_slow_network_takes_its_time() -> None:
    async with a_network() as (proxy, port):
        client = await asyncio.open_connection("127.0.0.1", port)
        proxy.slow_down(0.1)
        began_s = time.monotonic()

        await said(client, b"there and back")

        assert time.monotonic() - began_s >= 0.2


async def test_a_flaky_network_drops_a_share_of_the_connections() -> None:
    async with a_network() as (proxy, port):
        standing = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for client in standing:
            await said(client, b"before")

        proxy.drop(0.5)
        for _, writer in standing:
            writer.write(b"x")
            writer.write_eof()
        left = [await is_broken(client) for client in standing]

        assert 0 < sum(left) < 20


async def test_who_cannot_be_reached_is_no_worse_through_the_proxy() -> None:
    proxy = Proxy(1, dice=random.Random(1))
    port = await proxy.open()

    assert await is_broken(await asyncio.open_connection("127.0.0.1", port))
    await proxy.close()
