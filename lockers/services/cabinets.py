"""Lockers and compartments: bringing them up, and what people find out about them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet, UUIDField

from common import events
from common.exceptions import InvalidTransition
from common.prepared import PreparedUpdate
from lockers import signals
from lockers.alarms import AlarmKind
from lockers.models import CodeThrottle, Compartment, Locker, Reservation
from lockers.services import alarms
from lockers.sizes import Height, Size, Temperature
from lockers.states import CompartmentState, DoorState, ReservationState

_COUNT_UP = PreparedUpdate(
    lambda locker: (Locker.objects.filter(pk=locker), {"revision": F("revision") + 1}), locker=UUIDField()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompartmentSpec:
    """A compartment as it is built into a cabinet."""

    number: int
    size: Size
    temperature: Temperature
    height: Height


@transaction.atomic
def install(*, slug: str, name: str, namespace: str, compartments: Iterable[CompartmentSpec]) -> Locker:
    """Set up a locker with its compartments, all free, in the region that its codes are told apart in."""
    locker = Locker.objects.create(slug=slug, name=name, namespace=namespace)
    CodeThrottle.objects.create(locker=locker)
    Compartment.objects.bulk_create(
        Compartment(
            locker=locker,
            number=spec.number,
            size=spec.size,
            temperature=spec.temperature,
            height=spec.height,
        )
        for spec in compartments
    )
    return locker


def lock(locker_id: UUID) -> None:
    """
    Lock a locker's row for the rest of the transaction: whoever binds, opens or reports waits in line.

    Locks are taken in the order locker, then device or throttle. Whoever locks a locker may change what its
    device's list of codes says; noting that is what locks the row, and lets rows that merely refer to it be
    written meanwhile.
    """
    _COUNT_UP(locker=locker_id)


def lock_all(lockers: Iterable[UUID] | QuerySet[Any, UUID]) -> None:
    """Lock several lockers' rows, in an order that lets nobody wait for each other."""
    locked = Locker.objects.select_for_update(no_key=True).filter(pk__in=lockers).order_by("pk")
    Locker.objects.filter(pk__in=[locker.pk for locker in locked]).update(revision=F("revision") + 1)


def demand_check(
    compartment: Compartment,
    *,
    reason: str,
    at: datetime,
    to: CompartmentState = CompartmentState.NEEDS_CHECK,
    note: str = "",
) -> None:
    """
    Take a compartment out of use until someone has looked into it; one that is out of service stays so.

    A claim that is merely bound to the door becomes a claim to the class again; goods stay linked. The
    locker is locked by the caller.
    """
    out_of_service = Compartment.objects.filter(pk=compartment.pk, state=CompartmentState.OUT_OF_SERVICE)
    if to == CompartmentState.NEEDS_CHECK and out_of_service.exists():
        return
    why = {"trouble": reason, "trouble_note": note, "trouble_since": compartment.trouble_since or at}
    if not compartment.advance(to, **why):
        return
    Reservation.objects.filter(compartment=compartment, state=ReservationState.RESERVED).update(
        compartment=None
    )
    holder = Reservation.objects.holding().filter(compartment=compartment).first()
    events.record(
        "compartment_needs_check",
        scope=compartment.locker.namespace,
        at=at,
        locker=compartment.locker.slug,
        compartment=compartment.number,
        reason=reason,
    )
    signals.compartment_needs_check.send(
        sender=Compartment, compartment=compartment, reservation=holder, reason=reason, at=at
    )


@transaction.atomic
def settle_check(compartment: Compartment, *, is_empty: bool, at: datetime, real_at: datetime) -> None:
    """
    Bring a compartment back into use after someone looked into it; that its door jammed is settled too.

    Raises
    ------
    InvalidTransition
        If it was in use, or what was found is not what the reservations say.
    """
    lock(compartment.locker_id)
    compartment.refresh_from_db()
    if compartment.state not in {CompartmentState.NEEDS_CHECK, CompartmentState.OUT_OF_SERVICE}:
        raise InvalidTransition(thing="compartment", present=compartment.state, wanted="checked")
    holds_goods = Reservation.objects.holding().filter(compartment=compartment).exists()
    if holds_goods == is_empty:
        raise InvalidTransition(
            thing="compartment",
            present="occupied" if holds_goods else "unclaimed",
            wanted=CompartmentState.FREE if is_empty else CompartmentState.OCCUPIED,
        )
    # Of a jammed door the sensor says that it is closed.
    door = {"door": DoorState.CLOSED} if compartment.door == DoorState.JAMMED else {}
    to = CompartmentState.FREE if is_empty else CompartmentState.OCCUPIED
    compartment.come_back(to, num_jams=0, verify_empty=False, **door)
    alarms.end_at_door(compartment, {AlarmKind.JAMMED}, at=at, real_at=real_at)
