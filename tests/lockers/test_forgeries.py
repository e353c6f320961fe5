"""
Forged and malformed messages at the server's doors and the device's ear: none is taken, none does harm.

Genuine ones in between are taken, in whatever spelling.
"""

import base64
import gc
import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.apps import apps
from django.test import Client
from paho.mqtt.client import MQTTMessage

from common.clock import real_now
from lockers import exchange, keys, wire
from lockers.api import views, waiting
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal, Record
from lockers.exceptions import LinkError
from lockers.models import CodeThrottle, Compartment, Device, DeviceBoot, DeviceEvent, OpenCommand
from lockers.mqtt import topics
from lockers.mqtt.arrivals import at_hand
from lockers.mqtt.gateway import Gateway
from lockers.services import devices
from lockers.states import Transport
from tests.lockers import contract
from tests.lockers.conftest import a_locker
from tests.lockers.forgeries import Forger, Forgery, respelled, text
from tests.proofs import tries

FORGERIES = tries("FORGERIES", short=2_000, long=100_000)
#: So many forgeries come for each genuine message.
PER_GENUINE = 19
BOOT = "00000001-0123456789abcdef"
REPORTS = sorted(contract.tagged("report"))
#: What a process may grow by while it refuses messages; a leak of 1 kB for each would show in the long form.
MAY_GROW_BYTES = 32 * 1024 * 1024


@pytest.fixture(autouse=True)
def defects() -> Iterator[list[str]]:
    """Collect what is logged as an error, and keep the countless warnings to ourselves."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record))

    collector = Collector()
    loggers = [logging.getLogger(name) for name in ("lockers", "django.request")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.ERROR)
    yield found
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(collector)
        logger.setLevel(level)


def a_key(dice: random.Random) -> Ed25519PrivateKey:
    """Return a key, the same one each time the dice are."""
    return Ed25519PrivateKey.from_private_bytes(dice.randbytes(32))


class Peer:
    """A device in service that says what it should: each message is a new one, and well signed."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.key = dice, a_key(dice)
        self.locker = a_locker()
        self.token = devices.issue_token(self.locker, real_at=real_now())
        self.enrolment = wire.seal(
            {"token": self.token, "public_key": wire.public_text(self.key.public_key())},
            key=self.key,
            kid=wire.key_id(self.key.public_key()),
            timestamp=real_now(),
        )
        self.kid = str(exchange.provision(self.enrolment)["device_id"])
        self.num_hellos, self.seq, self.epoch = 0, 0, ""

    def say(self, name: str, **changes: Any) -> wire.Envelope:
        """Return the next message of a kind, with the content of a published example."""
        if name == "provision":
            return dict(self.enrolment)
        example = self.dice.choice(contract.examples(name))
        fields: wire.Envelope = {"link_epoch": self.epoch, "data": example["data"]}
        fields |= {
            field: example[field] for field in ("event", "action", "transaction_id") if field in example
        }
        if name == "hello":
            fields |= {"link_epoch": f"epoch-{self.num_hellos + 1:016}"}
            fields |= {"data": {"boot_id": BOOT, "num_hellos": self.num_hellos + 1}}
        if name in REPORTS:
            fields |= {"boot_id": BOOT, "seq": self.seq + 1}
        return wire.seal(fields | changes, key=self.key, kid=self.kid, timestamp=real_now())

    def was_heard(self, said: wire.Envelope) -> None:
        """Remember that a message was taken."""
        if said.get("event") == "hello":
            self.num_hellos, self.epoch = self.num_hellos + 1, said["link_epoch"]
        elif "seq" in said:
            self.seq += 1


class Ear:
    """Stands in for the connection to the broker, and hears what the server says."""

    def __init__(self) -> None:
        self.heard: list[wire.Envelope] = []

    def publish(self, topic: str, payload: str, **_: object) -> SimpleNamespace:
        """Take an answer, which must be genuine and on the right topic."""
        envelope = json.loads(payload)
        wire.check(envelope, keys.server_key().public_key())
        assert topic == topics.answer(envelope["device_id"])
        self.heard.append(envelope)
        return SimpleNamespace(rc=0)

    def ack(self, mid: int, qos: int) -> None:
        """Take an acknowledgement."""


class Broker:
    """Brings messages to a gateway, as the real one does."""

    def __init__(self) -> None:
        self.ear = Ear()
        self._gateway = Gateway("forgeries")
        self._gateway._client = self.ear  # type: ignore[assignment]

    def bring(self, arrivals: Sequence[tuple[str, bytes]]) -> list[wire.Envelope]:
        """Let messages be taken together, and return what is answered."""
        for topic, payload in arrivals:
            message = MQTTMessage(topic=topic.encode())
            message.payload = payload
            self._gateway._on_message(self.ear, None, message)  # type: ignore[arg-type]
        self._gateway._take_batch(list(at_hand(self._gateway._arrived)))
        heard, self.ear.heard = self.ear.heard, []
        return heard


def kept() -> Mapping[str, Any]:
    """Return what is in the database: how many rows of everything, and all of what is small."""
    counts: dict[str, Any] = {
        model.__name__: model._default_manager.count()
        for label in ("lockers", "common")
        for model in apps.get_app_config(label).get_models()
    }
    small = (Device, DeviceBoot, CodeThrottle, Compartment, OpenCommand)
    return counts | {
        f"{model.__name__}s": list(model._default_manager.order_by("pk").values()) for model in small
    }


def bytes_in_use() -> int:
    """Return how much memory the process holds now, if the system tells."""
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


class Attack:
    """Forgeries for all doors of the server, and genuine messages in between."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.peer, self.stranger = Peer(self.dice), Peer(self.dice)
        self.broker = Broker()
        self.ways: Counter[str] = Counter()
        self.accepted: list[str] = []
        self._others = [
            (self.stranger.kid, self.stranger.key),
            (self.peer.kid, self.stranger.key),
            (self.peer.kid, a_key(self.dice)),
            (self.peer.kid, keys.server_key()),
            (keys.server_kid(), keys.server_key()),
        ]

    def forgery(self) -> tuple[str, Forgery]:
        """Return a forged message, and which one it pretends to be."""
        name = self.dice.choice([*REPORTS, *["hello", "heartbeat", "code_entered", "poll", "provision"] * 2])
        genuine = self.peer.say(name)
        if name not in REPORTS and name != "provision" and self.dice.random() < 0.1:
            return name, self._stale(name)

        def faults(envelope: wire.Envelope) -> bool:
            kinds = {name, contract.name_of(envelope)}
            return all(contract.faults(kind, envelope) for kind in kinds)

        forger = Forger(self.dice, key=self.peer.key, others=self._others, faults=faults)
        return name, forger.forge(genuine)

    def _stale(self, name: str) -> Forgery:
        """Return a message of another connection, or a greeting that was overtaken."""
        changes: dict[str, Any] = {"link_epoch": "an-epoch-of-long-ago"}
        if name == "hello":
            changes["data"] = {"boot_id": BOOT, "num_hellos": self.dice.randint(1, self.peer.num_hellos)}
        return Forgery("stale", text(self.peer.say(name, **changes)), is_signed=True)

    def over_mqtt(self, forged: Sequence[Forgery], genuine: wire.Envelope) -> None:
        """Publish forgeries with a genuine message among them; nothing but that one is taken."""
        arrivals = [(self._topic(), forgery.body) for forgery in forged]
        own, stolen = f"locker/{self.peer.kid}/event", f"locker/{self.stranger.kid}/event"
        arrivals.insert(self.dice.randrange(len(arrivals) + 1), (own, respelled(genuine, self.dice)))
        arrivals.insert(0, (stolen, text(self.peer.say("heartbeat"))))
        answers = Counter(answer["action"] for answer in self.broker.bring(arrivals))
        assert answers.pop("refused", 0) <= sum(forgery.is_signed for forgery in forged)
        if genuine.get("event") == "heartbeat":
            # What a device should know besides comes after the answer to this, and to nothing forged.
            answers.pop("put_allowlist", None)
        self.accepted += answers.elements()

    def _topic(self) -> str:
        kind = self.dice.choice(
            ["event", "event", "response", "state/compartments", "state/heartbeat", "state/x"]
        )
        device = self.stranger if self.dice.random() < 0.05 else self.peer
        return f"locker/{device.kid}/{kind}"

    def by_call(self, name: str, forgery: Forgery) -> None:
        """Hand a forgery to what takes such messages, as the views do."""
        try:
            content = wire.read(forgery.body)
            if not isinstance(content, dict):
                return
            match name:
                case "provision":
                    exchange.provision(content)
                case "poll":
                    exchange.begin_poll(content)
                case "hello":
                    exchange.hello(content, transport=Transport.HTTPS)
                case "heartbeat":
                    exchange.heartbeat(content)
                case "code_entered":
                    exchange.enter_code(content)
                case _:
                    exchange.take_reports([self.peer.say(name), content])
        except (wire.BadEnvelope, LinkError):
            return
        self.accepted.append(f"{forgery.way}: {forgery.body!r}")

    def over_https(self, name: str, forgery: Forgery) -> None:
        """Post a forgery; a batch of reports with it is refused as a whole."""
        path, body = name, forgery.body
        if name == "code_entered":
            path = "codes"
        elif name in REPORTS:
            path, body = "messages", b'{"messages": [%b, %b]}' % (text(self.peer.say(name)), forgery.body)
        elif name == "heartbeat":
            path = "poll"
        response = Client().post(f"/api/v1/link/{path}/", body, content_type="application/json")
        # Here each request has an event loop of its own; in service there is one.
        waiting._watchers.clear()
        if response.status_code < 400:
            self.accepted.append(f"{forgery.way} to {path}: {body!r}")
        else:
            assert contract.faults("problem", response.json()) == []


@pytest.mark.proof
@pytest.mark.django_db
@pytest.mark.usefixtures("in_test_thread")
def test_nothing_forged_or_malformed_is_taken(defects: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LONGEST_POLL_S", 0.01)
    attack = Attack(seed=1)
    greeting = attack.peer.say("hello")
    exchange.hello(greeting, transport=Transport.HTTPS)
    attack.peer.was_heard(greeting)
    before, started_s, num_forged = 0, time.monotonic(), 0

    while num_forged < FORGERIES:
        known = kept()
        named = [attack.forgery() for _ in range(PER_GENUINE)]
        for name, forgery in named[:5]:
            attack.by_call(name, forgery)
        attack.over_https(*named[5])
        assert attack.accepted == []
        assert kept() == known

        genuine = attack.peer.say(attack.dice.choice([*REPORTS, "hello", "heartbeat", "code_entered"]))
        attack.over_mqtt([forgery for _, forgery in named[6:]], genuine)
        attack.peer.was_heard(genuine)
        assert attack.accepted == [_answer_to(genuine)]
        assert DeviceEvent.objects.count() == attack.peer.seq
        attack.accepted.clear()

        attack.ways.update(forgery.way for _, forgery in named)
        num_forged += len(named)
        before = before or (bytes_in_use() if num_forged > FORGERIES / 10 else 0)

    assert defects == []
    assert bytes_in_use() - before < MAY_GROW_BYTES
    print(f"\n{num_forged} forgeries: {_per_thousand(started_s, num_forged)}; {attack.ways}")


def _answer_to(genuine: wire.Envelope) -> str:
    answers = {"hello": "hello_accepted", "heartbeat": "heartbeat_answered", "code_entered": "code_answered"}
    return answers.get(str(genuine.get("event")), "messages_accepted")


def _per_thousand(started_s: float, number: int) -> str:
    return f"{(time.monotonic() - started_s) / number * 1_000:.1f} s per 1,000"


# The device's side.

DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


#: What a door depends on in a command.
DECISIVE = ("device_id", "kid", "link_epoch", "expires_at", "ttl_ms", "transaction_id", "compartment_number")
#: What a device hears from its server, and how often.
HEARD = (
    *["open_compartment", "put_allowlist"] * 3,
    *("messages_accepted", "hello_accepted", "code_answered", "sync"),
)
LIST_KEY = base64.b64decode(contract.examples("provisioned")[0]["data"]["list_key"])


class Memory:
    """A journal's records, which only count."""

    def __init__(self) -> None:
        self.num_written = 0

    def read(self) -> list[Record]:
        """Return nothing: the device is new."""
        return []

    def append(self, records: Sequence[Record]) -> None:
        """Count."""
        self.num_written += len(records)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Count nothing: what is kept is what was there."""


class Locks:
    """Three doors whose pulses are counted."""

    compartments = (1, 2, 3)

    def __init__(self) -> None:
        self.num_pulses = 0

    def pulse(self, compartment: int) -> None:
        """Count."""
        self.num_pulses += 1

    def reading(self, compartment: int) -> Reading:
        """Return that the door moved: nothing is to be noticed later."""
        return Reading.UNKNOWN


class Victim:
    """A device that has greeted, and the server that it obeys."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.server, self.own = a_key(dice), a_key(dice)
        self.kid = wire.key_id(self.server.public_key())
        self.locks, self.memory = Locks(), Memory()
        self.now_s = 1_000.0
        self.list_version = 0
        self.journal = Journal(self.memory)
        self.device = Controller(
            identity=Identity(
                device_id=DEVICE_ID,
                locker="dorf",
                key=self.own,
                server_keys={self.kid: self.server.public_key()},
                list_key=LIST_KEY,
            ),
            journal=self.journal,
            hardware=self.locks,
            monotonic=lambda: self.now_s,
            wall_clock=lambda: NOON,
        )
        self.device.boot()
        self.greet()

    def server_now(self) -> datetime:
        """Return the time at the server."""
        return NOON + timedelta(seconds=self.now_s)

    def greet(self, *beside: Ed25519PrivateKey) -> wire.Envelope:
        """Begin a connection, and be told of keys beside the server's; return what was said."""
        self.request = self.device.hello()
        named = self.names(self.server, *beside)
        welcome = self.say("hello_accepted", server_keys=named)
        assert self.hears(text(welcome))
        assert set(self.device.identity.server_keys) == set(named)
        return welcome

    def names(self, *known: Ed25519PrivateKey) -> Mapping[str, str]:
        """Return public keys by name."""
        public = [key.public_key() for key in known]
        return {wire.key_id(key): wire.public_text(key) for key in public}

    def say(self, action: str, **data: Any) -> wire.Envelope:
        """Return a genuine message of the server."""
        fields: wire.Envelope = {
            "action": action,
            "device_id": DEVICE_ID,
            "in_reply_to": self.request["message_id"],
            "data": contract.examples(action)[0]["data"] | data,
        }
        match action:
            case "open_compartment":
                deadline = wire.moment(self.server_now() + timedelta(seconds=20))
                command_id = str(UUID(int=self.dice.getrandbits(128)))
                fields |= {"transaction_id": command_id, "expires_at": deadline, "ttl_ms": 20_000}
                fields |= {"link_epoch": self.device.link_epoch, "request_id": None}
            case "hello_accepted":
                server_keys = self.names(self.server, a_key(self.dice))
                fields["data"] = {"accepted": {}, "server_keys": server_keys} | data
            case "messages_accepted" | "sync":
                fields["data"] = {"accepted": {}} | data
            case "put_allowlist":
                fields["data"] |= {"version": self.list_version + 1} | data
        return wire.seal(fields, key=self.server, kid=self.kid, timestamp=self.server_now())

    def hears(self, body: bytes) -> bool:
        """Let the device hear something; tell whether it could be read at all."""
        try:
            message = wire.read(body)
        except wire.BadEnvelope:
            return False
        self.device.hear([message], request=self.request, sent_s=self.now_s - 0.1, received_s=self.now_s)
        return True

    def state(self) -> tuple[object, ...]:
        """Return all that a message could change."""
        return (
            self.locks.num_pulses,
            self.memory.num_written,
            self.device._server_time.latest(self.now_s),
            dict(self.device._known),
            self.kept(),
        )

    def kept(self) -> tuple[object, ...]:
        """Return whom the device obeys, and by which list it answers codes."""
        return dict(self.device.identity.server_keys), self.journal.allowlist, self.device._keypad._list

    def is_served(self) -> list[wire.Envelope]:
        """Let the server say what it should, and see that it is done; return what it said."""
        welcome, pulses = self.greet(a_key(self.dice)), self.locks.num_pulses
        unlock, codes = self.say("open_compartment"), self.say("put_allowlist")
        assert self.hears(respelled(unlock, self.dice))
        assert self.locks.num_pulses == pulses + 1
        assert self.hears(respelled(codes, self.dice))
        self.list_version += 1
        assert self.device.hello()["data"]["list_version"] == self.list_version
        self.greet()
        accepted = {self.device.unreported()[-1]["boot_id"]: 2**53 - 1}
        done = self.say("messages_accepted", accepted=accepted)
        assert self.hears(text(done))
        assert not self.device.has_unreported()
        return [welcome, unlock, codes, done]

    def faults(self, envelope: wire.Envelope) -> list[str]:
        """Return what is wrong with a message in the fields on which doors, lists or keys depend."""
        action, decisive = envelope.get("action"), {"put_allowlist": ".data", "hello_accepted": "server_keys"}
        if isinstance(action, str) and action in decisive:
            return [fault for fault in contract.faults(action, envelope) if decisive[action] in fault]
        with suppress(ValueError):
            # However it is spelled, it is one command, and opens once.
            envelope = envelope | {"transaction_id": str(UUID(str(envelope.get("transaction_id"))))}
        found = contract.faults("open_compartment", envelope)
        return [fault for fault in found if any(field in fault for field in DECISIVE)]


@pytest.mark.proof
def test_nothing_forged_moves_a_door(defects: list[str]) -> None:
    dice = random.Random(2)
    victim = Victim(dice)
    others = [(victim.kid, victim.own), (DEVICE_ID, victim.own), (victim.kid, a_key(dice))]
    before, started_s, num_forged, ways = 0, time.monotonic(), 0, Counter[str]()
    past: list[wire.Envelope] = []

    while num_forged < FORGERIES:
        forger = Forger(dice, key=victim.server, others=others, faults=victim.faults)
        # The answer to this one would be obeyed, if it were genuine.
        victim.request = victim.device.hello()
        for _ in range(PER_GENUINE):
            victim.now_s += 0.05
            untouched = victim.state()
            genuine = dice.choice(past) if past and dice.random() < 0.1 else victim.say(dice.choice(HEARD))
            forgery = forger.forge(genuine)
            victim.hears(forgery.body)
            if forgery.is_signed:
                assert (victim.locks.num_pulses, victim.kept()) == (untouched[0], untouched[-1]), forgery
            else:
                assert victim.state() == untouched, forgery
            ways[forgery.way] += 1
        for replayed in reversed(past):
            victim.hears(text(replayed))
            assert (victim.locks.num_pulses, victim.kept()) == (untouched[0], untouched[-1])

        past = [*past, *victim.is_served()][-30:]

        num_forged += PER_GENUINE
        before = before or (bytes_in_use() if num_forged > FORGERIES / 10 else 0)

    assert defects == []
    assert bytes_in_use() - before < MAY_GROW_BYTES
    print(f"\n{num_forged} forgeries: {_per_thousand(started_s, num_forged)}; {ways}")
