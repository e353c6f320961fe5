"""The device's end of the link over HTTPS: greets, waits for commands, reports."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import httpx

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.link import Backoff, Link, Refused, Unreachable
from lockers.device.messages import Answer

logger = logging.getLogger(__name__)

#: Longer than the server lets a poll wait.
TIMEOUT_S = 25.0
#: Who stands before the keypad does not wait longer for the server.
KEYPAD_TIMEOUT_S = 4.0
#: After so much silence the link counts as lost, and begins anew.
SILENCE_S = 10.0
#: Reports that follow each other so soon travel together.
LINGER_S = 0.12


async def post(http: httpx.AsyncClient, path: str, body: object, *, timeout_s: float) -> list[Any]:
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
        content = wire.read(response.content)
    except wire.BadEnvelope as error:
        raise Unreachable(f"status {response.status_code}") from error
    if isinstance(content, dict) and response.is_success and isinstance(content.get("messages"), list):
        return list(content["messages"])
    if isinstance(content, dict) and response.is_client_error:
        raise Refused(str(content.get("code")))
    raise Unreachable(f"status {response.status_code}")


class HttpsLink(Link):
    """Polls for commands and posts reports."""

    def __init__(
        self,
        controller: Controller,
        http: httpx.AsyncClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(controller, monotonic=monotonic)
        self._http = http
        self._heard_s = float("-inf")
        self._is_lost = True

    def _is_in_touch(self) -> bool:
        """Tell whether the last attempt to reach the server succeeded."""
        return not self._is_lost

    async def _ask(self, question: wire.Envelope) -> Answer:
        """Ask by a request of its own; the command comes in its answer."""
        answer = await self._exchange("codes/", question, timeout_s=KEYPAD_TIMEOUT_S)
        if answer is None:
            raise Unreachable("no genuine answer")
        return answer

    def _activities(self) -> Iterable[Coroutine[Any, Any, None]]:
        return self._receive(), self._report()

    async def _receive(self) -> None:
        backoff = Backoff()
        while True:
            try:
                if self._monotonic() - self._heard_s > SILENCE_S:
                    await self._greet()
                await self._exchange("poll/", self._controller.poll(), timeout_s=TIMEOUT_S)
                backoff.succeeded()
            except Refused as refusal:
                if refusal.code == "unknown-device":
                    raise
                logger.warning("%s: poll refused: %s", self._controller.identity.locker, refusal.code)
                self._heard_s = float("-inf")
                await backoff.wait()
            except Unreachable as error:
                logger.info("%s: %s", self._controller.identity.locker, error)
                self._is_lost = True
                await backoff.wait()

    async def _greet(self) -> None:
        await self._exchange("hello/", self._controller.hello(), timeout_s=TIMEOUT_S)
        if not self._controller.is_greeted:
            self._heard_s = float("-inf")
            raise Unreachable("whoever answered the greeting is not believed")
        self._connected.set()
        self._news.set()

    async def _report(self) -> None:
        backoff = Backoff()
        await self._connected.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(LINGER_S)
            while batch := self._controller.unreported():
                try:
                    await self._send(batch)
                    backoff.succeeded()
                except (Refused, Unreachable) as error:
                    logger.warning("%s: report: %s", self._controller.identity.locker, error)
                    await backoff.wait()

    async def _send(self, batch: list[wire.Envelope]) -> None:
        sent_s = self._monotonic()
        messages = await post(self._http, "messages/", {"messages": batch}, timeout_s=TIMEOUT_S)
        self._controller.hear(messages, request=batch[-1], sent_s=sent_s, received_s=self._monotonic())
        if self._controller.unreported()[:1] == batch[:1]:
            raise Unreachable("nothing was accepted")

    async def _exchange(self, path: str, request: wire.Envelope, *, timeout_s: float) -> Answer | None:
        sent_s = self._monotonic()
        messages = await post(self._http, path, request, timeout_s=timeout_s)
        received_s = self._heard_s = self._monotonic()
        self._is_lost = False
        answer = self._controller.hear(messages, request=request, sent_s=sent_s, received_s=received_s)
        if self._controller.has_unreported():
            self._news.set()
        return answer
