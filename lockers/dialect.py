"""
The dialect of basic devices: what an unmodified Open-Locker client says, and what it is told.

Nothing of it is signed or numbered. Whose a message is, the broker vouches for: each account publishes on its
own topics only. Fields that we do not know are passed over, and none of them is kept.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from lockers import reading, wire
from lockers.exceptions import MalformedMessage
from lockers.models import OpenCommand
from lockers.states import BASIC_HEARTBEAT_INTERVAL
from lockers.wiring import Wiring

Content = Mapping[str, Any]

_MESSAGE_ID = re.compile(r"[!-~]{1,200}")
_HASH = re.compile(r"[0-9A-Fa-f]{64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_RESULTS = frozenset({"success", "error"})
_OUTCOMES = frozenset({"opened", "already_open"})
_DOOR_STATES = frozenset({"open", "closed", "unknown"})
_OPEN, _CONFIGURE = "open_compartment", "apply_config"

#: Refusals before the lock could be driven. After any other error nobody knows whether it was.
REFUSALS = frozenset(
    {
        "COMPARTMENT_NOT_FOUND",
        "INVALID_COMMAND",
        "INVALID_CONFIG",
        "MISSING_MESSAGE_ID",
        "RUNTIME_CONFIG_NOT_APPLIED",
        "SHUTTING_DOWN",
        "UNKNOWN_ACTION",
    }
)
#: Refusals of a client that does not know how its cabinet is wired.
UNWIRED = frozenset({"COMPARTMENT_NOT_FOUND", "RUNTIME_CONFIG_NOT_APPLIED"})
#: The word of our reports for a lock of which nobody knows whether it was driven.
_IN_DOUBT = "INTERRUPTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that happened, as our reports say it; its own identity tells a repetition."""

    message_id: str
    transaction_id: UUID | None
    kind: str
    data: Content
    reported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The answer to a wiring: its hash if the client works with it now, else why not."""

    applied_hash: str = ""
    problem: str = ""


def registration_from(content: Content) -> UUID:
    """
    Read a wish for an account, and return the client's identifier.

    Raises
    ------
    MalformedMessage
        If it does not keep to the contract; so do the others.
    """
    _envelope(content)
    return reading.identifier(content.get("client_id"), "client_id")


def heartbeat_from(content: Content) -> None:
    """Read a sign of life."""
    _envelope(content)
    reading.number(content.get("uptime_seconds"), "uptime_seconds", least=0)


def response_from(content: Content) -> Said | Configured:
    """Read an answer to a command."""
    message_id, reported_at = _envelope(content)
    action = reading.choice(content.get("action"), frozenset({_OPEN, _CONFIGURE}), "action")
    transaction_id = reading.identifier(content.get("transaction_id"), "transaction_id")
    is_success = reading.choice(content.get("result"), _RESULTS, "result") == "success"
    error = "" if is_success else reading.text(content.get("error_code"), _CODE, "error_code")
    if action == _CONFIGURE:
        return _configured(content) if is_success else Configured(problem=error)
    kind, data = _opening(error)
    return Said(
        message_id=message_id,
        transaction_id=transaction_id,
        kind=kind,
        data=data,
        reported_at=reported_at,
    )


def event_from(content: Content) -> Said:
    """Read something that happened; what belongs to a command names it in its data."""
    message_id, reported_at = _envelope(content)
    kind = reading.choice(content.get("event"), frozenset(_EVENTS), "event")
    data = reading.mapping(content.get("data"), "data")
    number = reading.number(data.get("compartment_number"), "compartment_number", most=999)
    transaction_id = None
    if kind != "compartment_uncommanded_open":
        transaction_id = reading.identifier(data.get("transaction_id"), "transaction_id")
    return Said(
        message_id=message_id,
        transaction_id=transaction_id,
        kind=kind,
        data={"compartment_number": number, **_EVENTS[kind](data)},
        reported_at=reported_at,
    )


def snapshot_from(content: Content, *, of: Collection[int]) -> Said:
    """Read where the doors stand, of those compartments that there are: boards may have more channels."""
    message_id, reported_at = _envelope(content)
    rows = content.get("compartments")
    if not isinstance(rows, list) or len(rows) > 999:
        raise MalformedMessage(reason="compartments is a list")
    doors = dict(_door(row) for row in rows)
    return Said(
        message_id=message_id,
        transaction_id=None,
        kind="compartments",
        data={
            "compartments": [
                {"compartment_number": number, "door_state": state}
                for number, state in sorted(doors.items())
                if number in of
            ]
        },
        reported_at=reported_at,
    )


def unlock(command: OpenCommand, *, at: datetime) -> Content:
    """Return the command to open a door; the client knows of no deadline."""
    number = command.compartment.number
    return _command(str(command.pk), _OPEN, {"compartment_number": number}, at=at)


def apply_config(wiring: Wiring, *, at: datetime) -> Content:
    """Return the command to work with a wiring; it may be given again and again."""
    data = {
        "config_hash": wiring.digest(),
        "heartbeat_interval_seconds": int(BASIC_HEARTBEAT_INTERVAL.total_seconds()),
        **wiring.as_told(),
    }
    return _command(str(uuid4()), _CONFIGURE, data, at=at)


def welcome(*, username: str, password: str, locker_uuid: UUID, at: datetime) -> Content:
    """Return the answer to a wish for an account: the account, and whose topics it has."""
    data = {"mqtt_user": username, "mqtt_password": password, "locker_uuid": str(locker_uuid)}
    return {"message_id": str(uuid4()), "status": "success", "timestamp": wire.moment(at), "data": data}


def rejection(message: str, *, at: datetime) -> Content:
    """Return the answer to a wish for an account that is not granted."""
    return {"message_id": str(uuid4()), "status": "error", "timestamp": wire.moment(at), "message": message}


def _command(transaction_id: str, action: str, data: Content, *, at: datetime) -> Content:
    return {
        "message_id": str(uuid4()),
        "transaction_id": transaction_id,
        "action": action,
        "timestamp": wire.moment(at),
        "data": data,
    }


def _envelope(content: Content) -> tuple[str, datetime]:
    """Return what every message has: its identity, and when it was made by the client's clock."""
    message_id = reading.text(content.get("message_id"), _MESSAGE_ID, "message_id")
    return message_id, reading.moment(content.get("timestamp"))


def _configured(content: Content) -> Configured:
    told = reading.text(content.get("applied_config_hash"), _HASH, "applied_config_hash")
    return Configured(applied_hash=told.lower())


def _opening(error: str) -> tuple[str, Content]:
    """Return kind and data of our report for the answer to an unlock; no error means the lock was driven."""
    if not error:
        return "response", {"result": "success"}
    if error == "DOOR_JAMMED":
        return "compartment_open_failed", {"error_code": error}
    if error in REFUSALS:
        return "response", {"result": "error", "error_code": error}
    return "response", {"result": "error", "error_code": _IN_DOUBT, "told": error}


def _door(row: object) -> tuple[int, str]:
    entry = reading.mapping(row, "compartment")
    number = reading.number(entry.get("compartment_number"), "compartment_number", most=999)
    return number, reading.choice(entry.get("door_state"), _DOOR_STATES, "door_state")


def _opened(data: Content) -> Content:
    outcome = reading.choice(data.get("outcome"), _OUTCOMES, "outcome")
    return {"outcome": outcome, "detection_ms": _milliseconds(data, "detection_ms", most=3_600_000)}


def _not_opened(data: Content) -> Content:
    return {"error_code": reading.choice(data.get("error_code"), frozenset({"DOOR_JAMMED"}), "error_code")}


def _uncommanded(data: Content) -> Content:
    name = "milliseconds_since_last_relay_fire"
    return {name: _milliseconds(data, name, most=wire.LARGEST_WHOLE)}


def _milliseconds(data: Content, name: str, *, most: int) -> int | None:
    """Return a duration that the client leaves out where there is none."""
    return reading.number(data[name], name, least=0, most=most) if name in data else None


#: What is kept of each event, besides the door that it is about.
_EVENTS: Mapping[str, Callable[[Content], Content]] = {
    "compartment_open_detected": _opened,
    "compartment_open_failed": _not_opened,
    "compartment_uncommanded_open": _uncommanded,
}
