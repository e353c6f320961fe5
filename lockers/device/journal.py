"""
What a locker must not forget: what it still has to report, and which commands it has seen.

One append-only file of JSON lines, synced to disk before anything that depends on it happens. A line torn by
a power cut was never depended on and is dropped; any other damage stops the device rather than open a door.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Protocol

Record = dict[str, Any]

#: Commands are remembered far beyond their life of twenty seconds.
SEEN_KEPT = 256
#: Acknowledged reports are kept as long, should the server ask for them again.
REPORTS_KEPT = 1_000
BOOTS_KEPT = 100
#: The file is written anew when it has grown so long.
COMPACT_AFTER_RECORDS = 2_000


class JournalDamaged(Exception):
    """The journal cannot be trusted; a person has to look at it."""


class NotWritten(Exception):
    """The disk is full or broken; what depends on being written down must not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Wrong codes: how many, how often they locked the keypad, for how long last, and whose are forgiven."""

    num_failures: int = 0
    num_lock_outs: int = 0
    locked_s: float = 0.0
    forgiven: tuple[str, ...] = ()


class Log(Protocol):
    """Records that are on disk once written."""

    def read(self) -> list[Record]:
        """Return all records, the oldest first."""

    def append(self, records: Sequence[Record]) -> None:
        """
        Add records; when this returns they survive a power cut.

        Raises
        ------
        OSError
            If that is not possible; none of them is there then.
        """

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
        """Add records and wait until they are on disk; a disk that becomes full takes all or nothing."""
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            _sync_directory(self._path.parent)
        before = os.fstat(self._file).st_size
        content = memoryview(_lines(records))
        try:
            while content:
                content = content[os.write(self._file, content) :]
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def rewrite(self, records: Sequence[Record]) -> None:
        """Write a new file beside the old one and put it in its place."""
        draft = self._path.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                file.write(_lines(records))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        draft.replace(self._path)
        self.close()
        _sync_directory(self._path.parent)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Journal:
    """
    The memory of a locker over all its boots.

    While the disk takes nothing, what is merely to be told is held in memory, and told once it is written;
    nothing is told that could be forgotten. What something depends on raises ``NotWritten``.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: list[Record] = []
        self._num_records = 0
        self.num_boots = 0
        self.num_hellos = 0
        self.boot_id: str | None = None
        self.last_seq = 0
        #: The last report of earlier boots.
        self.after: tuple[str, int] | None = None
        self.allowlist: Record | None = None
        self.failures = Failures()
        #: The server's time when it was last heard of, and since then how late it was at least.
        self.time: tuple[datetime, datetime] | None = None
        self._reports: dict[tuple[str, int], Record] = {}
        self._acknowledged: dict[str, int] = {}
        self._num_unreported = 0
        self._seen: dict[str, Record | None] = {}
        for record in log.read():
            self._take(record)

    def begin_boot(self, boot_id: str) -> None:
        """
        Begin a new life; sequence numbers start again.

        Raises
        ------
        NotWritten
            If the disk does not take it.
        """
        self._write([{"is": "boot", "boot_id": boot_id, "number": self.num_boots + 1}], is_vital=True)

    def begin_connection(self) -> int:
        """Count a greeting, and return the count."""
        self._write([{"is": "hello", "number": self.num_hellos + 1}])
        return self.num_hellos

    def remember_seen(self, command_id: str) -> None:
        """
        Remember a command far beyond its life: whatever happens next, it is not executed again.

        Raises
        ------
        NotWritten
            If the disk does not take it.
        """
        self._write([{"is": "seen", "command_id": command_id}], is_vital=True)

    def report(self, envelope: Record, *, answers: str | None = None, begins: str | None = None) -> None:
        """
        Keep a report until acknowledged.

        ``answers`` names the command that it answers; ``begins`` one that the device gives itself, which is
        remembered as seen in the same breath.

        Raises
        ------
        NotWritten
            If it begins a command, and the disk does not take it.
        """
        record = {"is": "report", "envelope": envelope}
        if answers is not None:
            record["command_id"] = answers
        seen = [] if begins is None else [{"is": "seen", "command_id": begins}]
        self._write([*seen, record], is_vital=begins is not None)

    def forget(self, boot_id: str, seq: int) -> None:
        """Note that the reports of a boot up to a number are acknowledged."""
        done = [number for boot, number in self._places_unreported() if boot == boot_id and number <= seq]
        if done:
            self._write([{"is": "acknowledged", "boot_id": boot_id, "seq": max(done)}])

    def recall(self, boot_id: str, seq: int) -> int | None:
        """
        Report again what the server misses after a number of a boot, although it acknowledged more.

        Returns the number up to which the reports are no longer there, if some are not.
        """
        if seq >= self._acknowledged.get(boot_id, 0):
            return None
        self._write([{"is": "acknowledged", "boot_id": boot_id, "seq": seq}])
        kept = [number for boot, number in self._reports if boot == boot_id and number > seq]
        oldest = min(kept, default=self._last_of(boot_id) + 1)
        return oldest - 1 if oldest > seq + 1 else None

    def keep_list(self, envelope: Record) -> None:
        """
        Keep a list of codes in place of the one before.

        Raises
        ------
        NotWritten
            If the disk does not take it.
        """
        self._write([{"is": "list", "envelope": envelope}], is_vital=True)

    def mark_time(self, contact: datetime, now: datetime) -> None:
        """Keep the server's time when it was last heard of, and how late it is at least."""
        self._write([{"is": "time", "contact": contact.isoformat(), "now": now.isoformat()}])

    def note_failures(self, *, num_failures: int, num_lock_outs: int, locked_s: float) -> None:
        """Keep the count of wrong codes."""
        counted = {"num_failures": num_failures, "num_lock_outs": num_lock_outs, "locked_s": locked_s}
        self._write([{"is": "failures", **counted, "forgiven": self.failures.forgiven}])

    def forgive(self, entry_id: str | None) -> None:
        """Forget the wrong codes since the last lock-out; note whose right code did that."""
        forgiven = (*self.failures.forgiven, *([] if entry_id is None else [entry_id]))[-SEEN_KEPT:]
        kept = {"num_lock_outs": self.failures.num_lock_outs, "locked_s": 0.0}
        self._write([{"is": "failures", "num_failures": 0, **kept, "forgiven": forgiven}])

    def unreported(self) -> list[Record]:
        """Return the reports on disk that are not yet acknowledged, in the order in which they were made."""
        held = {(report["boot_id"], report["seq"]) for report in self._held_reports()}
        return [self._reports[place] for place in sorted(self._places_unreported()) if place not in held]

    def has_unreported(self) -> bool:
        """Tell whether any report on disk is not yet acknowledged."""
        return self._num_unreported > sum(1 for _ in self._held_reports())

    def catch_up(self) -> None:
        """Write what is held in memory, if there is room by now."""
        if self._held:
            self._write([])

    def reports_after(self, place: tuple[str, int]) -> list[Record]:
        """Return the reports made after one, as far as they are still there, in their order."""
        later = takewhile(lambda made: made > place, reversed(self._reports))
        return [self._reports[made] for made in later][::-1]

    def has_seen(self, command_id: str) -> bool:
        """Tell whether a command arrived before."""
        return command_id in self._seen

    def answer_to(self, command_id: str) -> Record | None:
        """Return the stored answer to a command."""
        return self._seen.get(command_id)

    def is_unreported(self, envelope: Record) -> bool:
        """Tell whether a report is still to be acknowledged."""
        return self._acknowledged.get(envelope["boot_id"], 0) < int(envelope["seq"])

    def interrupted(self) -> list[str]:
        """Return the commands that were seen, but never answered: the power went in between."""
        return [command_id for command_id, answer in self._seen.items() if answer is None]

    def _write(self, records: Sequence[Record], *, is_vital: bool = False) -> None:
        try:
            self._log.append([*self._held, *records])
        except OSError as error:
            if is_vital:
                raise NotWritten from error
            self._held += records
        else:
            self._held.clear()
        for record in records:
            self._take(record)
        if self._num_records > COMPACT_AFTER_RECORDS + len(self._reports) and not self._held:
            self._rewrite()

    def _rewrite(self) -> None:
        """Write the file anew; where there is no room for that, the old one is as good."""
        compact = list(self._compact())
        with contextlib.suppress(OSError):
            self._log.rewrite(compact)
        self._num_records = len(compact)

    def _take(self, record: Record) -> None:
        self._num_records += 1
        match record["is"]:
            case "boot":
                self.after = _place_in(record["after"]) if "after" in record else self._last_place()
                self.boot_id, self.num_boots, self.last_seq = record["boot_id"], record["number"], 0
            case "hello":
                self.num_hellos = record["number"]
            case "seen":
                self._note_seen(record["command_id"], None)
            case "report":
                self._note_report(record["envelope"])
                if "command_id" in record:
                    self._note_seen(record["command_id"], record["envelope"])
            case "list":
                self.allowlist = record["envelope"]
            case "time":
                self.time = datetime.fromisoformat(record["contact"]), datetime.fromisoformat(record["now"])
            case "failures":
                self.failures = _failures_in(record)
            case "answered":
                self._note_seen(record["command_id"], record["envelope"])
            case "seq":
                self.last_seq = record["seq"]
            case "acknowledged":
                self._note_acknowledged(record["boot_id"], record["seq"])
            case unknown:
                raise JournalDamaged(f"a record of kind {unknown}")

    def _note_report(self, envelope: Record) -> None:
        boot_id, seq = envelope["boot_id"], envelope["seq"]
        self._reports[boot_id, seq] = envelope
        self._num_unreported += 1
        if boot_id == self.boot_id:
            self.last_seq = seq

    def _note_acknowledged(self, boot_id: str, seq: int) -> None:
        self._acknowledged[boot_id] = seq
        while len(self._acknowledged) > BOOTS_KEPT:
            self._forget_boot(min(self._acknowledged))
        self._num_unreported = sum(1 for _ in self._places_unreported())
        excess = len(self._reports) - self._num_unreported - REPORTS_KEPT
        for place in islice([*self._reports], max(0, excess)):
            if place[1] <= self._acknowledged.get(place[0], 0):
                del self._reports[place]

    def _forget_boot(self, boot_id: str) -> None:
        """Forget how far a boot was acknowledged, and the reports that were."""
        seq = self._acknowledged[boot_id]
        for place in [place for place in self._reports if place[0] == boot_id and place[1] <= seq]:
            del self._reports[place]
        del self._acknowledged[boot_id]

    def _held_reports(self) -> Iterator[Record]:
        return (record["envelope"] for record in self._held if record["is"] == "report")

    def _last_place(self) -> tuple[str, int] | None:
        """Return the last report; boots that ended before their first one do not count."""
        return (self.boot_id, self.last_seq) if self.boot_id and self.last_seq else self.after

    def _places_unreported(self) -> Iterator[tuple[str, int]]:
        for boot_id, seq in self._reports:
            if seq > self._acknowledged.get(boot_id, 0):
                yield boot_id, seq

    def _last_of(self, boot_id: str) -> int:
        acknowledged = self._acknowledged.get(boot_id, 0)
        return max(self.last_seq if boot_id == self.boot_id else 0, acknowledged)

    def _note_seen(self, command_id: str, answer: Record | None) -> None:
        self._seen.pop(command_id, None)
        self._seen[command_id] = answer
        while len(self._seen) > SEEN_KEPT:
            del self._seen[next(iter(self._seen))]

    def _compact(self) -> Iterable[Record]:
        yield {"is": "boot", "boot_id": self.boot_id, "number": self.num_boots, "after": self.after}
        yield {"is": "hello", "number": self.num_hellos}
        for envelope in self._reports.values():
            yield {"is": "report", "envelope": envelope}
        for boot_id, seq in self._acknowledged.items():
            yield {"is": "acknowledged", "boot_id": boot_id, "seq": seq}
        yield {"is": "seq", "seq": self.last_seq}
        if self.allowlist is not None:
            yield {"is": "list", "envelope": self.allowlist}
        if self.time is not None:
            contact, now = self.time
            yield {"is": "time", "contact": contact.isoformat(), "now": now.isoformat()}
        yield {"is": "failures", **asdict(self.failures)}
        for command_id, answer in self._seen.items():
            if answer is None:
                yield {"is": "seen", "command_id": command_id}
            else:
                yield {"is": "answered", "command_id": command_id, "envelope": answer}


def _place_in(written: list[Any] | None) -> tuple[str, int] | None:
    return None if written is None else (written[0], written[1])


def _failures_in(record: Record) -> Failures:
    return Failures(
        num_failures=record["num_failures"],
        num_lock_outs=record["num_lock_outs"],
        locked_s=record["locked_s"],
        forgiven=tuple(record["forgiven"]),
    )


def _lines(records: Sequence[Record]) -> bytes:
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
