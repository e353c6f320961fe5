"""Pools: opened ahead, joined until the cut-off, closed once."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from common import events
from logistics.exceptions import CutoffInThePast, NoOpenPool, PoolExists, WindowsOutOfOrder
from logistics.models import Order, Parcel, Pool, Region
from logistics.services import parcels, plans
from logistics.states import ParcelState, PoolState


def open_pool(
    *,
    region: Region,
    delivery_date: date,
    cutoff_at: datetime,
    loading_from: datetime,
    deliver_until: datetime,
    at: datetime,
) -> Pool:
    """
    Open a pool for a day.

    Raises
    ------
    CutoffInThePast, WindowsOutOfOrder, PoolExists
        If orders could not be listed, the moments do not follow each other, or the day has a pool.
    """
    if cutoff_at <= at:
        raise CutoffInThePast
    zone = ZoneInfo(region.timezone)
    local_days = {moment.astimezone(zone).date() for moment in (loading_from, deliver_until)}
    if not cutoff_at <= loading_from < deliver_until or local_days != {delivery_date}:
        raise WindowsOutOfOrder
    try:
        with transaction.atomic():
            return Pool.objects.create(
                region=region,
                delivery_date=delivery_date,
                cutoff_at=cutoff_at,
                loading_from=loading_from,
                deliver_until=deliver_until,
                created_at=at,
            )
    except IntegrityError as error:
        raise PoolExists(delivery_date=delivery_date) from error


def join(*, region: Region, ready_at: datetime | None, at: datetime) -> Pool:
    """
    Return the pool that an order listed now belongs to, locked so that it cannot close meanwhile.

    Goods that are ready later than the next pool delivers join the first one that can.

    Raises
    ------
    NoOpenPool
        If no pool takes such an order.
    """
    taking_orders = Pool.objects.taking_orders(at=at).filter(region=region, deliver_until__gt=ready_at or at)
    while True:
        if pool := taking_orders.select_for_update().first():
            return pool
        # PostgreSQL leaves out a pool that closed while we waited for its lock, and looks for no other.
        if not taking_orders.exists():
            raise NoOpenPool


@transaction.atomic
def close(pool: Pool, *, at: datetime) -> None:
    """Close a pool, take in what earlier pools left out, and ask for a plan; again changes nothing."""
    if not pool.advance(PoolState.CLOSED):
        return
    _take_in_deferred(pool, at=at)
    events.record("pool_closed", scope=pool.region.slug, at=at, pool=str(pool.pk))
    plans.ask_automatically(pool, at=at)


def close_due(*, at: datetime) -> None:
    """Close every pool whose cut-off has come."""
    for pool in Pool.objects.past_cutoff(at=at):
        close(pool, at=at)


def _take_in_deferred(pool: Pool, *, at: datetime) -> None:
    waiting = Parcel.objects.filter(
        state=ParcelState.DEFERRED,
        order__pool__region=pool.region_id,
        order__pool__delivery_date__lt=pool.delivery_date,
    )
    taken = list(waiting)
    Order.objects.filter(parcels__in=taken).update(pool=pool)
    parcels.report(taken, to=ParcelState.POOLED, made_at=at, received_at=at, source="system")


@transaction.atomic
def finish(pool: Pool) -> bool:
    """Mark a pool as done once none of its runs is to come or under way."""
    if pool.runs.exclude(state="done").exists():
        return False
    return pool.advance(PoolState.DONE)
