"""What couriers' taps say and do: each once, those of one report in the order in which they were made."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from common import events
from common.exceptions import InvalidTransition
from lockers.exceptions import CommandPending, DoorNotOpened
from lockers.models import Reservation
from lockers.services import claims, reservations
from logistics.models import Bundle, Parcel, ReportKind, Run, Stop, StopKind
from logistics.services import overflow, parcels, pools
from logistics.services.overflow import PLACE_REASONS, Misfit
from logistics.states import ParcelState, RunState, StopState

#: Reasons that concern the goods, and what becomes of them.
GOODS_REASONS = {
    "damaged": ParcelState.DAMAGED,
    "lost": ParcelState.LOST,
    "missing": ParcelState.DEFERRED,
    "no_access": ParcelState.DEFERRED,
}
#: Taps that concern claims to doors, for which lockers are locked.
ABOUT_DOORS = frozenset({ReportKind.EMPTY, ReportKind.DEPOSITED, ReportKind.PROBLEM})


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
    compartment
        Number of the door that it is about, if it is about one.
    made_at
        By the device's clock.
    """

    key: UUID
    kind: ReportKind
    stop_id: UUID
    made_at: datetime
    parcels: Sequence[UUID] = ()
    bundle: UUID | None = None
    compartment: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A tap with its stop and the parcels that it is about; ``gone`` go to another stop by now."""

    tap: Tap
    stop: Stop
    goods: list[Parcel]
    gone: list[Parcel]
    made_at: datetime


def may_be_in_question(tap: Tap) -> bool:
    """Tell whether a tap is of those after which goods may have to go elsewhere."""
    return tap.kind == ReportKind.DEPOSITED or tap.reason in PLACE_REASONS


def apply(run: Run, said: Sequence[Said], *, received_at: datetime) -> set[UUID]:
    """Let taps take effect; return the bundles that the courier has to be told of."""
    in_question: set[UUID] = set()
    for number, one in enumerate(said):
        match one.tap.kind:
            case ReportKind.ARRIVED:
                _arrive(run, one, received_at=received_at)
            case ReportKind.LOADED:
                _say(one.goods, ParcelState.LOADED, made_at=one.made_at, received_at=received_at)
                one.stop.advance(StopState.DONE)
            case ReportKind.EMPTY:
                _found_empty(run, one)
            case ReportKind.DEPOSITED:
                in_question |= _deposit(run, one, received_at=received_at)
            case ReportKind.PROBLEM:
                in_question |= _problem(run, one, later=said[number + 1 :], received_at=received_at)
    return in_question


def _say(goods: list[Parcel], to: ParcelState, *, made_at: datetime, received_at: datetime) -> None:
    parcels.report(goods, to=to, made_at=made_at, received_at=received_at, source="courier")


def _arrive(run: Run, one: Said, *, received_at: datetime) -> None:
    stop = one.stop
    if stop.state == StopState.PLANNED:
        # Its goods may have been delivered before the word of the arrival came.
        with suppress(InvalidTransition):
            stop.advance(StopState.ARRIVED, arrived_at=one.made_at)
    if stop.kind == StopKind.END:
        stop.advance(StopState.DONE)
        _finish(run, made_at=one.made_at, received_at=received_at)


def _found_empty(run: Run, one: Said) -> None:
    """Take the courier's word that a compartment is empty which was freed without anyone's."""
    for reservation in _claims(one.goods):
        compartment = reservation.compartment
        if compartment is None or compartment.number != one.tap.compartment or not compartment.verify_empty:
            continue
        compartment.write(verify_empty=False)
        # It may come after the word that the goods are in.
        deposited = run.reports.filter(
            kind=ReportKind.DEPOSITED, parcels__bundle__reservation=reservation
        ).order_by("made_at")
        if (word := deposited.first()) and run.started_at is not None:
            _confirm_deposit(run, reservation, made_at=max(word.made_at, run.started_at))


def _deposit(run: Run, one: Said, *, received_at: datetime) -> set[UUID]:
    in_question = set(_gone_elsewhere(run, one))
    for bundle in _bundles(one.goods):
        if bundle.reservation is not None and not _take_word(run, bundle.reservation, made_at=one.made_at):
            in_question.add(bundle.pk)
    at_counter = [parcel for parcel in one.goods if parcel.bundle and parcel.bundle.reservation is None]
    if at_counter:
        _say(at_counter, ParcelState.AT_COUNTER, made_at=one.made_at, received_at=received_at)
    return in_question


def _take_word(run: Run, reservation: Reservation, *, made_at: datetime) -> bool:
    """Take the word that goods are in; tell whether it says all that is needed."""
    compartment = reservation.compartment
    if reservation.deposited_at is None and compartment is not None and compartment.verify_empty:
        _note(run, "emptiness_not_confirmed", at=made_at, reservation=reservation)
        return False
    return _confirm_deposit(run, reservation, made_at=made_at)


def _confirm_deposit(run: Run, reservation: Reservation, *, made_at: datetime) -> bool:
    try:
        with transaction.atomic():
            reservations.confirm_locked_deposit(reservation, at=made_at)
    except InvalidTransition:
        reservation.refresh_from_db()
        # The word came after the claim had ended: kept, and shown to the dispatcher.
        _note(run, "deposit_after_claim_ended", at=made_at, reservation=reservation)
        return False
    except DoorNotOpened:
        # A locker without network tells later which door it opened by itself; the word waits for that.
        reservation.write(confirmed_at=made_at)
        _note(run, "deposit_without_door", at=made_at, reservation=reservation)
        return False
    return True


def _problem(run: Run, one: Said, *, later: Sequence[Said], received_at: datetime) -> set[UUID]:
    reason, made_at = one.tap.reason, one.made_at
    if reason in PLACE_REASONS:
        return _gone_elsewhere(run, one) | _find_places(run, one, later=later, received_at=received_at)
    goods = [*one.goods, *one.gone]
    for reservation in _claims(goods):
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
    return set()


def _find_places(run: Run, one: Said, *, later: Sequence[Said], received_at: datetime) -> set[UUID]:
    settled = {bundle.pk for other in later if _is_deposit(other) for bundle in _bundles(other.goods)}
    furthest = max(other.stop.position for other in (one, *later))
    for bundle in _bundles(one.goods):
        overflow.settle(
            Misfit(
                run=run,
                stop=one.stop,
                bundle=bundle,
                reason=one.tap.reason,
                compartment=one.tap.compartment,
                furthest=furthest,
                made_at=one.made_at,
                received_at=received_at,
            ),
            may_move=bundle.pk not in settled,
        )
    return {bundle.pk for bundle in _bundles(one.goods)}


def _is_deposit(one: Said) -> bool:
    return one.tap.kind == ReportKind.DEPOSITED


def _gone_elsewhere(run: Run, one: Said) -> set[UUID]:
    """Note a tap about goods that go to another stop by now; return their bundles."""
    gone = {bundle.pk for bundle in _bundles(one.gone)}
    for bundle_id in gone:
        events.record(
            "tap_about_moved_goods",
            scope=run.pool.region.slug,
            at=one.made_at,
            run=str(run.pk),
            stop=str(one.stop.pk),
            bundle=str(bundle_id),
            tap=one.tap.kind,
        )
    return gone


def _note(run: Run, kind: str, *, at: datetime, reservation: Reservation) -> None:
    events.record(kind, scope=run.pool.region.slug, at=at, run=str(run.pk), reservation=str(reservation.pk))


def _bundles(goods: Iterable[Parcel]) -> list[Bundle]:
    return list({parcel.bundle.pk: parcel.bundle for parcel in goods if parcel.bundle is not None}.values())


def _claims(goods: Iterable[Parcel]) -> list[Reservation]:
    """Return the claims to doors of the bundles that the goods are in."""
    return [bundle.reservation for bundle in _bundles(goods) if bundle.reservation is not None]


def _finish(run: Run, *, made_at: datetime, received_at: datetime) -> None:
    """End the run; what was not delivered waits for the next pool."""
    if not run.advance(RunState.DONE, finished_at=made_at):
        return
    on_board = Parcel.objects.filter(
        handlings__stop__run=run, state__in=[ParcelState.PLANNED, ParcelState.LOADED]
    )
    # What the courier called deposited lies behind a door that has yet to say so.
    claim = "bundle__reservation"
    said_deposited = Q(**{f"{claim}__confirmed_at__isnull": False, f"{claim}__compartment__isnull": False})
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
