"""
Goods that cannot go behind the door they were meant for: where they go instead.

In this order: another door of the locker, larger if they did not fit; the locker of another supply point that
their resident accepts and the run still visits; a counter of one of these; the next pool. A bundle has one
claim or none at any moment: it moves in the transaction that gives the old one up.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q

from common import events
from lockers import selectors as lockers
from lockers.capacity import Space
from lockers.exceptions import NoCompartmentAvailable
from lockers.models import Reservation
from lockers.services import claims
from lockers.services.claims import ReleaseReason
from lockers.sizes import Size
from lockers.states import TROUBLE, ReservationState
from logistics.models import Bundle, Handling, Run, Stop, StopKind, SupplyPoint
from logistics.services import messages, parcels
from logistics.states import ParcelState, StopState

#: What a courier says of a door or a locker for which goods must go elsewhere.
PLACE_REASONS = frozenset(reason.value for reason in ReleaseReason)
_TO_COME = frozenset({ReservationState.RESERVED, ReservationState.DEPOSITING})


class Action(StrEnum):
    """What a courier does next with a bundle."""

    OPEN_DOOR = "open_door"
    HAND_IN = "hand_in"
    CONFIRM_EMPTY = "confirm_empty"
    CONFIRM_DEPOSIT = "confirm_deposit"
    KEEP_ON_BOARD = "keep_on_board"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What a courier does next with a bundle, and at which stop."""

    bundle: UUID
    action: Action
    stop: Stop | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """
    A courier's word that a bundle cannot go where it should.

    ``compartment`` is the number of the door that did not serve, if the courier's device said so;
    ``furthest`` the position of the last stop that the courier is known to have been at.
    """

    run: Run
    stop: Stop
    bundle: Bundle
    reason: str
    compartment: int | None
    furthest: int
    made_at: datetime
    received_at: datetime


def settle(misfit: Misfit, *, may_move: bool) -> None:
    """
    Find another place for a bundle; without ``may_move`` only its door is given up, for the rest is known.

    The lockers of the whole run are locked. A word that came too late, about another door than the present
    one or after the goods were deposited, changes nothing.

    Raises
    ------
    CommandPending
        If the door is being opened at this moment.
    """
    reservation = misfit.bundle.reservation
    if reservation is None:
        return
    if _is_outdated(misfit, reservation):
        _record(misfit, "problem_too_late", reason=misfit.reason)
        return
    is_outgrown = _is_outgrown(misfit, reservation)
    if _gets_another_door(misfit, reservation) or not may_move:
        return
    visits = _visits(misfit)
    if not is_outgrown and _move_to_locker(misfit, reservation, visits):
        return
    claims.cancel(reservation, at=misfit.made_at)
    if counter := next(_open_counters(misfit, visits), None):
        _take_to(counter, misfit, reservation=None)
    else:
        _defer(misfit, reservation)


def instructions(run: Run, bundles: Collection[UUID]) -> list[Instruction]:
    """Return what the courier does next with bundles; with those that lie where they should, nothing."""
    if not bundles:
        return []
    found = Bundle.objects.filter(pk__in=bundles).select_related("reservation__compartment")
    handled = Handling.objects.meant().filter(
        stop__run=run, stop__kind=StopKind.SUPPLY_POINT, parcel__bundle__in=bundles
    )
    stops = {
        handling.parcel.bundle_id: handling.stop
        for handling in handled.select_related("parcel", "stop__supply_point")
    }
    told = []
    for bundle in found.order_by("created_at", "pk"):
        if action := _next_action(bundle):
            stop = None if action == Action.KEEP_ON_BOARD else stops.get(bundle.pk)
            told.append(Instruction(bundle=bundle.pk, action=action, stop=stop))
    return told


def in_doubt(run: Run) -> set[UUID]:
    """Return the bundles of a run of which nobody knows whether they lie behind the door opened for them."""
    carried = Handling.objects.meant().filter(stop__run=run, stop__kind=StopKind.SUPPLY_POINT)
    doubtful = carried.filter(
        parcel__bundle__reservation__state=ReservationState.DEPOSITING,
        parcel__bundle__reservation__confirmed_at=None,
        parcel__bundle__reservation__compartment__state__in=TROUBLE,
    )
    return {bundle for bundle in doubtful.values_list("parcel__bundle", flat=True) if bundle is not None}


def _next_action(bundle: Bundle) -> Action | None:
    reservation = bundle.reservation
    if reservation is None:
        is_there = bundle.parcels.exclude(state__in=[ParcelState.PLANNED, ParcelState.LOADED]).exists()
        return None if is_there else Action.HAND_IN
    if reservation.state in {ReservationState.CANCELLED, ReservationState.EXPIRED}:
        return Action.KEEP_ON_BOARD
    if reservation.state not in _TO_COME:
        return None
    compartment = reservation.compartment
    if compartment is not None and compartment.verify_empty:
        return Action.CONFIRM_EMPTY
    if compartment is not None and compartment.state in TROUBLE and reservation.confirmed_at is None:
        return Action.CONFIRM_DEPOSIT
    is_on_its_way = compartment is not None and reservation.confirmed_at is not None
    return None if is_on_its_way else Action.OPEN_DOOR


def _is_outdated(misfit: Misfit, reservation: Reservation) -> bool:
    if reservation.state not in _TO_COME:
        return True
    if reservation.confirmed_at is not None and misfit.made_at <= reservation.confirmed_at:
        return True
    door = reservation.compartment
    return door is not None and misfit.compartment not in {None, door.number}


def _is_outgrown(misfit: Misfit, reservation: Reservation) -> bool:
    """Tell whether the goods did not fit behind the largest door that there is."""
    door = reservation.compartment
    tried = Size(door.size if door is not None else reservation.size)
    return misfit.reason == ReleaseReason.DOES_NOT_FIT and tried == list(Size)[-1]


def _gets_another_door(misfit: Misfit, reservation: Reservation) -> bool:
    """Give up the door, and tell whether another one of the same locker is there for the goods."""
    is_full = misfit.reason == ReleaseReason.LOCKER_FULL
    if is_full and reservation.state == ReservationState.RESERVED:
        return False
    if reservation.compartment is None and misfit.compartment is not None:
        # The locker said so first, and has taken the door away.
        return claims.has_door(reservation)
    has_another = claims.release_door(reservation, reason=ReleaseReason(misfit.reason), at=misfit.made_at)
    return has_another and not is_full


def _visits(misfit: Misfit) -> Sequence[Stop]:
    """
    Return the visits to come at supply points that the resident accepts, the present one included.

    The resident's own supply point comes first, then the others as they lie on the way.
    """
    own, accepted = _accepted(misfit.bundle)
    to_come = Q(position__gt=misfit.furthest) & ~Q(state=StopState.DONE)
    stops = misfit.run.stops.filter(
        Q(pk=misfit.stop.pk) | to_come, kind=StopKind.SUPPLY_POINT, supply_point__in=accepted
    ).select_related("supply_point__locker")
    return sorted(stops, key=lambda stop: (stop.supply_point_id not in own, stop.position))


def _accepted(bundle: Bundle) -> tuple[set[UUID], set[UUID]]:
    """Return the supply points that a bundle was ordered to, and all that its resident accepts."""
    own = set(bundle.parcels.values_list("order__supply_point", flat=True))
    return own, own | set(bundle.resident.alternatives.values_list("pk", flat=True))


def _move_to_locker(misfit: Misfit, reservation: Reservation, visits: Sequence[Stop]) -> bool:
    for visit in visits:
        point = visit.supply_point
        if point is None or point.locker is None or point.locker.pk == reservation.locker_id:
            continue
        try:
            moved = claims.move(reservation, to=point.locker, at=misfit.made_at)
        except NoCompartmentAvailable:
            continue
        _take_to(visit, misfit, reservation=moved)
        return True
    return False


def _open_counters(misfit: Misfit, visits: Sequence[Stop]) -> Iterator[Stop]:
    zone = ZoneInfo(misfit.run.pool.region.timezone)
    # What the courier stands before comes first.
    for visit in sorted(visits, key=lambda visit: visit.pk != misfit.stop.pk):
        at = misfit.made_at if visit.pk == misfit.stop.pk else visit.arrives_at
        point = visit.supply_point
        if point is None or point.counter_opens is None or point.counter_closes is None:
            continue
        if point.counter_opens <= at.astimezone(zone).time() <= point.counter_closes:
            yield visit


def _take_to(visit: Stop, misfit: Misfit, *, reservation: Reservation | None) -> None:
    """Send a bundle to a visit to come, and tell everyone whom it concerns."""
    bundle, point = misfit.bundle, visit.supply_point
    assert point is not None  # noqa: S101 - the constraint stop_is_at_one_place holds
    bundle.reservation, bundle.supply_point = reservation, point
    bundle.save(update_fields=["reservation", "supply_point"])
    goods = list(bundle.parcels.values_list("pk", flat=True))
    handled = Handling.objects.filter(
        stop__run=misfit.run, stop__kind=StopKind.SUPPLY_POINT, parcel__in=goods
    )
    handled.update(is_void=True)
    Handling.objects.bulk_create(
        [Handling(stop=visit, parcel_id=parcel) for parcel in goods], ignore_conflicts=True
    )
    handled.filter(stop=visit).update(is_void=False)
    _record(
        misfit,
        "bundle_moved",
        reason=misfit.reason,
        stop=str(visit.pk),
        supply_point=str(point.pk),
        at_counter=reservation is None,
    )
    messages.tell_moved(bundle, at=misfit.made_at)


def _defer(misfit: Misfit, reservation: Reservation) -> None:
    """Let goods wait for the next pool, and ask the dispatcher whether there is a place off the way."""
    goods = list(misfit.bundle.parcels.select_related("order"))
    parcels.report(
        goods,
        to=ParcelState.DEFERRED,
        made_at=misfit.made_at,
        received_at=misfit.received_at,
        source="courier",
        reason=misfit.reason.replace("_", "-"),
    )
    for order in {parcel.order_id: parcel.order for parcel in goods}.values():
        messages.tell_deferred(order, at=misfit.made_at)
    _record(misfit, "place_needed", reason=misfit.reason, options=_places_off_the_way(misfit, reservation))


def _places_off_the_way(misfit: Misfit, reservation: Reservation) -> list[str]:
    """Return the supply points that the resident accepts and that have room, or a counter."""
    _, accepted = _accepted(misfit.bundle)
    space = Space(Size(reservation.size), reservation.low_door)
    return [
        str(point.pk)
        for point in SupplyPoint.objects.filter(pk__in=accepted).order_by("name", "pk")
        if point.has_counter
        or (
            point.locker_id is not None
            and point.locker_id != reservation.locker_id
            and lockers.can_meet_all_claims(point.locker_id, reservation.temperature, and_also=[space])
        )
    ]


def _record(misfit: Misfit, kind: str, **facts: object) -> None:
    events.record(
        kind,
        scope=misfit.run.pool.region.slug,
        at=misfit.made_at,
        run=str(misfit.run.pk),
        bundle=str(misfit.bundle.pk),
        **facts,
    )
