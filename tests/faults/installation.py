"""The installation under fault: every server, worker and locker of it, as it would run in production."""

import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from deploy.local import parts
from deploy.local.broker import broker_environment, broker_part
from deploy.local.parts import PROJECT, Run, a_run
from deploy.local.probes import free_port
from deploy.local.servers import postgres_parts, postgres_url, redis_part, redis_url
from deploy.local.supervisor import Part, Supervisor
from tests.faults import witness
from tests.faults.proxy import Proxy

#: Seconds that the solver gets for a plan.
PLAN_BUDGET_S = "3"
#: Seconds after which a door that stays shut counts as jammed.
OPENING_TIME_S = "3"
#: How wrong the lockers' wall clocks are, in seconds.
WRONG_CLOCKS_S = (-10.0, 10.0, -90_000.0, 400_000_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The servers that others stand on; all may be killed."""

    run: Run
    redis_data: Path
    broker_port: int

    def forget_redis(self) -> None:
        """Lose what Redis has kept; it must not run."""
        shutil.rmtree(self.redis_data)
        self.redis_data.mkdir()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Lockers whose computers share a process and a network; those without a ``broker`` speak HTTPS."""

    name: str
    directory: Path
    web: Proxy
    web_port: int
    broker: Proxy | None
    broker_port: int | None
    clock_off_s: float

    @property
    def control(self) -> str:
        """Return where people reach the lockers; relative, for names of sockets must be short."""
        return os.path.relpath(self.directory / "control", PROJECT)

    @property
    def tokens(self) -> Path:
        """Return the file of the lockers that come into service as the process starts."""
        return self.directory / "tokens.json"

    @property
    def networks(self) -> Sequence[Proxy]:
        """Return what its lockers' messages pass through."""
        return [self.web, self.broker] if self.broker else [self.web]


def start_servers(
    supervisor: Supervisor, directory: Path, *, postgres_settings: Mapping[str, str] = MappingProxyType({})
) -> Servers:
    """Start database, Redis and broker, and give the run its environment."""
    postgres_port, redis_port, broker_port = free_port(), free_port(), free_port()
    redis_data = directory / "redis"
    redis_data.mkdir()
    initdb, postgres = postgres_parts(
        supervisor, directory, postgres_port, survives_kills=True, settings=postgres_settings
    )
    supervisor.complete(initdb)
    supervisor.start(
        postgres,
        redis_part(directory, redis_port, keeps_in=redis_data),
        broker_part(directory, broker_port),
    )
    run = a_run(
        directory,
        redis_url(redis_port),
        PLAN_BUDGET_S,
        broker_environment(directory, broker_port),
        database_url=postgres_url(postgres_port),
    )
    return Servers(run=run, redis_data=redis_data, broker_port=broker_port)


def services(run: Run) -> Sequence[Part]:
    """Return what serves; workers have processes of their own for tasks, as in production."""
    return (
        parts.web(run, processes=1),
        parts.worker(run, "events", queues="events", slots=2, pool="prefork"),
        parts.worker(run, "work", queues="plan,notify,housekeeping", slots=2, pool="prefork"),
        parts.beat(run),
        parts.relay(run),
        parts.link(run, "link-1"),
        parts.link(run, "link-2"),
    )


async def open_networks(servers: Servers, *, num_https: int, num_mqtt: int, seed: int) -> Sequence[Fleet]:
    """Return fleets, each behind networks of its own; they do not run yet."""
    fleets = []
    for number in range(num_https + num_mqtt):
        directory = servers.run.directory / f"fleet-{number + 1}"
        directory.mkdir()
        dice = random.Random(f"{seed} network {number}")
        web = Proxy(servers.run.port, dice=dice)
        broker = Proxy(servers.broker_port, dice=dice) if number >= num_https else None
        fleets.append(
            Fleet(
                name=directory.name,
                directory=directory,
                web=web,
                web_port=await web.open(),
                broker=broker,
                broker_port=await broker.open() if broker else None,
                clock_off_s=WRONG_CLOCKS_S[number % len(WRONG_CLOCKS_S)],
            )
        )
    return fleets


def cabinets(run: Run, fleet: Fleet) -> Part:
    """Return the process of a fleet; it finds everything as the last one left it."""
    link = () if fleet.broker is None else ("--link", "mqtt", "--ca-file", run.environment["MQTT_CA_FILE"])
    return Part(
        name=fleet.name,
        command=[
            *(sys.executable, "-m", "tests.faults.witness", "simulate"),
            *("--base-url", f"http://127.0.0.1:{fleet.web_port}", "--tokens", str(fleet.tokens)),
            *("--state", str(fleet.directory), "--control", fleet.control),
            *("--opening-time", OPENING_TIME_S, *link),
        ],
        directory=PROJECT,
        # Nobody waits for it: its messages pass through proxies of the process that would.
        environment=_told(fleet),
    )


def _told(fleet: Fleet) -> Mapping[str, str]:
    told = {witness.CLOCK_OFF_S: str(fleet.clock_off_s)}
    return told if fleet.broker_port is None else {**told, witness.BROKER_PORT: str(fleet.broker_port)}
