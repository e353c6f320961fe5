"""Runs: started by one courier, reported tap by tap, in whatever order the taps arrive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from common import events
from common.exceptions import InvalidTransition
from lockers.exceptions import CommandPending
from lockers.models import OpenCommand, Reservation
from lockers.services import commands, reservations
from logistics.exceptions import (
    CourierBusy,
    NothingToOpen,
    NotOnThisStop,
    ReportFromTheFuture,
    RunNotUnderWay,
    RunTaken,
)
from logistics.models import Bundle, Courier, CourierReport, Parcel, ReportKind, Run, Stop, StopKind
from logistics.services import parcels, pools
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
    run = Run.objects.select_for_update(of=("self",)).select_related("pool__region").get(pk=run.pk)
    if run.started_at is None:
        raise RunNotUnderWay(present=run.state)
    known = set(run.reports.filter(key__in=[tap.key for tap in taps]).values_list("key", flat=True))
    new = {tap.key: tap for tap in taps if tap.key not in known}
    stops = {stop.pk: stop for stop in run.stops.prefetch_related("handlings__parcel")}
    for tap in sorted(new.values(), key=lambda tap: tap.made_at):
        if tap.made_at > received_at + CLOCK_TOLERANCE:
            raise ReportFromTheFuture
        if tap.stop_id not in stops:
            raise NotOnThisStop
        _apply(run, stops[tap.stop_id], tap, received_at=received_at)
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


def _apply(run: Run, stop: Stop, tap: Tap, *, received_at: datetime) -> None:
    goods = _goods(stop, tap)
    stored = CourierReport.objects.create(
        run=run,
        stop=stop,
        key=tap.key,
        kind=tap.kind,
        reason=tap.reason,
        made_at=tap.made_at,
        received_at=received_at,
    )
    stored.parcels.set(goods)
    assert run.started_at is not None  # noqa: S101 - checked by the caller
    # A device whose clock is slow cannot have handled goods before the run began.
    made_at = max(tap.made_at, run.started_at)
    match tap.kind:
        case ReportKind.ARRIVED:
            _arrive(run, stop, made_at=made_at, received_at=received_at)
        case ReportKind.LOADED:
            _say(goods, ParcelState.LOADED, made_at=made_at, received_at=received_at)
            stop.advance(StopState.DONE)
        case ReportKind.DEPOSITED:
            _deposit(run, goods, stop, made_at=made_at, received_at=received_at)
        case ReportKind.PROBLEM:
            _problem(run, goods, tap.reason, made_at=made_at, received_at=received_at)


def _goods(stop: Stop, tap: Tap) -> list[Parcel]:
    handled = [handling.parcel for handling in stop.handlings.all()]
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


def _say(goods: list[Parcel], to: ParcelState, *, made_at: datetime, received_at: datetime) -> None:
    parcels.report(goods, to=to, made_at=made_at, received_at=received_at, source="courier")


def _arrive(run: Run, stop: Stop, *, made_at: datetime, received_at: datetime) -> None:
    if stop.state == StopState.PLANNED:
        stop.advance(StopState.ARRIVED, arrived_at=made_at)
    if stop.kind == StopKind.END:
        stop.advance(StopState.DONE)
        _finish(run, made_at=made_at, received_at=received_at)


def _deposit(run: Run, goods: list[Parcel], stop: Stop, *, made_at: datetime, received_at: datetime) -> None:
    bundles = Bundle.objects.filter(parcels__in=goods).select_related("reservation").distinct()
    for bundle in bundles:
        if bundle.reservation is not None:
            _confirm_deposit(run, bundle.reservation, made_at=made_at)
        else:
            at_counter = [parcel for parcel in goods if parcel.bundle_id == bundle.pk]
            _say(at_counter, ParcelState.AT_COUNTER, made_at=made_at, received_at=received_at)
    if stop.state != StopState.DONE and not _undelivered(stop):
        stop.advance(StopState.DONE)


def _undelivered(stop: Stop) -> bool:
    return Parcel.objects.filter(
        handlings__stop=stop, state__in=[ParcelState.PLANNED, ParcelState.LOADED]
    ).exists()


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
            reservations.release_door(reservation, reason=reservations.ReleaseReason(reason), at=made_at)
        return
    for reservation in _reservations(goods):
        try:
            reservations.cancel(reservation, at=made_at)
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
        reservations.confirm_deposit(reservation, at=made_at)
    except InvalidTransition:
        # The word came after the claim had ended: kept, and shown to the dispatcher.
        _note(run, "deposit_after_claim_ended", at=made_at, reservation=reservation)


def _note(run: Run, kind: str, *, at: datetime, reservation: Reservation) -> None:
    events.record(kind, scope=run.pool.region.slug, at=at, run=str(run.pk), reservation=str(reservation.pk))


def _reservations(goods: list[Parcel]) -> Iterable[Reservation]:
    bundles = {parcel.bundle_id for parcel in goods}
    return Reservation.objects.filter(bundle__in=bundles - {None})


def _finish(run: Run, *, made_at: datetime, received_at: datetime) -> None:
    """End the run; what was not delivered waits for the next pool."""
    if not run.advance(RunState.DONE, finished_at=made_at):
        return
    undelivered = list(
        Parcel.objects.filter(
            handlings__stop__run=run, state__in=[ParcelState.PLANNED, ParcelState.LOADED]
        ).distinct()
    )
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
