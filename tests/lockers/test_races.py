"""Many at once, on PostgreSQL: exactly one gets what there is one of."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections

from lockers import tokens
from lockers.exceptions import CommandPending, NoCompartmentAvailable
from lockers.models import CodeMask, CodeThrottle, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import claims, codes, commands, devices, inbox, keypad, reservations
from lockers.sizes import Size, Temperature
from lockers.states import ReservationState
from lockers.throttle import LOCK_OUTS
from tests.lockers.conftest import (
    NAMESPACE,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    digits_of,
    state_of,
)
from tests.proofs import tries

#: Rounds of the race for the last compartment.
RACES = tries("RACES", short=4, long=100)

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def in_rounds(number: int, acts: Sequence[Callable[[int], Any]]) -> list[list[Any]]:
    """
    Do one thing after the other, each in many threads at the same moment.

    Returns, for each, results or exceptions, in any order. The threads keep their connections.
    """
    barrier = threading.Barrier(number)
    outcomes: list[list[Any]] = [[] for _ in acts]

    def run(index: int) -> None:
        try:
            for act, told in zip(acts, outcomes, strict=True):
                barrier.wait()
                try:
                    told.append(act(index))
                except Exception as error:
                    told.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def at_once(number: int, act: Callable[[int], Any]) -> list[Any]:
    """Do something in many threads at the same moment; return results or exceptions, in any order."""
    return in_rounds(number, [act])[0]


def test_the_database_under_test_has_row_locks() -> None:
    assert connection.features.has_select_for_update


@pytest.mark.proof
def test_the_last_compartment_goes_to_exactly_one_of_fifty(noon: datetime) -> None:
    lockers = [a_locker((Size.L, Size.L)) for _ in range(RACES)]
    for locker in lockers:
        a_reservation(locker, noon)

    def race_for(locker: Locker) -> Callable[[int], Reservation]:
        return lambda _: claims.reserve(
            locker=locker,
            size=Size.S,
            temperature=Temperature.AMBIENT,
            reference=uuid4(),
            code=None,
            expires_at=noon,
        )

    for outcomes in in_rounds(50, [race_for(locker) for locker in lockers]):
        assert sum(isinstance(outcome, Reservation) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, NoCompartmentAvailable) for outcome in outcomes) == 49


def test_the_same_claim_at_once_is_one_reservation(noon: datetime) -> None:
    locker, reference = a_locker(), uuid4()

    outcomes = at_once(
        10,
        lambda _: claims.reserve(
            locker=locker,
            size=Size.S,
            temperature=Temperature.AMBIENT,
            reference=reference,
            code=None,
            expires_at=noon,
        ),
    )

    assert len({outcome.pk for outcome in outcomes}) == 1


def test_one_door_has_one_live_command(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)

    outcomes = at_once(
        10,
        lambda _: commands.open_for_deposit(
            Reservation.objects.get(pk=reservation.pk), at=noon, real_at=noon
        ),
    )

    assert sum(isinstance(outcome, OpenCommand) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, CommandPending) for outcome in outcomes) == 9


def test_a_hundred_wrong_codes_at_once_are_tried_five_times_and_a_scanned_one_opens(noon: datetime) -> None:
    locker = a_locker((Size.S,) * 5)
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon, lives=timedelta(days=9))
    for _ in range(5):
        deposited(a_reservation(locker, noon, code=code), cabinet)
    # Its first opening would forgive wrong codes.
    keypad.enter(locker, tokens.qr_token(code.pk), at=noon, real_at=noon, request_id=uuid4())
    starts = [noon, *(noon + sum(LOCK_OUTS[:past], timedelta()) for past in (1, 2, 3))]
    devices.hear(cabinet.device, real_at=starts[-1])
    ends: set[tuple[datetime | None, int]] = set()

    def all_try(real_at: datetime) -> Callable[[int], keypad.Entry]:
        def enter(index: int) -> keypad.Entry:
            entered = tokens.qr_token(code.pk) if index == 50 else "00000000"
            entry = keypad.enter(locker, entered, at=noon, real_at=real_at, request_id=uuid4())
            if entry.outcome == keypad.Outcome.LOCKED_OUT:
                throttle = CodeThrottle.objects.get(locker=locker)
                ends.add((throttle.locked_until, throttle.num_lock_outs))
            return entry

        return enter

    for outcomes in in_rounds(101, [all_try(moment) for moment in starts]):
        assert Counter(entry.outcome for entry in outcomes) == {
            keypad.Outcome.CODE_UNKNOWN: 5,
            keypad.Outcome.LOCKED_OUT: 95,
            keypad.Outcome.OPENING: 1,
        }
    assert ends == {
        (start + lock_out, number)
        for number, (start, lock_out) in enumerate(zip(starts, LOCK_OUTS, strict=True), start=1)
    }


def test_a_right_code_typed_many_times_at_once_opens_each_door_once(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    for _ in range(2):
        deposited(a_reservation(locker, noon, code=code), cabinet)
    digits = digits_of(code, noon)

    outcomes = at_once(10, lambda _: keypad.enter(locker, digits, at=noon, real_at=noon, request_id=uuid4()))

    opened = [entry.command.compartment_id for entry in outcomes if entry.command]
    assert len(opened) == len(set(opened)) == 2


def test_codes_issued_at_once_stay_two_places_apart(noon: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    near = [f"1234567{last}" for last in range(10)]
    far = [f"{last}{last}000000" for last in range(10)]
    draws = threading.local()

    def draw() -> str:
        draws.count = getattr(draws, "count", -1) + 1
        index: int = draws.index
        return near[index] if draws.count == 0 else far[index]

    def issue(index: int) -> LockerCode:
        draws.index = index
        return a_code(noon)

    monkeypatch.setattr(codes, "draw", draw)
    at_once(10, issue)

    assert LockerCode.objects.count() == 10
    assert sum(bool(codes.find(namespace=NAMESPACE, entered=digits)) for digits in near) == 1
    assert CodeMask.objects.count() == 80


def test_the_same_holder_at_once_gets_one_code(noon: datetime) -> None:
    holder, occasion = uuid4(), uuid4()

    outcomes = at_once(10, lambda _: a_code(noon, holder=holder, occasion=occasion))

    assert len({code.pk for code in outcomes}) == 1


def test_the_same_batch_received_and_applied_at_once_takes_effect_once(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    batch = [
        cabinet.report("response", command.pk, result="success"),
        cabinet.report(
            "compartment_open_detected", command.pk, compartment_number=1, outcome="opened", detection_ms=1
        ),
        cabinet.report("compartment_closed", compartment_number=1),
    ]

    def receive_and_apply(_: int) -> int:
        inbox.receive(cabinet.device, batch, real_at=noon)
        reservations.confirm_deposit(Reservation.objects.get(pk=reservation.pk), at=noon)
        return inbox.apply(cabinet.device.pk, at=noon)

    outcomes = at_once(8, receive_and_apply)

    assert sum(outcomes) == 3
    assert state_of(reservation) == ReservationState.DEPOSITED


def test_reports_codes_and_openings_of_one_locker_never_lock_each_other_up(noon: datetime) -> None:
    locker = a_locker((Size.S,) * 4)
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    for _ in range(3):
        deposited(a_reservation(locker, noon, code=code), cabinet)
    digits = digits_of(code, noon)
    other = a_reservation(locker, noon)
    story = [cabinet.report("compartment_closed", compartment_number=1) for _ in range(24)]

    def act(index: int) -> object:
        if index % 3 == 0:
            inbox.receive(cabinet.device, story[index : index + 3], real_at=noon)
            return inbox.apply(cabinet.device.pk, at=noon)
        if index % 3 == 1:
            return keypad.enter(locker, digits, at=noon, real_at=noon, request_id=uuid4())
        try:
            fresh = Reservation.objects.get(pk=other.pk)
            return commands.open_for_deposit(fresh, at=noon, real_at=noon)
        except CommandPending:
            return None

    outcomes = at_once(24, act)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
