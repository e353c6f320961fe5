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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optimizer.bench.suites import GIVEN_OURS, Case

Record = dict[str, Any]
#: Packages that the peers need.
PACKAGES = {"pyvrp": "pyvrp", "pyvrp 15": "pyvrp", "ortools": "ortools", "vroom": "pyvroom"}
#: A case that takes so many times its seconds, and so many seconds more, is ended.
PATIENCE, GRACE_S = 4.0, 180.0
#: One core for each process, whatever its libraries would like.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")}
RESULTS = "results.jsonl"
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
    """Return what a line depends on: our code, or for a peer its version; a name given by the user wins."""
    if revision:
        return revision
    package = PACKAGES.get(case.solver)
    parts = ("peers/*.py", "instances.py", "generator.py")
    return digest("**/*.py") if package is None else f"{package} {version(package)} {digest(*parts)}"


@cache
def digest(*patterns: str) -> str:
    """Return a digest of this package's files of some names; those of the benchmark do not count."""
    files = {file for pattern in patterns for file in _PACKAGE.glob(pattern) if file.parent.name != "bench"}
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
        children = _Children()
        with ThreadPoolExecutor(at_once) as executor:

            def one(case: Case, children: "_Children" = children) -> None:
                record = children.run(case, data, results.folder)
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
    """The processes of one stage."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False

    def run(self, case: Case, data: Path, folder: Path) -> Record:
        """Run a case, and return its record; a process that fails, hangs or is killed is one too."""
        words = [json.dumps(case.to_json()), str(data), str(folder)]
        threads = {} if case.alone else ONE_THREAD
        begun_s = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "optimizer.bench.run", *words],
            env=os.environ | threads,
            cwd=_PACKAGE.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.add(child)
        if self._ended:
            _kill(child)
        try:
            out, err = child.communicate(timeout=PATIENCE * case.seconds + GRACE_S)
        except subprocess.TimeoutExpired:
            _kill(child)
            child.communicate()
            return _failure("took too long", time.monotonic() - begun_s)
        finally:
            self._running.discard(child)
        if child.returncode:
            last = (err.strip().splitlines() or ["no message"])[-1]
            return _failure(f"status {child.returncode}: {last}"[:300], time.monotonic() - begun_s)
        return {"status": "done", **json.loads(out.splitlines()[-1])}

    def end(self) -> None:
        """Kill whatever runs, and whatever starts yet."""
        self._ended = True
        for child in list(self._running):
            _kill(child)


def _kill(child: subprocess.Popen[str]) -> None:
    """Kill a process with all that it started."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def _failure(reason: str, seconds: float) -> Record:
    return {"status": "failed", "error": reason, "wall_s": round(seconds, 2)}
