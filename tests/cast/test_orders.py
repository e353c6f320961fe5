"""An invented day looks like a day of the district, and is the same day for the same seed."""

import csv
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cast.orders import ASSORTMENTS, OrderWish, distance_km, orders_of_the_day

FIXTURES = Path(__file__).parents[2] / "logistics" / "fixtures" / "hameln_pyrmont"
SEEDS = range(1, 11)


def read_csv(name: str) -> list[dict[str, str]]:
    with (FIXTURES / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def a_cast(*, num_residents: int = 900) -> dict[str, Any]:
    rng = random.Random(num_residents)
    points = read_csv("supply_points.csv")
    homes = rng.choices(points, weights=[int(point["inhabitants"]) for point in points], k=num_residents)
    return {
        "shops": [place(shop) | {"id": shop["slug"], "kind": shop["kind"]} for shop in read_csv("shops.csv")],
        "residents": [
            place(home)
            | {
                "card_number": f"{number:08}",
                "supply_point": home["slug"],
                "weight": rng.lognormvariate(0, 0.7),
            }
            for number, home in enumerate(homes)
        ],
    }


def place(row: dict[str, str]) -> dict[str, Any]:
    return {"latitude": float(row["latitude"]), "longitude": float(row["longitude"])}


@pytest.fixture(scope="module")
def cast() -> dict[str, Any]:
    return a_cast()


def ways_km(cast: dict[str, Any], orders: list[OrderWish]) -> list[float]:
    shops = {shop["id"]: shop for shop in cast["shops"]}
    residents = {resident["card_number"]: resident for resident in cast["residents"]}
    return [distance_km(residents[order.card_number], shops[order.shop]) for order in orders]


def test_the_same_seed_gives_the_same_day_and_another_seed_another(cast: dict[str, Any]) -> None:
    day = orders_of_the_day(cast, seed=1, count=300)

    assert orders_of_the_day(cast, seed=1, count=300) == day
    assert orders_of_the_day(cast, seed=2, count=300) != day


@pytest.mark.parametrize("count", [0, 1, 300])
def test_a_day_has_as_many_orders_as_asked_for(cast: dict[str, Any], count: int) -> None:
    assert len(orders_of_the_day(cast, seed=1, count=count)) == count


@pytest.mark.parametrize("seed", SEEDS)
def test_most_orders_come_from_within_10_km_and_a_few_from_further(cast: dict[str, Any], seed: int) -> None:
    ways = ways_km(cast, orders_of_the_day(cast, seed=seed, count=300))

    near = sum(way <= 10 for way in ways) / len(ways)
    assert 0.8 <= near < 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_weighs_what_the_fleet_was_sized_for(cast: dict[str, Any], seed: int) -> None:
    orders = orders_of_the_day(cast, seed=seed, count=300)

    weight_kg = sum(parcel.weight_g for order in orders for parcel in order.parcels) / 1_000
    # About 1.4 t on the mean.
    assert 1_150 <= weight_kg <= 1_750


def test_most_goods_are_ambient_and_small_and_some_are_cold(cast: dict[str, Any]) -> None:
    parcels = [
        parcel
        for seed in SEEDS
        for order in orders_of_the_day(cast, seed=seed, count=300)
        for parcel in order.parcels
    ]

    temperatures, sizes = Counter(p.temperature for p in parcels), Counter(p.size for p in parcels)
    assert temperatures["ambient"] > temperatures["chilled"] > temperatures["frozen"] > 0
    assert sizes["S"] + sizes["M"] > 0.75 * len(parcels)
    assert sizes["XL"] < 0.05 * len(parcels)


def test_every_parcel_is_one_that_its_shop_sells(cast: dict[str, Any]) -> None:
    kinds = {shop["id"]: shop["kind"] for shop in cast["shops"]}

    for order in orders_of_the_day(cast, seed=3, count=300):
        assortment = ASSORTMENTS[kinds[order.shop]]
        assert len(order.parcels) in {each["value"] for each in assortment["num_parcels"]}
        assert order.note in {"", *assortment["notes"]}
        for parcel in order.parcels:
            assert any(
                (parcel.size, parcel.temperature) == (kind["size"], kind["temperature"])
                and kind["min_weight_g"] <= parcel.weight_g <= kind["max_weight_g"]
                for kind in assortment["parcels"]
            )


def test_orders_are_listed_in_order_and_before_the_cut_off(cast: dict[str, Any]) -> None:
    minutes = [order.listed_minutes for order in orders_of_the_day(cast, seed=4, count=300)]

    assert minutes == sorted(minutes, reverse=True)
    assert minutes[-1] >= 2
    assert minutes[0] <= 180


def test_all_shops_have_something_to_do_within_a_few_days(cast: dict[str, Any]) -> None:
    orders = [order for seed in SEEDS for order in orders_of_the_day(cast, seed=seed, count=300)]

    assert {order.shop for order in orders} == {shop["id"] for shop in cast["shops"]}


def test_who_weighs_more_orders_more() -> None:
    cast = a_cast(num_residents=2)
    cast["residents"][0]["weight"], cast["residents"][1]["weight"] = 9, 1

    orders = Counter(order.card_number for order in orders_of_the_day(cast, seed=1, count=300))

    # 270 expected; 20 are four standard deviations.
    assert abs(orders[cast["residents"][0]["card_number"]] - 270) <= 20


def test_a_day_is_invented_at_once(cast: dict[str, Any]) -> None:
    started_s = time.perf_counter()

    orders_of_the_day(cast, seed=5, count=300)

    # Measured 0.02 s.
    assert time.perf_counter() - started_s < 0.3


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        # Hameln and Bad Pyrmont, as pyproj measures them on the ellipsoid: 14.9 km.
        ((52.1046, 9.3569), (51.9868, 9.2530), 14.9),
        ((52.1, 9.36), (52.1, 9.36), 0.0),
    ],
)
def test_distances_are_those_of_the_globe(
    one: tuple[float, float], other: tuple[float, float], km: float
) -> None:
    places = [{"latitude": latitude, "longitude": longitude} for latitude, longitude in (one, other)]

    assert distance_km(*places) == pytest.approx(km, rel=0.01)
