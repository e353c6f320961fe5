"""Values in what devices say: each is of the form that the contract wants, or the message is refused."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from lockers import wire
from lockers.exceptions import MalformedMessage

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def identifier(value: object, name: str) -> UUID:
    """Return a UUID."""
    # UUID() would also take other spellings, and we name every message in one way only.
    return UUID(text(value, _UUID, name))


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise MalformedMessage(reason=f"{name} is an object")
    return value


def text(value: object, form: re.Pattern[str], name: str) -> str:
    """Return a text of a form."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise MalformedMessage(reason=f"{name} has the wrong form")
    return value


def choice(value: object, choices: frozenset[str], name: str) -> str:
    """Return one of several texts."""
    if not isinstance(value, str) or value not in choices:
        raise MalformedMessage(reason=f"{name} is none that the contract knows")
    return value


def number(value: object, name: str, *, least: int = 1, most: int = wire.LARGEST_WHOLE) -> int:
    """Return a whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise MalformedMessage(reason=f"{name} is a whole number from {least} to {most}")
    return value


def moment(value: object) -> datetime:
    """Return a moment."""
    try:
        return wire.parse_moment(value)
    except wire.BadEnvelope as error:
        raise MalformedMessage(reason="timestamp is a moment with a time zone") from error
