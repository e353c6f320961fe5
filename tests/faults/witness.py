"""
Simulated lockers with a witness: ``python -m tests.faults.witness simulate …``, else as ``lockers.device``.

Beside each journal lie two files that the device never reads: ``trail.jsonl`` keeps every record that was
journalled, ``pulses.jsonl`` every time a lock was driven, and for which command. A door whose lock was driven
opens even if the device dies the moment after, and no death tears what the cabinet remembers.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockers import wire
from lockers.device import __main__ as program
from lockers.device import simulator
from lockers.device.cabinet import Cabinet
from lockers.device.controller import Controller
from lockers.device.identity import Identity
from lockers.device.journal import FileLog, Record

TRAIL, PULSES = "trail.jsonl", "pulses.jsonl"
#: Environment: the port at which this process finds the broker, and by how much its wall clock is wrong.
BROKER_PORT, CLOCK_OFF_S = "WITNESS_BROKER_PORT", "WITNESS_CLOCK_OFF_S"


def note(file: Path, *entries: Mapping[str, Any]) -> None:
    """Add lines to a file; each is whole, whenever the process dies."""
    lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, lines)
    finally:
        os.close(descriptor)


class WitnessedLog(FileLog):
    """A journal's file; what is once in it is noted where nothing is ever forgotten."""

    #: The last command that a device of this process wrote down as seen, by folder.
    last_seen: dict[Path, str] = {}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._folder = path.parent

    def append(self, records: Sequence[Record]) -> None:
        """Add records, then note them."""
        super().append(records)
        for record in records:
            if record["is"] == "seen":
                self.last_seen[self._folder] = record["command_id"]
        note(self._folder / TRAIL, *records)


class WitnessedCabinet(Cabinet):
    """A cabinet that notes what drives its locks."""

    def __init__(
        self, numbers: Iterable[int], *, spring: Callable[[Callable[[], None]], object], file: Path
    ) -> None:
        super().__init__(numbers, spring=spring, file=file)
        self._memory = file
        #: The command of the server that is being executed, and the connection in which that happens.
        self.in_hand: tuple[wire.Envelope, str] | None = None

    def pulse(self, compartment: int) -> None:
        """Note the pulse; from now on the door is open for whoever finds the cabinet without power."""
        pulses = self._memory.with_name(PULSES)
        note(pulses, {"at": _now().isoformat(), "compartment": compartment, **self._reason()})
        if not self.contents()[compartment].is_jammed:
            self._remember(sprung=compartment)
        super().pulse(compartment)

    def _reason(self) -> Mapping[str, Any]:
        if self.in_hand is None:
            return {"command": WitnessedLog.last_seen.get(self._memory.parent)}
        command, epoch = self.in_hand
        return {
            "command": command["transaction_id"],
            "expires_at": command["expires_at"],
            "is_stale": command["link_epoch"] != epoch,
        }

    def _keep(self) -> None:
        self._remember()

    def _remember(self, *, sprung: int | None = None) -> None:
        spaces = {
            number: (space.is_open or number == sprung, space.goods)
            for number, space in self.contents().items()
        }
        draft = self._memory.with_suffix(".draft")
        draft.write_text(json.dumps(spaces))
        draft.replace(self._memory)


class WitnessedController(Controller):
    """A mind that says which command it executes, with a broker at another port and a wrong wall clock."""

    def __init__(
        self,
        *,
        identity: Identity,
        hardware: WitnessedCabinet,
        wall_clock: Callable[[], datetime],
        **rest: Any,
    ) -> None:
        off = timedelta(seconds=float(os.environ.get(CLOCK_OFF_S, "0")))
        super().__init__(
            identity=_redirected(identity),
            hardware=hardware,
            wall_clock=lambda: wall_clock() + off,
            **rest,
        )
        self._cabinet = hardware

    def execute(self, command: wire.Envelope) -> None:
        """Execute a command, in view of the witness."""
        self._cabinet.in_hand = command, self.link_epoch
        try:
            super().execute(command)
        finally:
            self._cabinet.in_hand = None


def install() -> None:
    """Let simulated lockers of this process have a witness."""
    for name, witnessed in (
        ("FileLog", WitnessedLog),
        ("Cabinet", WitnessedCabinet),
        ("Controller", WitnessedController),
    ):
        setattr(simulator, name, witnessed)


def _redirected(identity: Identity) -> Identity:
    port = os.environ.get(BROKER_PORT)
    if identity.broker is None or port is None:
        return identity
    return replace(identity, broker=replace(identity.broker, port=int(port)))


def _now() -> datetime:
    return datetime.now(tz=UTC)


if __name__ == "__main__":
    install()
    program.main()
