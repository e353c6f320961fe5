"""What drives, who drives, and when."""

from typing import ClassVar
from uuid import uuid4

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from logistics.models.region import Hub, Region


class VehicleKind(models.TextChoices):
    """Kinds of vehicle; each is a profile of the travel model."""

    BIKE = "bike"
    VAN = "van"


class Vehicle(models.Model):
    """A shared cargo bike or van."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    hub = models.ForeignKey(Hub, on_delete=models.PROTECT, related_name="vehicles")
    name = models.CharField(max_length=50)
    kind = models.CharField(max_length=5, choices=VehicleKind.choices)
    payload_g = models.PositiveIntegerField()
    volume_cm3 = models.PositiveIntegerField()
    chilled_cm3 = models.PositiveIntegerField(default=0)
    frozen_cm3 = models.PositiveIntegerField(default=0)
    range_m = models.PositiveIntegerField(null=True, blank=True, help_text="Per charge or tank.")
    speed_m_h = models.PositiveIntegerField(
        validators=[MinValueValidator(1_000), MaxValueValidator(200_000)],
        help_text="Metres per hour over ground on the district's roads.",
    )
    fixed_cost_cents = models.PositiveIntegerField(help_text="Per run.")
    cost_per_km_cents = models.PositiveIntegerField()
    cost_per_hour_cents = models.PositiveIntegerField()
    co2e_g_per_km = models.DecimalField(
        max_digits=6,
        decimal_places=1,
        validators=[MinValueValidator(0)],
        help_text="Grams of CO2e per kilometre.",
    )
    co2e_source = models.CharField(max_length=300, help_text="Where the factor comes from.")
    co2e_year = models.PositiveSmallIntegerField(help_text="Year that the factor is about.")

    def __str__(self) -> str:
        return self.name


class Courier(models.Model):
    """A person who drives runs, employed or volunteer."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="couriers")
    name = models.CharField(max_length=100)
    is_volunteer = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"Courier {self.pk}"


class Shift(models.Model):
    """When a courier drives a vehicle; half-open."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    courier = models.ForeignKey(Courier, on_delete=models.CASCADE, related_name="shifts")
    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, related_name="shifts")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    longest_run_s = models.PositiveIntegerField(help_text="Longest run in seconds.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(starts_at__lt=models.F("ends_at")), name="shift_starts_before_it_ends"
            ),
            models.UniqueConstraint(fields=["vehicle", "starts_at"], name="one_shift_per_vehicle_and_start"),
            models.UniqueConstraint(fields=["courier", "starts_at"], name="one_shift_per_courier_and_start"),
        ]

    def __str__(self) -> str:
        return f"{self.vehicle_id} from {self.starts_at}"
