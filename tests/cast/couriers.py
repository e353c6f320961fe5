"""Couriers: set out, load at shops, deposit at lockers and counters, and report it tap by tap."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from tests.cast import world
from tests.cast.api import Api, Refused
from tests.cast.cast import Cast

#: Of a courier's reports, how many are sent twice.
TWICE_SHARE = 0.05
#: A door that was told to open does so within this time, or sticks.
DOOR_TIMEOUT_S = 6.0
MAX_DOORS = 5
#: So many doors stand open at once while a courier fills a locker.
DOORS_AT_ONCE = 3
#: How long a courier waits at the last stop for the lockers' word on what was deposited.
SETTLING_S = 10.0

Taps = list[dict[str, Any]]


@dataclass(slots=True)
class Frost:
    """Seals all doors of one locker until a courier has met a door that does not open."""

    locker: str | None = None
    sealed: list[int] = field(default_factory=list)


class Courier:
    """Drives one run."""

    def __init__(self, cast: Cast, account: Mapping[str, Any], frost: Frost) -> None:
        self._cast = cast
        self._api: Api = cast.signed_in(account)
        self._courier_id = account["id"]
        self._frost = frost
        self._dice = cast.dice(f"courier {account['id']}")

    async def work(self) -> None:
        """Drive the run of the day, if there is one."""
        own = [run for run in await self._api.pages("runs/") if run["courier"] == self._courier_id]
        for planned in own:
            await self._drive(await self._api.get(f"runs/{planned['id']}/"))

    async def _drive(self, run: Mapping[str, Any]) -> None:
        await self._cast.conductor.until(datetime.fromisoformat(run["starts_at"]))
        await self._api.post(f"runs/{run['id']}/start/")
        taps: Taps = []
        for stop in run["stops"]:
            await self._cast.conductor.until(datetime.fromisoformat(stop["arrives_at"]))
            taps.append(self._tap("arrived", stop))
            if stop["kind"] == "shop":
                taps.append(self._load(run, stop))
            elif stop["kind"] == "supply_point":
                taps += await self._unload(run, stop)
            elif stop["kind"] == "end":
                await self._until_settled(run)
            else:
                # What is tapped at the start travels with the next report.
                continue
            await self._report(run, taps)
            taps = []

    def _load(self, run: Mapping[str, Any], stop: Mapping[str, Any]) -> dict[str, Any]:
        self._cast.world.move(
            _ids(stop["parcels"]), source=world.shop(stop["shop"]), target=world.vehicle(run["id"])
        )
        return self._tap("loaded", stop)

    async def _unload(self, run: Mapping[str, Any], stop: Mapping[str, Any]) -> Taps:
        bundles = defaultdict(list)
        for parcel in stop["parcels"]:
            bundles[parcel["bundle"], parcel["at_locker"]].append(parcel["id"])
        # At a locker whose doors stick one finds out by trying them one after another.
        free_hands = asyncio.Semaphore(1 if stop["locker"] == self._frost.locker else DOORS_AT_ONCE)

        async def put(bundle: str, parcels: list[str]) -> Taps:
            async with free_hands:
                return await self._put_behind_door(run, stop, bundle, parcels)

        at_doors = [put(bundle, parcels) for (bundle, at_locker), parcels in bundles.items() if at_locker]
        taps = [tap for one in await asyncio.gather(*at_doors) for tap in one]
        for (bundle, at_locker), parcels in bundles.items():
            if not at_locker:
                self._cast.world.move(
                    parcels,
                    source=world.vehicle(run["id"]),
                    target=world.counter(stop["supply_point"]),
                )
                taps.append(self._tap("deposited", stop, bundle=bundle))
        return taps

    async def _put_behind_door(
        self, run: Mapping[str, Any], stop: Mapping[str, Any], bundle: str, parcels: list[str]
    ) -> Taps:
        """Ask for doors until one opens, and put a bundle in; without a door it stays on board."""
        for _ in range(MAX_DOORS):
            try:
                command = await self._api.post(
                    f"runs/{run['id']}/stops/{stop['id']}/open/", {"bundle": bundle}
                )
            except Refused as refusal:
                if refusal.code != "no-compartment-available":
                    raise
                self._cast.world.incidents.append(f"no door was left at {stop['locker']}")
                return [self._tap("problem", stop, bundle=bundle, reason="locker_full")]
            number = command["compartment_number"]
            door = world.compartment(stop["locker"], number)
            self._cast.world.asked[door] += 1
            if await self._cast.hands.wait_open(stop["locker"], number, timeout_s=self._patience_s(stop)):
                await self._cast.hands.put(stop["locker"], number, parcels)
                await self._cast.hands.close(stop["locker"], number)
                self._cast.world.move(parcels, source=world.vehicle(run["id"]), target=door)
                return [self._tap("deposited", stop, bundle=bundle)]
            self._cast.world.incidents.append(f"the door of {door} did not open")
            await self._thaw(stop["locker"], but=number)
        self._cast.world.faults.append(f"no door of {stop['locker']} opened for bundle {bundle}")
        return [self._tap("problem", stop, bundle=bundle, reason="no_access")]

    async def _thaw(self, locker: str, *, but: int) -> None:
        """Let the other doors of a frozen locker go again: one that sticks is enough."""
        if locker == self._frost.locker:
            for number in self._frost.sealed:
                await self._cast.hands.jam(locker, number, is_jammed=number == but)
            self._frost.locker = None

    def _patience_s(self, stop: Mapping[str, Any]) -> float:
        # The simulated door opens at once or never; who knows that it is frozen need not wait for the rest.
        return 0.5 if stop["locker"] == self._frost.locker else DOOR_TIMEOUT_S

    async def _until_settled(self, run: Mapping[str, Any]) -> None:
        """Wait until the lockers' word has come for everything that was put into them."""
        try:
            async with asyncio.timeout(SETTLING_S):
                while self._unsettled(await self._api.get(f"runs/{run['id']}/")):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self._cast.world.faults.append(f"run {run['letter']}: the lockers never confirmed all deposits")

    def _unsettled(self, run: Mapping[str, Any]) -> bool:
        return any(
            parcel["state"] in {"planned", "loaded"}
            and self._cast.world.places[parcel["id"]].kind == world.Kind.COMPARTMENT
            for stop in run["stops"]
            for parcel in stop["parcels"]
        )

    async def _report(self, run: Mapping[str, Any], taps: Taps) -> None:
        path = f"runs/{run['id']}/reports/"
        if self._dice.random() < TWICE_SHARE:
            answer, again = await self._api.post_twice(path, {"taps": taps})
            if answer != again:
                self._cast.world.faults.append(f"run {run['letter']}: two answers to one report")
        else:
            answer = await self._api.post(path, {"taps": taps}, key=str(uuid4()))
        if answer["num_new"] != len(taps):
            self._cast.world.faults.append(
                f"run {run['letter']}: {answer['num_new']} of {len(taps)} taps kept"
            )

    def _tap(
        self, kind: str, stop: Mapping[str, Any], *, bundle: str | None = None, reason: str = ""
    ) -> dict[str, Any]:
        return {
            "key": str(uuid4()),
            "kind": kind,
            "stop": stop["id"],
            "made_at": self._cast.conductor.now().isoformat(),
            "bundle": bundle,
            "reason": reason,
        }


def _ids(parcels: Iterable[Mapping[str, Any]]) -> list[str]:
    return [parcel["id"] for parcel in parcels]
