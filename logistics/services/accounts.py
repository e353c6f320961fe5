"""Accounts: opened for one role each, with tokens in place of passwords."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from knox.models import AuthToken

from logistics.models import Courier, Membership, Region, Resident, Role, Shop, SupplyPoint, User


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """An account to open: its name, and the one role that it is for."""

    username: str
    role: Role
    region: Region
    shop: Shop | None = None
    courier: Courier | None = None
    supply_point: SupplyPoint | None = None
    resident: Resident | None = None

    @property
    def subject_id(self) -> UUID:
        """Return the identifier of what the role is about."""
        subject = self.shop or self.courier or self.supply_point or self.resident or self.region
        return subject.pk


def open_account(
    *,
    username: str,
    role: Role,
    region: Region,
    shop: Shop | None = None,
    courier: Courier | None = None,
    supply_point: SupplyPoint | None = None,
    resident: Resident | None = None,
) -> User:
    """Open an account without a password for one role."""
    spec = AccountSpec(
        username=username,
        role=role,
        region=region,
        shop=shop,
        courier=courier,
        supply_point=supply_point,
        resident=resident,
    )
    return open_accounts([spec])[0]


@transaction.atomic
def open_accounts(specs: Iterable[AccountSpec]) -> list[User]:
    """Open many accounts at once, in the order given."""
    specs = list(specs)
    users = User.objects.bulk_create(
        User(username=spec.username, password=make_password(None)) for spec in specs
    )
    Membership.objects.bulk_create(
        Membership(
            user=user,
            region=spec.region,
            role=spec.role,
            shop=spec.shop,
            courier=spec.courier,
            supply_point=spec.supply_point,
            resident=spec.resident,
        )
        for user, spec in zip(users, specs, strict=True)
    )
    return users


def issue_token(user: User) -> str:
    """Return a new token for the API; only its digest is kept."""
    _, token = AuthToken.objects.create(user=user)
    return str(token)
