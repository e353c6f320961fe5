"""Orders: listed, changed and cancelled by shops until the pool's cut-off."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Max, prefetch_related_objects

from common import events
from lockers.models import Compartment
from lockers.sizes import Height, Size, Temperature
from logistics.exceptions import (
    CutoffPassed,
    OrderTooHeavy,
    ParcelTooLarge,
    ResidentWithoutSupplyPoint,
    UnknownResident,
)
from logistics.models import Order, Parcel, ParcelReport, Pool, Region, Resident, Shop, SupplyPoint, Vehicle
from logistics.services import parcels as parcel_reports
from logistics.services import pools
from logistics.states import CHANGEABLE, ParcelState


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelSpec:
    """One crate, bag or box as the clerk lists it."""

    size: Size
    temperature: Temperature
    weight_g: int


@transaction.atomic
def list_order(
    *,
    shop: Shop,
    card_number: str,
    parcels: Sequence[ParcelSpec],
    note: str = "",
    ready_at: datetime | None = None,
    at: datetime,
) -> Order:
    """
    List an order; it joins the pool with the next cut-off that delivers after the goods are ready.

    Raises
    ------
    UnknownResident, ResidentWithoutSupplyPoint, OrderTooHeavy, ParcelTooLarge, NoOpenPool
        If nobody could receive, carry, hold or plan it.
    """
    region = shop.municipality.region
    resident, supply_point = _recipient(region, card_number)
    _refuse_what_nobody_carries(region, parcels)
    _refuse_what_nowhere_fits(resident, parcels)
    pool = pools.join(region=region, ready_at=ready_at, at=at)
    order = Order.objects.create(
        shop=shop,
        resident=resident,
        pool=pool,
        supply_point=supply_point,
        note=note,
        ready_at=max(ready_at or pool.loading_from, pool.loading_from),
        missed_cutoff_at=_missed_cutoff(pool, ready_at=ready_at, at=at),
        created_at=at,
    )
    _write_parcels(order, parcels, at=at)
    events.record("order_listed", scope=region.slug, at=at, order=str(order.pk))
    return order


@transaction.atomic
def change(order: Order, *, parcels: Sequence[ParcelSpec] | None, note: str | None, at: datetime) -> None:
    """
    Replace an order's parcels or note before the cut-off.

    Raises
    ------
    CutoffPassed, OrderTooHeavy, ParcelTooLarge
        If it is too late, or the new goods could not be carried or held.
    """
    _require_changeable(order, at=at)
    if note is not None:
        order.note = note
        order.save(update_fields=["note"])
    if parcels is not None:
        _refuse_what_nobody_carries(order.pool.region, parcels)
        _refuse_what_nowhere_fits(order.resident, parcels)
        order.parcels.all().delete()
        _write_parcels(order, parcels, at=at)


@transaction.atomic
def cancel(order: Order, *, at: datetime) -> None:
    """
    Withdraw an order before the cut-off; again changes nothing.

    Raises
    ------
    CutoffPassed
        If the pool has closed.
    """
    kept = [parcel for parcel in order.parcels.all() if parcel.state != ParcelState.CANCELLED]
    if not kept:
        return
    _require_changeable(order, at=at)
    parcel_reports.report(kept, to=ParcelState.CANCELLED, made_at=at, received_at=at, source="shop")
    events.record("order_cancelled", scope=order.pool.region.slug, at=at, order=str(order.pk))


def _recipient(region: Region, card_number: str) -> tuple[Resident, SupplyPoint]:
    resident = (
        Resident.objects.filter(region=region, card_number=card_number)
        .select_related("supply_point__locker")
        .first()
    )
    if resident is None:
        raise UnknownResident
    if resident.supply_point is None:
        raise ResidentWithoutSupplyPoint
    return resident, resident.supply_point


def _refuse_what_nobody_carries(region: Region, parcels: Iterable[ParcelSpec]) -> None:
    weight_g = sum(parcel.weight_g for parcel in parcels)
    limit_g = Vehicle.objects.filter(hub__region=region).aggregate(most=Max("payload_g"))["most"] or 0
    if weight_g > limit_g:
        raise OrderTooHeavy(weight_g=weight_g, limit_g=limit_g)


def _refuse_what_nowhere_fits(resident: Resident, parcels: Iterable[ParcelSpec]) -> None:
    own = resident.supply_point
    if own is not None and own.has_counter:
        return
    points = [*([own] if own else []), *resident.alternatives.all()]
    if any(point.has_counter for point in points):
        return
    lockers = [point.locker_id for point in points]
    doors = Compartment.objects.filter(locker__in=lockers)
    if resident.needs_low_door:
        doors = doors.filter(height=Height.LOW)
    built_in = set(doors.values_list("temperature", "size").distinct())
    for parcel in parcels:
        if not any(
            temperature == parcel.temperature and Size(size).rank >= parcel.size.rank
            for temperature, size in built_in
        ):
            raise ParcelTooLarge(
                supply_point=resident.supply_point,
                size=parcel.size.value,
                temperature=parcel.temperature.value,
            )


def _missed_cutoff(pool: Pool, *, ready_at: datetime | None, at: datetime) -> datetime | None:
    """Return the cut-off of the pool that is still on the road today, if the order came too late for one."""
    needed_until = max(ready_at or at, at)
    missed = (
        Pool.objects.filter(region=pool.region_id, cutoff_at__lte=at, deliver_until__gt=needed_until)
        .order_by("-cutoff_at")
        .first()
    )
    return missed.cutoff_at if missed else None


def _write_parcels(order: Order, specs: Sequence[ParcelSpec], *, at: datetime) -> None:
    """Write an order's parcels, pooled from the start, with the report that says so."""
    parcels = Parcel.objects.bulk_create(
        Parcel(
            order=order,
            number=number,
            size=spec.size,
            temperature=spec.temperature,
            weight_g=spec.weight_g,
            state=ParcelState.POOLED,
            state_since=at,
        )
        for number, spec in enumerate(specs, start=1)
    )
    ParcelReport.objects.bulk_create(
        ParcelReport(parcel=parcel, to=ParcelState.POOLED, made_at=at, received_at=at, source="shop")
        for parcel in parcels
    )
    prefetch_related_objects([order], "parcels")


def _require_changeable(order: Order, *, at: datetime) -> None:
    pool = Pool.objects.select_for_update().get(pk=order.pool_id)
    states = {parcel.state for parcel in order.parcels.all()}
    if not pool.takes_orders(at=at) or not states <= CHANGEABLE:
        raise CutoffPassed
