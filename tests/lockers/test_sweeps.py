"""What falls due by itself: claims that nobody came for, goods that nobody collected."""

from datetime import datetime, timedelta

import pytest

from lockers import selectors, signals
from lockers.models import Reservation
from lockers.services import reservations, sweeps
from lockers.sizes import Size, Temperature
from lockers.states import ReservationState
from tests.lockers.conftest import a_cabinet, a_code, a_locker, a_reservation, deposited, state_of

pytestmark = pytest.mark.django_db


def test_a_claim_that_nobody_came_for_expires_once(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    reservation = a_reservation(locker, noon, expires_in=timedelta(hours=1))
    heard = []
    signals.reservation_expired.connect(lambda reservation, **_: heard.append(reservation.pk), weak=False)

    for _ in range(2):
        sweeps.sweep(at=noon + timedelta(hours=2))

    assert heard == [reservation.pk]
    assert selectors.free_capacity(locker) == {(Temperature.AMBIENT, Size.S, False): 1}


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
