"""Memory of a run: of a process with all that it started."""

import os
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Position of the session among the fields that follow the name of the program, and of resident pages.
_SESSION, _RESIDENT = 3, 21


def session_mib(session: int) -> int:
    """Return the memory of all processes of a session at this moment, 0 where the system does not tell."""
    pages = 0
    for file in _PROC.glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[_SESSION]) == session:
            pages += int(fields[_RESIDENT])
    return pages * _PAGE // 2**20
