"""A disk that is full: nothing opens, nothing is told too early, nothing that was promised is forgotten."""

import errno
import os
from pathlib import Path

import pytest

from lockers.device import journal
from lockers.device.hardware import Reading
from lockers.device.journal import FileLog, Journal, NotWritten
from tests.lockers.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_full_disk_refuses_commands_for_good_and_serves_again_when_there_is_room(bench: Bench) -> None:
    refused = bench.command()
    bench.log.is_full = True
    bench.give(refused)
    assert bench.locks.pulses == 0

    bench.log.is_full = False
    bench.give(refused)
    assert bench.locks.pulses == 0
    bench.give(bench.command())
    assert (bench.locks.pulses, bench.said()) == (1, ["DISK_FULL", "success"])


def test_what_happens_while_the_disk_is_full_is_told_in_its_order_once_it_is_written(
    bench: Bench, tmp_path: Path
) -> None:
    bench.give(bench.command())
    bench.log.is_full = True
    bench.moves(Reading.OPEN)
    bench.device.hello()
    bench.moves(Reading.CLOSED)
    bench.device.tick()
    assert bench.said() == ["success"]
    bench.acknowledge()
    # What is told must not be forgotten, or it might arrive after what a later life tells.
    assert not bench.device.has_unreported()

    bench.log.is_full = False
    bench.device.tick()

    assert bench.said() == ["compartment_open_detected", "compartment_closed"]
    kept = Journal(FileLog(tmp_path / "journal.jsonl"))
    assert kept.unreported() == bench.journal.unreported()
    assert (kept.last_seq, kept.num_hellos) == (bench.journal.last_seq, 2)


def test_a_power_cut_with_a_full_disk_forgets_no_command(bench: Bench, tmp_path: Path) -> None:
    command = bench.command()
    bench.give(command)
    bench.log.is_full = True
    bench.moves(Reading.OPEN)

    reborn = Bench(tmp_path, bench.locks)
    reborn.give(reborn.command(transaction_id=command["transaction_id"]))

    assert bench.locks.pulses == 1


def test_a_power_cut_while_the_disk_is_full_takes_what_was_not_told(bench: Bench, tmp_path: Path) -> None:
    bench.device.button_pressed(1)
    last = bench.journal.last_seq
    bench.log.is_full = True
    bench.moves(Reading.OPEN)

    again = Journal(FileLog(tmp_path / "journal.jsonl"))

    assert again.last_seq == last
    assert [report["event"] for report in again.unreported()] == ["collection_done"]


def test_what_was_acknowledged_while_the_disk_is_full_may_come_again_but_is_not_lost(
    bench: Bench, tmp_path: Path
) -> None:
    bench.device.button_pressed(1)
    bench.log.is_full = True
    bench.acknowledge()
    assert not bench.device.has_unreported()

    assert len(Journal(FileLog(tmp_path / "journal.jsonl")).unreported()) == 1


def test_a_device_with_a_full_disk_cannot_boot_until_there_is_room(bench: Bench) -> None:
    bench.log.is_full = True
    with pytest.raises(NotWritten):
        bench.device.boot()
    num_boots = bench.journal.num_boots

    bench.log.is_full = False
    bench.device.boot()

    assert bench.journal.num_boots == num_boots + 1
    assert bench.said() == ["booted", "compartments"]


def test_a_line_that_finds_no_room_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FileLog(tmp_path / "journal.jsonl")
    log.append([{"is": "hello", "number": 1}])
    before = (tmp_path / "journal.jsonl").read_bytes()
    room, write = 7, os.write

    def write_what_fits(file: int, content: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "full")
        written = write(file, content[:room])
        room -= written
        return written

    with monkeypatch.context() as full:
        full.setattr(os, "write", write_what_fits)
        with pytest.raises(OSError, match="full"):
            log.append([{"is": "hello", "number": 2}])
    assert (tmp_path / "journal.jsonl").read_bytes() == before

    log.append([{"is": "hello", "number": 3}])
    assert [record["number"] for record in FileLog(tmp_path / "journal.jsonl").read()] == [1, 3]


def test_a_disk_that_writes_piece_by_piece_gets_the_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:3]))

    FileLog(tmp_path / "journal.jsonl").append([{"is": "hello", "number": 1}])

    assert FileLog(tmp_path / "journal.jsonl").read() == [{"is": "hello", "number": 1}]


def test_a_journal_that_is_created_is_on_disk_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))

    FileLog(tmp_path / "journal.jsonl").append([{"is": "hello", "number": 1}])

    assert tmp_path.stat().st_ino in synced


def test_a_journal_that_finds_no_room_to_be_compacted_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "COMPACT_AFTER_RECORDS", 20)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", _no_room)
        for _ in range(100):
            bench.device.button_pressed(1)
            bench.acknowledge()
    assert list(tmp_path.iterdir()) == [tmp_path / "journal.jsonl"]

    for _ in range(40):
        bench.device.button_pressed(1)

    kept = Journal(FileLog(tmp_path / "journal.jsonl"))
    assert kept.unreported() == bench.journal.unreported()


def _no_room(file: int) -> None:
    raise OSError(errno.ENOSPC, "full")


def test_a_boot_that_told_nothing_is_not_what_came_before(bench: Bench, tmp_path: Path) -> None:
    before, last = bench.journal.boot_id, bench.journal.last_seq
    for number in range(2):
        Journal(FileLog(tmp_path / "journal.jsonl")).begin_boot(f"0000000{number + 2}-0123456789abcdef")

    reborn = Bench(tmp_path)
    [booted] = [
        record["envelope"]["data"]
        for record in reborn.log.read()
        if record["is"] == "report" and record["envelope"]["boot_id"] == reborn.journal.boot_id
        if record["envelope"].get("event") == "booted"
    ]

    assert booted == {"previous_boot_id": before, "previous_seq": last}


def test_what_came_before_survives_compaction(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bench(tmp_path)
    monkeypatch.setattr(journal, "COMPACT_AFTER_RECORDS", 0)
    monkeypatch.setattr(journal, "REPORTS_KEPT", 0)
    kept = Journal(FileLog(tmp_path / "journal.jsonl"))
    kept.begin_connection()

    again = Journal(FileLog(tmp_path / "journal.jsonl"))

    assert again.after == kept.after == (bench.journal.boot_id, bench.journal.last_seq)


def test_a_boot_of_long_ago_is_not_reported_again(bench: Bench) -> None:
    for number in range(journal.BOOTS_KEPT + 10):
        bench.journal.begin_boot(f"{number + 2:08d}-0123456789abcdef")
        bench.device.button_pressed(1)
        bench.acknowledge()

    assert bench.journal.unreported() == []
