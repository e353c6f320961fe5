"""From an empty compartment to an empty compartment, as a device reports it, with all that goes wrong."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from common.exceptions import InvalidTransition
from lockers import signals
from lockers.exceptions import (
    CommandPending,
    CompartmentUnavailable,
    HoldEnded,
    LockerOffline,
    NoCompartmentAvailable,
    NotDeposited,
    ReopenLimitReached,
)
from lockers.models import OpenCommand, Reservation
from lockers.services import claims, codes, commands, devices, reservations, sweeps
from lockers.sizes import Size
from lockers.states import (
    COMMAND_LIFE,
    MAX_REOPENINGS,
    REACHABLE_FOR,
    CodeState,
    CommandState,
    CompartmentState,
    DoorState,
    ReservationState,
    Transport,
)
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    compartment_of,
    deposited,
    door_of,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db


def collect(reservation: Reservation, cabinet: Cabinet, at: datetime) -> OpenCommand:
    command = commands.open_for_collection(reservation, at=at, real_at=cabinet.at)
    cabinet.opens(command)
    return command


@pytest.mark.parametrize("word_comes_first", [True, False])
def test_a_deposit_needs_the_closed_door_and_the_couriers_word_in_any_order(
    noon: datetime, *, word_comes_first: bool
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(command)
    steps: list[Callable[[], None]] = [
        lambda: reservations.confirm_deposit(reservation, at=noon),
        lambda: cabinet.closes(command),
    ]

    first, second = steps if word_comes_first else reversed(steps)
    first()
    assert state_of(reservation) == ReservationState.DEPOSITING
    second()

    assert state_of(reservation) == ReservationState.DEPOSITED
    assert intent_of(locker, 1) == CompartmentState.OCCUPIED
    assert codes_state(reservation) == CodeState.ACTIVE


def codes_state(reservation: Reservation) -> CodeState:
    reservation.refresh_from_db()
    assert reservation.code is not None
    return CodeState(reservation.code.state)


def test_the_couriers_word_may_come_before_the_device_could_report_anything(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    reservations.confirm_deposit(reservation, at=noon)
    cabinet.opens(command)
    cabinet.closes(command)

    assert state_of(reservation) == ReservationState.DEPOSITED


def test_a_deposit_is_announced_once_however_often_it_is_confirmed(noon: datetime) -> None:
    heard: list[object] = []
    signals.reservation_deposited.connect(lambda **facts: heard.append(facts["reservation"].pk), weak=False)
    locker = a_locker((Size.S,))
    reservation = deposited(a_reservation(locker, noon), a_cabinet(locker, noon))

    reservations.confirm_deposit(reservation, at=noon)

    assert heard == [reservation.pk]


def test_a_closed_door_without_the_couriers_word_is_neither_free_nor_occupied(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(command)
    cabinet.closes(command)

    sweeps.sweep(at=noon + timedelta(minutes=11))
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK

    reservations.confirm_deposit(reservation, at=noon + timedelta(minutes=30))
    assert intent_of(locker, 1) == CompartmentState.OCCUPIED
    assert state_of(reservation) == ReservationState.DEPOSITED


def test_a_jam_at_the_deposit_gives_the_courier_another_door(noon: datetime) -> None:
    heard: list[tuple[int, str]] = []
    signals.door_jammed.connect(
        lambda **facts: heard.append((facts["compartment"].number, facts["purpose"])), weak=False
    )
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)

    cabinet.jams(commands.open_for_deposit(reservation, at=noon, real_at=noon))

    assert heard == [(1, "deposit")]
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK
    assert state_of(reservation) == ReservationState.RESERVED
    assert commands.open_for_deposit(reservation, at=noon, real_at=noon).compartment.number == 2


def test_a_jam_of_the_last_door_leaves_the_claim_without_one(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    cabinet.jams(commands.open_for_deposit(reservation, at=noon, real_at=noon))

    with pytest.raises(NoCompartmentAvailable):
        commands.open_for_deposit(reservation, at=noon, real_at=noon)


def test_a_jam_after_the_door_was_open_does_not_forget_what_may_lie_inside(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(command)
    cabinet.closes(command)
    cabinet.jams(commands.open_for_deposit(reservation, at=noon, real_at=noon))

    reservations.confirm_deposit(reservation, at=noon)

    assert state_of(reservation) == ReservationState.DEPOSITED
    assert intent_of(locker, 1) == CompartmentState.OCCUPIED


def test_a_collection_ends_when_the_resident_says_so(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)

    command = collect(reservation, cabinet, noon)
    cabinet.closes(command)
    assert state_of(reservation) == ReservationState.COLLECTING
    cabinet.done(command)

    assert state_of(reservation) == ReservationState.COLLECTED
    assert intent_of(locker, 1) == CompartmentState.FREE
    assert not compartment_of(locker, 1).verify_empty
    assert codes_state(reservation) == CodeState.USED


def test_the_word_may_come_before_the_door_is_closed_and_by_the_api(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    command = collect(reservation, cabinet, noon)

    reservations.confirm_collection(reservation, at=noon)
    assert state_of(reservation) == ReservationState.COLLECTING
    cabinet.closes(command)

    assert state_of(reservation) == ReservationState.COLLECTED


def test_without_a_word_a_collection_ends_with_its_window_and_the_next_courier_looks(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    cabinet.closes(collect(reservation, cabinet, noon))

    sweeps.sweep(at=noon + timedelta(minutes=9))
    assert state_of(reservation) == ReservationState.COLLECTING
    sweeps.sweep(at=noon + timedelta(minutes=10))

    assert state_of(reservation) == ReservationState.COLLECTED
    assert intent_of(locker, 1) == CompartmentState.FREE
    assert compartment_of(locker, 1).verify_empty


def test_a_compartment_whose_door_still_stands_open_is_not_called_free(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    command = collect(reservation, cabinet, noon)

    sweeps.sweep(at=noon + timedelta(minutes=20))
    assert intent_of(locker, 1) == CompartmentState.COLLECTING

    cabinet.at = noon + timedelta(minutes=21)
    cabinet.closes(command)
    assert intent_of(locker, 1) == CompartmentState.FREE


def test_a_jam_at_the_collection_leaves_the_goods_and_the_code_good(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)

    cabinet.jams(commands.open_for_collection(reservation, at=noon, real_at=noon))

    assert state_of(reservation) == ReservationState.DEPOSITED
    assert intent_of(locker, 1) == CompartmentState.OCCUPIED
    assert codes_state(reservation) == CodeState.IN_USE
    collect(reservation, cabinet, noon)


def test_three_jams_put_a_compartment_out_of_service_with_what_lies_in_it(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)

    for _ in range(3):
        cabinet.jams(commands.open_for_collection(reservation, at=noon, real_at=noon))

    assert intent_of(locker, 1) == CompartmentState.OUT_OF_SERVICE
    assert state_of(reservation) == ReservationState.DEPOSITED
    with pytest.raises(CompartmentUnavailable):
        commands.open_for_collection(reservation, at=noon, real_at=noon)


def test_a_compartment_may_be_opened_again_three_times_within_the_window(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = deposited(a_reservation(locker, noon), cabinet)
    for _ in range(1 + MAX_REOPENINGS):
        cabinet.closes(collect(reservation, cabinet, noon))

    with pytest.raises(ReopenLimitReached):
        commands.open_for_collection(reservation, at=noon, real_at=noon)


def test_goods_that_were_not_collected_are_overdue_and_never_free(noon: datetime) -> None:
    heard: list[object] = []
    signals.reservation_overdue.connect(lambda **facts: heard.append(facts["reservation"].pk), weak=False)
    locker = a_locker((Size.S,))
    code = a_code(noon, lives=timedelta(hours=4))
    reservation = deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    late = noon + timedelta(hours=5)

    for _ in range(2):
        sweeps.sweep(at=late)
        codes.sweep(at=late)

    assert heard == [reservation.pk]
    assert intent_of(locker, 1) == CompartmentState.OCCUPIED
    assert codes_state(reservation) == CodeState.EXPIRED
    with pytest.raises(HoldEnded):
        commands.open_for_collection(reservation, at=late, real_at=noon)


def test_nothing_is_collected_before_its_deposit(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)

    with pytest.raises(NotDeposited, match="the goods are reserved"):
        commands.open_for_collection(reservation, at=noon, real_at=noon)
    with pytest.raises(NotDeposited):
        reservations.confirm_collection(reservation, at=noon)


def test_an_offline_locker_refuses_at_once_and_names_the_keypad(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)

    with pytest.raises(LockerOffline, match="use your code at the keypad"):
        commands.open_for_deposit(reservation, at=noon, real_at=noon + REACHABLE_FOR + timedelta(seconds=1))

    assert intent_of(locker, 1) == CompartmentState.FREE
    assert not OpenCommand.objects.exists()
    assert commands.open_for_deposit(reservation, at=noon, real_at=noon + REACHABLE_FOR).is_live


def test_a_locker_that_never_had_a_device_is_offline(noon: datetime) -> None:
    with pytest.raises(LockerOffline):
        commands.open_for_deposit(a_reservation(a_locker(), noon), at=noon, real_at=noon)


def test_a_door_is_not_opened_twice_at_once(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    commands.open_for_deposit(reservation, at=noon, real_at=noon)

    with pytest.raises(CommandPending):
        commands.open_for_deposit(reservation, at=noon, real_at=noon + timedelta(seconds=5))


def test_a_command_that_no_device_received_is_refused_for_sure_and_a_new_press_is_a_new_command(
    noon: datetime,
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    first = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    second = commands.open_for_deposit(reservation, at=noon, real_at=noon + COMMAND_LIFE)

    first.refresh_from_db()
    assert (first.state, first.reason) == (CommandState.REFUSED, "expired")
    assert second.pk != first.pk
    cabinet.opens(second)


def test_a_command_without_an_answer_is_unknown_and_a_late_answer_amends_it(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())

    commands.sweep(real_at=noon + timedelta(seconds=26))
    command.refresh_from_db()
    assert command.state == CommandState.UNKNOWN

    cabinet.opens(command)
    command.refresh_from_db()
    assert command.state == CommandState.OPENED
    assert state_of(reservation) == ReservationState.DEPOSITING
    assert door_of(locker, 1) == DoorState.OPEN


def test_a_door_that_opened_for_a_claim_that_had_ended_is_checked(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    commands.hand_out(cabinet.device, real_at=noon, except_for=frozenset())
    commands.sweep(real_at=noon + timedelta(seconds=26))

    claims.cancel(reservation, at=noon)

    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK
    cabinet.opens(command)
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK


def test_a_command_is_offered_with_the_same_identity_until_it_is_known_or_late(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    device = a_cabinet(locker, noon).device
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)

    for _ in range(2):
        assert commands.hand_out(device, real_at=noon, except_for=frozenset()) == [command]
    assert commands.hand_out(device, real_at=noon, except_for=frozenset({command.pk})) == []
    assert commands.hand_out(device, real_at=noon + COMMAND_LIFE, except_for=frozenset()) == []


def test_a_command_of_an_earlier_connection_is_never_offered(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    device = a_cabinet(locker, noon).device
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)
    devices.greet(
        device, link_epoch="epoch-of-the-second-hello", num_hellos=2, transport=Transport.HTTPS, real_at=noon
    )

    assert commands.hand_out(device, real_at=noon, except_for=frozenset()) == []
    command.refresh_from_db()
    assert command.reason == "stale-epoch"


def test_a_claim_that_has_expired_opens_nothing(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon, expires_in=timedelta(hours=1))

    with pytest.raises(InvalidTransition):
        commands.open_for_deposit(reservation, at=noon + timedelta(hours=2), real_at=noon)
