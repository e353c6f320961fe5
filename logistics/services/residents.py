"""Residents: their card numbers, and invented ones for a demo."""

import random
from collections.abc import Mapping, Sequence
from itertools import permutations
from uuid import UUID

from django.db import transaction
from pyproj import Geod

from logistics.models import Region, Resident, SupplyPoint

#: Of invented residents: who also collects elsewhere, and who cannot reach a high door.
ALTERNATIVE_SHARE = 0.25
LOW_DOOR_SHARE = 0.08
#: As far as one goes to collect elsewhere, on the geodesic.
ALTERNATIVE_WITHIN_M = 6_000

_EARTH = Geod(ellps="WGS84")


def card_number(body: int) -> str:
    """Return the number with its check digit: ISO/IEC 7064, MOD 11,10, which finds every wrong digit."""
    product = 10
    for digit in str(body):
        product = 2 * ((int(digit) + product) % 10 or 10) % 11
    return f"{body}{(11 - product) % 10}"


@transaction.atomic
def invent(
    *,
    region: Region,
    supply_points: Sequence[SupplyPoint],
    inhabitants: Sequence[int],
    names: Mapping[str, Sequence[str]],
    num_residents: int,
    seed: int,
) -> list[Resident]:
    """Invent residents of a region, more where more people live; the same seed invents the same ones."""
    rng = random.Random(seed)  # noqa: S311 - invented people are no secret
    bodies = rng.sample(range(1_000_000, 10_000_000), num_residents)
    homes = rng.choices(supply_points, weights=inhabitants, k=num_residents)
    residents = Resident.objects.bulk_create(
        Resident(
            region=region,
            card_number=card_number(body),
            name=f"{rng.choice(names['first_names'])} {rng.choice(names['family_names'])}",
            supply_point=home,
            needs_low_door=rng.random() < LOW_DOOR_SHARE,
        )
        for body, home in zip(bodies, homes, strict=True)
    )
    _add_alternatives(residents, _neighbours(supply_points), rng)
    return residents


def _neighbours(supply_points: Sequence[SupplyPoint]) -> dict[UUID, list[SupplyPoint]]:
    near: dict[UUID, list[SupplyPoint]] = {point.pk: [] for point in supply_points}
    for one, other in permutations(supply_points, 2):
        _, _, distance_m = _EARTH.inv(one.longitude, one.latitude, other.longitude, other.latitude)
        if distance_m <= ALTERNATIVE_WITHIN_M:
            near[one.pk].append(other)
    return near


def _add_alternatives(
    residents: Sequence[Resident], near: Mapping[UUID, Sequence[SupplyPoint]], rng: random.Random
) -> None:
    links = Resident.alternatives.through
    links.objects.bulk_create(
        links(resident=resident, supplypoint=rng.choice(near[resident.supply_point_id]))
        for resident in residents
        if resident.supply_point_id and near[resident.supply_point_id] and rng.random() < ALTERNATIVE_SHARE
    )
