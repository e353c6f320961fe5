"""A locker's device as far as logistics needs one: what it reports goes through the lockers' own inbox."""

from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

from common.clock import real_now
from lockers.link import Report
from lockers.models import Device, Locker, OpenCommand
from lockers.services import inbox
from lockers.states import LinkState

_keys = count(1)


class Cabinet:
    """The device of one locker, online from the start; all doors are closed."""

    def __init__(self, locker: Locker) -> None:
        self._seq = 0
        self._device = Device.objects.create(
            locker=locker,
            public_key=f"key-{next(_keys)}",
            state=LinkState.ONLINE,
            link_epoch="epoch-1",
            last_seen_at=real_now(),
            provisioned_at=real_now(),
        )
        numbers = locker.compartments.values_list("number", flat=True)
        shut = [{"compartment_number": number, "door_state": "closed"} for number in numbers]
        self._report("compartments", None, at=real_now(), compartments=shut)

    def open_and_close(self, command: OpenCommand, *, at: datetime) -> None:
        """Report that the door sprang open and was closed again."""
        number = command.compartment.number
        self._report(
            "compartment_open_detected",
            command,
            at=at,
            compartment_number=number,
            outcome="opened",
            detection_ms=120,
        )
        self._report("compartment_closed", None, at=at, compartment_number=number)

    def jam(self, command: OpenCommand, *, at: datetime) -> None:
        """Report that the door did not move."""
        self._report(
            "compartment_open_failed",
            command,
            at=at,
            compartment_number=command.compartment.number,
            error_code="DOOR_JAMMED",
        )

    def done(self, command: OpenCommand, *, at: datetime) -> None:
        """Report that the resident pressed the button for an emptied compartment."""
        self._report("collection_done", None, at=at, compartment_number=command.compartment.number)

    def _report(self, kind: str, command: OpenCommand | None, *, at: datetime, **data: Any) -> None:
        self._seq += 1
        report = Report(
            message_id=uuid4(),
            transaction_id=command.pk if command else None,
            boot_id="boot-1",
            seq=self._seq,
            link_epoch="epoch-1",
            kind=kind,
            data=data,
            reported_at=at,
        )
        inbox.receive(self._device, [report], real_at=real_now())
        inbox.apply(self._device.pk, at=at)
