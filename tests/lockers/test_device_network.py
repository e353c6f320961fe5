"""The network of a simulated locker over HTTPS: cut aloud, cut silently, mended."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from lockers.device.network import Network, Transport

LONG_S = 60.0


class Server:
    """Answers what reaches it, as soon as it may."""

    def __init__(self) -> None:
        self.num_asked = 0
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.num_asked += 1
        self.is_asked.set()
        await self.may_answer.wait()
        return httpx.Response(200)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def network() -> Network:
    return Network()


@pytest.fixture
async def client(server: Server, network: Network) -> AsyncIterator[httpx.AsyncClient]:
    transport = Transport(network, httpx.MockTransport(server.answer))
    async with httpx.AsyncClient(base_url="http://link", transport=transport, timeout=LONG_S) as client:
        yield client


async def test_a_network_that_is_cut_lets_nothing_pass_until_it_is_mended(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    network.cut(LONG_S, half_open=False)

    with pytest.raises(httpx.ConnectError):
        await client.post("/")
    network.mend()

    assert (await client.post("/")).is_success
    assert server.num_asked == 1


async def test_what_is_under_way_breaks_when_the_network_is_cut(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    server.may_answer.clear()
    asking = asyncio.create_task(client.post("/"))
    await server.is_asked.wait()

    network.cut(LONG_S, half_open=False)

    with pytest.raises(httpx.ConnectError):
        await asking
    network.mend()


async def test_in_a_silent_network_nothing_is_said_and_answers_arrive_late(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    server.may_answer.clear()
    asking = asyncio.create_task(client.post("/"))
    await server.is_asked.wait()

    network.cut(LONG_S, half_open=True)
    server.may_answer.set()
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/", timeout=0.05)
    assert (server.num_asked, asking.done()) == (1, False)
    network.mend()

    assert (await asking).is_success
    assert server.num_asked == 1


async def test_a_cut_ends_by_itself_and_a_longer_one_takes_its_place(
    network: Network, client: httpx.AsyncClient
) -> None:
    network.cut(0.02, half_open=True)
    assert (await client.post("/")).is_success

    network.cut(0.02, half_open=True)
    network.cut(LONG_S, half_open=False)
    await asyncio.sleep(0.05)

    with pytest.raises(httpx.ConnectError):
        await client.post("/")
    network.mend()
