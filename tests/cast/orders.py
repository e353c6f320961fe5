"""
The orders of an ordinary day, invented from a seed.

A resident orders as often as their weight says, at a shop that lies near and is of a kind that many order
from: a shop ``km`` away weighs ``odds * (exp(-(km / reach)²) + FAR)``.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[2] / "logistics" / "fixtures" / "hameln_pyrmont" / "assortments.json"
ASSORTMENTS: Mapping[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))["kinds"]

#: What a shop out of reach still weighs, so that some orders come from far.
FAR = 0.004
#: Orders are listed from three hours before the cut-off to two minutes before it, most in the last hour.
EARLIEST_MINUTES, USUAL_MINUTES, LATEST_MINUTES = 180, 40, 2
EARTH_RADIUS_KM = 6_371.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelWish:
    """One crate, bag or box, as the API takes it."""

    size: str
    temperature: str
    weight_g: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWish:
    """What a clerk is going to list for a resident, and when."""

    shop: str
    card_number: str
    parcels: tuple[ParcelWish, ...]
    note: str
    listed_minutes: int
    """Minutes before the cut-off."""


def orders_of_the_day(credentials: Mapping[str, Any], *, seed: int, count: int) -> list[OrderWish]:
    """Return the day's orders in the order in which they are listed; the same seed gives the same day."""
    rng = random.Random(seed)
    shops, residents = credentials["shops"], credentials["residents"]
    weights: dict[str, list[float]] = {}
    orders = []
    for resident in rng.choices(residents, weights=[each["weight"] for each in residents], k=count):
        home = resident["supply_point"]
        if home not in weights:
            weights[home] = [attraction(resident, shop) for shop in shops]
        [shop] = rng.choices(shops, weights=weights[home])
        orders.append(_order(shop, resident, rng))
    return sorted(orders, key=lambda order: -order.listed_minutes)


def attraction(resident: Mapping[str, Any], shop: Mapping[str, Any]) -> float:
    """Return how much a shop weighs in a resident's choice."""
    assortment = ASSORTMENTS[shop["kind"]]
    nearness = math.exp(-((distance_km(resident, shop) / assortment["typical_reach_km"]) ** 2))
    return float(assortment["order_odds"] * (nearness + FAR))


def distance_km(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the length of the great circle between two places."""
    lat_1, lon_1, lat_2, lon_2 = map(
        math.radians, (one["latitude"], one["longitude"], other["latitude"], other["longitude"])
    )
    half_chord = math.hypot(
        math.sin((lat_2 - lat_1) / 2),
        math.sqrt(math.cos(lat_1) * math.cos(lat_2)) * math.sin((lon_2 - lon_1) / 2),
    )
    return 2 * EARTH_RADIUS_KM * math.asin(half_chord)


def _order(shop: Mapping[str, Any], resident: Mapping[str, Any], rng: random.Random) -> OrderWish:
    assortment = ASSORTMENTS[shop["kind"]]
    num_parcels = _drawn(assortment["num_parcels"], rng)["value"]
    has_note = rng.random() < assortment["note_share"]
    return OrderWish(
        shop=shop["id"],
        card_number=resident["card_number"],
        parcels=tuple(_parcel(_drawn(assortment["parcels"], rng), rng) for _ in range(num_parcels)),
        note=rng.choice(assortment["notes"]) if has_note else "",
        listed_minutes=round(rng.triangular(LATEST_MINUTES, EARLIEST_MINUTES, USUAL_MINUTES)),
    )


def _parcel(kind: Mapping[str, Any], rng: random.Random) -> ParcelWish:
    return ParcelWish(
        size=kind["size"],
        temperature=kind["temperature"],
        weight_g=rng.randint(kind["min_weight_g"], kind["max_weight_g"]),
    )


def _drawn(choices: Sequence[Mapping[str, Any]], rng: random.Random) -> Mapping[str, Any]:
    [chosen] = rng.choices(choices, weights=[choice["odds"] for choice in choices])
    return chosen
