"""Accounts of devices at the broker: what a device is told, and what the broker is to be told."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings

from common import intents
from lockers.models import BasicSetup, Device

#: Intents to let a device in, and to keep one out that was retired.
ADMIT = "lockers.admit_device"
EXPEL = "lockers.expel_device"
#: The same for one that is to become a basic device, and may do no more than ask for its own account.
ADMIT_NEWCOMER = "lockers.admit_newcomer"
EXPEL_NEWCOMER = "lockers.expel_newcomer"
#: The port of MQTT over TLS.
DEFAULT_PORT = 8883


def access(device: Device) -> Mapping[str, Any] | None:
    """Return where a device finds the broker and how it logs in; nothing if there is none."""
    if not settings.MQTT_URL:
        return None
    return {**_place(), "username": str(device.pk), "password": password_of(device)}


def newcomer_access(setup: BasicSetup) -> Mapping[str, Any]:
    """Return where a basic device to come finds the broker, and how it logs in to ask for its account."""
    return {
        **_place(),
        "client_id": str(setup.pk),
        "username": newcomer_name(setup.pk),
        "password": newcomer_password(setup.pk),
    }


def password_of(device: Device) -> str:
    """
    Return a device's password.

    It follows from the identity and a key that is kept outside the database: whoever reads the database
    cannot log in, and no device ever gets the password of another.
    """
    return _password(device.pk.bytes)


def newcomer_name(setup_id: UUID) -> str:
    """Return the name of the account with which a basic device to come asks for its own."""
    return f"newcomer-{setup_id}"


def newcomer_password(setup_id: UUID) -> str:
    """Return the password of that account."""
    return _password(b"newcomer" + setup_id.bytes)


def ask_to_admit(device: Device) -> None:
    """See to it that the broker lets a device in, once the present transaction is done."""
    if settings.MQTT_URL:
        intents.ask(ADMIT, key=str(device.pk), device_id=str(device.pk))


def ask_to_expel(device: Device) -> None:
    """See to it that the broker keeps a device out, once the present transaction is done."""
    if settings.MQTT_URL:
        intents.ask(EXPEL, key=str(device.pk), device_id=str(device.pk))


def ask_to_admit_newcomer(setup: BasicSetup) -> None:
    """See to it that a basic device to come may ask for its account, once the transaction is done."""
    intents.ask(ADMIT_NEWCOMER, key=str(setup.pk), setup_id=str(setup.pk))


def ask_to_expel_newcomer(setup: BasicSetup) -> None:
    """See to it that it may ask no longer, once the transaction is done."""
    intents.ask(EXPEL_NEWCOMER, key=str(setup.pk), setup_id=str(setup.pk))


def _place() -> Mapping[str, Any]:
    address = urlsplit(settings.MQTT_DEVICE_URL or settings.MQTT_URL)
    return {"host": address.hostname, "port": address.port or DEFAULT_PORT}


def _password(whose: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.new(_key(), whose, hashlib.sha256).digest()).decode()


@cache
def _key() -> bytes:
    return base64.b64decode(settings.LOCKER_MQTT_KEY)
