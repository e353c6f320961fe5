"""One day from empty folder to books: for people (demo) and for machines (day)."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local.broker import start_broker
from deploy.local.guard import Interruption
from deploy.local.parts import PAGES, VAR, Day, Run, a_run, play, preparations, services
from deploy.local.report import in_own_folder, reported, say
from deploy.local.servers import start_redis
from deploy.local.supervisor import StopRequestedError, Supervisor


def day(wishes: Day, interruption: Interruption) -> int:
    """Play a day in a folder of its own, which is kept if the day fails."""
    return in_own_folder(VAR, "run-", lambda directory: _play(directory, wishes, interruption, stay=False))


def demo(wishes: Day, interruption: Interruption, *, stay: bool) -> int:
    """Play a day in the demo's folder and, if asked, go on serving it."""
    VAR.mkdir(exist_ok=True)
    directory = VAR / "demo"
    with _only_one(VAR / "demo.lock") as alone:
        if not alone:
            say(f"Another demo is running; stop it first. (It uses {directory}.)")
            return 1
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        return reported(lambda: _play(directory, wishes, interruption, stay=stay))


def _play(directory: Path, wishes: Day, interruption: Interruption, *, stay: bool) -> int:
    with Supervisor(directory / "log", interruption) as supervisor:
        broker = start_broker(supervisor, directory) if wishes.link == "mqtt" else {}
        run = a_run(directory, start_redis(supervisor, directory), wishes.plan_budget_s, broker)
        say("Preparing the database and the pages …")
        supervisor.complete(*preparations(run))
        say("Starting the server and the workers …")
        supervisor.start(*services(run))
        _show_pages(run)
        [status] = supervisor.run(play(run, wishes))
        if status == 0 and stay:
            _show_pages(run)
            say("Ctrl-C ends it.")
            with suppress(StopRequestedError):
                supervisor.stay()
        return status if status >= 0 else 128 - status


def _show_pages(run: Run) -> None:
    for name, path in PAGES.items():
        say(f"  {name:<15} {run.base_url}{path}")


@contextmanager
def _only_one(lock: Path) -> Iterator[bool]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
