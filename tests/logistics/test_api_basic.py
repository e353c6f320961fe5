"""Basic devices over the API: asked for by name, labelled wherever they are, and without codes."""

import csv
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from common.clock import real_now
from lockers import dialect
from lockers.alarms import AlarmKind
from lockers.models import (
    BasicSetup,
    Compartment,
    Device,
    LockerCode,
    OpenCommand,
    ProvisioningToken,
    Reservation,
)
from lockers.services import alarms, cabinets, codes, commands, devices, inbox
from lockers.services import basic as basic_devices
from lockers.sizes import Size
from logistics.models import Bundle, ReportKind
from logistics.services import runs
from tests.logistics.builders import Village, a_parcel, a_supply_point, at, dispatcher, driver, neighbour
from tests.logistics.driving import Drive, open_door

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture(autouse=True)
def _switched_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BASIC_DEVICES = True
    settings.MQTT_URL = "mqtts://dorfbote:secret@broker.example.org"
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


def a_basic_device(village: Village) -> Device:
    """Bring a basic device into service at the village's locker; it is online."""
    assert village.supply_point.locker is not None
    token, setup = basic_devices.issue_token(village.supply_point.locker, wiring=None, real_at=real_now())
    device = basic_devices.register(token=token, client_id=setup.pk, at=at(6), real_at=real_now())
    devices.hear(device, real_at=real_now())
    return device


class BasicDrive(Drive):
    """A released run to a village whose locker has a basic device."""

    def __init__(self) -> None:
        village = Village()
        village.order(a_parcel(Size.S))
        super().__init__(village)
        self.device = a_basic_device(village)
        self.bundle = Bundle.objects.get()


def tokens_of(village: Village) -> str:
    """Return where tokens for the village's locker are made."""
    return f"{API}/lockers/{village.supply_point.locker_id}/tokens/"


# Tokens.


def test_a_token_is_for_a_full_device_unless_somebody_says_otherwise() -> None:
    village = Village()

    answer = dispatcher(village.region).post(tokens_of(village))

    assert (answer.status_code, answer.data["profile"], answer.data["broker"]) == (201, "full", None)
    assert ProvisioningToken.objects.get().profile == "full"


def test_a_dispatcher_asks_for_a_basic_device_and_is_told_what_its_client_needs() -> None:
    village = Village()

    answer = dispatcher(village.region).post(tokens_of(village), {"profile": "basic"})

    setup = BasicSetup.objects.get()
    assert (answer.status_code, answer.data["profile"]) == (201, "basic")
    assert answer.headers["Cache-Control"] == "no-store"
    access = answer.data["broker"]
    assert (access["host"], access["port"]) == ("broker.example.org", 8883)
    assert (access["client_id"], access["username"]) == (str(setup.pk), f"newcomer-{setup.pk}")
    device = basic_devices.register(
        token=answer.data["token"], client_id=setup.pk, at=at(6), real_at=real_now()
    )
    assert device.locker == village.supply_point.locker


def test_a_dispatcher_says_how_the_cabinet_is_wired() -> None:
    village = Village()
    locks = [{"compartment_number": number, "board": 2, "channel": 8 - number} for number in range(1, 9)]

    answer = dispatcher(village.region).post(
        tokens_of(village),
        {"profile": "basic", "wiring": {"locks": locks, "adapter_type": "rs485_lock_board"}},
    )

    assert answer.status_code == 201
    assert BasicSetup.objects.get().wiring == {
        "locks": locks,
        "hardware": {"adapter_type": "rs485_lock_board"},
    }


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"profile": "other"}, 400, "invalid-input"),
        ({"wiring": {"locks": [{"compartment_number": 1, "board": 1, "channel": 0}]}}, 400, "invalid-input"),
        ({"profile": "basic", "wiring": {"locks": []}}, 400, "invalid-input"),
        ({"profile": "basic", "wiring": {"locks": [{"compartment_number": 1}]}}, 400, "invalid-input"),
        (
            {"profile": "basic", "wiring": {"locks": [{"compartment_number": 1, "board": 1, "channel": 0}]}},
            422,
            "wiring-does-not-fit",
        ),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(body: dict[str, Any], status: int, code: str) -> None:
    village = Village()

    answer = dispatcher(village.region).post(tokens_of(village), body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not ProvisioningToken.objects.exists()


def test_where_basic_devices_are_off_none_is_let_in(settings: Settings) -> None:
    settings.BASIC_DEVICES = False
    village = Village()

    answer = dispatcher(village.region).post(tokens_of(village), {"profile": "basic"})

    assert (answer.status_code, answer.json()["code"]) == (409, "basic-devices-off")


# Labels.


def test_lockers_say_what_their_devices_speak(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    village = Village()
    a_basic_device(village)
    other = a_supply_point(village.region).locker
    assert other is not None
    Device.objects.create(locker=other, public_key="key", provisioned_at=real_now())
    third = a_supply_point(village.region).locker
    assert third is not None
    client = dispatcher(village.region)

    # Memberships; lockers with their place, what their device speaks and whether it is online; compartments.
    with django_assert_num_queries(3):
        listed = client.get(f"{API}/lockers/").data["results"]

    assert {row["slug"]: row["profile"] for row in listed} == {
        getattr(village.supply_point.locker, "slug", ""): "basic",
        other.slug: "full",
        third.slug: None,
    }


def test_an_alarm_says_what_the_device_speaks(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    village = Village()
    device = a_basic_device(village)
    alarms.raise_alarm(AlarmKind.OFFLINE, device=device, at=at(9), real_at=at(9))
    client = dispatcher(village.region)

    # Memberships; alarms with locker, door and device.
    with django_assert_num_queries(2):
        [alarm] = client.get(f"{API}/alarms/").data["results"]

    assert alarm["profile"] == "basic"


def test_couriers_and_residents_are_told_where_a_locker_is_basic() -> None:
    drive = BasicDrive()
    courier, resident = driver(drive.village.shift.courier), neighbour(drive.village.resident)

    stops = courier.get(f"{API}/runs/{drive.run.pk}/").data["stops"]
    [bundle] = resident.get(f"{API}/bundles/").data["results"]

    assert [stop["locker_profile"] for stop in stops] == [None, None, "basic", None]
    assert bundle["locker_profile"] == "basic"


def test_who_looks_into_a_basic_locker_is_told_in_every_list() -> None:
    drive = Drive().start().load().deposit()
    a_basic_device(drive.village)
    compartment = Compartment.objects.get(reservations__bundle__isnull=False)
    cabinets.demand_check(compartment, reason="test", at=at(12))
    Reservation.objects.update(state="overdue")
    client, sheet = dispatcher(drive.village.region), f"{API}/lockers/{compartment.locker_id}/sheet/"

    lists = [client.get(f"{API}/{name}/").data["results"] for name in ("checks", "overdue")]
    lists.append(client.get(sheet).data["compartments"])
    printed = client.get(sheet, headers={"Accept": "text/csv"}).content.decode()

    assert [{row["locker_profile"] for row in rows} for rows in lists] == [{"basic"}] * 3
    assert {line["locker_profile"] for line in csv.DictReader(StringIO(printed))} == {"basic"}


def test_who_opens_a_door_of_a_basic_locker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.api.views.courier.now", lambda: at(11))
    drive = BasicDrive()
    drive.start()
    courier = driver(drive.village.shift.courier)

    answer = courier.post(
        f"{API}/runs/{drive.run.pk}/stops/{drive.point_stop.pk}/open/", {"bundle": str(drive.bundle.pk)}
    )

    assert (answer.status_code, answer.data["profile"]) == (202, "basic")


# No codes.


def test_the_code_of_goods_in_a_basic_locker_is_not_shown() -> None:
    drive = BasicDrive()
    resident = neighbour(drive.village.resident)
    bundle = f"{API}/bundles/{drive.bundle.pk}"

    shown = resident.get(f"{bundle}/code/")
    given = resident.put(f"{bundle}/helpers/{uuid4()}/")

    for answer in (shown, given):
        assert (answer.status_code, answer.json()["code"]) == (409, "no-keypad")
    assert not LockerCode.objects.exclude(on_behalf_of=None).exists()


def test_a_helpers_code_can_be_taken_back_after_its_locker_became_basic() -> None:
    drive = Drive()
    bundle, helper = Bundle.objects.select_related("reservation__code").get(), uuid4()
    assert bundle.reservation is not None
    assert bundle.reservation.code is not None
    given = codes.issue_for_helper(bundle.reservation.code, helper=helper, at=at(9))
    a_basic_device(drive.village)

    answer = neighbour(drive.village.resident).delete(f"{API}/bundles/{bundle.pk}/helpers/{helper}/")

    given.refresh_from_db()
    assert (answer.status_code, given.is_live) == (204, False)


def test_a_courier_is_given_no_codes_for_a_basic_locker() -> None:
    drive = BasicDrive()
    drive.start()

    assert runs.deposit_codes(drive.run, at=at(10)) == []
    devices.retire(drive.device, real_at=real_now())
    assert len(runs.deposit_codes(drive.run, at=at(10))) == 1


def test_a_resident_opens_online_and_is_told_the_truth_when_that_cannot_be() -> None:
    drive = BasicDrive()
    drive.start().load()
    command = open_door(drive.point_stop, drive.bundle)
    assert commands.claim(command)
    for state in ("open", "closed"):
        said = dialect.Said(
            message_id=state,
            transaction_id=None,
            kind="compartments",
            data={
                "compartments": [
                    {"compartment_number": command.compartment.number, "door_state": state},
                ]
            },
            reported_at=real_now(),
        )
        basic_devices.take(drive.device, said, is_kept=False, real_at=real_now())
        inbox.apply(drive.device.pk, at=at(11))
    drive.report(drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)), received_at=at(11))
    resident, address = neighbour(drive.village.resident), f"{API}/bundles/{drive.bundle.pk}/open/"

    devices.suspect(drive.device.pk, real_at=real_now())
    refused = resident.post(address)
    Device.objects.filter(pk=drive.device.pk).update(last_seen_at=real_now())
    opened = resident.post(address)

    assert (refused.status_code, refused.json()["code"]) == (409, "locker-offline")
    assert "keypad" not in refused.json()["detail"]
    assert (opened.status_code, opened.data["profile"]) == (202, "basic")
    assert OpenCommand.objects.count() == 2
