"""How a device is brought into service, with a one-time token."""

from datetime import datetime

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.https_link import TIMEOUT_S, post
from lockers.device.identity import Identity, broker_from, list_key_from


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
        list_key=list_key_from(data.get("list_key")),
        broker=broker_from(data.get("mqtt")),
    )
    return identity, list(data["compartments"])
