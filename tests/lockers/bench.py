"""A device on the bench: the real mind and journal over one lock, its clock turned by hand."""

import errno
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import HardwareFailed, Reading, Supply, Zone
from lockers.device.identity import Identity
from lockers.device.journal import FileLog, Journal, Record

SERVER_KEY = Ed25519PrivateKey.generate()
KID = wire.key_id(SERVER_KEY.public_key())
DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
NOW = datetime(2026, 11, 24, 11, tzinfo=UTC)


class Locks:
    """One door that does as it is told."""

    def __init__(self) -> None:
        self.compartments = [1]
        self.pulses = 0
        self.now = Reading.CLOSED
        self.is_broken = False

    def pulse(self, compartment: int) -> None:
        if self.is_broken:
            raise HardwareFailed
        self.pulses += 1

    def reading(self, compartment: int) -> Reading:
        return self.now


class Walls:
    """A cabinet around the door, whose sensors say what they are told to."""

    def __init__(self) -> None:
        self.beeps: list[int] = []
        self.meddled: bool | None = None
        self.climate: dict[Zone, int | None] = {}
        self.feed: Supply | None = None

    def beep(self, compartment: int) -> None:
        self.beeps.append(compartment)

    def is_tampered(self) -> bool | None:
        return self.meddled

    def temperatures(self) -> dict[Zone, int | None]:
        return self.climate

    def supply(self) -> Supply | None:
        return self.feed


class FullableLog(FileLog):
    """A journal on a disk that has room or has none."""

    is_full = False

    def append(self, records: Sequence[Record]) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "full")
        super().append(records)

    def rewrite(self, records: Sequence[Record]) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "full")
        super().rewrite(records)


class Bench:
    """A device on the bench: its clock is turned by hand."""

    def __init__(self, directory: Path, locks: Locks | None = None, walls: Walls | None = None) -> None:
        self.now_s = 1_000.0
        self.locks = locks or Locks()
        self.walls = walls or Walls()
        self.log = FullableLog(directory / "journal.jsonl")
        self.journal = Journal(self.log)
        self.device = Controller(
            identity=Identity(
                device_id=DEVICE_ID,
                locker="dorf",
                key=Ed25519PrivateKey.generate(),
                server_keys={KID: SERVER_KEY.public_key()},
            ),
            journal=self.journal,
            hardware=self.locks,
            housing=self.walls,
            monotonic=lambda: self.now_s,
            wall_clock=lambda: NOW,
        )
        self.device.boot()
        self.hear(self.device.hello(), action="hello_accepted", data={"accepted": {}})
        self.acknowledge()

    def server_now(self) -> datetime:
        return NOW + timedelta(seconds=self.now_s - 1_000)

    def seal(self, **fields: object) -> wire.Envelope:
        return wire.seal(
            {"device_id": DEVICE_ID, **fields}, key=SERVER_KEY, kid=KID, timestamp=self.server_now()
        )

    def hear(self, request: wire.Envelope, **fields: object) -> None:
        message = self.seal(in_reply_to=request["message_id"], **fields)
        self.device.hear([message], request=request, sent_s=self.now_s, received_s=self.now_s)

    def acknowledge(self) -> None:
        for report in self.journal.unreported():
            self.journal.forget(report["boot_id"], report["seq"])

    def command(self, **changes: object) -> wire.Envelope:
        fields = {
            "action": "open_compartment",
            "transaction_id": str(uuid4()),
            "link_epoch": self.device.link_epoch,
            "expires_at": wire.moment(self.server_now() + timedelta(seconds=20)),
            "ttl_ms": 20_000,
            "data": {"compartment_number": 1},
        }
        return self.seal(**(fields | changes))

    def give(self, command: wire.Envelope) -> None:
        request = self.device.poll()
        self.device.hear([command], request=request, sent_s=self.now_s, received_s=self.now_s)

    def after(self, seconds: float) -> None:
        """Let time pass, a tick a second."""
        for _ in range(round(seconds)):
            self.now_s += 1
            self.device.tick()

    def moves(self, reading: Reading, number: int = 1) -> None:
        """Let the sensor of a door see something."""
        self.locks.now = reading
        self.device.door_moved(number, reading)

    def news(self) -> list[tuple[str, object]]:
        """Return the events that were reported since the last acknowledgement, with their data."""
        return [(str(report.get("event")), report["data"]) for report in self.journal.unreported()]

    def said(self) -> list[str]:
        """Return what was reported since the last acknowledgement."""
        return [
            str(report["data"].get("error_code") or report.get("event") or report["data"]["result"])
            for report in self.journal.unreported()
        ]
