"""Builders for a small district; a test names only what matters to it."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from rest_framework.test import APIClient

from lockers.models import Locker
from lockers.services import cabinets
from lockers.services.cabinets import CompartmentSpec
from lockers.sizes import Height, Size, Temperature
from logistics.models import (
    Courier,
    Hub,
    Membership,
    Municipality,
    Order,
    Pool,
    Region,
    Resident,
    Role,
    Shift,
    Shop,
    SupplyPoint,
    User,
    Vehicle,
)
from logistics.services import orders, pools
from logistics.services.orders import ParcelSpec

BERLIN = ZoneInfo("Europe/Berlin")
DELIVERY_DATE = date(2026, 11, 24)
#: A square around Hameln; the district's real boundaries are tested where the region is loaded.
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[9.2, 52.0], [9.6, 52.0], [9.6, 52.3], [9.2, 52.3], [9.2, 52.0]]],
}
_numbers = count(1)


def at(hour: int, minute: int = 0, second: int = 0, *, day: date = DELIVERY_DATE) -> datetime:
    """Return a moment of the delivery day in local time."""
    return datetime.combine(day, time(hour, minute, second), tzinfo=BERLIN)


def a_region(**changes: object) -> Region:
    """Return a district with one municipality, one hub and nothing that drives."""
    number = next(_numbers)
    region = Region.objects.create(**{"slug": f"region-{number}", "name": "Landkreis"} | changes)
    Municipality.objects.create(region=region, ags="03252006", name="Hameln", boundary=SQUARE)
    Hub.objects.create(region=region, name="Hub", latitude=52.10, longitude=9.36)
    return region


def a_locker(region: Region, *, compartments: Sequence[tuple[Size, Temperature]] | None = None) -> Locker:
    """Return a cabinet, by default with six ambient and two chilled compartments."""
    wanted = compartments or [
        *[(size, Temperature.AMBIENT) for size in (Size.S, Size.S, Size.M, Size.M, Size.L, Size.XL)],
        (Size.S, Temperature.CHILLED),
        (Size.M, Temperature.CHILLED),
    ]
    slug = f"locker-{next(_numbers)}"
    return cabinets.install(
        slug=slug,
        name=slug,
        namespace=region.slug,
        compartments=[
            CompartmentSpec(number=number, size=size, temperature=temperature, height=Height.REACHABLE)
            for number, (size, temperature) in enumerate(wanted, start=1)
        ],
    )


def a_supply_point(
    region: Region,
    *,
    with_locker: bool = True,
    with_counter: bool = False,
    compartments: Sequence[tuple[Size, Temperature]] | None = None,
    latitude: float = 52.12,
    longitude: float = 9.40,
) -> SupplyPoint:
    """Return a village's place for goods, by default a locker."""
    number = next(_numbers)
    return SupplyPoint.objects.create(
        municipality=region.municipalities.get(),
        village=f"Dorf {number}",
        name=f"Versorgungspunkt {number}",
        latitude=latitude,
        longitude=longitude,
        locker=a_locker(region, compartments=compartments) if with_locker else None,
        counter_opens=time(9) if with_counter else None,
        counter_closes=time(18) if with_counter else None,
    )


def a_shop(region: Region, *, latitude: float = 52.105, longitude: float = 9.37) -> Shop:
    """Return a bakery that is open all day."""
    number = next(_numbers)
    return Shop.objects.create(
        municipality=region.municipalities.get(),
        slug=f"laden-{number}",
        name=f"Laden {number}",
        kind="bakery",
        village="Hameln",
        latitude=latitude,
        longitude=longitude,
        opens=time(6),
        closes=time(18),
    )


def a_resident(region: Region, *, supply_point: SupplyPoint | None = None, **changes: object) -> Resident:
    """Return a resident; without a supply point nobody knows where to bring the goods."""
    number = next(_numbers)
    return Resident.objects.create(
        **{
            "region": region,
            "card_number": f"{number:08d}",
            "name": f"Erika Muster {number}",
            "supply_point": supply_point,
        }
        | changes
    )


def a_shift(region: Region, *, kind: str = "van", payload_g: int = 800_000) -> Shift:
    """Return a courier's shift of the delivery day on a vehicle that goes 50 km/h."""
    number = next(_numbers)
    vehicle = Vehicle.objects.create(
        hub=region.hubs.get(),
        name=f"Fahrzeug {number}",
        kind=kind,
        payload_g=payload_g,
        volume_cm3=4_000_000,
        chilled_cm3=1_000_000,
        frozen_cm3=200_000,
        range_m=200_000,
        speed_m_h=50_000,
        fixed_cost_cents=500,
        cost_per_km_cents=30,
        cost_per_hour_cents=2_000,
        co2e_g_per_km=100,
        co2e_source="assumed",
        co2e_year=2026,
    )
    courier = Courier.objects.create(region=region, name=f"Kurier {number}")
    return Shift.objects.create(
        courier=courier,
        vehicle=vehicle,
        starts_at=at(9),
        ends_at=at(19),
        longest_run_s=8 * 3600,
    )


def a_pool(region: Region, *, opened_at: datetime | None = None, day: date = DELIVERY_DATE) -> Pool:
    """Return a pool with the ordinary windows: cut-off 9:00, loading from 9:30, delivery until 19:00."""
    return pools.open_pool(
        region=region,
        delivery_date=day,
        cutoff_at=at(9, day=day),
        loading_from=at(9, 30, day=day),
        deliver_until=at(19, day=day),
        at=opened_at or at(6, day=day) - timedelta(days=1),
    )


def a_parcel(
    size: Size = Size.S, temperature: Temperature = Temperature.AMBIENT, weight_g: int = 1_500
) -> ParcelSpec:
    """Return a small light parcel."""
    return ParcelSpec(size=size, temperature=temperature, weight_g=weight_g)


def an_order(
    *,
    shop: Shop,
    resident: Resident,
    parcels: Sequence[ParcelSpec] | None = None,
    listed_at: datetime | None = None,
    ready_at: datetime | None = None,
) -> Order:
    """Return an order listed at seven in the morning; the region needs a pool and something that drives."""
    return orders.list_order(
        shop=shop,
        card_number=resident.card_number,
        parcels=parcels or [a_parcel()],
        ready_at=ready_at,
        at=listed_at or at(7),
    )


class Village:
    """The least in which a day can happen: a region with a pool, a van, a shop, a resident and a locker."""

    def __init__(self, **supply_point: object) -> None:
        self.region = a_region()
        self.pool = a_pool(self.region)
        self.shift = a_shift(self.region)
        self.shop = a_shop(self.region)
        self.supply_point = a_supply_point(self.region, **supply_point)  # type: ignore[arg-type]
        self.resident = a_resident(self.region, supply_point=self.supply_point)

    def order(self, *parcels: ParcelSpec, **more: Any) -> Order:
        """List an order of the shop for the resident."""
        return an_order(shop=self.shop, resident=self.resident, parcels=parcels, **more)


def a_user(region: Region, role: Role, **about: object) -> User:
    """Return an account with one role."""
    user = User.objects.create(username=f"user-{next(_numbers)}")
    Membership.objects.create(user=user, region=region, role=role, **about)
    return user


def a_client(user: User | None = None) -> APIClient:
    """Return an API client, signed in or not."""
    client = APIClient()
    if user is not None:
        # Read anew, as each request does: what a user may do is remembered on the object.
        client.force_authenticate(User.objects.get(pk=user.pk))
    return client


def a_key() -> dict[str, str]:
    """Return the header that makes a request safe to repeat."""
    return {"Idempotency-Key": str(uuid4())}


def dispatcher(region: Region) -> APIClient:
    """Return the client of somebody who dispatches the region."""
    return a_client(a_user(region, Role.DISPATCHER))


def clerk(shop: Shop) -> APIClient:
    """Return the client of somebody who works in the shop."""
    return a_client(a_user(shop.municipality.region, Role.SHOP, shop=shop))


def driver(courier: Courier) -> APIClient:
    """Return the client of the courier."""
    return a_client(a_user(courier.region, Role.COURIER, courier=courier))


def neighbour(resident: Resident) -> APIClient:
    """Return the client of the resident."""
    return a_client(a_user(resident.region, Role.RESIDENT, resident=resident))


def unknown() -> UUID:
    """Return an identifier that nothing has."""
    return uuid4()
