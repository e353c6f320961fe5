"""Everybody who works while everything fails."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.cast.api import Network
from tests.cast.orders import orders_of_the_day
from tests.faults.bundles import Bundle
from tests.faults.helpers import Caretaker, Fitter, Frost
from tests.faults.installation import Fleet
from tests.faults.orders import Clerk, Listed, PoolKeeper, cutoffs
from tests.faults.village import Village

#: More than can be listed in any run.
NUM_ORDERS = 600
#: So many bundles are on their way at a time; seconds between two.
MAX_BUNDLES, BUNDLE_EVERY_S = 24, (0.1, 0.6)


class People:
    """Couriers and residents, clerks and a dispatcher, and those who look after the lockers."""

    def __init__(
        self,
        village: Village,
        fleets: Sequence[Fleet],
        network: Network,
        credentials: Mapping[str, Any],
        *,
        days: Sequence[datetime],
        seed: int,
    ) -> None:
        self._village = village
        self._days = days
        self.bundles: list[Bundle] = []
        self.listed = Listed()
        wishes = orders_of_the_day(credentials, seed=seed, count=NUM_ORDERS)
        self._clerk = Clerk(village, network, credentials, wishes, self.listed)
        dispatcher = network.signed_in(credentials["dispatcher"]["token"])
        self._keeper = PoolKeeper(village, dispatcher, credentials["region"]["id"])
        self._caretaker = Caretaker(village)
        self._fitter = Fitter(village, [fleet for fleet in fleets if fleet.broker])

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Let everybody work, until the evening or for as long as anybody is there."""
        self._day_work = [
            tasks.create_task(work.work(), name=name)
            for name, work in (
                ("clerk", self._clerk),
                ("frost", Frost(self._village)),
                ("fitter", self._fitter),
            )
        ]
        self._day_work.append(tasks.create_task(self._keep_pools(), name="dispatcher"))
        self._lives = [tasks.create_task(self._bring_bundles(tasks))]
        self._rounds = tasks.create_task(self._caretaker.work())

    def go_home(self) -> None:
        """End everybody's work, done or not."""
        for task in (*self._day_work, *self._lives, self._rounds):
            task.cancel()

    def unfinished(self) -> Iterator[str]:
        """Say who is still at work, and which goods are under way."""
        yield from (f"{bundle} is under way" for bundle in self.bundles if not bundle.is_over)
        yield from (f"the {task.get_name()} is at work" for task in self._day_work if not task.done())

    def refusals(self) -> Iterator[str]:
        """Say what was refused that should not have been."""
        yield from (*self.listed.refused, *self._keeper.refused)

    def __str__(self) -> str:
        return (
            f"{len(self.bundles)} bundles, {len(self.listed.answers)} orders, "
            f"{self._keeper.num_released} plans released, {self._fitter.num_fitted} lockers put up, "
            f"{self._caretaker.num_checks} compartments checked"
        )

    async def _keep_pools(self) -> None:
        today, *_ = self._days
        moments = cutoffs(self._village.now(), len(self._days), of_last=today.replace(hour=9))
        await self._keeper.keep(await self._keeper.open(self._days, cutoffs=moments))

    async def _bring_bundles(self, tasks: asyncio.TaskGroup) -> None:
        village, dice = self._village, self._village.dice
        while not village.is_evening.is_set():
            if sum(not bundle.is_over for bundle in self.bundles) < MAX_BUNDLES:
                chance = random.Random(f"{dice.random()} bundle")
                bundle = Bundle(village, dice.choice(village.sites), chance)
                self.bundles.append(bundle)
                self._lives.append(tasks.create_task(bundle.live()))
            await village.until_evening(dice.uniform(*BUNDLE_EVERY_S))
