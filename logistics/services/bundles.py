"""Bundles: opened and collected by residents, handed over at counters, followed from the lockers' word."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from common import events
from lockers.exceptions import NoKeypad
from lockers.models import LockerCode, OpenCommand, Reservation
from lockers.selectors import without_keypad
from lockers.services import codes, commands
from logistics.exceptions import NotAtCounter, NothingToOpen
from logistics.models import Bundle, Stop, StopKind
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
    return commands.open_for_collection(claim_of(bundle), at=at, real_at=real_at)


def claim_of(bundle: Bundle) -> Reservation:
    """
    Return the claim of a bundle to a compartment.

    Raises
    ------
    NothingToOpen
        If the goods are at a counter.
    """
    if bundle.reservation is None:
        raise NothingToOpen
    return bundle.reservation


def code_of(bundle: Bundle) -> LockerCode:
    """
    Return the code of a bundle.

    Raises
    ------
    NothingToOpen
        If the goods are at a counter.
    """
    if bundle.reservation is None or bundle.reservation.code is None:
        raise NothingToOpen
    return bundle.reservation.code


def code_to_type(bundle: Bundle) -> LockerCode:
    """
    Return the code that opens a bundle's compartment at the keypad.

    Raises
    ------
    NothingToOpen
        If the goods are at a counter.
    NoKeypad
        If the locker takes no codes, for it has a basic device.
    """
    code = code_of(bundle)
    if bundle.reservation is not None:
        locker = bundle.reservation.locker
        if without_keypad().filter(locker=locker).exists():
            raise NoKeypad(locker=locker.name)
    return code


@transaction.atomic
def replace_code(bundle: Bundle, *, by: UUID, at: datetime) -> LockerCode:
    """
    Revoke the code of a bundle, and return the one that opens it from now on; its resident is told.

    Raises
    ------
    NothingToOpen, NoKeypad
        As for ``code_to_type``.
    InvalidTransition
        If the code is no longer valid.
    """
    issued = codes.replace(code_to_type(bundle), by=by, at=at)
    messages.tell_new_code(bundle, at=at)
    return issued


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


def note_missing(reservation: Reservation, *, at: datetime) -> None:
    """Follow the locker: somebody looked, and the goods were not there."""
    if bundle := _note(reservation, ParcelState.LOST, at=at, reason="not-in-compartment"):
        messages.tell_missing(bundle, at=at)


def note_out_of_reach(reservation: Reservation, *, reason: str, at: datetime) -> None:
    """Follow the locker: goods lie behind a door that is out of use; their resident is told to wait."""
    if bundle := _bundle_of(reservation):
        _record("goods_out_of_reach", bundle, at=at, reason=reason)
        messages.tell_out_of_reach(bundle, at=at)


def note_in_doubt(reservation: Reservation, *, reason: str, at: datetime) -> None:
    """Follow the locker: nobody knows whether a deposit was made; the run's courier is asked."""
    if bundle := _bundle_of(reservation):
        visits_meant = Stop.objects.filter(handlings__parcel__bundle=bundle, handlings__is_void=False)
        run = visits_meant.filter(kind=StopKind.SUPPLY_POINT).values_list("run", flat=True).first()
        _record("deposit_in_doubt", bundle, at=at, reason=reason, run=str(run))


def note_within_reach(reservation: Reservation, *, at: datetime) -> None:
    """Follow the locker: goods that could not be collected can be again."""
    if bundle := _bundle_of(reservation):
        _record("goods_within_reach", bundle, at=at)
        messages.tell_within_reach(bundle, at=at)


def _note(reservation: Reservation, to: ParcelState, *, at: datetime, reason: str = "") -> Bundle | None:
    bundle = _bundle_of(reservation)
    if bundle is None:
        return None
    parcels.report(bundle.parcels.all(), to=to, made_at=at, received_at=at, source="locker", reason=reason)
    _record(f"parcel_{to.value}", bundle, at=at)
    return bundle


def _bundle_of(reservation: Reservation) -> Bundle | None:
    needed = Bundle.objects.select_related("pool__region").only("resident_id", "pool__region__slug")
    return needed.filter(reservation=reservation).first()


def _record(kind: str, bundle: Bundle, *, at: datetime, **facts: str) -> None:
    events.record(kind, scope=bundle.pool.region.slug, at=at, bundle=str(bundle.pk), **facts)
