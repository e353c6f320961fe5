"""Admin pages: master data can be changed, rows with a state are there to be read."""

from django.contrib import admin

from common.admin import ReadOnly
from lockers import models


@admin.register(models.Locker)
class LockerAdmin(admin.ModelAdmin[models.Locker]):
    """Names of cabinets."""

    list_display = ("name", "slug", "namespace")
    search_fields = ("name", "slug")


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

    list_display = ("id", "compartment", "purpose", "state", "reason", "created_at", "detection_ms")
    list_filter = ("state", "purpose")
    list_select_related = ("compartment",)


@admin.register(models.Device)
class DeviceAdmin(ReadOnly):
    """Devices and whether they can be reached."""

    list_display = ("id", "locker", "state", "last_seen_at", "provisioned_at", "retired_at")
    list_filter = ("state",)
    list_select_related = ("locker",)


@admin.register(models.DeviceEvent)
class DeviceEventAdmin(ReadOnly):
    """What devices reported."""

    list_display = ("device", "boot_id", "seq", "kind", "received_at", "applied_at", "problem")
    list_filter = ("kind",)


@admin.register(models.Alarm)
class AlarmAdmin(ReadOnly):
    """What called somebody to a locker."""

    list_display = ("locker", "compartment", "kind", "zone", "level", "raised_at", "escalated_at", "ended_at")
    list_filter = ("kind", "level")
    list_select_related = ("locker", "compartment")


@admin.register(models.ZoneReading)
class ZoneReadingAdmin(ReadOnly):
    """How warm it was last."""

    list_display = ("locker", "zone", "celsius_tenths", "read_at")
    list_filter = ("zone",)
    list_select_related = ("locker",)
