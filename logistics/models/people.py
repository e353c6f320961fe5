"""People: accounts, what they may act for, residents, and what residents are told."""

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar
from uuid import UUID, uuid4

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from common.prepared import Prepared
from logistics.models.fleet import Courier
from logistics.models.principal import Principal
from logistics.models.region import Region, Shop, SupplyPoint


class User(AbstractUser):
    """An account; what it may do follows from its memberships."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)

    @cached_property
    def principal(self) -> Principal:
        """What the account may act for, read once per request."""
        memberships = _OF_USER.all(user=self.pk)

        def of(role: Role, field: str) -> frozenset[UUID]:
            return frozenset(getattr(m, f"{field}_id") for m in memberships if m.role == role)

        return Principal(
            dispatches=of(Role.DISPATCHER, "region"),
            shops=of(Role.SHOP, "shop"),
            couriers=of(Role.COURIER, "courier"),
            counters=of(Role.COUNTER, "supply_point"),
            residents=of(Role.RESIDENT, "resident"),
            regions=frozenset(m.region_id for m in memberships),
        )


class ResidentQuerySet(models.QuerySet["Resident"]):
    """Residents by who may see them."""

    def visible_to(self, principal: Principal) -> "ResidentQuerySet":
        """Residents whom the principal is, or dispatches for."""
        return self.filter(Q(region__in=principal.dispatches) | Q(pk__in=principal.residents))


class Resident(models.Model):
    """A person who collects; needs neither account nor phone, only a card."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="residents")
    card_number = models.CharField(max_length=12)
    name = models.CharField(max_length=150)
    phone = models.CharField(max_length=30, blank=True)
    supply_point = models.ForeignKey(
        SupplyPoint, on_delete=models.PROTECT, null=True, blank=True, related_name="residents"
    )
    alternatives = models.ManyToManyField(
        SupplyPoint, blank=True, related_name="+", help_text="Where else the resident collects."
    )
    needs_low_door = models.BooleanField(default=False)

    objects = ResidentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["region", "card_number"], name="one_resident_per_card")
        ]

    def __str__(self) -> str:
        return f"Resident {self.card_number}"


class Role(models.TextChoices):
    """What an account does."""

    DISPATCHER = "dispatcher"
    SHOP = "shop"
    COURIER = "courier"
    COUNTER = "counter"
    RESIDENT = "resident"


def _only(role: str, filled: Iterable[str]) -> Q:
    links = ("shop", "courier", "supply_point", "resident")
    return Q(role=role, **{f"{link}__isnull": link not in filled for link in links})


class Membership(models.Model):
    """One role of one account, for exactly what the role is about."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    courier = models.ForeignKey(Courier, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    supply_point = models.ForeignKey(
        SupplyPoint, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    resident = models.ForeignKey(Resident, on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=_only("dispatcher", ())
                | _only("shop", ("shop",))
                | _only("courier", ("courier",))
                | _only("counter", ("supply_point",))
                | _only("resident", ("resident",)),
                name="membership_names_what_its_role_is_about",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"


_OF_USER = Prepared(lambda user: Membership.objects.filter(user=user), user=models.UUIDField())


class Message(models.Model):
    """Something a resident is told, once."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    resident = models.ForeignKey(Resident, on_delete=models.CASCADE, related_name="messages")
    kind = models.CharField(max_length=30)
    subject = models.UUIDField(help_text="The bundle or order that it is about.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subject", "kind", "resident"], name="nobody_is_told_twice")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
