"""
Two processes that look after each other, so that nothing is left when one of them is killed.

The front process is the one that a shell or make knows. It does nothing but wait, and pass signals on to the
worker, which starts and stops all parts. If the front is killed, the kernel tells the worker, which
stops in order; if the worker is killed, its parts die with it and the front sweeps up what they had started.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from deploy.local.processes import adopt_orphans, die_with, sweep

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Remembers the first signal that asked us to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)


def guarded(work: Callable[[Interruption], int], *, parent: int | None) -> int:
    """
    Do the work in a process of its own and return its exit status.

    Parameters
    ----------
    work
        Is told of the first signal that asks it to stop.
    parent
        The process whose end, however it comes, ends the work too; usually make.
    """
    adopt_orphans()
    front = os.getpid()
    interruption = Interruption()
    # Held back until both sides know what to do with them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    worker = os.fork()
    if worker == 0:
        _work(work, interruption, front)
    _listen(lambda number, _frame: _pass_on(worker, number))
    if parent is not None:
        die_with(parent, signal.SIGTERM)
    _, status = os.waitpid(worker, 0)
    sweep()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _work(work: Callable[[Interruption], int], interruption: Interruption, front: int) -> None:
    status = 1
    try:
        _listen(interruption)
        adopt_orphans()
        die_with(front, signal.SIGTERM)
        status = work(interruption)
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        sweep()
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def _listen(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _pass_on(worker: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(worker, number)
