"""
The envelopes that server and devices exchange, whatever carries them: canonical JSON, signed with Ed25519.

Plain Python, shared by both sides. Field names are those of Open-Locker (``message_id``, ``transaction_id``,
``action``, ``event``, ``timestamp``, ``data``), and ours on top.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import uuid4

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Envelope = dict[str, Any]

#: Signed in front of every envelope, so that a signature is good for this protocol only.
CONTEXT = b"dorfbote-link/1\n"
MAX_BODY_BYTES = 262_144
MAX_BATCH = 200
#: How deep a message may be nested; a batch of snapshots needs seven levels.
MAX_DEPTH = 16
#: Whole numbers that every JSON parser reads alike (RFC 8785, 3.2.2.3).
LARGEST_WHOLE = 2**53 - 1
#: RFC 3339, in the years that a clock may show, however wrong it is.
_MOMENT = re.compile(
    r"(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


class BadEnvelope(ValueError):
    """The envelope cannot be read, or was not signed by the key it should be."""


def seal(fields: Mapping[str, Any], *, key: Ed25519PrivateKey, kid: str, timestamp: datetime) -> Envelope:
    """Return a signed envelope with an identity and a timestamp of its own."""
    envelope = {"message_id": str(uuid4()), **fields, "timestamp": moment(timestamp), "kid": kid}
    return {**envelope, "sig": base64.b64encode(key.sign(CONTEXT + rfc8785.dumps(envelope))).decode()}


def check(envelope: Mapping[str, Any], key: Ed25519PublicKey) -> None:
    """
    Check who signed an envelope.

    Raises
    ------
    BadEnvelope
        If the signature is missing, malformed or someone else's.
    """
    signature = envelope.get("sig")
    if not isinstance(signature, str):
        raise BadEnvelope("no signature")
    signed = {name: value for name, value in envelope.items() if name != "sig"}
    try:
        decoded = base64.b64decode(signature, validate=True)
        if base64.b64encode(decoded).decode() != signature:
            raise BadEnvelope("the signature can be written in one way only")
        key.verify(decoded, CONTEXT + rfc8785.dumps(signed))
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise BadEnvelope("the signature does not fit") from error


def read(body: bytes) -> Any:
    """
    Return parsed JSON; a whole number is an ``int``, however it is written.

    Raises
    ------
    BadEnvelope
        If it is too long, nested too deeply, or not JSON that all parsers read alike (RFC 7493).
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadEnvelope("too long")
    try:
        content = json.loads(
            body.decode(), object_pairs_hook=_object, parse_float=_number, parse_constant=_constant
        )
    except (ValueError, RecursionError) as error:
        raise BadEnvelope("not JSON") from error
    # No message is deeper than it has brackets; few have so many that their depth must be looked at.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_too_deep(content):
        raise BadEnvelope("nested too deeply")
    return content


def moment(at: datetime) -> str:
    """Write a moment as the contract wants it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: object) -> datetime:
    """
    Read a moment with a time zone (RFC 3339), and return it in UTC.

    Raises
    ------
    BadEnvelope
        If it is none.
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise BadEnvelope("no moment with a time zone")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise BadEnvelope("no moment") from error


def public_text(key: Ed25519PublicKey) -> str:
    """Write a public key in base64."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def public_key(text: str) -> Ed25519PublicKey:
    """
    Read a public key.

    Raises
    ------
    BadEnvelope
        If it is none.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise BadEnvelope("no public key") from error
    if public_text(key) != text:
        raise BadEnvelope("a public key can be written in one way only")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return a short name for a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands there twice")
    return content


def _number(text: str) -> float | int:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large")
    return int(number) if number.is_integer() and abs(number) <= LARGEST_WHOLE else number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_too_deep(content: Any) -> bool:
    level = [content]
    for _ in range(MAX_DEPTH):
        inside = [part.values() if isinstance(part, dict) else part for part in level]
        level = [value for part in inside for value in part if isinstance(value, (dict, list))]
        if not level:
            return False
    return True
