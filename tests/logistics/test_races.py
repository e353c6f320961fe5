"""Races, on PostgreSQL: of many at once exactly one wins, and nobody falls between two pools."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.http import HttpResponse

from common.exceptions import DomainError
from common.models import Event
from lockers.exceptions import CompartmentInUse
from lockers.models import Compartment, Locker, Reservation
from lockers.services import cabinets, checks
from lockers.services.checks import Difference, Finding
from logistics.exceptions import PlanInComputation
from logistics.models import Bundle, Order, Parcel, Plan, Pool, ReportKind, Role, Run, Stop
from logistics.services import orders, plans, pools, runs
from logistics.states import ParcelState
from tests.logistics.builders import (
    DELIVERY_DATE,
    Village,
    a_client,
    a_key,
    a_parcel,
    a_pool,
    a_user,
    at,
)
from tests.logistics.driving import Drive
from tests.logistics.solving import SolverHere, computed, released

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
AT_ONCE = 16


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """Do everything at the same moment; return results and refusals in order."""
    start = threading.Barrier(len(acts))
    outcomes: list[object] = [None] * len(acts)

    def do(number: int) -> None:
        start.wait()
        try:
            outcomes[number] = acts[number]()
        except DomainError as error:
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def wait_for_a_waiter() -> None:
    """Return once a transaction waits for the lock of another."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits for a lock")


def test_while_a_pool_closes_every_order_is_in_it_or_in_the_next() -> None:
    village = Village()
    tomorrow = a_pool(village.region, day=DELIVERY_DATE + timedelta(days=1))

    def list_order() -> Order:
        return orders.list_order(
            shop=village.shop, card_number=village.resident.card_number, parcels=[a_parcel()], at=at(8)
        )

    def close() -> None:
        pools.close(Pool.objects.get(pk=village.pool.pk), at=at(8))

    outcomes = at_once([*[list_order] * (AT_ONCE - 2), close, close])

    assert not [outcome for outcome in outcomes if isinstance(outcome, DomainError)]
    assert village.pool.orders.count() + tomorrow.orders.count() == AT_ONCE - 2
    assert Plan.objects.filter(pool=village.pool).count() == 1


def test_an_order_that_arrives_many_times_at_once_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.api.views.orders.now", lambda: at(8))
    village = Village()
    user, key = a_user(village.region, Role.SHOP, shop=village.shop), a_key()
    body = {
        "shop": str(village.shop.pk),
        "resident_card": village.resident.card_number,
        "parcels": [{"size": "S", "temperature": "ambient", "weight_g": 900}],
    }
    clerks = [a_client(user) for _ in range(AT_ONCE // 2)]

    answers = at_once([partial(clerk.post, "/api/v1/orders/", body, headers=key) for clerk in clerks])

    order = Order.objects.get()
    assert [getattr(answer, "status_code", answer) for answer in answers] == [201] * len(clerks)
    assert {json.loads(answer.content)["id"] for answer in answers if isinstance(answer, HttpResponse)} == {
        str(order.pk)
    }


def test_of_many_who_ask_for_a_plan_one_gets_it() -> None:
    village = Village()

    outcomes = at_once([lambda: plans.ask(village.pool, budget_s=1, at=at(8))] * AT_ONCE)

    assert sum(isinstance(outcome, Plan) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, PlanInComputation) for outcome in outcomes) == AT_ONCE - 1


def test_a_plan_that_many_release_at_once_is_released_once() -> None:
    village = Village()
    village.order()
    plan = computed(village)

    outcomes = at_once([lambda: plans.release(Plan.objects.get(pk=plan.pk), at=at(9, 10))] * (AT_ONCE // 2))

    assert outcomes == [None] * (AT_ONCE // 2)
    assert Run.objects.count() == 1


def test_an_order_is_cancelled_or_planned_but_never_both() -> None:
    village = Village()
    order = village.order()

    at_once(
        [
            lambda: orders.cancel(Order.objects.get(pk=order.pk), at=at(8)),
            lambda: pools.close(Pool.objects.get(pk=village.pool.pk), at=at(8)),
        ]
    )

    state = Order.objects.get(pk=order.pk).state
    assert state in {ParcelState.CANCELLED, ParcelState.POOLED}


def test_of_many_starts_of_a_run_one_counts() -> None:
    village = Village()
    village.order()
    released(village)
    run = Run.objects.get()

    def start() -> None:
        runs.start(Run.objects.get(pk=run.pk), courier=run.courier, at=at(9, 30))

    outcomes = at_once([start] * AT_ONCE)

    assert outcomes == [None] * AT_ONCE
    run.refresh_from_db()
    assert run.state == "under_way"


@pytest.mark.parametrize(
    ("stop", "kind", "about"),
    [
        ("point_stop", ReportKind.DEPOSITED, {}),
        ("shop_stop", ReportKind.DEPOSITED, {}),
        ("shop_stop", ReportKind.PROBLEM, {"reason": "damaged"}),
        ("point_stop", ReportKind.PROBLEM, {"reason": "no_access"}),
        ("point_stop", ReportKind.PROBLEM, {"reason": "locker_full"}),
        ("point_stop", ReportKind.EMPTY, {"compartment": 1}),
        ("end", ReportKind.ARRIVED, {}),
    ],
)
def test_a_report_that_may_touch_claims_locks_their_lockers_before_anything_a_door_may_move(
    stop: str, kind: ReportKind, about: Mapping[str, Any]
) -> None:
    drive = Drive().start().load()
    drive.open(Bundle.objects.get())
    tap = drive.tap(kind, getattr(drive, stop), made_at=at(11), **about)
    outcomes: list[object] = []
    report = threading.Thread(target=lambda: outcomes.extend(at_once([lambda: drive.report(tap)])))

    with transaction.atomic():
        cabinets.lock_all(Locker.objects.values_list("pk", flat=True))
        report.start()
        wait_for_a_waiter()
        # A device's report holds the locker and goes on to these; neither may wait for the other.
        free = [
            list(rows.objects.select_for_update(nowait=True))
            for rows in (Parcel, Stop, Reservation, Compartment)
        ]
    report.join()

    assert all(free)
    assert outcomes == [1]


def test_of_many_who_settle_a_check_at_once_one_is_believed() -> None:
    drive = Drive().start().load().deposit()
    [door] = Compartment.objects.filter(state="occupied")
    checks.report(door, Difference.MISSING_GOODS, by=uuid4(), at=at(17))

    def settle(found: Finding) -> None:
        compartment = Compartment.objects.get(pk=door.pk)
        checks.settle(compartment, found, by=uuid4(), at=at(17), real_at=at(17))

    outcomes = at_once([partial(settle, Finding.MISSING), partial(settle, Finding.HANDED_OVER)] * 4)

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, CompartmentInUse) for outcome in outcomes) == 7
    told = {ParcelState.LOST: "missing", ParcelState.COLLECTED: "handed_over"}
    [state] = drive.states
    found = Event.objects.get(kind="compartment_checked").facts["found"]
    assert told[ParcelState(state)] == found
