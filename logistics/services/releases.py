"""A released plan becomes runs with stops, bundles with doors and codes, and word to those concerned."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from string import ascii_uppercase
from uuid import UUID

from lockers.models import Locker
from lockers.services import claims, codes
from logistics import planning
from logistics.goods import Pack, merge
from logistics.models import (
    Bundle,
    Handling,
    Parcel,
    Plan,
    Pool,
    Resident,
    Run,
    Shift,
    Stop,
    StopKind,
    SupplyPoint,
)
from logistics.services import messages, parcels
from logistics.states import ParcelState
from optimizer.solution import Route, Solution
from optimizer.solution import Stop as PlannedStop

#: A claim to a door that the courier did not use ends this long after the day's deliveries should have.
CLAIM_OUTLIVES_DELIVERY = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drop:
    """Parcels of one resident that are handed over at one stop and go behind one door or counter."""

    stop: Stop
    point: SupplyPoint
    at_counter: bool
    pack: Pack[Parcel]
    resident: Resident


def write_runs(plan: Plan, pool: Pool, solution: Solution, *, at: datetime) -> None:
    """
    Write everything that follows from a plan; part of the transaction of its release.

    Raises
    ------
    NoCompartmentAvailable
        If a locker has fewer free doors than were planned with; the release then leaves nothing behind.
    """
    day = planning.DeliveryDay.of(pool)
    orders = {str(one.order.pk): one for one in planning.waiting_orders(pool)}
    shifts = {str(shift.pk): shift for shift in _shifts(solution)}
    drops: list[_Drop] = []
    for letter, route in zip(_letters(), solution.routes, strict=False):
        run = _write_run(plan, pool, route, letter, shifts[route.vehicle], day, at=at)
        drops.extend(_write_stops(run, route, orders, day))
    _write_bundles(pool, drops, at=at)
    planned = [parcel for drop in drops for parcel in drop.pack.goods]
    parcels.report(planned, to=ParcelState.PLANNED, made_at=at, received_at=at, source="system")
    _defer_left_out(solution, orders, at=at)


def _shifts(solution: Solution) -> Iterable[Shift]:
    keys = [route.vehicle for route in solution.routes]
    return Shift.objects.filter(pk__in=keys).select_related("vehicle__hub", "courier")


def _letters() -> Iterator[str]:
    yield from ascii_uppercase
    for first in ascii_uppercase:
        for second in ascii_uppercase:
            yield first + second


def _write_run(
    plan: Plan,
    pool: Pool,
    route: Route,
    letter: str,
    shift: Shift,
    day: planning.DeliveryDay,
    *,
    at: datetime,
) -> Run:
    return Run.objects.create(
        plan=plan,
        pool=pool,
        letter=letter,
        vehicle=shift.vehicle,
        courier=shift.courier,
        starts_at=day.moment(route.start_s),
        ends_at=day.moment(route.end_s),
        distance_m=route.distance_m,
        cost_cents=route.cost.total_cents,
        cost_terms={term.name: getattr(route.cost, term.name) for term in fields(route.cost)},
        load_percent=_load_percent(route, shift),
        created_at=at,
    )


def _load_percent(route: Route, shift: Shift) -> int:
    vehicle = shift.vehicle
    room = (vehicle.payload_g, vehicle.volume_cm3, vehicle.chilled_cm3, vehicle.frozen_cm3)
    shares = (
        100 * load / capacity for load, capacity in zip(route.max_load.amounts, room, strict=True) if capacity
    )
    return round(max(shares, default=0))


def _write_stops(
    run: Run, route: Route, orders: Mapping[str, planning.WaitingOrder], day: planning.DeliveryDay
) -> list[_Drop]:
    hub = run.vehicle.hub
    stops = [
        Stop(
            run=run,
            position=0,
            kind=StopKind.START,
            hub=hub,
            arrives_at=run.starts_at,
            departs_at=run.starts_at,
        )
    ]
    handlings: list[Handling] = []
    drops: list[_Drop] = []
    for position, planned in enumerate(route.stops, start=1):
        stop = _stop(run, position, planned, orders, day)
        stops.append(stop)
        for name in planned.pickups:
            handlings += [Handling(stop=stop, parcel=parcel) for parcel in orders[name].parcels]
        drops += (new := list(_drops_at(stop, planned, orders)))
        handlings += [Handling(stop=stop, parcel=parcel) for drop in new for parcel in drop.pack.goods]
    stops.append(
        Stop(
            run=run,
            position=len(stops),
            kind=StopKind.END,
            hub=hub,
            arrives_at=run.ends_at,
            departs_at=run.ends_at,
        )
    )
    Stop.objects.bulk_create(stops)
    Handling.objects.bulk_create(handlings)
    return drops


def _stop(
    run: Run,
    position: int,
    planned: PlannedStop,
    orders: Mapping[str, planning.WaitingOrder],
    day: planning.DeliveryDay,
) -> Stop:
    stop = Stop(
        run=run,
        position=position,
        kind=StopKind.SHOP,
        arrives_at=day.moment(planned.arrival_s),
        departs_at=day.moment(planned.departure_s),
    )
    if planned.pickups:
        stop.shop = orders[planned.pickups[0]].order.shop
    else:
        stop.kind = StopKind.SUPPLY_POINT
        stop.supply_point, _ = _destination(orders[planned.deliveries[0].order], planned.place)
    return stop


def _drops_at(
    stop: Stop, planned: PlannedStop, orders: Mapping[str, planning.WaitingOrder]
) -> Iterator[_Drop]:
    by_resident: dict[UUID, list[planning.WaitingOrder]] = defaultdict(list)
    for delivery in planned.deliveries:
        by_resident[orders[delivery.order].order.resident_id].append(orders[delivery.order])
    for received in by_resident.values():
        point, at_counter = _destination(received[0], planned.place)
        for one in merge(pack for waiting in received for pack in waiting.packs):
            yield _Drop(
                stop=stop,
                point=point,
                at_counter=at_counter,
                pack=one,
                resident=received[0].order.resident,
            )


def _destination(waiting: planning.WaitingOrder, place: str) -> tuple[SupplyPoint, bool]:
    for point in waiting.points:
        if place == planning.locker_place(point):
            return point, False
        if place == planning.counter_place(point):
            return point, True
    raise ValueError(f"{place} is none of the places of order {waiting.order.pk}")


def _write_bundles(pool: Pool, drops: list[_Drop], *, at: datetime) -> None:
    bundles = [
        Bundle(
            pool=pool,
            resident=drop.resident,
            supply_point=drop.point,
            temperature=drop.pack.temperature,
            created_at=at,
        )
        for drop in drops
    ]
    _claim_doors(pool, bundles, drops, at=at)
    Bundle.objects.bulk_create(bundles)
    for bundle, drop in zip(bundles, drops, strict=True):
        for parcel in drop.pack.goods:
            parcel.bundle = bundle
    Parcel.objects.bulk_update(
        [parcel for drop in drops for parcel in drop.pack.goods], ["bundle"], batch_size=200
    )
    messages.tell_planned(bundles, at=at)


def _claim_doors(pool: Pool, bundles: list[Bundle], drops: list[_Drop], *, at: datetime) -> None:
    behind_doors = [
        (bundle, drop) for bundle, drop in zip(bundles, drops, strict=True) if not drop.at_counter
    ]
    until = pool.deliver_until + timedelta(hours=pool.region.hold_hours)
    codes_by_resident = codes.issue_all(
        namespace=pool.region.slug,
        holders=sorted({bundle.resident_id for bundle, _ in behind_doors}),
        occasion=pool.pk,
        valid_until=until,
        at=at,
    )
    wanted = [
        claims.Claim(
            locker=_locker_of(drop.point),
            size=drop.pack.size,
            temperature=drop.pack.temperature,
            reference=bundle.pk,
            code=codes_by_resident[bundle.resident_id],
            expires_at=pool.deliver_until + CLAIM_OUTLIVES_DELIVERY,
            hold_until=until,
            low_door=drop.resident.needs_low_door,
        )
        for bundle, drop in behind_doors
    ]
    reservations = claims.reserve_all(wanted)
    codes.issue_for_deposits(reservations, at=at)
    for (bundle, _), reservation in zip(behind_doors, reservations, strict=True):
        bundle.reservation = reservation


def _locker_of(point: SupplyPoint) -> Locker:
    if point.locker is None:
        raise ValueError(f"{point.pk} has no locker")
    return point.locker


def _defer_left_out(solution: Solution, orders: Mapping[str, planning.WaitingOrder], *, at: datetime) -> None:
    for left in solution.left_out:
        parcels.report(
            orders[left.order].parcels,
            to=ParcelState.DEFERRED,
            made_at=at,
            received_at=at,
            source="system",
            reason=left.reason.value,
            reason_text=left.sentence[:300],
        )
        messages.tell_deferred(orders[left.order].order, at=at)
