"""What the witness of a simulated locker sees, and that it keeps what the device forgets."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.identity import Broker, Identity
from lockers.device.journal import Journal
from tests.faults import evidence, witness
from tests.faults.witness import WitnessedCabinet, WitnessedController, WitnessedLog

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
SERVER = Ed25519PrivateKey.generate()
WHO = Identity(
    device_id=str(uuid4()),
    locker="dorf",
    key=Ed25519PrivateKey.generate(),
    server_keys={"s": SERVER.public_key()},
    broker=Broker(host="localhost", port=8883, username="d", password="secret"),
)


@pytest.fixture
def cabinet(tmp_path: Path) -> WitnessedCabinet:
    """Return a cabinet of three doors; what its springs do is done when somebody looks."""
    return a_cabinet(tmp_path)


def a_cabinet(folder: Path) -> WitnessedCabinet:
    """Return the cabinet whose memory lies in a folder; nothing springs."""
    return WitnessedCabinet([1, 2, 3], spring=_never, file=folder / "cabinet.json")


def _never(_open_door: Callable[[], None]) -> None:
    """Let the power go before the door has moved."""


def a_mind(
    folder: Path, cabinet: WitnessedCabinet, *, journal: type[Journal] = Journal
) -> WitnessedController:
    """Return a connected device."""
    mind = WitnessedController(
        identity=WHO,
        journal=journal(WitnessedLog(folder / "journal.jsonl")),
        hardware=cabinet,
        monotonic=lambda: 5.0,
        wall_clock=lambda: NOON,
    )
    mind.boot()
    greeting = mind.hello()
    answer = {"action": "hello_accepted", "in_reply_to": greeting["message_id"], "data": {"accepted": {}}}
    mind.hear([sealed(answer)], request=greeting, sent_s=4.9, received_s=5.0)
    return mind


def sealed(fields: dict[str, Any]) -> wire.Envelope:
    """Return a message of the server at noon."""
    return wire.seal({"device_id": WHO.device_id, **fields}, key=SERVER, kid="s", timestamp=NOON)


def a_command(mind: WitnessedController, number: int = 2) -> wire.Envelope:
    """Return a command to open a door."""
    return sealed(
        {
            "action": "open_compartment",
            "transaction_id": str(uuid4()),
            "link_epoch": mind.link_epoch,
            "expires_at": wire.moment(NOON + timedelta(seconds=20)),
            "ttl_ms": 20_000,
            "data": {"compartment_number": number, "purpose": "deposit"},
        }
    )


def pulses(folder: Path) -> list[dict[str, Any]]:
    """Return what the witness noted of the locks."""
    file = folder / witness.PULSES
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_pulse_is_noted_with_its_command_and_deadline(tmp_path: Path, cabinet: WitnessedCabinet) -> None:
    mind = a_mind(tmp_path, cabinet)
    command = a_command(mind)

    mind.take(command)
    mind.take(command)

    [pulse] = pulses(tmp_path)
    assert (pulse["command"], pulse["compartment"]) == (command["transaction_id"], 2)
    assert (pulse["expires_at"], pulse["is_stale"]) == (command["expires_at"], False)


class Forgetful(Journal):
    """Does not know a command when it comes again."""

    def has_seen(self, command_id: str) -> bool:
        return False


def test_a_device_that_forgets_is_seen_to_pulse_twice(tmp_path: Path, cabinet: WitnessedCabinet) -> None:
    mind = a_mind(tmp_path, cabinet, journal=Forgetful)
    command = a_command(mind)

    mind.take(command)
    mind.take(command)

    assert [pulse["command"] for pulse in pulses(tmp_path)] == [command["transaction_id"]] * 2


def test_a_pulse_of_an_earlier_connection_is_noted_as_such(
    tmp_path: Path, cabinet: WitnessedCabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mind = a_mind(tmp_path, cabinet)
    command = a_command(mind)
    monkeypatch.setattr(WitnessedController, "_is_stale", lambda mind, command: False)

    mind.hello()
    mind.take(command)

    assert [pulse["is_stale"] for pulse in pulses(tmp_path)] == [True]


def test_a_door_whose_lock_was_driven_is_open_after_the_power_came_back(
    tmp_path: Path, cabinet: WitnessedCabinet
) -> None:
    mind = a_mind(tmp_path, cabinet)

    mind.take(a_command(mind, 3))

    assert not cabinet.is_open(3)
    assert [number for number in (1, 2, 3) if a_cabinet(tmp_path).is_open(number)] == [3]


def test_a_jammed_door_is_as_shut_as_before_after_the_power_came_back(
    tmp_path: Path, cabinet: WitnessedCabinet
) -> None:
    mind = a_mind(tmp_path, cabinet)
    cabinet.jam(3, is_jammed=True)

    mind.take(a_command(mind, 3))

    assert len(pulses(tmp_path)) == 1
    assert not a_cabinet(tmp_path).is_open(3)


def test_what_lies_in_the_cabinet_is_never_half_written(tmp_path: Path) -> None:
    cabinet = WitnessedCabinet([1], spring=lambda open_door: open_door(), file=tmp_path / "cabinet.json")
    cabinet.pulse(1)
    before = (tmp_path / "cabinet.json").stat().st_ino

    cabinet.put(1, ["bread"])

    assert (tmp_path / "cabinet.json").stat().st_ino != before
    assert list(a_cabinet(tmp_path).contents()[1].goods) == ["bread"]


def test_the_trail_keeps_what_the_journal_forgets(tmp_path: Path, cabinet: WitnessedCabinet) -> None:
    mind = a_mind(tmp_path, cabinet)
    made = mind.unreported()
    assert evidence.unreported(tmp_path) == len(made) > 0

    accepted = {made[-1]["boot_id"]: made[-1]["seq"]}
    mind.take(sealed({"action": "messages_accepted", "in_reply_to": None, "data": {"accepted": accepted}}))

    assert evidence.unreported(tmp_path) == 0
    reports = list(evidence.reports(tmp_path))
    assert [report.message_id for report in reports] == [one["message_id"] for one in made]


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path: Path, cabinet: WitnessedCabinet) -> None:
    a_mind(tmp_path, cabinet)
    known = len(list(evidence.reports(tmp_path)))
    with (tmp_path / witness.TRAIL).open("a") as trail:
        trail.write('{"is": "rep')

    assert len(list(evidence.reports(tmp_path))) == known


def test_wrong_clocks_and_other_networks_are_told_by_the_environment(
    tmp_path: Path, cabinet: WitnessedCabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(witness.CLOCK_OFF_S, "-90000")
    monkeypatch.setenv(witness.BROKER_PORT, "4711")

    mind = a_mind(tmp_path, cabinet)

    assert WHO.broker is not None
    assert mind.identity.broker == replace(WHO.broker, port=4711)
    said = wire.parse_moment(mind.unreported()[0]["timestamp"])
    assert said == NOON - timedelta(seconds=90_000)
