"""A day over the API, as dispatcher, courier, resident and counter go through it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from common import intents
from common.clock import real_now
from common.models import Intent
from lockers.models import Device, OpenCommand
from lockers.sizes import Size, Temperature
from logistics.models import Bundle, Courier, Plan, Run
from tests.logistics.builders import (
    Village,
    a_client,
    a_key,
    a_parcel,
    a_user,
    at,
    dispatcher,
    driver,
    neighbour,
)
from tests.logistics.doors import Cabinet
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1"


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


class Clock:
    """Business time as a test sets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = at(7)
        for module in ("orders", "dispatch", "courier", "resident", "accounts"):
            monkeypatch.setattr(f"logistics.api.views.{module}.now", lambda: self.moment)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Seven in the morning."""
    return Clock(monkeypatch)


def compute_plans() -> None:
    """Do what the workers would."""
    for intent in Intent.objects.filter(kind="logistics.compute_plan"):
        intents.perform(intent.pk)


def a_pool_body(village: Village, day: str = "2026-11-25", **changes: str) -> dict[str, str]:
    """Return the body that opens a pool."""
    return {
        "region": str(village.region.pk),
        "delivery_date": day,
        "cutoff_at": f"{day}T09:00:00+01:00",
        "loading_from": f"{day}T09:30:00+01:00",
        "deliver_until": f"{day}T19:00:00+01:00",
    } | changes


def test_a_dispatcher_opens_a_pool_for_a_day_once(clock: Clock) -> None:
    village = Village()
    client = dispatcher(village.region)

    opened = client.post(f"{API}/pools/", a_pool_body(village))
    again = client.post(f"{API}/pools/", a_pool_body(village))

    assert (opened.status_code, opened.data["state"]) == (201, "open")
    assert (again.status_code, again.json()["code"]) == (409, "pool-exists")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"cutoff_at": "2026-11-23T09:00:00+01:00"}, 422, "cutoff-in-the-past"),
        ({"deliver_until": "2026-11-25T09:00:00+01:00"}, 422, "windows-out-of-order"),
        ({"loading_from": "2026-11-24T09:30:00+01:00"}, 422, "windows-out-of-order"),
        ({"delivery_date": "2026-02-30"}, 400, "invalid-input"),
        ({"cutoff_at": "soon"}, 400, "invalid-input"),
        ({"region": str(uuid4())}, 404, "not-found"),
        ({"region": "Hameln"}, 400, "invalid-input"),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(
    clock: Clock, changes: dict[str, str], status: int, code: str
) -> None:
    village = Village()

    answer = dispatcher(village.region).post(f"{API}/pools/", a_pool_body(village, **changes))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert village.region.pools.count() == 1


def test_a_dispatcher_closes_plans_watches_and_releases(clock: Clock) -> None:
    village = Village()
    village.order()
    client = dispatcher(village.region)

    assert client.post(f"{API}/pools/{village.pool.pk}/close/").data["state"] == "closed"
    [queued] = client.get(f"{API}/pools/{village.pool.pk}/plans/").data
    assert queued["state"] == "queued"
    compute_plans()
    plan = client.get(f"{API}/plans/{queued['id']}/").data
    assert (plan["state"], plan["num_carried"], plan["lower_bound_cents"]) == ("proposed", 1, None)
    assert len(plan["solution"]["routes"]) == 1

    [listed] = client.get(f"{API}/pools/{village.pool.pk}/plans/").data
    assert listed == {name: value for name, value in plan.items() if name != "solution"}

    clock.moment = at(9, 10)
    assert client.post(f"{API}/plans/{plan['id']}/release/").data["state"] == "released"
    day = client.get(f"{API}/pools/{village.pool.pk}/day/").data
    assert (day["listed"], day["states"], day["runs"]) == (1, {"planned": 1}, 1)


def test_asking_for_a_plan_answers_with_the_row_to_poll(clock: Clock) -> None:
    village = Village()
    client = dispatcher(village.region)

    asked = client.post(f"{API}/pools/{village.pool.pk}/plans/", {"budget_s": 2, "seed": 7})
    again = client.post(f"{API}/pools/{village.pool.pk}/plans/", {"budget_s": 2})

    assert (asked.status_code, asked.data["state"], asked.data["seed"]) == (202, "queued", 7)
    assert (again.status_code, again.json()["code"]) == (409, "plan-in-computation")
    assert client.post(f"{API}/plans/{asked.data['id']}/cancel/").data["state"] == "cancelled"
    again_cancelled = client.post(f"{API}/plans/{asked.data['id']}/cancel/")
    assert (again_cancelled.status_code, again_cancelled.data["state"]) == (202, "cancelled")


@pytest.mark.parametrize("body", [{"budget_s": 0}, {"budget_s": 10**9}, {"budget_s": "x"}, {"seed": -1}])
def test_a_budget_that_makes_no_sense_is_refused(clock: Clock, body: dict[str, Any]) -> None:
    village = Village()

    answer = dispatcher(village.region).post(f"{API}/pools/{village.pool.pk}/plans/", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")
    assert Plan.objects.count() == 0


def test_an_outdated_plan_and_one_of_an_open_pool_are_not_released(clock: Clock) -> None:
    village = Village()
    village.order()
    client = dispatcher(village.region)
    plan = client.post(f"{API}/pools/{village.pool.pk}/plans/", {"budget_s": 1}).data["id"]
    compute_plans()

    early = client.post(f"{API}/plans/{plan}/release/")
    village.order(listed_at=at(8))
    client.post(f"{API}/pools/{village.pool.pk}/close/")
    late = client.post(f"{API}/plans/{plan}/release/")

    assert (early.status_code, early.json()["code"]) == (409, "pool-still-open")
    assert (late.status_code, late.json()["code"]) == (409, "plan-outdated")
    assert Run.objects.count() == 0


class ReleasedDay:
    """A day after its release, with the clients of everyone in it."""

    def __init__(self, clock: Clock, *, num_orders: int = 1, **supply_point: Any) -> None:
        self.clock = clock
        self.village = Village(**supply_point)
        for _ in range(num_orders):
            self.village.order(a_parcel(Size.S))
        client = dispatcher(self.village.region)
        client.post(f"{API}/pools/{self.village.pool.pk}/close/")
        compute_plans()
        plan = self.village.pool.plans.get()
        clock.moment = at(9, 10)
        client.post(f"{API}/plans/{plan.pk}/release/")
        self.courier = driver(self.village.shift.courier)
        self.run = self.courier.get(f"{API}/runs/").data["results"][0]
        self.detail = self.courier.get(f"{API}/runs/{self.run['id']}/").data
        self.stops = {stop["kind"]: stop for stop in self.detail["stops"]}

    def start(self) -> Any:
        """Set out."""
        self.clock.moment = at(9, 30)
        return self.courier.post(f"{API}/runs/{self.run['id']}/start/")

    def tap(self, kind: str, stop: str, *, when: datetime, **about: Any) -> dict[str, Any]:
        """Return a tap as the courier's device sends it."""
        return {
            "key": str(uuid4()),
            "kind": kind,
            "stop": self.stops[stop]["id"],
            "made_at": when.isoformat(),
        } | about

    def report(self, *taps: dict[str, Any], key: dict[str, str] | None = None) -> Any:
        """Send taps."""
        return self.courier.post(
            f"{API}/runs/{self.run['id']}/reports/", {"taps": list(taps)}, headers=key or a_key()
        )

    def open(self) -> Any:
        """Ask for a door."""
        stop = self.stops["supply_point"]
        return self.courier.post(
            f"{API}/runs/{self.run['id']}/stops/{stop['id']}/open/",
            {"bundle": stop["parcels"][0]["bundle"]},
        )


def test_a_courier_drives_and_a_resident_collects_with_the_code(clock: Clock) -> None:
    day = ReleasedDay(clock)
    assert day.village.supply_point.locker is not None
    cabinet = Cabinet(day.village.supply_point.locker)
    resident = neighbour(day.village.resident)

    assert day.start().data["state"] == "under_way"
    clock.moment = at(11)
    assert day.report(day.tap("loaded", "shop", when=at(10))).data == {"num_new": 1, "instructions": []}
    opened = day.open()
    assert opened.status_code == 202
    cabinet.open_and_close(OpenCommand.objects.get(pk=opened.data["id"]), at=at(11))
    day.report(day.tap("deposited", "supply_point", when=at(11)))

    [bundle] = resident.get(f"{API}/bundles/").data["results"]
    assert [parcel["state"] for parcel in bundle["parcels"]] == ["deposited"]
    code = resident.get(f"{API}/bundles/{bundle['id']}/code/")
    assert len(code.data["code"]) == 8
    assert code.headers["Cache-Control"] == "no-store"
    clock.moment = at(17)
    command = resident.post(f"{API}/bundles/{bundle['id']}/open/")
    assert command.status_code == 202
    cabinet.open_and_close(OpenCommand.objects.get(pk=command.data["id"]), at=at(17))
    cabinet.done(OpenCommand.objects.get(pk=command.data["id"]), at=at(17))
    [order] = resident.get(f"{API}/orders/").data["results"]
    assert order["state"] == "collected"


def test_a_courier_who_is_an_hour_late_still_finds_a_door(clock: Clock) -> None:
    day = ReleasedDay(clock)
    assert day.village.supply_point.locker is not None
    Cabinet(day.village.supply_point.locker)
    day.start()
    clock.moment = day.village.pool.deliver_until + timedelta(hours=1)

    assert day.open().status_code == 202


def test_only_the_resident_reads_the_code(clock: Clock) -> None:
    day = ReleasedDay(clock)
    bundle = Bundle.objects.get()

    answer = dispatcher(day.village.region).get(f"{API}/bundles/{bundle.pk}/code/")

    assert (answer.status_code, answer.json()["code"]) == (403, "permission-denied")


def test_a_resident_names_a_helper_and_takes_the_code_back(clock: Clock) -> None:
    day = ReleasedDay(clock)
    resident, helper = neighbour(day.village.resident), uuid4()
    [bundle] = resident.get(f"{API}/bundles/").data["results"]
    helpers = f"{API}/bundles/{bundle['id']}/helpers/"

    first = resident.put(f"{helpers}{helper}/")
    again = resident.put(f"{helpers}{helper}/")
    listed = resident.get(helpers).data
    gone = [resident.delete(f"{helpers}{helper}/").status_code for _ in range(2)]
    after = resident.put(f"{helpers}{helper}/")

    assert (first.status_code, again.status_code, first.headers["Cache-Control"]) == (201, 200, "no-store")
    assert first.data == again.data != resident.get(f"{API}/bundles/{bundle['id']}/code/").data
    assert [(entry["id"], entry["state"]) for entry in listed] == [(str(helper), "issued")]
    assert gone == [204, 204]
    assert (after.status_code, after.json()["code"]) == (409, "code-not-revealable")
    assert resident.delete(f"{helpers}{uuid4()}/").status_code == 404
    assert dispatcher(day.village.region).put(f"{helpers}{uuid4()}/").status_code == 403


def test_two_couriers_cannot_drive_one_run(clock: Clock) -> None:
    day = ReleasedDay(clock)
    colleague = driver(Courier.objects.create(region=day.village.region, name="Kollegin"))

    before = colleague.post(f"{API}/runs/{day.run['id']}/start/")
    day.start()
    after = colleague.post(f"{API}/runs/{day.run['id']}/start/")

    assert (before.status_code, before.json()["code"]) == (409, "run-taken")
    # Once it is under way, the run is nobody else's business.
    assert after.status_code == 404


def test_a_report_that_is_sent_twice_counts_once(clock: Clock) -> None:
    day = ReleasedDay(clock)
    day.start()
    clock.moment = at(11)
    tap, key = day.tap("loaded", "shop", when=at(10)), a_key()

    first, repeated, again = day.report(tap, key=key), day.report(tap, key=key), day.report(tap)

    assert [answer.json()["num_new"] for answer in (first, repeated, again)] == [1, 1, 0]
    assert repeated.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"stop": str(uuid4())}, 422, "not-on-this-stop"),
        ({"parcels": [str(uuid4())]}, 422, "not-on-this-stop"),
        ({"made_at": "2031-01-01T00:00:00Z"}, 422, "report-from-the-future"),
        ({"kind": "flew"}, 400, "invalid-input"),
        ({"kind": "problem"}, 400, "invalid-input"),
        ({"reason": "damaged"}, 400, "invalid-input"),
        ({"key": "1"}, 400, "invalid-input"),
        ({"made_at": None}, 400, "invalid-input"),
    ],
)
def test_a_tap_that_makes_no_sense_is_refused(
    clock: Clock, changes: dict[str, Any], status: int, code: str
) -> None:
    day = ReleasedDay(clock)
    day.start()
    clock.moment = at(11)

    answer = day.report(day.tap("loaded", "shop", when=at(10)) | changes)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Run.objects.get().reports.count() == 0


def test_before_the_start_there_is_nothing_to_report(clock: Clock) -> None:
    day = ReleasedDay(clock)

    answer = day.report(day.tap("loaded", "shop", when=at(9)))

    assert (answer.status_code, answer.json()["code"]) == (409, "run-not-under-way")


def test_a_locker_that_cannot_be_reached_opens_nothing(clock: Clock) -> None:
    day = ReleasedDay(clock)
    day.start()
    assert day.village.supply_point.locker is not None
    Cabinet(day.village.supply_point.locker)
    Device.objects.update(last_seen_at=real_now() - timedelta(minutes=1))

    answer = day.open()

    assert (answer.status_code, answer.json()["code"]) == (409, "locker-offline")
    assert "use your code at the keypad" in answer.json()["detail"]
    assert OpenCommand.objects.count() == 0


def test_a_resident_cannot_open_before_the_goods_are_there(clock: Clock) -> None:
    day = ReleasedDay(clock)
    assert day.village.supply_point.locker is not None
    Cabinet(day.village.supply_point.locker)
    bundle = Bundle.objects.get()

    answer = neighbour(day.village.resident).post(f"{API}/bundles/{bundle.pk}/open/")

    assert (answer.status_code, answer.json()["code"]) == (409, "not-deposited")


def test_a_counter_hands_over_what_waits_there(clock: Clock) -> None:
    day = ReleasedDay(clock, with_locker=False, with_counter=True)
    counter = a_client(
        a_user(day.village.region, "counter", supply_point=day.village.supply_point)  # type: ignore[arg-type]
    )
    bundle = Bundle.objects.get()

    too_early = counter.post(f"{API}/bundles/{bundle.pk}/hand-over/")
    day.start()
    clock.moment = at(11)
    day.report(day.tap("loaded", "shop", when=at(10)), day.tap("deposited", "supply_point", when=at(11)))
    handed = [counter.post(f"{API}/bundles/{bundle.pk}/hand-over/") for _ in range(2)]

    assert (too_early.status_code, too_early.json()["code"]) == (409, "not-at-counter")
    assert [answer.status_code for answer in handed] == [200, 200]
    assert handed[1].data["parcels"][0]["state"] == "collected"
    # There is no code for goods that a person hands over.
    no_code = neighbour(day.village.resident).get(f"{API}/bundles/{bundle.pk}/code/")
    assert (no_code.status_code, no_code.json()["code"]) == (409, "nothing-to-open")


@pytest.mark.parametrize("num_orders", [1, 4])
@pytest.mark.parametrize(
    ("path", "role", "queries"),
    [
        # Memberships; bundles with pool, place, reservation, door and code; their parcels.
        ("bundles/", "resident", 3),
        # Memberships; the region of the courier is part of the query; runs with vehicle and pool.
        ("runs/", "courier", 2),
        ("pools/", "dispatcher", 2),
        ("shops/", "dispatcher", 2),
        ("supply-points/", "dispatcher", 2),
        # Memberships; lockers with their place and whether they are online; compartments.
        ("lockers/", "dispatcher", 3),
    ],
)
def test_lists_cost_the_same_queries_whatever_their_length(
    clock: Clock,
    num_orders: int,
    path: str,
    role: str,
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    day = ReleasedDay(clock, num_orders=num_orders, compartments=[(Size.S, Temperature.AMBIENT)] * num_orders)
    client = {
        "resident": neighbour(day.village.resident),
        "courier": day.courier,
        "dispatcher": dispatcher(day.village.region),
    }[role]
    if role == "courier":
        client = driver(day.village.shift.courier)

    with django_assert_num_queries(queries):
        answer = client.get(f"{API}/{path}")

    assert answer.data["results"]


def test_who_one_is_and_what_time_it_is(clock: Clock) -> None:
    village = Village()

    me = dispatcher(village.region).get(f"{API}/me/").json()

    assert [membership["role"] for membership in me["memberships"]] == ["dispatcher"]
    assert datetime.fromisoformat(me["now"]) == at(7)
