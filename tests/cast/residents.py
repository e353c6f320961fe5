"""Residents and counters: come for what is ready, with a code or the button, and take what is theirs."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from tests.cast import world
from tests.cast.api import Api
from tests.cast.cast import Cast

#: Minutes after the day's midnight in which people come: in the evening, else the next morning.
EVENING, MORNING = (17 * 60, 21 * 60), (31 * 60, 36 * 60)
EVENING_SHARE = 0.6
#: Of those who collect, how many open with the button of the page; of counter goods, how many are fetched.
OPEN_NOW_SHARE, FETCHED_SHARE = 0.1, 0.6
DOOR_TIMEOUT_S = 6.0
#: How long somebody goes on typing while the door before is still being reported.
TYPING_S = 15.0

WAITING_STATES = frozenset({"deposited", "at_counter"})
COMING_STATES = frozenset({"pooled", "planned", "loaded", "at_hub"})

Bundle = Mapping[str, Any]


class Habit(Enum):
    """What somebody does otherwise than most."""

    COLLECTS = auto()
    TYPES_A_WRONG_CODE_FIRST = auto()
    NEVER_COMES = auto()


class Resident:
    """Somebody for whom goods are on the way."""

    def __init__(self, cast: Cast, account: Mapping[str, Any], counters: "Counters", habit: Habit) -> None:
        self._cast = cast
        self._api: Api = cast.signed_in(account)
        self._card_number: str = account["card_number"]
        self._counters = counters
        self._habit = habit
        self._dice = cast.dice(f"resident {account['card_number']}")

    async def work(self, midnight: datetime) -> None:
        """Come once or twice until everything is collected that came."""
        if self._habit == Habit.NEVER_COMES:
            return
        for minutes in self._visits():
            await self._cast.conductor.until(midnight + timedelta(minutes=minutes))
            bundles = await self._api.pages("bundles/")
            await self._collect([bundle for bundle in bundles if _states(bundle) <= WAITING_STATES])
            if not any(_states(bundle) & COMING_STATES for bundle in bundles):
                return

    def _visits(self) -> list[float]:
        morning = self._dice.uniform(*MORNING)
        if self._dice.random() < EVENING_SHARE:
            return [self._dice.uniform(*EVENING), morning]
        return [morning]

    async def _collect(self, ready: Sequence[Bundle]) -> None:
        behind_doors = [bundle for bundle in ready if bundle["locker"]]
        if behind_doors:
            await self._open_doors(behind_doors)
        for bundle in ready:
            if not bundle["locker"] and self._dice.random() < FETCHED_SHARE:
                await self._counters.hand_over(bundle, to=self._card_number)

    async def _open_doors(self, bundles: Sequence[Bundle]) -> None:
        if self._habit == Habit.COLLECTS and self._dice.random() < OPEN_NOW_SHARE:
            for bundle in bundles:
                command = await self._api.post(f"bundles/{bundle['id']}/open/")
                await self._empty(bundle["locker"], command["compartment_number"])
            return
        code = (await self._api.get(f"bundles/{bundles[0]['id']}/code/"))["code"]
        for bundle in bundles:
            if self._habit == Habit.TYPES_A_WRONG_CODE_FIRST:
                await self._type_wrong_code(bundle["locker"], code)
            await self._empty(bundle["locker"], await self._type(bundle["locker"], code))

    async def _type(self, locker: str, code: str) -> int:
        """Type a code, again while the door before is still being reported, and return the door."""
        async with asyncio.timeout(TYPING_S):
            while True:
                answer = await self._cast.hands.keypad(locker, code)
                if answer.is_opening and answer.compartment is not None:
                    return answer.compartment
                if answer.outcome != "command-pending":
                    raise world.Disagreement(f"the keypad of {locker} refused a right code: {answer.outcome}")
                await asyncio.sleep(0.2)

    async def _type_wrong_code(self, locker: str, code: str) -> None:
        wrong = str(10**8 - 1 - int(code)).zfill(8)
        answer = await self._cast.hands.keypad(locker, wrong)
        if answer.is_opening:
            self._cast.world.faults.append(f"the keypad of {locker} took a wrong code")
        self._cast.world.incidents.append(f"a wrong code was refused at {locker}: {answer.outcome}")
        self._habit = Habit.COLLECTS

    async def _empty(self, locker: str, number: int) -> None:
        """Take everything out of an open compartment; it must be what lies there for oneself."""
        door = world.compartment(locker, number)
        self._cast.world.asked[door] += 1
        if not await self._cast.hands.wait_open(locker, number, timeout_s=DOOR_TIMEOUT_S):
            raise world.Disagreement(f"{door} did not open for its resident")
        taken = await self._cast.hands.take(locker, number)
        own = {
            parcel
            for order in self._cast.world.orders.values()
            if order.card_number == self._card_number
            for parcel in order.parcels
        }
        left_there = self._cast.world.behind_doors().get(door, [])
        if not taken or sorted(taken) != sorted(left_there) or not own.issuperset(taken):
            self._cast.world.faults.append(f"{door} held {taken}, where {left_there} was left")
        self._cast.world.move(taken, source=door, target=world.resident(self._card_number))
        await self._cast.hands.close(locker, number)
        await self._cast.hands.done(locker, number)


class Counters:
    """The staffed counters of the region."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._apis = {one["supply_point"]: cast.signed_in(one) for one in cast.credentials["counters"]}

    async def hand_over(self, bundle: Bundle, *, to: str) -> None:
        """Hand a bundle to its resident, and note it."""
        await self._apis[bundle["supply_point"]].post(f"bundles/{bundle['id']}/hand-over/")
        self._cast.world.move(
            (parcel["id"] for parcel in bundle["parcels"]),
            source=world.counter(bundle["supply_point"]),
            target=world.resident(to),
        )


def habits(cast: Cast, bundles: Iterable[Bundle]) -> dict[str, Habit]:
    """Choose, of those with goods in a locker, who never comes and who mistypes."""
    owner = {parcel: order.card_number for order in cast.world.orders.values() for parcel in order.parcels}
    at_lockers = sorted({owner[bundle["parcels"][0]["id"]] for bundle in bundles if bundle["locker"]})
    chosen = cast.dice("habits").sample(at_lockers, min(2, len(at_lockers)))
    return dict(zip(chosen, (Habit.NEVER_COMES, Habit.TYPES_A_WRONG_CODE_FIRST), strict=False))


def _states(bundle: Bundle) -> set[str]:
    return {parcel["state"] for parcel in bundle["parcels"]}
