"""What the runner says to the person who started it, and the exit status that goes with it."""

import sys
from collections.abc import Callable
from contextlib import suppress

from deploy.local.servers import MissingServerError
from deploy.local.supervisor import PartError, StopRequestedError


def say(text: str) -> None:
    """Print a line beside the output of play and tests, even if nobody listens any more."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


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
