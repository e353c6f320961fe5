"""The dispatcher: opens pools, follows the plan, releases it, and looks after lockers and books."""

import asyncio
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.cast.api import Api

ZONE = ZoneInfo("Europe/Berlin")
LOOK_EVERY_S = 0.1
PATIENCE_S = 60.0
#: How long what happened at the lockers may take to be known everywhere; the books tell if it took longer.
SETTLING_S = 30.0
#: How often a plan that failed is asked for again.
MAX_PLANS = 3

#: Is told of a plan's progress.
Watch = Callable[[Mapping[str, Any]], None]
Locker = Mapping[str, Any]


class NothingHappened(Exception):
    """What should follow by itself did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A delivery day's moments, by the clock on the wall of the region."""

    delivery_date: datetime
    cutoff_at: datetime
    loading_from: datetime
    deliver_until: datetime

    @classmethod
    def of(cls, day: datetime) -> "Windows":
        """Return the windows of the day on which a moment lies."""

        def at(hour: int, minute: int = 0) -> datetime:
            return datetime.combine(day.astimezone(ZONE).date(), time(hour, minute), tzinfo=ZONE)

        return cls(delivery_date=at(0), cutoff_at=at(9), loading_from=at(9, 30), deliver_until=at(19))


class Dispatcher:
    """Sees the whole region."""

    def __init__(self, api: Api, *, region_id: str) -> None:
        self._api = api
        self._region_id = region_id

    async def open_pool(self, windows: Windows) -> str:
        """Open the pool of a day, and return its identifier."""
        pool = await self._api.post(
            "pools/",
            {
                "region": self._region_id,
                "delivery_date": windows.delivery_date.date().isoformat(),
                "cutoff_at": windows.cutoff_at.isoformat(),
                "loading_from": windows.loading_from.isoformat(),
                "deliver_until": windows.deliver_until.isoformat(),
            },
        )
        return str(pool["id"])

    async def until_closed(self, pool_id: str) -> None:
        """Wait until the cut-off has closed a pool, which happens by itself."""
        async with _patience("the pool did not close at its cut-off"):
            while (await self._api.get(f"pools/{pool_id}/"))["state"] == "open":
                await asyncio.sleep(LOOK_EVERY_S)

    async def released_plan(self, pool_id: str, watch: Watch) -> Mapping[str, Any]:
        """Wait for the plan that the cut-off asked for, release it, and return it."""
        [plan] = await self._api.get(f"pools/{pool_id}/plans/")
        for _ in range(MAX_PLANS):
            plan = await self._computed(plan, watch)
            if plan["state"] == "proposed":
                await self._api.post(f"plans/{plan['id']}/release/")
                return plan
            plan = await self._api.post(f"pools/{pool_id}/plans/", {"budget_s": plan["budget_s"]})
        raise NothingHappened(f"no plan could be computed: {plan['error']}")

    async def runs(self) -> list[Any]:
        """Return the runs of the day."""
        return sorted(await self._api.pages("runs/"), key=lambda run: run["letter"])

    async def run(self, run_id: str) -> Mapping[str, Any]:
        """Return a run with its stops."""
        found: Mapping[str, Any] = await self._api.get(f"runs/{run_id}/")
        return found

    async def bundles(self) -> list[Any]:
        """Return all bundles of the region."""
        return await self._api.pages("bundles/")

    async def orders(self) -> list[Any]:
        """Return all orders of the region."""
        return await self._api.pages("orders/")

    async def lockers(self, *, named: Set[str] = frozenset()) -> list[Any]:
        """Return the lockers of the region, or some of them, with their compartments."""
        return await self._api.pages("lockers/", **({"slug": sorted(named)} if named else {}))

    async def day(self, pool_id: str) -> Mapping[str, Any]:
        """Return the API's own books of a pool."""
        books: Mapping[str, Any] = await self._api.get(f"pools/{pool_id}/day/")
        return books

    async def until_online(self) -> None:
        """Wait until every locker of the region is online."""
        async with _patience("not all lockers came online"):
            while not all(locker["is_online"] for locker in await self.lockers()):
                await asyncio.sleep(LOOK_EVERY_S)

    async def until_doors_agree(
        self, occupied: Callable[[Locker], Set[int]], *, of_lockers: Set[str]
    ) -> None:
        """
        Wait until some lockers' reports have taken effect: no door is in use, and goods are where they are.

        Gives up without a word; the books tell what never agreed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING_S):
                while of_lockers:
                    seen = await self.lockers(named=of_lockers)
                    of_lockers = {one["slug"] for one in seen if not _agrees(one, occupied(one))}
                    await asyncio.sleep(LOOK_EVERY_S if of_lockers else 0)

    async def until_overdue(self, parcels: Set[str]) -> None:
        """Wait until parcels have become overdue by themselves; gives up without a word."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING_S):
                while not parcels <= await self._overdue():
                    await asyncio.sleep(LOOK_EVERY_S)

    async def _overdue(self) -> Set[str]:
        return {
            parcel["id"]
            for bundle in await self.bundles()
            for parcel in bundle["parcels"]
            if parcel["state"] == "overdue"
        }

    async def _computed(self, plan: Mapping[str, Any], watch: Watch) -> Mapping[str, Any]:
        async with _patience("the plan was not computed"):
            while plan["state"] in {"queued", "running"}:
                await asyncio.sleep(LOOK_EVERY_S)
                plan = await self._api.get(f"plans/{plan['id']}/")
                watch(plan)
        return plan


def _agrees(locker: Locker, occupied: Set[int]) -> bool:
    states = {compartment["number"]: compartment["state"] for compartment in locker["compartments"]}
    said = {number for number, state in states.items() if state == "occupied"}
    return said == occupied and not {"depositing", "collecting"} & set(states.values())


class _patience:  # noqa: N801 - reads as a verb
    """Give something the time it may take, and say what did not happen."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._timeout = asyncio.timeout(PATIENCE_S)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise NothingHappened(self._sentence) from late


def next_delivery_day(after: datetime, *, weekdays: frozenset[int]) -> datetime:
    """Return the morning of the first delivery day that begins after a moment."""
    day = after.astimezone(ZONE) + timedelta(days=1)
    while day.isoweekday() not in weekdays:
        day += timedelta(days=1)
    return datetime.combine(day.date(), time(6), tzinfo=ZONE)
