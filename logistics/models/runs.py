"""Runs and stops: released routes, what is handled at each visit, and what couriers report."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from common.states import Stateful
from logistics.models.fleet import Courier, Vehicle
from logistics.models.orders import Parcel
from logistics.models.plans import Plan
from logistics.models.pools import Pool
from logistics.models.principal import Principal
from logistics.models.region import Hub, Shop, SupplyPoint
from logistics.states import RUN_TRANSITIONS, STOP_TRANSITIONS, RunState, StopState


class RunQuerySet(models.QuerySet["Run"]):
    """Runs by who may see them."""

    def visible_to(self, principal: Principal) -> "RunQuerySet":
        """Runs that the principal drives or dispatches, and planned runs of colleagues."""
        return self.filter(
            Q(pool__region__in=principal.dispatches)
            | Q(courier__in=principal.couriers)
            | Q(
                state=RunState.PLANNED,
                pool__region__in=Courier.objects.filter(pk__in=principal.couriers).values("region"),
            )
        )


class Run(Stateful):
    """A route given to a vehicle and a courier."""

    TRANSITIONS = RUN_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="runs")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="runs")
    letter = models.CharField(max_length=3, help_text="How people name it: A, B, …")
    vehicle = models.ForeignKey(Vehicle, on_delete=models.PROTECT, related_name="runs")
    courier = models.ForeignKey(Courier, on_delete=models.PROTECT, related_name="runs")
    state = models.CharField(max_length=9, choices=RunState.choices, default=RunState.PLANNED)
    starts_at = models.DateTimeField(help_text="As planned.")
    ends_at = models.DateTimeField(help_text="As planned.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    distance_m = models.PositiveIntegerField()
    cost_cents = models.PositiveIntegerField()
    cost_terms = models.JSONField(default=dict, help_text="Cents by term.")
    load_percent = models.PositiveSmallIntegerField(
        help_text="Fullest moment, by the scarcer of weight and volume."
    )
    created_at = models.DateTimeField()

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["courier"], condition=Q(state="under_way"), name="one_run_under_way_per_courier"
            ),
            models.UniqueConstraint(
                fields=["vehicle"], condition=Q(state="under_way"), name="one_run_under_way_per_vehicle"
            ),
            models.UniqueConstraint(fields=["pool", "letter"], name="one_run_per_pool_and_letter"),
        ]

    def __str__(self) -> str:
        return f"Run {self.letter}"


class StopKind(models.TextChoices):
    """What a visit is for."""

    START = "start"
    SHOP = "shop"
    SUPPLY_POINT = "supply_point"
    END = "end"


class Stop(Stateful):
    """One visit of a run at one place."""

    TRANSITIONS = STOP_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="stops")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=StopKind.choices)
    hub = models.ForeignKey(Hub, on_delete=models.PROTECT, null=True, related_name="+")
    shop = models.ForeignKey(Shop, on_delete=models.PROTECT, null=True, related_name="stops")
    supply_point = models.ForeignKey(SupplyPoint, on_delete=models.PROTECT, null=True, related_name="stops")
    arrives_at = models.DateTimeField(help_text="As planned.")
    departs_at = models.DateTimeField(help_text="As planned.")
    state = models.CharField(max_length=7, choices=StopState.choices, default=StopState.PLANNED)
    arrived_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["run", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "position"], name="one_stop_per_run_and_position"),
            models.CheckConstraint(
                condition=Q(kind__in=["start", "end"], hub__isnull=False, shop=None, supply_point=None)
                | Q(kind="shop", shop__isnull=False, hub=None, supply_point=None)
                | Q(kind="supply_point", supply_point__isnull=False, hub=None, shop=None),
                name="stop_is_at_one_place",
            ),
        ]

    def __str__(self) -> str:
        return f"Stop {self.position} of {self.run_id}"

    @property
    def place(self) -> Hub | Shop | SupplyPoint:
        """Where the stop is."""
        place = self.hub or self.shop or self.supply_point
        assert place is not None  # noqa: S101 - the constraint stop_is_at_one_place holds
        return place


class HandlingQuerySet(models.QuerySet["Handling"]):
    """Handlings by whether they are still meant."""

    def meant(self) -> "HandlingQuerySet":
        """Handlings of goods that were not taken on to another stop."""
        return self.filter(is_void=False)


class Handling(models.Model):
    """What happens to one parcel at one stop: loaded at a shop, unloaded at a supply point."""

    stop = models.ForeignKey(Stop, on_delete=models.CASCADE, related_name="handlings")
    parcel = models.ForeignKey(Parcel, on_delete=models.CASCADE, related_name="handlings")
    is_void = models.BooleanField(
        default=False, help_text="The goods go to another stop; kept for taps about this one that come late."
    )

    objects = HandlingQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["stop", "parcel"], name="one_handling_per_stop_and_parcel")
        ]

    def __str__(self) -> str:
        return f"{self.parcel_id} at {self.stop_id}"


class ReportKind(models.TextChoices):
    """What a courier says about a stop."""

    ARRIVED = "arrived"
    LOADED = "loaded"
    EMPTY = "empty"
    DEPOSITED = "deposited"
    PROBLEM = "problem"


class CourierReport(models.Model):
    """One tap of a courier, stored as it came and applied once."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="reports")
    stop = models.ForeignKey(Stop, on_delete=models.CASCADE, related_name="reports")
    key = models.UUIDField(help_text="Made by the courier's device; names the tap.")
    kind = models.CharField(max_length=9, choices=ReportKind.choices)
    reason = models.CharField(max_length=20, blank=True)
    compartment_number = models.PositiveSmallIntegerField(
        null=True, help_text="The door that the tap is about, where the courier's device said so."
    )
    parcels = models.ManyToManyField(Parcel, related_name="courier_reports")
    made_at = models.DateTimeField(help_text="When the courier tapped, by the device's clock.")
    received_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "key"], name="one_report_per_run_and_key")
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.stop_id}"
