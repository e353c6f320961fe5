"""What a cabinet's sensors say on the bench: told at once, told often enough, not told too often."""

from pathlib import Path

import pytest

from lockers.device.hardware import Source, Supply, Zone
from tests.lockers.bench import Bench, Locks, Walls


@pytest.fixture
def walls() -> Walls:
    return Walls()


@pytest.fixture
def bench(tmp_path: Path, walls: Walls) -> Bench:
    return Bench(tmp_path, walls=walls)


def temperature(zone: str, celsius_tenths: int | None) -> tuple[str, object]:
    """Return a report of how warm it is."""
    return "temperature", {"zone": zone, "celsius_tenths": celsius_tenths}


def power(source: str, percent: int | None) -> tuple[str, object]:
    """Return a report of what the cabinet lives on."""
    return "power", {"source": source, "percent": percent}


def test_after_a_start_everything_is_told_and_what_a_cabinet_lacks_is_not(tmp_path: Path) -> None:
    walls = Walls()
    bench = Bench(tmp_path, walls=walls)
    bench.after(3_600)
    assert bench.news() == []

    walls.meddled = False
    walls.climate = {Zone.CHILLED: 45, Zone.FROZEN: -190}
    walls.feed = Supply(Source.MAINS, None)
    again = Bench(tmp_path, Locks(), walls)
    kinds = [record["envelope"]["event"] for record in again.log.read() if record["is"] == "report"]

    assert kinds[-6:] == ["booted", "compartments", "tamper", "temperature", "temperature", "power"]


def test_meddling_is_told_at_once_and_so_is_its_end(bench: Bench) -> None:
    for is_tampered in (False, True, True, False):
        bench.walls.meddled = is_tampered
        bench.device.tick()

    assert bench.news() == [("tamper", {"active": active}) for active in (False, True, False)]


def test_temperatures_are_told_by_half_degrees(bench: Bench) -> None:
    for celsius_tenths in (50, 54, 46, 50, 55, 51, 50):
        bench.walls.climate = {Zone.CHILLED: celsius_tenths, Zone.AMBIENT: 180}
        bench.device.tick()

    assert bench.news() == [
        temperature("chilled", 50),
        temperature("ambient", 180),
        temperature("chilled", 55),
        temperature("chilled", 50),
    ]


def test_a_temperature_that_stays_is_told_every_five_minutes(bench: Bench) -> None:
    bench.walls.climate = {Zone.FROZEN: -190}

    bench.after(1_000)

    assert bench.news() == [temperature("frozen", -190)] * 4


@pytest.mark.parametrize("broken", [None, -1_270, 901])
def test_a_sensor_that_fails_says_so_once_and_then_in_its_turn(bench: Bench, broken: int | None) -> None:
    bench.walls.climate = {Zone.CHILLED: 50}
    bench.device.tick()
    bench.walls.climate = {Zone.CHILLED: broken}
    bench.after(299)
    bench.walls.climate = {Zone.CHILLED: 52}
    bench.device.tick()

    assert bench.news() == [
        temperature("chilled", 50),
        temperature("chilled", None),
        temperature("chilled", 52),
    ]


def test_power_is_told_at_a_change_of_source_and_every_five_percent(bench: Bench) -> None:
    for source, percent in (
        (Source.MAINS, 100),
        (Source.BATTERY, 100),
        (Source.BATTERY, 96),
        (Source.BATTERY, 95),
        (Source.BATTERY, 91),
        (Source.BATTERY, None),
        (Source.BATTERY, 90),
        (Source.MAINS, 90),
    ):
        bench.walls.feed = Supply(source, percent)
        bench.device.tick()
    bench.walls.feed = None
    bench.after(3_600)

    assert bench.news() == [
        power("mains", 100),
        power("battery", 100),
        power("battery", 95),
        power("battery", None),
        power("battery", 90),
        power("mains", 90),
    ]
