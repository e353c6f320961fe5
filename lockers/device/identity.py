"""Who a device is: a key of its own, made where it stays, and what the server told it for good."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockers import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a device finds its MQTT broker, and how it logs in."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device is, whom it obeys, and its broker if the server named one."""

    device_id: str
    locker: str
    key: Ed25519PrivateKey
    server_keys: Mapping[str, Ed25519PublicKey]
    #: Under which the list of codes names them; a device without it cannot answer codes by itself.
    list_key: bytes | None = field(default=None, repr=False)
    broker: Broker | None = None


def make_key(directory: Path) -> Ed25519PrivateKey:
    """Return the key kept in a directory; make it on the first call, so that a repeated enrolment uses it."""
    file = directory / "key"
    if not file.exists():
        _write(file, base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()))
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(file.read_bytes()))


def keep(directory: Path, identity: Identity, compartments: list[int]) -> None:
    """Keep an identity beside its key."""
    content = {
        "device_id": identity.device_id,
        "locker": identity.locker,
        "server_keys": {kid: wire.public_text(key) for kid, key in identity.server_keys.items()},
        "compartments": compartments,
        "list_key": identity.list_key and base64.b64encode(identity.list_key).decode(),
        "mqtt": identity.broker and asdict(identity.broker),
    }
    _write(directory / "identity.json", json.dumps(content).encode())


def known(directory: Path) -> tuple[Identity, list[int]] | None:
    """Return the identity kept in a directory, if there is one."""
    file = directory / "identity.json"
    if not file.exists():
        return None
    content: dict[str, Any] = json.loads(file.read_text())
    identity = Identity(
        device_id=content["device_id"],
        locker=content["locker"],
        key=make_key(directory),
        server_keys={kid: wire.public_key(text) for kid, text in content["server_keys"].items()},
        list_key=list_key_from(content.get("list_key")),
        broker=broker_from(content.get("mqtt")),
    )
    return identity, content["compartments"]


def list_key_from(content: str | None) -> bytes | None:
    """Read the key of the list of codes; earlier servers had none."""
    return None if content is None else base64.b64decode(content)


def broker_from(content: Mapping[str, Any] | None) -> Broker | None:
    """Read what the server said of its broker; some have none, and earlier ones did not speak of it."""
    if content is None:
        return None
    return Broker(
        host=content["host"],
        port=content["port"],
        username=content["username"],
        password=content["password"],
    )


def _write(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = file.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as open_file:
        open_file.write(content)
        open_file.flush()
        os.fsync(descriptor)
    draft.replace(file)
