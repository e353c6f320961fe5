"""A courier goes on while the taps before are on their way, and does what answers say."""

import asyncio
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cast import world
from tests.cast.api import Refused
from tests.cast.couriers import Courier, Frost, Outbox, Taps


def tap(name: str) -> Taps:
    return [{"key": name}]


async def test_taps_arrive_in_their_order_and_those_that_wait_travel_together() -> None:
    sent = []
    way_is_free = asyncio.Event()

    async def send(taps: Taps) -> None:
        await way_is_free.wait()
        sent.append([tapped["key"] for tapped in taps])

    outbox = Outbox(send)
    outbox.put(tap("first"))
    await asyncio.sleep(0)
    outbox.put(tap("second"))
    outbox.put(tap("third"))
    way_is_free.set()
    await outbox.until_empty()

    assert sent == [["first"], ["second", "third"]]


async def test_what_is_tapped_later_is_sent_as_well() -> None:
    sent = []

    async def send(taps: Taps) -> None:
        sent.append(taps[0]["key"])

    outbox = Outbox(send)
    for name in ("first", "second"):
        outbox.put(tap(name))
        await outbox.until_empty()

    assert sent == ["first", "second"]


async def test_a_report_that_fails_is_not_forgotten() -> None:
    async def send(taps: Taps) -> None:
        if taps[0]["key"] == "bad":
            raise RuntimeError("refused")

    outbox = Outbox(send)
    outbox.put(tap("bad"))
    await asyncio.sleep(0)
    outbox.put(tap("good"))

    with pytest.raises(RuntimeError, match="refused"):
        await outbox.until_empty()


async def test_an_empty_outbox_is_not_waited_for() -> None:
    async def send(taps: Taps) -> None:
        raise AssertionError("nothing was tapped")

    await asyncio.wait_for(Outbox(send).until_empty(), timeout=1)


NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


def a_stop(name: str, kind: str, *parcels: dict[str, Any]) -> dict[str, Any]:
    """Return a stop of a run as the API shows it."""
    place = {"supply_point": f"point of {name}", "locker": f"locker of {name}"}
    return {"id": name, "kind": kind, "arrives_at": NOON.isoformat(), "parcels": parcels, **place}


class FullLocker:
    """An API whose first locker has no door left, and that says where goods go instead."""

    def __init__(self, action: str, stop: str | None) -> None:
        goods = {"id": "milk", "bundle": "one", "at_locker": True, "state": "deferred"}
        self.run = {
            "id": "run",
            "letter": "A",
            "courier": "courier",
            "starts_at": NOON.isoformat(),
            "stops": [a_stop("first", "supply_point", goods), a_stop("second", "supply_point")],
        }
        self._told = {"bundle": "one", "action": action, "stop": stop}
        self.tapped: list[tuple[str, str, str]] = []

    async def pages(self, path: str) -> list[Any]:
        return [self.run]

    async def get(self, path: str) -> Any:
        return self.run

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        if path.endswith("/open/"):
            raise Refused(path, 409, "no-compartment-available", "")
        taps = body["taps"] if body else []
        self.tapped += [(tap["kind"], tap["stop"], tap["reason"]) for tap in taps]
        is_asking = any(tap["kind"] == "problem" for tap in taps)
        return {"num_new": len(taps), "instructions": [self._told] if is_asking else []}


@pytest.mark.parametrize(
    ("action", "stop", "place"),
    [
        ("hand_in", "first", world.counter("point of first")),
        ("hand_in", "second", world.counter("point of second")),
        ("keep_on_board", None, world.vehicle("run")),
    ],
)
async def test_a_courier_without_a_door_takes_goods_where_the_answer_says(
    action: str, stop: str | None, place: world.Place
) -> None:
    api, real = FullLocker(action, stop), world.World(places={"milk": world.vehicle("run")})

    async def until(moment: datetime) -> None:
        return

    cast: Any = SimpleNamespace(
        world=real,
        conductor=SimpleNamespace(now=lambda: NOON, until=until),
        signed_in=lambda account: api,
        # A chance that sends nothing twice.
        dice=lambda what: Random(1),
    )

    await Courier(cast, {"id": "courier"}, Frost()).work()

    assert (real.places, real.faults) == ({"milk": place}, [])
    assert ("problem", "first", "locker_full") in api.tapped
    assert [stop for kind, stop, _ in api.tapped if kind == "deposited"] == ([stop] if stop else [])
