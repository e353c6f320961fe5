"""Trials of the whole installation: under faults (``tests.faults``) and under load (``tests.load``)."""

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.guard import Interruption
from deploy.local.parts import PROJECT, VAR
from deploy.local.report import in_own_folder
from deploy.local.supervisor import Part, Supervisor


@dataclass(frozen=True, slots=True)
class Trial:
    """
    A package of the tests that is a program, and what a person may ask of it.

    What is not asked for is left to the trial.
    """

    name: str
    wishes: Mapping[str, str | None]

    def options(self) -> list[str]:
        """Return the wishes as the trial's command-line options."""
        return [word for name, value in self.wishes.items() if value for word in (f"--{name}", value)]


def hold(trial: Trial, interruption: Interruption) -> int:
    """Hold a trial in a folder of its own, which is kept if the installation did not stand it."""
    return in_own_folder(VAR, f"{trial.name}-", lambda directory: _run(directory, trial, interruption))


def _run(directory: Path, trial: Trial, interruption: Interruption) -> int:
    with Supervisor(directory / "log", interruption) as supervisor:
        [status] = supervisor.run(_the_run(directory, trial))
        return status if status >= 0 else 128 - status


def _the_run(directory: Path, trial: Trial) -> Part:
    return Part(
        name=trial.name,
        command=[
            *(sys.executable, "-m", f"tests.{trial.name}", "--run-dir", str(directory)),
            *trial.options(),
        ],
        directory=PROJECT,
        passes_through=True,
        stop_signal=signal.SIGINT,
        # It stops all that it started.
        grace_s=20,
    )
