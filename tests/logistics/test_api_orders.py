"""Orders over the API: the happy path, each problem, and a stranger sees nothing."""

import json
from datetime import datetime
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from common import clock
from common.models import RememberedAnswer
from lockers.sizes import Size
from logistics.models import Order
from tests.logistics.builders import (
    Village,
    a_client,
    a_key,
    a_parcel,
    a_resident,
    at,
    clerk,
    dispatcher,
    neighbour,
    unknown,
)

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/orders/"


@pytest.fixture(autouse=True)
def seven_in_the_morning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be seven on the delivery day."""
    set_clock(monkeypatch, at(7))


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let business time stand still."""
    for module in ("orders", "dispatch", "courier", "resident", "accounts"):
        monkeypatch.setattr(f"logistics.api.views.{module}.now", lambda: moment)
    monkeypatch.setattr(clock, "now", lambda: moment)


def a_body(village: Village, **changes: Any) -> dict[str, Any]:
    """Return the body of an ordinary order."""
    return {
        "shop": str(village.shop.pk),
        "resident_card": village.resident.card_number,
        "parcels": [{"size": "S", "temperature": "ambient", "weight_g": 1200}],
    } | changes


def test_a_clerk_lists_an_order_and_learns_when_it_comes() -> None:
    village = Village()

    answer = clerk(village.shop).post(ORDERS, a_body(village), headers=a_key())

    assert answer.status_code == 201
    assert answer.data["state"] == "pooled"
    assert answer.data["delivery_date"] == str(village.pool.delivery_date)
    assert answer.data["missed_cutoff_at"] is None
    assert "name" not in answer.data


def test_the_same_request_twice_lists_one_order_and_gives_the_same_answer() -> None:
    village, key = Village(), a_key()
    client = clerk(village.shop)

    first = client.post(ORDERS, a_body(village), headers=key)
    second = client.post(ORDERS, a_body(village), headers=key)

    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1


def test_a_key_is_good_for_one_request_only() -> None:
    village, key = Village(), a_key()
    client = clerk(village.shop)
    client.post(ORDERS, a_body(village), headers=key)

    answer = client.post(ORDERS, a_body(village, note="anders"), headers=key)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert Order.objects.count() == 1


def test_a_refused_request_leaves_its_key_unused() -> None:
    village, key = Village(), a_key()
    client = clerk(village.shop)
    heavy = [{"size": "S", "weight_g": 999_000}]

    assert client.post(ORDERS, a_body(village, parcels=heavy), headers=key).status_code == 422
    assert RememberedAnswer.objects.count() == 0
    assert client.post(ORDERS, a_body(village), headers=key).status_code == 201


def test_without_a_key_nothing_is_listed() -> None:
    village = Village()

    answer = clerk(village.shop).post(ORDERS, a_body(village))

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")


@pytest.mark.parametrize(
    ("changes", "status", "code", "pointer"),
    [
        ({"shop": "b9d4a39e-2b5c-4a53-93cf-9f9f50fef6b5"}, 404, "unknown-shop", None),
        ({"shop": "bakery"}, 400, "invalid-input", "/shop"),
        ({"resident_card": "00000000"}, 422, "unknown-resident", None),
        ({"resident_card": ""}, 400, "invalid-input", "/resident_card"),
        ({"parcels": []}, 400, "invalid-input", "/parcels"),
        ({"parcels": [{"size": "S", "weight_g": -1}]}, 400, "invalid-input", "/parcels/0/weight_g"),
        ({"parcels": [{"size": "S", "weight_g": 10**30}]}, 400, "invalid-input", "/parcels/0/weight_g"),
        ({"parcels": [{"size": "S", "weight_g": float("inf")}]}, 400, None, None),
        ({"parcels": [{"size": "XXL", "weight_g": 1}]}, 400, "invalid-input", "/parcels/0/size"),
        ({"parcels": [{"size": "S", "weight_g": 900_000}]}, 422, "order-too-heavy", None),
        ({"parcels": [{"size": "S", "temperature": "frozen", "weight_g": 1}]}, 422, "parcel-too-large", None),
        ({"note": "a\x00b"}, 400, "parse-error", None),
        ({"note": "\ud800"}, 400, "parse-error", None),
        ({"note": "x" * 201}, 400, "invalid-input", "/note"),
        ({"ready_at": "tomorrow"}, 400, "invalid-input", "/ready_at"),
    ],
)
def test_bad_input_gets_a_clear_problem_and_leaves_nothing_behind(
    changes: dict[str, Any], status: int, code: str | None, pointer: str | None
) -> None:
    village = Village()
    # As a careless client would send it: JSON that no strict writer makes.
    body = json.dumps(a_body(village, **changes))

    answer = clerk(village.shop).generic(
        "POST", ORDERS, body, content_type="application/json", headers=a_key()
    )

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    if code is not None:
        assert problem["code"] == code
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]]
    assert Order.objects.count() == 0


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "1", '{"a":' * 2_000 + "1" + "}" * 2_000])
def test_what_is_no_order_at_all_is_refused(body: str) -> None:
    village = Village()

    answer = clerk(village.shop).generic(
        "POST", ORDERS, body, content_type="application/json", headers=a_key()
    )

    assert answer.status_code == 400


def test_a_body_that_is_not_json_is_refused() -> None:
    village = Village()

    answer = clerk(village.shop).generic("POST", ORDERS, "a=b", content_type="text/plain", headers=a_key())

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_a_clerk_lists_for_the_own_shop_only() -> None:
    village, elsewhere = Village(), Village()

    answer = clerk(elsewhere.shop).post(ORDERS, a_body(village), headers=a_key())

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-shop")


def test_who_is_not_signed_in_learns_nothing() -> None:
    answer = a_client().get(ORDERS)

    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


def test_everyone_sees_exactly_their_own_orders() -> None:
    village, elsewhere = Village(), Village()
    mine, theirs = village.order(), elsewhere.order()
    other_resident = a_resident(village.region, supply_point=village.supply_point)

    def listed(client: Any) -> set[str]:
        return {row["id"] for row in client.get(ORDERS).data["results"]}

    assert listed(clerk(village.shop)) == {str(mine.pk)}
    assert listed(neighbour(village.resident)) == {str(mine.pk)}
    assert listed(dispatcher(village.region)) == {str(mine.pk)}
    assert listed(neighbour(other_resident)) == set()
    assert listed(clerk(elsewhere.shop)) == {str(theirs.pk)}


def test_a_foreign_order_is_answered_like_one_that_does_not_exist() -> None:
    village, elsewhere = Village(), Village()
    client = clerk(elsewhere.shop)
    mine = village.order()

    foreign, missing = client.get(f"{ORDERS}{mine.pk}/"), client.get(f"{ORDERS}{unknown()}/")

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()
    assert client.post(f"{ORDERS}{mine.pk}/cancel/").status_code == 404


def test_only_the_shop_changes_an_order() -> None:
    village = Village()
    order = village.order()

    for client in (neighbour(village.resident), dispatcher(village.region)):
        assert client.patch(f"{ORDERS}{order.pk}/", {"note": "x"}).status_code == 403
        assert client.post(f"{ORDERS}{order.pk}/cancel/").status_code == 403


def test_a_clerk_changes_and_cancels_before_the_cutoff_and_not_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    village = Village()
    order = village.order()
    client = clerk(village.shop)

    changed = client.patch(
        f"{ORDERS}{order.pk}/", {"note": "Klingeln", "parcels": [{"size": "M", "weight_g": 10}]}
    )
    assert changed.data["note"] == "Klingeln"
    assert [parcel["size"] for parcel in changed.data["parcels"]] == ["M"]

    set_clock(monkeypatch, at(9))
    for answer in (
        client.patch(f"{ORDERS}{order.pk}/", {"note": "zu spät"}),
        client.post(f"{ORDERS}{order.pk}/cancel/"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "cutoff-passed")

    set_clock(monkeypatch, at(8))
    assert client.post(f"{ORDERS}{order.pk}/cancel/").data["state"] == "cancelled"


@pytest.mark.parametrize("number", [1, 30])
def test_a_list_costs_the_same_queries_whatever_its_length(
    number: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    village = Village()
    for _ in range(number):
        village.order(a_parcel(Size.S), a_parcel(Size.M))
    client = clerk(village.shop)

    # Memberships; the page of orders with pool, region, resident, shop and supply point; their parcels.
    with django_assert_num_queries(3):
        answer = client.get(ORDERS, {"page_size": 100})

    assert len(answer.data["results"]) == number


def test_pages_follow_a_cursor_and_miss_nothing() -> None:
    village = Village()
    listed = {str(village.order().pk) for _ in range(7)}
    client, seen, page = clerk(village.shop), [], f"{ORDERS}?page_size=3"

    while page:
        answer = client.get(page)
        seen += [row["id"] for row in answer.data["results"]]
        page = answer.data["next"]

    assert len(seen) == 7
    assert set(seen) == listed
