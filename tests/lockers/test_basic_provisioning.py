"""Basic devices are brought in by an act of their own, kept apart from full ones, and labelled."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.test import Client
from pytest_django import Settings

from common.models import Event
from lockers import dialect, link, wire
from lockers.alarms import AlarmKind
from lockers.exceptions import BadProvisioningToken, BasicDevicesOff, UnknownDevice, WiringDoesNotFit
from lockers.models import BasicSetup, Device
from lockers.services import alarms, basic, devices
from lockers.sizes import Size
from lockers.states import DoorState, LinkState, Profile
from lockers.wiring import Wiring
from tests.lockers.basic_cabinet import BasicCabinet, deposit
from tests.lockers.conftest import a_device, a_locker, compartment_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("basic_devices_on")]


@pytest.fixture
def cabinet(noon: datetime) -> BasicCabinet:
    """A connected basic device with two doors, both closed."""
    return BasicCabinet(a_locker((Size.S, Size.S)), noon)


# Brought in by an act of its own.


def test_without_the_operators_word_there_are_no_basic_devices(noon: datetime, settings: Settings) -> None:
    settings.BASIC_DEVICES = False
    with pytest.raises(BasicDevicesOff):
        basic.issue_token(a_locker(), wiring=None, real_at=noon)

    settings.BASIC_DEVICES, settings.MQTT_URL = True, ""
    with pytest.raises(BasicDevicesOff):
        basic.issue_token(a_locker(), wiring=None, real_at=noon)


def test_an_ordinary_token_never_makes_a_basic_device(noon: datetime) -> None:
    token = devices.issue_token(a_locker(), real_at=noon)

    with pytest.raises(BadProvisioningToken):
        basic.register(token=token, client_id=uuid4(), at=noon, real_at=noon)

    assert not Device.objects.exists()


def test_a_token_for_a_basic_device_never_makes_a_full_one(noon: datetime) -> None:
    token, _ = basic.issue_token(a_locker(), wiring=None, real_at=noon)
    key = wire.public_text(Ed25519PrivateKey.generate().public_key())

    with pytest.raises(BadProvisioningToken):
        devices.provision(token=token, public_key=key, at=noon, real_at=noon)

    assert not Device.objects.exists()


def test_a_token_is_good_for_its_own_client_only(noon: datetime) -> None:
    token, _ = basic.issue_token(a_locker(), wiring=None, real_at=noon)
    _, other = basic.issue_token(a_locker(), wiring=None, real_at=noon)

    with pytest.raises(BadProvisioningToken):
        basic.register(token=token, client_id=other.pk, at=noon, real_at=noon)

    assert not basic.is_made_for(token, client_id=other.pk)
    assert not basic.is_made_for("guessed", client_id=other.pk)


def test_a_token_is_used_once_but_its_answer_may_be_asked_for_again(noon: datetime) -> None:
    token, setup = basic.issue_token(a_locker(), wiring=None, real_at=noon)

    first = basic.register(token=token, client_id=setup.pk, at=noon, real_at=noon)
    again = basic.register(token=token, client_id=setup.pk, at=noon, real_at=noon)
    assert first == again

    devices.retire(first, real_at=noon)
    with pytest.raises(BadProvisioningToken):
        basic.register(token=token, client_id=setup.pk, at=noon, real_at=noon)
    assert basic.is_made_for(token, client_id=setup.pk)


def test_a_token_that_is_too_old_is_refused(noon: datetime) -> None:
    token, setup = basic.issue_token(a_locker(), wiring=None, real_at=noon)
    later = noon + devices.TOKEN_LIFE

    with pytest.raises(BadProvisioningToken):
        basic.register(token=token, client_id=setup.pk, at=later, real_at=later)


def test_a_wiring_that_is_not_the_lockers_is_refused(noon: datetime) -> None:
    with pytest.raises(WiringDoesNotFit):
        basic.issue_token(a_locker((Size.S, Size.S)), wiring=Wiring.usual([1]), real_at=noon)

    assert not BasicSetup.objects.exists()


def test_a_basic_device_takes_the_place_of_the_present_one_and_is_recorded_as_such(noon: datetime) -> None:
    locker = a_locker()
    before = a_device(locker, noon)

    BasicCabinet(locker, noon)

    before.refresh_from_db()
    assert before.state == LinkState.RETIRED
    provisioned = Event.objects.filter(kind="device_provisioned").order_by("pk")
    assert [event.facts["profile"] for event in provisioned] == ["full", "basic"]


def test_the_account_of_a_newcomer_ends_with_its_use_or_its_time(noon: datetime) -> None:
    _, unused = basic.issue_token(a_locker(), wiring=None, real_at=noon)
    used = BasicCabinet(a_locker(), noon)

    basic.sweep(real_at=noon + timedelta(minutes=1))
    unused.refresh_from_db()
    assert (unused.has_account, BasicSetup.objects.get(pk=used.device.pk).has_account) == (True, False)

    basic.sweep(real_at=noon + devices.TOKEN_LIFE)
    unused.refresh_from_db()
    assert not unused.has_account


# Kept apart from full devices.


def test_only_a_basic_device_has_no_key(noon: datetime) -> None:
    with pytest.raises(IntegrityError, match="only_a_basic_device_has_no_key"):
        Device.objects.create(locker=a_locker(), provisioned_at=noon)


def test_a_basic_device_has_no_key(noon: datetime) -> None:
    with pytest.raises(IntegrityError, match="only_a_basic_device_has_no_key"):
        Device.objects.create(locker=a_locker(), profile=Profile.BASIC, public_key="key", provisioned_at=noon)


def test_nobody_signs_for_a_basic_device(cabinet: BasicCabinet) -> None:
    envelope = wire.seal(
        {"link_epoch": cabinet.device.link_epoch, "event": "heartbeat", "data": {"uptime_seconds": 1}},
        key=Ed25519PrivateKey.generate(),
        kid=str(cabinet.device.pk),
        timestamp=cabinet.at,
    )

    with pytest.raises(UnknownDevice):
        link.device_of(envelope)


@pytest.mark.parametrize("name", ["register", "", "locker-client-0a1b2c3d", str(UUID(int=1))])
def test_a_topic_of_nobody_is_no_basic_devices(name: str) -> None:
    with pytest.raises(UnknownDevice):
        basic.device_of(name)


def test_the_topics_of_a_full_device_are_not_for_unsigned_messages(noon: datetime) -> None:
    device = a_device(a_locker(), noon)

    with pytest.raises(UnknownDevice):
        basic.device_of(str(device.pk))


def test_the_topics_of_a_retired_basic_device_are_nobodys(cabinet: BasicCabinet) -> None:
    devices.retire(cabinet.device, real_at=cabinet.at)

    with pytest.raises(UnknownDevice):
        basic.device_of(str(cabinet.device.pk))


# Its wiring.


def test_a_client_is_told_its_wiring_until_it_works_with_it(cabinet: BasicCabinet) -> None:
    wiring = Wiring.usual([1, 2])

    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) == wiring
    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) is None
    cabinet.waits(basic.CONFIG_AGAIN_AFTER.total_seconds())
    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) == wiring

    basic.note_configured(cabinet.device, dialect.Configured(applied_hash=wiring.digest()), at=cabinet.at)
    cabinet.waits(basic.CONFIG_AGAIN_AFTER.total_seconds())
    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) is None


@pytest.mark.parametrize("answer", [{"applied_hash": "0" * 64}, {"problem": "INVALID_CONFIG"}])
def test_a_client_that_works_with_something_else_is_told_again(
    cabinet: BasicCabinet, answer: dict[str, str]
) -> None:
    basic.note_configured(cabinet.device, dialect.Configured(**answer), at=cabinet.at)

    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) is not None
    assert BasicSetup.objects.get().problem == answer.get("problem", "")


def test_that_a_client_refuses_its_wiring_is_recorded_once(cabinet: BasicCabinet) -> None:
    for _ in range(2):
        basic.note_configured(cabinet.device, dialect.Configured(problem="INVALID_CONFIG"), at=cabinet.at)

    event = Event.objects.get(kind="wiring_refused")
    assert event.facts == {
        "locker": cabinet.device.locker.slug,
        "problem": "INVALID_CONFIG",
        "profile": "basic",
    }


@pytest.mark.parametrize("error", sorted(dialect.UNWIRED))
def test_a_client_that_does_not_know_its_wiring_any_more_is_told_again(
    cabinet: BasicCabinet, error: str
) -> None:
    basic.note_configured(
        cabinet.device, dialect.Configured(applied_hash=Wiring.usual([1, 2]).digest()), at=cabinet.at
    )

    cabinet.says("response", deposit(cabinet).pk, result="error", error_code=error)

    assert basic.wiring_to_tell(cabinet.device, real_at=cabinet.at) is not None


# Labelled where people see it.


@pytest.mark.parametrize("page", ["device", "locker", "opencommand", "deviceevent", "alarm", "basicsetup"])
def test_the_admin_pages_name_what_a_device_speaks(cabinet: BasicCabinet, client: Client, page: str) -> None:
    deposit(cabinet)
    alarms.raise_alarm(AlarmKind.OFFLINE, device=cabinet.device, at=cabinet.at, real_at=cabinet.at)
    client.force_login(get_user_model().objects.create_superuser("root"))

    answer = client.get(f"/admin/lockers/{page}/")

    assert answer.status_code == 200
    label = str(cabinet.device.pk) if page == "basicsetup" else "basic"
    assert label.lower() in answer.content.decode().lower().split('id="result_list"')[1]


def test_doors_and_compartments_of_a_basic_locker_are_those_of_any_other(cabinet: BasicCabinet) -> None:
    cabinet.shows(**{"1": "unknown", "2": "open"})

    assert compartment_of(cabinet.device.locker, 1).door == DoorState.UNKNOWN
    assert compartment_of(cabinet.device.locker, 2).verify_empty
