"""
The envelopes that server and devices exchange, whatever carries them: canonical JSON, signed with Ed25519.

Plain Python, shared by both sides. Field names are those of Open-Locker (``message_id``, ``transaction_id``,
``action``, ``event``, ``timestamp``, ``data``), and ours on top.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Envelope = dict[str, Any]

#: Signed in front of every envelope, so that a signature is good for this protocol only.
CONTEXT = b"dorfbote-link/1\n"
MAX_BODY_BYTES = 262_144
MAX_BATCH = 200


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
    Return parsed JSON.

    Raises
    ------
    BadEnvelope
        If it is too long, not JSON, or nested too deeply.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadEnvelope("too long")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEnvelope("not JSON") from error


def moment(at: datetime) -> str:
    """Write a moment as the contract wants it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: object) -> datetime:
    """
    Read a moment with a time zone.

    Raises
    ------
    BadEnvelope
        If it is none.
    """
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError as error:
        raise BadEnvelope("no moment") from error
    if at is None or at.tzinfo is None:
        raise BadEnvelope("no moment with a time zone")
    return at


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
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise BadEnvelope("no public key") from error


def key_id(key: Ed25519PublicKey) -> str:
    """Return a short name for a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]
