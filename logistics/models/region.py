"""The district and its places: municipalities, hubs, supply points, shops, zones."""

from typing import ClassVar
from uuid import uuid4

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from lockers.models import Locker
from logistics.models.principal import Principal


class Located(models.Model):
    """A place with WGS84 coordinates in degrees."""

    latitude = models.FloatField(validators=[MinValueValidator(-90), MaxValueValidator(90)])
    longitude = models.FloatField(validators=[MinValueValidator(-180), MaxValueValidator(180)])

    class Meta:
        abstract = True


class RegionQuerySet(models.QuerySet["Region"]):
    """Regions by who may see them."""

    def visible_to(self, principal: Principal) -> "RegionQuerySet":
        """Regions in which the principal has a role."""
        return self.filter(pk__in=principal.regions)


class Region(models.Model):
    """A district that one installation serves, with the prices its plans reckon with."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    timezone = models.CharField(max_length=50, default="Europe/Berlin")
    co2e_price_cents_per_kg = models.PositiveIntegerField(default=30)
    co2e_price_source = models.CharField(
        max_length=500, blank=True, help_text="Who chose the price, and why."
    )
    hold_hours = models.PositiveSmallIntegerField(default=48, help_text="How long goods wait in a locker.")

    objects = RegionQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Municipality(models.Model):
    """A town or municipality with its boundary."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="municipalities")
    ags = models.CharField("Amtlicher Gemeindeschlüssel", max_length=8)
    name = models.CharField(max_length=100)
    boundary = models.JSONField(help_text="GeoJSON geometry, WGS84.")

    class Meta:
        verbose_name_plural = "municipalities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["region", "ags"], name="one_municipality_per_region_and_ags")
        ]

    def __str__(self) -> str:
        return self.name

    def as_shape(self) -> BaseGeometry:
        """Return the boundary for shapely."""
        return shape(self.boundary)


class Zone(models.Model):
    """An area that some kinds of vehicle may not enter, such as a car-free centre."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="zones")
    name = models.CharField(max_length=100)
    area = models.JSONField(help_text="GeoJSON polygon, WGS84.")
    forbidden_kinds = models.JSONField(default=list, help_text='Kinds of vehicle, such as ["van"].')

    def __str__(self) -> str:
        return self.name


class Hub(Located):
    """Where vehicles start and end, and goods change vehicles."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="hubs")
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class SupplyPointQuerySet(models.QuerySet["SupplyPoint"]):
    """Supply points by who may see them."""

    def visible_to(self, principal: Principal) -> "SupplyPointQuerySet":
        """Supply points of the regions in which the principal has a role."""
        return self.filter(municipality__region__in=principal.regions)


class SupplyPoint(Located):
    """A village's place for goods: a locker, a staffed counter, or both."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    municipality = models.ForeignKey(Municipality, on_delete=models.CASCADE, related_name="supply_points")
    village = models.CharField(max_length=100)
    name = models.CharField(max_length=150)
    locker = models.OneToOneField(
        Locker, on_delete=models.PROTECT, null=True, blank=True, related_name="supply_point"
    )
    counter_opens = models.TimeField(null=True, blank=True)
    counter_closes = models.TimeField(null=True, blank=True)

    objects = SupplyPointQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(locker__isnull=False) | models.Q(counter_opens__isnull=False),
                name="supply_point_has_locker_or_counter",
            ),
            models.CheckConstraint(
                condition=models.Q(counter_opens=None, counter_closes=None)
                | models.Q(counter_opens__lt=models.F("counter_closes")),
                name="counter_opens_before_it_closes",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_counter(self) -> bool:
        """Tell whether staff hand out goods here."""
        return self.counter_opens is not None


class ShopQuerySet(models.QuerySet["Shop"]):
    """Shops by who may see them."""

    def visible_to(self, principal: Principal) -> "ShopQuerySet":
        """Shops of the principal's regions."""
        return self.filter(municipality__region__in=principal.regions)


class Shop(Located):
    """A shop of everyday goods that lists orders."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    municipality = models.ForeignKey(Municipality, on_delete=models.CASCADE, related_name="shops")
    slug = models.SlugField()
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=30)
    village = models.CharField(max_length=100)
    opens = models.TimeField()
    closes = models.TimeField()

    objects = ShopQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["municipality", "slug"], name="one_shop_per_municipality_and_slug"
            ),
            models.CheckConstraint(
                condition=models.Q(opens__lt=models.F("closes")), name="shop_opens_before_it_closes"
            ),
        ]

    def __str__(self) -> str:
        return self.name
