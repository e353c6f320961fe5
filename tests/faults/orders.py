"""Clerks who list orders over the API, and a dispatcher who releases the plans of pools that close."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from tests.cast.api import Api, Network, Refused
from tests.cast.dispatcher import Windows, next_delivery_day
from tests.cast.orders import OrderWish
from tests.cast.stage import delivery_weekdays
from tests.faults.village import AGAIN_S, Village

#: Seconds between two orders.
PAUSE_S = (0.3, 1.2)
#: Of so many orders, how many are sent twice at the same moment, and how many once more later.
TWICE_SHARE, LATER_SHARE = 0.15, 0.15
#: Seconds between two cut-offs.
CUTOFF_EVERY_S = 40.0


@dataclass(slots=True)
class Listed:
    """Orders by their keys, with the identifiers that the API gave them, each time it answered."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    num_parcels: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class Clerk:
    """Lists orders, one after another; an order that got no answer is sent again, under the same key."""

    def __init__(
        self,
        village: Village,
        network: Network,
        credentials: Mapping[str, Any],
        wishes: Sequence[OrderWish],
        listed: Listed,
    ) -> None:
        self._village = village
        self._shops = {shop["id"]: network.signed_in(shop["token"]) for shop in credentials["shops"]}
        self._wishes = wishes
        self._listed = listed
        self._dice = random.Random(f"{village.dice.random()} clerk")

    async def work(self) -> None:
        """List orders until the evening, and see to it that each got its answer."""
        async with asyncio.TaskGroup() as tasks:
            for wish in self._wishes:
                tasks.create_task(self._list(wish))
                await self._village.until_evening(self._dice.uniform(*PAUSE_S))
                if self._village.is_evening.is_set():
                    return

    async def _list(self, wish: OrderWish) -> None:
        key = str(uuid4())
        self._listed.answers[key] = []
        self._listed.num_parcels[key] = len(wish.parcels)
        times = 2 if self._dice.random() < TWICE_SHARE else 1
        await asyncio.gather(*(self._send(wish, key) for _ in range(times)))
        if self._dice.random() < LATER_SHARE:
            await self._village.until_evening(self._dice.uniform(1, 20))
            await self._send(wish, key)

    async def _send(self, wish: OrderWish, key: str) -> None:
        body = {
            "shop": wish.shop,
            "resident_card": wish.card_number,
            "parcels": [asdict(parcel) for parcel in wish.parcels],
            "note": key,
        }
        api = self._shops[wish.shop]
        try:
            answer = await until_answered(lambda: api.post("orders/", body, key=key))
        except Refused as refusal:
            self._listed.refused.append(f"order {key}: {refusal}")
        else:
            self._listed.answers[key].append(answer["id"])


class PoolKeeper:
    """Opens a pool for each of some days, and releases the plan of each that closes."""

    def __init__(self, village: Village, api: Api, region_id: str) -> None:
        self._village = village
        self._api = api
        self._region_id = region_id
        self.num_released = 0
        self.refused: list[str] = []

    async def open(self, days: Sequence[datetime], *, cutoffs: Sequence[datetime]) -> list[str]:
        """Open pools, and return their identifiers."""
        return [await self._open(day, cutoff_at) for day, cutoff_at in zip(days, cutoffs, strict=True)]

    async def keep(self, pool_ids: Sequence[str]) -> None:
        """Follow pools until their plans are released, or the evening finds them open."""
        await asyncio.gather(*(self._keep(pool_id) for pool_id in pool_ids))

    async def _open(self, day: datetime, cutoff_at: datetime) -> str:
        windows = Windows.of(day)
        pool = await self._api.post(
            "pools/",
            {
                "region": self._region_id,
                "delivery_date": windows.delivery_date.date().isoformat(),
                "cutoff_at": cutoff_at.isoformat(),
                "loading_from": windows.loading_from.isoformat(),
                "deliver_until": windows.deliver_until.isoformat(),
            },
        )
        return str(pool["id"])

    async def _keep(self, pool_id: str) -> None:
        while await self._state(f"pools/{pool_id}/") == "open":
            if self._village.is_evening.is_set():
                return
            await asyncio.sleep(AGAIN_S)
        try:
            plan = await self._proposed(pool_id)
            await until_answered(lambda: self._api.post(f"plans/{plan['id']}/release/"))
        except Refused as refusal:
            self.refused.append(f"pool {pool_id}: {refusal}")
        else:
            self.num_released += 1

    async def _proposed(self, pool_id: str) -> Mapping[str, Any]:
        """Wait for the plan of a pool; one that failed, for its solver was killed, is asked for again."""
        while True:
            [plan, *_] = await until_answered(lambda: self._api.get(f"pools/{pool_id}/plans/"))
            if plan["state"] == "proposed":
                return dict(plan)
            if plan["state"] == "failed":
                await self._ask_again(pool_id, budget_s=plan["budget_s"])
            await asyncio.sleep(AGAIN_S)

    async def _ask_again(self, pool_id: str, *, budget_s: float) -> None:
        await until_answered(lambda: self._api.post(f"pools/{pool_id}/plans/", {"budget_s": budget_s}))

    async def _state(self, path: str) -> str:
        return str((await until_answered(lambda: self._api.get(path)))["state"])


def delivery_days(after: datetime, count: int) -> list[datetime]:
    """Return the mornings of the next days on which the region delivers."""
    days = [next_delivery_day(after, weekdays=delivery_weekdays())]
    while len(days) < count:
        days.append(next_delivery_day(days[-1], weekdays=delivery_weekdays()))
    return days


def cutoffs(first: datetime, count: int, *, of_last: datetime) -> list[datetime]:
    """Return the moments at which pools close, one after another; the last is open all the time."""
    every = timedelta(seconds=CUTOFF_EVERY_S)
    return [*(first + every * number for number in range(1, count)), of_last]


async def until_answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """
    Ask again until there is an answer.

    Raises
    ------
    Refused
        If the answer is no.
    """
    while True:
        try:
            return await ask()
        except httpx.TransportError:
            pass
        except Refused as refusal:
            if refusal.status < 500:
                raise
        await asyncio.sleep(AGAIN_S)
