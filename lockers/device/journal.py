"""
What a locker must not forget: what it still has to report, and which commands it has seen.

One append-only file of JSON lines, synced to disk before anything that depends on it happens. A line torn by
a power cut was never depended on and is dropped; any other damage stops the device rather than open a door.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

Record = dict[str, Any]

#: Commands are remembered far beyond their life of twenty seconds.
SEEN_KEPT = 256
#: The file is written anew when it has grown so long.
COMPACT_AFTER_RECORDS = 2_000


class JournalDamaged(Exception):
    """The journal cannot be trusted; a person has to look at it."""


class Log(Protocol):
    """Records that are on disk once written."""

    def read(self) -> list[Record]:
        """Return all records, the oldest first."""

    def append(self, records: Sequence[Record]) -> None:
        """Add records; when this returns they survive a power cut."""

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replace everything; a power cut leaves either the old or the new."""


class FileLog:
    """Records as lines of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> list[Record]:
        """
        Return all records, the oldest first; cut off a line that a power cut tore.

        Raises
        ------
        JournalDamaged
            If any line but the last cannot be read.
        """
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            os.truncate(self._path, len(content) - len(torn))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise JournalDamaged(str(self._path)) from error

    def append(self, records: Sequence[Record]) -> None:
        """Add records and wait until they are on disk."""
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            _sync_directory(self._path.parent)
        os.write(self._file, _lines(records))
        os.fdatasync(self._file)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Write a new file beside the old one and put it in its place."""
        draft = self._path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(_lines(records))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        _sync_directory(self._path.parent)
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Journal:
    """The memory of a locker over all its boots."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._num_records = 0
        self.num_boots = 0
        self.num_hellos = 0
        self.boot_id: str | None = None
        self.last_seq = 0
        self._unreported: dict[tuple[str, int], Record] = {}
        self._seen: dict[str, Record | None] = {}
        for record in log.read():
            self._take(record)

    def begin_boot(self, boot_id: str) -> None:
        """Begin a new life; sequence numbers start again."""
        self._write([{"is": "boot", "boot_id": boot_id, "number": self.num_boots + 1}])

    def begin_connection(self) -> int:
        """Count a greeting, and return the count."""
        self._write([{"is": "hello", "number": self.num_hellos + 1}])
        return self.num_hellos

    def remember_seen(self, command_id: str) -> None:
        """Remember a command for ever more: whatever happens next, it is not executed again."""
        self._write([{"is": "seen", "command_id": command_id}])

    def report(self, envelopes: Iterable[Record], *, answers: str | None = None) -> None:
        """Keep reports until acknowledged; ``answers`` names the command that the first one answers."""
        records = [{"is": "report", "envelope": envelope} for envelope in envelopes]
        if answers is not None:
            records[0]["command_id"] = answers
        self._write(records)

    def forget(self, boot_id: str, seq: int) -> None:
        """Forget the reports of a boot up to an acknowledged number."""
        if any(boot == boot_id and number <= seq for boot, number in self._unreported):
            self._write([{"is": "acknowledged", "boot_id": boot_id, "seq": seq}])

    def unreported(self) -> list[Record]:
        """Return the reports not yet acknowledged, in the order in which they were made."""
        return [self._unreported[place] for place in sorted(self._unreported)]

    def has_unreported(self) -> bool:
        """Tell whether any report is not yet acknowledged."""
        return bool(self._unreported)

    def has_seen(self, command_id: str) -> bool:
        """Tell whether a command arrived before."""
        return command_id in self._seen

    def answer_to(self, command_id: str) -> Record | None:
        """Return the stored answer to a command."""
        return self._seen.get(command_id)

    def is_unreported(self, envelope: Record) -> bool:
        """Tell whether a report is still to be acknowledged."""
        return (envelope["boot_id"], envelope["seq"]) in self._unreported

    def interrupted(self) -> list[str]:
        """Return the commands that were seen, but never answered: the power went in between."""
        return [command_id for command_id, answer in self._seen.items() if answer is None]

    def _write(self, records: Sequence[Record]) -> None:
        self._log.append(records)
        for record in records:
            self._take(record)
        if self._num_records > COMPACT_AFTER_RECORDS + len(self._unreported):
            compact = list(self._compact())
            self._log.rewrite(compact)
            self._num_records = len(compact)

    def _take(self, record: Record) -> None:
        self._num_records += 1
        match record["is"]:
            case "boot":
                self.boot_id, self.num_boots, self.last_seq = record["boot_id"], record["number"], 0
            case "hello":
                self.num_hellos = record["number"]
            case "seen":
                self._note_seen(record["command_id"], None)
            case "report":
                envelope = record["envelope"]
                self._unreported[envelope["boot_id"], envelope["seq"]] = envelope
                if envelope["boot_id"] == self.boot_id:
                    self.last_seq = envelope["seq"]
                if "command_id" in record:
                    self._note_seen(record["command_id"], envelope)
            case "answered":
                self._note_seen(record["command_id"], record["envelope"])
            case "seq":
                self.last_seq = record["seq"]
            case "acknowledged":
                for boot_id, seq in list(self._unreported):
                    if boot_id == record["boot_id"] and seq <= record["seq"]:
                        del self._unreported[boot_id, seq]
            case unknown:
                raise JournalDamaged(f"a record of kind {unknown}")

    def _note_seen(self, command_id: str, answer: Record | None) -> None:
        self._seen.pop(command_id, None)
        self._seen[command_id] = answer
        while len(self._seen) > SEEN_KEPT:
            del self._seen[next(iter(self._seen))]

    def _compact(self) -> Iterable[Record]:
        yield {"is": "boot", "boot_id": self.boot_id, "number": self.num_boots}
        yield {"is": "hello", "number": self.num_hellos}
        for envelope in self.unreported():
            yield {"is": "report", "envelope": envelope}
        yield {"is": "seq", "seq": self.last_seq}
        for command_id, answer in self._seen.items():
            if answer is None:
                yield {"is": "seen", "command_id": command_id}
            else:
                yield {"is": "answered", "command_id": command_id, "envelope": answer}


def _lines(records: Sequence[Record]) -> bytes:
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
