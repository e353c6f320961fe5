"""Business time follows the wall clock unless a demo says otherwise."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from common import clock

START = datetime(2026, 11, 24, 5, tzinfo=UTC)


def test_without_a_clock_file_business_time_is_real_time() -> None:
    before, business, after = clock.real_now(), clock.now(), clock.real_now()

    assert before <= business <= after


def test_business_time_starts_where_it_was_steered_and_runs_at_its_rate(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CLOCK_FILE = str(tmp_path / "clock.json")
    real = datetime(2030, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "real_now", lambda: real)
    clock.steer(Path(settings.CLOCK_FILE), to=START, rate=60)

    monkeypatch.setattr(clock, "real_now", lambda: real + timedelta(seconds=10))

    assert clock.now() == START + timedelta(minutes=10)


def test_business_time_goes_on_from_where_it_stands_when_only_the_rate_changes(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CLOCK_FILE = str(tmp_path / "clock.json")
    real = datetime(2030, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "real_now", lambda: real)
    clock.steer(Path(settings.CLOCK_FILE), to=START, rate=0)
    monkeypatch.setattr(clock, "real_now", lambda: real + timedelta(hours=1))

    clock.steer(Path(settings.CLOCK_FILE), rate=1)

    assert clock.now() == START


def test_business_time_never_runs_backwards(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    clock.steer(file, to=START, rate=1)

    with pytest.raises(ValueError, match="backwards"):
        clock.steer(file, to=START - timedelta(seconds=1), rate=1)
    with pytest.raises(ValueError, match="backwards"):
        clock.steer(file, rate=-1)
