"""
The server's side of the envelopes: whose they are, whether they keep to the contract, and our answers.

Independent of what carries them.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from lockers import wire
from lockers.exceptions import BadSignature, MalformedMessage, StaleEpoch, UnknownDevice
from lockers.models import Device, OpenCommand

_BOOT_ID = re.compile(r"[0-9]{8}-[0-9a-f]{8,32}")
_NONCE = re.compile(r"[0-9A-Za-z_-]{16,64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_DIGITS = re.compile(r"[0-9]{8}")
_LARGEST = 2**53 - 1
_DOOR_STATES = frozenset({"open", "closed", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Something a device reports with a number, so that it is neither lost nor taken twice."""

    message_id: UUID
    transaction_id: UUID | None
    boot_id: str
    seq: int
    link_epoch: str
    kind: str
    data: Mapping[str, Any]
    reported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The beginning of a connection."""

    message_id: str
    link_epoch: str
    boot_id: str
    num_hellos: int


def device_of(envelope: Mapping[str, Any]) -> Device:
    """
    Return the device in service that signed an envelope.

    Raises
    ------
    UnknownDevice
        If there is none of that identity.
    BadSignature
        If the signature is not its own.
    """
    device_id = _uuid(envelope.get("kid"), "kid")
    try:
        device = Device.objects.in_service().select_related("locker").get(pk=device_id)
    except Device.DoesNotExist as error:
        raise UnknownDevice from error
    check_signature(envelope, device.public_key)
    return device


def check_signature(envelope: Mapping[str, Any], public_key: str) -> None:
    """
    Check that an envelope was signed with a key.

    Raises
    ------
    BadSignature
        If it was not.
    """
    try:
        wire.check(envelope, wire.public_key(public_key))
    except wire.BadEnvelope as error:
        raise BadSignature from error


def require_epoch(envelope: Mapping[str, Any], device: Device) -> None:
    """
    Check that an envelope belongs to the present connection.

    Raises
    ------
    StaleEpoch
        If the device has begun another one since.
    """
    if not device.link_epoch or envelope.get("link_epoch") != device.link_epoch:
        raise StaleEpoch


def hello_from(envelope: Mapping[str, Any]) -> Hello:
    """
    Read a greeting.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    return Hello(
        message_id=str(_uuid(envelope.get("message_id"), "message_id")),
        link_epoch=_text(envelope.get("link_epoch"), _NONCE, "link_epoch"),
        boot_id=_text(data.get("boot_id"), _BOOT_ID, "boot_id"),
        num_hellos=_number(data.get("num_hellos"), "num_hellos"),
    )


def report_from(envelope: Mapping[str, Any]) -> Report:
    """
    Read a numbered report.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    kind = "response" if "action" in envelope else envelope.get("event")
    if not isinstance(kind, str) or kind not in _CONTENT:
        raise MalformedMessage(reason="no such event")
    _CONTENT[kind](data)
    transaction_id = envelope.get("transaction_id")
    if transaction_id is None and kind in _ANSWERS:
        raise MalformedMessage(reason="an answer needs its transaction_id")
    return Report(
        message_id=_uuid(envelope.get("message_id"), "message_id"),
        transaction_id=None if transaction_id is None else _uuid(transaction_id, "transaction_id"),
        boot_id=_text(envelope.get("boot_id"), _BOOT_ID, "boot_id"),
        seq=_number(envelope.get("seq"), "seq"),
        link_epoch=_text(envelope.get("link_epoch"), _NONCE, "link_epoch"),
        kind=kind,
        data=data,
        reported_at=_moment(envelope.get("timestamp")),
    )


def digits_from(envelope: Mapping[str, Any]) -> tuple[UUID, str]:
    """
    Read a typed code: the message's identity and the digits.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    return _uuid(envelope.get("message_id"), "message_id"), _text(data.get("digits"), _DIGITS, "digits")


def known_commands(envelope: Mapping[str, Any]) -> frozenset[UUID]:
    """
    Read which commands a device has in hand already.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    known = _mapping(envelope.get("data"), "data").get("known", [])
    if not isinstance(known, list) or len(known) > wire.MAX_BATCH:
        raise MalformedMessage(reason="known is a list of identifiers")
    return frozenset(_uuid(entry, "known") for entry in known)


def answer(device: Device, action: str, *, to: object, at: datetime, **data: Any) -> wire.Envelope:
    """Return our signed answer to a device's message; its timestamp is how the device learns the time."""
    fields = {"action": action, "device_id": str(device.pk), "in_reply_to": to, "data": data}
    return wire.seal(fields, key=server_key(), kid=server_kid(), timestamp=at)


def unlock(command: OpenCommand, *, at: datetime) -> wire.Envelope:
    """Return the signed command to open a door, with what is left of its life."""
    fields = {
        "action": "open_compartment",
        "device_id": str(command.device_id),
        "transaction_id": str(command.pk),
        "link_epoch": command.link_epoch,
        "expires_at": wire.moment(command.expires_at),
        "ttl_ms": max(0, round((command.expires_at - at).total_seconds() * 1000)),
        "data": {"compartment_number": command.compartment.number, "purpose": command.purpose},
    }
    return wire.seal(fields, key=server_key(), kid=server_kid(), timestamp=at)


@cache
def server_key() -> Ed25519PrivateKey:
    """Return the key with which the server signs."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.LOCKER_SIGNING_KEY))


@cache
def server_kid() -> str:
    """Return the name of the server's key."""
    return wire.key_id(server_key().public_key())


def _uuid(value: object, name: str) -> UUID:
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError as error:
        raise MalformedMessage(reason=f"{name} is a UUID") from error


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMessage(reason=f"{name} is an object")
    return value


def _text(value: object, form: re.Pattern[str], name: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise MalformedMessage(reason=f"{name} has the wrong form")
    return value


def _number(value: object, name: str, *, least: int = 1, most: int = _LARGEST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise MalformedMessage(reason=f"{name} is a whole number from {least} to {most}")
    return value


def _moment(value: object) -> datetime:
    try:
        return wire.parse_moment(value)
    except wire.BadEnvelope as error:
        raise MalformedMessage(reason="timestamp is a moment with a time zone") from error


def _only(data: Mapping[str, Any], names: set[str]) -> None:
    if set(data) - names:
        raise MalformedMessage(reason="data has a field that the contract does not know")


def _booted(data: Mapping[str, Any]) -> None:
    _only(data, {"previous_boot_id", "previous_seq"})
    if data.get("previous_boot_id") is not None:
        _text(data["previous_boot_id"], _BOOT_ID, "previous_boot_id")
        _number(data.get("previous_seq"), "previous_seq", least=0)


def _snapshot(data: Mapping[str, Any]) -> None:
    _only(data, {"compartments"})
    rows = data.get("compartments")
    if not isinstance(rows, list) or len(rows) > 999:
        raise MalformedMessage(reason="compartments is a list")
    for row in rows:
        entry = _mapping(row, "compartment")
        _only(entry, {"compartment_number", "door_state"})
        _compartment_number(entry)
        if entry.get("door_state") not in _DOOR_STATES:
            raise MalformedMessage(reason="door_state is open, closed or unknown")


def _response(data: Mapping[str, Any]) -> None:
    _only(data, {"result", "error_code"})
    if data.get("result") not in {"success", "error"}:
        raise MalformedMessage(reason="result is success or error")
    if data["result"] == "error":
        _text(data.get("error_code"), _CODE, "error_code")


def _opened(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "outcome", "detection_ms"})
    _compartment_number(data)
    _number(data.get("detection_ms"), "detection_ms", least=0, most=3_600_000)
    if data.get("outcome") not in {"opened", "already_open"}:
        raise MalformedMessage(reason="outcome is opened or already_open")


def _not_opened(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "error_code"})
    _compartment_number(data)
    if data.get("error_code") not in {"DOOR_JAMMED", "SENSOR_UNKNOWN"}:
        raise MalformedMessage(reason="error_code is DOOR_JAMMED or SENSOR_UNKNOWN")


def _uncommanded(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "milliseconds_since_last_relay_fire"})
    _compartment_number(data)
    since = data.get("milliseconds_since_last_relay_fire")
    if since is not None:
        _number(since, "milliseconds_since_last_relay_fire", least=0)


def _one_compartment(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number"})
    _compartment_number(data)


def _compartment_number(data: Mapping[str, Any]) -> None:
    _number(data.get("compartment_number"), "compartment_number", most=999)


def _heartbeat(data: Mapping[str, Any]) -> None:
    _only(data, {"uptime_seconds"})
    _number(data.get("uptime_seconds"), "uptime_seconds", least=0)


#: What each kind of report must contain.
_CONTENT: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "booted": _booted,
    "compartments": _snapshot,
    "response": _response,
    "compartment_open_detected": _opened,
    "compartment_open_failed": _not_opened,
    "compartment_uncommanded_open": _uncommanded,
    "compartment_closed": _one_compartment,
    "compartment_left_open": _one_compartment,
    "collection_done": _one_compartment,
    "heartbeat": _heartbeat,
}
#: Reports that answer a command.
_ANSWERS = frozenset({"response", "compartment_open_detected", "compartment_open_failed"})
