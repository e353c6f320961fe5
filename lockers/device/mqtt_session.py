"""What a device and the server say to each other on one connection to the broker."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiomqtt

from lockers import wire
from lockers.device.connection import PIPELINED, Connection
from lockers.device.controller import Controller
from lockers.device.link import RETRY_AFTER_S, Backoff, Refused, Unreachable
from lockers.device.messages import Answer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How long the device waits for what, in seconds."""

    heartbeat_s: float = 15.0
    #: Without an answer to a greeting or heartbeat for so long, the connection is dead.
    silence_s: float = 10.0
    #: Without progress for so long, reports are published again.
    resend_s: float = 5.0
    #: Who stands before the keypad does not wait longer for the server.
    keypad_s: float = 4.0
    retry_after_s: Sequence[float] = RETRY_AFTER_S


@dataclass(frozen=True, slots=True)
class _Question:
    """A message of ours that the server answers, since when, and the answer once it is there."""

    asked_s: float
    answered: asyncio.Future[Answer | None]


class Session:
    """
    Greets, sends heartbeats, reports and obeys, until the connection fails.

    ``connected`` is set while the server knows the connection; ``news`` says that there may be something to
    report.
    """

    def __init__(
        self,
        controller: Controller,
        connection: Connection,
        *,
        rhythm: Rhythm,
        connected: asyncio.Event,
        news: asyncio.Event,
        monotonic: Callable[[], float],
    ) -> None:
        self._controller = controller
        self._connection = connection
        self._rhythm = rhythm
        self._connected = connected
        self._news = news
        self._monotonic = monotonic
        self._questions: dict[str, _Question] = {}
        self._published: set[str] = set()
        self._is_stale = asyncio.Event()

    async def run(self) -> None:
        """Converse until the connection fails, which raises a group of ``MqttError`` or ``Unreachable``."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._keep_in_touch())
                tasks.create_task(self._report())
        finally:
            for question in self._questions.values():
                if not question.answered.done():
                    question.answered.set_exception(Unreachable("the connection was lost"))

    async def ask(self, message: wire.Envelope, *, within_s: float) -> Answer | None:
        """
        Publish a message and wait until the server has answered it; return what it says to a typed code.

        Raises
        ------
        Refused
            If the server refuses the message.
        Unreachable
            If there is no answer in time.
        """
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._questions[message["message_id"]] = _Question(self._monotonic(), answered)
        try:
            async with asyncio.timeout(within_s):
                await self._publish(message)
                return await answered
        except TimeoutError as error:
            raise Unreachable(f"no answer to {message['event']} within {within_s:g} s") from error
        except aiomqtt.MqttError as error:
            raise Unreachable(str(error)) from error
        finally:
            del self._questions[message["message_id"]]

    async def _keep_in_touch(self) -> None:
        """Greet, then send heartbeats; greet anew when the server knows the connection no more."""
        backoff = Backoff(self._rhythm.retry_after_s)
        while True:
            try:
                await self._greet()
                while not await _happens(self._is_stale, within_s=self._rhythm.heartbeat_s):
                    await self.ask(self._controller.heartbeat(), within_s=self._rhythm.silence_s)
                    backoff.succeeded()
            except Refused as refusal:
                logger.warning("%s: refused: %s", self._controller.identity.locker, refusal.code)
            await backoff.wait()

    async def _greet(self) -> None:
        self._connected.clear()
        self._is_stale.clear()
        await self.ask(self._controller.hello(), within_s=self._rhythm.silence_s)
        self._published.clear()
        self._connected.set()
        self._news.set()

    async def _listen(self) -> None:
        async for message in self._connection.messages:
            self._hear(message.payload)

    def _hear(self, payload: bytes) -> None:
        try:
            message = wire.read(payload)
        except wire.BadEnvelope as error:
            logger.warning("%s: a message was ignored: %s", self._controller.identity.locker, error)
            return
        if not self._controller.is_genuine(message):
            return
        reply_to = str(message.get("in_reply_to"))
        question = self._questions.get(reply_to)
        if question:
            self._controller.learn_time(message, sent_s=question.asked_s, received_s=self._monotonic())
        answer = self._controller.take(message)
        if message.get("action") == "refused" and (question or reply_to in self._published):
            self._be_refused(_code_in(message), question)
        elif question and not question.answered.done():
            question.answered.set_result(answer)
        if self._controller.has_unreported():
            self._news.set()

    def _be_refused(self, code: str, question: _Question | None) -> None:
        if code == "stale-epoch":
            self._is_stale.set()
        if question is None:
            logger.warning("%s: report refused: %s", self._controller.identity.locker, code)
        elif not question.answered.done():
            question.answered.set_exception(Refused(code))

    async def _report(self) -> None:
        """Publish reports in their order, and again those that the server does not accept in time."""
        oldest, since_s = None, 0.0
        while True:
            await self._connected.wait()
            self._news.clear()
            waiting = {report["message_id"]: report for report in self._controller.unreported()}
            first, now_s = next(iter(waiting), None), self._monotonic()
            if first != oldest:
                oldest, since_s = first, now_s
            elif now_s - since_s >= self._rhythm.resend_s:
                self._published.clear()
                since_s = now_s
            self._published.intersection_update(waiting)
            await self._publish_all([waiting[name] for name in waiting if name not in self._published])
            await _happens(self._news, within_s=self._rhythm.resend_s)

    async def _publish_all(self, reports: Sequence[wire.Envelope]) -> None:
        """Publish reports a few at a time, so that what is urgent finds its way between them."""
        for start in range(0, len(reports), PIPELINED):
            some = reports[start : start + PIPELINED]
            self._published.update(report["message_id"] for report in some)
            async with asyncio.TaskGroup() as tasks:
                for report in some:
                    tasks.create_task(self._publish(report))

    async def _publish(self, message: wire.Envelope) -> None:
        await self._connection.send(_topic_of(message), message)


def _topic_of(message: wire.Envelope) -> str:
    if "action" in message:
        return "response"
    if message["event"] in {"compartments", "heartbeat"}:
        return f"state/{message['event']}"
    return "event"


def _code_in(refusal: wire.Envelope) -> str:
    data = refusal.get("data")
    return str(data.get("code")) if isinstance(data, dict) else "unknown"


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
