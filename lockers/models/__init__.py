"""Rows of the lockers app, by aggregate."""

from lockers.models.alarms import Alarm, ZoneReading
from lockers.models.basic import BasicSetup
from lockers.models.cabinets import Compartment, Locker
from lockers.models.codes import CodeMask, CodeThrottle, LockerCode
from lockers.models.commands import OpenCommand
from lockers.models.devices import Device, DeviceBoot, DeviceEvent, ProvisioningToken
from lockers.models.reservations import Reservation

__all__ = [
    "Alarm",
    "BasicSetup",
    "CodeMask",
    "CodeThrottle",
    "Compartment",
    "Device",
    "DeviceBoot",
    "DeviceEvent",
    "Locker",
    "LockerCode",
    "OpenCommand",
    "ProvisioningToken",
    "Reservation",
    "ZoneReading",
]
