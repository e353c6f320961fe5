"""One connection of a device to the MQTT broker: its account, its will, its topics."""

import asyncio
import contextlib
import json
import math
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiomqtt

from lockers.device.identity import Broker

QOS = 1
KEEPALIVE_S = 15
#: The broker does not confirm within this: the connection is of no use.
TIMEOUT_S = 10.0
#: So many messages may wait for the broker at a time; the client's own limit for all kinds together is 20.
PIPELINED = 10
#: Where the device says, or the broker in its stead, that it has gone.
_FAREWELL = "state/connection"


class Connection(aiomqtt.Client):
    """
    Publishes and listens on one device's topics, while the context lasts; ``messages`` are what arrives.

    Whatever fails raises ``aiomqtt.MqttError``. No socket is left behind, as aiomqtt does when an attempt to
    connect fails half-way: it could come alive later and put out the connection that took its place.
    """

    def __init__(self, broker: Broker, *, trust: ssl.SSLContext) -> None:
        self._topics = f"locker/{broker.username}"
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=broker.username,
            protocol=aiomqtt.ProtocolVersion.V5,
            # Nothing is kept for a device that is away: unless told otherwise, sessions end with connections.
            clean_start=True,
            keepalive=KEEPALIVE_S,
            will=aiomqtt.Will(f"{self._topics}/{_FAREWELL}", _compact(_farewell("connection_lost")), qos=QOS),
            tls_context=trust,
            timeout=TIMEOUT_S,
            # Messages are small and urgent: none waits until the last one was confirmed (Nagle).
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self.pending_calls_threshold = 2 * PIPELINED
        self._disconnected.add_done_callback(_hear_out)

    async def __aenter__(self) -> Self:
        # A thread does the connecting and cannot be stopped: who gives up waiting for it must hang up later.
        entering = asyncio.ensure_future(self._enter())
        try:
            return await asyncio.shield(entering)
        except ValueError as error:
            raise aiomqtt.MqttError(f"no address of a broker: {error}") from error
        except BaseException:
            entering.add_done_callback(self._abandon)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Break the connection without a word; the broker publishes the will."""
        open_socket = self._client.socket()
        if isinstance(open_socket, socket.socket):
            with contextlib.suppress(OSError):
                # Not TLS's own: the client shall read the end as it reads everything else.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    async def send(self, name: str, content: object, *, within_s: float = TIMEOUT_S) -> None:
        """Publish on one of the device's own topics, and wait until the broker has it."""
        try:
            # Not aiomqtt's own: before Python 3.12 it may swallow that the waiting one is cancelled.
            async with asyncio.timeout(within_s):
                await self.publish(f"{self._topics}/{name}", _compact(content), qos=QOS, timeout=math.inf)
        except TimeoutError as error:
            raise aiomqtt.MqttError("the broker does not confirm") from error

    async def say_farewell(self) -> None:
        """Say that the device goes of its own accord."""
        await self.send(_FAREWELL, _farewell("shutdown"), within_s=1.0)

    async def _enter(self) -> Self:
        await super().__aenter__()
        await self.subscribe([(f"{self._topics}/{name}", QOS) for name in ("command", "answer")])
        return self

    def _abandon(self, entering: asyncio.Future[Self]) -> None:
        _hear_out(entering)
        self.hang_up()


def _hear_out(ended: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody else may ask for, lest asyncio complains of it."""
    if not ended.cancelled():
        ended.exception()


def _farewell(reason: str) -> Mapping[str, str]:
    return {"status": "offline", "reason": reason}


def _compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
