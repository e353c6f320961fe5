"""Regions: taken over whole from a folder of files, or not at all."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from shapely import Point

from common import events
from lockers.models import Locker
from lockers.services import cabinets
from lockers.sizes import Height, Size, Temperature
from logistics.exceptions import BadRegionData, OutsideRegion, RegionExists
from logistics.models import (
    Courier,
    Hub,
    Municipality,
    Region,
    Resident,
    Shift,
    Shop,
    SupplyPoint,
    Vehicle,
    Zone,
)
from logistics.models.region import Located
from logistics.services import residents

RowT = TypeVar("RowT", bound=models.Model)
PlaceT = TypeVar("PlaceT", bound=Located)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRegion:
    """A region and the rows that were loaded for it."""

    region: Region
    supply_points: tuple[SupplyPoint, ...]
    shops: tuple[Shop, ...]
    couriers: tuple[Courier, ...]
    shifts: tuple[Shift, ...]
    residents: tuple[Resident, ...]


def require_inside(municipality: Municipality, latitude: float, longitude: float) -> None:
    """
    Refuse coordinates that do not lie in a municipality; its border belongs to it.

    Raises
    ------
    OutsideRegion
        If they lie elsewhere.
    """
    if not municipality.as_shape().covers(Point(longitude, latitude)):
        raise OutsideRegion(area=municipality.name)


@transaction.atomic
def load(
    *, folder: Path, slug: str, seed: int, first_day: date, num_days: int, num_residents: int, at: datetime
) -> LoadedRegion:
    """
    Take over a region under a name of its own, with shifts for some delivery days and invented residents.

    Raises
    ------
    RegionExists, BadRegionData, OutsideRegion
        If the name is taken, or a row of the files breaks a rule; nothing is written then.
    """
    files = _Files(folder)
    facts = files.json("region.json")
    region = _region(slug, facts)
    municipalities = _municipalities(region, files)
    _zones(region, facts)
    hubs = _hubs(region, municipalities, facts)
    points = files.csv("supply_points.csv")
    supply_points = _supply_points(region, municipalities, points, files.json("locker_layouts.json"))
    shops = _shops(municipalities, files)
    couriers = _couriers(region, facts)
    days = list(_delivery_days(facts, first_day, num_days))
    loaded = LoadedRegion(
        region=region,
        supply_points=tuple(supply_points),
        shops=tuple(shops),
        couriers=tuple(couriers.values()),
        shifts=tuple(_shifts(region, facts, _vehicles(hubs, facts), couriers, days)),
        residents=tuple(
            residents.invent(
                region=region,
                supply_points=supply_points,
                inhabitants=[int(point["inhabitants"]) for point in points],
                names=files.json("names.json"),
                num_residents=num_residents,
                seed=seed,
            )
        ),
    )
    events.record("region_loaded", scope=region.slug, at=at, shops=len(shops), supply_points=len(points))
    return loaded


@dataclass(frozen=True, slots=True)
class _Files:
    """The files that describe a region."""

    folder: Path

    def json(self, name: str) -> Any:
        """Read a JSON file."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def csv(self, name: str) -> list[dict[str, str]]:
        """Read a CSV file with a header."""
        with (self.folder / name).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


def _checked(row: RowT) -> RowT:
    """Turn what was read into values of the row's fields, and refuse what they cannot hold."""
    links = {field.name for field in row._meta.fields if field.is_relation}
    try:
        row.clean_fields(exclude=links)
    except ValidationError as error:
        reasons = (f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
        raise BadRegionData(row=str(row), reason="; ".join(reasons)) from error
    return row


def _placed(place: PlaceT, municipality: Municipality) -> PlaceT:
    checked = _checked(place)
    require_inside(municipality, checked.latitude, checked.longitude)
    return checked


def _region(slug: str, facts: Mapping[str, Any]) -> Region:
    region = _checked(
        Region(
            slug=slug,
            name=facts["name"],
            timezone=facts["timezone"],
            co2e_price_cents_per_kg=facts["co2e_price"]["cents_per_kg"],
            co2e_price_source=facts["co2e_price"]["source"],
            hold_hours=facts["calendar"]["hold_hours"],
        )
    )
    try:
        with transaction.atomic():
            region.save(force_insert=True)
    except IntegrityError as error:
        raise RegionExists(slug=slug) from error
    return region


def _municipalities(region: Region, files: _Files) -> dict[str, Municipality]:
    rows = Municipality.objects.bulk_create(
        _checked(
            Municipality(
                region=region,
                ags=feature["properties"]["ags"],
                name=feature["properties"]["name"],
                boundary=feature["geometry"],
            )
        )
        for feature in files.json("municipalities.geojson")["features"]
    )
    return {row.ags: row for row in rows}


def _zones(region: Region, facts: Mapping[str, Any]) -> None:
    Zone.objects.bulk_create(
        _checked(
            Zone(
                region=region,
                name=zone["name"],
                area=zone["geometry"],
                forbidden_kinds=zone["forbidden_kinds"],
            )
        )
        for zone in facts["car_free_zones"]
    )


def _hubs(
    region: Region, municipalities: Mapping[str, Municipality], facts: Mapping[str, Any]
) -> dict[str, Hub]:
    hubs = {
        hub["slug"]: _placed(
            Hub(region=region, name=hub["name"], latitude=hub["latitude"], longitude=hub["longitude"]),
            municipalities[hub["municipality_ags"]],
        )
        for hub in facts["hubs"]
    }
    Hub.objects.bulk_create(hubs.values())
    return hubs


def _supply_points(
    region: Region,
    municipalities: Mapping[str, Municipality],
    points: list[dict[str, str]],
    layouts: Mapping[str, Any],
) -> list[SupplyPoint]:
    return SupplyPoint.objects.bulk_create(
        _placed(
            SupplyPoint(
                municipality=municipalities[point["municipality_ags"]],
                village=point["village"],
                name=point["name"],
                latitude=point["latitude"],
                longitude=point["longitude"],
                locker=_locker(region, point, layouts) if point["locker_layout"] else None,
                counter_opens=point["counter_opens"] or None,
                counter_closes=point["counter_closes"] or None,
            ),
            municipalities[point["municipality_ags"]],
        )
        for point in points
    )


def _locker(region: Region, point: Mapping[str, str], layouts: Mapping[str, Any]) -> Locker:
    return cabinets.install(
        slug=f"{region.slug}-{point['slug']}",
        name=point["name"],
        namespace=region.slug,
        compartments=[
            cabinets.CompartmentSpec(
                number=compartment["number"],
                size=Size(compartment["size"]),
                temperature=Temperature(compartment["temperature"]),
                height=Height(compartment["height"]),
            )
            for compartment in layouts[point["locker_layout"]]["compartments"]
        ],
    )


def _shops(municipalities: Mapping[str, Municipality], files: _Files) -> list[Shop]:
    return Shop.objects.bulk_create(
        _placed(
            Shop(
                municipality=municipalities[shop["municipality_ags"]],
                slug=shop["slug"],
                name=shop["name"],
                kind=shop["kind"],
                village=shop["village"],
                latitude=shop["latitude"],
                longitude=shop["longitude"],
                opens=shop["opens"],
                closes=shop["closes"],
            ),
            municipalities[shop["municipality_ags"]],
        )
        for shop in files.csv("shops.csv")
    )


def _vehicles(hubs: Mapping[str, Hub], facts: Mapping[str, Any]) -> dict[str, Vehicle]:
    types = {one["slug"]: one for one in facts["vehicle_types"]}
    vehicles = {
        vehicle["slug"]: _checked(_vehicle(types[vehicle["type"]] | vehicle, hubs[vehicle["hub"]]))
        for vehicle in facts["vehicles"]
    }
    Vehicle.objects.bulk_create(vehicles.values())
    return vehicles


def _vehicle(facts: Mapping[str, Any], hub: Hub) -> Vehicle:
    ambient_l = facts["volume_l"] - facts["chilled_l"] - facts["frozen_l"]
    return Vehicle(
        hub=hub,
        name=facts["name"],
        kind=facts["kind"],
        payload_g=facts["payload_kg"] * 1_000,
        # The files name the whole load space; chilled and frozen boxes stand in it and are counted apart.
        volume_cm3=ambient_l * 1_000,
        chilled_cm3=facts["chilled_l"] * 1_000,
        frozen_cm3=facts["frozen_l"] * 1_000,
        range_m=facts["range_m"],
        speed_m_h=facts["speed_kmh"] * 1_000,
        fixed_cost_cents=facts["fixed_cost_cents"],
        cost_per_km_cents=facts["cost_cents_per_km"],
        cost_per_hour_cents=facts["cost_cents_per_hour"],
        co2e_g_per_km=facts["co2e_g_per_km"],
        co2e_source=facts["co2e_source"],
        co2e_year=facts["co2e_year"],
    )


def _couriers(region: Region, facts: Mapping[str, Any]) -> dict[str, Courier]:
    couriers = {
        courier["slug"]: _checked(
            Courier(
                region=region,
                name=courier["name"],
                is_volunteer=courier["employment"] == "volunteer",
            )
        )
        for courier in facts["couriers"]
    }
    Courier.objects.bulk_create(couriers.values())
    return couriers


def _delivery_days(facts: Mapping[str, Any], first_day: date, num_days: int) -> Iterator[date]:
    days = (first_day + timedelta(days=offset) for offset in count())
    weekdays = facts["calendar"]["delivery_weekdays"]
    return islice((day for day in days if day.isoweekday() in weekdays), num_days)


def _shifts(
    region: Region,
    facts: Mapping[str, Any],
    vehicles: Mapping[str, Vehicle],
    couriers: Mapping[str, Courier],
    days: list[date],
) -> list[Shift]:
    """Give every vehicle to its usual courier; couriers without one stand by and have no shift."""
    zone = ZoneInfo(region.timezone)
    longest_s = {one["slug"]: one["max_shift_s"] for one in facts["vehicle_types"]}
    vehicle_types = {one["slug"]: one["type"] for one in facts["vehicles"]}
    return Shift.objects.bulk_create(
        _checked(
            Shift(
                courier=couriers[courier["slug"]],
                vehicle=vehicles[courier["usual_vehicle"]],
                starts_at=datetime.combine(
                    day, time.fromisoformat(courier["shift"]["earliest"]), tzinfo=zone
                ),
                ends_at=datetime.combine(day, time.fromisoformat(courier["shift"]["latest"]), tzinfo=zone),
                longest_run_s=min(
                    courier["shift"]["longest_s"], longest_s[vehicle_types[courier["usual_vehicle"]]]
                ),
            )
        )
        for day in days
        for courier in facts["couriers"]
        if courier["usual_vehicle"]
    )
