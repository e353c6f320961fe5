"""Synthetic regional days around Hameln, at any size, to try and to measure with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from optimizer import checks
from optimizer.problem import (
    CompartmentDemand,
    Compartments,
    DeliveryOption,
    Load,
    Order,
    ParcelClass,
    Place,
    Problem,
    Size,
    Temperature,
    TimeWindow,
    Vehicle,
    Zone,
)

#: Towns with their coordinates and their share of the region's shops.
TOWNS: tuple[tuple[str, float, float, float], ...] = (
    ("hameln", 52.104, 9.356, 0.34),
    ("bad-pyrmont", 51.987, 9.263, 0.18),
    ("bad-muender", 52.199, 9.465, 0.12),
    ("hessisch-oldendorf", 52.173, 9.248, 0.10),
    ("emmerthal", 52.050, 9.388, 0.08),
    ("aerzen", 52.049, 9.267, 0.07),
    ("coppenbruegge", 52.118, 9.549, 0.05),
    ("salzhemmendorf", 52.066, 9.585, 0.06),
)
HUB_TOWNS = ("hameln", "bad-pyrmont", "bad-muender")
LOADING_FROM_S = 9 * 3600 + 1800
DELIVERY_UNTIL_S = 19 * 3600
VOLUME_CM3 = {Size.S: 9_000, Size.M: 22_000, Size.L: 45_000, Size.XL: 80_000}
WEIGHT_G = {Size.S: 2_000, Size.M: 5_000, Size.L: 10_000, Size.XL: 16_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSize:
    """How large a day to generate."""

    num_orders: int = 300
    num_shops: int = 60
    num_supply_points: int = 45
    num_bikes: int = 8
    num_vans: int = 4

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            least = 1 if name in ("num_shops", "num_supply_points") else 0
            checks.whole(name, getattr(self, name), least=least, most=1_000_000)


def generate(seed: int, size: RegionSize | None = None) -> Problem:
    """
    Return a day of a region like Hameln-Pyrmont; the same seed and size give the same day.

    Most residents live within 10 km of their shop, each accepts up to three supply points, and vans may not
    enter the centres of Hameln and Bad Pyrmont.
    """
    size = size or RegionSize()
    random = Random(seed)  # noqa: S311 - repeatable test data, nothing secret
    hubs = tuple(Place(id=f"hub-{n}", latitude=lat, longitude=lon) for n, lat, lon, _ in _hub_towns())
    shops = tuple(_shop(random, number) for number in range(size.num_shops))
    points = tuple(_supply_point(random, number) for number in range(size.num_supply_points))
    return Problem(
        places=(*hubs, *shops, *points),
        vehicles=_fleet(hubs, size),
        orders=tuple(_order(random, number, shops, points) for number in range(size.num_orders)),
        zones=(_centre("hameln", 450), _centre("bad-pyrmont", 350)),
        co2e_price_cents_per_kg=20,
        max_ride_s={Temperature.CHILLED: 4 * 3600, Temperature.FROZEN: 2 * 3600},
    )


def _hub_towns() -> list[tuple[str, float, float, float]]:
    return [town for town in TOWNS if town[0] in HUB_TOWNS]


def _near(random: Random, latitude: float, longitude: float, spread_m: float) -> tuple[float, float]:
    """Return a point at a normally distributed offset."""
    north, east = random.gauss(0, spread_m), random.gauss(0, spread_m)
    return (
        round(latitude + north / 111_200, 6),
        round(longitude + east / (111_200 * math.cos(math.radians(latitude))), 6),
    )


def _shop(random: Random, number: int) -> Place:
    _, latitude, longitude, _ = random.choices(TOWNS, weights=[town[3] for town in TOWNS])[0]
    latitude, longitude = _near(random, latitude, longitude, 900)
    closing = random.choice((14, 18, 18, 18, 19)) * 3600
    return Place(
        id=f"shop-{number}",
        latitude=latitude,
        longitude=longitude,
        windows=(TimeWindow(earliest_s=8 * 3600, latest_s=closing),),
        stop_duration_s=120,
    )


def _supply_point(random: Random, number: int) -> Place:
    _, latitude, longitude, _ = TOWNS[number % len(TOWNS)]
    latitude, longitude = _near(random, latitude, longitude, 3_200)
    counter = number % 6 == 5
    stock = (
        *(
            (Temperature.AMBIENT, size, n)
            for size, n in ((Size.S, 6), (Size.M, 5), (Size.L, 3), (Size.XL, 1))
        ),
        *((Temperature.CHILLED, size, n) for size, n in ((Size.S, 2), (Size.M, 2), (Size.L, 1))),
        (Temperature.FROZEN, Size.M, 1),
    )
    return Place(
        id=f"{'counter' if counter else 'locker'}-{number}",
        latitude=latitude,
        longitude=longitude,
        windows=(TimeWindow(earliest_s=8 * 3600, latest_s=18 * 3600),) if counter else (),
        stop_duration_s=90,
        compartments=None if counter else tuple(_compartments(*kind) for kind in stock),
    )


def _compartments(temperature: Temperature, size: Size, count: int) -> Compartments:
    return Compartments(temperature=temperature, size=size, count=count)


def _fleet(hubs: Sequence[Place], size: RegionSize) -> tuple[Vehicle, ...]:
    bikes = (_bike(number, hubs[number % len(hubs)].id) for number in range(size.num_bikes))
    vans = (_van(number, hubs[number % len(hubs)].id) for number in range(size.num_vans))
    return (*bikes, *vans)


def _bike(number: int, hub: str) -> Vehicle:
    start = LOADING_FROM_S if number % 2 == 0 else 13 * 3600
    return Vehicle(
        id=f"bike-{number}",
        profile="bike",
        start_place=hub,
        end_place=hub,
        capacity=Load(weight_g=150_000, volume_cm3=900_000, chilled_cm3=150_000, frozen_cm3=50_000),
        shift=TimeWindow(earliest_s=start, latest_s=min(start + 6 * 3600, DELIVERY_UNTIL_S)),
        max_duration_s=6 * 3600,
        range_m=60_000,
        fixed_cost_cents=400,
        cost_per_km_cents=8,
        cost_per_hour_cents=2_000,
        co2e_g_per_km=5,
    )


def _van(number: int, hub: str) -> Vehicle:
    return Vehicle(
        id=f"van-{number}",
        profile="van",
        start_place=hub,
        end_place=hub,
        capacity=Load(weight_g=900_000, volume_cm3=5_000_000, chilled_cm3=1_200_000, frozen_cm3=400_000),
        shift=TimeWindow(earliest_s=LOADING_FROM_S, latest_s=DELIVERY_UNTIL_S),
        max_duration_s=8 * 3600,
        fixed_cost_cents=2_500,
        cost_per_km_cents=35,
        cost_per_hour_cents=2_400,
        co2e_g_per_km=210,
    )


def _order(random: Random, number: int, shops: Sequence[Place], points: Sequence[Place]) -> Order:
    shop = random.choice(shops)
    nearby = sorted(points, key=lambda point: _distance_m(shop, point))
    home = (
        random.choice(nearby[: max(1, len(nearby) // 3)]) if random.random() < 0.9 else random.choice(points)
    )
    liked = sorted(points, key=lambda point: _distance_m(home, point))[: random.choice((1, 2, 2, 3, 3))]
    parcels = _parcels(random)
    return Order(
        id=f"order-{number}",
        household=f"household-{random.randrange(10_000)}",
        pickup_place=shop.id,
        ready_s=LOADING_FROM_S + random.choice((0, 0, 0, 1800, 3600)),
        deadline_s=DELIVERY_UNTIL_S,
        parcels=parcels,
        options=tuple(
            DeliveryOption(place=place.id, preference_penalty_cents=100 * rank)
            for rank, place in enumerate(liked)
        ),
        unserved_penalty_cents=2_500 + 250 * sum(parcel.count for parcel in parcels),
        compartments=tuple(
            CompartmentDemand(
                temperature=parcel.temperature,
                size=_bundle_size(parcel.count * parcel.volume_cm3, parcel.size),
            )
            for parcel in parcels
        ),
        handling_s_per_parcel=25,
    )


def _parcels(random: Random) -> tuple[ParcelClass, ...]:
    """Return ambient parcels mostly, chilled ones for a fifth of the orders, frozen ones for a few."""
    draw = random.random()
    temperatures = [Temperature.AMBIENT]
    if draw < 0.05:
        temperatures = [Temperature.FROZEN]
    elif draw < 0.15:
        temperatures = [Temperature.CHILLED]
    elif draw < 0.22:
        temperatures = [Temperature.AMBIENT, Temperature.CHILLED]
    return tuple(_parcel_class(random, temperature) for temperature in temperatures)


def _parcel_class(random: Random, temperature: Temperature) -> ParcelClass:
    ambient = temperature == Temperature.AMBIENT
    size = random.choices(list(Size), weights=(50, 35, 12, 3) if ambient else (70, 30, 0, 0))[0]
    return ParcelClass(
        size=size,
        temperature=temperature,
        count=random.choice((1, 1, 2)) if size in (Size.S, Size.M) else 1,
        volume_cm3=VOLUME_CM3[size],
        weight_g=WEIGHT_G[size],
    )


def _bundle_size(volume_cm3: int, largest: Size) -> Size:
    """Return the smallest compartment that takes the largest parcel and the whole volume."""
    return next(
        (size for size in Size if size.rank >= largest.rank and VOLUME_CM3[size] * 1.25 >= volume_cm3),
        Size.XL,
    )


def _distance_m(one: Place, other: Place) -> float:
    """Return the distance on a plane, good enough to find neighbours."""
    north = (one.latitude - other.latitude) * 111_200
    east = (one.longitude - other.longitude) * 111_200 * math.cos(math.radians(one.latitude))
    return math.hypot(north, east)


def _centre(town: str, half_side_m: float) -> Zone:
    _, latitude, longitude, _ = next(row for row in TOWNS if row[0] == town)
    north = half_side_m / 111_200
    east = north / math.cos(math.radians(latitude))
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return Zone(
        id=f"centre-{town}",
        ring=tuple((longitude + x * east, latitude + y * north) for x, y in corners),
        forbidden_profiles=("van",),
    )
