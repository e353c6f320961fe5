"""Routes of the lower bound's relaxation as tours that can be driven."""

from collections.abc import Sequence

from optimizer.bound.pricing import Path
from optimizer.day import Day, Leg
from optimizer.insertion import Tour, repaired
from optimizer.shipments import shipment_of


def tour_of(day: Day, path: Path) -> Tour:
    """Return what a vehicle can do of a route; it may carry less, as the relaxation knows fewer limits."""
    return repaired(day.classes[path.vehicle], _legs(day, path))


def _legs(day: Day, path: Path) -> list[Leg]:
    """Return the legs of a route: each order rides as short as it can."""
    loaded: dict[int, list[Leg]] = {}
    delivered: dict[int, list[Leg]] = {}
    for order, option in path.orders:
        *pickup, delivery = shipment_of(day, [order], [option]).legs()
        shop = pickup[0].place if pickup else None
        first, last = _shortest_ride(path.places, shop, delivery.place)
        delivered.setdefault(last, []).append(delivery)
        loaded.setdefault(first, []).extend(pickup)
    positions = range(-1, len(path.places))
    return [leg for position in positions for legs in (delivered, loaded) for leg in legs.get(position, ())]


def _shortest_ride(places: Sequence[int], shop: int | None, point: int) -> tuple[int, int]:
    """Return the positions of a shop and a point with the fewest places in between, -1 for no shop."""
    left, rides = -1, []
    for position, place in enumerate(places):
        if place == point and (left >= 0 or shop is None):
            rides.append((position - left, left, position))
        if place == shop:
            left = position
    _, first, last = min(rides)
    return first, last
