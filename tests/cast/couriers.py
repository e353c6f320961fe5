"""Couriers: set out, load at shops, deposit at lockers and counters, and report it tap by tap."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
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


class Outbox:
    """Sends taps while its courier goes on; what was tapped while a report was on its way is in the next."""

    def __init__(self, send: Callable[[Taps], Awaitable[object]]) -> None:
        self._send = send
        self._waiting: Taps = []
        self._sending: asyncio.Task[None] | None = None

    def put(self, taps: Taps) -> None:
        """Send taps as soon as those before them have arrived."""
        self._waiting += taps
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all(after=self._sending))

    async def until_empty(self) -> None:
        """Wait until everything has arrived, and raise what went wrong with it."""
        if self._sending is not None:
            await self._sending

    async def _send_all(self, *, after: "asyncio.Task[None] | None") -> None:
        if after is not None:
            await after
        while self._waiting:
            taps, self._waiting = self._waiting, []
            await self._send(taps)


class Courier:
    """Drives one run."""

    def __init__(self, cast: Cast, account: Mapping[str, Any], frost: Frost) -> None:
        self._cast = cast
        self._api: Api = cast.signed_in(account)
        self._courier_id = account["id"]
        self._frost = frost
        self._dice = cast.dice(f"courier {account['id']}")
        #: What was taken on to a later stop: bundle, whether it goes behind a door there, parcels.
        self._taken_on: dict[str, list[tuple[str, bool, list[str]]]] = defaultdict(list)

    async def work(self) -> None:
        """Drive the run of the day, if there is one."""
        own = [run for run in await self._api.pages("runs/") if run["courier"] == self._courier_id]
        for planned in own:
            await self._drive(await self._api.get(f"runs/{planned['id']}/"))

    async def _drive(self, run: Mapping[str, Any]) -> None:
        await self._cast.conductor.until(datetime.fromisoformat(run["starts_at"]))
        await self._api.post(f"runs/{run['id']}/start/")
        outbox = Outbox(partial(self._report, run))
        for stop in run["stops"]:
            arrives_at = datetime.fromisoformat(stop["arrives_at"])
            if arrives_at > self._cast.conductor.now():
                await outbox.until_empty()
                await self._cast.conductor.until(arrives_at)
            taps = [self._tap("arrived", stop)]
            if stop["kind"] == "shop":
                taps.append(self._load(run, stop))
            elif stop["kind"] == "supply_point":
                taps += await self._unload(run, stop)
            elif stop["kind"] == "end":
                await outbox.until_empty()
                await self._until_settled(run)
            outbox.put(taps)
        await outbox.until_empty()

    def _load(self, run: Mapping[str, Any], stop: Mapping[str, Any]) -> dict[str, Any]:
        self._cast.world.move(
            _ids(stop["parcels"]), source=world.shop(stop["shop"]), target=world.vehicle(run["id"])
        )
        return self._tap("loaded", stop)

    async def _unload(self, run: Mapping[str, Any], stop: Mapping[str, Any]) -> Taps:
        bundles = defaultdict(list)
        for parcel in stop["parcels"]:
            bundles[parcel["bundle"], parcel["at_locker"]].append(parcel["id"])
        for bundle, at_locker, parcels in self._taken_on.pop(stop["id"], ()):
            bundles[bundle, at_locker] = parcels
        hands = asyncio.Semaphore(DOORS_AT_ONCE)

        async def put(bundle: str, parcels: list[str]) -> Taps:
            async with hands:
                return await self._put_behind_door(run, stop, bundle, parcels)

        at_doors = [(bundle, parcels) for (bundle, at_locker), parcels in bundles.items() if at_locker]
        taps: Taps = []
        if at_doors and stop["locker"] == self._frost.locker:
            # Where doors stick one tries them one after another, until one has opened.
            taps += await put(*at_doors.pop(0))
        for tapped in await asyncio.gather(*(put(*one) for one in at_doors)):
            taps += tapped
        for (bundle, at_locker), parcels in bundles.items():
            if not at_locker:
                taps.append(self._hand_in(run, stop, bundle, parcels))
        return taps

    def _hand_in(
        self, run: Mapping[str, Any], stop: Mapping[str, Any], bundle: str, parcels: list[str]
    ) -> dict[str, Any]:
        self._cast.world.move(
            parcels, source=world.vehicle(run["id"]), target=world.counter(stop["supply_point"])
        )
        return self._tap("deposited", stop, bundle=bundle)

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
                return await self._go_where_told(run, stop, bundle, parcels)
            number = command["compartment_number"]
            door = world.compartment(stop["locker"], number)
            self._cast.world.asked[door] += 1
            if await self._cast.hands.wait_open(stop["locker"], number, timeout_s=self._patience_s(stop)):
                taps = []
                if command["verify_empty"]:
                    self._cast.world.incidents.append(f"{door} was looked into before goods went in")
                    taps = [self._tap("empty", stop, bundle=bundle, compartment_number=number)]
                await self._cast.hands.put(stop["locker"], number, parcels)
                await self._cast.hands.close(stop["locker"], number)
                self._cast.world.move(parcels, source=world.vehicle(run["id"]), target=door)
                return [*taps, self._tap("deposited", stop, bundle=bundle)]
            self._cast.world.incidents.append(f"the door of {door} did not open")
            await self._thaw(stop["locker"], but=number)
        self._cast.world.faults.append(f"no door of {stop['locker']} opened for bundle {bundle}")
        return [self._tap("problem", stop, bundle=bundle, reason="no_access")]

    async def _go_where_told(
        self, run: Mapping[str, Any], stop: Mapping[str, Any], bundle: str, parcels: list[str]
    ) -> Taps:
        """Say that no door is left, and do what the answer says: hand in here, take on, or keep on board."""
        tap = self._tap("problem", stop, bundle=bundle, reason="locker_full")
        answer = await self._report(run, [tap])
        for told in [told for told in answer["instructions"] if told["bundle"] == bundle]:
            self._cast.world.incidents.append(f"a bundle for {stop['locker']}: {told['action']}")
            if told["action"] == "hand_in" and told["stop"] == stop["id"]:
                return [self._hand_in(run, stop, bundle, parcels)]
            if told["stop"] is not None:
                self._taken_on[told["stop"]].append((bundle, told["action"] == "open_door", parcels))
        return []

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

    async def _report(self, run: Mapping[str, Any], taps: Taps) -> Mapping[str, Any]:
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
        told: Mapping[str, Any] = answer
        return told

    def _tap(
        self,
        kind: str,
        stop: Mapping[str, Any],
        *,
        bundle: str | None = None,
        reason: str = "",
        compartment_number: int | None = None,
    ) -> dict[str, Any]:
        return {
            "key": str(uuid4()),
            "kind": kind,
            "stop": stop["id"],
            "made_at": self._cast.conductor.now().isoformat(),
            "bundle": bundle,
            "reason": reason,
            "compartment_number": compartment_number,
        }


def _ids(parcels: Iterable[Mapping[str, Any]]) -> list[str]:
    return [parcel["id"] for parcel in parcels]
