"""Accounts of devices at the broker: what a device is told, and what the broker is to be told."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from common import intents
from lockers.models import Device

#: Intents to let a device in, and to keep one out that was retired.
ADMIT = "lockers.admit_device"
EXPEL = "lockers.expel_device"
#: The port of MQTT over TLS.
DEFAULT_PORT = 8883


def access(device: Device) -> Mapping[str, Any] | None:
    """Return where a device finds the broker and how it logs in; nothing if there is none."""
    if not settings.MQTT_URL:
        return None
    address = urlsplit(settings.MQTT_DEVICE_URL or settings.MQTT_URL)
    return {
        "host": address.hostname,
        "port": address.port or DEFAULT_PORT,
        "username": str(device.pk),
        "password": password_of(device),
    }


def password_of(device: Device) -> str:
    """
    Return a device's password.

    It follows from the identity and a key that is kept outside the database: whoever reads the database
    cannot log in, and no device ever gets the password of another.
    """
    digest = hmac.new(_key(), device.pk.bytes, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def ask_to_admit(device: Device) -> None:
    """See to it that the broker lets a device in, once the present transaction is done."""
    if settings.MQTT_URL:
        intents.ask(ADMIT, key=str(device.pk), device_id=str(device.pk))


def ask_to_expel(device: Device) -> None:
    """See to it that the broker keeps a device out, once the present transaction is done."""
    if settings.MQTT_URL:
        intents.ask(EXPEL, key=str(device.pk), device_id=str(device.pk))


@cache
def _key() -> bytes:
    return base64.b64decode(settings.LOCKER_MQTT_KEY)
