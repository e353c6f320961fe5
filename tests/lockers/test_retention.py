"""What tells who came when is deleted after a month, and nothing that is still needed."""

from datetime import datetime, timedelta

import pytest

from lockers.models import DeviceEvent, LockerCode, OpenCommand, Reservation
from lockers.services import commands, inbox, retention
from lockers.states import ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    state_of,
)

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=30)


@pytest.fixture
def cabinet(noon: datetime) -> Cabinet:
    """Return a cabinet from which somebody collected, and in which goods of somebody else lie."""
    cabinet = a_cabinet(a_locker(), noon)
    locker = cabinet.device.locker
    gone = deposited(a_reservation(locker, noon, code=a_code(noon)), cabinet)
    command = commands.open_for_collection(gone, at=noon, real_at=noon)
    cabinet.opens(command)
    cabinet.closes(command)
    cabinet.done(command)
    assert state_of(gone) == ReservationState.COLLECTED
    deposited(a_reservation(locker, noon, code=a_code(noon, lives=2 * MONTH)), cabinet)
    return cabinet


def kept() -> tuple[int, int, int]:
    """Count reports, commands and codes."""
    return DeviceEvent.objects.count(), OpenCommand.objects.count(), LockerCode.objects.count()


def test_facts_are_kept_for_a_month_and_deleted_afterwards(cabinet: Cabinet, noon: datetime) -> None:
    everything = kept()
    almost = noon + MONTH - timedelta(minutes=1)

    retention.purge(at=almost, real_at=almost)
    assert kept() == everything

    later = noon + MONTH + timedelta(minutes=1)
    for _ in range(2):
        retention.purge(at=later, real_at=later)
    assert kept() == (0, 0, 1)
    assert Reservation.objects.get(state=ReservationState.DEPOSITED).code == LockerCode.objects.get()


def test_what_has_not_taken_effect_yet_is_kept_and_what_is_said_again_is_old(
    cabinet: Cabinet, noon: datetime
) -> None:
    first, *_, lost, last = [*cabinet.sent, cabinet.report("booted"), cabinet.report("booted")]
    inbox.receive(cabinet.device, [last], real_at=noon)

    later = noon + 2 * MONTH
    retention.purge(at=later, real_at=later)
    assert DeviceEvent.objects.get().message_id == last.message_id
    assert lost.seq == last.seq - 1

    inbox.receive(cabinet.device, [first], real_at=later)
    assert DeviceEvent.objects.count() == 1
