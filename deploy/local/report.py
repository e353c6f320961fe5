"""What the runner says to the person who started it, and the exit status that goes with it."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.local.servers import MissingServerError
from deploy.local.supervisor import PartError, StopRequestedError


def say(text: str) -> None:
    """Print a line beside the output of play and tests, even if nobody listens any more."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def in_own_folder(parent: Path, prefix: str, run: Callable[[Path], int]) -> int:
    """Return the exit status of a run in a folder of its own, which is kept if the run fails."""
    parent.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    status = reported(lambda: run(directory))
    if status in {0, 128 + signal.SIGINT}:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        say(f"What the parts wrote is kept in {directory / 'log'}.")
    return status


def reported(run: Callable[[], int]) -> int:
    """Return the run's exit status; say why it ended early, if it did."""
    try:
        return run()
    except StopRequestedError as interrupted:
        say(f"Stopped by {interrupted.signal.name}; nothing is left running.")
        return 128 + interrupted.signal
    except PartError as failure:
        say(failure.report())
    except MissingServerError as missing:
        say(str(missing))
    return 1
