"""Ruin and recreate: take related orders out of the best plan, and insert them anew."""

from random import Random

from optimizer.day import Shipment
from optimizer.search import Search

#: Shipments that are taken out and inserted anew at once, at most.
MAX_REMOVED = 25


def recreate(search: Search, random: Random) -> None:
    """
    Take related orders out of the best plan and insert them anew, each at whatever option is cheapest [1]_.

    This is the only step that changes where an order goes once routes exist.

    References
    ----------
    .. [1] Schrimpf, G., et al. (2000). Record breaking optimization results using the ruin and recreate
           principle. *Journal of Computational Physics*, 159(2), 139-171.
           https://doi.org/10.1006/jcph.1999.6413
    """
    removed = _related(search, random)
    plan = search.plan_without(removed)
    waiting = sorted({*removed, *search.left_out()}, key=lambda order: (random.random(), order))
    for order in waiting:
        if search.should_stop():
            return
        search.insert(plan, order)
    search.adopt(search.columns(plan.tours))


def _related(search: Search, random: Random) -> set[int]:
    """Return some carried orders that begin and end near each other, with all that share a shipment."""
    shipments = [s for column in search.incumbent for s in column.shipments]
    if not shipments:
        return set()
    seed = random.choice(shipments)
    distance_m = search.day.classes[0].network.distance_m

    def unrelated(other: Shipment) -> float:
        apart = distance_m[seed.pickup_place][other.pickup_place]
        apart += distance_m[seed.delivery_place][other.delivery_place]
        return apart * (0.5 + random.random())

    count = random.randint(1, min(MAX_REMOVED, len(shipments)))
    return {order for s in sorted(shipments, key=unrelated)[:count] for order in s.orders}
