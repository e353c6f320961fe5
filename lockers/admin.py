"""Admin pages: master data can be changed, rows with a state are there to be read."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnly
from lockers import models
from lockers.selectors import profile_at


@admin.register(models.Locker)
class LockerAdmin(admin.ModelAdmin[models.Locker]):
    """Names of cabinets."""

    list_display = ("name", "slug", "namespace", "profile")
    search_fields = ("name", "slug")

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Locker]:
        """Return the lockers, each with what its device speaks."""
        return super().get_queryset(request).annotate(profile=profile_at("pk"))

    def profile(self, locker: models.Locker) -> str | None:
        """Tell what the device in service speaks."""
        return getattr(locker, "profile", None)


@admin.register(models.Compartment)
class CompartmentAdmin(ReadOnly):
    """Compartments and their doors."""

    list_display = ("locker", "number", "size", "temperature", "height", "state", "door")
    list_filter = ("state", "door", "size", "temperature")
    list_select_related = ("locker",)


@admin.register(models.Reservation)
class ReservationAdmin(ReadOnly):
    """Claims to compartments."""

    list_display = ("id", "locker", "compartment", "size", "temperature", "state", "expires_at", "hold_until")
    list_filter = ("state",)
    list_select_related = ("locker", "compartment")
    exclude = ("code",)


@admin.register(models.OpenCommand)
class OpenCommandAdmin(ReadOnly):
    """Attempts to open doors."""

    list_display = (
        "id",
        "compartment",
        "purpose",
        "state",
        "reason",
        "created_at",
        "detection_ms",
        "device__profile",
    )
    list_filter = ("state", "purpose", "device__profile")
    list_select_related = ("compartment", "device")


@admin.register(models.Device)
class DeviceAdmin(ReadOnly):
    """Devices and whether they can be reached."""

    list_display = ("id", "locker", "profile", "state", "last_seen_at", "provisioned_at", "retired_at")
    list_filter = ("profile", "state")
    list_select_related = ("locker",)


@admin.register(models.BasicSetup)
class BasicSetupAdmin(ReadOnly):
    """Basic devices and those to come: whether their clients know how their cabinets are wired."""

    list_display = ("id", "token__locker", "has_account", "sent_at", "applied_hash", "problem")
    list_select_related = ("token__locker",)


@admin.register(models.DeviceEvent)
class DeviceEventAdmin(ReadOnly):
    """What devices reported."""

    list_display = (
        "device",
        "device__profile",
        "boot_id",
        "seq",
        "kind",
        "received_at",
        "applied_at",
        "problem",
    )
    list_filter = ("kind", "device__profile")
    list_select_related = ("device",)


@admin.register(models.Alarm)
class AlarmAdmin(ReadOnly):
    """What called somebody to a locker."""

    list_display = (
        "locker",
        "device__profile",
        "compartment",
        "kind",
        "zone",
        "level",
        "raised_at",
        "escalated_at",
        "ended_at",
    )
    list_filter = ("kind", "level", "device__profile")
    list_select_related = ("locker", "compartment", "device")


@admin.register(models.ZoneReading)
class ZoneReadingAdmin(ReadOnly):
    """How warm it was last."""

    list_display = ("locker", "zone", "celsius_tenths", "read_at")
    list_filter = ("zone",)
    list_select_related = ("locker",)
