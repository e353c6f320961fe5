"""What falls due by itself: claims that nobody came for, goods that nobody collected."""

from datetime import datetime, timedelta

import pytest

from lockers import selectors, signals
from lockers.alarms import AlarmKind
from lockers.capacity import Space
from lockers.models import Alarm, Locker, OpenCommand, Reservation
from lockers.services import commands, devices, reservations, sweeps
from lockers.sizes import Size, Temperature
from lockers.states import CommandState, CompartmentState, DoorState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    door_of,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db


def test_a_claim_that_nobody_came_for_expires_once(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    reservation = a_reservation(locker, noon, expires_in=timedelta(hours=1))
    heard = []
    signals.reservation_expired.connect(lambda reservation, **_: heard.append(reservation.pk), weak=False)

    for _ in range(2):
        sweeps.sweep(at=noon + timedelta(hours=2))

    assert heard == [reservation.pk]
    assert selectors.can_meet_all_claims(
        locker.pk, Temperature.AMBIENT, and_also=[Space(Size.S, is_low=False)]
    )


def test_an_extension_lets_goods_and_code_live_longer(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    code = a_code(noon, lives=timedelta(hours=5))
    reservation = deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    later = noon + timedelta(days=3)

    reservations.extend(reservation, hold_until=later)

    code.refresh_from_db()
    assert reservation.hold_until == code.valid_until == later
    sweeps.sweep(at=noon + timedelta(days=2))
    assert state_of(reservation) == ReservationState.DEPOSITED


def test_goods_extended_while_the_sweep_looked_do_not_fall_due(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    code = a_code(noon, lives=timedelta(hours=5))
    reservation = deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    later = noon + timedelta(days=2)
    [seen_by_the_sweep] = Reservation.objects.overdue(at=later)
    reservations.extend(reservation, hold_until=noon + timedelta(days=3))

    sweeps.fall_due(seen_by_the_sweep, at=later)

    assert state_of(reservation) == ReservationState.DEPOSITED


def dies_in_mid_pulse(cabinet: Cabinet, command: OpenCommand) -> None:
    """Let a device say that it drove a lock, and then nothing for a minute."""
    cabinet.say(cabinet.report("response", command.pk, result="success"))
    assert door_of(command.compartment.locker, 1) == DoorState.UNLOCKING
    later = cabinet.at + timedelta(minutes=1)
    devices.sweep(at=later, real_at=later)
    commands.sweep(real_at=later)


def is_missed(locker: Locker) -> bool:
    """Tell whether somebody is called because a locker is silent."""
    return Alarm.objects.open().filter(locker=locker, kind=AlarmKind.OFFLINE).exists()


def test_goods_are_still_there_if_the_device_dies_as_their_door_is_to_open(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    command = commands.open_for_collection(reservation, at=noon, real_at=noon)

    dies_in_mid_pulse(cabinet, command)
    sweeps.sweep(at=noon + timedelta(minutes=11))

    command.refresh_from_db()
    assert is_missed(locker)
    assert (command.state, door_of(locker, 1)) == (CommandState.UNKNOWN, DoorState.UNKNOWN)
    assert state_of(reservation) == ReservationState.DEPOSITED


def test_a_door_that_a_courier_may_have_opened_is_checked_if_the_device_dies_over_it(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon, expires_in=timedelta(hours=1))
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    dies_in_mid_pulse(cabinet, command)
    sweeps.sweep(at=noon + timedelta(hours=2))

    assert is_missed(locker)
    assert (intent_of(locker, 1), door_of(locker, 1)) == (CompartmentState.NEEDS_CHECK, DoorState.UNKNOWN)


def test_a_door_of_which_a_device_says_too_late_that_it_opened_is_known_to_be_open(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)
    dies_in_mid_pulse(cabinet, command)

    cabinet.opens(command)

    command.refresh_from_db()
    assert (command.state, door_of(locker, 1)) == (CommandState.OPENED, DoorState.OPEN)
