"""Sets the stage before anybody plays: a region of its own for each day, its lockers in service."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lockers.device.hands import Hands

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "logistics" / "fixtures" / "hameln_pyrmont"
SLUG = "hameln-pyrmont"
#: So many residents for each order of the day, that few order twice.
RESIDENTS_PER_ORDER, FEWEST_RESIDENTS = 3, 100
MAX_ENROLLING = 8


class StageError(Exception):
    """The region could not be set up."""


def delivery_weekdays() -> frozenset[int]:
    """Return the weekdays (Monday is 1) on which the region delivers."""
    facts = json.loads((FIXTURES / "region.json").read_text(encoding="utf-8"))
    return frozenset(facts["calendar"]["delivery_weekdays"])


async def load_region(
    *, slug: str, seed: int, first_day: datetime, num_orders: int, run_dir: Path, num_days: int = 1
) -> Mapping[str, Any]:
    """
    Load the region under a name of its own, with vehicles for some days, and return who is who.

    Raises
    ------
    StageError
        If it cannot be loaded.
    """
    file = run_dir / f"credentials-{slug}.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "load_region", "--slug", slug, "--seed", str(seed)),
        *("--residents", str(max(FEWEST_RESIDENTS, RESIDENTS_PER_ORDER * num_orders))),
        *("--days", str(num_days)),
        *("--first-day", first_day.date().isoformat(), "--credentials", str(file)),
        # The server made them when it started.
        "--skip-checks",
        cwd=PROJECT,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise StageError(said.decode(errors="replace").strip())
    credentials: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return credentials


async def bring_into_service(hands: Hands, lockers: list[Mapping[str, Any]]) -> None:
    """Switch on a region's lockers with their one-time tokens."""
    room = asyncio.Semaphore(MAX_ENROLLING)

    async def add(locker: Mapping[str, Any]) -> None:
        async with room:
            await hands.add(locker["slug"], locker["token"])

    async with asyncio.TaskGroup() as tasks:
        for locker in lockers:
            tasks.create_task(add(locker))


async def take_out_of_service(hands: Hands, lockers: list[Mapping[str, Any]]) -> None:
    """Switch off a region's lockers once its day is over."""
    for locker in lockers:
        await hands.remove(locker["slug"])
