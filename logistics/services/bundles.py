"""Bundles: opened and collected by residents, handed over at counters, followed from the lockers' word."""

from datetime import datetime

from django.db import transaction

from common import events
from lockers.models import OpenCommand, Reservation
from lockers.services import commands
from logistics.exceptions import NotAtCounter, NothingToOpen
from logistics.models import Bundle, Stop
from logistics.services import messages, parcels, visits
from logistics.states import ParcelState


def open_for_resident(bundle: Bundle, *, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open the compartment in which a resident's goods lie.

    Raises
    ------
    NothingToOpen
        If the goods are at a counter.
    LockerError
        If the goods do not lie there yet or any more, or the locker is offline or busy.
    """
    if bundle.reservation is None:
        raise NothingToOpen
    return commands.open_for_collection(bundle.reservation, at=at, real_at=real_at)


@transaction.atomic
def hand_over(bundle: Bundle, *, at: datetime) -> None:
    """
    Note that a counter handed goods to their resident; again changes nothing.

    Raises
    ------
    NotAtCounter
        If the goods are not at a counter.
    """
    goods = list(bundle.parcels.all())
    if all(parcel.state == ParcelState.COLLECTED for parcel in goods):
        return
    if any(parcel.state != ParcelState.AT_COUNTER for parcel in goods):
        raise NotAtCounter
    parcels.report(goods, to=ParcelState.COLLECTED, made_at=at, received_at=at, source="counter")
    events.record("handed_over", scope=bundle.pool.region.slug, at=at, bundle=str(bundle.pk))


def note_deposited(reservation: Reservation, *, at: datetime) -> None:
    """Follow the locker: goods lie behind a closed door and the courier confirmed it."""
    if bundle := _note(reservation, ParcelState.DEPOSITED, at=at):
        visits.settle(Stop.objects.filter(handlings__parcel__bundle=bundle))
        messages.tell_ready(bundle, at=at)


def note_collected(reservation: Reservation, *, at: datetime) -> None:
    """Follow the locker: the resident has emptied the compartment."""
    _note(reservation, ParcelState.COLLECTED, at=at)


def note_overdue(reservation: Reservation, *, at: datetime) -> None:
    """Follow the locker: the time to collect has passed and the goods still lie there."""
    if bundle := _note(reservation, ParcelState.OVERDUE, at=at):
        messages.tell_overdue(bundle, at=at)


def _note(reservation: Reservation, to: ParcelState, *, at: datetime) -> Bundle | None:
    needed = Bundle.objects.select_related("pool__region").only("resident_id", "pool__region__slug")
    bundle = needed.filter(reservation=reservation).first()
    if bundle is None:
        return None
    parcels.report(bundle.parcels.all(), to=to, made_at=at, received_at=at, source="locker")
    events.record(f"parcel_{to.value}", scope=bundle.pool.region.slug, at=at, bundle=str(bundle.pk))
    return bundle
