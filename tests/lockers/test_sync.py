"""What a device reported and the server no longer has is asked for again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from common.models import Event
from lockers import exchange
from lockers.device import journal
from lockers.models import Device, DeviceBoot, DeviceEvent
from lockers.sizes import Size
from lockers.states import DoorState
from tests.lockers.conftest import a_locker
from tests.lockers.workbench import Workbench

pytestmark = pytest.mark.django_db


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Workbench:
    return Workbench(a_locker((Size.S, Size.S)), tmp_path, monkeypatch, noon)


def open_and_close(bench: Workbench, *numbers: int) -> None:
    """Let doors be opened by nobody knows whom, and closed."""
    for number in numbers:
        bench.cabinet.pulse(number)
        bench._let_spring()
        bench.cabinet.close(number)
    bench.report()


def restore_backup(bench: Workbench, *, seq: int) -> None:
    """Put the server back to where it knew the reports up to a number only."""
    DeviceEvent.objects.filter(device=bench.row, seq__gt=seq).delete()
    DeviceBoot.objects.filter(device=bench.row).update(accepted_seq=seq, applied_seq=seq)


def kinds(bench: Workbench) -> list[str]:
    return list(
        DeviceEvent.objects.filter(device=bench.row).order_by("boot_id", "seq").values_list("kind", flat=True)
    )


def poll(bench: Workbench) -> list[str]:
    """Ask for what waits, and return what comes, which the device does not hear."""
    return [message["action"] for message in exchange.begin_poll(bench.device.poll())[1]]


def beat(bench: Workbench) -> list[str]:
    """Give a sign of life, and return what is answered, which the device does not hear."""
    return [message["action"] for message in exchange.heartbeat(bench.device.heartbeat())]


def test_a_server_that_forgot_reports_gets_them_again(bench: Workbench) -> None:
    open_and_close(bench, 1, 2)
    before = kinds(bench)
    restore_backup(bench, seq=2)

    open_and_close(bench, 1)
    assert bench.row.gap_since is not None
    bench.pass_time(seconds=15)

    assert kinds(bench)[: len(before)] == before
    assert not DeviceEvent.objects.filter(applied_at=None).exists()
    assert bench.row.gap_since is None


def test_a_gap_is_asked_about_only_after_some_time(bench: Workbench) -> None:
    open_and_close(bench, 1)
    restore_backup(bench, seq=3)
    open_and_close(bench, 2)
    waiting = bench.device.unreported()

    bench.poll()

    assert bench.row.gap_since is not None
    assert bench.device.unreported() == waiting


@pytest.mark.parametrize("say", [poll, beat])
def test_what_is_missing_is_asked_for_every_ten_seconds_at_most(
    bench: Workbench, say: Callable[[Workbench], list[str]]
) -> None:
    open_and_close(bench, 1)
    restore_backup(bench, seq=3)
    open_and_close(bench, 2)
    bench.at += timedelta(seconds=11)

    first, at_once = say(bench), say(bench)
    bench.at += timedelta(seconds=11)
    later = say(bench)

    assert [said.count("sync") for said in (first, at_once, later)] == [1, 0, 1]


def test_what_is_missing_comes_although_the_first_question_was_lost(bench: Workbench) -> None:
    open_and_close(bench, 1)
    restore_backup(bench, seq=3)
    open_and_close(bench, 2)
    bench.at += timedelta(seconds=11)
    assert "sync" in poll(bench)

    bench.pass_time(seconds=6)

    assert bench.row.gap_since is None


def test_what_the_device_has_forgotten_too_is_given_up_and_its_doors_tell_how_things_stand(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "REPORTS_KEPT", 3)
    open_and_close(bench, 1, 2, 1, 2)
    restore_backup(bench, seq=2)
    bench.locker.compartments.update(door=DoorState.UNKNOWN)

    open_and_close(bench, 1)
    bench.pass_time(seconds=15)

    assert Event.objects.filter(kind="device_reports_lost").exists()
    assert not DeviceEvent.objects.filter(applied_at=None).exists()
    assert set(bench.locker.compartments.values_list("door", flat=True)) == {DoorState.CLOSED}


def test_reports_of_a_whole_life_that_are_missing_are_asked_for(bench: Workbench) -> None:
    open_and_close(bench, 1, 2)
    bench.boot()
    DeviceEvent.objects.filter(device=bench.row).delete()
    DeviceBoot.objects.filter(device=bench.row).delete()

    bench.connect()
    bench.pass_time(seconds=15)

    assert kinds(bench).count("compartment_uncommanded_open") == 2
    assert not DeviceEvent.objects.filter(applied_at=None).exists()
    assert Device.objects.get(pk=bench.row.pk).gap_since is None
