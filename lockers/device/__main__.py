"""
``python -m lockers.device``: simulated lockers in one process, and what people do at them.

``simulate`` runs all lockers of a file until stopped; the other commands reach such a process.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockers.device import errands
from lockers.device.control import Control
from lockers.device.faults import BadFault, Fault, fault_in, script_in
from lockers.device.hands import LONGEST_LINE
from lockers.device.link import LinkKind
from lockers.device.simulator import Fleet


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m lockers.device", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_simulate(commands)
    errands.add_commands(commands)
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments))


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    simulate.add_argument(
        "--fault", action="append", default=[], help="what befalls lockers: 'jam compartment=3 at=20'"
    )
    simulate.add_argument("--script", type=Path, help="faults, each line a JSON object")
    simulate.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_simulate(arguments, _script(arguments)))


def _script(arguments: argparse.Namespace) -> list[Fault]:
    try:
        written = [] if arguments.script is None else script_in(arguments.script)
        return [*map(fault_in, arguments.fault), *written]
    except BadFault as error:
        sys.exit(str(error))


async def _simulate(arguments: argparse.Namespace, script: Sequence[Fault]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    fleet = Fleet(
        base_url=arguments.base_url,
        directory=arguments.state,
        opening_time_s=arguments.opening_time,
        link=arguments.link,
        ca_file=arguments.ca_file,
        script=script,
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
