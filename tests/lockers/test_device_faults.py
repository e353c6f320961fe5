"""Faults of simulated lockers: each does what it says, and the device's answer to it is the right one."""

import asyncio
import json
import logging
from functools import partial
from pathlib import Path

import pytest

from lockers import wire
from lockers.device.cabinet import Cabinet, Sensor
from lockers.device.controller import Controller
from lockers.device.disorder import Disorder
from lockers.device.faults import BadFault, fault_from, fault_in, script_in
from lockers.device.hands import HandsError
from lockers.device.hardware import Reading
from lockers.device.journal import FileLog
from lockers.device.power import Moment, Power, PowerCut, PoweredLog
from tests.lockers.small_server import LOCKER, SmallServer, a_simulator, becomes


@pytest.mark.parametrize(
    ("moment", "told", "openings", "door"),
    [
        # Nobody knows whether the lock was driven; where the door stands is in the report that follows.
        (Moment.BEFORE_PULSE, ["INTERRUPTED"], 0, "closed"),
        (Moment.IN_PULSE, ["INTERRUPTED"], 1, "open"),
        (Moment.AFTER_PULSE, ["success"], 1, "open"),
    ],
)
async def test_a_device_that_loses_power_at_a_pulse_tells_the_truth_and_never_pulses_again(
    tmp_path: Path,
    moment: Moment,
    told: list[str],
    openings: int,
    door: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "reboot", moment=moment, seconds=0.1)
        command_id = server.open()
        await becomes(lambda: len(server.heard("booted")) == 2 and server.told_of(command_id))

        await becomes(lambda: len(server.heard("compartments")) == 2)
        assert server.told_of(command_id) == told
        assert server.heard("compartments")[-1]["compartments"][0]["door_state"] == door
        assert (await hands.contents())[LOCKER][0].num_openings == openings
        assert server.has_everything()

        again = server.open(2)
        await becomes(lambda: server.told_of(again) == ["success", "compartment_open_detected"])
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_without_power_nobody_is_heard_and_with_power_everything_is_as_it_was(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        server.open()
        assert await hands.wait_open(LOCKER, 1, timeout_s=5)
        await hands.put(LOCKER, 1, ["bread"])
        await hands.inflict(LOCKER, "reboot", seconds=0.3)

        with pytest.raises(HandsError, match="no power"):
            await hands.keypad(LOCKER, "48291703")
        with pytest.raises(HandsError, match="no power"):
            await hands.done(LOCKER, 1)
        await hands.close(LOCKER, 1)

        await becomes(lambda: len(server.heard("compartments")) == 2)
        assert server.heard("compartments")[-1]["compartments"][0]["door_state"] == "closed"
        assert (await hands.contents())[LOCKER][0].goods == ("bread",)
        assert server.heard("booted")[1]["previous_seq"] > 0
        assert server.has_everything()


async def test_a_full_disk_opens_nothing_and_that_is_told_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[wire.Envelope] = []
    refuse = Controller.execute

    def execute(device: Controller, command: wire.Envelope) -> None:
        refuse(device, command)
        arrived.append(command)

    monkeypatch.setattr(Controller, "execute", execute)
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "disk")
        refused = server.open(2)
        await hands.inflict(LOCKER, "forced", compartment=1)
        await becomes(lambda: arrived)
        assert not server.heard("compartment_uncommanded_open")

        await hands.inflict(LOCKER, "disk", full=False)
        await becomes(lambda: server.told_of(refused) == ["DISK_FULL"])
        await becomes(lambda: server.heard("compartment_uncommanded_open"))
        given = server.open(2)
        await becomes(lambda: server.told_of(given) == ["success", "compartment_open_detected"])
        assert [door.num_openings for door in (await hands.contents())[LOCKER]] == [0, 1]


async def test_a_device_that_starts_with_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "disk")
        await hands.inflict(LOCKER, "reboot", seconds=0.0)
        await asyncio.sleep(0.05)
        with pytest.raises(HandsError, match="no power"):
            await hands.keypad(LOCKER, "48291703")

        await hands.inflict(LOCKER, "disk", full=False)

        await becomes(lambda: len(server.heard("booted")) == 2)


async def test_broken_sensors_are_told_and_open_all_the_same(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "sensor", compartment=1, state="broken")
        await hands.inflict(LOCKER, "sensor", compartment=2, state="stuck_open")
        unseen, seeming = server.open(1), server.open(2)

        assert await hands.wait_open(LOCKER, 1, timeout_s=5)
        assert await hands.wait_open(LOCKER, 2, timeout_s=5)
        await becomes(lambda: server.told_of(unseen) == ["success", "SENSOR_UNKNOWN"])
        await becomes(lambda: server.told_of(seeming) == ["success", "compartment_open_detected"])
        assert server.heard("compartment_open_detected")[0]["outcome"] == "already_open"
        assert {"compartments": [{"compartment_number": 1, "door_state": "unknown"}]} in server.heard(
            "compartments"
        )


async def test_a_clock_that_is_days_off_changes_nothing_but_the_timestamps(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        for days in (-400, 3.5):
            await hands.inflict(LOCKER, "clock", days=days)
            await becomes(partial(_is_driven, server, server.open()))

        stamps = [wire.parse_moment(stamp) for stamp in server.timestamps]
        assert max(stamps) > stamps[0] > min(stamps)
        assert (max(stamps) - min(stamps)).days >= 403


async def test_messages_that_come_twice_and_out_of_turn_change_nothing(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "messages", doubled=0.5, shuffled=0.7)
        for _ in range(5):
            await becomes(partial(_is_opened, server, server.open()))
            await hands.close(LOCKER, 1)
        await becomes(lambda: len(server.heard("compartment_closed")) == 5)

        assert server.num_received > len(server.reports)
        assert server.has_everything()
        assert (await hands.contents())[LOCKER][0].num_openings == 5


def test_disorder_repeats_what_passed_before_and_loses_nothing() -> None:
    disorder = Disorder()
    assert disorder.upset_heard([1, 2]) == [1, 2]
    disorder.doubled = 1.0
    assert disorder.upset_heard([3]) == [3, 1, 2, 3]
    # What the device says is not what it hears.
    assert disorder.upset_said([4]) == [4, 4]

    many = list(range(wire.MAX_BATCH))
    assert disorder.upset_said(many) == many
    disorder.shuffled = 1.0
    upset = disorder.upset_said(many)
    assert (upset != many, sorted(upset) == many) == (True, True)


async def test_sensors_of_the_cabinet_are_told(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        await hands.inflict(LOCKER, "tamper")
        await hands.inflict(LOCKER, "temperature", zone="chilled", celsius=9.5)
        await hands.inflict(LOCKER, "power", source="battery", percent=15)

        await becomes(lambda: server.heard("tamper") == [{"active": False}, {"active": True}])
        await becomes(lambda: {"zone": "chilled", "celsius_tenths": 95} in server.heard("temperature"))
        await becomes(lambda: server.heard("power")[-1] == {"source": "battery", "percent": 15})


async def test_a_script_befalls_those_whom_it_names_in_its_time(tmp_path: Path) -> None:
    script = [
        fault_in("forced compartment=2 at=0.1"),
        fault_in("jam compartment=1 locker=dorf"),
        fault_in("disk locker=elsewhere"),
        # Nobody is stopped by a fault that cannot be.
        fault_in("jam compartment=9 at=0.01"),
    ]
    async with a_simulator(tmp_path, *script) as (server, _):
        command_id = server.open(1)

        await becomes(lambda: server.told_of(command_id) == ["success", "DOOR_JAMMED"])
        await becomes(lambda: server.heard("compartment_uncommanded_open"))


def test_a_script_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "script.jsonl"
    lines = [{"at": 2, "locker": "dorf", "fault": "reboot", "moment": "in_pulse"}, {"fault": "tamper"}]
    file.write_text("\n\n".join(json.dumps(line) for line in lines))

    first, second = script_in(file)

    assert (first.kind, first.at_s, first.arguments) == ("reboot", 2, {"moment": Moment.IN_PULSE})
    assert first.strikes("dorf")
    assert not first.strikes("elsewhere")
    assert second.strikes("elsewhere")

    file.write_text('{"fault": "tamper"}\n{"fault": "rust"}\n')
    with pytest.raises(BadFault, match="line 2: a fault is one of jam"):
        script_in(file)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"fault": []},
        {"fault": "rust"},
        {"fault": "jam"},
        {"fault": "jam", "compartment": "3"},
        {"fault": "jam", "compartment": 3, "on": "no"},
        {"fault": "jam", "compartment": 3, "why": "frost"},
        {"fault": "jam", "compartment": 3, "at": "noon"},
        {"fault": "jam", "compartment": 3, "locker": 7},
        {"fault": "sensor", "compartment": 3, "state": "odd"},
        {"fault": "temperature", "zone": "hot", "celsius": 3},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_before_anything_starts(content: object) -> None:
    with pytest.raises(BadFault):
        fault_from(content)


async def test_a_fault_that_makes_no_sense_is_refused_over_the_socket(tmp_path: Path) -> None:
    async with a_simulator(tmp_path) as (_, hands):
        with pytest.raises(HandsError, match="a fault is one of jam"):
            await hands.inflict(LOCKER, "rust")
        with pytest.raises(HandsError, match="no compartment 9"):
            await hands.jam(LOCKER, 9)


def test_a_sensor_that_lies_is_heard_only_when_what_it_says_changes(tmp_path: Path) -> None:
    cabinet = Cabinet([1], spring=lambda act: act(), file=tmp_path / "cabinet.json")
    heard: list[Reading] = []
    cabinet.moved = lambda number, reading: heard.append(reading)

    cabinet.break_sensor(1, Sensor.STUCK_OPEN)
    cabinet.pulse(1)
    cabinet.close(1)
    cabinet.break_sensor(1, Sensor.BROKEN)
    cabinet.pulse(1)
    cabinet.break_sensor(1, Sensor.WORKS)

    assert heard == [Reading.OPEN, Reading.UNKNOWN, Reading.OPEN]


async def test_a_disk_without_power_takes_nothing(tmp_path: Path) -> None:
    power = Power()
    log = PoweredLog(FileLog(tmp_path / "journal.jsonl"), power, is_full=lambda: False)
    log.append([{"is": "hello", "number": 1}])
    power.cut()

    for write in (log.append, log.rewrite):
        with pytest.raises(PowerCut):
            write([{"is": "hello", "number": 2}])

    assert log.read() == [{"is": "hello", "number": 1}]


def _is_driven(server: SmallServer, command_id: str) -> bool:
    return "success" in server.told_of(command_id)


def _is_opened(server: SmallServer, command_id: str) -> bool:
    return "compartment_open_detected" in server.told_of(command_id)
