"""The keys with which the server signs, and which devices are told to obey."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from lockers import wire


@cache
def server_key() -> Ed25519PrivateKey:
    """Return the key with which the server signs."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.LOCKER_SIGNING_KEY))


@cache
def server_kid() -> str:
    """Return the name of the server's key."""
    return wire.key_id(server_key().public_key())


def known_keys() -> Mapping[str, str]:
    """
    Return the public keys that devices are to obey, by name: ours, and those known beside it.

    A key to come is made known before it signs, so that every device has heard of it by then.
    """
    beside = [wire.public_key(text) for text in settings.LOCKER_KNOWN_KEYS]
    return {wire.key_id(key): wire.public_text(key) for key in (server_key().public_key(), *beside)}


def name_of_known() -> str:
    """Return a short name for the set of known keys; a device that was told another one greets anew."""
    return hashlib.sha256(" ".join(sorted(known_keys())).encode()).hexdigest()[:16]
