"""Starts parts in order, waits until each answers, and stops them in reverse however the run ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.guard import Interruption
from deploy.local.processes import dying_with_me

#: Says whether a part answers; it is given the part's log.
Ready = Callable[[Path], bool]

_TICK_S = 0.03
_TAIL_LINES = 25


def at_once(_log: Path) -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    One program of a run.

    Parameters
    ----------
    environment
        What it is told on top of the runner's own environment.
    ready, ready_within_s
        When it counts as started, and how long that may take.
    passes_through
        Its output goes where the runner's goes, not into a log.
    stop_signal, grace_s
        How it is asked to stop, and how long it may take before it is killed.
    death_signal
        What the kernel sends it when the runner itself is killed.
    user_id
        The user to run as, if not the runner's own.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    ready: Ready = at_once
    ready_within_s: float = 60.0
    passes_through: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL
    user_id: int | None = None


class PartError(Exception):
    """A part did not start, did not answer or ended when it should not have."""

    def __init__(self, part: Part, reason: str, log: Path) -> None:
        self.part, self.log = part, log
        super().__init__(f"{part.name} {reason}")

    def report(self) -> str:
        """Return the reason and the end of the part's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        shown = [f"  | {line}" for line in lines[-_TAIL_LINES:]] or ["  | (it said nothing)"]
        return "\n".join([f"{self}. The end of {self.log}:", *shown])


class StopRequestedError(Exception):
    """A signal asked the run to stop."""

    def __init__(self, number: signal.Signals) -> None:
        self.signal = number
        super().__init__(f"stopped by {number.name}")


@dataclass(frozen=True, slots=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Holds the parts of one run; leaving the context stops them all."""

    def __init__(self, logs: Path, interruption: Interruption | None = None) -> None:
        self._logs = logs
        self._interruption = interruption or Interruption()
        self._stages: list[list[_Running]] = []
        #: What has to be cleared away once everything has stopped.
        self.afterwards = ExitStack()
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *parts: Part) -> None:
        """
        Start parts together and wait until each is ready.

        Raises
        ------
        PartError
            If one ends or stays silent for too long, or a part of an earlier stage ends.
        StopRequestedError
            If a signal came meanwhile.
        """
        stage = self._launch(*parts)
        started_at = time.monotonic()
        for running in stage:
            while not running.part.ready(running.log):
                if time.monotonic() - started_at > running.part.ready_within_s:
                    raise PartError(
                        running.part, f"did not answer within {running.part.ready_within_s:g} s", running.log
                    )
                self._tick()

    def run(self, *parts: Part) -> list[int]:
        """Run parts together to their end, watching all others, and return their exit statuses."""
        stage = self._launch(*parts)
        while any(running.process.poll() is None for running in stage):
            self._tick(ending=stage)
        self._stages.remove(stage)
        for running in stage:
            _kill_group(running)
        return [running.process.returncode for running in stage]

    def complete(self, *parts: Part) -> None:
        """Run parts together to their end; any exit status but 0 is a failure."""
        for part, status in zip(parts, self.run(*parts), strict=True):
            if status != 0:
                raise PartError(part, _ending(status), self._log_of(part))

    def process_of(self, name: str) -> subprocess.Popen[bytes]:
        """Return the process of a part, for those who end or freeze it on purpose."""
        return self._find(name)[1].process

    def respawn(self, name: str) -> None:
        """Kill what is left of a part, and start it anew; does not wait until it answers."""
        stage, running = self._find(name)
        _kill_group(running)
        running.process.wait()
        stage[stage.index(running)] = self._spawn(running.part)

    def stay(self) -> None:
        """Keep everything running until a signal comes or a part ends."""
        while True:
            self._tick()

    def stop(self) -> None:
        """Stop what runs, the last stage first; a part that does not obey in time is killed."""
        while self._stages:
            stage = self._stages[-1]
            for running in stage:
                _signal_group(running, running.part.stop_signal)
            asked_at = time.monotonic()
            for running in stage:
                with suppress(subprocess.TimeoutExpired):
                    running.process.wait(max(0.0, asked_at + running.part.grace_s - time.monotonic()))
                _kill_group(running)
                running.process.wait()
            self._stages.pop()
        self.afterwards.close()

    def _launch(self, *parts: Part) -> list[_Running]:
        stage: list[_Running] = []
        self._stages.append(stage)
        # One by one: what has been started must be known even if the next cannot be.
        for part in parts:
            stage.append(self._spawn(part))  # noqa: PERF401
        return stage

    def _spawn(self, part: Part) -> _Running:
        log = self._log_of(part)
        try:
            with _output(part, log) as output:
                process = subprocess.Popen(
                    part.command,
                    stdin=None if part.passes_through else subprocess.DEVNULL,
                    stdout=output,
                    stderr=None if part.passes_through else subprocess.STDOUT,
                    env=os.environ | part.environment,
                    cwd=part.directory,
                    start_new_session=True,
                    preexec_fn=dying_with_me(part.death_signal),
                    user=part.user_id,
                    group=part.user_id,
                    extra_groups=None if part.user_id is None else [],
                )
        except OSError as error:
            raise PartError(part, f"could not be started ({error})", log) from error
        return _Running(part, process, log)

    def _find(self, name: str) -> tuple[list[_Running], _Running]:
        return next(
            (stage, running) for stage in self._stages for running in stage if running.part.name == name
        )

    def _log_of(self, part: Part) -> Path:
        return self._logs / f"{part.name}.log"

    def _tick(self, ending: Sequence[_Running] = ()) -> None:
        if self._interruption.signal is not None:
            raise StopRequestedError(self._interruption.signal)
        for running in (each for stage in self._stages for each in stage if each not in ending):
            status = running.process.poll()
            if status is not None:
                raise PartError(running.part, _ending(status), running.log)
        time.sleep(_TICK_S)


@contextmanager
def _output(part: Part, log: Path) -> Iterator[int | None]:
    if part.passes_through:
        yield None
        return
    with log.open("ab") as file:
        yield file.fileno()


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


def _signal_group(running: _Running, number: signal.Signals) -> None:
    # The group may be gone, or hold only what has become another user's.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.process.pid, number)


def _kill_group(running: _Running) -> None:
    _signal_group(running, signal.SIGKILL)
