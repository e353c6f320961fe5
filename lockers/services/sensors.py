"""What a cabinet's sensors report, and the alarms that follow; the locker is locked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lockers.alarms import ENOUGH_BATTERY_PERCENT, LIMITS, LOW_BATTERY_PERCENT, AlarmKind
from lockers.models import Device, ZoneReading
from lockers.services import alarms
from lockers.sizes import Temperature


def note_tamper(device: Device, data: Mapping[str, Any], *, at: datetime, real_at: datetime) -> None:
    """Note that somebody meddles with the cabinet, or no longer does."""
    if data["active"]:
        alarms.raise_alarm(AlarmKind.TAMPER, device=device, at=at, real_at=real_at)
    else:
        alarms.end(device.locker.alarms.filter(kind=AlarmKind.TAMPER), at=at, real_at=real_at)


def note_temperature(device: Device, data: Mapping[str, Any], *, at: datetime, real_at: datetime) -> None:
    """Note how warm it is in a zone; between a limit and what is safely within it nothing changes."""
    zone, celsius_tenths = Temperature(data["zone"]), data["celsius_tenths"]
    if celsius_tenths is None:
        # The sensor failed: nobody knows whether the goods are safe.
        facts = {"celsius_tenths": None}
        alarms.raise_alarm(
            AlarmKind.TEMPERATURE, device=device, zone=zone, facts=facts, at=at, real_at=real_at
        )
        return
    ZoneReading.objects.bulk_create(
        [ZoneReading(locker=device.locker, zone=zone, celsius_tenths=celsius_tenths, read_at=real_at)],
        update_conflicts=True,
        unique_fields=["locker", "zone"],
        update_fields=["celsius_tenths", "read_at"],
    )
    limit = LIMITS[zone].broken_by(celsius_tenths)
    if limit is not None:
        alarms.raise_alarm(
            AlarmKind.TEMPERATURE,
            device=device,
            zone=zone,
            facts={"celsius_tenths": celsius_tenths, "limit_tenths": limit},
            at=at,
            real_at=real_at,
        )
    elif LIMITS[zone].safely_hold(celsius_tenths):
        own = device.locker.alarms.filter(kind=AlarmKind.TEMPERATURE, zone=zone)
        alarms.end(own, at=at, real_at=real_at)


def note_power(device: Device, data: Mapping[str, Any], *, at: datetime, real_at: datetime) -> None:
    """Note what the cabinet lives on; a charge that the device does not know changes nothing."""
    percent = data["percent"]
    if data["source"] == "mains":
        is_low, is_enough = False, True
    else:
        is_low = percent is not None and percent < LOW_BATTERY_PERCENT
        is_enough = percent is not None and percent >= ENOUGH_BATTERY_PERCENT
    if is_low:
        facts = {"percent": percent}
        alarms.raise_alarm(AlarmKind.LOW_BATTERY, device=device, facts=facts, at=at, real_at=real_at)
    elif is_enough:
        alarms.end(device.locker.alarms.filter(kind=AlarmKind.LOW_BATTERY), at=at, real_at=real_at)
