"""Processes of simulated lockers, and the hands that move their doors."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from common.clock import real_now
from deploy.local.parts import PROJECT, Run
from deploy.local.probes import log_says
from deploy.local.supervisor import Part
from lockers.device.hands import Hands
from lockers.models import Locker
from lockers.services import cabinets, devices
from lockers.services.cabinets import CompartmentSpec
from lockers.sizes import Height, Size, Temperature

NAMESPACE = "load"
NUM_COMPARTMENTS = 6
#: Hundreds of lockers come into service at once.
READY_WITHIN_S = 300.0
#: Seconds for which somebody stands before a door that should open.
PATIENCE_S = 25.0
#: A network stays cut until somebody mends it.
FOREVER_S = 3600.0
#: What a device calls a door that opens without a command.
FORCED = "compartment_uncommanded_open"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Lockers whose computers share a process; they speak MQTT."""

    name: str
    directory: Path
    slugs: Sequence[str]

    @property
    def control(self) -> str:
        """Return where people reach the lockers; relative, for names of sockets must be short."""
        return os.path.relpath(self.directory / "control", PROJECT)

    def part(self, run: Run) -> Part:
        """Return its process; it is ready once all its lockers are connected."""
        return Part(
            name=self.name,
            command=[
                *(sys.executable, "-m", "tests.faults.witness", "simulate", "--link", "mqtt"),
                *("--base-url", run.base_url, "--ca-file", run.environment["MQTT_CA_FILE"]),
                *("--tokens", str(self.directory / "tokens.json")),
                *("--state", str(self.directory), "--control", self.control),
            ],
            directory=PROJECT,
            environment=run.environment,
            ready=log_says("lockers ready"),
            ready_within_s=READY_WITHIN_S,
        )


def a_fleet(run: Run, name: str, lockers: Sequence[Locker]) -> Fleet:
    """Return lockers that may come into service together."""
    fleet = Fleet(name, run.directory / name, [locker.slug for locker in lockers])
    fleet.directory.mkdir()
    tokens = [
        {"locker": locker.slug, "token": devices.issue_token(locker, real_at=real_now())}
        for locker in lockers
    ]
    (fleet.directory / "tokens.json").write_text(json.dumps(tokens))
    return fleet


def install(count: int) -> list[Locker]:
    """Set up cabinets of six compartments."""
    compartments = [
        CompartmentSpec(number=number, size=Size.S, temperature=Temperature.AMBIENT, height=Height.REACHABLE)
        for number in range(1, NUM_COMPARTMENTS + 1)
    ]
    return [
        cabinets.install(
            slug=f"l{number}", name=f"L {number}", namespace=NAMESPACE, compartments=compartments
        )
        for number in range(1, count + 1)
    ]


class Doors:
    """All doors within reach of somebody's hands; ``moved`` counts what devices should report, by locker."""

    def __init__(self) -> None:
        self.moved: Counter[tuple[str, str]] = Counter()
        self._hands: dict[str, Hands] = {}
        self._reached = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reached.aclose()

    async def reach(self, fleet: Fleet) -> None:
        """Get hold of a fleet that runs."""
        hands = await self._reached.enter_async_context(Hands(fleet.control))
        self._hands.update(dict.fromkeys(fleet.slugs, hands))

    async def opened(self, slug: str, number: int) -> None:
        """
        Wait before a door that a command opens.

        Raises
        ------
        TimeoutError
            If it stays shut.
        """
        if not await self._hands[slug].wait_open(slug, number, timeout_s=PATIENCE_S):
            raise TimeoutError(f"door {number} of {slug} stays shut")
        self.moved[slug, "compartment_open_detected"] += 1

    async def force(self, slug: str, number: int) -> None:
        """Open a door without a command."""
        await self._hands[slug].inflict(slug, "forced", compartment=number)
        self.moved[slug, FORCED] += 1

    async def close(self, slug: str, number: int) -> None:
        """Push an open door shut."""
        await self._hands[slug].close(slug, number)
        self.moved[slug, "compartment_closed"] += 1

    async def pull_plug(self, slug: str) -> None:
        """Take the network away from a locker; nobody is told."""
        await self._hands[slug].inflict(slug, "cut", seconds=FOREVER_S, half_open=True)

    async def cut(self, slugs: Iterable[str]) -> None:
        """Break the network of lockers."""
        await self._inflict_all(slugs, FOREVER_S)

    async def mend(self, slugs: Iterable[str]) -> None:
        """Give lockers their network back."""
        await self._inflict_all(slugs, 0)

    async def _inflict_all(self, slugs: Iterable[str], seconds: float) -> None:
        await asyncio.gather(*(self._hands[slug].inflict(slug, "cut", seconds=seconds) for slug in slugs))
