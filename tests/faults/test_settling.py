"""A run is at rest only when nothing waits to be done, said or answered."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common import intents
from common.models import Intent, IntentState
from lockers import wake
from lockers.models import Device, Locker
from lockers.services import commands
from lockers.services.inbox import APPLY
from tests.faults import witness
from tests.faults.settling import restless
from tests.lockers.conftest import a_device, a_locker, a_reservation

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "device", lambda device_id: None)


@pytest.fixture
def device(noon: datetime) -> Device:
    """Return a device that greeted at noon."""
    return a_device(a_locker(), noon)


def journalled(folder: Path, locker: Locker, *records: Mapping[str, Any]) -> None:
    """Let the witness of a locker have noted records."""
    beside = folder / "fleet-1" / locker.slug
    beside.mkdir(parents=True, exist_ok=True)
    witness.note(beside / witness.TRAIL, *records)


def test_where_nothing_waits_all_is_at_rest(tmp_path: Path, device: Device, noon: datetime) -> None:
    assert restless(tmp_path, heard_since=noon - timedelta(seconds=1)) == []


def test_a_device_must_have_been_heard_of_since(tmp_path: Path, device: Device, noon: datetime) -> None:
    [point] = restless(tmp_path, heard_since=noon)

    assert point.startswith(f"{device.locker.slug} is online, last heard of at")


def test_an_intent_that_was_not_done_is_named_and_a_dead_one_is_for_the_judge(
    tmp_path: Path, device: Device, noon: datetime
) -> None:
    intents.ask(APPLY, key="waiting", device_id=str(device.pk))
    intents.ask(APPLY, key="dead", device_id=str(device.pk))
    Intent.objects.filter(key=f"{APPLY}:dead").update(state=IntentState.DEAD)

    [point] = restless(tmp_path, heard_since=noon - timedelta(seconds=1))

    assert point.startswith(f"intent {APPLY} {APPLY}:waiting (waiting)")


def test_a_command_without_an_outcome_is_named(tmp_path: Path, device: Device, noon: datetime) -> None:
    command = commands.open_for_deposit(a_reservation(device.locker, noon), at=noon, real_at=noon)

    assert restless(tmp_path, heard_since=noon - timedelta(seconds=1)) == [f"command {command.pk} is created"]


def test_a_report_that_was_not_acknowledged_is_named(tmp_path: Path, device: Device, noon: datetime) -> None:
    reports = [{"is": "report", "envelope": {"boot_id": "b", "seq": seq}} for seq in (1, 2)]
    journalled(tmp_path, device.locker, *reports, {"is": "acknowledged", "boot_id": "b", "seq": 1})

    assert restless(tmp_path, heard_since=noon - timedelta(seconds=1)) == [
        f"{device.locker.slug} has 1 reports to make"
    ]
