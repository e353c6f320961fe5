"""Runs: started by one courier, reported tap by tap, in whatever order the taps arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Q, UUIDField

from common import events
from common.prepared import Prepared
from lockers import tokens
from lockers.models import Locker, OpenCommand, Reservation
from lockers.selectors import without_keypad
from lockers.services import cabinets, codes, commands
from logistics.exceptions import (
    CourierBusy,
    NothingToOpen,
    NotOnThisStop,
    ReportFromTheFuture,
    RunNotUnderWay,
    RunTaken,
)
from logistics.models import Bundle, Courier, CourierReport, Handling, ReportKind, Run, Stop, StopKind
from logistics.services import overflow, visits
from logistics.services.overflow import PLACE_REASONS, Instruction
from logistics.services.taps import ABOUT_DOORS, Said, Tap, apply, may_be_in_question
from logistics.states import RunState

#: How far a courier's device may be ahead of us.
CLOCK_TOLERANCE = timedelta(minutes=5)

_BROUGHT = Prepared(
    lambda run, stop, bundle: (
        Handling.objects.filter(stop=stop, stop__run=run, parcel__bundle=bundle)
        .select_related("stop__run", "parcel__bundle__reservation")
        .only("is_void", "stop__run__courier", "stop__run__state", "parcel__bundle__reservation__locker")
        .order_by("is_void")
    ),
    run=UUIDField(),
    stop=UUIDField(),
    bundle=UUIDField(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How many taps were new, and where goods in question go now."""

    num_new: int
    instructions: Sequence[Instruction]


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
def report(run: Run, *, taps: Sequence[Tap], received_at: datetime) -> Answer:
    """
    Store what a courier tapped and apply each tap once.

    The answer says where goods go now whose taps told of trouble, also when such a tap arrives again, and
    asks for a word about deposits that were begun and nobody spoke of.

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
    said = [_said(run, stops, tap, received_at=received_at) for tap in new]
    _store(run, said, received_at=received_at)
    in_question = apply(run, said, received_at=received_at)
    visits.settle(run.stops.filter(pk__in=stops))
    if known:
        again = [tap.key for tap in taps if tap.key in known and may_be_in_question(tap)]
        in_question |= _bundles_of(run, again)
    in_question |= overflow.in_doubt(run)
    return Answer(num_new=len(new), instructions=overflow.instructions(run, in_question))


def brought(*, run_id: UUID, stop_id: UUID, bundle_id: UUID) -> Handling | None:
    """Return by what a bundle comes to a stop of a run: of several handlings, one that is still meant."""
    return _BROUGHT.first(run=run_id, stop=stop_id, bundle=bundle_id)


def open_door(handling: Handling, *, at: datetime, real_at: datetime) -> OpenCommand:
    """
    Open a compartment for the bundle whose parcel the courier has brought to a stop.

    Raises
    ------
    RunNotUnderWay, NothingToOpen
        If the run is not under way, or the bundle goes to a counter or to another stop by now.
    LockerError
        If the locker is offline, busy or has no free door.
    """
    run, bundle = handling.stop.run, handling.parcel.bundle
    if run.state != RunState.UNDER_WAY:
        raise RunNotUnderWay(present=run.state)
    if handling.is_void or bundle is None or bundle.reservation is None:
        raise NothingToOpen
    return commands.open_for_deposit(bundle.reservation, at=at, real_at=real_at)


def deposit_codes(run: Run, *, at: datetime) -> list[dict[str, Any]]:
    """Return with what the doors for the bundles still to be deposited open at the keypads."""
    coming = (
        Handling.objects.meant()
        .filter(
            stop__run=run,
            stop__kind=StopKind.SUPPLY_POINT,
            parcel__bundle__reservation__deposit_code__isnull=False,
        )
        .exclude(parcel__bundle__reservation__locker__in=without_keypad())
    )
    shown = {}
    for handling in coming.select_related("parcel__bundle__reservation__deposit_code").order_by(
        "stop__position"
    ):
        bundle = handling.parcel.bundle
        if bundle is None or bundle.reservation is None or bundle.pk in shown:
            continue
        code = bundle.reservation.deposit_code
        if code is not None and code.is_live:
            digits = codes.reveal(code, reason="run-sheet", at=at)
            qr = tokens.qr_token(code.pk)
            shown[bundle.pk] = {"stop": handling.stop_id, "bundle": bundle.pk, "code": digits, "qr": qr}
    return list(shown.values())


def _lock_lockers(run: Run, taps: Sequence[Tap]) -> None:
    """
    Lock the lockers whose claims the taps may touch, all at once and before anything else.

    What a device reports goes the same way: locker, then parcels and stops.
    """
    named = {tap.stop_id for tap in taps}
    kinds = set(run.stops.filter(pk__in=named).values_list("kind", flat=True))
    if kinds <= {StopKind.START, StopKind.SHOP} and ABOUT_DOORS.isdisjoint(tap.kind for tap in taps):
        return
    handled = Handling.objects.filter(stop__run=run)
    if StopKind.END not in kinds:
        handled = handled.filter(stop__in=named)
    touched = Reservation.objects.filter(bundle__parcels__handlings__in=handled)
    lockers = Q(pk__in=touched.values("locker"))
    if any(tap.reason in PLACE_REASONS for tap in taps):
        # Goods may go to any locker on the way.
        lockers |= Q(supply_point__stops__run=run)
    cabinets.lock_all(Locker.objects.filter(lockers).values_list("pk", flat=True))


def _stops(run: Run, taps: Sequence[Tap]) -> dict[UUID, Stop]:
    """Return the stops of taps with their parcels; of each bundle there is one object for all of them."""
    claim = "parcel__bundle__reservation"
    handled = Handling.objects.select_related(
        f"{claim}__compartment", f"{claim}__code", f"{claim}__deposit_code"
    )
    named = run.stops.filter(pk__in={tap.stop_id for tap in taps})
    stops = {stop.pk: stop for stop in named.prefetch_related(Prefetch("handlings", handled))}
    bundles: dict[UUID, Bundle] = {}
    for parcel in (handling.parcel for stop in stops.values() for handling in stop.handlings.all()):
        if parcel.bundle is not None:
            parcel.bundle = bundles.setdefault(parcel.bundle.pk, parcel.bundle)
    return stops


def _said(run: Run, stops: Mapping[UUID, Stop], tap: Tap, *, received_at: datetime) -> Said:
    """Return a tap with the parcels that it is about."""
    if tap.made_at > received_at + CLOCK_TOLERANCE:
        raise ReportFromTheFuture
    if tap.stop_id not in stops:
        raise NotOnThisStop
    stop = stops[tap.stop_id]
    handled = list(stop.handlings.all())
    if tap.bundle is not None:
        named = [handling for handling in handled if handling.parcel.bundle_id == tap.bundle]
    elif tap.parcels:
        named = [handling for handling in handled if handling.parcel_id in set(tap.parcels)]
        if len(named) != len(set(tap.parcels)):
            raise NotOnThisStop
    else:
        named = [handling for handling in handled if not handling.is_void]
    is_about_goods = bool(named) or any(handling.is_void for handling in handled)
    if not is_about_goods and tap.kind != ReportKind.ARRIVED:
        raise NotOnThisStop
    assert run.started_at is not None  # noqa: S101 - taps are taken of runs that have started
    return Said(
        tap=tap,
        stop=stop,
        goods=[handling.parcel for handling in named if not handling.is_void],
        gone=[handling.parcel for handling in named if handling.is_void],
        # A device whose clock is slow cannot have handled goods before the run began.
        made_at=max(tap.made_at, run.started_at),
    )


def _store(run: Run, said: Sequence[Said], *, received_at: datetime) -> None:
    stored = CourierReport.objects.bulk_create(
        CourierReport(
            run=run,
            stop_id=one.tap.stop_id,
            key=one.tap.key,
            kind=one.tap.kind,
            reason=one.tap.reason,
            compartment_number=one.tap.compartment,
            made_at=one.tap.made_at,
            received_at=received_at,
        )
        for one in said
    )
    named = CourierReport.parcels.through
    named.objects.bulk_create(
        named(courierreport_id=report.pk, parcel_id=parcel.pk)
        for report, one in zip(stored, said, strict=True)
        for parcel in (*one.goods, *one.gone)
    )


def _bundles_of(run: Run, keys: Sequence[UUID]) -> set[UUID]:
    """Return the bundles that taps which were stored before were about."""
    about = run.reports.filter(key__in=keys, parcels__bundle__isnull=False)
    return set(about.values_list("parcels__bundle", flat=True)) if keys else set()
