"""One day of one region, from the first order to the books."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from rich.console import Console

from lockers.device.hands import HandsError
from tests.cast import table, world
from tests.cast.api import Refused
from tests.cast.books import Books, Evidence, balance
from tests.cast.cast import Cast
from tests.cast.clerks import Clerk, tasks_by_shop
from tests.cast.conductor import Actor
from tests.cast.couriers import Courier, Frost
from tests.cast.dispatcher import Dispatcher, Windows, next_delivery_day
from tests.cast.orders import orders_of_the_day
from tests.cast.residents import Counters, Habit, Resident, habits
from tests.cast.stage import delivery_weekdays
from tests.cast.world import Disagreement, Kind

#: Longer than goods are held, so that what is overdue has become so.
HOLDING = timedelta(hours=48, minutes=5)
A_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is left when a day is over."""

    books: Books
    plan: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    orders: Sequence[Mapping[str, Any]]


class Day:
    """Lets the cast play its day, part after part."""

    def __init__(
        self, cast: Cast, windows: Windows, *, num_orders: int, console: Console, is_demo: bool
    ) -> None:
        self._cast = cast
        self._windows = windows
        self._console = console
        self._is_demo = is_demo
        self._settled: Counter[world.Place] = Counter()
        self._dispatcher = Dispatcher(
            cast.signed_in(cast.credentials["dispatcher"]), region_id=cast.credentials["region"]["id"]
        )
        # One order more than the clerks are in time for.
        *self._wishes, self._late = orders_of_the_day(cast.credentials, seed=cast.seed, count=num_orders + 1)

    async def play(self) -> Played:
        """Play the day, and return its books."""
        with self._part("Lockers are online"):
            await self._dispatcher.until_online()
        with self._part(f"{len(self._wishes)} orders listed"):
            pool_id, next_pool_id = await self._open_pools()
            await self._list_orders(next_pool_id)
        with self._part("Plan computed and released"):
            plan = await self._plan(pool_id)
        with self._part("Runs driven, goods collected"):
            runs, bundles = await self._dispatcher.runs(), await self._dispatcher.bundles()
            habit_of = habits(self._cast, bundles)
            frost = await self._frost(bundles)
            await self._drive_and_collect(habit_of, frost)
        with self._part("Holding time over"):
            await self._let_holding_time_end()
        with self._part("Books compared"):
            return await self._books(pool_id, plan, runs)

    async def _open_pools(self) -> tuple[str, str]:
        hold_ends = self._windows.deliver_until + HOLDING
        next_windows = Windows.of(next_delivery_day(hold_ends, weekdays=delivery_weekdays()))
        return (
            await self._dispatcher.open_pool(self._windows),
            await self._dispatcher.open_pool(next_windows),
        )

    async def _list_orders(self, next_pool_id: str) -> None:
        shops = {shop["id"]: shop for shop in self._cast.credentials["shops"]}
        cutoff_at = self._windows.cutoff_at
        await self._cast.conductor.play(
            *(
                self._noting(Clerk(self._cast, shops[shop_id], cutoff_at=cutoff_at).work(tasks))
                for shop_id, tasks in tasks_by_shop(self._cast, self._wishes).items()
            )
        )
        self._cast.conductor.jump(cutoff_at + A_SECOND)
        late_clerk = Clerk(self._cast, shops[self._late.shop], cutoff_at=cutoff_at)
        await late_clerk.list_late(self._late, expected_pool=next_pool_id)

    async def _plan(self, pool_id: str) -> Mapping[str, Any]:
        await self._dispatcher.until_closed(pool_id)
        with table.PlanProgress(self._console) as progress:
            return await self._dispatcher.released_plan(pool_id, progress)

    async def _frost(self, bundles: Sequence[Mapping[str, Any]]) -> Frost:
        """Seal the doors of the locker that can best do without one of them."""
        coming = [bundle["locker"] for bundle in bundles if bundle["locker"]]
        served = [locker for locker in await self._dispatcher.lockers() if locker["slug"] in coming]
        if not served:
            return Frost()
        chosen = max(
            served, key=lambda one: (len(one["compartments"]) - coming.count(one["slug"]), one["slug"])
        )
        sealed = [compartment["number"] for compartment in chosen["compartments"]]
        for number in sealed:
            await self._cast.hands.jam(chosen["slug"], number)
        return Frost(locker=chosen["slug"], sealed=sealed)

    async def _drive_and_collect(self, habit_of: Mapping[str, Habit], frost: Frost) -> None:
        counters = Counters(self._cast)
        expecting = {order.card_number for order in self._cast.world.orders.values() if not order.is_late}
        people = self._cast.credentials
        await self._cast.conductor.play(
            *(self._noting(Courier(self._cast, one, frost).work()) for one in people["couriers"]),
            *(
                self._noting(
                    Resident(
                        self._cast, one, counters, habit_of.get(one["card_number"], Habit.COLLECTS)
                    ).work(self._windows.delivery_date)
                )
                for one in people["residents"]
                if one["card_number"] in expecting
            ),
            settle=self._settle,
        )

    async def _let_holding_time_end(self) -> None:
        """Jump past the holding time, and wait for what nobody came for to become overdue."""
        self._cast.conductor.jump(self._windows.deliver_until + HOLDING)
        await self._dispatcher.until_overdue(self._cast.world.parcels_at(Kind.COMPARTMENT))

    async def _settle(self) -> None:
        """Let what happened at lockers take effect before time goes on, as it does in life within seconds."""
        touched = self._cast.world.asked - self._settled
        self._settled += touched
        held = self._cast.world.behind_doors()
        await self._dispatcher.until_doors_agree(
            lambda locker: {
                compartment["number"]
                for compartment in locker["compartments"]
                if world.compartment(locker["slug"], compartment["number"]) in held
            },
            of_lockers={world.locker_of(door) for door in touched},
        )

    async def _books(
        self, pool_id: str, plan: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]
    ) -> Played:
        slugs = [locker["slug"] for locker in self._cast.credentials["lockers"]]
        orders = await self._dispatcher.orders()
        cabinets = await self._cast.hands.contents()
        books = balance(
            Evidence(
                world=self._cast.world,
                pool_id=pool_id,
                orders=orders,
                day=await self._dispatcher.day(pool_id),
                runs=runs,
                lockers=await self._dispatcher.lockers(),
                cabinets={slug: cabinets[slug] for slug in slugs},
            )
        )
        # The stops are for the eye only.
        detailed = [await self._dispatcher.run(run["id"]) for run in runs] if self._is_demo else runs
        return Played(books=books, plan=plan, runs=detailed, orders=orders)

    async def _noting(self, actor: Actor) -> None:
        """Let somebody act; what stops them is a fault of the day, and the others go on."""
        try:
            await actor
        except (Refused, HandsError, Disagreement, httpx.TransportError, TimeoutError) as error:
            self._cast.world.faults.append(f"{type(error).__name__}: {error}")

    @contextmanager
    def _part(self, title: str) -> Iterator[None]:
        started_s = time.monotonic()
        yield
        took_s = time.monotonic() - started_s
        moment = self._cast.conductor.now().astimezone(self._windows.cutoff_at.tzinfo)
        self._console.print(f"  {moment:%a %H:%M}  {title} ({took_s:.1f} s)")
