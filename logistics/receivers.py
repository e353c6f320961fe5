"""What logistics does when the lockers announce something; in the sender's transaction, and quick."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from lockers import signals
from lockers.models import Reservation
from logistics.services import bundles


@receiver(signals.reservation_deposited)
def follow_deposit(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as deposited and tell the resident."""
    bundles.note_deposited(reservation, at=at)


@receiver(signals.reservation_collected)
def follow_collection(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as collected."""
    bundles.note_collected(reservation, at=at)


@receiver(signals.reservation_overdue)
def follow_overdue(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as overdue."""
    bundles.note_overdue(reservation, at=at)
