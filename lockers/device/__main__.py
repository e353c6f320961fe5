"""``python -m lockers.device simulate``: all lockers of a file, in one process, until stopped."""

import argparse
import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

from lockers.device.control import Control
from lockers.device.hands import LONGEST_LINE
from lockers.device.link import LinkKind
from lockers.device.simulator import Fleet


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m lockers.device", description=__doc__)
    commands = parser.add_subparsers(required=True)
    simulate = commands.add_parser("simulate", help="run simulated lockers")
    simulate.add_argument("--base-url", required=True, help="where the server answers")
    simulate.add_argument("--tokens", required=True, type=Path, help='JSON: [{"locker": …, "token": …}, …]')
    simulate.add_argument("--state", required=True, type=Path, help="directory for keys, journals, contents")
    simulate.add_argument("--control", required=True, type=Path, help="Unix socket to reach the lockers by")
    simulate.add_argument("--opening-time", type=float, default=10.0, help="seconds until a door is jammed")
    simulate.add_argument(
        "--link",
        type=LinkKind,
        choices=[*LinkKind],
        default=LinkKind.HTTPS,
        help="what carries the envelopes once a locker is in service",
    )
    simulate.add_argument("--ca-file", type=Path, help="who signed the MQTT broker's certificate")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_simulate(arguments))


async def _simulate(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    fleet = Fleet(
        base_url=arguments.base_url,
        directory=arguments.state,
        opening_time_s=arguments.opening_time,
        link=arguments.link,
        ca_file=arguments.ca_file,
    )
    arguments.control.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(
        Control(fleet).serve, path=str(arguments.control), limit=LONGEST_LINE
    )
    try:
        enrolling = [
            asyncio.create_task(fleet.add(entry["locker"], entry["token"]))
            for entry in json.loads(arguments.tokens.read_text())
        ]
        stopping = asyncio.create_task(stopped.wait())
        connecting = asyncio.ensure_future(asyncio.gather(*enrolling))
        both: list[asyncio.Future[Any]] = [connecting, stopping]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            await connecting
            print(f"{len(fleet.lockers)} lockers ready", flush=True)
            await stopping
        connecting.cancel()
    finally:
        server.close()
        await fleet.close()
        arguments.control.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
