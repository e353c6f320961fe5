"""One run: people work, faults befall the installation, it comes to rest, and is judged."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.clock import real_now, steer
from deploy.local.parts import preparations
from deploy.local.supervisor import Supervisor
from lockers.services import devices
from tests.cast import stage
from tests.cast.api import Network
from tests.faults import evidence, faults, trace
from tests.faults.crew import Crew
from tests.faults.helpers import install
from tests.faults.installation import Fleet, Servers, cabinets, open_networks, services
from tests.faults.judge import Evidence, Findings, judge
from tests.faults.orders import delivery_days
from tests.faults.people import People
from tests.faults.settling import restless
from tests.faults.village import Site, Village, enter_service, in_database

NUM_HTTPS_FLEETS, NUM_MQTT_FLEETS, LOCKERS_PER_FLEET = 2, 2, 2
NUM_POOLS, NUM_RESIDENTS_FOR = 5, 200
#: How long people work before the first fault, in seconds.
CALM_S = 3.0
#: After so many seconds without rest a run is judged as it is.
PATIENCE_S = 150.0
LOOK_EVERY_S, TELL_EVERY_S = 0.5, 10.0
MAX_SHOWN = 60
#: With kombu 5.7 they give up if Redis goes while they hold a message; who keeps services starts them again.
GIVES_UP = faults.WORKERS
#: A run must inject so many faults, and come to rest within so many seconds.
FEWEST_FAULTS, LONGEST_S = 30, 60.0


def say(text: str) -> None:
    """Tell whoever started the run."""
    print(text, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended."""

    num_injected: int
    findings: Findings
    settled_s: float

    @property
    def is_good(self) -> bool:
        """Tell whether nothing is wrong."""
        is_hard_enough, is_quick = self.num_injected >= FEWEST_FAULTS, self.settled_s <= LONGEST_S
        return is_hard_enough and is_quick and not list(self.findings.all)

    def as_json(self) -> dict[str, Any]:
        """Return the line that ends a run."""
        return {
            "injected": self.num_injected,
            "lost": len(self.findings.lost),
            "double": len(self.findings.double),
            "late": len(self.findings.late),
            "settled_s": round(self.settled_s, 1),
        }


async def play(supervisor: Supervisor, servers: Servers, *, seed: int, count: int) -> Outcome:
    """Let everything happen, and judge it."""
    fleets = await open_networks(servers, num_https=NUM_HTTPS_FLEETS, num_mqtt=NUM_MQTT_FLEETS, seed=seed)
    try:
        return await Run(supervisor, servers, fleets, seed=seed).play(count)
    finally:
        for network in (network for fleet in fleets for network in fleet.networks):
            await network.close()


class Run:
    """An installation, its people, and what befalls them."""

    def __init__(
        self, supervisor: Supervisor, servers: Servers, fleets: Sequence[Fleet], *, seed: int
    ) -> None:
        self._supervisor = supervisor
        self._servers = servers
        self._fleets = fleets
        self._seed = seed
        self._days = delivery_days(real_now(), NUM_POOLS)
        self._village = Village(sites=[], dice=random.Random(f"{seed} village"))
        self._log = faults.Log(say)
        names = ["postgres", "redis", "mosquitto", *(part.name for part in services(servers.run))]
        self._crew = Crew(supervisor, [*names, *(fleet.name for fleet in fleets)])

    async def play(self, count: int) -> Outcome:
        """Prepare everything, let people work and faults happen, wait for rest, and judge."""
        credentials = await self._prepare()
        await self._start()
        async with Network(self._servers.run.base_url) as network:
            people = People(
                self._village, self._fleets, network, credentials, days=self._days, seed=self._seed
            )
            settled_s = await self._work(people, count)
        say(str(people))
        findings = judge(await self._evidence(people))
        findings.lost.extend(self._village.lost)
        findings.strange.extend([*people.refusals(), *self._disobedience()])
        return Outcome(num_injected=self._log.num_injected, findings=findings, settled_s=settled_s)

    async def _prepare(self) -> Any:
        """Set up the database, a region and its lockers; return who is who."""
        say("Preparing the database and the region …")
        run = self._servers.run
        self._supervisor.complete(*preparations(run))
        await in_database(trace.install)
        steer(run.directory / "clock.json", to=self._days[0], rate=1)
        for number, fleet in enumerate(self._fleets):
            for other in range(LOCKERS_PER_FLEET):
                locker = await in_database(install, f"dorf-{number * LOCKERS_PER_FLEET + other + 1}")
                enter_service(
                    fleet, locker.slug, await in_database(devices.issue_token, locker, real_at=real_now())
                )
                self._village.sites.append(Site(locker, fleet))
        return await stage.load_region(
            slug=stage.SLUG,
            seed=self._seed,
            first_day=self._days[0],
            num_orders=NUM_RESIDENTS_FOR,
            run_dir=run.directory,
            num_days=NUM_POOLS,
        )

    async def _start(self) -> None:
        say("Starting the servers, the workers and the lockers …")
        self._supervisor.start(*services(self._servers.run))
        self._supervisor.start(*(cabinets(self._servers.run, fleet) for fleet in self._fleets))
        for site in self._village.sites:
            while not await in_database(_is_online, site):
                await asyncio.sleep(LOOK_EVERY_S)

    async def _work(self, people: People, count: int) -> float:
        """Let people work while faults happen, and return how long it took until all was at rest."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._crew.watch())
            people.begin(tasks)
            await asyncio.sleep(CALM_S)
            say(f"Seed {self._seed}: {count} faults")
            await self._inject(count)
            say("No more faults, no new work.")
            self._village.is_evening.set()
            settled_s = await self._settle(people)
            people.go_home()
            watching.cancel()
        return settled_s

    async def _inject(self, count: int) -> None:
        target = faults.Target(
            crew=self._crew,
            servers=self._servers,
            fleets=self._fleets,
            networks={fleet.name: asyncio.Lock() for fleet in self._fleets},
        )
        await faults.inject(target, self._log, seed=self._seed, count=count)

    async def _settle(self, people: People) -> float:
        """Wait until everybody is done and nothing waits any more; return how long after the last fault."""
        over_s = self._log.over_s
        heard_since = real_now() - timedelta(seconds=time.monotonic() - over_s)
        told_s = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            open_points = list(people.unfinished())
            open_points += await in_database(restless, self._servers.run.directory, heard_since=heard_since)
            took_s = time.monotonic() - over_s
            if not open_points:
                return took_s
            if took_s > PATIENCE_S:
                for point in open_points[:MAX_SHOWN]:
                    say(f"  NOT AT REST: {point}")
                return took_s
            if time.monotonic() - told_s > TELL_EVERY_S:
                told_s = time.monotonic()
                say(f"  after {took_s:.0f} s {len(open_points)} points are open: {open_points[0]}; …")

    async def _evidence(self, people: People) -> Evidence:
        contents: dict[str, Any] = {}
        for site in self._village.sites:
            contents[site.slug] = await site.doors()
        gathered = await in_database(
            evidence.gather, self._servers.run.directory, people.bundles, people.listed, contents
        )
        say(
            f"{len(gathered.pulses)} pulses, {len(gathered.reports)} reports, "
            f"{len(gathered.works)} intents and messages, {len(gathered.moves)} moves"
        )
        return gathered

    def _disobedience(self) -> Iterator[str]:
        """Yield who ended though nobody harmed them, if that is news, or did not when asked."""
        for name, times in self._crew.deserted.items():
            if name in GIVES_UP:
                say(f"  {name} gave up {times} times, and was started again")
            else:
                yield f"{name} ended {times} times though nobody harmed it"
        for name, times in self._crew.deaf.items():
            yield f"{name} did not end {times} times when it was asked to"


def _is_online(site: Site) -> bool:
    device = site.locker.devices.first()
    return device is not None and device.is_reachable(at=real_now())
