"""The device's parts: what it remembers, what it believes of the time, whom it obeys."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import rfc8785

from lockers import wire
from lockers.device import identity, journal
from lockers.device.cabinet import Cabinet, Impossible
from lockers.device.hardware import Reading
from lockers.device.identity import Broker, Identity
from lockers.device.journal import FileLog, Journal, JournalDamaged
from lockers.device.timekeeping import ServerTime
from tests.lockers.bench import DEVICE_ID, KID, NOW, SERVER_KEY, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_command_in_time_pulses_once_however_often_it_comes(bench: Bench) -> None:
    command = bench.command()

    for _ in range(3):
        bench.give(command)

    assert bench.locks.pulses == 1
    assert bench.said() == ["success"]


def test_a_repeated_command_gets_its_stored_answer_once_the_first_was_acknowledged(bench: Bench) -> None:
    command = bench.command()
    bench.give(command)
    bench.acknowledge()

    bench.give(command)

    assert bench.locks.pulses == 1
    assert bench.said() == ["success"]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"link_epoch": "another-connection"}, "STALE_EPOCH"),
        ({"ttl_ms": 60_000}, "EXPIRED"),
        ({"data": {"compartment_number": 7}}, "UNKNOWN_COMPARTMENT"),
    ],
)
def test_a_command_that_may_not_be_executed_is_refused_with_a_reason(
    bench: Bench, changes: dict[str, object], refusal: str
) -> None:
    bench.give(bench.command(**changes))

    assert bench.locks.pulses == 0
    assert bench.said() == [refusal]


def test_a_late_command_is_refused(bench: Bench) -> None:
    command = bench.command()
    bench.now_s += 20.1

    bench.give(command)

    assert (bench.locks.pulses, bench.said()) == (0, ["EXPIRED"])


def test_a_forged_command_and_one_for_another_device_are_ignored(bench: Bench) -> None:
    forged = {**bench.command(), "transaction_id": str(uuid4())}
    foreign = bench.command(device_id="another")
    self_made = bench.command() | {"kid": "unknown"}

    for message in (forged, foreign, self_made):
        bench.give(message)

    assert (bench.locks.pulses, bench.said()) == (0, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": None},
        {"expires_at": "tomorrow"},
        {"expires_at": "2026-11-24T11:00:00"},
        {"ttl_ms": None},
        {"ttl_ms": "20000"},
        {"ttl_ms": True},
    ],
)
def test_a_command_whose_deadline_cannot_be_read_is_late(bench: Bench, changes: dict[str, object]) -> None:
    bench.give(bench.command(**changes))

    assert (bench.locks.pulses, bench.said()) == (0, ["EXPIRED"])


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"compartment_number": None}, {"compartment_number": True}, {"compartment_number": [1]}],
)
def test_a_command_that_names_no_door_opens_none(bench: Bench, data: object) -> None:
    bench.give(bench.command(data=data))

    assert (bench.locks.pulses, bench.said()) == (0, ["UNKNOWN_COMPARTMENT"])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"action": 7},
        {"action": "dance"},
        {"action": "open_compartment"},
        {"action": "open_compartment", "transaction_id": 7},
        {"action": "open_compartment", "transaction_id": "no-uuid"},
        {"action": "hello_accepted"},
        {"action": "hello_accepted", "data": {"accepted": []}},
        {"action": "messages_accepted", "data": {"accepted": {"00000001-0": "all"}}},
        {"action": "messages_accepted", "data": {"accepted": {"00000001-0": None}}},
        {"action": "code_answered", "data": {"outcome": None}},
        {"action": "code_answered", "data": {"outcome": "opening", "compartment_number": "1"}},
    ],
)
def test_what_cannot_be_read_is_ignored_even_from_the_server(bench: Bench, fields: dict[str, object]) -> None:
    bench.device.button_pressed(1)

    for message in (bench.seal(**fields), bench.seal(**fields, in_reply_to=[]), "no message", None):
        request = bench.device.poll()
        answer = bench.device.hear([message], request=request, sent_s=bench.now_s, received_s=bench.now_s)
        assert answer is None

    assert (bench.locks.pulses, bench.said()) == (0, ["collection_done"])
    bench.give(bench.command())
    assert bench.locks.pulses == 1


@pytest.mark.parametrize(
    ("stamp", "said"),
    [(None, "success"), ("noon", "success"), ("2199-12-31T23:59:59Z", "EXPIRED")],
)
def test_a_device_learns_from_answers_whatever_time_they_can_tell(
    bench: Bench, stamp: object, said: str
) -> None:
    request = bench.device.poll()
    fields = {
        "message_id": str(uuid4()),
        "device_id": DEVICE_ID,
        "in_reply_to": request["message_id"],
        "timestamp": stamp,
        "kid": KID,
    }
    signature = SERVER_KEY.sign(wire.CONTEXT + rfc8785.dumps(fields))
    answer = fields | {"sig": base64.b64encode(signature).decode()}

    bench.device.hear([answer], request=request, sent_s=bench.now_s, received_s=bench.now_s)
    bench.give(bench.command())

    assert bench.said() == [said]


def test_a_broken_lock_is_reported_as_such(bench: Bench) -> None:
    bench.locks.is_broken = True

    bench.give(bench.command())

    assert bench.said() == ["HARDWARE_FAILED"]


def test_a_door_that_claims_to_be_open_is_pulsed_all_the_same(bench: Bench) -> None:
    bench.locks.now = Reading.OPEN

    bench.give(bench.command())

    assert bench.locks.pulses == 1
    assert bench.said() == ["success", "compartment_open_detected"]


def test_a_door_that_does_not_move_is_jammed_after_ten_seconds_and_a_dead_sensor_is_not(bench: Bench) -> None:
    for reading, verdict in ((Reading.CLOSED, "DOOR_JAMMED"), (Reading.UNKNOWN, "SENSOR_UNKNOWN")):
        bench.locks.now = reading
        bench.give(bench.command())
        bench.now_s += 10
        bench.device.tick()
        bench.device.tick()

        assert bench.said() == ["success", verdict]
        bench.acknowledge()


def test_a_door_that_opens_without_a_pulse_is_reported_as_uncommanded(bench: Bench) -> None:
    bench.device.door_moved(1, Reading.OPEN)
    bench.now_s += 180
    bench.device.tick()
    bench.device.door_moved(1, Reading.CLOSED)

    assert bench.said() == ["compartment_uncommanded_open", "compartment_left_open", "compartment_closed"]


def test_a_command_cut_off_in_mid_pulse_is_answered_as_interrupted_and_never_repeated(
    bench: Bench, tmp_path: Path
) -> None:
    command = bench.command()
    bench.journal.remember_seen(command["transaction_id"])

    reborn = Bench(tmp_path)
    answers = [record for record in reborn.journal._seen.values() if record]

    assert [answer["data"]["error_code"] for answer in answers] == ["INTERRUPTED"]
    reborn.give(bench.command(transaction_id=command["transaction_id"]))
    assert reborn.locks.pulses == 0


def test_the_typed_digits_are_written_nowhere(bench: Bench, tmp_path: Path) -> None:
    bench.device.entered("48291703")

    assert b"48291703" not in (tmp_path / "journal.jsonl").read_bytes()


def test_a_journal_survives_being_read_again(bench: Bench, tmp_path: Path) -> None:
    bench.give(bench.command())

    again = Journal(FileLog(tmp_path / "journal.jsonl"))

    assert again.unreported() == bench.journal.unreported()
    assert (again.last_seq, again.num_hellos) == (bench.journal.last_seq, 1)


def test_a_torn_last_line_is_dropped_and_a_damaged_one_stops_the_device(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    whole = file.read_bytes()

    file.write_bytes(whole + b'{"is": "se')
    assert Journal(FileLog(file)).num_boots == 1
    assert file.read_bytes() == whole

    file.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(JournalDamaged):
        Journal(FileLog(file))


def test_a_compacted_journal_remembers_the_same(bench: Bench, tmp_path: Path) -> None:
    commands = [bench.command() for _ in range(5)]
    for command in commands:
        bench.give(command)
    limit = journal.COMPACT_AFTER_RECORDS
    for number in range(limit):
        bench.device.button_pressed(1)
        if number % 100 == 0:
            bench.acknowledge()

    again = Journal(FileLog(tmp_path / "journal.jsonl"))

    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") < limit
    assert again.unreported() == bench.journal.unreported()
    assert again.last_seq == bench.journal.last_seq
    assert all(again.has_seen(command["transaction_id"]) for command in commands)


def test_a_device_believes_the_tightest_answer_and_a_clock_that_was_set_forward() -> None:
    time = ServerTime()
    assert time.latest(0.0) is None

    time.learn(NOW, sent_s=10.0, received_s=20.0)
    assert time.latest(20.0) == NOW + timedelta(seconds=10, milliseconds=1)
    time.learn(NOW + timedelta(seconds=5), sent_s=20.0, received_s=20.1)
    assert time.latest(20.1) == NOW + timedelta(seconds=5.101)
    time.learn(NOW + timedelta(hours=1), sent_s=21.0, received_s=21.1)

    latest = time.latest(21.1)
    assert latest is not None
    assert latest >= NOW + timedelta(hours=1)


def test_an_answer_to_a_report_says_nothing_of_the_time(bench: Bench) -> None:
    """A report may be sent again; an answer to its first copy, taken for one to its second, is too early."""
    bench.device.button_pressed(1)
    [report] = bench.device.unreported()
    late_answer = bench.seal(
        action="messages_accepted", in_reply_to=report["message_id"], data={"accepted": {}}
    )
    command = bench.command()
    bench.now_s += 30

    bench.device.hear([late_answer], request=report, sent_s=bench.now_s, received_s=bench.now_s)
    bench.give(command)

    assert (bench.locks.pulses, bench.said()) == (0, ["collection_done", "EXPIRED"])


def test_nobody_reaches_through_a_closed_door(tmp_path: Path) -> None:
    springs: list[Callable[[], None]] = []
    cabinet = Cabinet([1], spring=springs.append, file=tmp_path / "cabinet.json")

    with pytest.raises(Impossible, match="door 1 is closed"):
        cabinet.put(1, ["bread"])
    cabinet.pulse(1)
    springs.pop()()
    cabinet.put(1, ["bread"])
    cabinet.close(1)
    with pytest.raises(Impossible):
        cabinet.take(1)

    again = Cabinet([1], spring=springs.append, file=tmp_path / "cabinet.json")
    assert again.contents()[1].goods == ["bread"]


def test_a_jammed_door_stays_shut(tmp_path: Path) -> None:
    springs: list[Callable[[], None]] = []
    cabinet = Cabinet([1], spring=springs.append, file=tmp_path / "cabinet.json")
    cabinet.jam(1, is_jammed=True)

    cabinet.pulse(1)
    springs.pop()()

    assert not cabinet.is_open(1)


def test_an_identity_is_kept_with_its_broker_and_an_earlier_one_has_none(tmp_path: Path) -> None:
    broker = Broker(host="localhost", port=8883, username="d", password="secret")
    who = Identity(
        device_id="d",
        locker="dorf",
        key=identity.make_key(tmp_path),
        server_keys={KID: SERVER_KEY.public_key()},
        broker=broker,
    )

    identity.keep(tmp_path, who, [1, 2])
    kept = identity.known(tmp_path)

    assert kept is not None
    assert (kept[0].broker, kept[1]) == (broker, [1, 2])
    assert (tmp_path / "identity.json").stat().st_mode & 0o077 == 0
    assert "secret" not in repr(kept)

    content = json.loads((tmp_path / "identity.json").read_text())
    for earlier in ({**content, "mqtt": None}, {name: content[name] for name in content if name != "mqtt"}):
        (tmp_path / "identity.json").write_text(json.dumps(earlier))
        kept = identity.known(tmp_path)
        assert kept is not None
        assert kept[0].broker is None


def test_a_key_stays_where_it_was_made_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = identity.make_key(tmp_path)

    assert identity.make_key(tmp_path).private_bytes_raw() == key.private_bytes_raw()
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
