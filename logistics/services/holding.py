"""
How long goods may wait: residents ask for more time, and get it while others do not need the compartment.

An extension is granted if the doors that are free now suffice for every claim without a door and for all
orders that will be planned before it ends. The door behind which the goods lie is none of these: whoever was
promised a door, or counts on one, gets it whether the goods stay or not, and whatever becomes of other goods.
Doors that may become free by then are not counted: nobody knows whether they will.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from common import events
from lockers import selectors as lockers
from lockers.exceptions import HoldEnded, NotDeposited
from lockers.models import Reservation
from lockers.services import cabinets, reservations
from lockers.sizes import Temperature
from lockers.states import ReservationState
from logistics import planning
from logistics.exceptions import CompartmentNeeded, ExtensionRefused, LongestHoldReached, NothingToOpen
from logistics.models import Bundle

#: An extension lasts so long; the last one may be shorter.
STEP = timedelta(hours=24)
#: Nothing waits longer after its deposit, extensions included; what is cooled does not keep as long.
LONGEST: Mapping[Temperature, timedelta] = {
    Temperature.AMBIENT: timedelta(days=5),
    Temperature.CHILLED: timedelta(hours=72),
    Temperature.FROZEN: timedelta(hours=72),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Until when a bundle may stay now, and why not longer, if it was refused more time."""

    bundle: UUID
    hold_until: datetime
    refusal: ExtensionRefused | None


@transaction.atomic
def extend(bundle: Bundle, *, by: UUID, role: str, at: datetime) -> list[Held]:
    """
    Let a bundle stay a step longer, and with it all goods that the same code opens, as far as they may.

    ``role`` says as whom the account ``by`` asks: as the resident, or as a helper for the resident.

    Raises
    ------
    NothingToOpen
        If the goods are at a counter.
    HoldEnded, NotDeposited
        If the time to collect has passed, or the goods do not lie in a compartment.
    LongestHoldReached, CompartmentNeeded
        If this bundle may not stay longer; then nothing changes for the others either.
    """
    goods = _opened_by_same_code(bundle)
    held = [_extend(one, reservation) for one, reservation in goods]
    for one in held:
        if one.bundle == bundle.pk and one.refusal is not None:
            raise one.refusal
    events.record(
        "hold_extended",
        scope=bundle.pool.region.slug,
        at=at,
        bundles=[str(one.bundle) for one in held if one.refusal is None],
        by=str(by),
        role=role,
    )
    return held


def _opened_by_same_code(bundle: Bundle) -> Sequence[tuple[Bundle, Reservation]]:
    """Return a bundle that waits to be collected, and the others that its code opens; lockers are locked."""
    if bundle.reservation is None:
        raise NothingToOpen
    alike = Reservation.objects.filter(pk=bundle.reservation.pk)
    if bundle.reservation.code_id is not None:
        alike = alike | Reservation.objects.filter(code=bundle.reservation.code_id)
    cabinets.lock_all(alike.values_list("locker", flat=True))
    deposited = (
        alike.filter(state=ReservationState.DEPOSITED)
        .select_related("bundle__supply_point", "bundle__pool__region", "code")
        .order_by("bundle__created_at", "pk")
    )
    goods = [(reservation.bundle, reservation) for reservation in deposited]
    if bundle.pk not in {one.pk for one, _ in goods}:
        bundle.reservation.refresh_from_db()
        if bundle.reservation.state == ReservationState.OVERDUE:
            raise HoldEnded
        raise NotDeposited(state=bundle.reservation.state)
    return goods


def _extend(bundle: Bundle, reservation: Reservation) -> Held:
    hold_until, deposited_at = reservation.hold_until, reservation.deposited_at
    assert hold_until is not None and deposited_at is not None  # noqa: S101 - so it is once they are deposited
    wanted = min(hold_until + STEP, deposited_at + LONGEST[Temperature(reservation.temperature)])
    zone = ZoneInfo(bundle.pool.region.timezone)
    until = hold_until.astimezone(zone).isoformat(timespec="minutes")
    refusal: ExtensionRefused | None = None
    if wanted <= hold_until:
        refusal = LongestHoldReached(until=until)
    elif not _others_have_doors(bundle, reservation, until=wanted):
        refusal = CompartmentNeeded(until=until)
    else:
        reservations.extend(reservation, hold_until=wanted)
    return Held(bundle=bundle.pk, hold_until=reservation.hold_until or hold_until, refusal=refusal)


def _others_have_doors(bundle: Bundle, reservation: Reservation, *, until: datetime) -> bool:
    temperature = reservation.temperature
    wanted = planning.doors_wanted(bundle.supply_point, temperature=temperature, before=until)
    return lockers.can_meet_all_claims(reservation.locker_id, temperature, and_also=wanted)
