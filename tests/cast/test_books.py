"""Books that balance say so, and each way in which they might not is found and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockers.device.hands import Door
from tests.cast import world
from tests.cast.books import Evidence, Sort, balance, total
from tests.cast.world import World

POOL, NEXT_POOL = "pool", "next pool"
CARD = "100"


def an_order(
    name: str, *, state: str = "collected", pool: str = POOL, parcels: tuple[str, ...] = ()
) -> dict[str, Any]:
    names = parcels or (f"{name}-1",)
    return {
        "id": name,
        "shop": "shop",
        "pool": pool,
        "state": state,
        "parcels": [{"id": parcel, "state": state} for parcel in names],
    }


def evidence() -> Evidence:
    """One order in each final state; the overdue one lies behind door 1."""
    orders = [
        an_order("collected"),
        an_order("overdue", state="overdue"),
        an_order("counter", state="at_counter"),
        an_order("left out", state="deferred"),
        an_order("late", state="pooled", pool=NEXT_POOL),
        an_order("cancelled", state="cancelled"),
    ]
    there = World()
    for order in orders:
        there.list_order(order, card_number=CARD, is_late=order["id"] == "late")
    there.cancel_order("cancelled")
    door = world.compartment("locker", 1)
    for order_id, target in (
        ("collected", world.resident(CARD)),
        ("overdue", door),
        ("counter", world.counter("point")),
    ):
        there.move([f"{order_id}-1"], source=world.shop("shop"), target=target)
    there.asked[door] = 1
    return Evidence(
        world=there,
        pool_id=POOL,
        orders=orders,
        day={
            "listed": 6,
            "states": {
                "collected": 1,
                "overdue": 1,
                "at_counter": 1,
                "deferred": 1,
                "next_pool": 1,
                "cancelled": 1,
            },
            "left_out": {"not-worth-a-detour": 1},
            "runs": 1,
            "distance_m": 12_340,
            "cost_cents": 5_600,
            "events": 7,
        },
        runs=[{"distance_m": 12_340, "cost_cents": 5_600}],
        lockers=[
            {
                "slug": "locker",
                "compartments": [{"number": 1, "state": "occupied"}, {"number": 2, "state": "free"}],
            }
        ],
        cabinets={"locker": [a_door(1, goods=("overdue-1",), num_openings=1), a_door(2)]},
    )


def a_door(number: int, *, goods: tuple[str, ...] = (), num_openings: int = 0, is_open: bool = False) -> Door:
    return Door(compartment=number, is_open=is_open, goods=goods, num_openings=num_openings)


def with_doors(given: Evidence, *doors: Door) -> Evidence:
    return replace(given, cabinets={"locker": doors})


def test_a_day_without_faults_balances() -> None:
    books = balance(evidence())

    assert books.faults == []
    assert books.as_json(seed=7, seconds=12.34) == {
        "seed": 7,
        "listed": 6,
        "final_states": {
            "collected": 1,
            "overdue": 1,
            "at_counter": 1,
            "left_out": 1,
            "next_pool": 1,
            "cancelled": 1,
        },
        "lost": 0,
        "double": 0,
        "runs": 1,
        "km": 12.3,
        "cost_cents": 5_600,
        "events": 7,
        "seconds": 12.3,
    }


def without_an_order(given: Evidence) -> Evidence:
    return replace(given, orders=given.orders[1:])


def with_a_parcel_that_is_nowhere(given: Evidence) -> Evidence:
    del given.world.places["counter-1"]
    return given


def with_an_order_that_lost_a_parcel(given: Evidence) -> Evidence:
    given.world.orders["collected"].parcels.append("collected-2")
    return given


def with_an_empty_compartment_that_should_hold_goods(given: Evidence) -> Evidence:
    return with_doors(given, a_door(1, num_openings=1), a_door(2))


def with_goods_in_a_compartment_that_does_not_exist(given: Evidence) -> Evidence:
    return with_doors(given, a_door(2))


@pytest.mark.parametrize(
    ("spoil", "about"),
    [
        (without_an_order, "collected"),
        (with_a_parcel_that_is_nowhere, "counter"),
        (with_an_order_that_lost_a_parcel, "collected"),
        (with_an_empty_compartment_that_should_hold_goods, "overdue"),
        (with_goods_in_a_compartment_that_does_not_exist, "overdue"),
    ],
)
def test_what_is_lost_is_found_out(spoil: Callable[[Evidence], Evidence], about: str) -> None:
    books = balance(spoil(evidence()))

    assert books.lost == 1
    assert about in {fault.about for fault in books.faults if fault.sort == Sort.LOST}


def with_an_order_that_nobody_listed(given: Evidence) -> Evidence:
    return replace(given, orders=[*given.orders, an_order("again")])


def with_an_order_on_two_pages(given: Evidence) -> Evidence:
    return replace(given, orders=[*given.orders, given.orders[0]])


def with_goods_where_nobody_left_them(given: Evidence) -> Evidence:
    return with_doors(
        given, a_door(1, goods=("overdue-1",), num_openings=1), a_door(2, goods=("collected-1",))
    )


def with_a_parcel_in_two_compartments(given: Evidence) -> Evidence:
    return with_doors(given, a_door(1, goods=("overdue-1",), num_openings=1), a_door(2, goods=("overdue-1",)))


def with_a_door_that_opened_unasked(given: Evidence) -> Evidence:
    return with_doors(given, a_door(1, goods=("overdue-1",), num_openings=2), a_door(2))


@pytest.mark.parametrize(
    "spoil",
    [
        with_an_order_that_nobody_listed,
        with_an_order_on_two_pages,
        with_goods_where_nobody_left_them,
        with_a_parcel_in_two_compartments,
        with_a_door_that_opened_unasked,
    ],
)
def test_what_is_double_is_found_out(spoil: Callable[[Evidence], Evidence]) -> None:
    books = balance(spoil(evidence()))

    assert books.double >= 1


def test_a_compartment_with_the_goods_of_two_residents_is_double() -> None:
    given = evidence()
    given.world.orders["collected"].card_number = "200"
    given.world.places["collected-1"] = world.compartment("locker", 1)

    books = balance(
        with_doors(given, a_door(1, goods=("overdue-1", "collected-1"), num_openings=1), a_door(2))
    )

    assert "locker/1 holds the goods of several residents" in str(books.faults)
    assert books.double == 1


def with_an_order_under_way(given: Evidence) -> Evidence:
    return replace(given, orders=[an_order("collected", state="loaded"), *given.orders[1:]])


def with_a_late_order_in_time(given: Evidence) -> Evidence:
    given.world.orders["late"].is_late = False
    return given


def with_a_cancelled_order_that_was_collected(given: Evidence) -> Evidence:
    given.world.orders["collected"].is_cancelled = True
    return given


def with_goods_that_a_stranger_took(given: Evidence) -> Evidence:
    given.world.places["collected-1"] = world.resident("somebody else")
    return given


def with_goods_that_are_not_where_the_api_says(given: Evidence) -> Evidence:
    given.world.places["counter-1"] = world.vehicle("run")
    return given


def with_an_open_door(given: Evidence) -> Evidence:
    return with_doors(given, a_door(1, goods=("overdue-1",), num_openings=1), a_door(2, is_open=True))


def with_an_occupied_compartment_that_is_empty(given: Evidence) -> Evidence:
    given.lockers[0]["compartments"][1]["state"] = "occupied"
    return given


def with_a_free_compartment_that_holds_goods(given: Evidence) -> Evidence:
    given.lockers[0]["compartments"][0]["state"] = "free"
    return given


def with_a_compartment_that_is_still_in_use(given: Evidence) -> Evidence:
    given.lockers[0]["compartments"][1]["state"] = "collecting"
    return given


def with_something_that_people_noticed(given: Evidence) -> Evidence:
    given.world.faults.append("the keypad took a wrong code")
    return given


def with_an_api_that_counts_differently(given: Evidence) -> Evidence:
    return replace(given, day={**given.day, "listed": 5})


def with_an_api_that_books_differently(given: Evidence) -> Evidence:
    return replace(given, day={**given.day, "states": {"collected": 6}})


def without_a_reason(given: Evidence) -> Evidence:
    return replace(given, day={**given.day, "left_out": {}})


def with_other_kilometres(given: Evidence) -> Evidence:
    return replace(given, day={**given.day, "distance_m": 1})


@pytest.mark.parametrize(
    "spoil",
    [
        with_an_order_under_way,
        with_a_late_order_in_time,
        with_a_cancelled_order_that_was_collected,
        with_goods_that_a_stranger_took,
        with_goods_that_are_not_where_the_api_says,
        with_an_open_door,
        with_an_occupied_compartment_that_is_empty,
        with_a_free_compartment_that_holds_goods,
        with_a_compartment_that_is_still_in_use,
        with_something_that_people_noticed,
        with_an_api_that_counts_differently,
        with_an_api_that_books_differently,
        without_a_reason,
        with_other_kilometres,
    ],
)
def test_every_other_disagreement_is_put_into_words(spoil: Callable[[Evidence], Evidence]) -> None:
    books = balance(spoil(evidence()))

    assert [fault.sentence for fault in books.faults if fault.sentence]
    assert (books.lost, books.double) == (0, 0)


def test_an_order_that_is_still_under_way_counts_under_its_own_state() -> None:
    books = balance(with_an_order_under_way(evidence()))

    assert books.final_states["loaded"] == 1
    assert sum(books.final_states.values()) == books.listed


def test_goods_can_only_be_taken_from_where_they_are() -> None:
    there = World()
    there.list_order(an_order("one"), card_number=CARD)

    there.move(["one-1"], source=world.vehicle("run"), target=world.counter("point"))

    assert there.places["one-1"] == world.shop("shop")
    assert "one-1 was to be taken from vehicle run" in there.faults[0]


def test_an_order_given_to_two_requests_is_a_fault() -> None:
    there = World()
    for _ in range(2):
        there.list_order(an_order("one"), card_number=CARD)

    assert there.faults == ["order one was given to two requests"]


def test_a_changed_order_has_new_parcels() -> None:
    there = World()
    there.list_order(an_order("one"), card_number=CARD)

    there.change_order(an_order("one", parcels=("new-1", "new-2")))

    assert there.orders["one"].parcels == ["new-1", "new-2"]
    assert set(there.places) == {"new-1", "new-2"}


def test_several_days_add_up() -> None:
    day = balance(evidence()).as_json(seed=1, seconds=10)

    both = total([day, day], seeds="1-2", seconds=21.04)

    assert both["listed"] == 12
    assert both["final_states"]["collected"] == 2
    assert (both["seed"], both["km"], both["seconds"]) == ("1-2", 24.6, 21.0)
    assert list(both) == list(day)
