"""Orders, their parcels, the reports from which a parcel's state follows, and bundles."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from lockers.models import Reservation
from lockers.sizes import Size, Temperature
from logistics.models.people import Resident
from logistics.models.pools import Pool
from logistics.models.principal import Principal
from logistics.models.region import Shop, SupplyPoint
from logistics.states import ParcelState, worst


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders by who may see them."""

    def visible_to(self, principal: Principal) -> "OrderQuerySet":
        """Orders that the principal listed, receives, hands out, or dispatches."""
        return self.filter(
            Q(pool__region__in=principal.dispatches)
            | Q(shop__in=principal.shops)
            | Q(resident__in=principal.residents)
        )


class Order(models.Model):
    """Goods of one shop for one resident."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    shop = models.ForeignKey(Shop, on_delete=models.PROTECT, related_name="orders")
    resident = models.ForeignKey(Resident, on_delete=models.PROTECT, related_name="orders")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="orders")
    supply_point = models.ForeignKey(SupplyPoint, on_delete=models.PROTECT, related_name="orders")
    note = models.CharField(max_length=200, blank=True)
    ready_at = models.DateTimeField(help_text="When the shop has the goods ready.")
    missed_cutoff_at = models.DateTimeField(
        null=True, help_text="The cut-off that the order came too late for."
    )
    created_at = models.DateTimeField()

    objects = OrderQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["created_at", "id"], name="order_by_age")]

    def __str__(self) -> str:
        return f"Order {self.pk}"

    @property
    def state(self) -> ParcelState:
        """The state under which the order counts: that of its worst parcel."""
        return worst(parcel.state for parcel in self.parcels.all())


class Bundle(models.Model):
    """One resident's parcels of one pool, supply point and temperature that fit behind one door."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="bundles")
    resident = models.ForeignKey(Resident, on_delete=models.PROTECT, related_name="bundles")
    supply_point = models.ForeignKey(SupplyPoint, on_delete=models.PROTECT, related_name="bundles")
    temperature = models.CharField(max_length=8, choices=Temperature.choices)
    reservation = models.OneToOneField(
        Reservation,
        on_delete=models.PROTECT,
        null=True,
        related_name="bundle",
        help_text="None at a counter.",
    )
    created_at = models.DateTimeField()

    objects = models.Manager()

    def __str__(self) -> str:
        return f"Bundle {self.pk}"


class Parcel(models.Model):
    """One labelled crate, bag or box of an order."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="parcels")
    number = models.PositiveSmallIntegerField()
    size = models.CharField(max_length=2, choices=Size.choices)
    temperature = models.CharField(max_length=8, choices=Temperature.choices)
    weight_g = models.PositiveIntegerField()
    bundle = models.ForeignKey(Bundle, on_delete=models.SET_NULL, null=True, related_name="parcels")
    state = models.CharField(
        max_length=10, choices=ParcelState.choices, default=ParcelState.LISTED, db_index=True
    )
    state_since = models.DateTimeField()
    reason = models.CharField(max_length=40, blank=True, help_text="Why it was deferred, as a code.")
    reason_text = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["order", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "number"], name="one_parcel_per_order_and_number"),
            models.CheckConstraint(condition=Q(weight_g__gt=0), name="parcel_weighs_something"),
        ]

    def __str__(self) -> str:
        return f"Parcel {self.pk}"

    @property
    def sticker(self) -> str:
        """What people tell it by: the beginning of its order's identifier, and its number."""
        return f"{str(self.order_id)[:8].upper()}-{self.number}"


class ParcelReport(models.Model):
    """Somebody's word, or a device's, that a parcel is now in another state."""

    id = models.BigAutoField(primary_key=True)
    parcel = models.ForeignKey(Parcel, on_delete=models.CASCADE, related_name="reports")
    to = models.CharField(max_length=10, choices=ParcelState.choices)
    made_at = models.DateTimeField(help_text="When it was made; decides the order.")
    received_at = models.DateTimeField()
    source = models.CharField(max_length=10)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["parcel", "made_at"], name="report_by_parcel_and_moment")]

    def __str__(self) -> str:
        return f"{self.parcel_id} {self.to}"
