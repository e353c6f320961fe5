"""Who is who in a loaded region, and how each of them signs in."""

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from lockers.services import devices
from logistics.models import Role
from logistics.services import accounts
from logistics.services.accounts import AccountSpec
from logistics.services.regions import LoadedRegion

#: Spread of how often residents order; at 0.7 the busiest tenth places a good quarter of the orders.
WEIGHT_SIGMA = 0.7


@transaction.atomic
def issue(loaded: LoadedRegion, *, seed: int, real_at: datetime) -> dict[str, Any]:
    """
    Open an account for everyone in a region, and return who is who with a token each.

    Lockers get a one-time token that brings their device into service; ``real_at`` is a real moment. The
    ``weight`` of residents says how often they order, compared with each other; it is drawn with the seed.
    """
    specs = list(_accounts(loaded))
    users = accounts.open_accounts(specs)
    tokens = {spec.subject_id: accounts.issue_token(user) for spec, user in zip(specs, users, strict=True)}
    return {
        "region": {"id": str(loaded.region.pk), "slug": loaded.region.slug},
        "dispatcher": {"token": tokens[loaded.region.pk]},
        "shops": _shops(loaded, tokens),
        "couriers": _couriers(loaded, tokens),
        "counters": [
            {"supply_point": str(point.pk), "token": tokens[point.pk]}
            for point in loaded.supply_points
            if point.has_counter
        ],
        "residents": _residents(loaded, tokens, seed=seed),
        "lockers": [
            {
                "slug": point.locker.slug,
                "supply_point": str(point.pk),
                "token": devices.issue_token(point.locker, real_at=real_at),
            }
            for point in loaded.supply_points
            if point.locker
        ],
    }


def _accounts(loaded: LoadedRegion) -> Iterator[AccountSpec]:
    region = loaded.region
    yield AccountSpec(username=f"{region.slug}-dispatcher", role=Role.DISPATCHER, region=region)
    for shop in loaded.shops:
        yield AccountSpec(username=f"{region.slug}-{shop.slug}", role=Role.SHOP, region=region, shop=shop)
    for number, courier in enumerate(loaded.couriers, start=1):
        yield AccountSpec(
            username=f"{region.slug}-courier-{number}", role=Role.COURIER, region=region, courier=courier
        )
    for number, point in enumerate(loaded.supply_points, start=1):
        if point.has_counter:
            yield AccountSpec(
                username=f"{region.slug}-counter-{number}",
                role=Role.COUNTER,
                region=region,
                supply_point=point,
            )
    for resident in loaded.residents:
        yield AccountSpec(
            username=f"{region.slug}-{resident.card_number}",
            role=Role.RESIDENT,
            region=region,
            resident=resident,
        )


def _shops(loaded: LoadedRegion, tokens: dict[UUID, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(shop.pk),
            "slug": shop.slug,
            "kind": shop.kind,
            "latitude": shop.latitude,
            "longitude": shop.longitude,
            "token": tokens[shop.pk],
        }
        for shop in loaded.shops
    ]


def _couriers(loaded: LoadedRegion, tokens: dict[UUID, str]) -> list[dict[str, Any]]:
    """List the couriers with the kind of vehicle of their shifts; those who stand by have none."""
    kinds = {shift.courier_id: shift.vehicle.kind for shift in loaded.shifts}
    return [
        {"id": str(courier.pk), "token": tokens[courier.pk], "vehicle_kind": kinds.get(courier.pk)}
        for courier in loaded.couriers
    ]


def _residents(loaded: LoadedRegion, tokens: dict[UUID, str], *, seed: int) -> list[dict[str, Any]]:
    """List the residents; each lives where they collect, for no address of theirs is known."""
    rng = random.Random(seed)  # noqa: S311 - how often somebody orders is no secret
    return [
        {
            "id": str(resident.pk),
            "card_number": resident.card_number,
            "supply_point": str(home.pk),
            "latitude": home.latitude,
            "longitude": home.longitude,
            "weight": round(rng.lognormvariate(0, WEIGHT_SIGMA), 3),
            "token": tokens[resident.pk],
        }
        for resident in loaded.residents
        if (home := resident.supply_point)
    ]
