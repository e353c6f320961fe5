"""What logistics does when the lockers announce something; in the sender's transaction, and quick."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from lockers import signals
from lockers.models import Reservation
from lockers.states import ReservationState
from logistics.services import bundles


@receiver(signals.reservation_deposited)
def follow_deposit(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as deposited and tell the resident."""
    bundles.note_deposited(reservation, at=at)


@receiver(signals.reservation_collected)
def follow_collection(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as collected."""
    bundles.note_collected(reservation, at=at)


@receiver(signals.compartment_needs_check)
def follow_trouble(*, reservation: Reservation | None, reason: str, at: datetime, **_: Any) -> None:
    """Tell the resident of goods that nobody can collect at present, and others of a deposit in doubt."""
    if reservation is None:
        return
    if reservation.state == ReservationState.DEPOSITED:
        bundles.note_out_of_reach(reservation, reason=reason, at=at)
    elif reservation.state == ReservationState.DEPOSITING:
        bundles.note_in_doubt(reservation, reason=reason, at=at)


@receiver(signals.reservation_within_reach)
def follow_return(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Tell the resident of goods that can be collected again."""
    bundles.note_within_reach(reservation, at=at)


@receiver(signals.reservation_missing)
def follow_loss(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as lost and tell the resident."""
    bundles.note_missing(reservation, at=at)


@receiver(signals.reservation_overdue)
def follow_overdue(*, reservation: Reservation, at: datetime, **_: Any) -> None:
    """Mark the parcels as overdue."""
    bundles.note_overdue(reservation, at=at)
