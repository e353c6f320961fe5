"""What basic devices say is numbered by the server and counts once; an unlock never waits for them."""

from datetime import UTC, datetime, timedelta

import pytest

from common.models import Event
from lockers import dialect
from lockers.alarms import AlarmKind
from lockers.exceptions import LockerOffline
from lockers.models import Alarm, DeviceEvent, OpenCommand
from lockers.mqtt import basic as basic_link
from lockers.services import alarms, basic, commands, devices
from lockers.sizes import Size
from lockers.states import (
    ANSWER_GRACE,
    BASIC_REACHABLE_FOR,
    COMMAND_LIFE,
    OFFLINE_AFTER,
    CommandState,
    CompartmentState,
    DoorState,
    ReservationState,
)
from tests.lockers.basic_cabinet import BasicCabinet, deposit, deposited
from tests.lockers.conftest import a_device, a_locker, door_of, intent_of, state_of
from tests.lockers.test_races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("basic_devices_on")]


@pytest.fixture
def cabinet(noon: datetime) -> BasicCabinet:
    """A connected basic device with two doors, both closed."""
    return BasicCabinet(a_locker((Size.S, Size.S)), noon)


# Heard, and numbered by us.


def test_what_it_says_is_numbered_in_the_order_in_which_it_came(cabinet: BasicCabinet) -> None:
    cabinet.says(
        "compartment_uncommanded_open", compartment_number=1, milliseconds_since_last_relay_fire=None
    )
    cabinet.shows(**{"1": "open", "2": "closed"})

    rows = DeviceEvent.objects.filter(device=cabinet.device).order_by("seq").values_list("seq", "kind")
    assert list(rows) == [
        (1, "compartments"),
        (2, "compartment_uncommanded_open"),
        (3, "compartments"),
    ]


def test_a_message_that_was_received_before_changes_nothing(cabinet: BasicCabinet) -> None:
    opened = cabinet.shows(**{"1": "open", "2": "closed"})
    cabinet.shows(**{"1": "closed", "2": "closed"})

    cabinet.says_again(opened)

    assert door_of(cabinet.device.locker, 1) == DoorState.CLOSED
    assert cabinet.device.events.count() == 3


def test_the_same_identity_from_two_devices_is_two_messages(noon: datetime) -> None:
    one, other = BasicCabinet(a_locker(), noon), BasicCabinet(a_locker(), noon)

    said = one.shows(**{"1": "open"})
    other.says_again(said)

    assert door_of(other.device.locker, 1) == DoorState.OPEN


def test_a_snapshot_that_was_overtaken_is_no_news(cabinet: BasicCabinet) -> None:
    before = cabinet.at
    cabinet.waits(2)
    cabinet.shows(**{"1": "open", "2": "closed"})

    late = {"compartments": [{"compartment_number": 1, "door_state": "closed"}]}
    cabinet.says_again(
        dialect.Said(
            message_id="late", transaction_id=None, kind="compartments", data=late, reported_at=before
        )
    )

    assert door_of(cabinet.device.locker, 1) == DoorState.OPEN


def test_a_clock_that_was_set_back_silences_nobody(cabinet: BasicCabinet) -> None:
    cabinet.waits(2)
    cabinet.shows(**{"1": "open", "2": "closed"})

    closed = {"compartments": [{"compartment_number": 1, "door_state": "closed"}]}
    cabinet.says_again(
        dialect.Said(
            message_id="in 1970",
            transaction_id=None,
            kind="compartments",
            data=closed,
            reported_at=datetime(1970, 1, 1, tzinfo=UTC),
        )
    )

    assert door_of(cabinet.device.locker, 1) == DoorState.CLOSED


def test_what_the_broker_kept_is_no_sign_of_life(cabinet: BasicCabinet) -> None:
    heard_at = cabinet.device.last_seen_at
    cabinet.waits(60)
    said = dialect.Said(
        message_id="kept",
        transaction_id=None,
        kind="compartments",
        data={"compartments": [{"compartment_number": 1, "door_state": "open"}]},
        reported_at=cabinet.at,
    )

    cabinet.says_again(said, is_kept=True)

    cabinet.device.refresh_from_db()
    assert cabinet.device.last_seen_at == heard_at
    assert door_of(cabinet.device.locker, 1) == DoorState.OPEN


def test_whatever_else_it_says_is_a_sign_of_life(cabinet: BasicCabinet) -> None:
    cabinet.waits(60)

    cabinet.shows(**{"1": "open", "2": "closed"})

    cabinet.device.refresh_from_db()
    assert cabinet.device.last_seen_at == cabinet.at


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_ten_link_processes_that_take_a_message_one_keeps_it(noon: datetime) -> None:
    cabinet = BasicCabinet(a_locker((Size.S, Size.S)), noon)
    said = dialect.Said(
        message_id="one",
        transaction_id=None,
        kind="compartment_uncommanded_open",
        data={"compartment_number": 1, "milliseconds_since_last_relay_fire": None},
        reported_at=noon,
    )

    outcomes = at_once(10, lambda _: basic.take(cabinet.device, said, is_kept=False, real_at=noon))

    assert outcomes == [None] * 10
    assert list(cabinet.device.events.order_by("seq").values_list("seq", flat=True)) == [1, 2]


# Doors.


def test_goods_are_deposited_and_collected_by_what_snapshots_show(cabinet: BasicCabinet) -> None:
    reservation = deposited(cabinet)
    assert state_of(reservation) == ReservationState.DEPOSITED

    cabinet.waits(30)
    cabinet.beat()
    command = commands.open_for_collection(reservation, at=cabinet.at, real_at=cabinet.at)
    cabinet.says("response", command.pk, result="success")
    cabinet.shows(**{"1": "open", "2": "closed"})
    cabinet.shows(**{"1": "closed", "2": "closed"})

    command.refresh_from_db()
    assert (command.state, state_of(reservation)) == (CommandState.OPENED, ReservationState.COLLECTING)


def test_a_door_that_opens_long_after_an_unanswered_command_opened_by_itself(cabinet: BasicCabinet) -> None:
    reservation = deposited(cabinet)
    cabinet.beat()
    command = commands.open_for_collection(reservation, at=cabinet.at, real_at=cabinet.at)
    commands.claim(command)
    cabinet.waits(600)
    commands.sweep(real_at=cabinet.at)

    cabinet.shows(**{"1": "open", "2": "closed"})
    cabinet.shows(**{"1": "closed", "2": "closed"})

    command.refresh_from_db()
    assert command.state == CommandState.UNKNOWN
    assert intent_of(cabinet.device.locker, 1) == CompartmentState.OCCUPIED
    assert Alarm.objects.filter(kind=AlarmKind.UNCOMMANDED_OPEN).exists()


def test_a_door_that_opens_soon_after_an_unanswered_command_was_opened_by_it(cabinet: BasicCabinet) -> None:
    command = deposit(cabinet)
    commands.claim(command)
    cabinet.waits((COMMAND_LIFE + ANSWER_GRACE).total_seconds() + 1)
    commands.sweep(real_at=cabinet.at)

    cabinet.shows(**{"1": "open", "2": "closed"})

    command.refresh_from_db()
    assert command.state == CommandState.OPENED
    assert not Alarm.objects.exists()


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"result": "error", "error_code": "COMPARTMENT_NOT_FOUND"}, CommandState.REFUSED),
        ({"result": "error", "error_code": "INTERRUPTED", "told": "MODBUS_ERROR"}, CommandState.UNKNOWN),
        ({"result": "success"}, CommandState.PULSED),
    ],
)
def test_an_answer_says_whether_the_lock_was_driven(
    cabinet: BasicCabinet, said: dict[str, str], state: CommandState
) -> None:
    command = deposit(cabinet)

    cabinet.says("response", command.pk, **said)

    command.refresh_from_db()
    assert command.state == state


def test_an_answer_to_a_command_of_another_device_changes_nothing(noon: datetime) -> None:
    one, other = BasicCabinet(a_locker(), noon), BasicCabinet(a_locker(), noon)
    command = deposit(one)

    other.says("response", command.pk, result="success")

    command.refresh_from_db()
    assert command.state == CommandState.CREATED


def test_alarms_and_events_bear_the_label_of_a_basic_device_only(noon: datetime) -> None:
    for device in (BasicCabinet(a_locker(), noon).device, a_device(a_locker(), noon)):
        alarm = alarms.raise_alarm(AlarmKind.OFFLINE, device=device, at=noon, real_at=noon)
        alarms.end(Alarm.objects.filter(pk=alarm.pk), at=noon, real_at=noon)

    for kind in ("alarm_raised", "alarm_ended"):
        labels = [event.facts.get("profile") for event in Event.objects.filter(kind=kind).order_by("pk")]
        assert labels == ["basic", None]


# An unlock never waits for it.


def test_after_two_missed_heartbeats_nothing_is_opened(cabinet: BasicCabinet) -> None:
    assert BASIC_REACHABLE_FOR < OFFLINE_AFTER
    cabinet.waits(BASIC_REACHABLE_FOR.total_seconds())
    deposit(cabinet)

    cabinet.waits(1)
    with pytest.raises(LockerOffline) as refusal:
        deposit(cabinet)

    assert refusal.value.code == "locker-offline"
    assert "keypad" not in str(refusal.value)


def test_after_its_will_nothing_is_opened(cabinet: BasicCabinet) -> None:
    devices.suspect(cabinet.device.pk, real_at=cabinet.at)

    with pytest.raises(LockerOffline, match="try again in a minute"):
        deposit(cabinet)


def test_an_unlock_is_sent_without_a_wish_to_keep_it_for_less_than_its_life(cabinet: BasicCabinet) -> None:
    command = deposit(cabinet)
    command = OpenCommand.objects.select_related("compartment", "device").get(pk=command.pk)

    sent = basic_link.unlock(command, at=cabinet.at + timedelta(seconds=7.5))

    assert sent is not None
    assert (sent.qos, sent.life_s) == (0, 12)
    assert sent.topic == f"locker/{cabinet.device.pk}/command"


@pytest.mark.parametrize("late_s", [19.5, 20.0, 25.0])
def test_an_unlock_without_a_whole_second_left_is_not_sent(cabinet: BasicCabinet, late_s: float) -> None:
    command = deposit(cabinet)
    cabinet.waits(late_s)
    cabinet.beat()

    command = OpenCommand.objects.select_related("compartment", "device").get(pk=command.pk)
    assert basic_link.unlock(command, at=cabinet.at) is None


def test_a_retired_basic_device_is_sent_nothing(cabinet: BasicCabinet) -> None:
    command = deposit(cabinet)

    devices.retire(cabinet.device, real_at=cabinet.at)

    assert commands.claim_unsent(real_at=cabinet.at) == []
    command.refresh_from_db()
    assert command.state == CommandState.REFUSED
