"""What follows from identities and a key kept outside the database: QR tokens, and keys of lists of codes."""

import base64
import binascii
import hashlib
import hmac
from functools import cache
from uuid import UUID

from django.conf import settings

#: Says what a token is, before 16 bytes that name the code and 16 that prove it.
QR_PREFIX = "DB1."
_PROOF_BYTES = 16


def qr_token(code_id: UUID) -> str:
    """Return what the QR code of a locker code says; 128 bits of it nobody can guess."""
    content = code_id.bytes + _proof(code_id)
    return QR_PREFIX + base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def code_in(token: str) -> UUID | None:
    """Return the code that a QR token names and proves to know."""
    encoded = token.removeprefix(QR_PREFIX)
    try:
        content = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    if len(content) != 16 + _PROOF_BYTES:
        return None
    code_id = UUID(bytes=content[:16])
    return code_id if hmac.compare_digest(qr_token(code_id), token) else None


def qr_digest(code_id: UUID) -> str:
    """Return the digest by which a device knows a QR token."""
    return hashlib.sha256(qr_token(code_id).encode()).hexdigest()


def list_key(device_id: UUID) -> bytes:
    """Return the key under which a device's list of codes names them; each device has its own."""
    return _derived(b"list", device_id.bytes)


def list_digest(device_id: UUID, digits: str) -> str:
    """Return the digest by which a device knows typed digits."""
    return hmac.new(list_key(device_id), digits.encode(), hashlib.sha256).hexdigest()


def _proof(code_id: UUID) -> bytes:
    return _derived(b"qr", code_id.bytes)[:_PROOF_BYTES]


def _derived(purpose: bytes, identity: bytes) -> bytes:
    return hmac.new(_key(), purpose + b"\0" + identity, hashlib.sha256).digest()


@cache
def _key() -> bytes:
    return base64.b64decode(settings.LOCKER_TOKEN_KEY)
