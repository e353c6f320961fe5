"""Accounts of basic devices at a real broker: each gets at its own, and nobody speaks for another."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from pytest_django import Settings

from common.clock import real_now
from lockers.models import BasicSetup, Device, DeviceEvent
from lockers.mqtt import accounts, gateway
from lockers.services import basic, broker, devices
from lockers.states import DoorState, LinkState, Profile
from tests.deploy.mqtt_client import GRANTED, NOT_AUTHORIZED, SUCCESS, Connection
from tests.lockers.basic_world import Environment, a_newcomer, a_witness, at_work, perform_all, settled
from tests.lockers.conftest import a_device, a_locker, door_of, serving

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker_of_tests", "basic_devices_on"),
]


@pytest.fixture(autouse=True)
def _no_waiting_for_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LOOK_EVERY_S", 0.1)


# Accounts.


def test_a_newcomer_may_ask_for_its_account_and_nothing_else(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    other, _ = a_newcomer(broker_of_tests)
    access = client.access
    account = access["username"], access["password"]

    with Connection(broker_of_tests, *account, client_id=access["client_id"]) as newcomer:
        assert newcomer.accepted == SUCCESS
        assert newcomer.subscribe(f"locker/provisioning/reply/{access['client_id']}") == GRANTED
        for topic in (
            f"locker/provisioning/reply/{other.access['client_id']}",
            "locker/provisioning/reply/+",
            "locker/provisioning/#",
            f"locker/{access['client_id']}/command",
            "locker/register/+",
            "$share/link/locker/register/+",
            "#",
        ):
            assert newcomer.subscribe(topic) == NOT_AUTHORIZED, topic
        for topic in (
            f"locker/{access['client_id']}/event",
            f"locker/provisioning/reply/{other.access['client_id']}",
            f"locker/{other.access['client_id']}/state/heartbeat",
            "$CONTROL/dynamic-security/v1",
        ):
            assert newcomer.publish(topic, "{}") == NOT_AUTHORIZED, topic


def test_a_newcomer_cannot_take_the_place_of_another(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    full = a_device(a_locker(), real_now())
    account = client.access["username"], client.access["password"]

    for name in (str(full.pk), "link-0123456789ab", ""):
        with Connection(broker_of_tests, *account, client_id=name) as impostor:
            assert impostor.accepted == NOT_AUTHORIZED


def test_the_account_of_a_newcomer_ends_when_its_device_was_heard(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with serving():
        with at_work(client):
            basic.sweep(real_at=real_now())
            perform_all()
        with pytest.raises(ConnectionRefusedError):
            client.register()

    assert not BasicSetup.objects.get().has_account


def test_the_answer_to_a_registration_may_be_lost(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with serving():
        first, again = client.register(), client.register()

    assert first["data"] == again["data"]
    assert Device.objects.count() == 1


def test_a_token_that_is_too_old_is_refused_to_whom_it_was_made_for(
    broker_of_tests: Environment,
) -> None:
    client, _ = a_newcomer(broker_of_tests)
    setup = BasicSetup.objects.select_related("token").get()
    setup.token.expires_at = real_now()
    setup.token.save()

    with serving():
        answer = client.register()

    assert (answer["status"], Device.objects.exists()) == ("error", False)
    assert "too old" in answer["message"]


def test_nobody_speaks_for_another_device(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    victim, _ = a_newcomer(broker_of_tests)
    with serving(), at_work(victim), at_work(client) as device:
        pass
    account = str(device.pk), broker.password_of(device)
    with Connection(broker_of_tests, *account, client_id=str(device.pk)) as other:
        assert other.accepted == SUCCESS
        for kind in ("event", "response", "state/heartbeat", "state/compartments", "state/connection"):
            assert other.publish(f"locker/{victim.identity}/{kind}", "{}") == NOT_AUTHORIZED
        assert other.publish("locker/register/token", "{}") == NOT_AUTHORIZED
        for topic in (f"locker/{victim.identity}/command", "locker/+/command", "locker/#"):
            assert other.subscribe(topic) == NOT_AUTHORIZED


def test_what_a_full_device_did_not_sign_is_never_taken_for_its_word(
    broker_of_tests: Environment,
) -> None:
    full = a_device(a_locker(), real_now(), key=Ed25519PrivateKey.generate())
    perform_all()
    silent_since = real_now() - timedelta(hours=1)
    Device.objects.filter(pk=full.pk).update(last_seen_at=silent_since)
    unsigned = {"message_id": "1", "timestamp": "2026-11-24T11:00:00Z"}
    client, locker = a_newcomer(broker_of_tests)
    account = str(full.pk), broker.password_of(full)
    with (
        serving(),
        at_work(client),
        Connection(broker_of_tests, *account, client_id=str(full.pk)) as connection,
    ):
        for kind, said in (
            ("state/heartbeat", {"uptime_seconds": 1}),
            ("state/compartments", {"compartments": [{"compartment_number": 1, "door_state": "open"}]}),
            ("event", {"event": "compartment_uncommanded_open", "data": {"compartment_number": 1}}),
        ):
            connection.publish(f"locker/{full.pk}/{kind}", json.dumps(unsigned | said))
        # What came after them has been taken, so they have been, too.
        client.move(1, "open")
        settled(lambda: door_of(locker, 1) == DoorState.OPEN)
        client.move(2, "open")
        settled(lambda: door_of(locker, 2) == DoorState.OPEN)

    full.refresh_from_db()
    assert full.last_seen_at == silent_since
    assert not DeviceEvent.objects.filter(device=full).exists()
    assert door_of(full.locker, 1) == DoorState.UNKNOWN


def test_where_basic_devices_are_off_they_are_not_heard(
    broker_of_tests: Environment, settings: Settings
) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving(), at_work(client) as device:
        pass
    settings.BASIC_DEVICES = False
    long_ago = real_now() - timedelta(hours=1)
    Device.objects.filter(pk=device.pk).update(last_seen_at=long_ago)
    with a_witness(broker_of_tests) as all_was_taken, serving(), client:
        client.move(1, "open")
        client.beat()
        client.is_heard_by_the_broker()
        all_was_taken()
        perform_all()

    device.refresh_from_db()
    assert (device.last_seen_at, door_of(locker, 1)) == (long_ago, DoorState.CLOSED)


def test_another_device_takes_the_place_of_a_basic_one(broker_of_tests: Environment) -> None:
    client, locker = a_newcomer(broker_of_tests)
    with serving():
        with at_work(client) as device:
            a_device(locker, real_now())
            perform_all()
        with pytest.raises(ConnectionRefusedError), client:
            pass

    device.refresh_from_db()
    assert device.state == LinkState.RETIRED
    assert Device.objects.in_service().get(locker=locker).profile == Profile.FULL


def test_a_broker_that_lost_its_accounts_gets_them_back(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    [setup] = BasicSetup.objects.all()
    accounts.expel_newcomer(setup.pk)

    call_command("admit_lockers")
    with serving():
        assert client.register()["status"] == "success"


def test_reports_of_a_retired_basic_device_are_refused(broker_of_tests: Environment) -> None:
    client, _ = a_newcomer(broker_of_tests)
    with a_witness(broker_of_tests) as all_was_taken, serving(), at_work(client) as device:
        known = DeviceEvent.objects.count()
        devices.retire(device, real_at=real_now())
        client.move(1, "open")
        client.is_heard_by_the_broker()
        all_was_taken()

    assert DeviceEvent.objects.count() == known
