"""The link over HTTPS: what is accepted, what is refused with nothing written, and what a poll costs."""

import json
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from common.clock import real_now
from common.models import Intent
from lockers import exchange, keys, link, wire
from lockers.api import views
from lockers.exceptions import BadSignature
from lockers.models import Device, DeviceEvent, Locker, OpenCommand, Reservation
from lockers.services import claims, codes, commands, devices
from lockers.sizes import Size
from lockers.states import COMMAND_LIFE, OFFLINE_AFTER, CommandState, CompartmentState, LinkState
from tests.lockers import contract
from tests.lockers.conftest import (
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    digits_of,
    intent_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_test_thread")]

BOOT = "00000001-0123456789abcdef"
EPOCH = "epoch-of-the-first-hello"


class Peer:
    """A device that speaks as it should, unless told otherwise."""

    def __init__(self, locker: Locker) -> None:
        self.locker = locker
        self.key = Ed25519PrivateKey.generate()
        self.token = devices.issue_token(locker, real_at=real_now())
        self.kid = ""
        self.seq = 0

    def enrolment(self) -> wire.Envelope:
        public_key = self.key.public_key()
        return wire.seal(
            {"token": self.token, "public_key": wire.public_text(public_key)},
            key=self.key,
            kid=wire.key_id(public_key),
            timestamp=real_now(),
        )

    def seal(self, **fields: Any) -> wire.Envelope:
        return wire.seal({"link_epoch": EPOCH, **fields}, key=self.key, kid=self.kid, timestamp=real_now())

    def hello(self, number: int = 1, epoch: str = EPOCH) -> wire.Envelope:
        return self.seal(event="hello", link_epoch=epoch, data={"boot_id": BOOT, "num_hellos": number})

    def report(self, **data: Any) -> wire.Envelope:
        self.seq += 1
        fields = {"event": "compartment_closed", "data": {"compartment_number": 1}} | data
        return self.seal(boot_id=BOOT, seq=self.seq, **fields)

    def poll(self, **data: Any) -> wire.Envelope:
        return self.seal(event="poll", data=data)


def post(path: str, body: Any) -> tuple[int, Any]:
    """Post to the link, and return status and content."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    response = Client().post(f"/api/v1/link/{path}/", text, content_type="application/json")
    name = "problem" if response.status_code >= 400 else f"{path}_answer"
    assert contract.faults(name, response.json()) == []
    return response.status_code, response.json()


@pytest.fixture
def peer() -> Peer:
    """Return a device that was brought into service and has greeted."""
    peer = Peer(a_locker((Size.S, Size.M)))
    status, answer = post("provision", peer.enrolment())
    assert status == 200
    peer.kid = answer["messages"][0]["device_id"]
    assert post("hello", peer.hello())[0] == 200
    return peer


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let polls wait a moment only."""
    monkeypatch.setattr(views, "LONGEST_POLL_S", 0.05)


def test_a_token_brings_one_device_into_service_and_a_repetition_finds_it(peer: Peer) -> None:
    status, answer = post("provision", peer.enrolment())

    assert (status, answer["messages"][0]["device_id"]) == (200, peer.kid)
    assert answer["messages"][0]["data"]["compartments"] == [1, 2]
    peer.key = Ed25519PrivateKey.generate()
    status, problem = post("provision", peer.enrolment())
    assert (status, problem["code"]) == (403, "bad-provisioning-token")


def test_a_token_dies_after_a_day() -> None:
    peer = Peer(a_locker())
    yesterday = real_now() - timedelta(hours=25)
    peer.token = devices.issue_token(peer.locker, real_at=yesterday)

    assert post("provision", peer.enrolment())[1]["code"] == "bad-provisioning-token"


def test_a_new_device_retires_the_one_before(peer: Peer) -> None:
    successor = Peer(peer.locker)
    assert post("provision", successor.enrolment())[0] == 200

    assert Device.objects.get(pk=peer.kid).state == LinkState.RETIRED
    assert post("messages", {"messages": [peer.report()]})[1]["code"] == "unknown-device"


def test_every_answer_is_signed_and_names_the_question(peer: Peer) -> None:
    request = peer.poll()

    _, answer = post("poll", request)

    message = answer["messages"][0]
    wire.check(message, keys.server_key().public_key())
    assert (message["in_reply_to"], message["device_id"]) == (request["message_id"], peer.kid)


def test_reports_are_kept_once_and_acknowledged(peer: Peer) -> None:
    batch = {"messages": [peer.report(), peer.report()]}

    answers = [post("messages", batch)[1]["messages"][0]["data"] for _ in range(2)]

    assert answers == [{"accepted": {BOOT: 2}}] * 2
    assert DeviceEvent.objects.count() == 2
    assert Intent.objects.filter(kind="lockers.apply_events").count() == 1


def test_a_poll_brings_the_command_again_until_it_is_known(peer: Peer) -> None:
    reservation = a_reservation(peer.locker, real_now())
    command = commands.open_for_deposit(reservation, at=real_now(), real_at=real_now())

    for _ in range(2):
        unlock = post("poll", peer.poll())[1]["messages"][1]
        wire.check(unlock, keys.server_key().public_key())
        assert unlock["transaction_id"] == str(command.pk)
        assert 0 < unlock["ttl_ms"] <= 20_000
    assert len(post("poll", peer.poll(known=[str(command.pk)]))[1]["messages"]) == 1

    command.refresh_from_db()
    assert command.state == CommandState.SENT


def test_a_typed_code_is_answered_with_the_command(peer: Peer) -> None:
    cabinet = a_cabinet(a_locker(), real_now())
    cabinet.device = Device.objects.get(pk=peer.kid)
    cabinet.seq = 0
    code = a_code(real_now())
    deposited(a_reservation(peer.locker, real_now(), code=code), cabinet)

    _, answer = post("codes", peer.seal(event="code_entered", data={"digits": digits_of(code, real_now())}))

    told, unlock = answer["messages"]
    assert (told["data"]["outcome"], told["data"]["compartment_number"]) == ("opening", 1)
    assert unlock["action"] == "open_compartment"


def test_a_command_in_an_answer_is_claimed_and_a_repetition_brings_it_again(peer: Peer) -> None:
    claim = a_reservation(peer.locker, real_now(), code=a_code(real_now()))
    question = peer.seal(event="code_entered", data={"digits": deposit_digits(claim)})

    unlocks = [post("codes", question)[1]["messages"][1] for _ in range(2)]

    command = OpenCommand.objects.get()
    assert [unlock["transaction_id"] for unlock in unlocks] == [str(command.pk)] * 2
    assert command.state == CommandState.SENT
    offered = [message["action"] for message in post("poll", peer.poll())[1]["messages"]]
    assert "open_compartment" in offered


def test_a_door_that_an_answer_may_have_opened_is_not_free_when_the_claim_ends(peer: Peer) -> None:
    claim = a_reservation(peer.locker, real_now(), code=a_code(real_now()))
    post("codes", peer.seal(event="code_entered", data={"digits": deposit_digits(claim)}))
    later = real_now() + timedelta(seconds=30)

    commands.sweep(real_at=later)
    claims.cancel(claim, at=later)

    assert OpenCommand.objects.get().state == CommandState.UNKNOWN
    assert intent_of(peer.locker, 1) == CompartmentState.NEEDS_CHECK


def test_a_command_whose_time_is_over_comes_with_no_answer(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = a_reservation(peer.locker, real_now(), code=a_code(real_now()))
    question = peer.seal(event="code_entered", data={"digits": deposit_digits(claim)})
    post("codes", question)
    later = real_now() + COMMAND_LIFE

    monkeypatch.setattr(exchange, "real_now", lambda: later)

    assert len(post("codes", question)[1]["messages"]) == 1


def deposit_digits(claim: Reservation) -> str:
    """Return the digits that the courier types."""
    codes.issue_for_deposits([claim], at=real_now())
    assert claim.deposit_code is not None
    return digits_of(claim.deposit_code, real_now())


def test_a_wrong_code_is_answered_without_one(peer: Peer) -> None:
    _, answer = post("codes", peer.seal(event="code_entered", data={"digits": "00000000"}))

    assert [message["data"]["outcome"] for message in answer["messages"]] == ["code-unknown"]


def test_a_message_of_an_earlier_connection_fetches_nothing(peer: Peer) -> None:
    assert post("hello", peer.hello(2, "epoch-of-the-second-hello"))[0] == 200

    assert post("poll", peer.poll())[1]["code"] == "stale-epoch"
    assert post("codes", peer.seal(data={"digits": "00000000"}))[1]["code"] == "stale-epoch"


def test_a_replayed_greeting_does_not_bring_an_old_connection_back(peer: Peer) -> None:
    old = peer.hello(1)
    assert post("hello", peer.hello(2, "epoch-of-the-second-hello"))[0] == 200

    assert post("hello", old) == (409, post("hello", old)[1])
    assert Device.objects.get(pk=peer.kid).link_epoch == "epoch-of-the-second-hello"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kid": "nobody"}, "malformed-message"),
        ({"kid": "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"}, "unknown-device"),
        ({"seq": 2}, "bad-signature"),
        ({"data": {"compartment_number": 2}}, "bad-signature"),
        ({"sig": "AAAA"}, "bad-signature"),
        ({"sig": None}, "bad-signature"),
        ({"sig": "ü"}, "bad-signature"),
        ({"more": 1.5}, "bad-signature"),
        ({"data": {"number": 2**80}}, "bad-signature"),
    ],
)
def test_a_changed_report_is_refused_with_all_of_its_batch(
    peer: Peer, changes: dict[str, Any], code: str
) -> None:
    forged = peer.report() | changes

    status, problem = post("messages", {"messages": [peer.report(), forged]})

    assert status in {400, 401}
    assert problem["code"] in {code, "malformed-message"}
    assert not DeviceEvent.objects.exists()


@pytest.mark.parametrize(
    "content",
    [
        {"event": "door_fell_off"},
        {"event": ["compartment_closed"]},
        {"data": {"compartment_number": 0}},
        {"data": {"compartment_number": True}},
        {"data": {"compartment_number": 1, "resident": "someone"}},
        {"data": []},
        {"event": "compartment_open_detected", "data": {"compartment_number": 1}},
        {
            "event": "compartments",
            "data": {"compartments": [{"compartment_number": 1, "door_state": "ajar"}]},
        },
        {"action": "open_compartment", "event": None, "data": {"result": "success"}},
        {"transaction_id": "1"},
        {"link_epoch": "short"},
        {"event": "heartbeat", "data": {"uptime_seconds": -1}},
        {"event": "booted", "data": {"previous_boot_id": "\u0000", "previous_seq": 1}},
        {"event": "booted", "data": {"previous_boot_id": None, "previous_seq": "\u0000"}},
        {"event": "booted", "data": {}},
        {"event": "compartment_open_failed", "data": {"compartment_number": 1, "error_code": []}},
        {"event": "compartments", "data": {"compartments": [{"compartment_number": 1, "door_state": {}}]}},
        {"action": "open_compartment", "transaction_id": str(uuid4()), "data": {"result": ["success"]}},
        {"message_id": "６b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"},
    ],
)
def test_a_signed_report_that_breaks_the_contract_is_refused(peer: Peer, content: dict[str, Any]) -> None:
    status, problem = post("messages", {"messages": [peer.report(**content)]})

    assert (status, problem["code"]) == (400, "malformed-message")
    assert not DeviceEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "{",
        '{"messages": []}',
        '{"messages": [1]}',
        "[" * 100_000,
        b"\xff\xfe",
        "1" * 300_000,
    ],
)
@pytest.mark.parametrize("path", ["provision", "hello", "poll", "messages", "codes"])
def test_nonsense_is_refused_everywhere(path: str, body: str | bytes) -> None:
    status, problem = post(path, body)

    assert (status, problem["code"]) == (400, "malformed-message")


def test_two_thousand_mutilated_envelopes_are_all_refused(peer: Peer) -> None:
    """Every mutation changes a signed byte, so nothing but the original may pass."""
    dice = random.Random(1)
    original = json.dumps(peer.report())
    device = Device.objects.get(pk=peer.kid)
    accepted = 0
    for _ in range(2_000):
        at = dice.randrange(len(original))
        text = original[:at] + chr(dice.randrange(32, 127)) + original[at + dice.randrange(3) :]
        try:
            envelope = wire.read(text.encode())
            if envelope == json.loads(original) or not isinstance(envelope, dict):
                continue
            link.check_signature(envelope, device.public_key)
            accepted += 1
        except (wire.BadEnvelope, BadSignature):
            continue

    assert accepted == 0


def test_a_greeting_needs_a_device_in_service() -> None:
    peer = Peer(a_locker())
    peer.kid = str(uuid4())

    assert post("hello", peer.hello())[1]["code"] == "unknown-device"


def test_only_post_is_allowed() -> None:
    assert Client().get("/api/v1/link/poll/").status_code == 405


def test_silence_makes_a_device_offline_and_a_word_brings_it_back(peer: Peer, noon: datetime) -> None:
    silent = real_now() + OFFLINE_AFTER + timedelta(seconds=1)
    devices.sweep(at=noon, real_at=silent)
    assert Device.objects.get(pk=peer.kid).state == LinkState.OFFLINE

    post("poll", peer.poll())

    assert Device.objects.get(pk=peer.kid).state == LinkState.ONLINE
