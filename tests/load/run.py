"""One run: unlocks one by one, then hundreds of lockers, a steady load and an outage; the figures of all."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from common.clock import real_now, steer
from deploy.local import parts
from deploy.local.parts import Run, preparations
from deploy.local.probes import free_port, log_says
from deploy.local.supervisor import Part, Supervisor
from lockers.alarms import AlarmKind
from lockers.api import threads
from tests.faults.installation import services
from tests.load import ledger, unlocks
from tests.load.effort import Effort
from tests.load.figures import Figures, Load, Outage, Unlocks
from tests.load.fleets import FORCED, NUM_COMPARTMENTS, Doors, Fleet, a_fleet, install
from tests.logistics.builders import at

#: What stands below the services.
SERVERS = ("postgres", "redis", "mosquitto")
NUM_FLEETS = 2
#: So many lockers lose their network without a word while the others are busy, one every second.
NUM_UNPLUGGED = 10
#: So long does a door stand open, in seconds, if the next turn leaves it time for that.
HOLD_S = 1.0
#: So many doors move at a time when they move as fast as they can.
AT_A_TIME = 20
#: Lockers that have just connected have lists to take and doors to tell of; then nothing happens for a while.
SETTLE_S, REST_S = 5.0, 10.0
#: Rarely, for looking costs the database something; when things happened it remembers itself.
LOOK_EVERY_S = 1.0
#: After so many seconds nobody waits any longer.
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a run measures."""

    num_lockers: int
    rate_per_s: float
    seconds: float
    backlog: int
    num_unlocks: int


def say(text: str) -> None:
    """Tell whoever started the run."""
    print(text, flush=True)


async def play(supervisor: Supervisor, run: Run, wishes: Wishes, *, cores: int) -> Figures:
    """Set everything up, measure, and close the books."""
    say("Preparing the database, and a courier's day …")
    supervisor.complete(*preparations(run))
    # Nothing falls due in the middle of a morning.
    steer(run.directory / "clock.json", to=at(9), rate=1)
    errand = await threads.run(unlocks.an_errand)
    lockers = await threads.run(install, wishes.num_lockers)
    say("Starting the servers and the workers …")
    bare = _bare(run)
    supervisor.start(*services(run), bare.part)
    async with Doors() as doors:
        one = await threads.run(a_fleet, run, "one", [errand.locker])
        supervisor.start(one.part(run))
        await doors.reach(one)
        say(f"{wishes.num_unlocks} unlocks, one after another …")
        opened = await unlocks.measure(
            errand, one, doors, run=run, bare_url=bare.url, count=wishes.num_unlocks
        )
        _show(opened)

        say(f"Connecting {wishes.num_lockers} lockers …")
        began_s = time.monotonic()
        fleets = [
            await threads.run(a_fleet, run, f"fleet-{number + 1}", lockers[number::NUM_FLEETS])
            for number in range(NUM_FLEETS)
        ]
        supervisor.start(*(fleet.part(run) for fleet in fleets))
        connected_s = time.monotonic() - began_s
        for fleet in fleets:
            await doors.reach(fleet)
        names = [*SERVERS, *(part.name for part in services(run)), *(fleet.name for fleet in fleets)]
        trial = Trial(doors, fleets, partial(Effort, supervisor, names))
        idle = await trial.rest()
        say(f"{wishes.rate_per_s:g} events a second for {wishes.seconds:g} s …")
        async with asyncio.TaskGroup() as tasks:
            bearing = tasks.create_task(trial.bear(per_s=wishes.rate_per_s, seconds=wishes.seconds))
            unplugging = tasks.create_task(trial.unplug())
        say(f"An outage of all lockers, and {wishes.backlog} events …")
        outage = await trial.recover(wishes.backlog)
        books = await threads.run(ledger.books, run.directory, dict(doors.moved))
    return Figures(
        cores=cores,
        lockers=wishes.num_lockers,
        connected_s=connected_s,
        idle=idle,
        load=bearing.result(),
        outage=outage,
        unlocks=opened,
        offline=unplugging.result(),
        lost=list(books.lost),
        double=list(books.double),
    )


class Trial:
    """What is asked of hundreds of lockers."""

    def __init__(self, doors: Doors, fleets: Sequence[Fleet], effort: Callable[[], Effort]) -> None:
        self._doors = doors
        self._effort = effort
        slugs = [slug for fleet in fleets for slug in fleet.slugs]
        num_unplugged = min(NUM_UNPLUGGED, len(slugs) // 2)
        self._unplugged, self._busy = slugs[:num_unplugged], slugs[num_unplugged:]

    async def rest(self) -> Mapping[str, float]:
        """Let nothing happen, and see what share of a core each part uses all the same."""
        await asyncio.sleep(SETTLE_S)
        effort = self._effort()
        await asyncio.sleep(REST_S)
        return {name: seconds / REST_S for name, seconds in effort.so_far().items()}

    async def bear(self, *, per_s: float, seconds: float) -> Load:
        """Move doors at a steady rate, spread evenly over the lockers, and see how soon it takes effect."""
        effort, since, began_s = self._effort(), real_now(), time.monotonic()
        num_doors, turns_per_s = len(self._busy) * NUM_COMPARTMENTS, per_s / 2
        hold_s = min(HOLD_S, num_doors / turns_per_s / 2)
        async with asyncio.TaskGroup() as tasks:
            for turn in range(round(turns_per_s * seconds)):
                await asyncio.sleep(began_s + turn / turns_per_s - time.monotonic())
                tasks.create_task(self._turn(turn, hold_s=hold_s))
        until = real_now()
        await self._until_applied()
        found = await threads.run(ledger.effects, since, until)
        first_at, last_at = min(one.made_at for one in found), max(one.committed_at for one in found)
        return Load(
            wanted_per_s=per_s,
            rate_per_s=len(found) / (last_at - first_at).total_seconds(),
            lags=[one.lag_s for one in found],
            uncommanded=[one.lag_s for one in found if one.kind == FORCED],
            effort_s=effort.so_far(),
        )

    async def unplug(self) -> list[float]:
        """Pull one plug after another, and see how soon somebody is called."""
        async with asyncio.TaskGroup() as tasks:
            pulled = [
                tasks.create_task(self._unplug(slug, after_s=number))
                for number, slug in enumerate(self._unplugged)
            ]
        await self._doors.mend(self._unplugged)
        return [task.result() for task in pulled]

    async def recover(self, backlog: int) -> Outage:
        """Move doors while no locker has a network, and see how soon it has taken effect afterwards."""
        await self._doors.cut(self._busy)
        since = real_now()
        room = asyncio.Semaphore(AT_A_TIME)

        async def move(turn: int) -> None:
            async with room:
                await self._turn(turn, hold_s=0)

        await asyncio.gather(*(move(turn) for turn in range(backlog // 2)))
        until = real_now()
        say("The network is back …")
        await self._doors.mend(self._busy)
        await self._until_applied()
        found = await threads.run(ledger.effects, since, until)
        return Outage(
            backlog=len(found),
            taken_s=(max(one.received_at for one in found) - until).total_seconds(),
            drained_s=(max(one.committed_at for one in found) - until).total_seconds(),
        )

    async def _turn(self, turn: int, *, hold_s: float) -> None:
        """Let somebody force a door, and shut it: each is reported, and of that kind each alarms somebody."""
        row, place = divmod(turn, len(self._busy))
        slug, number = self._busy[place], row % NUM_COMPARTMENTS + 1
        await self._doors.force(slug, number)
        await asyncio.sleep(hold_s)
        await self._doors.close(slug, number)

    async def _unplug(self, slug: str, *, after_s: float) -> float:
        await asyncio.sleep(after_s)
        pulled_at = real_now()
        await self._doors.pull_plug(slug)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                alarmed_at = await threads.run(ledger.alarmed_at, slug, AlarmKind.OFFLINE)
                if alarmed_at is not None:
                    return (alarmed_at - pulled_at).total_seconds()
                await asyncio.sleep(LOOK_EVERY_S)

    async def _until_applied(self) -> None:
        """Wait until every movement has taken effect; what has not by then is lost."""
        waited_s = 0.0
        while await threads.run(ledger.num_applied) < self._doors.moved.total() and waited_s < PATIENCE_S:
            await asyncio.sleep(LOOK_EVERY_S)
            waited_s += LOOK_EVERY_S


@dataclass(frozen=True, slots=True)
class _Bare:
    """The server that does the least, and where it answers."""

    part: Part
    url: str


def _bare(run: Run) -> _Bare:
    port = free_port()
    part = parts.python(
        run,
        "bare",
        *("-m", "uvicorn", "--factory", "tests.load.bare:application", "--host", "127.0.0.1"),
        *("--port", str(port), "--no-access-log"),
        ready=log_says("Application startup complete"),
    )
    return _Bare(part, f"http://127.0.0.1:{port}")


def _show(opened: Unlocks) -> None:
    for name, value in opened.as_json().items():
        say(f"  {name:<18} {value}")
