"""A region is taken over whole from its files, or not at all."""

import csv
import json
import shutil
import stat
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from knox.models import AuthToken
from shapely import contains_xy

from lockers.models import Compartment, Locker, ProvisioningToken
from logistics.exceptions import BadRegionData, OutsideRegion, RegionExists
from logistics.models import (
    Courier,
    Hub,
    Membership,
    Municipality,
    Region,
    Resident,
    Role,
    Shift,
    Shop,
    SupplyPoint,
    User,
    Vehicle,
    Zone,
)
from logistics.services import regions
from logistics.services.residents import card_number
from tests.cast.orders import distance_km

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parents[2] / "logistics" / "fixtures" / "hameln_pyrmont"
#: A Saturday, so that the next day has no delivery.
SATURDAY = date(2026, 3, 7)
NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
ROWS = (
    Region,
    Municipality,
    Zone,
    Hub,
    SupplyPoint,
    Shop,
    Vehicle,
    Courier,
    Shift,
    Resident,
    Locker,
    Compartment,
)


def load(folder: Path = FIXTURES, **changes: Any) -> regions.LoadedRegion:
    usual: dict[str, Any] = {
        "slug": "hp",
        "seed": 1,
        "first_day": SATURDAY,
        "num_days": 2,
        "num_residents": 400,
        "at": NOON,
    }
    return regions.load(folder=folder, **(usual | changes))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES, tmp_path / "region"))


def change_csv(file: Path, change: Callable[[dict[str, str]], None]) -> None:
    """Change the last row of a file, so that all others are read before it."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    change(rows[-1])
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


# What is loaded


def test_everything_in_the_files_becomes_rows() -> None:
    loaded = load()

    assert {model.__name__: model._default_manager.count() for model in ROWS} == {
        "Region": 1,
        "Municipality": 8,
        "Zone": 2,
        "Hub": 3,
        "SupplyPoint": 51,
        "Shop": 60,
        "Vehicle": 12,
        "Courier": 14,
        # Two days of twelve vehicles, each with its usual courier; two couriers stand by.
        "Shift": 24,
        "Resident": 400,
        "Locker": 44,
        # 14 lockers of 16 compartments, 10 of 24, 12 of 36, 8 of 60.
        "Compartment": 1_376,
    }
    assert loaded.region.slug == "hp"


def test_every_village_shop_and_hub_lies_where_it_belongs() -> None:
    load()

    outlines = {municipality.pk: municipality.as_shape() for municipality in Municipality.objects.all()}
    for place in (*SupplyPoint.objects.all(), *Shop.objects.all()):
        assert contains_xy(outlines[place.municipality_id], place.longitude, place.latitude), place
    for hub in Hub.objects.all():
        assert contains_xy(list(outlines.values()), hub.longitude, hub.latitude).any(), hub


def test_the_price_of_emissions_and_every_factor_say_where_they_come_from() -> None:
    region = load().region

    assert "not a market price" in region.co2e_price_source
    for vehicle in Vehicle.objects.all():
        assert vehicle.co2e_source
        assert vehicle.co2e_year >= 2015


def test_a_vehicle_counts_its_cold_boxes_apart_from_the_rest_of_its_load_space() -> None:
    load()

    trike = Vehicle.objects.get(name__startswith="Rad 1 ")

    # 700 l in all, of which 250 l are chilled and 60 l frozen.
    assert (trike.volume_cm3, trike.chilled_cm3, trike.frozen_cm3) == (390_000, 250_000, 60_000)
    assert (trike.payload_g, trike.speed_m_h, str(trike.co2e_g_per_km)) == (120_000, 16_000, "4.5")


def test_shifts_are_on_delivery_days_in_the_region_s_own_time() -> None:
    load()

    starts = [shift.starts_at.astimezone(ZoneInfo("Europe/Berlin")) for shift in Shift.objects.all()]

    # Saturday and Monday; nobody drives on Sunday.
    assert Counter(start.date() for start in starts) == {SATURDAY: 12, date(2026, 3, 9): 12}
    assert min(start.time() for start in starts) == time(9)


def test_nobody_drives_longer_than_the_vehicle_may() -> None:
    load()

    longest = {(shift.vehicle.kind, shift.longest_run_s) for shift in Shift.objects.select_related("vehicle")}

    assert longest == {("bike", 6 * 3600), ("van", 8 * 3600)}


def test_a_locker_is_named_after_region_and_place() -> None:
    load(slug="hameln-pyrmont-20")

    names = set(Locker.objects.values_list("slug", flat=True))

    assert "hameln-pyrmont-20-hameln-pferdemarkt" in names
    assert max(map(len, names)) <= 50
    assert set(Locker.objects.values_list("namespace", flat=True)) == {"hameln-pyrmont-20"}


def test_several_regions_live_side_by_side() -> None:
    load(slug="one", num_residents=10)
    load(slug="two", num_residents=10)

    assert Shop.objects.filter(municipality__region__slug="two").count() == 60


# Residents


def test_residents_live_where_people_live_and_some_also_collect_elsewhere() -> None:
    load(num_residents=2_000)

    homes = Counter(Resident.objects.values_list("supply_point__village", flat=True))
    # 2,900 of 66,300 inhabitants: about 87 of 2,000 residents; 200 in Neersen: about 6.
    assert 50 <= homes["Afferde"] <= 130
    assert homes["Neersen"] <= 20
    assert 0.20 <= Resident.objects.exclude(alternatives=None).count() / 2_000 <= 0.30
    assert 0.06 <= Resident.objects.filter(needs_low_door=True).count() / 2_000 <= 0.10


def test_nobody_is_sent_far_to_collect_elsewhere() -> None:
    load()

    for resident in Resident.objects.exclude(alternatives=None).select_related("supply_point"):
        assert resident.supply_point is not None
        [other] = resident.alternatives.all()
        assert other != resident.supply_point
        assert distance_km(vars(resident.supply_point), vars(other)) <= 6.05


def test_the_same_seed_invents_the_same_residents() -> None:
    first, second, other = load(slug="a"), load(slug="b"), load(slug="c", seed=2)

    def people(loaded: regions.LoadedRegion) -> list[tuple[str, str]]:
        return [(resident.card_number, resident.name) for resident in loaded.residents]

    assert people(first) == people(second)
    assert people(first) != people(other)


def test_a_card_number_has_eight_digits_and_one_wrong_digit_shows() -> None:
    number = card_number(1_234_567)

    assert len(number) == 8
    for place in range(7):
        for digit in set("0123456789") - {number[place]}:
            wrong = number[:place] + digit + number[place + 1 :]
            assert card_number(int(wrong[:7])) != wrong


# What is refused


def test_a_region_is_not_loaded_over_another() -> None:
    load()
    before = {model: model._default_manager.count() for model in ROWS}

    with pytest.raises(RegionExists, match="There is a region hp already"):
        load(seed=2)

    assert {model: model._default_manager.count() for model in ROWS} == before


@pytest.mark.parametrize(
    ("file", "field", "value", "refusal"),
    [
        # Berlin, nowhere, and the far end of the world.
        ("shops.csv", "latitude", "52.52", OutsideRegion),
        ("supply_points.csv", "longitude", "nan", OutsideRegion),
        ("supply_points.csv", "longitude", "1000", BadRegionData),
        ("shops.csv", "latitude", "north", BadRegionData),
        ("shops.csv", "opens", "25:00", BadRegionData),
        ("shops.csv", "slug", "no slug", BadRegionData),
        ("shops.csv", "name", "", BadRegionData),
    ],
)
def test_one_bad_row_and_nothing_is_written(
    copied: Path, file: str, field: str, value: str, refusal: type[Exception]
) -> None:
    change_csv(copied / file, lambda row: row.update({field: value}))

    with pytest.raises(refusal):
        load(copied)

    assert [model.__name__ for model in ROWS if model._default_manager.exists()] == []


def test_a_refusal_names_the_row_and_the_field(copied: Path) -> None:
    change_csv(copied / "shops.csv", lambda row: row.update(closes="late"))

    with pytest.raises(BadRegionData, match="Dorfladen Thüster Blick: closes: "):
        load(copied)


def test_places_outside_their_municipality_are_refused_though_they_lie_in_the_region() -> None:
    load()
    aerzen, hameln = (Municipality.objects.get(name=name) for name in ("Aerzen", "Hameln"))

    regions.require_inside(hameln, 52.1046, 9.3569)
    with pytest.raises(OutsideRegion, match="The coordinates lie outside Aerzen"):
        regions.require_inside(aerzen, 52.1046, 9.3569)


# The command


def run_command(file: Path, **changes: Any) -> None:
    usual: dict[str, Any] = {"slug": "hp", "seed": 1, "residents": 50, "days": 1, "first_day": SATURDAY}
    call_command("load_region", credentials=file, **(usual | changes))


def test_the_command_writes_who_is_who_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"

    run_command(file)

    everyone = json.loads(file.read_text(encoding="utf-8"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {key: len(value) for key, value in everyone.items() if isinstance(value, list)} == {
        "shops": 60,
        "couriers": 14,
        "counters": 14,
        "residents": 50,
        "lockers": 44,
    }
    assert everyone["region"] == {"id": str(Region.objects.get().pk), "slug": "hp"}
    # Who stands by has no vehicle of their own.
    assert Counter(courier["vehicle_kind"] for courier in everyone["couriers"]) == {
        "bike": 8,
        "van": 4,
        None: 2,
    }
    assert ProvisioningToken.objects.count() == 44
    assert list(tmp_path.iterdir()) == [file]


def test_each_token_acts_for_exactly_one(tmp_path: Path) -> None:
    run_command(tmp_path / "credentials.json")

    everyone = json.loads((tmp_path / "credentials.json").read_text(encoding="utf-8"))

    roles = Counter(Membership.objects.values_list("role", flat=True))
    assert roles == {Role.DISPATCHER: 1, Role.SHOP: 60, Role.COURIER: 14, Role.COUNTER: 14, Role.RESIDENT: 50}
    assert User.objects.count() == AuthToken.objects.count() == sum(roles.values())
    assert not any(user.has_usable_password() for user in User.objects.all())
    for shop in everyone["shops"]:
        assert str(acting(shop["token"]).get().shop_id) == shop["id"]
    for resident in everyone["residents"]:
        assert str(acting(resident["token"]).get().resident_id) == resident["id"]
    assert acting(everyone["dispatcher"]["token"]).get().role == Role.DISPATCHER


def acting(token: str) -> Any:
    [found] = AuthToken.objects.filter(token_key=token[:15])
    return Membership.objects.filter(user=found.user)


def test_the_command_refuses_a_second_region_of_the_name_and_keeps_the_first_file(tmp_path: Path) -> None:
    run_command(tmp_path / "first.json")
    before = (tmp_path / "first.json").read_bytes()

    with pytest.raises(CommandError, match="There is a region hp already"):
        run_command(tmp_path / "first.json", seed=2)

    assert (tmp_path / "first.json").read_bytes() == before
    assert User.objects.count() == 139


def test_without_a_place_for_the_file_nothing_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        run_command(tmp_path / "missing" / "credentials.json")

    assert not Region.objects.exists()


@pytest.mark.parametrize("changes", [{"residents": "0"}, {"days": "-1"}, {"seed": "x"}])
def test_the_command_refuses_nonsense(tmp_path: Path, changes: dict[str, str]) -> None:
    [(name, value)] = changes.items()
    arguments = {"slug": "hp", "seed": "1", "residents": "5", "days": "1", "first-day": "2026-03-07"}

    with pytest.raises(CommandError, match=f"--{name}"):
        call_command(
            "load_region",
            *(f"--{key}={text}" for key, text in (arguments | {name: value}).items()),
            f"--credentials={tmp_path / 'credentials.json'}",
        )
