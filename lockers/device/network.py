"""
The network of a simulated locker, which can be cut: as if somebody pulled the plug, or silently.

It can also double and reorder what it carries. Whatever a locker sends and receives, over HTTPS or MQTT,
passes through here.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import aiomqtt
import httpx
import paho.mqtt.client as paho

from lockers.device.connection import TIMEOUT_S, Connection
from lockers.device.disorder import Disorder
from lockers.device.identity import Broker

Request = Coroutine[Any, Any, httpx.Response]


class Network:
    """What lies between one locker and the world."""

    def __init__(self) -> None:
        self.disorder = Disorder()
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._is_half_open = False
        self._mending: asyncio.TimerHandle | None = None
        self._has_broker_at_s = 0.0
        self._requests: set[asyncio.Task[httpx.Response]] = set()
        self._lines: set[Line] = set()

    def cut(self, seconds: float, *, half_open: bool) -> None:
        """
        Let nothing pass for some time.

        What is connected breaks, and nothing connects. Half-open, connections stand, but are neither read nor
        written: nobody is told, and what was under way arrives late.
        """
        self._is_up.clear()
        self._is_half_open = half_open
        for line in list(self._lines):
            line.suffer(half_open=half_open)
        if not half_open:
            for request in self._requests:
                request.cancel()
        if self._mending:
            self._mending.cancel()
        self._mending = asyncio.get_running_loop().call_later(seconds, self.mend)

    def restart_broker(self, seconds: float) -> None:
        """Break all MQTT connections, and for some time let none be made; HTTPS passes."""
        self._has_broker_at_s = asyncio.get_running_loop().time() + seconds
        for line in list(self._lines):
            line.suffer(half_open=False)

    def mend(self) -> None:
        """Let everything pass again."""
        if self._mending:
            self._mending.cancel()
        self._is_up.set()
        for line in list(self._lines):
            line.recover()

    async def reach(self) -> None:
        """
        Pass, or wait until it is possible.

        Raises
        ------
        ConnectionError
            If the network is cut and says so.
        """
        if not self._is_up.is_set() and not self._is_half_open:
            raise ConnectionError("the network is cut")
        await self._is_up.wait()

    async def reach_broker(self) -> None:
        """
        Pass to the broker, as ``reach`` does.

        Raises
        ------
        ConnectionError
            If it is away, too.
        """
        await self.reach()
        if asyncio.get_running_loop().time() < self._has_broker_at_s:
            raise ConnectionError("the broker refuses connections")

    async def carry(self, send: Callable[[], Request]) -> httpx.Response:
        """
        Carry a request there and its response back.

        Raises
        ------
        ConnectionError
            If the network is cut before the response is here.
        """
        await self.reach()
        request = asyncio.create_task(send())
        self._requests.add(request)
        try:
            await asyncio.wait({request})
        finally:
            self._requests.discard(request)
            request.cancel()
        if request.cancelled():
            raise ConnectionError("the network was cut")
        await self.reach()
        return request.result()

    def join(self, line: "Line") -> None:
        """Take a connection that now stands; it suffers with the others."""
        self._lines.add(line)
        if not self._is_up.is_set():
            line.suffer(half_open=self._is_half_open)

    def leave(self, line: "Line") -> None:
        """Forget a connection."""
        self._lines.discard(line)


class Transport(httpx.AsyncBaseTransport):
    """HTTP through a network that may be cut."""

    def __init__(self, network: Network, transport: httpx.AsyncBaseTransport) -> None:
        self._network = network
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, unless the network or the patience ends."""
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                return await self._send(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no response", request=request) from error
        except ConnectionError as error:
            raise httpx.ConnectError(str(error), request=request) from error

    async def aclose(self) -> None:
        """Let go of what carries the requests."""
        self._network.disorder.end()
        await self._transport.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        disorder = self._network.disorder
        if not disorder.reigns:
            return await self._carry(request)
        said = _with_messages(request.content, disorder.upset_said)
        request = httpx.Request(
            request.method,
            request.url,
            headers=_headers(request),
            content=said,
            extensions=request.extensions,
        )
        disorder.echo(lambda: self._carry_copy(request))
        await asyncio.sleep(disorder.delay_s())
        response = await self._carry(request)
        await response.aread()
        heard = _with_messages(response.content, disorder.upset_heard)
        return httpx.Response(response.status_code, headers=_headers(response), content=heard)

    async def _carry_copy(self, request: httpx.Request) -> None:
        response = await self._carry(request)
        await response.aread()

    async def _carry(self, request: httpx.Request) -> httpx.Response:
        return await self._network.carry(lambda: self._transport.handle_async_request(request))


class Line(Connection):
    """
    MQTT through a network that may be cut.

    It reaches below what aiomqtt offers, for there is no other way to leave a socket open and not use it.
    """

    def __init__(self, network: Network, broker: Broker, *, trust: ssl.SSLContext) -> None:
        super().__init__(broker, trust=trust)
        self._network = network
        self._is_frozen = False
        self._is_left = False

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._network.reach_broker()
        except TimeoutError as error:
            raise aiomqtt.MqttError("the broker cannot be reached") from error
        except ConnectionError as error:
            raise aiomqtt.MqttError(str(error)) from error
        await super().__aenter__()
        self._network.join(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_frozen:
            # The broker must not hear of it: the socket is closed when the network is back.
            self._is_left = True
            return
        self._network.leave(self)
        await super().__aexit__(kind, error, trace)

    async def send(self, name: str, content: object, *, within_s: float = TIMEOUT_S) -> None:
        """Publish as others do, or later, or once more."""
        disorder = self._network.disorder
        disorder.echo(lambda: super(Line, self).send(name, content, within_s=within_s))
        await asyncio.sleep(disorder.delay_s())
        await super().send(name, content, within_s=within_s)

    def suffer(self, *, half_open: bool) -> None:
        """Be cut."""
        if half_open:
            self._freeze()
        else:
            self.recover()
            self.hang_up()

    def recover(self) -> None:
        """Go on where it was interrupted; what the device gave up meanwhile ends now."""
        open_socket = self._open_socket()
        if self._is_frozen and open_socket:
            self._client.on_socket_register_write = self._on_socket_register_write
            self._on_socket_open(self._client, None, open_socket)
            if self._client.want_write():
                self._on_socket_register_write(self._client, None, open_socket)
        self._is_frozen = False
        if self._is_left:
            self._network.leave(self)
            self.hang_up()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        """Hear a message as others do, or later, with those that come again."""
        disorder = self._network.disorder
        for heard in disorder.upset_heard([message]):
            if delay_s := disorder.delay_s():
                self._loop.call_later(delay_s, super()._on_message, client, userdata, heard)
            else:
                super()._on_message(client, userdata, heard)

    def _freeze(self) -> None:
        open_socket = self._open_socket()
        if self._is_frozen or not open_socket:
            return
        self._is_frozen = True
        self._client.on_socket_register_write = _do_nothing
        self._loop.remove_reader(open_socket)
        self._loop.remove_writer(open_socket)

    def _open_socket(self) -> socket.socket | None:
        found = self._client.socket()
        return found if isinstance(found, socket.socket) else None


def _with_messages(content: bytes, upset: Callable[[list[Any]], list[Any]]) -> bytes:
    """Return a body whose list of messages, if it has one, is upset."""
    try:
        body = json.loads(content)
    except ValueError:
        return content
    if not isinstance(body, dict) or "messages" not in body:
        return content
    return json.dumps({**body, "messages": upset(body["messages"])}).encode()


def _headers(message: httpx.Request | httpx.Response) -> dict[str, str]:
    """Return the headers that say nothing of the length or form of the body."""
    unfit = {"content-length", "content-encoding", "transfer-encoding"}
    return {name: value for name, value in message.headers.items() if name.lower() not in unfit}


def _do_nothing(client: paho.Client, data: object, open_socket: object) -> None:
    """Write nothing, whatever waits to be written."""
