"""The device's end of the link over MQTT: one connection to the broker after another."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol

import aiomqtt

from lockers import wire
from lockers.device.connection import Connection
from lockers.device.controller import Controller
from lockers.device.identity import Broker
from lockers.device.link import Backoff, Link, Unreachable
from lockers.device.messages import Answer
from lockers.device.mqtt_session import Rhythm, Session

logger = logging.getLogger(__name__)

USUAL = Rhythm()


class Connect(Protocol):
    """Makes a connection, which connects as its context is entered."""

    def __call__(self, broker: Broker, *, trust: ssl.SSLContext) -> Connection: ...


class MqttLink(Link):
    """Stays connected to the broker, and talks to the server through it."""

    def __init__(
        self,
        controller: Controller,
        broker: Broker,
        *,
        trust: ssl.SSLContext,
        rhythm: Rhythm = USUAL,
        connect: Connect = Connection,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(controller, monotonic=monotonic)
        self._broker = broker
        self._trust = trust
        self._rhythm = rhythm
        self._connect = connect
        self._session: Session | None = None

    def _is_in_touch(self) -> bool:
        """Tell whether the server knows the present connection."""
        return self._connected.is_set()

    async def _ask(self, question: wire.Envelope) -> Answer:
        """Ask on the present connection, or on the next; the command comes beside the answer."""
        try:
            async with asyncio.timeout(self._rhythm.keypad_s):
                await self._connected.wait()
                if self._session is None:
                    raise Unreachable("the connection was lost")
                answer = await self._session.ask(question, within_s=self._rhythm.keypad_s)
        except TimeoutError as error:
            raise Unreachable("not connected") from error
        if answer is None:
            raise Unreachable("no answer that can be read")
        return answer

    def _activities(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._stay_connected(),)

    async def _stay_connected(self) -> None:
        backoff = Backoff(self._rhythm.retry_after_s)
        while True:
            # Its own task, for before Python 3.13 one that has seen a task group fail counts as cancelled.
            conversation = asyncio.create_task(self._connect_and_converse(backoff))
            try:
                await conversation
            except* (aiomqtt.MqttError, Unreachable) as failures:
                failure = next(_leaves(failures))
                logger.warning("%s: not connected: %s", self._controller.identity.locker, failure)
            _obey_cancellation()
            await backoff.wait()

    async def _connect_and_converse(self, backoff: Backoff) -> None:
        async with self._connect(self._broker, trust=self._trust) as connection:
            self._session = Session(
                self._controller,
                connection,
                rhythm=self._rhythm,
                connected=self._connected,
                news=self._news,
                monotonic=self._monotonic,
            )
            try:
                await self._session.run()
            except asyncio.CancelledError:
                with contextlib.suppress(aiomqtt.MqttError):
                    await connection.say_farewell()
                raise
            finally:
                if self._connected.is_set():
                    backoff.succeeded()
                self._connected.clear()
                self._session = None


def _obey_cancellation() -> None:
    """Stop if asked to: who is cancelled while something fails may hear of the failure alone."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
