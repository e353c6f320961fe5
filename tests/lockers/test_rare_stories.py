"""Rare stories that seeds of bad luck have told: each a rule by itself."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from lockers import wire
from lockers.device.allowlist import Allowlist, Sequel, sequel
from lockers.services import claims, codes, commands, reservations, sweeps
from lockers.sizes import Size
from lockers.states import CompartmentState, DoorState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_locker,
    a_reservation,
    bound,
    compartment_of,
    deposited,
    door_of,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db

_OPEN_DOOR = {"compartment_number": 1, "door_state": "open"}


def test_a_deposit_of_which_nothing_more_is_heard_is_checked(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)
    # The power goes with the pulse, and the door is pushed shut before it comes back.
    cabinet.say(cabinet.report("response", command.pk, result="success"))
    reborn = Cabinet(device=cabinet.device, at=noon, boot_id="00000002-0123456789abcdef")
    doors = [{"compartment_number": 1, "door_state": "closed"}]
    reborn.say(
        reborn.report("booted", previous_boot_id=cabinet.boot_id, previous_seq=cabinet.seq),
        reborn.report("compartments", compartments=doors),
    )

    for hours in (1, 24, 24 * 7):
        commands.sweep(real_at=noon + timedelta(hours=hours))
        sweeps.sweep(at=noon + timedelta(hours=hours))

    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK


def test_a_reserved_door_that_opened_by_itself_is_doubted_once_its_claim_ends(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    bound(reservation)
    cabinet.say(
        cabinet.report("compartment_uncommanded_open", compartment_number=1),
        cabinet.report("compartment_closed", compartment_number=1),
    )

    claims.cancel(reservation, at=noon)

    compartment = compartment_of(locker, 1)
    assert compartment.state == CompartmentState.NEEDS_CHECK or compartment.verify_empty


def test_a_door_that_opens_again_after_its_pulse_stands_open(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)
    cabinet.opens(command)
    cabinet.closes(command)

    # So a device reports what happens within thirty seconds of a pulse.
    data = {"compartment_number": 1, "outcome": "opened", "detection_ms": 14000}
    cabinet.say(cabinet.report("compartment_open_detected", command.pk, **data))

    assert door_of(locker, 1) == DoorState.OPEN


def test_a_word_before_the_news_of_another_door_does_not_fix_the_wrong_one(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    codes.issue_for_deposits([reservation], at=noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(command)
    cabinet.closes(command)
    # Without network the courier types the code, gets the second door, and says by phone that it is done.
    assert reservation.deposit_code is not None
    accepted = cabinet.report(
        "code_accepted",
        uuid4(),
        entry_id=str(reservation.deposit_code.pk),
        claim_id=str(reservation.pk),
        purpose="deposit",
        compartment_number=2,
    )
    reservations.confirm_deposit(reservation, at=noon)

    cabinet.say(accepted)

    reservation.refresh_from_db()
    assert reservation.compartment is not None
    assert reservation.compartment.number == 2 or intent_of(locker, 1) == CompartmentState.NEEDS_CHECK


def test_a_door_that_a_list_gave_to_others_is_not_opened_for_the_one_who_had_it(noon: datetime) -> None:
    cabinet = a_cabinet(locker := a_locker((Size.S, Size.S)), noon)
    by_list, by_phone = a_reservation(locker, noon), a_reservation(locker, noon)
    codes.issue_for_deposits([by_list], at=noon)
    command = commands.open_for_deposit(by_phone, at=noon, real_at=noon)
    assert by_list.deposit_code is not None

    # Without network, the device had given the same door to the one who typed a code.
    cabinet.say(
        cabinet.report(
            "code_accepted",
            uuid4(),
            entry_id=str(by_list.deposit_code.pk),
            claim_id=str(by_list.pk),
            purpose="deposit",
            compartment_number=command.compartment.number,
        )
    )

    assert command not in commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())


def test_a_door_that_a_list_gave_to_others_is_checked_if_it_opened_for_the_one_who_had_it(
    noon: datetime,
) -> None:
    cabinet = a_cabinet(locker := a_locker((Size.S, Size.S)), noon)
    by_list, by_phone = a_reservation(locker, noon), a_reservation(locker, noon)
    codes.issue_for_deposits([by_list], at=noon)
    command = commands.open_for_deposit(by_phone, at=noon, real_at=noon)
    [sent] = commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())
    number = sent.compartment.number
    assert by_list.deposit_code is not None

    # The power failed as the device gave the door away, and the other courier found it open.
    cabinet.at += timedelta(seconds=10)
    cabinet.say(
        cabinet.report(
            "code_accepted",
            uuid4(),
            entry_id=str(by_list.deposit_code.pk),
            claim_id=str(by_list.pk),
            purpose="deposit",
            compartment_number=number,
        ),
        cabinet.report("compartments", compartments=[_OPEN_DOOR | {"compartment_number": number}]),
    )
    cabinet.opens(command)
    cabinet.say(cabinet.report("deposit_done", compartment_number=number))
    cabinet.closes(command)

    assert intent_of(locker, number) == CompartmentState.NEEDS_CHECK


def test_a_word_after_two_doors_of_which_the_later_news_was_unknown_fixes_neither(noon: datetime) -> None:
    cabinet = a_cabinet(locker := a_locker((Size.S, Size.S)), noon)
    reservation = a_reservation(locker, noon)
    codes.issue_for_deposits([reservation], at=noon)
    assert reservation.deposit_code is not None
    # Without network the courier types the code, gets the second door, closes it, and asks by phone.
    told = {"entry_id": str(reservation.deposit_code.pk), "claim_id": str(reservation.pk)}
    own_id = uuid4()
    at_keypad = [
        cabinet.report("code_accepted", own_id, purpose="deposit", compartment_number=2, **told),
        cabinet.report("response", own_id, result="success"),
        cabinet.report(
            "compartment_open_detected", own_id, compartment_number=2, outcome="opened", detection_ms=9
        ),
        cabinet.report("compartment_closed", compartment_number=2),
    ]
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())
    cabinet.say(*at_keypad)
    cabinet.opens(command)

    reservations.confirm_deposit(reservation, at=noon)

    assert command.compartment.number == 1
    assert {intent_of(locker, number) for number in (1, 2)} == {CompartmentState.NEEDS_CHECK}


def test_a_door_that_stood_open_before_a_command_was_given_was_not_opened_by_it(noon: datetime) -> None:
    cabinet = a_cabinet(locker := a_locker((Size.S,)), noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    # By itself, while there was no power; the news of it waits.
    found_open = cabinet.report("compartments", compartments=[_OPEN_DOOR])
    closed = cabinet.report("compartment_closed", compartment_number=1)
    commands.open_for_collection(reservation, at=noon, real_at=noon)
    commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())

    cabinet.say(found_open, closed)
    sweeps.sweep(at=noon + timedelta(hours=1))

    assert state_of(reservation) == ReservationState.DEPOSITED


def test_a_door_that_was_closed_after_a_command_was_interrupted_was_not_opened_by_it(noon: datetime) -> None:
    cabinet = a_cabinet(locker := a_locker((Size.S,)), noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    command = commands.open_for_collection(reservation, at=noon, real_at=noon)
    closed_door = _OPEN_DOOR | {"door_state": "closed"}
    cabinet.say(
        cabinet.report("response", command.pk, result="error", error_code="INTERRUPTED"),
        cabinet.report("compartments", compartments=[closed_door]),
    )

    cabinet.say(
        cabinet.report("compartments", compartments=[_OPEN_DOOR]),
        cabinet.report("compartment_closed", compartment_number=1),
    )
    sweeps.sweep(at=noon + timedelta(hours=1))

    assert state_of(reservation) == ReservationState.DEPOSITED


def test_a_device_that_gave_a_door_away_lets_nobody_else_in_after_a_power_cut() -> None:
    claim, other, command_id = (str(uuid4()) for _ in range(3))
    given = {
        "event": "code_accepted",
        "transaction_id": command_id,
        "data": {"entry_id": str(uuid4()), "claim_id": claim, "purpose": "deposit", "compartment_number": 1},
    }
    interrupted = {"action": "response", "transaction_id": command_id, "data": {"result": "error"}}
    found_open = {"event": "compartments", "data": {"compartments": [_OPEN_DOOR]}}

    happened = _sequel(given, interrupted, found_open)

    assert happened.is_in_other_use(1, other)
    assert not happened.is_in_other_use(1, claim)


def test_a_device_knows_that_a_door_may_be_in_use_after_a_power_cut() -> None:
    found_open = {"event": "compartments", "data": {"compartments": [_OPEN_DOOR]}}
    interrupted = {
        "action": "response",
        "transaction_id": str(uuid4()),
        "data": {"result": "error", "error_code": "INTERRUPTED"},
    }

    happened = _sequel(interrupted, found_open)

    assert 1 in happened.spoilt or 1 in happened.uses


def _sequel(*reports: wire.Envelope) -> Sequel:
    """Return what a device takes to have happened since it was given an empty list."""
    empty = Allowlist(version=1, as_of=("", 0), claims={}, entries=())
    return sequel(empty, reports, received_s=0.0, made_s=lambda report: 1.0, errands={})
