"""Runs: started by one courier, reported tap by tap, in whatever order the taps arrive."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Q

from common import events
from common.exceptions import InvalidTransition
from lockers.exceptions import CommandPending
from lockers.models import OpenCommand, Reservation
from lockers.services import cabinets, claims, commands, reservations
from logistics.exceptions import (
    CourierBusy,
    NothingToOpen,
    NotOnThisStop,
    ReportFromTheFuture,
    RunNotUnderWay,
    RunTaken,
)
from logistics.models import (
    Bundle,
    Courier,
    CourierReport,
    Handling,
    Parcel,
    ReportKind,
    Run,
    Stop,
    StopKind,
)
from logistics.services import parcels, pools, visits
from logistics.states import ParcelState, RunState, StopState

#: How far a courier's device may be ahead of us.
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """
    One tap of a courier.

    Parameters
    ----------
    key
        Made by the courier's device; a tap that arrives again changes nothing.
    parcels, bundle
        What it is about; both empty means all goods of the stop.
    made_at
        By the device's clock.
    """

    key: UUID
    kind: ReportKind
    stop_id: UUID
    made_at: datetime
    parcels: Sequence[UUID] = ()
    bundle: UUID | None = None
    reason: str = ""


def start(run: Run, *, courier: Courier, at: datetime) -> None:
    """
    Set out; again changes nothing.

    Raises
    ------
    RunTaken, CourierBusy, InvalidTransition
        If another courier drives the run, or the courier or vehicle is on another one.
    """
    if run.courier_id != courier.pk:
        raise RunTaken
    if run.state == RunState.UNDER_WAY:
        return
    try:
        with transaction.atomic():
            run.advance(RunState.UNDER_WAY, started_at=at)
    except IntegrityError as error:
        raise CourierBusy from error
    events.record("run_started", scope=run.pool.region.slug, at=at, run=str(run.pk))


@transaction.atomic
def report(run: Run, *, taps: Sequence[Tap], received_at: datetime) -> int:
    """
    Store what a courier tapped and apply each tap once; return how many were new.

    Raises
    ------
    RunNotUnderWay, NotOnThisStop, ReportFromTheFuture
        If the run has not started, or a tap makes no sense; none of them is stored then.
    """
    run = Run.objects.select_for_update().get(pk=run.pk)
    if run.started_at is None:
        raise RunNotUnderWay(present=run.state)
    known = set(run.reports.filter(key__in=[tap.key for tap in taps]).values_list("key", flat=True))
    new = sorted({tap.key: tap for tap in taps if tap.key not in known}.values(), key=lambda tap: tap.made_at)
    _lock_lockers(run, new)
    stops = _stops(run, new)
    goods = {tap.key: _goods(stops, tap, received_at=received_at) for tap in new}
    _store(run, new, goods, received_at=received_at)
    for tap in new:
        # A device whose clock is slow cannot have handled goods before the run began.
        made_at = max(tap.made_at, run.started_at)
        _apply(run, stops[tap.stop_id], tap, goods[tap.key], made_at=made_at, received_at=received_at)
    visits.settle(run.stops.filter(pk__in=stops))
    return len(new)


def open_door(run: Run, *, stop: Stop, bundle: Bundle, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open a compartment for a bundle that the courier has brought.

    Raises
    ------
    RunNotUnderWay, NothingToOpen
        If the run is not under way, or the bundle goes to a counter or is not part of the stop.
    LockerError
        If the locker is offline, busy or has no free door.
    """
    if run.state != RunState.UNDER_WAY:
        raise RunNotUnderWay(present=run.state)
    if bundle.reservation is None or not stop.handlings.filter(parcel__bundle=bundle).exists():
        raise NothingToOpen
    return commands.open_for_deposit(bundle.reservation, at=at, real_at=real_at)


def _lock_lockers(run: Run, taps: Sequence[Tap]) -> None:
    """
    Lock the lockers whose claims the taps may touch, all at once and before anything else.

    What a device reports goes the same way: locker, then parcels and stops.
    """
    named = {tap.stop_id for tap in taps}
    kinds = set(run.stops.filter(pk__in=named).values_list("kind", flat=True))
    if kinds <= {StopKind.START, StopKind.SHOP} and _ABOUT_DOORS.isdisjoint(tap.kind for tap in taps):
        return
    handled = Handling.objects.filter(stop__run=run)
    if StopKind.END not in kinds:
        handled = handled.filter(stop__in=named)
    touched = Reservation.objects.filter(bundle__parcels__handlings__in=handled)
    cabinets.lock_all(touched.values_list("locker", flat=True))


def _stops(run: Run, taps: Sequence[Tap]) -> dict[UUID, Stop]:
    """Return the stops of taps with their parcels; of each bundle there is one object for all of them."""
    claim = "parcel__bundle__reservation"
    handled = Handling.objects.select_related(f"{claim}__compartment", f"{claim}__code")
    named = run.stops.filter(pk__in={tap.stop_id for tap in taps})
    stops = {stop.pk: stop for stop in named.prefetch_related(Prefetch("handlings", handled))}
    bundles: dict[UUID, Bundle] = {}
    for parcel in (handling.parcel for stop in stops.values() for handling in stop.handlings.all()):
        if parcel.bundle is not None:
            parcel.bundle = bundles.setdefault(parcel.bundle.pk, parcel.bundle)
    return stops


def _goods(stops: Mapping[UUID, Stop], tap: Tap, *, received_at: datetime) -> list[Parcel]:
    """Return the parcels that a tap is about."""
    if tap.made_at > received_at + CLOCK_TOLERANCE:
        raise ReportFromTheFuture
    if tap.stop_id not in stops:
        raise NotOnThisStop
    handled = [handling.parcel for handling in stops[tap.stop_id].handlings.all()]
    if tap.bundle is not None:
        named = [parcel for parcel in handled if parcel.bundle_id == tap.bundle]
    elif tap.parcels:
        named = [parcel for parcel in handled if parcel.pk in set(tap.parcels)]
        if len(named) != len(set(tap.parcels)):
            raise NotOnThisStop
    else:
        named = handled
    if not named and tap.kind != ReportKind.ARRIVED:
        raise NotOnThisStop
    return named


def _store(
    run: Run, taps: Sequence[Tap], goods: Mapping[UUID, list[Parcel]], *, received_at: datetime
) -> None:
    stored = CourierReport.objects.bulk_create(
        CourierReport(
            run=run,
            stop_id=tap.stop_id,
            key=tap.key,
            kind=tap.kind,
            reason=tap.reason,
            made_at=tap.made_at,
            received_at=received_at,
        )
        for tap in taps
    )
    named = CourierReport.parcels.through
    named.objects.bulk_create(
        named(courierreport_id=report.pk, parcel_id=parcel.pk)
        for report in stored
        for parcel in goods[report.key]
    )


def _apply(
    run: Run, stop: Stop, tap: Tap, goods: list[Parcel], *, made_at: datetime, received_at: datetime
) -> None:
    match tap.kind:
        case ReportKind.ARRIVED:
            _arrive(run, stop, made_at=made_at, received_at=received_at)
        case ReportKind.LOADED:
            _say(goods, ParcelState.LOADED, made_at=made_at, received_at=received_at)
            stop.advance(StopState.DONE)
        case ReportKind.DEPOSITED:
            _deposit(run, goods, made_at=made_at, received_at=received_at)
        case ReportKind.PROBLEM:
            _problem(run, goods, tap.reason, made_at=made_at, received_at=received_at)


def _say(goods: list[Parcel], to: ParcelState, *, made_at: datetime, received_at: datetime) -> None:
    parcels.report(goods, to=to, made_at=made_at, received_at=received_at, source="courier")


def _arrive(run: Run, stop: Stop, *, made_at: datetime, received_at: datetime) -> None:
    if stop.state == StopState.PLANNED:
        # Its goods may have been delivered before the word of the arrival came.
        with suppress(InvalidTransition):
            stop.advance(StopState.ARRIVED, arrived_at=made_at)
    if stop.kind == StopKind.END:
        stop.advance(StopState.DONE)
        _finish(run, made_at=made_at, received_at=received_at)


def _deposit(run: Run, goods: list[Parcel], *, made_at: datetime, received_at: datetime) -> None:
    for reservation in _reservations(goods):
        _confirm_deposit(run, reservation, made_at=made_at)
    at_counter = [parcel for parcel in goods if parcel.bundle and parcel.bundle.reservation is None]
    if at_counter:
        _say(at_counter, ParcelState.AT_COUNTER, made_at=made_at, received_at=received_at)


#: Reports that concern claims to doors, for which lockers are locked.
_ABOUT_DOORS = frozenset({ReportKind.DEPOSITED, ReportKind.PROBLEM})
#: Reasons that concern a door, not the goods: the courier asks for another door.
DOOR_REASONS = frozenset({"not_empty", "does_not_fit", "door_jammed"})
#: Reasons that concern the goods, and what becomes of them.
GOODS_REASONS = {
    "damaged": ParcelState.DAMAGED,
    "lost": ParcelState.LOST,
    "missing": ParcelState.DEFERRED,
    "locker_full": ParcelState.DEFERRED,
    "no_access": ParcelState.DEFERRED,
}


def _problem(run: Run, goods: list[Parcel], reason: str, *, made_at: datetime, received_at: datetime) -> None:
    if reason in DOOR_REASONS:
        for reservation in _reservations(goods):
            claims.release_door(reservation, reason=claims.ReleaseReason(reason), at=made_at)
        return
    for reservation in _reservations(goods):
        try:
            claims.cancel(reservation, at=made_at)
        except (InvalidTransition, CommandPending):
            # The door is in use; what lies behind it is settled by the locker's own checks.
            _note(run, "claim_not_cancelled", at=made_at, reservation=reservation)
    parcels.report(
        goods,
        to=GOODS_REASONS[reason],
        made_at=made_at,
        received_at=received_at,
        source="courier",
        reason=reason.replace("_", "-"),
    )


def _confirm_deposit(run: Run, reservation: Reservation, *, made_at: datetime) -> None:
    try:
        with transaction.atomic():
            reservations.confirm_locked_deposit(reservation, at=made_at)
    except InvalidTransition:
        reservation.refresh_from_db()
        # The word came after the claim had ended: kept, and shown to the dispatcher.
        _note(run, "deposit_after_claim_ended", at=made_at, reservation=reservation)


def _note(run: Run, kind: str, *, at: datetime, reservation: Reservation) -> None:
    events.record(kind, scope=run.pool.region.slug, at=at, run=str(run.pk), reservation=str(reservation.pk))


def _reservations(goods: Iterable[Parcel]) -> list[Reservation]:
    """Return the claims to doors of the bundles that the goods are in."""
    bundles = {parcel.bundle.pk: parcel.bundle for parcel in goods if parcel.bundle is not None}
    return [bundle.reservation for bundle in bundles.values() if bundle.reservation is not None]


def _finish(run: Run, *, made_at: datetime, received_at: datetime) -> None:
    """End the run; what was not delivered waits for the next pool."""
    if not run.advance(RunState.DONE, finished_at=made_at):
        return
    on_board = Parcel.objects.filter(
        handlings__stop__run=run, state__in=[ParcelState.PLANNED, ParcelState.LOADED]
    )
    # What the courier called deposited lies behind a door that has yet to say so.
    said_deposited = Q(bundle__reservation__confirmed_at__isnull=False)
    undelivered = list(on_board.exclude(said_deposited).distinct())
    parcels.report(
        undelivered,
        to=ParcelState.DEFERRED,
        made_at=made_at,
        received_at=received_at,
        source="system",
        reason="not-delivered",
    )
    events.record("run_done", scope=run.pool.region.slug, at=made_at, run=str(run.pk))
    pools.finish(run.pool)
