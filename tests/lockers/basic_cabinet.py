"""A basic device for tests, without a broker: what it says takes effect at once."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from lockers import dialect
from lockers.models import Locker, OpenCommand, Reservation
from lockers.services import basic, commands, devices, inbox, reservations
from tests.lockers.conftest import a_reservation


class BasicCabinet:
    """A basic device as the server sees it: what it says takes effect at once."""

    def __init__(self, locker: Locker, at: datetime) -> None:
        self.at = at
        token, setup = basic.issue_token(locker, wiring=None, real_at=at)
        self.device = basic.register(token=token, client_id=setup.pk, at=at, real_at=at)
        self.beat()
        self.shows(**dict.fromkeys(map(str, locker.compartments.values_list("number", flat=True)), "closed"))

    def beat(self) -> None:
        """Show life."""
        devices.hear(self.device, real_at=self.at)
        self.device.refresh_from_db()

    def says(self, kind: str, transaction_id: UUID | None = None, /, **data: Any) -> dialect.Said:
        """Say something, and let it take effect."""
        return self.says_again(
            dialect.Said(
                message_id=str(uuid4()),
                transaction_id=transaction_id,
                kind=kind,
                data=data,
                reported_at=self.at,
            )
        )

    def says_again(self, said: dialect.Said, *, is_kept: bool = False) -> dialect.Said:
        """Say what was said before."""
        basic.take(self.device, said, is_kept=is_kept, real_at=self.at)
        inbox.apply(self.device.pk, at=self.at)
        return said

    def shows(self, **doors: str) -> dialect.Said:
        """Publish a snapshot."""
        rows = [{"compartment_number": int(number), "door_state": state} for number, state in doors.items()]
        return self.says("compartments", compartments=rows)

    def waits(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


def deposit(cabinet: BasicCabinet) -> OpenCommand:
    """Let a courier ask for a door."""
    reservation = a_reservation(cabinet.device.locker, cabinet.at)
    return commands.open_for_deposit(reservation, at=cabinet.at, real_at=cabinet.at)


def deposited(cabinet: BasicCabinet) -> Reservation:
    """Let a courier put goods behind the first door."""
    command = deposit(cabinet)
    cabinet.says("response", command.pk, result="success")
    cabinet.shows(**{"1": "open", "2": "closed"})
    assert command.reservation is not None
    reservations.confirm_deposit(command.reservation, at=cabinet.at)
    cabinet.shows(**{"1": "closed", "2": "closed"})
    command.reservation.refresh_from_db()
    return command.reservation
