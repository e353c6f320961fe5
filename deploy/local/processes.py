"""Linux processes that do not outlive whoever started them."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, signal_number: int) -> None:
    """
    Have the kernel send this process a signal as soon as its parent ends.

    The kernel means the parent's *thread* that forked, so parents fork from their main thread. A parent
    that ended before the kernel was told is noticed by its number, and answered by the same signal.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def dying_with_me(signal_number: int) -> Callable[[], None]:
    """Return what a child has to call between fork and exec to end with this process."""
    parent = os.getpid()
    return lambda: die_with(parent, signal_number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def descendants(of: int) -> list[int]:
    """Return the children of a process, their children and so on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The second field, the program's name, may hold spaces and brackets of its own.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [of]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def sweep(within_s: float = 5.0) -> None:
    """Kill and reap every descendant of this process, which must adopt orphans."""
    deadline = time.monotonic() + within_s
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
