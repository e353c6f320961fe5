"""How much of the processors each part of a run has used: unlike times, much the same on a busy machine."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from deploy.local.processes import descendants
from deploy.local.supervisor import Supervisor

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: Where ``/proc/…/stat`` has the ticks of a process and of its children that have ended, after its name.
_TICKS = slice(11, 15)


class Effort:
    """Processor seconds of parts, from the moment at which this is made."""

    def __init__(self, supervisor: Supervisor, names: Iterable[str]) -> None:
        self._pids = {name: supervisor.process_of(name).pid for name in names}
        self._before = self._seconds()

    def so_far(self) -> Mapping[str, float]:
        """Return the seconds that each part has used."""
        return {name: seconds - self._before[name] for name, seconds in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(seconds_of, [pid, *descendants(pid)])) for name, pid in self._pids.items()}


def seconds_of(pid: int) -> float:
    """Return the processor seconds of a process and of its children that have ended; 0 once it has."""
    with suppress(FileNotFoundError, ProcessLookupError):
        _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return sum(map(int, fields.split()[_TICKS])) / _TICKS_PER_S
    return 0.0
