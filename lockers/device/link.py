"""The device's end of the link over HTTPS: greets, waits for commands, reports."""

import asyncio
import logging
import time
from collections.abc import Callable

import httpx

from lockers import wire
from lockers.device.controller import Answer, Controller

logger = logging.getLogger(__name__)

#: Longer than the server lets a poll wait.
TIMEOUT_S = 25.0
KEYPAD_TIMEOUT_S = 8.0
RETRY_AFTER_S = (0.2, 0.5, 1.0, 2.0, 5.0)
#: After so much silence the link counts as lost, and begins anew.
SILENCE_S = 10.0
#: Reports that follow each other so soon travel together.
LINGER_S = 0.12


class Refused(Exception):
    """The server refused a message, with a stable code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Unreachable(Exception):
    """The server gave no answer that can be used."""


async def post(http: httpx.AsyncClient, path: str, body: object, *, timeout_s: float) -> list[wire.Envelope]:
    """
    Post a message, and return the messages that come back.

    Every message may be sent twice without harm, so a connection that breaks is tried again once.

    Raises
    ------
    Refused
        If the server refuses it.
    Unreachable
        If there is no answer that can be used.
    """
    for attempt in (1, 2):
        try:
            response = await http.post(path, json=body, timeout=timeout_s)
            break
        except httpx.TimeoutException as error:
            raise Unreachable(str(error)) from error
        except httpx.TransportError as error:
            if attempt == 2:
                raise Unreachable(str(error)) from error
    try:
        content = response.json()
    except ValueError as error:
        raise Unreachable(f"status {response.status_code}") from error
    if response.is_success:
        messages: list[wire.Envelope] = content["messages"]
        return messages
    if response.is_client_error:
        raise Refused(str(content.get("code")))
    raise Unreachable(f"status {response.status_code}")


class Link:
    """Keeps one locker connected until it is cancelled or its identity is refused."""

    def __init__(
        self,
        controller: Controller,
        http: httpx.AsyncClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._controller = controller
        self._http = http
        self._monotonic = monotonic
        self._heard_s = float("-inf")
        self._news = asyncio.Event()
        self._connected = asyncio.Event()

    async def run(self) -> None:
        """Greet, then wait for commands and report at the same time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive())
            tasks.create_task(self._report())
            tasks.create_task(self._tick())

    async def until_connected(self) -> None:
        """Wait until the server has answered a greeting."""
        await self._connected.wait()

    def has_news(self) -> None:
        """Tell the link that there is something to report."""
        self._news.set()

    async def enter(self, digits: str) -> Answer:
        """
        Ask the server whether typed digits open something; if so the door opens before this returns.

        Raises
        ------
        Refused
            If the server refuses the question.
        Unreachable
            If it gives no answer.
        """
        answer = await self._exchange("codes/", self._controller.typed(digits), timeout_s=KEYPAD_TIMEOUT_S)
        if answer is None:
            raise Unreachable("no genuine answer")
        return answer

    async def _receive(self) -> None:
        failures = 0
        while True:
            try:
                if self._monotonic() - self._heard_s > SILENCE_S:
                    await self._exchange("hello/", self._controller.hello(), timeout_s=TIMEOUT_S)
                    self._connected.set()
                    self._news.set()
                await self._exchange("poll/", self._controller.poll(), timeout_s=TIMEOUT_S)
                failures = 0
            except Refused as refusal:
                if refusal.code == "unknown-device":
                    raise
                logger.warning("%s: poll refused: %s", self._controller.identity.locker, refusal.code)
                self._heard_s = float("-inf")
                failures = await self._pause(failures)
            except Unreachable as error:
                logger.info("%s: %s", self._controller.identity.locker, error)
                failures = await self._pause(failures)

    async def _report(self) -> None:
        failures = 0
        await self._connected.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(LINGER_S)
            while batch := self._controller.unreported():
                try:
                    await self._send(batch)
                    failures = 0
                except (Refused, Unreachable) as error:
                    logger.warning("%s: report: %s", self._controller.identity.locker, error)
                    failures = await self._pause(failures)

    async def _send(self, batch: list[wire.Envelope]) -> None:
        sent_s = self._monotonic()
        messages = await post(self._http, "messages/", {"messages": batch}, timeout_s=TIMEOUT_S)
        self._controller.hear(messages, request=batch[-1], sent_s=sent_s, received_s=self._monotonic())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self._controller.tick()
            if self._controller.has_unreported():
                self._news.set()

    async def _exchange(self, path: str, request: wire.Envelope, *, timeout_s: float) -> Answer | None:
        sent_s = self._monotonic()
        messages = await post(self._http, path, request, timeout_s=timeout_s)
        received_s = self._heard_s = self._monotonic()
        answer = self._controller.hear(messages, request=request, sent_s=sent_s, received_s=received_s)
        if self._controller.has_unreported():
            self._news.set()
        return answer

    async def _pause(self, failures: int) -> int:
        await asyncio.sleep(RETRY_AFTER_S[min(failures, len(RETRY_AFTER_S) - 1)])
        return failures + 1
