"""
A run of fake parts, for tests that end it in every way: ``python -m tests.deploy.fake_run KIND FOLDER``.

Each process of the run notes itself in ``FOLDER/pids``. The parts' helpers are as stubborn as can be: in a
session of their own and deaf to every polite signal.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from deploy.local.broker import start_broker
from deploy.local.guard import Interruption, guarded
from deploy.local.processes import descendants
from deploy.local.report import reported, say
from deploy.local.servers import MissingServerError, start_postgres, start_redis
from deploy.local.supervisor import Part, Supervisor

_PART = "sh stubborn.sh & exec sleep 300"
_STUBBORN = """
trap '' TERM INT HUP
setsid sh -c 'echo $$ >> helpers; exec sleep 300' &
exec sleep 300
"""


def steady(supervisor: Supervisor, folder: Path) -> None:
    """Start two parts that run for ever."""
    for name in ("first", "second"):
        supervisor.start(Part(name=name, command=["sh", "-c", _PART], directory=folder))
    _until_there_are(2, folder / "helpers", supervisor)


def failing(supervisor: Supervisor, folder: Path) -> None:
    """Start two parts that run for ever, and one that does not."""
    steady(supervisor, folder)
    script = "echo I have had enough; sleep 1; exit 3"
    supervisor.start(Part(name="third", command=["sh", "-c", script], directory=folder))


def servers(supervisor: Supervisor, folder: Path) -> None:
    """Start the real servers."""
    start_redis(supervisor, folder)
    start_postgres(supervisor, folder)
    with suppress(MissingServerError):
        start_broker(supervisor, folder)


KINDS: Mapping[str, Callable[[Supervisor, Path], None]] = {
    "steady": steady,
    "failing": failing,
    "servers": servers,
}


def main() -> int:
    """Run the parts until something ends the run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()

    def run(interruption: Interruption) -> int:
        with Supervisor(asked.folder / "log", interruption) as supervisor:
            KINDS[asked.kind](supervisor, asked.folder)
            pids = [os.getppid(), os.getpid(), *descendants(os.getpid())]
            (asked.folder / "pids").write_text(" ".join(map(str, pids)))
            say("ready")
            supervisor.stay()
        return 0

    (asked.folder / "stubborn.sh").write_text(_STUBBORN)
    return guarded(lambda interruption: reported(lambda: run(interruption)), parent=asked.parent)


def _until_there_are(number: int, notes: Path, supervisor: Supervisor) -> None:
    waiting = Part(name="waiting", command=["sleep", "0.05"])
    while not notes.exists() or len(notes.read_text().split()) < number:
        supervisor.complete(waiting)


if __name__ == "__main__":
    sys.exit(main())
