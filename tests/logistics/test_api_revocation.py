"""Rights taken back over the API: codes replaced, devices retired, tokens withdrawn; by dispatchers only."""

from typing import Any

import pytest
from pytest_django import Settings

from common.clock import real_now
from common.models import Event
from lockers.exceptions import BadProvisioningToken
from lockers.models import Device, LockerCode, ProvisioningToken
from lockers.services import basic as basic_devices
from lockers.services import codes, devices
from logistics.models import Bundle, Message, Role
from tests.logistics.builders import Village, a_client, a_user, at, clerk, dispatcher, driver, neighbour
from tests.logistics.driving import Drive

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)
    for module in ("devices", "resident"):
        monkeypatch.setattr(f"logistics.api.views.{module}.now", lambda: at(12))


class Town:
    """A village in whose locker a resident's goods lie."""

    def __init__(self) -> None:
        self.village = Village(with_counter=True)
        self.drive = Drive(self.village).start().load().deposit()
        self.bundle = Bundle.objects.select_related("reservation__code").get()
        locker = self.village.supply_point.locker
        assert locker is not None
        self.locker = locker
        self.dispatcher = dispatcher(self.village.region)

    @property
    def code(self) -> LockerCode:
        """The code of the goods, as stored."""
        return LockerCode.objects.get(reservations__bundle=self.bundle)

    def replace(self, client: Any) -> Any:
        """Ask for another code."""
        return client.post(f"{API}/bundles/{self.bundle.pk}/code/replace/")

    def address(self, rest: str) -> str:
        """Return an address of the locker."""
        return f"{API}/lockers/{self.locker.pk}/{rest}"


def test_a_dispatcher_gets_the_new_code_for_the_card_and_its_resident_is_told() -> None:
    town = Town()
    old = town.code

    answer = town.replace(town.dispatcher)

    old.refresh_from_db()
    assert (answer.status_code, old.state) == (201, "revoked")
    assert answer.headers["Cache-Control"] == "no-store"
    assert town.code != old
    assert answer.data["code"] == codes.digits_of(town.code)
    own = neighbour(town.village.resident).get(f"{API}/bundles/{town.bundle.pk}/code/")
    assert own.data == answer.data
    assert Message.objects.filter(kind="new_code", subject=town.bundle.pk, sent_at=None).exists()
    assert Event.objects.get(kind="code_revealed", facts__reason="reprint").facts["code"] == str(town.code.pk)


def test_a_code_that_has_ended_is_not_replaced() -> None:
    town = Town()
    codes.revoke(town.code, at=at(12))

    answer = town.replace(town.dispatcher)

    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")


def test_only_dispatchers_replace_codes() -> None:
    town = Town()
    point = town.village.supply_point
    helper = a_client(a_user(town.village.region, Role.COUNTER, supply_point=point))
    clients = [neighbour(town.village.resident), helper, clerk(town.village.shop)]
    clients.append(driver(town.village.shift.courier))
    before = town.code

    answers = [town.replace(client).status_code for client in clients]

    assert answers == [403, 404, 404, 404]
    assert town.code == before


def test_a_dispatcher_retires_a_device_and_its_locker_counts_as_offline() -> None:
    town = Town()
    path = town.address("device/")

    answers = [town.dispatcher.delete(path).status_code for _ in range(2)]

    assert answers == [204, 204]
    assert not Device.objects.in_service().filter(locker=town.locker).exists()
    [shown] = town.dispatcher.get(f"{API}/lockers/").data["results"]
    assert (shown["is_online"], shown["profile"]) == (False, None)
    opened = neighbour(town.village.resident).post(f"{API}/bundles/{town.bundle.pk}/open/")
    assert (opened.status_code, opened.json()["code"]) == (409, "locker-offline")


def test_a_dispatcher_takes_back_a_token_that_nobody_has_used() -> None:
    town = Town()
    made = town.dispatcher.post(town.address("tokens/")).data
    listed = town.dispatcher.get(town.address("tokens/")).data

    answers = [town.dispatcher.delete(town.address(f"tokens/{made['id']}/")) for _ in range(2)]

    assert [(row["id"], row["profile"]) for row in listed] == [(made["id"], "full")]
    assert [answer.status_code for answer in answers] == [204, 204]
    assert town.dispatcher.get(town.address("tokens/")).data == []
    with pytest.raises(BadProvisioningToken):
        devices.provision(token=made["token"], public_key="key", at=at(12), real_at=real_now())


def test_a_token_that_was_used_is_not_taken_back() -> None:
    town = Town()
    made = town.dispatcher.post(town.address("tokens/")).data
    devices.provision(token=made["token"], public_key="key", at=at(12), real_at=real_now())

    answer = town.dispatcher.delete(town.address(f"tokens/{made['id']}/"))

    assert (answer.status_code, answer.json()["code"]) == (409, "token-used")
    assert town.dispatcher.get(town.address("tokens/")).data == []


def test_the_token_of_another_locker_is_not_found() -> None:
    town, other = Town(), Village()
    assert other.supply_point.locker is not None
    devices.issue_token(other.supply_point.locker, real_at=real_now())
    token = ProvisioningToken.objects.get(locker=other.supply_point.locker)

    answer = town.dispatcher.delete(town.address(f"tokens/{token.pk}/"))

    assert answer.status_code == 404
    assert ProvisioningToken.objects.usable(at=real_now()).get() == token


def test_with_the_token_of_a_basic_device_goes_its_account_at_the_broker(settings: Settings) -> None:
    settings.BASIC_DEVICES, settings.MQTT_URL = True, "mqtts://dorfbote:secret@broker.example.org"
    town = Town()
    made = town.dispatcher.post(town.address("tokens/"), {"profile": "basic"}).data

    town.dispatcher.delete(town.address(f"tokens/{made['id']}/"))
    basic_devices.sweep(real_at=real_now())

    assert ProvisioningToken.objects.get(pk=made["id"]).setup.has_account is False
