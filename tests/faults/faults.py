"""What is done to an installation, each kind of it once or more, in an order that follows from a seed."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from kombu.exceptions import OperationalError as BrokerUnreachable
from redis.exceptions import RedisError

from common.models import Intent
from common.tasks import perform
from tests.faults.crew import Crew
from tests.faults.installation import Fleet, Servers
from tests.faults.proxy import Proxy
from tests.faults.village import in_database

#: Seconds between two faults.
GAP_S = (2.0, 5.0)
#: Seconds for which something that was killed stays away.
AWAY_S = (0.3, 2.5)
#: Seconds for which a server is frozen; for lockers it is longer than a command lives.
FROZEN_S, LOCKERS_FROZEN_S = 5.0, (20.5, 24.0)
#: Seconds for which a network is bad; a silent one may be so for longer than a command lives.
BAD_NETWORK_S, SILENT_S = (8.0, 18.0), (12.0, 27.0)
SLOW_S = 2.0
NUM_DOUBLED = 100
DROPPED_SHARE = 0.5

WORKERS = ("worker-events", "worker-work")
LINKS = ("link-1", "link-2")


@dataclass(slots=True)
class Log:
    """What was done when; the last fault is over when what was killed runs again and networks are whole."""

    say: Callable[[str], None]
    started_s: float = 0.0
    num_injected: int = 0
    over_s: float = 0.0

    def note(self, kind: str, sentence: str) -> None:
        """Note a fault as it is injected."""
        self.num_injected += 1
        self.over_s = time.monotonic()
        self.say(f"  {self.over_s - self.started_s:6.1f} s  {self.num_injected:3}  {kind}: {sentence}")

    def end(self) -> None:
        """Note that a fault is over."""
        self.over_s = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Everything that faults may befall."""

    crew: Crew
    servers: Servers
    fleets: Sequence[Fleet]
    networks: Mapping[str, asyncio.Lock]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One fault: what it may befall, and what chance decides about it."""

    target: Target
    dice: random.Random
    note: Callable[[str], None]

    async def kill(self, name: str) -> None:
        """Kill a part, and start it again after a while."""
        async with self.target.crew.harming(name):
            self.note(f"{name} killed")
            self.target.crew.kill(name)
            await asyncio.sleep(self.dice.uniform(*AWAY_S))

    async def freeze(self, name: str, seconds: float) -> None:
        """Let a part stand still for a while."""
        async with self.target.crew.harming(name):
            self.note(f"{name} frozen for {seconds:.0f} s")
            self.target.crew.freeze(name)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.target.crew.thaw(name)


async def worker(scene: Scene) -> None:
    """Kill the main process of a worker; its children are on their own."""
    await scene.kill(scene.dice.choice(WORKERS))


async def worker_child(scene: Scene) -> None:
    """Kill one of the processes in which a worker does its tasks."""
    name = scene.dice.choice(WORKERS)
    async with scene.target.crew.harming(name):
        while not scene.target.crew.kill_child(name, which=scene.dice.random()):
            # It has only just been started.
            await asyncio.sleep(0.1)
        scene.note(f"a task process of {name} killed")


async def worker_frozen(scene: Scene) -> None:
    """Freeze a worker while it waits for messages, then kill it: what it was handed meanwhile is gone."""
    name = scene.dice.choice(WORKERS)
    async with scene.target.crew.harming(name):
        scene.note(f"{name} frozen, killed after {FROZEN_S:g} s")
        scene.target.crew.freeze(name)
        await asyncio.sleep(FROZEN_S)
        scene.target.crew.kill(name)


async def link(scene: Scene) -> None:
    """Kill a server of the lockers that speak MQTT."""
    await scene.kill(scene.dice.choice(LINKS))


async def relay(scene: Scene) -> None:
    """Kill what hands intents to the workers."""
    await scene.kill("relay")


async def beat(scene: Scene) -> None:
    """Kill what ticks."""
    await scene.kill("beat")


async def web(scene: Scene) -> None:
    """Kill the server of API and locker link, with every request that it is answering."""
    await scene.kill("web")


async def broker(scene: Scene) -> None:
    """Kill the MQTT broker."""
    await scene.kill("mosquitto")


async def redis(scene: Scene) -> None:
    """Kill Redis; it comes back with what it had written down."""
    await scene.kill("redis")


async def restarted(scene: Scene) -> None:
    """Ask a service to end, as a new version would, and start it again."""
    crew = scene.target.crew
    name = scene.dice.choice(("web", "relay", "beat", *WORKERS, *LINKS))
    async with crew.harming(name):
        scene.note(f"{name} asked to end, started again")
        await crew.ask_to_end(name)


async def redis_emptied(scene: Scene) -> None:
    """Kill Redis; it comes back and knows nothing."""
    crew = scene.target.crew
    async with crew.harming("redis"):
        scene.note("redis killed, restarted empty")
        crew.kill("redis")
        await crew.ended("redis")
        scene.target.servers.forget_redis()
        await asyncio.sleep(scene.dice.uniform(*AWAY_S))


async def redis_frozen(scene: Scene) -> None:
    """Let Redis hang: connections stand, nothing is answered."""
    await scene.freeze("redis", FROZEN_S)


async def messages_doubled(scene: Scene) -> None:
    """Let workers get messages that they had before, in any order."""
    async with scene.target.crew.harming("redis"):
        while not await in_database(_send_again, scene.dice):
            # Redis has only just been started.
            await asyncio.sleep(0.1)
        scene.note(f"the last {NUM_DOUBLED} messages come again")


def _send_again(dice: random.Random) -> bool:
    newest = list(Intent.objects.order_by("-pk").values_list("pk", "queue")[:NUM_DOUBLED])
    try:
        for intent_id, queue in dice.sample(newest, len(newest)):
            perform.apply_async(kwargs={"intent_ids": [intent_id]}, queue=queue)
    except (BrokerUnreachable, RedisError):
        return False
    return True


async def database(scene: Scene) -> None:
    """Restart the database at once, in the midst of every transaction."""
    crew = scene.target.crew
    async with crew.harming("postgres"):
        scene.note("postgres restarted, every connection broken")
        crew.kill("postgres", signal.SIGQUIT)
        await crew.ended("postgres")


async def lockers(scene: Scene) -> None:
    """Take the power from the computers of some lockers, whatever they are doing."""
    await scene.kill(scene.dice.choice(scene.target.fleets).name)


async def lockers_frozen(scene: Scene) -> None:
    """Let the computers of some lockers hang; what reached them meanwhile is read when its time is over."""
    name = scene.dice.choice(scene.target.fleets).name
    await scene.freeze(name, scene.dice.uniform(*LOCKERS_FROZEN_S))


async def network_cut(scene: Scene) -> None:
    """Break all connections of some lockers, and let them make no new ones for a while."""
    await _spoil(scene, "cut", Proxy.cut)


async def network_silent(scene: Scene) -> None:
    """Let nothing pass from and to some lockers; nobody is told."""
    await _spoil(scene, "silent", Proxy.hold, SILENT_S)


async def network_slow(scene: Scene) -> None:
    """Let whatever passes from and to some lockers take seconds."""
    await _spoil(scene, "slow", lambda network: network.slow_down(SLOW_S))


async def network_flaky(scene: Scene) -> None:
    """Break some connections of some lockers, and refuse some new ones."""
    await _spoil(scene, "flaky", lambda network: network.drop(DROPPED_SHARE))


async def _spoil(
    scene: Scene,
    how: str,
    spoil: Callable[[Proxy], None],
    between_s: tuple[float, float] = BAD_NETWORK_S,
) -> None:
    fleet = scene.dice.choice(scene.target.fleets)
    seconds = scene.dice.uniform(*between_s)
    async with scene.target.networks[fleet.name]:
        scene.note(f"the network of {fleet.name} is {how} for {seconds:.0f} s")
        for network in fleet.networks:
            spoil(network)
        try:
            await asyncio.sleep(seconds)
        finally:
            for network in fleet.networks:
                network.mend()


Fault = Callable[[Scene], Awaitable[None]]
KINDS: Mapping[str, Fault] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        worker,
        worker_child,
        worker_frozen,
        link,
        relay,
        beat,
        web,
        broker,
        redis,
        redis_emptied,
        redis_frozen,
        messages_doubled,
        database,
        restarted,
        lockers,
        lockers_frozen,
        network_cut,
        network_silent,
        network_slow,
        network_flaky,
    )
}


def schedule(*, seed: int, count: int) -> list[tuple[float, str]]:
    """Return so many faults, each with the pause before it; every kind comes before any comes once more."""
    dice = random.Random(f"{seed} schedule")
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += dice.sample(list(KINDS), len(KINDS))
    return [(dice.uniform(*GAP_S), kind) for kind in kinds[:count]]


async def inject(target: Target, log: Log, *, seed: int, count: int) -> None:
    """Let faults befall an installation, and return when the last is over."""
    log.started_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number, (gap_s, kind) in enumerate(schedule(seed=seed, count=count)):
            await asyncio.sleep(gap_s)
            dice = random.Random(f"{seed} fault {number}")
            scene = Scene(target=target, dice=dice, note=partial(log.note, kind))
            tasks.create_task(_suffer(KINDS[kind], scene, log))


async def _suffer(fault: Fault, scene: Scene, log: Log) -> None:
    await fault(scene)
    log.end()
