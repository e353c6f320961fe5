"""
The server's side of the envelopes: whose they are, whether they keep to the contract, and our answers.

Independent of what carries them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import UUIDField

from common.prepared import Prepared
from lockers import keys, wire
from lockers.exceptions import BadSignature, MalformedMessage, StaleEpoch, UnknownDevice
from lockers.models import Device, OpenCommand
from lockers.reading import choice as _choice
from lockers.reading import identifier as _uuid
from lockers.reading import mapping as _mapping
from lockers.reading import moment as _moment
from lockers.reading import number as _number
from lockers.reading import text as _text

_IN_SERVICE = Prepared(
    lambda devices: Device.objects.in_service().full().select_related("locker").filter(pk__among=devices),
    devices=[UUIDField()],
)

_BOOT_ID = re.compile(r"[0-9]{8}-[0-9a-f]{8,32}")
_NONCE = re.compile(r"[0-9A-Za-z_-]{16,64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_DIGITS = re.compile(r"[0-9]{8}")
_QR_TOKEN = re.compile(r"DB1\.[0-9A-Za-z_-]{43}")
_DOOR_STATES = frozenset({"open", "closed", "unknown"})
_ZONES = frozenset({"ambient", "chilled", "frozen"})
_SOURCES = frozenset({"mains", "battery"})
_RESULTS = frozenset({"success", "error"})
_OUTCOMES = frozenset({"opened", "already_open"})
_ERRANDS = frozenset({"deposit", "collect"})
_WHY_NOT_OPENED = frozenset({"DOOR_JAMMED", "SENSOR_UNKNOWN"})


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
class Enrolment:
    """A wish to be brought into service, by whoever holds the key."""

    message_id: str
    token: str
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The beginning of a connection."""

    message_id: str
    link_epoch: str
    boot_id: str
    num_hellos: int
    list_version: int


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
    return signer_of(envelope, devices_named_by([envelope]))


def devices_named_by(envelopes: Iterable[Mapping[str, Any]]) -> Mapping[UUID, Device]:
    """Return the devices in service by which envelopes say that they were signed; nobody has checked it."""
    named = set()
    for envelope in envelopes:
        with suppress(MalformedMessage):
            named.add(_uuid(envelope.get("kid"), "kid"))
    return {device.pk: device for device in _IN_SERVICE.all(devices=named)}


def signer_of(envelope: Mapping[str, Any], known: Mapping[UUID, Device]) -> Device:
    """
    Return which of the known devices signed an envelope.

    Raises
    ------
    UnknownDevice
        If none of them has the identity that it names.
    BadSignature
        If the signature is not its own.
    """
    device = known.get(_uuid(envelope.get("kid"), "kid"))
    if device is None:
        raise UnknownDevice
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
        If the device has begun another one since, or has yet to hear of other server keys.
    """
    if not device.link_epoch or envelope.get("link_epoch") != device.link_epoch:
        raise StaleEpoch
    if device.keys_told != keys.name_of_known():
        raise StaleEpoch


def enrolment_from(envelope: Mapping[str, Any]) -> Enrolment:
    """
    Read a wish to be brought into service; its signature shows that the sender holds the key.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    BadSignature
        If it was not signed with the key that it names.
    """
    token, public_key = envelope.get("token"), envelope.get("public_key")
    if not isinstance(token, str) or not isinstance(public_key, str):
        raise MalformedMessage(reason="token and public_key are texts")
    check_signature(envelope, public_key)
    if envelope.get("kid") != wire.key_id(wire.public_key(public_key)):
        raise MalformedMessage(reason="kid is the name of the key")
    _moment(envelope.get("timestamp"))
    message_id = str(_uuid(envelope.get("message_id"), "message_id"))
    return Enrolment(message_id=message_id, token=token, public_key=public_key)


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
        message_id=str(_identity(envelope, event="hello")),
        link_epoch=_text(envelope.get("link_epoch"), _NONCE, "link_epoch"),
        boot_id=_text(data.get("boot_id"), _BOOT_ID, "boot_id"),
        num_hellos=_number(data.get("num_hellos"), "num_hellos"),
        list_version=_number(data.get("list_version", 0), "list_version", least=0),
    )


def heartbeat_from(envelope: Mapping[str, Any]) -> UUID:
    """
    Read a sign of life, and return the message's identity.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    _number(data.get("uptime_seconds"), "uptime_seconds", least=0)
    return _identity(envelope, event="heartbeat")


def report_from(envelope: Mapping[str, Any]) -> Report:
    """
    Read a numbered report.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    kind = _kind(envelope)
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


def code_from(envelope: Mapping[str, Any]) -> tuple[UUID, str]:
    """
    Read a code that was typed or scanned: the message's identity, and the digits or the QR token.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    data = _mapping(envelope.get("data"), "data")
    message_id = _identity(envelope, event="code_entered")
    if "qr" in data:
        return message_id, _text(data["qr"], _QR_TOKEN, "qr")
    return message_id, _text(data.get("digits"), _DIGITS, "digits")


def known_commands(envelope: Mapping[str, Any]) -> frozenset[UUID]:
    """
    Read from a poll which commands a device has in hand already.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract.
    """
    _identity(envelope, event="poll")
    known = _mapping(envelope.get("data"), "data").get("known", [])
    if not isinstance(known, list) or len(known) > wire.MAX_BATCH:
        raise MalformedMessage(reason="known is a list of identifiers")
    return frozenset(_uuid(entry, "known") for entry in known)


def identity_of(envelope: Mapping[str, Any]) -> str | None:
    """Return a message's identity, if it has one that can be named in an answer."""
    try:
        return str(_uuid(envelope.get("message_id"), "message_id"))
    except MalformedMessage:
        return None


def answer(device: Device, action: str, *, to: str | None, at: datetime, **data: Any) -> wire.Envelope:
    """Return our signed answer to a device's message; its timestamp is how the device learns the time."""
    fields = {"action": action, "device_id": str(device.pk), "in_reply_to": to, "data": data}
    return wire.seal(fields, key=keys.server_key(), kid=keys.server_kid(), timestamp=at)


def order(device: Device, action: str, *, at: datetime, **data: Any) -> wire.Envelope:
    """Return our signed word to a device that did not ask: its list of codes, or what we miss of it."""
    return answer(device, action, to=None, at=at, **data)


def unlock(command: OpenCommand, *, at: datetime) -> wire.Envelope:
    """Return the signed command to open a door, with what is left of its life."""
    fields = {
        "action": "open_compartment",
        "device_id": str(command.device_id),
        "transaction_id": str(command.pk),
        "link_epoch": command.link_epoch,
        "expires_at": wire.moment(command.expires_at),
        "ttl_ms": max(0, round((command.expires_at - at).total_seconds() * 1000)),
        "request_id": command.request_id and str(command.request_id),
        "data": {
            "compartment_number": command.compartment.number,
            "purpose": command.purpose,
            "claim_id": command.reservation_id and str(command.reservation_id),
        },
    }
    return wire.seal(fields, key=keys.server_key(), kid=keys.server_kid(), timestamp=at)


def _identity(envelope: Mapping[str, Any], *, event: str) -> UUID:
    """Return a message's identity; what was signed to say one thing is not taken for another."""
    if envelope.get("event") != event:
        raise MalformedMessage(reason=f"the event is {event}")
    _moment(envelope.get("timestamp"))
    return _uuid(envelope.get("message_id"), "message_id")


def _kind(envelope: Mapping[str, Any]) -> str:
    if "action" not in envelope:
        return _choice(envelope.get("event"), _EVENTS, "event")
    if envelope["action"] != "open_compartment" or "event" in envelope:
        raise MalformedMessage(reason="the only answer is that to open_compartment")
    return "response"


def _only(data: Mapping[str, Any], names: set[str]) -> None:
    """Check that there is all that is needed and nothing else, for it is kept."""
    if set(data) != names:
        raise MalformedMessage(reason=f"the fields are {', '.join(sorted(names))}")


def _booted(data: Mapping[str, Any]) -> None:
    _only(data, {"previous_boot_id", "previous_seq"})
    if data["previous_boot_id"] is None:
        _number(data["previous_seq"], "previous_seq", least=0, most=0)
    else:
        _text(data["previous_boot_id"], _BOOT_ID, "previous_boot_id")
        _number(data["previous_seq"], "previous_seq", least=0)


def _snapshot(data: Mapping[str, Any]) -> None:
    _only(data, {"compartments"})
    rows = data["compartments"]
    if not isinstance(rows, list) or len(rows) > 999:
        raise MalformedMessage(reason="compartments is a list")
    for row in rows:
        entry = _mapping(row, "compartment")
        _only(entry, {"compartment_number", "door_state"})
        _compartment_number(entry)
        _choice(entry["door_state"], _DOOR_STATES, "door_state")


def _response(data: Mapping[str, Any]) -> None:
    if _choice(data.get("result"), _RESULTS, "result") == "success":
        _only(data, {"result"})
    else:
        _only(data, {"result", "error_code"})
        _text(data["error_code"], _CODE, "error_code")


def _opened(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "outcome", "detection_ms"})
    _compartment_number(data)
    _number(data["detection_ms"], "detection_ms", least=0, most=3_600_000)
    _choice(data["outcome"], _OUTCOMES, "outcome")


def _not_opened(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "error_code"})
    _compartment_number(data)
    _choice(data["error_code"], _WHY_NOT_OPENED, "error_code")


def _uncommanded(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number", "milliseconds_since_last_relay_fire"})
    _compartment_number(data)
    since = data["milliseconds_since_last_relay_fire"]
    if since is not None:
        _number(since, "milliseconds_since_last_relay_fire", least=0)


def _one_compartment(data: Mapping[str, Any]) -> None:
    _only(data, {"compartment_number"})
    _compartment_number(data)


def _code_accepted(data: Mapping[str, Any]) -> None:
    _only(data, {"entry_id", "claim_id", "purpose", "compartment_number"})
    _compartment_number(data)
    _choice(data["purpose"], _ERRANDS, "purpose")
    for name in ("entry_id", "claim_id"):
        _uuid(data[name], name)


def _code_rejected(data: Mapping[str, Any]) -> None:
    _only(data, {"locked_for_s"})
    if data["locked_for_s"] is not None:
        _number(data["locked_for_s"], "locked_for_s")


def _list_stored(data: Mapping[str, Any]) -> None:
    _only(data, {"version"})
    _number(data["version"], "version")


def _reports_lost(data: Mapping[str, Any]) -> None:
    _only(data, {"boot_id", "through_seq"})
    _text(data["boot_id"], _BOOT_ID, "boot_id")
    _number(data["through_seq"], "through_seq")


def _tamper(data: Mapping[str, Any]) -> None:
    _only(data, {"active"})
    if not isinstance(data["active"], bool):
        raise MalformedMessage(reason="active is true or false")


def _temperature(data: Mapping[str, Any]) -> None:
    _only(data, {"zone", "celsius_tenths"})
    _choice(data["zone"], _ZONES, "zone")
    if data["celsius_tenths"] is not None:
        _number(data["celsius_tenths"], "celsius_tenths", least=-600, most=900)


def _power(data: Mapping[str, Any]) -> None:
    _only(data, {"source", "percent"})
    _choice(data["source"], _SOURCES, "source")
    if data["percent"] is not None:
        _number(data["percent"], "percent", least=0, most=100)


def _compartment_number(data: Mapping[str, Any]) -> None:
    _number(data["compartment_number"], "compartment_number", most=999)


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
    "deposit_done": _one_compartment,
    "code_accepted": _code_accepted,
    "code_rejected": _code_rejected,
    "allowlist_stored": _list_stored,
    "reports_lost": _reports_lost,
    "tamper": _tamper,
    "temperature": _temperature,
    "power": _power,
}
_EVENTS = frozenset(_CONTENT) - {"response"}
#: Reports that answer a command.
_ANSWERS = frozenset({"response", "compartment_open_detected", "compartment_open_failed", "code_accepted"})
