"""``python -m tests.faults``: work while everything fails, and say what was lost, doubled or late."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

import django

from deploy.local.supervisor import Supervisor
from tests.faults.installation import Servers, start_servers

DEFAULT_FAULTS = 40


def main() -> int:
    """Read the arguments, run, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run-dir", required=True, type=Path)
    parser.add_argument("--seed", default=1, type=int, metavar="7")
    parser.add_argument("--faults", default=DEFAULT_FAULTS, type=int, metavar=str(DEFAULT_FAULTS))
    asked = parser.parse_args()
    with Supervisor(asked.run_dir / "log") as supervisor:
        servers = start_servers(supervisor, asked.run_dir)
        os.environ.update(servers.run.environment)
        django.setup()
        _write_to(asked.run_dir / "log" / "people.log")
        try:
            return asyncio.run(_play(supervisor, servers, seed=asked.seed, count=asked.faults))
        except asyncio.CancelledError:
            return 128 + signal.SIGINT


def _write_to(file: Path) -> None:
    """Let what our own process logs go where the parts' logs are."""
    logging.basicConfig(
        filename=file, format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO, force=True
    )


async def _play(supervisor: Supervisor, servers: Servers, *, seed: int, count: int) -> int:
    # Its models need the settings, and these the servers.
    from tests.faults import run

    present = asyncio.current_task()
    assert present is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, present.cancel)
    outcome = await run.play(supervisor, servers, seed=seed, count=count)
    for sort, sentence in outcome.findings.all:
        run.say(f"  {sort.upper()}: {sentence}")
    print(json.dumps(outcome.as_json()), flush=True)
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
