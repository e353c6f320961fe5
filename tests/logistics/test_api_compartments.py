"""Those who look into lockers, over the API: checks, blocks, the sheet, what is overdue, more time."""

import csv
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from common.clock import real_now
from common.models import Event
from lockers.models import Compartment, OpenCommand
from lockers.services import cabinets, sweeps
from lockers.sizes import Size, Temperature
from lockers.states import CompartmentState
from logistics.models import Bundle, Message, Parcel, Role, User
from tests.logistics.builders import (
    Village,
    a_client,
    a_key,
    a_parcel,
    a_pool,
    a_resident,
    a_user,
    an_order,
    at,
    clerk,
    dispatcher,
    driver,
    neighbour,
)
from tests.logistics.driving import Drive
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1"
CHECKS, OVERDUE = f"{API}/checks/", f"{API}/overdue/"
SMALL = (Size.S, Temperature.AMBIENT)


@pytest.fixture(autouse=True)
def _at_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)
    for module in ("compartments", "resident"):
        monkeypatch.setattr(f"logistics.api.views.{module}.now", lambda: at(17))


class Deposited:
    """A village in whose locker the goods of some residents lie since eleven."""

    def __init__(self, number: int = 1) -> None:
        self.village = Village(compartments=[SMALL] * (number + 1))
        self.village.order(a_parcel(Size.S))
        for _ in range(number - 1):
            resident = a_resident(self.village.region, supply_point=self.village.supply_point)
            an_order(shop=self.village.shop, resident=resident)
        self.drive = Drive(self.village).start().load().deposit()
        self.bundle = Bundle.objects.select_related("reservation__compartment").get(
            resident=self.village.resident
        )
        locker = self.village.supply_point.locker
        assert locker is not None
        self.locker = locker
        self.dispatcher = dispatcher(self.village.region)
        self.helper_account = a_user(
            self.village.region, Role.COUNTER, supply_point=self.village.supply_point
        )
        self.helper = a_client(self.helper_account)
        self.resident = neighbour(self.village.resident)

    @property
    def door(self) -> Compartment:
        """The compartment in which the resident's goods lie, as stored."""
        return Compartment.objects.get(reservations__bundle=self.bundle)

    @property
    def empty_door(self) -> Compartment:
        """A compartment in which nothing lies, as stored."""
        return Compartment.objects.filter(locker=self.locker, reservations=None).order_by("number").first()  # type: ignore[return-value]

    @property
    def others(self) -> list[APIClient]:
        """Those who do not look into lockers."""
        shift = self.village.shift
        return [clerk(self.village.shop), driver(shift.courier), self.resident]

    def post(self, client: APIClient, verb: str, body: Any = None, *, door: Compartment | None = None) -> Any:
        """Do something with a compartment."""
        number = (door or self.door).number
        return client.post(f"{API}/lockers/{self.locker.pk}/compartments/{number}/{verb}/", body or {})

    def check_all(self) -> None:
        """Have every compartment checked, one after another."""
        for minute, door in enumerate(Compartment.objects.filter(locker=self.locker).order_by("number")):
            cabinets.demand_check(door, reason="test", at=at(12, minute))

    def let_time_end(self) -> datetime:
        """Let the holding time end, and return when it did."""
        assert self.bundle.reservation is not None
        until = self.bundle.reservation.hold_until
        assert until is not None
        sweeps.sweep(at=until + timedelta(seconds=1))
        return until


def listed(client: APIClient, path: str = CHECKS) -> list[dict[str, Any]]:
    """Return a list that somebody is shown."""
    answer = client.get(path)
    assert answer.status_code == 200
    return list(answer.json()["results"])


def test_the_queue_says_why_since_when_and_what_should_lie_there() -> None:
    day = Deposited()
    cabinets.demand_check(day.door, reason="door_left_open", at=at(12))
    parcel = Parcel.objects.select_related("order").get(bundle=day.bundle)

    [row] = listed(day.dispatcher)

    assert row == {
        "locker_id": str(day.locker.pk),
        "locker": day.locker.slug,
        "locker_profile": "full",
        "supply_point": str(day.village.supply_point.pk),
        "village": day.village.supply_point.village,
        "number": day.door.number,
        "size": "S",
        "temperature": "ambient",
        "height": "reachable",
        "state": "needs_check",
        "door": "closed",
        "verify_empty": False,
        "trouble": "door_left_open",
        "trouble_note": "",
        "trouble_since": "2026-11-24T12:00:00+01:00",
        "content": {
            "bundle": str(day.bundle.pk),
            "state": "deposited",
            "since": "2026-11-24T11:00:00+01:00",
            "hold_until": "2026-11-26T19:00:00+01:00",
            "parcels": [
                {
                    "id": str(parcel.pk),
                    "sticker": parcel.sticker,
                    "order": str(parcel.order_id),
                    "shop": str(day.village.shop.pk),
                    "shop_name": day.village.shop.name,
                    "size": "S",
                    "temperature": "ambient",
                    "weight_g": parcel.weight_g,
                    "state": "deposited",
                }
            ],
            "run": {"id": str(day.drive.run.pk), "letter": "A", "state": "under_way"},
            "resident": {
                "card_number": day.village.resident.card_number,
                "name": day.village.resident.name,
            },
        },
    }


def test_helpers_of_the_supply_point_see_its_queue_but_not_whose_goods_they_are() -> None:
    day = Deposited()
    cabinets.demand_check(day.door, reason="test", at=at(12))

    [row] = listed(day.helper)

    assert row["content"]["bundle"] == str(day.bundle.pk)
    assert row["content"]["resident"] is None


def test_nobody_else_sees_or_touches_compartments() -> None:
    day, elsewhere = Deposited(), Deposited()
    for one in (day, elsewhere):
        cabinets.demand_check(one.door, reason="test", at=at(12))
        one.let_time_end()

    for client in [*day.others, elsewhere.dispatcher, elsewhere.helper]:
        assert str(day.locker.pk) not in {row["locker_id"] for row in listed(client)}
        assert str(day.bundle.pk) not in {row["id"] for row in listed(client, OVERDUE)}
        assert client.get(f"{API}/lockers/{day.locker.pk}/sheet/").status_code == 404
        for verb in ("open", "settle", "differences", "block", "unblock"):
            assert day.post(client, verb).status_code == 404, verb
    assert a_client().get(CHECKS).status_code == 401


def test_the_queue_comes_in_pages_the_longest_waiting_first() -> None:
    day = Deposited(number=3)
    day.check_all()

    seen, address = [], f"{CHECKS}?page_size=3"
    while address:
        page = day.dispatcher.get(address).json()
        seen.append([row["number"] for row in page["results"]])
        address = page["next"]

    assert seen == [[1, 2, 3], [4]]


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(
    ("path", "queries"),
    [
        # Memberships; compartments with place; claims with bundle and resident; parcels with shop; runs.
        ("checks/", 5),
        ("lockers/{locker}/sheet/", 5),
        # Memberships; bundles with place, claim and door; parcels with shop.
        ("overdue/", 3),
    ],
)
def test_lists_cost_the_same_queries_whatever_their_length(
    number: int, path: str, queries: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    day = Deposited(number=number)
    if path == "overdue/":
        day.let_time_end()
    else:
        day.check_all()
    client = dispatcher(day.village.region)

    with django_assert_num_queries(queries):
        answer = client.get(f"{API}/{path.format(locker=day.locker.pk)}")

    content = answer.json()
    assert len(content.get("results", content.get("compartments"))) >= number


def test_a_helper_opens_looks_and_settles_and_the_account_is_on_record() -> None:
    day = Deposited()
    reported = day.post(day.helper, "differences", {"difference": "wrong_goods", "note": "Smells of fish"})
    opened = day.post(day.helper, "open")
    settled = day.post(day.helper, "settle", {"found": "as_claimed"})

    assert (reported.status_code, reported.data["state"]) == (200, "needs_check")
    assert (reported.data["trouble"], reported.data["trouble_note"]) == ("wrong_goods", "Smells of fish")
    assert opened.status_code == 202
    assert OpenCommand.objects.get(pk=opened.data["id"]).purpose == "operator"
    assert (settled.status_code, settled.data["state"], settled.data["trouble"]) == (200, "occupied", "")
    done = Event.objects.filter(facts__by=str(day.helper_account.pk)).order_by("pk")
    assert [event.kind for event in done] == [
        "difference_reported",
        "opened_for_check",
        "compartment_checked",
    ]


@pytest.mark.parametrize(
    ("verb", "body", "status", "code"),
    [
        ("open", {}, 409, "compartment-in-use"),
        ("settle", {"found": "as_claimed"}, 409, "compartment-in-use"),
        ("settle", {"found": "gold"}, 400, "invalid-input"),
        ("settle", {"found": "unclaimed"}, 400, "invalid-input"),
        ("differences", {"difference": "dusty"}, 400, "invalid-input"),
        ("block", {}, 400, "invalid-input"),
        ("block", {"note": "x" * 201}, 400, "invalid-input"),
    ],
)
def test_what_makes_no_sense_is_refused(verb: str, body: dict[str, str], status: int, code: str) -> None:
    day = Deposited()

    answer = day.post(day.dispatcher, verb, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert day.door.state == CompartmentState.OCCUPIED


@pytest.mark.parametrize(
    ("found", "has_goods", "code"),
    [("empty", True, "goods-claimed"), ("as_claimed", False, "nothing-claimed")],
)
def test_what_contradicts_the_claims_is_refused(found: str, has_goods: bool, code: str) -> None:
    day = Deposited()
    door = day.door if has_goods else day.empty_door
    cabinets.demand_check(door, reason="test", at=at(12))

    answer = day.post(day.dispatcher, "settle", {"found": found}, door=door)

    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_goods_that_nobody_claims_stay_in_the_queue_under_a_note() -> None:
    day = Deposited()
    cabinets.demand_check(day.empty_door, reason="not_empty", at=at(12))
    [waiting] = listed(day.helper)
    door = Compartment.objects.get(locker=day.locker, number=waiting["number"])

    day.post(day.helper, "settle", {"found": "unclaimed", "note": "A crate of apples"}, door=door)

    [row] = listed(day.helper)
    assert (row["trouble"], row["trouble_note"], row["content"]) == (
        "unclaimed_goods",
        "A crate of apples",
        None,
    )


def test_a_resident_is_told_while_the_goods_are_out_of_reach_and_when_they_are_back() -> None:
    day = Deposited()

    blocked = day.post(day.dispatcher, "block", {"note": "Hinge broken"})
    refused = day.resident.post(f"{API}/bundles/{day.bundle.pk}/open/")
    unblocked = day.post(day.dispatcher, "unblock")
    opened = day.resident.post(f"{API}/bundles/{day.bundle.pk}/open/")

    assert (blocked.data["state"], blocked.data["content"]["bundle"]) == (
        "out_of_service",
        str(day.bundle.pk),
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "compartment-unavailable")
    assert (unblocked.data["state"], opened.status_code) == ("occupied", 202)
    told = Message.objects.filter(subject=day.bundle.pk).order_by("created_at", "kind")
    assert [message.kind for message in told][-2:] == ["out_of_reach", "within_reach"]
    events = Event.objects.filter(facts__bundle=str(day.bundle.pk), kind__startswith="goods_")
    assert [event.kind for event in events.order_by("pk")] == ["goods_out_of_reach", "goods_within_reach"]


def test_a_resident_is_told_again_of_a_second_time_out_of_reach() -> None:
    day = Deposited()
    day.post(day.dispatcher, "block", {"note": "Hinge broken"})
    day.post(day.dispatcher, "unblock")
    Message.objects.filter(kind="out_of_reach").update(sent_at=at(17))

    day.post(day.dispatcher, "block", {"note": "Hinge broken again"})

    assert Message.objects.get(kind="out_of_reach").sent_at is None


def test_missing_goods_are_lost_and_their_resident_is_told() -> None:
    day = Deposited()
    day.post(day.dispatcher, "differences", {"difference": "missing_goods"})

    day.post(day.dispatcher, "settle", {"found": "missing"})

    parcel = Parcel.objects.get(bundle=day.bundle)
    assert (parcel.state, parcel.reason) == ("lost", "not-in-compartment")
    assert Message.objects.filter(kind="missing", resident=day.village.resident).count() == 1


def test_only_dispatchers_block_and_settle_what_is_out_of_service() -> None:
    day = Deposited()

    blocked = day.post(day.helper, "block", {"note": "I say so"})
    day.post(day.dispatcher, "block", {"note": "Hinge broken"})
    answers = [
        day.post(day.helper, verb, body)
        for verb, body in (("unblock", {}), ("settle", {"found": "as_claimed"}))
    ]

    assert [answer.status_code for answer in (blocked, *answers)] == [403, 403, 403]
    assert day.door.state == CompartmentState.OUT_OF_SERVICE
    assert day.post(day.helper, "open").status_code == 202
    assert day.post(day.dispatcher, "settle", {"found": "as_claimed"}).data["state"] == "occupied"


def test_the_sheet_says_what_should_lie_behind_every_door() -> None:
    day = Deposited()

    sheet = day.helper.get(f"{API}/lockers/{day.locker.pk}/sheet/").json()

    assert (sheet["locker"], sheet["made_at"]) == (day.locker.slug, "2026-11-24T17:00:00+01:00")
    told = {row["number"]: row["content"] and row["content"]["bundle"] for row in sheet["compartments"]}
    assert told == {day.door.number: str(day.bundle.pk), day.empty_door.number: None}


@pytest.mark.parametrize("how", [{"headers": {"Accept": "text/csv"}}, {"query": "?format=csv"}])
def test_the_sheet_is_printed_with_a_column_to_tick_and_one_to_write_in(how: dict[str, Any]) -> None:
    day = Deposited()

    answer = day.dispatcher.get(
        f"{API}/lockers/{day.locker.pk}/sheet/{how.get('query', '')}", headers=how.get("headers")
    )

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = {line["compartment"]: line for line in csv.DictReader(StringIO(answer.content.decode()))}
    assert lines[str(day.door.number)] == {
        "compartment": str(day.door.number),
        "size": "S",
        "temperature": "ambient",
        "height": "reachable",
        "state": "occupied",
        "door": "closed",
        "locker_profile": "full",
        "bundle": str(day.bundle.pk),
        "parcels": Parcel.objects.get(bundle=day.bundle).sticker,
        "since": "2026-11-24T11:00:00+01:00",
        "hold_until": "2026-11-26T19:00:00+01:00",
        "as_listed": "",
        "difference": "",
    }
    assert lines[str(day.empty_door.number)]["state"] == "free"


def test_a_sheet_that_one_may_not_see_is_refused_as_csv_too() -> None:
    day = Deposited()

    answer = day.resident.get(f"{API}/lockers/{day.locker.pk}/sheet/?format=csv")

    assert (answer.status_code, b"not-found" in answer.content) == (404, True)


def test_what_is_overdue_is_listed_with_its_place_and_shop() -> None:
    day = Deposited()
    until = day.let_time_end()
    parcel = Parcel.objects.get(bundle=day.bundle)

    [row] = listed(day.dispatcher, OVERDUE)

    assert (row["locker"], row["compartment_number"]) == (day.locker.slug, day.door.number)
    assert datetime.fromisoformat(row["overdue_since"]) == until
    assert [(one["id"], one["shop_name"]) for one in row["parcels"]] == [
        (str(parcel.pk), day.village.shop.name)
    ]


def test_nothing_is_listed_as_overdue_that_may_still_be_collected() -> None:
    day = Deposited()

    assert listed(day.dispatcher, OVERDUE) == []


def extend(client: APIClient, bundle: Bundle, key: dict[str, str] | None = None) -> Any:
    """Ask for more time."""
    return client.post(f"{API}/bundles/{bundle.pk}/extend/", headers=key or a_key())


def test_a_resident_asks_for_more_time_and_a_request_sent_twice_gives_one_day() -> None:
    day = Deposited()
    key = a_key()

    first, again = extend(day.resident, day.bundle, key), extend(day.resident, day.bundle, key)

    assert first.data == {
        "bundles": [
            {
                "bundle": str(day.bundle.pk),
                "hold_until": "2026-11-27T19:00:00+01:00",
                "is_extended": True,
                "code": "",
                "detail": "",
            }
        ]
    }
    assert again.json() == first.json()
    [bundle] = day.resident.get(f"{API}/bundles/").json()["results"]
    assert datetime.fromisoformat(bundle["hold_until"]) == at(19) + timedelta(days=3)


@pytest.mark.parametrize("role", ["resident", "counter", "dispatcher"])
def test_helpers_and_the_phone_desk_ask_for_a_resident_and_that_is_on_record(role: str) -> None:
    day = Deposited()
    client = {"resident": day.resident, "counter": day.helper, "dispatcher": day.dispatcher}[role]

    assert extend(client, day.bundle).status_code == 200

    facts = Event.objects.get(kind="hold_extended").facts
    assert facts["role"] == role
    assert User.objects.get(pk=facts["by"]).memberships.get().role == role


def test_nobody_else_asks_for_more_time() -> None:
    day = Deposited()
    elsewhere = Village(with_counter=True)
    strangers = [
        clerk(day.village.shop),
        driver(day.village.shift.courier),
        neighbour(a_resident(day.village.region)),
        a_client(a_user(day.village.region, Role.COUNTER, supply_point=elsewhere.supply_point)),
        dispatcher(elsewhere.region),
    ]

    assert [extend(client, day.bundle).status_code for client in strangers] == [404] * len(strangers)


def test_a_refusal_of_more_time_says_until_when_the_goods_can_stay() -> None:
    day = Deposited()
    a_pool(day.village.region, day=at(0).date() + timedelta(days=1), opened_at=at(10))
    for _ in range(2):
        resident = a_resident(day.village.region, supply_point=day.village.supply_point)
        an_order(shop=day.village.shop, resident=resident, listed_at=at(16))

    answer = extend(day.resident, day.bundle)

    assert (answer.status_code, answer.json()["code"]) == (409, "compartment-needed")
    assert "until 2026-11-26T19:00+01:00" in answer.json()["detail"]


def test_a_courier_is_told_where_goods_go_and_whether_to_look_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.api.views.courier.now", lambda: at(11))
    village = Village(compartments=[SMALL], with_counter=True)
    drive = Drive(village).start().load()
    bundle = Bundle.objects.get()
    Compartment.objects.update(verify_empty=True)
    courier = driver(village.shift.courier)
    path = f"{API}/runs/{drive.run.pk}"

    opened = courier.post(f"{path}/stops/{drive.point_stop.pk}/open/", {"bundle": str(bundle.pk)})
    assert drive.cabinet is not None
    drive.cabinet.open_and_close(OpenCommand.objects.get(pk=opened.data["id"]), at=at(11))
    tap = {
        "key": a_key()["Idempotency-Key"],
        "kind": "problem",
        "reason": "not_empty",
        "stop": str(drive.point_stop.pk),
        "bundle": str(bundle.pk),
        "compartment_number": 1,
        "made_at": at(11).isoformat(),
    }
    answer = courier.post(f"{path}/reports/", {"taps": [tap]}, headers=a_key())
    stops = courier.get(f"{path}/").data["stops"]

    assert opened.data["verify_empty"] is True
    assert answer.json() == {
        "num_new": 1,
        "instructions": [
            {
                "bundle": str(bundle.pk),
                "action": "hand_in",
                "stop": str(drive.point_stop.pk),
                "supply_point": str(village.supply_point.pk),
                "supply_point_name": village.supply_point.name,
            }
        ],
    }
    [shown] = [stop for stop in stops if stop["kind"] == "supply_point"]
    assert [parcel["at_locker"] for parcel in shown["parcels"]] == [False]


def test_that_a_compartment_is_empty_is_said_of_a_compartment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.api.views.courier.now", lambda: at(11))
    drive = Drive().start().load()
    tap = {
        "key": a_key()["Idempotency-Key"],
        "kind": "empty",
        "stop": str(drive.point_stop.pk),
        "made_at": at(11).isoformat(),
    }

    answer = driver(drive.village.shift.courier).post(
        f"{API}/runs/{drive.run.pk}/reports/", {"taps": [tap]}, headers=a_key()
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")
    assert "compartment_number" in answer.json()["detail"]


def test_an_opening_for_a_check_needs_a_locker_that_can_be_reached() -> None:
    day = Deposited()
    cabinets.demand_check(day.door, reason="test", at=at(12))
    day.locker.devices.update(last_seen_at=real_now() - timedelta(hours=1))

    answer = day.post(day.helper, "open")

    assert (answer.status_code, answer.json()["code"]) == (409, "locker-offline")
