"""The device's end of the link over MQTT: against a real broker, and a server that does as the test says."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import aiomqtt
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.broker import broker_environment, broker_part
from deploy.local.certificates import certify_localhost
from deploy.local.probes import free_port
from deploy.local.servers import MissingServerError
from deploy.local.supervisor import Supervisor
from lockers import wire
from lockers.device import identity
from lockers.device.connection import PIPELINED
from lockers.device.control import Control
from lockers.device.controller import Controller
from lockers.device.hands import Hands, HandsError
from lockers.device.hardware import Reading
from lockers.device.identity import Broker, Identity
from lockers.device.journal import FileLog, Journal
from lockers.device.link import LinkKind, Refused, Unreachable
from lockers.device.mqtt_link import MqttLink
from lockers.device.mqtt_session import Rhythm
from lockers.device.network import Line, Network
from lockers.device.simulator import Fleet
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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Return a running broker that knows nobody but ourselves."""
    try:
        process = BrokerProcess(tmp_path / "broker")
    except MissingServerError as missing:
        pytest.skip(f"needs Mosquitto: {missing}")
    yield process
    process.stop()


@pytest.fixture
def admitted(broker: BrokerProcess) -> BrokerProcess:
    """Return a running broker that lets the device in."""
    broker.admit()
    return broker


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


async def test_a_device_greets_and_sends_heartbeats(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await becomes(lambda: len(server.heard("heartbeat")) >= 3)

    topics = [topic for topic, _ in server.said]
    heartbeat = server.heard("heartbeat", "/state/heartbeat")[-1]
    assert topics[0] == f"locker/{DEVICE}/event"
    assert server.said[0][1]["data"]["num_hellos"] == 1
    assert len(server.heard("hello")) == 1
    assert heartbeat["link_epoch"] == device.controller.link_epoch
    assert heartbeat["data"]["uptime_seconds"] in range(60)
    assert not {"boot_id", "seq"} & heartbeat.keys()
    assert server.heard("booted", "/event")
    assert server.heard("compartments", "/state/compartments")


async def test_a_device_that_stops_says_so(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with Server(admitted) as server:
        async with a_device(admitted, tmp_path):
            pass
        await becomes(lambda: server.heard("offline", "/state/connection"))

    assert [message["reason"] for message in server.heard("offline")] == ["shutdown"]


async def test_of_a_device_that_is_cut_off_the_broker_says_so(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        device.network.cut(0.5, half_open=False)
        await becomes(lambda: server.heard("offline"))
        assert len(server.heard("hello")) == 1

        await becomes(lambda: len(server.heard("hello")) == 2)

    assert server.heard("offline")[0]["reason"] == "connection_lost"


async def test_a_broker_that_restarts_is_greeted_anew_as_soon_as_it_is_back(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        loop = asyncio.get_running_loop()
        began_s, away_s = loop.time(), 0.5
        device.network.restart_broker(away_s)
        await becomes(lambda: server.heard("offline"))
        await becomes(lambda: len(server.heard("hello")) == 2)
        assert loop.time() - began_s >= away_s

        await server.send(server.command())
        await becomes(lambda: server.results == ["success"])


async def test_a_command_in_time_pulses_once_and_is_reported(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await server.send(server.command())
        await becomes(lambda: server.results)

    assert (device.locks.pulses, server.results) == ([1], ["success"])


async def test_a_repeated_command_is_answered_again_and_pulses_no_more(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        command = server.command()
        for number in (1, 2):
            await server.send(command)
            await becomes(lambda: len(server.results) >= number)  # noqa: B023
            await becomes(lambda: not device.controller.has_unreported())

    assert (device.locks.pulses, server.results) == ([1], ["success", "success"])


async def test_a_command_of_another_connection_or_after_its_deadline_is_refused(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await server.send(server.command(link_epoch="another-connection"))
        await server.send(server.command(lives_s=-5))
        await becomes(lambda: len(server.results) == 2)

    assert (device.locks.pulses, server.results) == ([], ["STALE_EPOCH", "EXPIRED"])


async def test_reports_are_said_again_in_their_order_until_they_are_accepted(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.accepts = False
        server.said.clear()
        device.report(3)
        await becomes(lambda: len(server.reports) >= 6)
        server.accepts = True
        await becomes(lambda: not device.controller.has_unreported())

    assert server.reports[:3] == server.reports[3:6] == sorted(set(server.reports))


async def test_no_more_reports_are_under_way_than_a_batch_holds(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        server.accepts = False
        server.said.clear()
        device.report(wire.MAX_BATCH + 50)
        await becomes(lambda: len(server.reports) == wire.MAX_BATCH)
        await asyncio.sleep(0.3)
        assert len(server.reports) == wire.MAX_BATCH

        await server.answer(None, "messages_accepted", accepted=dict([server.reports[-1]]))
        await becomes(lambda: len(server.reports) == wire.MAX_BATCH + 50)

    assert server.reports == sorted(set(server.reports))


async def test_a_burst_of_reports_does_not_hold_up_commands_and_codes(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.accepts = False
        device.report(wire.MAX_BATCH)
        await becomes(lambda: len(server.reports) > PIPELINED)
        await server.send(server.command())
        answer = await device.link.enter("12345678")

        assert len(server.reports) < wire.MAX_BATCH
        assert (answer.outcome, answer.compartment) == ("opening", 1)
        await becomes(lambda: device.locks.pulses == [1, 1])


async def test_after_a_broker_has_gone_the_device_greets_anew_and_nothing_is_lost(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        before = server.epoch
        admitted.stop()
        device.report(5)
        await asyncio.sleep(0.3)
        admitted.start()
        async with Server(admitted, boots=server.boots) as later:
            await becomes(lambda: not device.controller.has_unreported())

    assert later.epoch != before
    assert len(set(later.reports)) == 5


async def test_a_server_that_falls_silent_makes_the_device_connect_anew(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        server.is_silent = True
        await becomes(lambda: len(server.heard("hello")) >= 3)
        device.report()
        server.is_silent = False
        await becomes(lambda: not device.controller.has_unreported())
        await server.send(server.command())
        await becomes(lambda: device.locks.pulses)

    epochs = [message["link_epoch"] for message in server.heard("hello")]
    assert len(set(epochs)) == len(epochs)


async def test_a_device_whose_connection_is_not_known_greets_anew_on_the_same_one(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.refusal = "stale-epoch"
        await becomes(lambda: len(server.heard("hello")) >= 2)
        server.refusal = ""
        await device.link.until_connected()
        await server.send(server.command())
        await becomes(lambda: device.locks.pulses)

        assert not server.heard("offline")


async def test_a_report_that_is_refused_for_its_connection_makes_the_device_greet_anew(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        server.accepts = False
        device.report()
        await becomes(lambda: server.heard("collection_done"))
        await server.answer(server.heard("collection_done")[0], "refused", code="stale-epoch")
        await becomes(lambda: len(server.heard("hello")) == 2)
        await becomes(lambda: len(server.heard("collection_done")) == 2)


async def test_a_refusal_of_nothing_that_was_asked_changes_nothing(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, _):
        await server.answer(server.heard("hello")[0], "refused", code="stale-epoch")
        num_heartbeats = len(server.heard("heartbeat"))
        await becomes(lambda: len(server.heard("heartbeat")) >= num_heartbeats + 2)

        assert len(server.heard("hello")) == 1


async def test_typed_codes_are_answered_refused_or_left_without_an_answer(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=replace(CALM, keypad_s=1.0)) as (server, device):
        answer = await device.link.enter("12345678")
        assert (answer.outcome, answer.compartment, answer.num_left) == ("opening", 1, 0)
        await becomes(lambda: device.locks.pulses == [1])

        server.refusal = "malformed-message"
        with pytest.raises(Refused, match="malformed-message"):
            await device.link.enter("00000000")
        server.is_silent = True
        with pytest.raises(Unreachable):
            await device.link.enter("12345678")


async def test_what_is_forged_odd_or_no_message_at_all_is_ignored(
    admitted: BrokerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        genuine = server.command()
        strange = [
            {**genuine, "transaction_id": str(uuid4())},
            {**genuine, "kid": "unknown"},
            {**genuine, "sig": None},
            server.command(device_id=OTHER),
            server.seal("messages_accepted", data={"accepted": {"1": "all"}}),
            server.seal("messages_accepted", data=None),
            server.seal("code_answered", in_reply_to=["secret"]),
            server.seal("open_compartment", transaction_id=7),
            server.seal("dance"),
            wire.seal({"device_id": DEVICE}, key=SERVER_KEY, kid=KID, timestamp=datetime.now(UTC)),
            b"",
            b"\xff\x00",
            b"[" * 100_000,
            b'["secret"]',
            b"null",
            b"x" * (wire.MAX_BODY_BYTES + 1),
        ]
        for message in strange:
            for topic in ("command", "answer"):
                await server.send(message, on=topic)
        await server.send(genuine)
        await becomes(lambda: server.results)

        assert (device.locks.pulses, server.results) == ([1], ["success"])
        assert len(server.heard("hello")) == 1
    assert "secret" not in caplog.text


async def test_forged_answers_to_a_greeting_count_for_nothing(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with (
        Server(admitted, is_silent=True) as server,
        a_device(admitted, tmp_path, is_to_connect=False) as device,
    ):
        await becomes(lambda: server.heard("hello"))
        forged = wire.seal(
            {
                "action": "hello_accepted",
                "device_id": DEVICE,
                "in_reply_to": server.heard("hello")[0]["message_id"],
                "data": {"accepted": {}},
            },
            key=Ed25519PrivateKey.generate(),
            kid=KID,
            timestamp=datetime.now(UTC),
        )
        await server.send(forged, on="answer")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await device.link.until_connected()


async def test_a_device_that_is_not_yet_admitted_tries_until_it_is(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with Server(broker) as server, a_device(broker, tmp_path, is_to_connect=False) as device:
        await asyncio.sleep(0.3)
        assert not server.said

        await asyncio.to_thread(broker.admit)
        async with asyncio.timeout(20):
            await device.link.until_connected()


async def test_a_broker_that_the_device_has_no_reason_to_trust_learns_nothing(
    admitted: BrokerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certify_localhost(tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    async with Server(admitted) as server, a_device(admitted, tmp_path, trust=trust, is_to_connect=False):
        await becomes(lambda: "certificate verify failed" in caplog.text)

        assert not server.said


async def test_what_was_under_way_when_the_network_fell_silent_arrives_late(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        device.network.cut(0.4, half_open=True)
        device.report()
        await server.send(server.command(lives_s=10))
        await server.send(server.command(lives_s=0.2))
        await asyncio.sleep(0.2)
        assert (device.locks.pulses, server.heard("collection_done")) == ([], [])

        await becomes(lambda: len(server.results) == 2)

        assert (device.locks.pulses, server.results) == ([1], ["success", "EXPIRED"])
        assert len(server.heard("hello")) == 1
        assert server.heard("collection_done")


async def test_a_network_that_stays_silent_is_noticed_by_a_heartbeat(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        command = server.command()
        device.network.cut(1.5, half_open=True)
        await server.send(command)
        await becomes(lambda: device.controller.link_epoch != server.epoch or device.link._session is None)
        assert not server.heard("offline")
        device.report()

        await becomes(lambda: len(server.heard("hello")) == 2)
        await becomes(lambda: not device.controller.has_unreported())

        # The command waits for the connection that is no more.
        assert device.locks.pulses == []


async def test_a_fleet_is_brought_into_service_over_https_and_then_speaks_mqtt(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    names = [str(uuid4()) for _ in range(3)]

    async def provision(request: httpx.Request) -> httpx.Response:
        name = json.loads(request.content)["token"]
        await asyncio.to_thread(broker.admit, name)
        return _provisioned(name, mqtt=asdict(broker.account(name)))

    async with Server(broker) as server:
        fleet = a_fleet(broker, tmp_path, provision)
        for name in names:
            await fleet.add(name, name)
        assert [message["kid"] for message in server.heard("hello")] == names
        await fleet.close()
        await becomes(lambda: len(server.heard("offline")) == 3)

        again = a_fleet(broker, tmp_path, _nobody_answers)
        await again.add(names[0], "")
        assert [message["kid"] for message in server.heard("hello")] == [*names, names[0]]
        await again.close()


async def test_a_locker_older_than_the_broker_asks_once_more_where_it_is(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=asdict(admitted.account()))

    directory = tmp_path / "fleet" / "dorf"
    directory.mkdir(parents=True)
    who = Identity(device_id=DEVICE, locker="dorf", key=identity.make_key(directory), server_keys={})
    identity.keep(directory, who, [1])

    fleet = a_fleet(admitted, tmp_path, provision)
    async with Server(admitted) as server:
        await fleet.add("dorf", "token")
        await fleet.close()

    assert len(server.heard("hello")) == 1


async def test_scripts_can_cut_the_network_of_a_locker(admitted: BrokerProcess, tmp_path: Path) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=asdict(admitted.account()))

    fleet = a_fleet(admitted, tmp_path, provision)
    control = await asyncio.start_unix_server(Control(fleet).serve, path=str(tmp_path / "control"))
    async with Server(admitted) as server, Hands(tmp_path / "control") as hands:
        await hands.add("dorf", "token")
        with pytest.raises(HandsError, match="unknown or missing"):
            await hands.cut("nowhere", 1)

        await hands.cut("dorf", 0.2)
        await becomes(lambda: server.heard("offline"))
        await becomes(lambda: len(server.heard("hello")) == 2)

        await fleet.close()
    control.close()


async def test_a_locker_cannot_speak_mqtt_if_the_server_has_no_broker(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=None)

    with pytest.raises(Unreachable, match="names no broker"):
        await a_fleet(broker, tmp_path, provision).add("dorf", "token")


def a_fleet(
    broker: BrokerProcess,
    directory: Path,
    answers: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]],
) -> Fleet:
    """Return a fleet that speaks MQTT, and the server's part of HTTPS by a function."""
    return Fleet(
        base_url="http://link",
        directory=directory / "fleet",
        opening_time_s=1.0,
        link=LinkKind.MQTT,
        ca_file=Path(broker.environment["MQTT_CA_FILE"]),
        transport=httpx.MockTransport(answers),
    )


def _provisioned(name: str, *, mqtt: object) -> httpx.Response:
    data = {
        "locker": name,
        "compartments": [1],
        "server_keys": {KID: wire.public_text(SERVER_KEY.public_key())},
        "mqtt": mqtt,
    }
    fields = {"action": "provisioned", "device_id": name, "in_reply_to": None, "data": data}
    answer = wire.seal(fields, key=SERVER_KEY, kid=KID, timestamp=datetime.now(UTC))
    return httpx.Response(200, json={"messages": [answer]})


async def _nobody_answers(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody")
