"""Doors on the bench: left open, jammed, unseen, opened by nobody."""

from pathlib import Path

import pytest

from lockers.device.doors import LEFT_OPEN_AFTER_S
from lockers.device.hardware import Reading
from tests.lockers.bench import Bench, Locks


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_open_door_beeps_after_a_minute_and_calls_somebody_after_three(bench: Bench) -> None:
    bench.give(bench.command())
    bench.moves(Reading.OPEN)
    bench.acknowledge()

    bench.after(59)
    assert bench.walls.beeps == []
    bench.after(1)
    assert bench.walls.beeps == [1]
    bench.after(119)
    # Every ten seconds, until those who are called can do better.
    assert (len(bench.walls.beeps), bench.said()) == (12, [])
    bench.after(600)
    assert (len(bench.walls.beeps), bench.said()) == (12, ["compartment_left_open"])


def test_a_door_that_is_closed_in_time_is_not_left_open_and_counts_anew_when_it_opens(bench: Bench) -> None:
    bench.moves(Reading.OPEN)
    bench.after(100)
    bench.moves(Reading.CLOSED)
    beeped = len(bench.walls.beeps)
    bench.after(600)
    assert len(bench.walls.beeps) == beeped

    bench.moves(Reading.OPEN)
    bench.after(LEFT_OPEN_AFTER_S - 1)
    assert "compartment_left_open" not in bench.said()
    bench.after(1)
    assert bench.said()[-1] == "compartment_left_open"


def test_a_door_that_stands_open_at_the_start_counts_from_the_start(tmp_path: Path) -> None:
    locks = Locks()
    locks.now = Reading.OPEN
    bench = Bench(tmp_path, locks)

    bench.after(60)
    assert bench.walls.beeps == [1]
    bench.after(119)
    assert bench.said() == []
    bench.after(1)
    assert bench.said() == ["compartment_left_open"]


def test_a_door_of_which_nobody_knows_whether_it_is_open_is_not_left_open(bench: Bench) -> None:
    bench.moves(Reading.OPEN)
    bench.moves(Reading.UNKNOWN)
    bench.acknowledge()

    bench.after(600)

    assert (bench.walls.beeps, bench.said()) == ([], [])


def test_a_sensor_that_fails_is_reported_and_its_return_is_no_opening(bench: Bench) -> None:
    bench.moves(Reading.UNKNOWN)
    bench.after(3_600)
    bench.moves(Reading.OPEN)
    bench.moves(Reading.UNKNOWN)
    bench.moves(Reading.CLOSED)

    assert bench.news() == [
        ("compartments", {"compartments": [{"compartment_number": 1, "door_state": "unknown"}]}),
        ("compartments", {"compartments": [{"compartment_number": 1, "door_state": "open"}]}),
        ("compartments", {"compartments": [{"compartment_number": 1, "door_state": "unknown"}]}),
        ("compartment_closed", {"compartment_number": 1}),
    ]


def test_a_sensor_that_comes_back_after_a_pulse_shows_that_the_door_opened(bench: Bench) -> None:
    bench.moves(Reading.UNKNOWN)
    bench.acknowledge()

    bench.give(bench.command())
    bench.after(10)
    bench.moves(Reading.OPEN)

    assert bench.said() == ["success", "SENSOR_UNKNOWN", "compartment_open_detected"]


def test_a_sensor_that_fails_while_the_door_should_open_leaves_it_unknown(bench: Bench) -> None:
    bench.give(bench.command())
    bench.moves(Reading.UNKNOWN)
    bench.after(10)

    assert bench.said() == ["success", "compartments", "SENSOR_UNKNOWN"]


def test_a_movement_that_is_told_twice_is_one(bench: Bench) -> None:
    for reading in (Reading.OPEN, Reading.CLOSED):
        bench.moves(reading)
        bench.moves(reading)

    assert bench.said() == ["compartment_uncommanded_open", "compartment_closed"]


def test_a_door_that_opens_long_after_its_pulse_opens_by_itself(bench: Bench) -> None:
    bench.give(bench.command())
    bench.moves(Reading.OPEN)
    bench.moves(Reading.CLOSED)
    bench.acknowledge()
    bench.after(30)
    bench.moves(Reading.OPEN)

    assert bench.news() == [
        (
            "compartment_uncommanded_open",
            {"compartment_number": 1, "milliseconds_since_last_relay_fire": 30_000},
        )
    ]


def test_a_sensor_that_is_stuck_does_not_keep_people_out(bench: Bench) -> None:
    bench.moves(Reading.OPEN)
    bench.after(600)
    bench.acknowledge()

    for _ in range(2):
        bench.give(bench.command())

    assert bench.locks.pulses == 2
    assert bench.said() == ["success", "compartment_open_detected"] * 2
