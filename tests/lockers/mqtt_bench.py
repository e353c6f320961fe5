"""A device that speaks MQTT to a real broker, and a server that does as a test says."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.broker import broker_environment, broker_part
from deploy.local.probes import free_port
from deploy.local.servers import MissingServerError
from deploy.local.supervisor import Supervisor
from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Broker, Identity
from lockers.device.journal import FileLog, Journal
from lockers.device.mqtt_link import MqttLink
from lockers.device.mqtt_session import Rhythm
from lockers.device.network import Line, Network
from tests.deploy.mqtt_client import Administration

SERVER_KEY = Ed25519PrivateKey.generate()
KID = wire.key_id(SERVER_KEY.public_key())
DEVICE, OTHER = str(uuid4()), str(uuid4())
PASSWORD = "only for tests"
AGAIN_S = (0.05, 0.2)
#: Rhythm of a device that has much to say, and patience with a loaded machine.
LIVELY = Rhythm(heartbeat_s=0.2, silence_s=20, resend_s=0.3, keypad_s=20, retry_after_s=AGAIN_S)
IMPATIENT = Rhythm(heartbeat_s=0.2, silence_s=0.6, resend_s=0.3, keypad_s=0.6, retry_after_s=AGAIN_S)
#: Rhythm of a device that does nothing of its own accord while a test lasts.
CALM = Rhythm(heartbeat_s=60, silence_s=20, resend_s=60, keypad_s=20, retry_after_s=AGAIN_S)


class BrokerProcess:
    """A broker that can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._supervisor = Supervisor(self._directory / "log")
        self._supervisor.start(broker_part(self._directory, self.port))

    def stop(self) -> None:
        self._supervisor.stop()

    @property
    def environment(self) -> Mapping[str, str]:
        return broker_environment(self._directory, self.port)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.environment["MQTT_CA_FILE"])

    def admit(self, name: str = DEVICE) -> None:
        with Administration(self.environment) as administration:
            administration.make_device(name, PASSWORD)

    def account(self, name: str = DEVICE) -> Broker:
        return Broker(host="localhost", port=self.port, username=name, password=PASSWORD)


@contextmanager
def a_broker(directory: Path) -> Iterator[BrokerProcess]:
    """Run a broker that knows nobody but ourselves."""
    try:
        process = BrokerProcess(directory)
    except MissingServerError as missing:
        pytest.skip(f"needs Mosquitto: {missing}")
    yield process
    process.stop()


@dataclass
class Server:
    """Answers all devices as the contract says, unless told otherwise, and keeps what it hears."""

    broker: BrokerProcess
    is_silent: bool = False
    accepts: bool = True
    refusal: str = ""
    said: list[tuple[str, wire.Envelope]] = field(default_factory=list)
    boots: dict[str, set[int]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        address = urlsplit(self.broker.environment["MQTT_URL"])
        self._client = aiomqtt.Client(
            "localhost",
            self.broker.port,
            username=address.username,
            password=address.password,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=self.broker.trust,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.pending_calls_threshold = 1_000
        await self._client.__aenter__()
        await self._client.subscribe("locker/#", qos=1)
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._serving.done():
            # Before Python 3.12 waiting for the broker may swallow a cancellation.
            self._serving.cancel()
            await asyncio.wait({self._serving}, timeout=0.1)
        with suppress(aiomqtt.MqttError):
            await self._client.__aexit__(kind, error, trace)

    def heard(self, what: str, topic: str = "") -> list[wire.Envelope]:
        """Return the messages of one kind, and on one topic if it is given."""
        return [
            message
            for said_on, message in self.said
            if what in (message.get("event"), message.get("action"), message.get("status"))
            and said_on.endswith(topic)
        ]

    @property
    def epoch(self) -> str:
        return str(self.heard("hello")[-1]["link_epoch"])

    @property
    def reports(self) -> list[tuple[str, int]]:
        """Return the numbers of the reports, in the order in which they came."""
        return [(message["boot_id"], message["seq"]) for _, message in self.said if "seq" in message]

    @property
    def results(self) -> list[str]:
        """Return what became of the commands, as the device says."""
        return [
            message["data"].get("error_code") or message["data"]["result"]
            for message in self.heard("open_compartment", "/response")
        ]

    def seal(self, action: str, **fields: Any) -> wire.Envelope:
        return wire.seal(
            {"action": action, "device_id": DEVICE, "data": {}, **fields},
            key=SERVER_KEY,
            kid=KID,
            timestamp=datetime.now(UTC),
        )

    def command(self, *, lives_s: float = 20, **changes: Any) -> wire.Envelope:
        fields = {
            "transaction_id": str(uuid4()),
            "link_epoch": self.epoch,
            "expires_at": wire.moment(datetime.now(UTC) + timedelta(seconds=lives_s)),
            "ttl_ms": 20_000,
            "data": {"compartment_number": 1},
        }
        return self.seal("open_compartment", **(fields | changes))

    async def send(self, message: object, *, on: str = "command", to: str = DEVICE) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self._client.publish(f"locker/{to}/{on}", payload, qos=1)

    async def answer(self, to: wire.Envelope | None, action: str, **data: Any) -> None:
        fields = {"device_id": to["kid"]} if to else {}
        message = self.seal(action, in_reply_to=to and to["message_id"], data=data, **fields)
        await self.send(message, on="answer", to=to["kid"] if to else DEVICE)

    async def _serve(self) -> None:
        with suppress(aiomqtt.MqttError):
            async for message in self._client.messages:
                topic = str(message.topic)
                if not topic.endswith(("/command", "/answer")):
                    await self._hear(topic, json.loads(message.payload))

    async def _hear(self, topic: str, envelope: wire.Envelope) -> None:
        self.said.append((topic, envelope))
        if "seq" in envelope:
            await self._take_report(envelope)
        elif "event" in envelope and not self.is_silent:
            await self._reply(envelope)

    async def _reply(self, asked: wire.Envelope) -> None:
        if self.refusal:
            await self.answer(asked, "refused", code=self.refusal)
            return
        match asked["event"]:
            case "hello":
                await self.answer(asked, "hello_accepted", accepted={})
            case "heartbeat":
                await self.answer(asked, "heartbeat_answered")
            case "code_entered":
                await self.send(self.command())
                await self.answer(asked, "code_answered", outcome="opening", compartment_number=1, num_left=0)

    async def _take_report(self, report: wire.Envelope) -> None:
        seqs = self.boots.setdefault(report["boot_id"], set())
        seqs.add(report["seq"])
        if self.accepts and not self.is_silent:
            complete = next(seq for seq in range(1, len(seqs) + 2) if seq not in seqs) - 1
            message = self.seal(
                "messages_accepted",
                device_id=report["kid"],
                in_reply_to=None,
                data={"accepted": {report["boot_id"]: complete}},
            )
            await self.send(message, on="answer", to=report["kid"])


class Locks:
    """Two doors whose pulses are counted."""

    compartments = (1, 2)

    def __init__(self) -> None:
        self.pulses: list[int] = []

    def pulse(self, compartment: int) -> None:
        self.pulses.append(compartment)

    def reading(self, compartment: int) -> Reading:
        return Reading.CLOSED


@dataclass
class Device:
    """A device as it runs, and what a test touches of it."""

    locks: Locks
    controller: Controller
    link: MqttLink
    network: Network

    def report(self, count: int = 1) -> None:
        """Press the button that says that a compartment is empty."""
        for _ in range(count):
            self.controller.button_pressed(1)
        self.link.has_news()


@asynccontextmanager
async def a_device(
    broker: BrokerProcess,
    directory: Path,
    *,
    rhythm: Rhythm = LIVELY,
    trust: ssl.SSLContext | None = None,
    is_to_connect: bool = True,
) -> AsyncIterator[Device]:
    """Run a device, from its boot until the context is left."""
    locks, log, network = Locks(), FileLog(directory / "journal.jsonl"), Network()
    controller = Controller(
        identity=Identity(
            device_id=DEVICE,
            locker="dorf",
            key=Ed25519PrivateKey.generate(),
            server_keys={KID: SERVER_KEY.public_key()},
        ),
        journal=Journal(log),
        hardware=locks,
        monotonic=monotonic,
        # Far from the truth: nothing may depend on it.
        wall_clock=lambda: datetime(2001, 1, 1, tzinfo=UTC),
    )
    link = MqttLink(
        controller,
        broker.account(),
        trust=trust or broker.trust,
        rhythm=rhythm,
        connect=partial(Line, network),
    )
    controller.boot()
    running = asyncio.create_task(link.run())
    try:
        if is_to_connect:
            async with asyncio.timeout(20):
                await link.until_connected()
        yield Device(locks, controller, link, network)
    finally:
        if running.done():
            running.result()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        network.mend()
        log.close()


@asynccontextmanager
async def a_pair(
    broker: BrokerProcess, directory: Path, **kwargs: Any
) -> AsyncIterator[tuple[Server, Device]]:
    """Run a server and a device that is connected, and has reported its boot."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(broker))
        device = await stack.enter_async_context(a_device(broker, directory, **kwargs))
        await becomes(lambda: not device.controller.has_unreported())
        yield server, device


async def becomes(is_so: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)
