"""Admin pages: master data can be changed, rows with a state are there to be read."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from common.admin import ReadOnly
from logistics import models
from logistics.exceptions import OutsideRegion
from logistics.services.regions import require_inside


class InsideMunicipality(forms.ModelForm[Any]):
    """A place that must lie in its municipality."""

    def clean(self) -> dict[str, Any] | None:
        """Refuse coordinates outside the municipality."""
        values = super().clean() or self.cleaned_data
        if not {"municipality", "latitude", "longitude"} <= values.keys():
            return values
        try:
            require_inside(values["municipality"], values["latitude"], values["longitude"])
        except OutsideRegion as error:
            raise forms.ValidationError(str(error), code=error.code) from error
        return values


@admin.register(models.Region)
class RegionAdmin(admin.ModelAdmin[models.Region]):
    """Districts and their prices."""

    list_display = ("name", "slug", "hold_hours", "co2e_price_cents_per_kg")


@admin.register(models.Municipality)
class MunicipalityAdmin(admin.ModelAdmin[models.Municipality]):
    """Towns and municipalities."""

    list_display = ("name", "ags", "region")


@admin.register(models.Zone)
class ZoneAdmin(admin.ModelAdmin[models.Zone]):
    """Areas that some vehicles may not enter."""

    list_display = ("name", "region", "forbidden_kinds")


@admin.register(models.Hub)
class HubAdmin(admin.ModelAdmin[models.Hub]):
    """Where vehicles start."""

    list_display = ("name", "region")


@admin.register(models.SupplyPoint)
class SupplyPointAdmin(admin.ModelAdmin[models.SupplyPoint]):
    """Villages' places for goods."""

    form = InsideMunicipality
    list_display = ("name", "village", "municipality", "locker", "counter_opens", "counter_closes")
    list_select_related = ("municipality", "locker")
    search_fields = ("name", "village")


@admin.register(models.Shop)
class ShopAdmin(admin.ModelAdmin[models.Shop]):
    """Shops and their opening hours."""

    form = InsideMunicipality
    list_display = ("name", "kind", "village", "opens", "closes")
    search_fields = ("name", "village")


@admin.register(models.Vehicle)
class VehicleAdmin(admin.ModelAdmin[models.Vehicle]):
    """Cargo bikes and vans."""

    list_display = ("name", "kind", "hub", "payload_g", "range_m")
    list_select_related = ("hub",)


@admin.register(models.Courier)
class CourierAdmin(admin.ModelAdmin[models.Courier]):
    """People who drive."""

    list_display = ("name", "region", "is_volunteer")


@admin.register(models.Shift)
class ShiftAdmin(admin.ModelAdmin[models.Shift]):
    """When couriers drive."""

    list_display = ("courier", "vehicle", "starts_at", "ends_at")
    list_select_related = ("courier", "vehicle")


@admin.register(models.Resident)
class ResidentAdmin(admin.ModelAdmin[models.Resident]):
    """People who collect."""

    list_display = ("card_number", "name", "supply_point", "needs_low_door")
    list_select_related = ("supply_point",)
    search_fields = ("card_number", "name")
    filter_horizontal = ("alternatives",)


class MembershipInline(admin.TabularInline[models.Membership, models.User]):
    """What an account may do."""

    model = models.Membership
    extra = 0


@admin.register(models.User)
class AccountAdmin(UserAdmin[models.User]):
    """Accounts and their roles."""

    inlines = (MembershipInline,)


@admin.register(models.Pool)
class PoolAdmin(ReadOnly):
    """Pools."""

    list_display = ("delivery_date", "region", "state", "cutoff_at")
    list_filter = ("state",)


@admin.register(models.Order)
class OrderAdmin(ReadOnly):
    """Orders."""

    list_display = ("id", "shop", "pool", "supply_point", "created_at")
    list_select_related = ("shop", "pool", "supply_point")


@admin.register(models.Parcel)
class ParcelAdmin(ReadOnly):
    """Parcels and where they are."""

    list_display = ("id", "size", "temperature", "state", "state_since", "reason")
    list_filter = ("state", "temperature", "size")


@admin.register(models.Bundle)
class BundleAdmin(ReadOnly):
    """What lies together for one resident."""

    list_display = ("id", "supply_point", "temperature", "created_at")
    list_select_related = ("supply_point",)


@admin.register(models.Plan)
class PlanAdmin(ReadOnly):
    """Plans."""

    list_display = ("id", "pool", "state", "cost_cents", "num_carried", "num_left_out")
    list_select_related = ("pool",)


@admin.register(models.Run)
class RunAdmin(ReadOnly):
    """Runs."""

    list_display = ("letter", "pool", "vehicle", "state", "starts_at", "distance_m")
    list_select_related = ("pool", "vehicle")


@admin.register(models.Stop)
class StopAdmin(ReadOnly):
    """Stops."""

    list_display = ("run", "position", "kind", "state", "arrives_at")
    list_select_related = ("run",)


@admin.register(models.Message)
class MessageAdmin(ReadOnly):
    """What residents were told."""

    list_display = ("kind", "created_at", "sent_at")
