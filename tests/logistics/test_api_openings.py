"""Opened doors over the API: what became of them, that everything was taken, that something is wrong."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from common.models import Event
from lockers.models import Compartment, OpenCommand
from lockers.services import cabinets, commands
from lockers.states import CommandState, CompartmentState
from logistics.models import Bundle, Message, Parcel, ReportKind, Role
from tests.logistics.builders import (
    Village,
    a_client,
    a_resident,
    a_user,
    at,
    clerk,
    dispatcher,
    driver,
    neighbour,
)
from tests.logistics.doors import Cabinet
from tests.logistics.driving import Drive, open_door
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1"


@pytest.fixture(autouse=True)
def _at_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)
    for module in ("compartments", "resident"):
        monkeypatch.setattr(f"logistics.api.views.{module}.now", lambda: at(17))


class Brought:
    """A village in whose locker a resident's goods lie, or are about to."""

    def __init__(self) -> None:
        self.village = Village(with_counter=True)
        self.drive = Drive(self.village).start().load()
        self.bundle = Bundle.objects.select_related("reservation").get()
        self.resident = neighbour(self.village.resident)
        self.courier = driver(self.village.shift.courier)
        self.dispatcher = dispatcher(self.village.region)
        point = self.village.supply_point
        self.helper_account = a_user(self.village.region, Role.COUNTER, supply_point=point)
        self.helper = a_client(self.helper_account)

    @property
    def cabinet(self) -> Cabinet:
        """The locker's device."""
        assert self.drive.cabinet is not None
        return self.drive.cabinet

    @property
    def door(self) -> Compartment:
        """The compartment of the goods, as stored."""
        return Compartment.objects.get(reservations__bundle=self.bundle)

    @property
    def strangers(self) -> list[APIClient]:
        """Those of the same region whom it does not concern."""
        return [clerk(self.village.shop), neighbour(a_resident(self.village.region))]

    def deposit(self) -> "Brought":
        """Let the courier put the goods in."""
        self.drive.deposit()
        return self

    def post(self, client: APIClient, verb: str, body: Any = None) -> Any:
        """Do something with the bundle."""
        return client.post(f"{API}/bundles/{self.bundle.pk}/{verb}/", body or {})

    def open(self) -> OpenCommand:
        """Have the resident open the door."""
        return OpenCommand.objects.get(pk=self.post(self.resident, "open").data["id"])

    def collect(self) -> None:
        """Have the resident open the door and close it."""
        self.cabinet.open_and_close(self.open(), at=at(17))


def shown(client: APIClient, command: OpenCommand) -> Any:
    """Return what somebody is shown of an opening."""
    answer = client.get(f"{API}/openings/{command.pk}/")
    assert answer.status_code == 200
    return answer.json()


def told(client: APIClient, command: OpenCommand) -> tuple[Any, ...]:
    """Return what somebody is told to do about an opening."""
    content = shown(client, command)
    return content["state"], content["door"], content["is_settled"], content["use_keypad"]


def test_an_opening_without_an_answer_is_shown_as_unknown_and_amended_later() -> None:
    day = Brought().deposit()
    command = day.open()
    waiting = told(day.resident, command)

    commands.hand_out(command.device, real_at=command.created_at, except_for=frozenset())
    commands.sweep(real_at=command.expires_at + timedelta(minutes=1))
    unknown = told(day.resident, command)
    day.cabinet.open_and_close(command, at=at(17))

    assert waiting == ("created", "closed", False, False)
    assert unknown == ("unknown", "closed", True, True)
    assert told(day.resident, command) == ("opened", "closed", True, False)


def test_an_opening_that_was_refused_says_why() -> None:
    day = Brought().deposit()
    command = day.open()

    commands.sweep(real_at=command.expires_at + timedelta(seconds=1))

    content = shown(day.resident, command)
    assert (content["state"], content["reason"], content["use_keypad"]) == ("refused", "expired", True)


def test_of_a_door_that_jams_the_keypad_is_no_way_out() -> None:
    day = Brought().deposit()
    command = day.open()

    day.cabinet.jam(command, at=at(17))

    assert told(day.resident, command) == ("jammed", "jammed", True, False)


def test_a_basic_locker_has_no_keypad_to_try() -> None:
    day = Brought().deposit()
    command = day.open()
    commands.sweep(real_at=command.expires_at + timedelta(seconds=1))
    locker = command.device.locker
    locker.devices.update(profile="basic", public_key="")

    assert shown(day.resident, command)["use_keypad"] is False
    assert shown(day.resident, command)["profile"] == "basic"


def test_who_asked_for_an_opening_sees_what_became_of_it_and_nobody_else() -> None:
    day = Brought()
    brought = open_door(day.drive.point_stop, day.bundle)
    day.cabinet.open_and_close(brought, at=at(11))
    day.drive.report(day.drive.tap(ReportKind.DEPOSITED, day.drive.point_stop, made_at=at(11)))
    collected = day.open()
    commands.sweep(real_at=collected.expires_at + timedelta(seconds=1))
    cabinets.demand_check(day.door, reason="test", at=at(17))
    number, locker = day.door.number, day.door.locker_id
    looked = day.helper.post(f"{API}/lockers/{locker}/compartments/{number}/open/").data["id"]
    openings = (brought.pk, collected.pk, looked)
    clients = [day.courier, day.resident, day.helper, day.dispatcher, *day.strangers]

    seen = [[client.get(f"{API}/openings/{pk}/").status_code for pk in openings] for client in clients]

    assert seen == [
        [200, 404, 404],
        [404, 200, 404],
        [404, 404, 200],
        [200, 200, 200],
        [404, 404, 404],
        [404, 404, 404],
    ]


def test_a_courier_sees_an_opening_for_goods_that_went_elsewhere_since() -> None:
    day = Brought()
    command = open_door(day.drive.point_stop, day.bundle)
    day.bundle.reservation = None
    day.bundle.save()

    assert shown(day.courier, command)["state"] == CommandState.CREATED


def test_done_and_empty_the_compartment_is_free_at_once_and_saying_so_twice_is_harmless() -> None:
    day = Brought().deposit()
    door = day.door
    day.collect()

    answers = [day.post(day.resident, "done") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].data["code_state"] == "used"
    door.refresh_from_db()
    assert (door.state, door.verify_empty) == (CompartmentState.FREE, False)
    assert Parcel.objects.get().state == "collected"


def test_nobody_is_done_before_the_door_was_open() -> None:
    day = Brought().deposit()
    command = day.open()
    commands.sweep(real_at=command.expires_at + timedelta(seconds=1))
    early = day.post(day.resident, "done")
    day.cabinet.open_and_close(command, at=at(17))

    assert (early.status_code, early.json()["code"]) == (409, "not-deposited")
    assert Parcel.objects.get().state == "deposited"
    assert day.post(day.resident, "done").status_code == 200
    assert Parcel.objects.get().state == "collected"


def test_only_the_resident_is_done() -> None:
    day = Brought().deposit()
    day.collect()

    assert day.post(day.dispatcher, "done").status_code == 403
    assert [day.post(client, "done").status_code for client in [day.courier, day.helper]] == [404, 404]
    assert Parcel.objects.get().state == "deposited"


@pytest.mark.parametrize("role", ["resident", "counter", "dispatcher"])
def test_a_resident_says_what_is_wrong_or_has_it_said_and_that_is_on_record(role: str) -> None:
    day = Brought().deposit()
    client = {"resident": day.resident, "counter": day.helper, "dispatcher": day.dispatcher}[role]

    answer = day.post(client, "problem", {"reason": "not_mine"})

    assert (answer.status_code, answer.data["code_state"]) == (200, "frozen")
    assert (day.door.state, day.door.trouble) == (CompartmentState.NEEDS_CHECK, "not_mine")
    assert Event.objects.get(kind="complaint_made").facts["role"] == role
    refused = day.post(day.resident, "open")
    assert (refused.status_code, refused.json()["code"]) == (409, "code-frozen")
    [waiting] = day.helper.get(f"{API}/checks/").json()["results"]
    assert (waiting["number"], waiting["content"]["bundle"]) == (day.door.number, str(day.bundle.pk))


def test_after_the_check_the_goods_can_be_collected_and_their_resident_is_told() -> None:
    day = Brought().deposit()
    day.collect()
    day.post(day.resident, "problem", {"reason": "still_inside"})
    path = f"{API}/lockers/{day.door.locker_id}/compartments/{day.door.number}/settle/"

    settled = day.helper.post(path, {"found": "as_claimed"})

    assert (settled.status_code, settled.data["state"]) == (200, "occupied")
    assert day.resident.get(f"{API}/bundles/").data["results"][0]["code_state"] == "active"
    kinds = Message.objects.filter(subject=day.bundle.pk).values_list("kind", flat=True)
    assert {"out_of_reach", "within_reach"} <= set(kinds)
    assert day.post(day.resident, "open").status_code == 202


@pytest.mark.parametrize("body", [{}, {"reason": "ugly"}])
def test_a_complaint_that_makes_no_sense_is_refused(body: dict[str, str]) -> None:
    day = Brought().deposit()

    answer = day.post(day.resident, "problem", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


def test_nobody_complains_of_what_does_not_lie_there_or_is_not_theirs() -> None:
    day = Brought()

    early = day.post(day.resident, "problem", {"reason": "damaged"})
    day.deposit()
    strangers = [*day.strangers, day.courier]

    assert (early.status_code, early.json()["code"]) == (409, "not-deposited")
    for client in strangers:
        assert day.post(client, "problem", {"reason": "damaged"}).status_code == 404
    assert day.door.state == CompartmentState.OCCUPIED


def test_at_a_counter_nothing_is_opened_done_or_frozen() -> None:
    day = Brought()
    day.bundle.reservation = None
    day.bundle.save()

    for verb, body in (("done", {}), ("problem", {"reason": "damaged"})):
        answer = day.post(day.resident, verb, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing-to-open")
