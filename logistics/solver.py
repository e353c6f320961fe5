"""The solver as a process of its own: fed a problem, followed line by line, stopped with its whole group."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from common.exceptions import DomainError

COMMAND = (sys.executable, "-m", "optimizer", "solve", "-", "--progress", "--stop-on-eof")
STOP_GRACE_S = 2.0


class SolverFailed(DomainError):
    """The solver ended without a result."""

    code = "solver-failed"
    message = "The solver ended without a result: {detail}"


class SolverProcess:
    """
    One run of ``python -m optimizer solve``, with a plan to ``start`` with and more ``options`` if wanted.

    The solver leads its own process group and ends when its standard input closes, so that it survives
    neither a stop nor the death of the worker that started it.
    """

    def __init__(
        self,
        problem: dict[str, Any],
        *,
        time_limit_s: float,
        seed: int,
        bound: bool = False,
        start: dict[str, Any] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        limits = ("--time-limit", str(time_limit_s), "--seed", str(seed))
        begin = () if start is None else ("--start", "-")
        self._process = subprocess.Popen(
            [*COMMAND, *limits, *begin, *(("--bound",) if bound else ()), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._last_words: list[str] = []
        self._follow([problem] if start is None else [start, problem])

    def __enter__(self) -> "SolverProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def messages(self, *, tick_s: float) -> Iterator[dict[str, Any] | None]:
        """
        Yield what the solver says, and ``None`` at least every ``tick_s`` seconds, until it ends.

        Raises
        ------
        SolverFailed
            If it ends with an error.
        """
        while True:
            try:
                line = self._lines.get(timeout=tick_s)
            except queue.Empty:
                yield None
                continue
            if line is None:
                break
            yield json.loads(line)
        if self._process.wait() != 0:
            # What it said last may still be on its way to us when it has ended.
            self._noting.join(timeout=STOP_GRACE_S)
            raise SolverFailed(detail=" ".join(self._last_words)[-200:] or "no word")

    def stop(self) -> None:
        """End the solver and whatever it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=STOP_GRACE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _follow(self, documents: Sequence[dict[str, Any]]) -> None:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr  # noqa: S101 - all three are pipes

        def feed() -> None:
            with suppress(BrokenPipeError):
                for document in documents:
                    stdin.write(json.dumps(document) + "\n")
                stdin.flush()

        def listen() -> None:
            for line in stdout:
                self._lines.put(line)
            self._lines.put(None)

        def note() -> None:
            for line in stderr:
                self._last_words[:] = [*self._last_words[-4:], line.strip()]

        self._noting = threading.Thread(target=note, daemon=True)
        self._noting.start()
        for follower in (feed, listen):
            threading.Thread(target=follower, daemon=True).start()
