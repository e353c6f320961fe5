"""Rows of logistics, by aggregate."""

from logistics.models.fleet import Courier, Shift, Vehicle, VehicleKind
from logistics.models.orders import Bundle, Order, Parcel, ParcelReport
from logistics.models.people import Membership, Message, Resident, Role, User
from logistics.models.plans import Plan, Territory
from logistics.models.pools import Pool
from logistics.models.principal import NOBODY, Principal
from logistics.models.region import Hub, Municipality, Region, Shop, SupplyPoint, Zone
from logistics.models.runs import CourierReport, Handling, ReportKind, Run, Stop, StopKind

__all__ = (
    "NOBODY",
    "Bundle",
    "Courier",
    "CourierReport",
    "Handling",
    "Hub",
    "Membership",
    "Message",
    "Municipality",
    "Order",
    "Parcel",
    "ParcelReport",
    "Plan",
    "Pool",
    "Principal",
    "Region",
    "ReportKind",
    "Resident",
    "Role",
    "Run",
    "Shift",
    "Shop",
    "Stop",
    "StopKind",
    "SupplyPoint",
    "Territory",
    "User",
    "Vehicle",
    "VehicleKind",
    "Zone",
)
