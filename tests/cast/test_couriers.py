"""A courier goes on while the taps before are on their way."""

import asyncio

import pytest

from tests.cast.couriers import Outbox, Taps


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
