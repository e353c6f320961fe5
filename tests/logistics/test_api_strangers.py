"""Nobody sees what is not theirs: every address, every role of another region, every method."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from common.clock import real_now
from lockers.models import LockerCode, OpenCommand, ProvisioningToken
from lockers.services import commands, devices
from logistics.api.urls import app_name, urlpatterns
from logistics.models import Bundle, Order, Parcel, Plan, Role, Run
from tests.logistics.builders import Village, a_client, a_key, a_user, at, unknown
from tests.logistics.doors import Cabinet
from tests.logistics.solving import SolverHere, released

pytestmark = pytest.mark.django_db(transaction=True)

#: What each address is about; a new address must say so here.
ABOUT: Mapping[str, tuple[str, ...]] = {
    "tokens": (),
    "present-token": (),
    "me": (),
    "shops": (),
    "supply-points": (),
    "orders": (),
    "pools": (),
    "lockers": (),
    "alarms": (),
    "checks": (),
    "overdue": (),
    "runs": (),
    "bundles": (),
    "order": ("order",),
    "cancel-order": ("order",),
    "pool": ("pool",),
    "close-pool": ("pool",),
    "pool-day": ("pool",),
    "pool-plans": ("pool",),
    "plan": ("plan",),
    "cancel-plan": ("plan",),
    "release-plan": ("plan",),
    "locker-tokens": ("locker",),
    "locker-token": ("locker", "token"),
    "locker-device": ("locker",),
    "locker-sheet": ("locker",),
    "open-compartment": ("locker", "number"),
    "settle-compartment": ("locker", "number"),
    "differences": ("locker", "number"),
    "block-compartment": ("locker", "number"),
    "unblock-compartment": ("locker", "number"),
    "run": ("run",),
    "start-run": ("run",),
    "run-reports": ("run",),
    "deposit-codes": ("run",),
    "open-door": ("run", "stop"),
    "opening": ("opening",),
    "bundle-code": ("bundle",),
    "replace-code": ("bundle",),
    "helpers": ("bundle",),
    "helper": ("bundle", "helper"),
    "open-bundle": ("bundle",),
    "done": ("bundle",),
    "problem": ("bundle",),
    "hand-over": ("bundle",),
    "extend-bundle": ("bundle",),
}
METHODS = ("get", "post", "patch", "put", "delete")
COUNTED = (Order, Parcel, Plan, Run, Bundle, LockerCode, OpenCommand)


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


@pytest.fixture
def village() -> Village:
    """A village with one released run, and a door that was opened for it."""
    village = Village(with_counter=True)
    village.order()
    released(village)
    reservation = village.pool.bundles.get().reservation
    assert reservation is not None
    Cabinet(reservation.locker)
    devices.issue_token(reservation.locker, real_at=real_now())
    commands.open_for_deposit(reservation, at=at(11), real_at=real_now())
    return village


def ids_of(village: Village) -> dict[str, Any]:
    """Return the identifiers of one of everything."""
    run = village.pool.runs.get()
    return {
        "order": village.pool.orders.get().pk,
        "pool": village.pool.pk,
        "plan": village.pool.plans.get().pk,
        "locker": village.supply_point.locker_id,
        "run": run.pk,
        "stop": run.stops.get(kind="supply_point").pk,
        "bundle": village.pool.bundles.get().pk,
        "helper": unknown(),
        "opening": OpenCommand.objects.get(reservation__bundle__pool=village.pool).pk,
        "number": 1,
        "token": ProvisioningToken.objects.get(locker=village.supply_point.locker_id).pk,
    }


def strangers(village: Village) -> dict[str, APIClient]:
    """Return one client of each role in another region, and of neighbours in the same one."""
    other = Village(with_counter=True)
    return {
        "dispatcher": a_client(a_user(other.region, Role.DISPATCHER)),
        "clerk": a_client(a_user(other.region, Role.SHOP, shop=other.shop)),
        "courier": a_client(a_user(other.region, Role.COURIER, courier=other.shift.courier)),
        "counter": a_client(a_user(other.region, Role.COUNTER, supply_point=other.supply_point)),
        "resident": a_client(a_user(other.region, Role.RESIDENT, resident=other.resident)),
    }


def address(name: str, ids: Mapping[str, Any]) -> str:
    """Return the address of a route."""
    named = {"number" if about == "number" else f"{about}_id": ids[about] for about in ABOUT[name]}
    return reverse(f"{app_name}:{name}", kwargs=named)


def test_every_address_is_in_the_table() -> None:
    assert {pattern.name for pattern in urlpatterns} == set(ABOUT)


def test_strangers_get_the_same_answer_as_for_what_does_not_exist(village: Village) -> None:
    ids = ids_of(village)
    missing = dict.fromkeys(ids, unknown()) | {"number": ids["number"], "token": ids["token"]}
    clients = strangers(village)
    before = [model.objects.count() for model in COUNTED]

    for name in [name for name, about in ABOUT.items() if about]:
        for role, client in clients.items():
            for method in METHODS:
                foreign = getattr(client, method)(address(name, ids), {}, headers=a_key())
                absent = getattr(client, method)(address(name, missing), {}, headers=a_key())
                told = f"{role} {method} {name}"
                assert foreign.status_code in {404, 405}, told
                assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content), told

    assert [model.objects.count() for model in COUNTED] == before


def test_lists_hold_nothing_of_another_region(village: Village) -> None:
    theirs = {str(key) for key in ids_of(village).values()}

    for name in ("shops", "supply-points", "orders", "pools", "lockers", "runs", "bundles"):
        for role, client in strangers(village).items():
            answer = client.get(address(name, {}))
            assert answer.status_code == 200, f"{role} {name}"
            assert not {row["id"] for row in answer.data["results"]} & theirs, f"{role} {name}"


def test_who_is_not_signed_in_gets_nothing_but_the_way_in(village: Village) -> None:
    ids = ids_of(village)

    for name in ABOUT:
        for method in METHODS:
            answer = getattr(a_client(), method)(address(name, ids), {}, headers=a_key())
            allowed = {400, 405} if name == "tokens" else {401}
            assert answer.status_code in allowed, f"{method} {name}"


def test_neighbours_in_the_same_region_see_only_their_own(village: Village) -> None:
    ids = ids_of(village)
    neighbour = Village()
    for row in (neighbour.shop, neighbour.supply_point):
        row.municipality = village.region.municipalities.get()
        row.save()
    resident = village.region.residents.create(card_number="1", name="Nachbarin")
    clients = {
        "clerk": a_client(a_user(village.region, Role.SHOP, shop=neighbour.shop)),
        "resident": a_client(a_user(village.region, Role.RESIDENT, resident=resident)),
        "counter": a_client(a_user(village.region, Role.COUNTER, supply_point=neighbour.supply_point)),
    }

    for role, client in clients.items():
        for name in ("order", "bundle-code", "helpers", "run", "plan", "opening"):
            answer = client.get(address(name, ids))
            assert answer.status_code == 404, f"{role} {name}"


@pytest.mark.parametrize("role", [Role.SHOP, Role.COURIER, Role.COUNTER, Role.RESIDENT])
def test_only_dispatchers_dispatch(village: Village, role: Role) -> None:
    own: dict[Role, dict[str, Any]] = {
        Role.SHOP: {"shop": village.shop},
        Role.COURIER: {"courier": village.shift.courier},
        Role.COUNTER: {"supply_point": village.supply_point},
        Role.RESIDENT: {"resident": village.resident},
    }
    client = a_client(a_user(village.region, role, **own[role]))
    ids = ids_of(village)
    pool = {
        "region": str(village.region.pk),
        "delivery_date": "2026-12-01",
        "cutoff_at": "2026-12-01T09:00+01:00",
        "loading_from": "2026-12-01T09:30+01:00",
        "deliver_until": "2026-12-01T19:00+01:00",
    }

    assert client.post("/api/v1/pools/", pool).status_code == 403
    for name in ("close-pool", "pool-plans"):
        assert client.post(address(name, ids), {}).status_code == 403
    assert client.get(address("pool-day", ids)).status_code == 403
    for name in ("locker-device", "locker-token"):
        assert client.delete(address(name, ids)).status_code == 404
    for name in ("plan", "release-plan", "locker-tokens"):
        method = client.get if name == "plan" else client.post
        assert method(address(name, ids), {}).status_code == 404
