"""The bridge: rows of a pool become the optimizer's problem."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from math import ceil
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, Q
from shapely import get_coordinates
from shapely.geometry import shape

from lockers import selectors as lockers
from lockers.capacity import Space
from lockers.models import Compartment
from lockers.sizes import Height, Size, Temperature
from logistics.goods import ALL_SIZES, PARCEL_CM3, Pack, pack
from logistics.models import Hub, Order, Parcel, ParcelReport, Pool, Shift, Shop, SupplyPoint, Vehicle, Zone
from logistics.states import ParcelState
from optimizer import problem as optimizer
from optimizer.io import problem_to_json

#: Fixed time of a stop (parking, walking in) and time to load or unload one parcel.
SHOP_STOP_S = 180
SUPPLY_POINT_STOP_S = 120
HANDLING_S = 20
#: What it costs to leave an order for the next pool; more if it waited before.
UNSERVED_CENTS = 3_000
UNSERVED_AGAIN_CENTS = 3_000
#: What it costs to bring goods elsewhere than to the resident's own supply point, or to its counter.
ALTERNATIVE_CENTS = 150
COUNTER_CENTS = 60
#: Longest time in the vehicle's boxes.
MAX_RIDE_S = {optimizer.Temperature.CHILLED: 4 * 3600, optimizer.Temperature.FROZEN: 3 * 3600}


def shop_place(shop: Shop) -> str:
    """Name a shop for the optimizer."""
    return f"shop:{shop.pk}"


def hub_place(hub: Hub) -> str:
    """Name a hub for the optimizer."""
    return f"hub:{hub.pk}"


def locker_place(point: SupplyPoint) -> str:
    """Name the locker of a supply point for the optimizer."""
    return f"locker:{point.pk}"


def counter_place(point: SupplyPoint) -> str:
    """Name the counter of a supply point for the optimizer."""
    return f"counter:{point.pk}"


@dataclass(frozen=True, slots=True)
class DeliveryDay:
    """The day of a pool in the optimizer's seconds after midnight."""

    midnight: datetime
    zone: ZoneInfo

    @classmethod
    def of(cls, pool: Pool) -> "DeliveryDay":
        """Return the delivery day of a pool."""
        zone = ZoneInfo(pool.region.timezone)
        return cls(datetime.combine(pool.delivery_date, time(), tzinfo=zone), zone)

    def seconds(self, moment: datetime) -> int:
        """Return a moment in seconds after midnight; what lies before midnight counts as midnight."""
        return max(0, int(moment.timestamp() - self.midnight.timestamp()))

    def moment(self, seconds: int) -> datetime:
        """Return the moment that lies some seconds after midnight."""
        return datetime.fromtimestamp(self.midnight.timestamp() + seconds, tz=self.zone)

    def window(self, opens: time, closes: time) -> optimizer.TimeWindow:
        """Return opening hours of the day."""
        return optimizer.TimeWindow(
            earliest_s=self.seconds(datetime.combine(self.midnight.date(), opens, tzinfo=self.zone)),
            latest_s=self.seconds(datetime.combine(self.midnight.date(), closes, tzinfo=self.zone)),
        )


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An order that waits for a plan, with what planning needs to know of it."""

    order: Order
    parcels: list[Parcel]
    packs: list[Pack[Parcel]]
    waited_before: bool

    @property
    def points(self) -> list[SupplyPoint]:
        """Where the goods may go, the resident's own supply point first."""
        own = self.order.supply_point
        return [own, *(point for point in self.order.resident.alternatives.all() if point.pk != own.pk)]


def waiting_orders(pool: Pool) -> list[WaitingOrder]:
    """Return the pool's orders that wait for a plan, the oldest first."""
    waiting = Parcel.objects.filter(state=ParcelState.POOLED)
    orders = list(
        pool.orders.filter(parcels__state=ParcelState.POOLED)
        .distinct()
        .select_related("shop", "supply_point__locker", "resident")
        .prefetch_related(
            Prefetch("parcels", queryset=waiting),
            "resident__alternatives__locker",
        )
        .order_by("created_at", "pk")
    )
    packs = _packs(orders)
    deferred = ParcelReport.objects.filter(parcel__order__pool=pool, to=ParcelState.DEFERRED)
    waited_before = set(deferred.values_list("parcel__order", flat=True))
    return [
        WaitingOrder(
            order=order,
            parcels=list(order.parcels.all()),
            packs=packs[order.pk],
            waited_before=order.pk in waited_before,
        )
        for order in orders
    ]


def doors_wanted(point: SupplyPoint, *, temperature: str, before: datetime) -> list[Space]:
    """
    Return the doors that orders of a supply point will ask for which are planned before a moment.

    These are the orders of pools whose cut-off comes before it or has passed, and those that wait for the
    next pool, whichever that is.
    """
    pooled = Q(parcels__state=ParcelState.POOLED, pool__cutoff_at__lt=before)
    waiting = Parcel.objects.filter(state__in=[ParcelState.POOLED, ParcelState.DEFERRED])
    orders = list(
        Order.objects.filter(pooled | Q(parcels__state=ParcelState.DEFERRED), supply_point=point)
        .distinct()
        .select_related("supply_point", "resident")
        .prefetch_related(Prefetch("parcels", queryset=waiting))
    )
    packs = _packs(orders)
    return [
        Space(one.size, is_low=order.resident.needs_low_door)
        for order in orders
        for one in packs[order.pk]
        if one.temperature == temperature
    ]


def _packs(orders: Sequence[Order]) -> dict[UUID, list[Pack[Parcel]]]:
    """Return how the waiting parcels of each order share compartments of its supply point."""
    largest = _largest_classes(order.supply_point for order in orders)
    return {
        order.pk: pack(
            order.parcels.all(),
            largest=largest.get((order.supply_point.locker_id, order.resident.needs_low_door), ALL_SIZES),
        )
        for order in orders
    }


def _largest_classes(
    points: Iterable[SupplyPoint],
) -> dict[tuple[UUID | None, bool], dict[Temperature, Size]]:
    """Return the largest compartment of each temperature for each locker, of all and of the low ones."""
    built_in = Compartment.objects.filter(locker__in={point.locker_id for point in points} - {None})
    largest: dict[tuple[UUID | None, bool], dict[Temperature, Size]] = defaultdict(dict)
    for locker, temperature, size, height in built_in.values_list(
        "locker", "temperature", "size", "height"
    ).distinct():
        for low in {False, height == Height.LOW}:
            present = largest[locker, low].get(Temperature(temperature), Size.S)
            largest[locker, low][Temperature(temperature)] = max(
                present, Size(size), key=lambda one: one.rank
            )
    return largest


def problem_of(pool: Pool) -> optimizer.Problem:
    """Return the problem of planning a pool with the fleet, doors and orders as they are now."""
    day = DeliveryDay.of(pool)
    waiting = waiting_orders(pool)
    shifts = _shifts(pool)
    vehicles = [shift.vehicle for shift in shifts]
    points = {point.pk: point for one in waiting for point in one.points}
    return optimizer.Problem(
        places=(
            *_hub_places(vehicles),
            *_shop_places((one.order.shop for one in waiting), day),
            *_supply_point_places(points.values(), day),
        ),
        vehicles=tuple(_vehicle(shift, pool, day) for shift in shifts),
        orders=tuple(_order(one, pool, day) for one in waiting),
        zones=_zones(pool, vehicles),
        profiles=tuple({_profile(vehicle).id: _profile(vehicle) for vehicle in vehicles}.values()),
        co2e_price_cents_per_kg=pool.region.co2e_price_cents_per_kg,
        max_ride_s=MAX_RIDE_S,
    )


def digest(problem: optimizer.Problem) -> str:
    """
    Return a hash of what was planned: orders, fleet and places, but not how many doors happen to be free.

    Doors become free all day; whether a plan still fits into them is for the independent check to say.
    """
    timeless = replace(
        problem,
        places=tuple(
            replace(place, compartments=None if place.compartments is None else ())
            for place in problem.places
        ),
    )
    return hashlib.sha256(json.dumps(problem_to_json(timeless), sort_keys=True).encode()).hexdigest()


def _shifts(pool: Pool) -> list[Shift]:
    return list(
        Shift.objects.filter(
            vehicle__hub__region=pool.region_id,
            starts_at__lt=pool.deliver_until,
            ends_at__gt=pool.loading_from,
        )
        .select_related("vehicle__hub", "courier")
        .order_by("vehicle__name", "starts_at")
    )


def _hub_places(vehicles: Iterable[Vehicle]) -> list[optimizer.Place]:
    hubs = {vehicle.hub_id: vehicle.hub for vehicle in vehicles}
    return [
        optimizer.Place(id=hub_place(hub), latitude=hub.latitude, longitude=hub.longitude)
        for hub in hubs.values()
    ]


def _shop_places(open_shops: Iterable[Shop], day: DeliveryDay) -> list[optimizer.Place]:
    shops = {shop.pk: shop for shop in open_shops}
    return [
        optimizer.Place(
            id=shop_place(shop),
            latitude=shop.latitude,
            longitude=shop.longitude,
            windows=(day.window(shop.opens, shop.closes),),
            stop_duration_s=SHOP_STOP_S,
        )
        for shop in shops.values()
    ]


def _supply_point_places(points: Iterable[SupplyPoint], day: DeliveryDay) -> list[optimizer.Place]:
    known = sorted(points, key=lambda point: str(point.pk))
    free = lockers.free_capacities([point.locker for point in known if point.locker is not None])
    places = []
    for point in known:
        if point.locker_id is not None:
            places.append(
                optimizer.Place(
                    id=locker_place(point),
                    latitude=point.latitude,
                    longitude=point.longitude,
                    stop_duration_s=SUPPLY_POINT_STOP_S,
                    compartments=_stock(free[point.locker_id]),
                )
            )
        if point.counter_opens is not None and point.counter_closes is not None:
            places.append(
                optimizer.Place(
                    id=counter_place(point),
                    latitude=point.latitude,
                    longitude=point.longitude,
                    windows=(day.window(point.counter_opens, point.counter_closes),),
                    stop_duration_s=SUPPLY_POINT_STOP_S,
                )
            )
    return places


def _stock(free: lockers.Capacity) -> tuple[optimizer.Compartments, ...]:
    return tuple(
        optimizer.Compartments(
            temperature=optimizer.Temperature(temperature.value),
            size=optimizer.Size(size.value),
            count=max(0, count),
            low=low,
        )
        for (temperature, size, low), count in sorted(free.items())
    )


def _profile(vehicle: Vehicle) -> optimizer.Profile:
    return optimizer.Profile(
        id=f"{vehicle.kind}-{vehicle.speed_m_h}",
        speed_m_s=round(vehicle.speed_m_h / 3600, 2),
        mode=vehicle.kind,
    )


def _vehicle(shift: Shift, pool: Pool, day: DeliveryDay) -> optimizer.Vehicle:
    vehicle = shift.vehicle
    return optimizer.Vehicle(
        id=str(shift.pk),
        profile=_profile(vehicle).id,
        start_place=hub_place(vehicle.hub),
        end_place=hub_place(vehicle.hub),
        capacity=optimizer.Load(
            weight_g=vehicle.payload_g,
            volume_cm3=vehicle.volume_cm3,
            chilled_cm3=vehicle.chilled_cm3,
            frozen_cm3=vehicle.frozen_cm3,
        ),
        shift=optimizer.TimeWindow(
            earliest_s=day.seconds(max(shift.starts_at, pool.loading_from - timedelta(minutes=30))),
            latest_s=day.seconds(min(shift.ends_at, pool.deliver_until)),
        ),
        max_duration_s=shift.longest_run_s,
        working_time=None if shift.courier.is_volunteer else optimizer.ARBZG,
        range_m=vehicle.range_m,
        fixed_cost_cents=vehicle.fixed_cost_cents,
        cost_per_km_cents=vehicle.cost_per_km_cents,
        cost_per_hour_cents=vehicle.cost_per_hour_cents,
        co2e_g_per_km=ceil(vehicle.co2e_g_per_km),
    )


def _order(waiting: WaitingOrder, pool: Pool, day: DeliveryDay) -> optimizer.Order:
    order, deadline_s = waiting.order, day.seconds(pool.deliver_until)
    return optimizer.Order(
        id=str(order.pk),
        pickup_place=shop_place(order.shop),
        # Goods that are ready too late must not spoil the plan of all others: they are left out, and say why.
        ready_s=min(deadline_s, day.seconds(max(order.ready_at, pool.loading_from))),
        deadline_s=deadline_s,
        parcels=tuple(
            optimizer.ParcelClass(
                size=optimizer.Size(parcel.size),
                temperature=optimizer.Temperature(parcel.temperature),
                volume_cm3=PARCEL_CM3[Size(parcel.size)],
                weight_g=parcel.weight_g,
            )
            for parcel in waiting.parcels
        ),
        options=tuple(_options(waiting)),
        unserved_penalty_cents=UNSERVED_CENTS + waiting.waited_before * UNSERVED_AGAIN_CENTS,
        compartments=tuple(
            optimizer.CompartmentDemand(
                temperature=optimizer.Temperature(one.temperature.value),
                size=optimizer.Size(one.size.value),
                low=order.resident.needs_low_door,
            )
            for one in waiting.packs
        ),
        handling_s_per_parcel=HANDLING_S,
    )


def _options(waiting: WaitingOrder) -> Iterable[optimizer.DeliveryOption]:
    for position, point in enumerate(waiting.points):
        elsewhere = ALTERNATIVE_CENTS if position else 0
        if point.locker_id is not None:
            yield optimizer.DeliveryOption(place=locker_place(point), preference_penalty_cents=elsewhere)
        if point.has_counter:
            worse = COUNTER_CENTS if point.locker_id is not None else 0
            yield optimizer.DeliveryOption(
                place=counter_place(point), preference_penalty_cents=elsewhere + worse
            )


def _zones(pool: Pool, vehicles: Iterable[Vehicle]) -> tuple[optimizer.Zone, ...]:
    profiles = {(vehicle.kind, _profile(vehicle).id) for vehicle in vehicles}
    return tuple(
        optimizer.Zone(
            id=str(zone.pk),
            ring=tuple((x, y) for x, y, *_ in get_coordinates(shape(zone.area)).tolist()),
            forbidden_profiles=tuple(
                sorted(profile for kind, profile in profiles if kind in zone.forbidden_kinds)
            ),
        )
        for zone in Zone.objects.filter(region=pool.region_id).order_by("pk")
    )
