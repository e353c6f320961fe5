"""Basic devices over a real broker: an unmodified client opens doors, in time as far as we can."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from common.clock import real_now
from lockers.exceptions import LockerOffline
from lockers.models import Alarm, Device, DeviceEvent, OpenCommand
from lockers.mqtt import gateway, topics
from lockers.services import basic, commands, reservations
from lockers.states import (
    BASIC_REACHABLE_FOR,
    CommandState,
    CompartmentState,
    DoorState,
    LinkState,
    Profile,
    ReservationState,
)
from lockers.wiring import Lock, Wiring
from tests.deploy.mqtt_client import Connection
from tests.lockers.basic_world import (
    Environment,
    a_newcomer,
    a_witness,
    at_work,
    deposit,
    perform_all,
    settled,
)
from tests.lockers.conftest import compartment_of, door_of, intent_of, serving, state_of
from tests.lockers.open_locker import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker_of_tests", "basic_devices_on"),
]


@pytest.fixture(autouse=True)
def _no_waiting_for_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOOK_EVERY_S", 0.1)


def test_an_unmodified_client_registers_and_its_doors_open_for_courier_and_resident(
    broker_of_tests: Environment,
) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving(2), at_work(client) as device:
        assert (device.profile, device.state, device.public_key) == (Profile.BASIC, LinkState.ONLINE, "")

        command = deposit(device)
        settled(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.OPENED)
        assert client.pulses == [str(command.pk)]
        assert door_of(locker, 1) == DoorState.OPEN
        assert command.reservation is not None
        reservations.confirm_deposit(command.reservation, at=real_now())
        client.move(1, "closed")
        settled(lambda: intent_of(locker, 1) == CompartmentState.OCCUPIED)

        collection = commands.open_for_collection(command.reservation, at=real_now(), real_at=real_now())
        settled(lambda: OpenCommand.objects.get(pk=collection.pk).state == CommandState.OPENED)
        client.move(1, "closed")
        settled(lambda: door_of(locker, 1) == DoorState.CLOSED)

    assert client.pulses == [str(command.pk), str(collection.pk)]
    assert state_of(command.reservation) == ReservationState.COLLECTING


def test_a_newer_client_is_told_of_its_boards_and_the_wiring_that_was_given(
    broker_of_tests: Environment,
) -> None:
    wiring = Wiring(
        locks=[
            Lock(compartment_number=1, board=3, channel=5),
            Lock(compartment_number=2, board=1, channel=0),
        ],
        hardware={"adapter_type": "rs485_lock_board", "feedback_type": "door_closing"},
    )
    client, _ = a_newcomer(broker_of_tests, wiring=wiring)

    with serving(), at_work(client):
        [told] = client.told

    assert told["data"]["compartments"] == [
        {"compartment_number": 1, "slaveId": 3, "address": 5},
        {"compartment_number": 2, "slaveId": 1, "address": 0},
    ]
    assert told["data"]["adapter_type"] == "rs485_lock_board"


def test_a_door_that_jams_is_an_alarm_that_bears_the_label(broker_of_tests: Environment) -> None:
    client, locker = a_newcomer(broker_of_tests)
    client.jammed = {1}
    with serving(), at_work(client) as device:
        command = deposit(device)
        settled(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.JAMMED)

    alarm = Alarm.objects.select_related("device").get()
    assert (alarm.kind, alarm.compartment, alarm.device.label) == (
        "jammed",
        compartment_of(locker, 1),
        {"profile": "basic"},
    )


# An unlock never waits.


def test_nothing_is_sent_to_a_device_that_was_not_heard_of_lately(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with serving(), at_work(client) as device:
        silent_since = real_now() - BASIC_REACHABLE_FOR - timedelta(seconds=1)
        with transaction.atomic():
            command = deposit(device)
            Device.objects.filter(pk=device.pk).update(last_seen_at=silent_since)
        until(lambda: OpenCommand.objects.get(pk=command.pk).state != CommandState.CREATED)

    refused = OpenCommand.objects.get(pk=command.pk)
    assert (refused.state, refused.reason) == (CommandState.REFUSED, "locker-offline")
    assert [told["action"] for told in client.told] == ["apply_config"]


def test_no_unlock_is_made_for_whoever_has_gone(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with serving(), at_work(client) as device:
        client.vanish()
        until(lambda: not Device.objects.get(pk=device.pk).is_reachable(at=real_now()))
        with pytest.raises(LockerOffline, match="try again in a minute"):
            deposit(device)
        with client:
            client.beat()
            until(lambda: Device.objects.get(pk=device.pk).is_reachable(at=real_now()))
            command = deposit(device)
            settled(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.OPENED)

    assert client.pulses == [str(command.pk)]


def test_of_what_was_sent_while_a_client_was_away_it_finds_only_what_we_never_send(
    broker_of_tests: Environment,
) -> None:
    def unlock(number: int) -> str:
        return json.dumps(
            {
                "message_id": f"{number}",
                "transaction_id": f"00000000-0000-4000-8000-{number:012}",
                "action": "open_compartment",
                "timestamp": "2026-11-24T11:00:00Z",
                "data": {"compartment_number": 1},
            }
        )

    client, _ = a_newcomer(broker_of_tests)
    with serving():
        with at_work(client) as device:
            client.vanish()
            until(lambda: not Device.objects.get(pk=device.pk).is_reachable(at=real_now()))
        topic = topics.command(device.pk)
        with Connection(broker_of_tests) as service:
            service.send(topic, unlock(1), qos=0)
            service.send(topic, unlock(2), qos=1, life_s=1)
            service.send(topic, unlock(3), qos=1)
        # No message tells that the broker dropped one: it counts whole seconds, and one has passed after two.
        time.sleep(2.0)
        with client:
            client.beat()
            until(lambda: Device.objects.get(pk=device.pk).is_reachable(at=real_now()))

    assert client.pulses == ["00000000-0000-4000-8000-000000000003"]


def test_an_unlock_is_published_so_that_nobody_keeps_it(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with serving(), at_work(client) as device:
        command = deposit(device)
        settled(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.OPENED)

    assert client.qos_of(str(command.pk)) == 0


# What was said counts once, in the order in which it came.


def test_the_same_message_counts_once(broker_of_tests: Environment) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving(2), at_work(client) as device:
        about = {"compartment_number": 1, "milliseconds_since_last_relay_fire": 90_000}
        said = client.say("event", "basic_uncommanded_open", event="compartment_uncommanded_open", data=about)
        for _ in range(5):
            client.publish("event", json.dumps(said))
        client.move(2, "open")
        settled(lambda: door_of(locker, 2) == DoorState.OPEN)

    events = DeviceEvent.objects.filter(device=device, kind="compartment_uncommanded_open")
    assert events.count() == 1
    numbers = list(DeviceEvent.objects.order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_snapshot_that_the_broker_kept_is_taken_once_the_device_is_heard(
    broker_of_tests: Environment,
) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving():
        with at_work(client):
            pass
        client.doors[1] = "closed"
    # Nobody listens now; what is said is lost, but for the snapshot that the broker keeps.
    with a_witness(broker_of_tests) as all_was_taken, client:
        client.move(2, "open")
        client.is_heard_by_the_broker()
        with serving():
            all_was_taken()
            perform_all()
            before = door_of(locker, 2)
            client.beat()
            settled(lambda: door_of(locker, 2) == DoorState.OPEN)

    assert before == DoorState.CLOSED


# Hostile and broken messages.


def test_what_does_not_keep_to_the_contract_changes_nothing(broker_of_tests: Environment) -> None:
    def snapshot(**fields: Any) -> bytes:
        right = {"message_id": "a", "timestamp": "2026-11-24T11:00:00Z", "compartments": []}
        return json.dumps(right | fields).encode()

    payloads = [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"1e999",
        b"{}",
        b"{" * 100_000,
        snapshot(message_id=1),
        snapshot(message_id=""),
        snapshot(timestamp="yesterday"),
        snapshot(compartments={"1": "open"}),
        snapshot(compartments=[[]]),
        snapshot(compartments=[{"compartment_number": "1", "door_state": "open"}]),
        snapshot(compartments=[{"compartment_number": 1, "door_state": "ajar"}]),
        snapshot(more="x" * 300_000),
        snapshot(kid="someone"),
    ]
    client, locker = a_newcomer(broker_of_tests)
    with serving(), at_work(client):
        known = DeviceEvent.objects.count()
        for kind in ("state/compartments", "response", "event", "state/heartbeat", "state/other"):
            for payload in payloads:
                client.publish(kind, payload)
        client.move(2, "open")
        settled(lambda: door_of(locker, 2) == DoorState.OPEN)

    assert DeviceEvent.objects.count() == known + 1


def test_doors_that_the_locker_does_not_have_are_passed_over(broker_of_tests: Environment) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving(), at_work(client):
        client.doors |= dict.fromkeys(range(3, 9), "open")
        client.move(2, "open")
        settled(lambda: door_of(locker, 2) == DoorState.OPEN)

    assert not DeviceEvent.objects.exclude(problem="").exists()


def test_a_client_that_lost_its_wiring_is_told_again(
    broker_of_tests: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic, "CONFIG_AGAIN_AFTER", timedelta())
    client, _ = a_newcomer(broker_of_tests)
    with serving(), at_work(client) as device:
        client.doors = {}
        command = deposit(device)
        settled(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.REFUSED)
        client.beat()
        until(lambda: client.doors)

    assert OpenCommand.objects.get(pk=command.pk).reason == "runtime-config-not-applied"
    assert client.pulses == []
