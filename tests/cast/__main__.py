"""``python -m tests.cast play``: play days against a running server, as real clients would."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lockers.device.hands import Hands
from tests.cast import books, stage, table
from tests.cast.api import Network, Refused
from tests.cast.cast import Cast
from tests.cast.conductor import Conductor
from tests.cast.day import Day, Played
from tests.cast.dispatcher import NothingHappened, Windows, next_delivery_day
from tests.cast.world import World

#: So many disagreements are put into words; the rest is counted.
MAX_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for on the command line."""

    base_url: str
    run_dir: Path
    control: str
    clock_file: Path
    seeds: Sequence[int]
    orders: int
    is_demo: bool


async def play(wishes: Wishes, console: Console) -> bool:
    """Play one day for each seed; tell whether the books of all of them balance."""
    conductor = Conductor(wishes.clock_file)
    lines: list[dict[str, Any]] = []
    balanced = True
    started_s = time.monotonic()
    async with Network(wishes.base_url) as network, Hands(wishes.control) as hands:
        for seed in wishes.seeds:
            day_started_s = time.monotonic()
            try:
                played = await _play_seed(seed, wishes, console, conductor, network, hands)
            except (NothingHappened, stage.StageError, Refused) as failure:
                console.print(f"  Seed {seed} could not be played: {failure}")
                balanced = False
                continue
            answers = ", ".join(f"{count} × {kind}" for kind, count in sorted(network.num_requests.items()))
            console.print(f"  Requests: {answers}")
            network.num_requests.clear()
            lines.append(played.books.as_json(seed=seed, seconds=time.monotonic() - day_started_s))
            balanced &= not played.books.faults
            _tell(console, played, wishes)
            if not wishes.is_demo:
                print(json.dumps(lines[-1]), flush=True)
    if len(wishes.seeds) > 1:
        seeds = f"{wishes.seeds[0]}-{wishes.seeds[-1]}"
        print(json.dumps(books.total(lines, seeds=seeds, seconds=time.monotonic() - started_s)), flush=True)
    return balanced


async def _play_seed(
    seed: int, wishes: Wishes, console: Console, conductor: Conductor, network: Network, hands: Hands
) -> Played:
    morning = next_delivery_day(conductor.now(), weekdays=stage.delivery_weekdays())
    conductor.jump(morning)
    console.print(f"Seed {seed}: {wishes.orders} orders on {morning:%A, %d %B %Y}")
    slug = stage.SLUG if len(wishes.seeds) == 1 else f"{stage.SLUG}-s{seed}"
    started_s = time.monotonic()
    credentials = await stage.load_region(
        slug=slug, seed=seed, first_day=morning, num_orders=wishes.orders, run_dir=wishes.run_dir
    )
    loaded_s = time.monotonic()
    await stage.bring_into_service(hands, credentials["lockers"])
    served_s = time.monotonic()
    console.print(
        f"  Region loaded ({loaded_s - started_s:.1f} s), "
        f"{len(credentials['lockers'])} lockers brought into service ({served_s - loaded_s:.1f} s)"
    )
    cast = Cast(
        seed=seed, credentials=credentials, conductor=conductor, network=network, hands=hands, world=World()
    )
    try:
        day = Day(
            cast, Windows.of(morning), num_orders=wishes.orders, console=console, is_demo=wishes.is_demo
        )
        played = await day.play()
    finally:
        if seed != wishes.seeds[-1]:
            await stage.take_out_of_service(hands, credentials["lockers"])
    for incident in cast.world.incidents:
        console.print(f"  On the way: {incident}")
    return played


def _tell(console: Console, played: Played, wishes: Wishes) -> None:
    if wishes.is_demo:
        table.show(console, played.books, plan=played.plan, runs=played.runs, orders=played.orders)
    faults = played.books.faults
    for fault in faults[:MAX_SHOWN]:
        console.print(f"  DISAGREEMENT ({fault.sort}): {fault.sentence}")
    if len(faults) > MAX_SHOWN:
        console.print(f"  … and {len(faults) - MAX_SHOWN} more.")


def main() -> int:
    """Read the arguments, play, and return the exit status."""
    wishes = _wishes()
    console = Console(highlight=False, soft_wrap=True)
    return 0 if asyncio.run(play(wishes, console)) else 1


def _wishes() -> Wishes:
    parser = argparse.ArgumentParser(prog="python -m tests.cast", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("play", help="play days", allow_abbrev=False)
    command.add_argument("--base-url", required=True, help="where the server answers")
    command.add_argument("--run-dir", required=True, type=Path, help="where credentials are kept")
    command.add_argument("--control", required=True, help="socket of the simulated lockers")
    command.add_argument("--seeds", default="1", type=_seeds, metavar="7 or 1-20")
    command.add_argument("--orders", default=300, type=_count, metavar="300")
    command.add_argument("--plan-budget", type=float, metavar="SECONDS", help="known to the server already")
    command.add_argument("--demo", action="store_true", help="end with tables for people")
    given = parser.parse_args()
    clock_file = os.environ.get("CLOCK_FILE")
    if not clock_file:
        parser.error("CLOCK_FILE must name the file that steers business time")
    return Wishes(
        base_url=given.base_url,
        run_dir=given.run_dir,
        control=given.control,
        clock_file=Path(clock_file),
        seeds=given.seeds,
        orders=given.orders,
        is_demo=given.demo,
    )


def _seeds(text: str) -> Sequence[int]:
    first, _, last = text.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if not seeds:
        raise argparse.ArgumentTypeError("the first seed is after the last")
    return seeds


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
