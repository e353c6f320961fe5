"""``python -m tests.load``: measure what the lockers' service bears, and how quick it is."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

import django

from deploy.local.guard import STOP_SIGNALS, Interruption
from deploy.local.parts import Run
from deploy.local.supervisor import StopRequestedError, Supervisor
from tests.faults.installation import start_servers

#: As in production, unlike where the data lives no longer than the run; and it notes when it commits.
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "track_commit_timestamp": "on",
}
NUM_CORES = 2
MAX_SHOWN = 60


def main() -> int:
    """Read the arguments, measure, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run-dir", required=True, type=Path)
    parser.add_argument("--lockers", default=500, type=int, metavar="500")
    parser.add_argument("--rate", default=100.0, type=float, metavar="100", help="events a second")
    parser.add_argument("--seconds", default=60.0, type=float, metavar="60")
    parser.add_argument("--backlog", default=10_000, type=int, metavar="10000", help="events of an outage")
    parser.add_argument("--unlocks", default=200, type=int, metavar="200")
    asked = parser.parse_args()
    # Whatever is started from here shares them: servers, workers and lockers.
    cores = sorted(os.sched_getaffinity(0))[:NUM_CORES]
    os.sched_setaffinity(0, cores)
    interruption = Interruption()
    for number in STOP_SIGNALS:
        signal.signal(number, interruption)
    try:
        return _run(asked, interruption, cores=len(cores))
    except (asyncio.CancelledError, StopRequestedError):
        return 128 + signal.SIGINT


def _run(asked: argparse.Namespace, interruption: Interruption, *, cores: int) -> int:
    with Supervisor(asked.run_dir / "log", interruption) as supervisor:
        servers = start_servers(supervisor, asked.run_dir, postgres_settings=DURABLE)
        # Looks for what is due are as rare as usual.
        usual = {k: v for k, v in servers.run.environment.items() if k != "SWEEP_INTERVAL_S"}
        run = replace(servers.run, environment=usual)
        os.environ.update(run.environment)
        django.setup()
        logging.getLogger("httpx").setLevel(logging.WARNING)
        return asyncio.run(_play(supervisor, run, asked, interruption, cores=cores))


async def _play(
    supervisor: Supervisor,
    run: Run,
    asked: argparse.Namespace,
    interruption: Interruption,
    *,
    cores: int,
) -> int:
    # Its models need the settings, and these the servers.
    from tests.load.run import Wishes, play, say

    _listen(interruption)
    figures = await play(
        supervisor,
        run,
        Wishes(
            num_lockers=asked.lockers,
            rate_per_s=asked.rate,
            seconds=asked.seconds,
            backlog=asked.backlog,
            num_unlocks=asked.unlocks,
        ),
        cores=cores,
    )
    misses = list(figures.misses)
    for sentence in misses[:MAX_SHOWN]:
        say(f"  {sentence}")
    print(json.dumps(figures.as_json()), flush=True)
    return 1 if misses else 0


def _listen(interruption: Interruption) -> None:
    """Let a signal end what goes on here, and the start of whatever is being started."""
    loop, present = asyncio.get_running_loop(), asyncio.current_task()
    assert present is not None

    def stop(number: int, frame: FrameType | None) -> None:
        interruption(number, frame)
        loop.call_soon_threadsafe(present.cancel)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
