"""Who a device is: a key of its own, made where it stays, brought into service with a one-time token."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.controller import Broker, Identity
from lockers.device.https_link import TIMEOUT_S, post


async def enrol(
    http: httpx.AsyncClient, *, token: str, key: Ed25519PrivateKey, at: datetime
) -> tuple[Identity, list[int]]:
    """
    Bring a device into service, and return its identity and the numbers of its compartments.

    The first answer is believed because of TLS; all later ones because of the key that came with it.

    Raises
    ------
    Refused
        If the token is not accepted.
    Unreachable
        If there is no answer that can be used.
    """
    public_key = wire.public_text(key.public_key())
    request = wire.seal(
        {"token": token, "public_key": public_key}, key=key, kid=wire.key_id(key.public_key()), timestamp=at
    )
    answer = (await post(http, "provision/", request, timeout_s=TIMEOUT_S))[0]
    data = answer["data"]
    server_keys = {kid: wire.public_key(text) for kid, text in data["server_keys"].items()}
    wire.check(answer, server_keys[answer["kid"]])
    identity = Identity(
        device_id=answer["device_id"],
        locker=data["locker"],
        key=key,
        server_keys=server_keys,
        broker=_broker(data.get("mqtt")),
    )
    return identity, list(data["compartments"])


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
        broker=_broker(content.get("mqtt")),
    )
    return identity, content["compartments"]


def _broker(content: Mapping[str, Any] | None) -> Broker | None:
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
