"""Make or mend an environment so that it holds exactly what its lock file lists; quick if it does already."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells the owner of an older one
    sys.exit(
        f"Dorfbote needs Python 3.11 or newer, not {sys.version.split()[0]}; try: make PYTHON=python3.11"
    )

import argparse
import fcntl
import hashlib
import importlib.util
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import die_with, dying_with_me

PROJECT = Path(__file__).resolve().parents[2]
#: What share of the time another interpreter must do with to be preferred.
CLEARLY = 0.85
_WORK = """
import sqlite3, ssl, time, venv

class Row:
    def __init__(self, number):
        self.number = number

    def next(self, step=1):
        return Row(self.number + step)

def work():
    began, row = time.process_time(), Row(0)
    for number in range(20_000):
        row = row.next(step=number)
    return time.process_time() - began

print(min(work() for _ in range(3)))
"""
#: How often each is measured, in turns: busy machines are slow for a second and quick for the next.
_ROUNDS = 10
#: The installer that is used where it can be had.
UV_VERSION = "0.13.9"


class SetUpError(Exception):
    """The environment could not be made."""


@dataclass(frozen=True, slots=True)
class Environment:
    """
    A virtual environment of a project, and the notes about it that lie inside.

    The one to work in, ``dev``, is ``.venv``; others lie below ``var``.
    """

    project: Path
    packages: str = "dev"

    @property
    def folder(self) -> Path:
        """Return where it lies."""
        return self.project / (".venv" if self.packages == "dev" else f"var/venv-{self.packages}")

    @property
    def lock(self) -> Path:
        """Return the file that lists what it must hold."""
        return self.project / "requirements" / f"{self.packages}.txt"

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def finished(self) -> Path:
        """Return the note that is written last."""
        return self.folder / ".set-up"

    @property
    def started(self) -> Path:
        """Return the note that lies there while something is being installed."""
        return self.folder / ".set-up-started"

    @property
    def home(self) -> str:
        """Return what an environment is bound to and cannot be mended for."""
        return f"Python {sys.version_info.major}.{sys.version_info.minor} in {self.folder}"

    @property
    def stamp(self) -> str:
        """Return what the note says when all is done."""
        return f"{self.home}\n{hashlib.sha256(self.lock.read_bytes()).hexdigest()}\n"

    def is_complete(self) -> bool:
        """Tell whether nothing is to be done."""
        return self.python.exists() and self._noted() == self.stamp

    def is_mendable(self) -> bool:
        """Tell whether it can be brought up to date; if not, it is made anew."""
        noted = self._noted()
        bound_here = not noted or noted.startswith(self.home)
        return self.python.exists() and bound_here and not self.started.exists()

    def _noted(self) -> str:
        return self.finished.read_text() if self.finished.exists() else ""


def set_up(project: Path, *, packages: str = "dev", exactly: bool = False) -> None:
    """
    Bring an environment of the project in line with its lock file.

    With ``exactly`` it is made from the present interpreter, even if the machine has a quicker one.

    Raises
    ------
    SetUpError
        If neither uv nor pip could install what the lock file lists.
    """
    environment = Environment(project, packages)
    with _alone(project / "var"):
        if environment.is_complete():
            return
        print(f"Setting up {environment.folder.relative_to(project)} …", flush=True)
        if not environment.is_mendable():
            own = Path(sys.executable).resolve()
            _make(environment, own if exactly else quickest([own, *_others_of_this_version()]))
        environment.started.touch()
        environment.finished.unlink(missing_ok=True)
        _install(environment)
        environment.finished.write_text(environment.stamp)
        environment.started.unlink()


def quickest(pythons: Sequence[Path]) -> Path:
    """
    Return the interpreter that computes clearly quicker than the first; usually that one itself.

    Builds without profile-guided optimisation take half as long again, and many machines have both kinds.
    """
    own, *others = dict.fromkeys(pythons)
    if not others:
        return own
    rounds = [{python: _seconds_of(python) for python in (own, *others)} for _ in range(_ROUNDS)]
    seconds = {python: min(measured[python] for measured in rounds) for python in (own, *others)}
    best = min(others, key=lambda python: seconds[python])
    return best if seconds[best] < CLEARLY * seconds[own] else own


def _others_of_this_version() -> Iterator[Path]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (*os.get_exec_path(), "/usr/local/bin", "/usr/bin"):
        program = Path(folder) / name
        if os.access(program, os.X_OK):
            yield program.resolve()


def _seconds_of(python: Path) -> float:
    """Return how long an interpreter takes for a little work; for ever if it cannot serve us."""
    try:
        ran = subprocess.run([python, "-I", "-c", _WORK], capture_output=True, check=True, timeout=30)
        return float(ran.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return math.inf


def _make(environment: Environment, python: Path) -> None:
    options = ("--clear", "--symlinks", "--without-pip")
    if not _succeeds(str(python), "-m", "venv", *options, str(environment.folder)):
        raise SetUpError(f"{python} cannot make an environment; try: make PYTHON=<another one>")


def uv_program(environment: Environment) -> Path | None:
    """Return uv, fetched by pip into a folder of its own inside the environment, if it can be had."""
    tools = environment.folder / "tools"
    program = tools / "bin" / "uv"
    if not (tools / f"uv-{UV_VERSION}.dist-info").exists():
        _succeeds(
            *(sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"),
            *("--root-user-action", "ignore", "--upgrade", "--target", str(tools), f"uv=={UV_VERSION}"),
        )
    if program.exists():
        return program
    found = shutil.which("uv")
    return Path(found) if found else None


def _install(environment: Environment) -> None:
    python, lock = str(environment.python), str(environment.lock)
    uv = uv_program(environment)
    if uv and _succeeds(str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock):
        return
    print("uv cannot be had here; pip takes its place, which is slower.", flush=True)
    options = ("-qq", "--root-user-action", "ignore", "--require-hashes", "--requirement", lock)
    if not _succeeds(*_pip(python), "install", *options):
        raise SetUpError(f"Could not install what {lock} lists; see above.")


def _pip(python: str) -> Sequence[str]:
    """Return a pip that installs into the environment: the one outside, else the one Python bundles."""
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip", "--python", python)
    if _succeeds(python, "-m", "ensurepip"):
        return (python, "-m", "pip")
    raise SetUpError("Neither uv nor pip can be had; install one of them, such as the package python3-pip.")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, preexec_fn=dying_with_me(signal.SIGKILL)).returncode == 0


@contextmanager
def _alone(var: Path) -> Iterator[None]:
    """Wait until no other set-up of this project is under way."""
    var.mkdir(exist_ok=True)
    with (var / "set-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _leave_the_environment() -> None:
    """Go on as the interpreter that the environment was made from, for it may have to be made anew."""
    if Path(sys.prefix).resolve() == Environment(PROJECT).folder:
        base = str(Path(sys.executable).resolve())
        os.execv(base, [base, *sys.orig_argv[1:]])  # noqa: S606


def main() -> int:
    """Set up this project, or say where its uv is."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.local.bootstrap", description=__doc__)
    parser.add_argument("--parent", type=int, help="the process whose end ends the set-up")
    parser.add_argument(
        "--exactly", action="store_true", help="use this Python, even if the machine has a quicker one"
    )
    parser.add_argument(
        "--packages", default="dev", choices=("dev", "bench"), help="which of requirements/*.txt"
    )
    parser.add_argument("--uv", action="store_true", help="set nothing up, but print where uv is")
    asked = parser.parse_args()
    _leave_the_environment()
    if asked.parent is not None:
        die_with(asked.parent, signal.SIGTERM)
    try:
        if asked.uv:
            print(_uv_or_error())
        else:
            set_up(PROJECT, packages=asked.packages, exactly=asked.exactly)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _uv_or_error() -> Path:
    uv = uv_program(Environment(PROJECT))
    if uv is None:
        raise SetUpError("uv cannot be had here; only it makes lock files.")
    return uv


if __name__ == "__main__":
    sys.exit(main())
