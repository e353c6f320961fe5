"""The link over MQTT and a real broker: what is said is committed, answered, refused to strangers."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import OperationalError

from common import intents
from common.clock import real_now
from common.models import Intent, IntentState
from lockers import exchange, keys, wire
from lockers.exceptions import LinkError
from lockers.models import Device, DeviceEvent, OpenCommand
from lockers.mqtt import accounts, gateway, topics
from lockers.services import broker, commands, devices
from lockers.sizes import Size
from lockers.states import SUSPECT_FOR, CommandState, LinkState, Transport
from tests.deploy.mqtt_client import NOT_AUTHORIZED, SUCCESS, Connection
from tests.lockers.conftest import (
    a_cabinet,
    a_code,
    a_device,
    a_locker,
    a_reservation,
    deposited,
    digits_of,
    serving,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker_of_tests")]


class Talker:
    """A device's account, and the key with which it signs."""

    def __init__(self, environment: Mapping[str, str], device: Device, key: Ed25519PrivateKey) -> None:
        self.device = device
        self._key = key
        self._environment = environment
        self._seq = 0

    @contextmanager
    def connected(self) -> Iterator["Talker"]:
        """Log in and listen."""
        account = str(self.device.pk), broker.password_of(self.device)
        with Connection(self._environment, *account, client_id=str(self.device.pk)) as self._connection:
            assert self._connection.accepted == SUCCESS
            for topic in topics.read_by(self.device.pk):
                self._connection.subscribe(topic)
            yield self

    def say(self, kind: str, **fields: Any) -> wire.Envelope:
        """Publish an envelope on one of the device's topics, and return it."""
        envelope = wire.seal(
            {"link_epoch": self.device.link_epoch, **fields},
            key=self._key,
            kid=str(self.device.pk),
            timestamp=real_now(),
        )
        self.publish(kind, envelope)
        return envelope

    def report(self, event: str, **data: Any) -> wire.Envelope:
        """Publish the next numbered report."""
        self._seq += 1
        return self.say("event", event=event, boot_id="00000001-0123456789abcdef", seq=self._seq, data=data)

    def publish(self, kind: str, envelope: wire.Envelope) -> None:
        """Publish any envelope on one of the device's topics."""
        self._connection.publish(f"locker/{self.device.pk}/{kind}", json.dumps(envelope))

    def hears(self, within_s: float = 10.0) -> wire.Envelope:
        """Return the next message but lists of codes; it must be signed by the server for this device."""
        envelope: wire.Envelope = {"action": "put_allowlist"}
        while envelope["action"] == "put_allowlist":
            _, payload = self._connection.message(within_s)
            envelope = json.loads(payload)
            wire.check(envelope, keys.server_key().public_key())
            assert envelope["device_id"] == str(self.device.pk)
        return envelope

    def hears_nothing(self, within_s: float = 0.5) -> bool:
        """Tell whether nothing comes."""
        try:
            self.hears(within_s)
        except Empty:
            return True
        return False

    def greet(self) -> wire.Envelope:
        """Begin a connection."""
        self.device.refresh_from_db()
        self.device.link_epoch = uuid4().hex
        data = {"boot_id": "00000001-0123456789abcdef", "num_hellos": self.device.num_hellos + 1}
        self.say("event", event="hello", data=data)
        return self.hears()


@pytest.fixture
def a_talker(broker_of_tests: Mapping[str, str]) -> Callable[..., Talker]:
    """Make devices that are admitted at the broker."""

    def make(sizes: tuple[Size, ...] = (Size.S, Size.S)) -> Talker:
        key = Ed25519PrivateKey.generate()
        device = a_device(a_locker(sizes), real_now(), key=key)
        _perform_all()
        return Talker(broker_of_tests, device, key)

    return make


def _perform_all() -> None:
    for intent in Intent.objects.filter(state=IntentState.WAITING):
        intents.perform(intent.pk)


def test_a_greeting_and_each_heartbeat_are_answered(
    a_talker: Callable[..., Talker],
) -> None:
    with serving(), a_talker().connected() as talker:
        assert talker.greet()["action"] == "hello_accepted"
        beat = talker.say("state/heartbeat", event="heartbeat", data={"uptime_seconds": 12})
        answer = talker.hears()

    device = Device.objects.get(pk=talker.device.pk)
    assert (answer["action"], answer["in_reply_to"]) == ("heartbeat_answered", beat["message_id"])
    assert (device.transport, device.state) == (Transport.MQTT, LinkState.ONLINE)
    assert not DeviceEvent.objects.exists()


def test_of_several_senders_one_sends_a_command(a_talker: Callable[..., Talker]) -> None:
    with serving(3), a_talker().connected() as talker:
        talker.greet()
        reservation = a_reservation(talker.device.locker, real_now())
        command = commands.open_for_deposit(reservation, at=real_now(), real_at=real_now())
        received = talker.hears()
        is_all = talker.hears_nothing(within_s=2 * gateway.LOOK_EVERY_S)

    assert (received["action"], received["transaction_id"]) == ("open_compartment", str(command.pk))
    assert 0 < received["ttl_ms"] <= 20_000
    assert is_all
    assert OpenCommand.objects.get().state == CommandState.SENT


def test_reports_are_kept_once_and_acknowledged_up_to_where_nothing_is_missing(
    a_talker: Callable[..., Talker],
) -> None:
    with serving(2), a_talker().connected() as talker:
        talker.greet()
        first = talker.report("booted", previous_boot_id=None, previous_seq=0)
        assert _accepted(talker) == 1
        talker.report("collection_done", compartment_number=1)
        assert _accepted(talker) == 2
        talker.publish("event", first)
        assert _accepted(talker) == 2

    assert list(DeviceEvent.objects.values_list("seq", flat=True)) == [1, 2]


def test_while_the_database_is_away_messages_wait(
    a_talker: Callable[..., Talker], monkeypatch: pytest.MonkeyPatch
) -> None:
    take, failures = exchange.take_all_reports, iter(range(3))

    def take_or_fail(batches: Any) -> Sequence[wire.Envelope | LinkError]:
        if next(failures, None) is not None:
            raise OperationalError("away")
        return take(batches)

    monkeypatch.setattr(exchange, "take_all_reports", take_or_fail)
    monkeypatch.setattr(gateway, "DATABASE_AGAIN_AFTER_S", 0.05)
    with serving(), a_talker().connected() as talker:
        talker.greet()
        talker.report("booted", previous_boot_id=None, previous_seq=0)
        assert _accepted(talker) == 1

    assert next(failures, None) is None
    assert DeviceEvent.objects.count() == 1


def test_a_message_that_cannot_be_taken_holds_up_no_other(
    a_talker: Callable[..., Talker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(envelopes: Sequence[wire.Envelope]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(exchange, "all_heartbeats", fail)
    with serving(), a_talker().connected() as talker:
        talker.greet()
        talker.say("state/heartbeat", event="heartbeat", data={"uptime_seconds": 1})
        talker.report("booted", previous_boot_id=None, previous_seq=0)
        assert _accepted(talker) == 1


def test_messages_of_an_earlier_connection_are_refused_by_name(a_talker: Callable[..., Talker]) -> None:
    with serving(), a_talker().connected() as talker:
        talker.greet()
        present, talker.device.link_epoch = talker.device.link_epoch, "an-epoch-of-yesterday"
        stale = talker.say("state/heartbeat", event="heartbeat", data={"uptime_seconds": 1})
        answer = talker.hears()
        talker.device.link_epoch = present
        malformed = talker.report("no_such_event")
        other = talker.hears()

    assert (answer["action"], answer["in_reply_to"], answer["data"]) == (
        "refused",
        stale["message_id"],
        {"code": "stale-epoch"},
    )
    assert (other["in_reply_to"], other["data"]) == (malformed["message_id"], {"code": "malformed-message"})


def test_of_reports_taken_together_a_malformed_one_is_refused_alone(a_talker: Callable[..., Talker]) -> None:
    talker = a_talker()
    with talker.connected():
        with serving():
            talker.greet()
        # Without a link process the broker has nobody to hand them to; so they are made, and sent at once.
        with serving():
            talker.report("booted", previous_boot_id=None, previous_seq=0)
            talker.report("no_such_event")
            talker._seq -= 1
            talker.report("collection_done", compartment_number=1)
            said = [talker.hears() for _ in range(2)]
            while not _says_accepted(said, 2):
                said.append(talker.hears())

    assert [answer["data"] for answer in said if answer["action"] == "refused"] == [
        {"code": "malformed-message"}
    ]


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[]", b"1e999", b'{"kid": 1}', b"{" * 100_000])
def test_what_is_no_envelope_is_passed_over(a_talker: Callable[..., Talker], payload: bytes) -> None:
    with serving(), a_talker().connected() as talker:
        talker.greet()
        talker._connection.publish(f"locker/{talker.device.pk}/event", payload)  # type: ignore[arg-type]
        talker.report("booted", previous_boot_id=None, previous_seq=0)
        assert _accepted(talker) == 1


def test_nobody_speaks_for_another_device(a_talker: Callable[..., Talker]) -> None:
    victim = a_talker()
    with serving(), a_talker().connected() as talker, victim.connected():
        victim.greet()
        envelope = wire.seal(
            {
                "link_epoch": victim.device.link_epoch,
                "event": "booted",
                "boot_id": "00000001-0123456789abcdef",
                "seq": 1,
                "data": {"previous_boot_id": None, "previous_seq": 0},
            },
            key=victim._key,
            kid=str(victim.device.pk),
            timestamp=real_now(),
        )
        talker.publish("event", envelope)
        assert talker.hears_nothing()
        assert talker._connection.publish(f"locker/{victim.device.pk}/event", "{}") == NOT_AUTHORIZED

    assert not DeviceEvent.objects.exists()


def test_a_typed_code_opens_its_door_with_one_command(a_talker: Callable[..., Talker]) -> None:
    talker = a_talker()
    locker = talker.device.locker
    talker.device.delete()
    code = a_code(real_now())
    cabinet = a_cabinet(locker, real_now())
    deposited(a_reservation(locker, real_now(), code=code), cabinet)
    digits = digits_of(code, real_now())
    devices.retire(cabinet.device, real_at=real_now())
    key = Ed25519PrivateKey.generate()
    device = a_device(locker, real_now(), key=key)
    _perform_all()
    with serving(2), Talker(talker._environment, device, key).connected() as typist:
        typist.greet()
        typed = typist.say("event", event="code_entered", data={"digits": digits})
        said = [typist.hears(), typist.hears()]
        is_all = typist.hears_nothing(within_s=2 * gateway.LOOK_EVERY_S)

    by_action = {envelope["action"]: envelope for envelope in said}
    assert by_action["code_answered"]["in_reply_to"] == typed["message_id"]
    assert by_action["code_answered"]["data"]["outcome"] == "opening"
    assert by_action["open_compartment"]["data"]["compartment_number"] == 1
    assert is_all


def test_a_device_whose_connection_breaks_is_sent_nothing_and_soon_counts_as_silent(
    a_talker: Callable[..., Talker],
) -> None:
    with serving(), a_talker().connected() as talker:
        talker.greet()
        assert Device.objects.get(pk=talker.device.pk).is_reachable(at=real_now())
        talker.publish("state/connection", {"status": "offline", "reason": "connection_lost"})
        for _ in range(100):
            device = Device.objects.get(pk=talker.device.pk)
            if not device.is_reachable(at=real_now()):
                break
            threading.Event().wait(0.05)

    assert not device.is_reachable(at=real_now())
    assert not Device.objects.silent(at=real_now()).exists()
    assert Device.objects.silent(at=real_now() + SUSPECT_FOR).exists()


def test_only_admitted_devices_log_in_and_a_retired_one_is_thrown_out(
    broker_of_tests: Mapping[str, str], a_talker: Callable[..., Talker]
) -> None:
    device = a_device(a_locker(), real_now())
    account = str(device.pk), broker.password_of(device)
    with Connection(broker_of_tests, *account, client_id=str(device.pk)) as refused:
        assert refused.accepted == NOT_AUTHORIZED

    talker = a_talker()
    with talker.connected():
        devices.retire(talker.device, real_at=real_now())
        _perform_all()
        talker._connection.end()
    with Connection(
        broker_of_tests,
        str(talker.device.pk),
        broker.password_of(talker.device),
        client_id=str(talker.device.pk),
    ) as gone:
        assert gone.accepted == NOT_AUTHORIZED


def test_a_device_retired_before_it_was_admitted_stays_out() -> None:
    device = a_device(a_locker(), real_now())
    [admit] = Intent.objects.filter(kind=broker.ADMIT)
    devices.retire(device, real_at=real_now())
    [expel] = Intent.objects.filter(kind=broker.EXPEL)

    intents.perform(expel.pk)
    intents.perform(admit.pk)
    accounts.expel(device.pk)

    assert set(Intent.objects.values_list("state", flat=True)) == {IntentState.DONE}


def _accepted(talker: Talker) -> int:
    answer = talker.hears()
    assert answer["action"] == "messages_accepted"
    number: int = answer["data"]["accepted"]["00000001-0123456789abcdef"]
    return number


def _says_accepted(said: list[wire.Envelope], number: int) -> bool:
    accepted = [answer["data"]["accepted"] for answer in said if answer["action"] == "messages_accepted"]
    return any(number in numbers.values() for numbers in accepted)


def test_many_devices_are_admitted_and_expelled_at_once() -> None:
    names = [uuid4() for _ in range(8)]
    failures: list[Exception] = []

    def come_and_go(name: UUID) -> None:
        try:
            accounts.admit(name, "secret")
            accounts.admit(name, "secret")
            accounts.expel(name)
            accounts.expel(name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
