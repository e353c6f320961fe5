"""Run cases in processes of their own, as many at once as there are jobs, and keep a line of each."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optimizer.bench.memory import session_mib
from optimizer.bench.suites import GIVEN_OURS, Case

Record = dict[str, Any]
#: Packages that the peers need.
PACKAGES = {"pyvrp": "pyvrp", "ortools": "ortools", "vroom": "pyvroom"}
#: A case that takes so many times its seconds, and so many seconds more, is ended.
PATIENCE, GRACE_S = 4.0, 180.0
#: Every so many seconds the memory of a run is looked at.
LOOK_S = 0.5
#: One core for each process, whatever its libraries would like.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")}
RESULTS = "results.jsonl"
#: Files that make the problems.
PROBLEMS = ("instances.py", "generator.py", "bench/problems.py", "bench/changes.py")
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Results:
    """
    The lines kept so far, in a folder.

    Parameters
    ----------
    lock
        Held while a line is written.
    """

    folder: Path
    lock: threading.Lock

    @classmethod
    def of(cls, folder: Path) -> "Results":
        """Return the results of a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, threading.Lock())

    @property
    def file(self) -> Path:
        """Where the lines are."""
        return self.folder / RESULTS

    def records(self) -> list[Record]:
        """Return all lines; one that was cut short while it was written is passed over."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [record for line in lines if (record := _parsed(line)) is not None]

    def add(self, record: Record) -> None:
        """Append a line."""
        with self.lock, self.file.open("a") as file:
            file.write(json.dumps(record) + "\n")


def _parsed(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def key_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells the case of a line from others."""
    return tuple(record[name] for name in ("suite", "instance", "solver", "seed", "seconds"))


def installed(case: Case) -> bool:
    """Tell whether the solver of a case is there."""
    package = PACKAGES.get(case.solver.removesuffix(GIVEN_OURS))
    try:
        return package is None or bool(version(package))
    except PackageNotFoundError:
        return False


def revision_of(case: Case, revision: str | None) -> str:
    """
    Return what a line depends on besides the problem: our code, or a peer's version and how it is asked.

    A name given by the user wins. A change of the clock on which plans of peers are put does not count: it
    takes ``again`` to run them anew.
    """
    if revision:
        return revision
    package = PACKAGES.get(case.solver)
    return digest("**/*.py") if package is None else f"{package} {version(package)} {digest('peers/*.py')}"


@cache
def digest(pattern: str) -> str:
    """Return a digest of this package's files of some name and of those that make the problems."""
    problems = {_PACKAGE / name for name in PROBLEMS}
    files = problems | {file for file in _PACKAGE.glob(pattern) if file.parent.name != "bench"}
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:12]


def waiting(cases: Iterable[Case], results: Results, revision: str | None) -> list[Case]:
    """Return the cases that no line tells of yet."""
    done = {(*key_of(record), record["revision"]) for record in results.records()}
    return [case for case in cases if (*case.key, revision_of(case, revision)) not in done]


def run_all(
    cases: Sequence[Case],
    results: Results,
    *,
    data: Path,
    jobs: int,
    revision: str | None,
    tell: Callable[[Record], None],
) -> None:
    """Run cases: what needs ours comes after it, what may use the whole machine last and one by one."""
    stages = [
        ([case for case in cases if not case.after_ours and not case.alone], jobs),
        ([case for case in cases if case.after_ours and not case.alone], jobs),
        ([case for case in cases if case.alone], 1),
    ]
    for stage, at_once in stages:
        children = _Children(data, results.folder)
        with ThreadPoolExecutor(at_once) as executor:

            def one(case: Case, children: "_Children" = children) -> None:
                record = children.run(case)
                if not children.ended:
                    record = {**case.to_json(), "revision": revision_of(case, revision), **record}
                    results.add(record)
                    tell(record)

            try:
                for _ in executor.map(one, stage):
                    pass
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                children.end()
                raise


class _Children:
    """The processes of one stage; once they were ended none starts any more."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._words = [str(data), str(folder)]
        self._running: set[subprocess.Popen[str]] = set()
        self._starting = threading.Lock()
        self.ended = False

    def run(self, case: Case) -> Record:
        """Run a case, and return its record; a process that fails, hangs or is killed is one too."""
        begun_s = time.monotonic()
        child = self._start(case)
        out, err, peak_mib = _attended(child, begun_s + PATIENCE * case.seconds + GRACE_S)
        self._running.discard(child)
        if child.returncode == 0:
            record = json.loads(out.splitlines()[-1])
            return {"status": "done", **record, "peak_mib": max(peak_mib, record["peak_mib"])}
        return {
            "status": "failed",
            "exit": child.returncode,
            "error": (err.strip().splitlines() or ["no message"])[-1][:300],
            "wall_s": round(time.monotonic() - begun_s, 2),
            "peak_mib": peak_mib,
        }

    def _start(self, case: Case) -> subprocess.Popen[str]:
        with self._starting:
            if self.ended:
                raise CancelledError
            child = subprocess.Popen(
                [sys.executable, "-m", "optimizer.bench.run", json.dumps(case.to_json()), *self._words],
                env=os.environ | ({} if case.alone else ONE_THREAD),
                cwd=_PACKAGE.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._running.add(child)
        return child

    def end(self) -> None:
        """Kill whatever runs, even what is just starting; whoever calls this may exit right afterwards."""
        with self._starting:
            self.ended = True
        for child in list(self._running):
            _kill(child)


def _attended(child: subprocess.Popen[str], latest_s: float) -> tuple[str, str, int]:
    """Wait for a process, no longer than to a moment; return its output, its errors and its peak in MiB."""
    peak_mib = 0
    while time.monotonic() < latest_s:
        try:
            out, err = child.communicate(timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            peak_mib = max(peak_mib, session_mib(child.pid))
        else:
            return out, err, peak_mib
    _kill(child)
    # It may have ended in time after all, if whoever waits was stopped meanwhile.
    out, _ = child.communicate()
    return out, "took too long", peak_mib


def _kill(child: subprocess.Popen[str]) -> None:
    """Kill a process with all that it started."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
