"""The network of a simulated locker over HTTPS: cut aloud, cut silently, mended."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from lockers.device.network import Network, Transport

PATIENCE_S = 0.2


class Server:
    """Answers what reaches it, a moment later."""

    def __init__(self) -> None:
        self.num_asked = 0
        self.takes_s = 0.0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.num_asked += 1
        await asyncio.sleep(self.takes_s)
        return httpx.Response(200)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def network() -> Network:
    return Network()


@pytest.fixture
async def client(server: Server, network: Network) -> AsyncIterator[httpx.AsyncClient]:
    transport = Transport(network, httpx.MockTransport(server.answer))
    async with httpx.AsyncClient(base_url="http://link", transport=transport, timeout=PATIENCE_S) as client:
        yield client


async def test_a_network_that_is_cut_lets_nothing_pass_until_it_is_mended(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    network.cut(0.05, half_open=False)

    with pytest.raises(httpx.ConnectError):
        await client.post("/")
    await asyncio.sleep(0.1)

    assert (await client.post("/")).is_success
    assert server.num_asked == 1


async def test_what_is_under_way_breaks_when_the_network_is_cut(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    server.takes_s = 0.1
    asking = asyncio.create_task(client.post("/"))
    await asyncio.sleep(0.02)

    network.cut(10, half_open=False)

    with pytest.raises(httpx.ConnectError):
        await asking
    assert server.num_asked == 1
    network.mend()


async def test_in_a_silent_network_nothing_is_said_and_answers_arrive_late(
    server: Server, network: Network, client: httpx.AsyncClient
) -> None:
    server.takes_s = 0.02
    asking = asyncio.create_task(client.post("/"))
    await asyncio.sleep(0.01)

    network.cut(0.1, half_open=True)
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/", timeout=0.04)
    assert (server.num_asked, asking.done()) == (1, False)

    assert (await asking).is_success
    assert server.num_asked == 1


async def test_a_longer_cut_takes_the_place_of_a_shorter_one(
    network: Network, client: httpx.AsyncClient
) -> None:
    network.cut(0.02, half_open=True)
    network.cut(10, half_open=False)
    await asyncio.sleep(0.05)

    with pytest.raises(httpx.ConnectError):
        await client.post("/")
    network.mend()
    assert (await client.post("/")).is_success
