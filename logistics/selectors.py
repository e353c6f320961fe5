"""Reads that span models."""

from collections import Counter
from typing import Any

from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet, Sum

from lockers.models import Alarm, Compartment, Device, DeviceEvent, Locker, OpenCommand, Reservation
from lockers.selectors import profile_at
from lockers.states import LinkState, Purpose, ReservationState
from logistics.models import Bundle, Handling, Order, Parcel, Pool, Principal, StopKind


def lockers_visible_to(principal: Principal) -> QuerySet[Locker]:
    """Return the lockers of the regions that the principal dispatches, with their compartments."""
    online = Device.objects.filter(locker=OuterRef("pk"), state=LinkState.ONLINE)
    return (
        Locker.objects.filter(supply_point__municipality__region__in=principal.dispatches)
        .select_related("supply_point")
        .prefetch_related(Prefetch("compartments", queryset=Compartment.objects.order_by("number")))
        .annotate(is_online=Exists(online), profile=profile_at("pk"))
    )


def alarms_visible_to(principal: Principal) -> QuerySet[Alarm]:
    """Return the alarms of the lockers that the principal sees."""
    return Alarm.objects.filter(
        locker__supply_point__municipality__region__in=principal.dispatches
    ).select_related("locker", "compartment", "device")


def compartments_visible_to(principal: Principal) -> QuerySet[Compartment]:
    """Return the compartments that the principal dispatches, or helps with at a supply point."""
    dispatched = Q(locker__supply_point__municipality__region__in=principal.dispatches)
    helped = Q(locker__supply_point__in=principal.counters)
    return (
        Compartment.objects.filter(dispatched | helped)
        .select_related("locker__supply_point__municipality")
        .annotate(locker_profile=profile_at("locker"))
    )


def openings_visible_to(principal: Principal) -> QuerySet[OpenCommand]:
    """
    Return the attempts to open doors that the principal made, or could have made.

    Couriers see those for what they bring, residents for what they receive, helpers for checks at their
    supply point, dispatchers all.
    """
    brought = Bundle.objects.filter(parcels__handlings__stop__run__courier__in=principal.couriers)
    received = Bundle.objects.filter(resident__in=principal.residents)
    # A claim that was moved to another locker still says whose it was.
    theirs = (
        Q(purpose=Purpose.DEPOSIT, reservation__reference__in=brought.values("pk"))
        | Q(purpose=Purpose.COLLECT, reservation__reference__in=received.values("pk"))
        | Q(purpose=Purpose.OPERATOR, compartment__locker__supply_point__in=principal.counters)
        | Q(compartment__locker__supply_point__municipality__region__in=principal.dispatches)
    )
    return OpenCommand.objects.filter(theirs).select_related("compartment", "device")


def with_content(compartments: QuerySet[Compartment]) -> QuerySet[Compartment]:
    """Return compartments with the claims that hold them, their parcels, and the runs that bring these."""
    visits = Handling.objects.meant().filter(stop__kind=StopKind.SUPPLY_POINT).select_related("stop__run")
    parcels = Parcel.objects.select_related("order__shop").prefetch_related(
        Prefetch("handlings", visits, to_attr="visits")
    )
    holding = Reservation.objects.holding().select_related("bundle__resident")
    return compartments.prefetch_related(
        Prefetch(
            "reservations", holding.prefetch_related(Prefetch("bundle__parcels", parcels)), to_attr="holders"
        )
    )


def overdue_visible_to(principal: Principal) -> QuerySet[Bundle]:
    """Return what was not collected in time in the regions that the principal dispatches; since when, too."""
    overdue = Bundle.objects.filter(
        pool__region__in=principal.dispatches, reservation__state=ReservationState.OVERDUE
    )
    return (
        overdue.annotate(
            overdue_since=F("reservation__hold_until"), locker_profile=profile_at("reservation__locker")
        )
        .select_related("supply_point", "reservation__locker", "reservation__compartment")
        .prefetch_related(Prefetch("parcels", Parcel.objects.select_related("order__shop")))
    )


def day_of(pool: Pool) -> dict[str, Any]:
    """Return the books of a pool: each order that was meant for it under exactly one state."""
    meant = Q(pool=pool) | Q(missed_cutoff_at=pool.cutoff_at, pool__region=pool.region_id)
    orders = list(Order.objects.filter(meant).prefetch_related("parcels").distinct())
    runs = pool.runs.aggregate(distance_m=Sum("distance_m"), cost_cents=Sum("cost_cents"))
    states = Counter("next_pool" if order.pool_id != pool.pk else order.state.value for order in orders)
    left_out = Counter(
        next(parcel.reason for parcel in order.parcels.all() if parcel.state == order.state)
        for order in orders
        if order.state == "deferred"
    )
    return {
        "listed": len(orders),
        "states": dict(states.most_common()),
        "left_out": dict(left_out.most_common()),
        "runs": pool.runs.count(),
        "distance_m": runs["distance_m"] or 0,
        "cost_cents": runs["cost_cents"] or 0,
        "events": DeviceEvent.objects.filter(
            device__locker__namespace=pool.region.slug, applied_at__isnull=False
        ).count(),
    }
