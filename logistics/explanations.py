"""What a plan says about itself, with the names that people know in place of identifiers."""

from collections.abc import Mapping
from typing import Any

from logistics import planning
from logistics.models import Pool, Shift, Shop, SupplyPoint
from optimizer.explain.wording import price_in_words, remedy_in_words
from optimizer.solution import Solution


def in_words(document: Mapping[str, Any], solution: Solution, pool: Pool) -> dict[str, Any]:
    """
    Return the document of a solution with remedies and prices said in people's words.

    Identifiers stay what they are outside of sentences, so the document can still be read as a solution.
    """
    names = _names(pool)
    left_out = zip(document["left_out"], solution.left_out, strict=True)
    prices = zip(document["prices"], solution.prices, strict=True)
    return {
        **document,
        "left_out": [
            {
                **row,
                "remedies": [
                    {**one, "sentence": remedy_in_words(remedy, names)}
                    for one, remedy in zip(row["remedies"], left.remedies, strict=True)
                ],
            }
            for row, left in left_out
        ],
        "prices": [{**row, "sentence": price_in_words(price, names)} for row, price in prices],
    }


def _names(pool: Pool) -> dict[str, str]:
    """Return the names of shops, supply points and shifts by what the optimizer calls them."""
    shops = Shop.objects.filter(municipality__region=pool.region_id)
    points = SupplyPoint.objects.filter(municipality__region=pool.region_id)
    shifts = Shift.objects.filter(
        vehicle__hub__region=pool.region_id,
        starts_at__lt=pool.deliver_until,
        ends_at__gt=pool.loading_from,
    )
    return {
        **{planning.shop_place(shop): shop.name for shop in shops},
        **{planning.locker_place(point): point.name for point in points},
        **{planning.counter_place(point): f"the counter of {point.name}" for point in points},
        **{str(shift.pk): shift.vehicle.name for shift in shifts.select_related("vehicle")},
    }
