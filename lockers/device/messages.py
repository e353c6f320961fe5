"""What the server's messages say; of what cannot be read the reader is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lockers import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered to an entered code, by the server or by the locker itself."""

    outcome: str
    compartment: int | None = None
    num_left: int = 0
    #: It opens for a courier.
    is_deposit: bool = False


def data_in(message: wire.Envelope) -> Mapping[str, Any]:
    """
    Return a message's data.

    Raises
    ------
    BadEnvelope
        If it has none.
    """
    data = message.get("data")
    if not isinstance(data, dict):
        raise wire.BadEnvelope("no data")
    return data


def command_id_in(command: wire.Envelope) -> str:
    """
    Return a command's identity.

    Raises
    ------
    BadEnvelope
        If it has none by which it could be answered.
    """
    try:
        return str(UUID(command["transaction_id"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise wire.BadEnvelope("no transaction_id") from error


def compartment_number_in(command: wire.Envelope) -> int:
    """Return the number of the door to open; 0, which none has, if there is no number."""
    data = command.get("data")
    number = data.get("compartment_number") if isinstance(data, dict) else None
    return number if is_whole(number) else 0


def errand_in(command: wire.Envelope) -> tuple[str | None, str]:
    """Return for which claim a door is to be opened, if for one, and what for."""
    data = command.get("data")
    claim_id, purpose = (data.get("claim_id"), data.get("purpose")) if isinstance(data, dict) else (None, "")
    return claim_id if isinstance(claim_id, str) else None, str(purpose)


def accepted_in(message: wire.Envelope) -> Mapping[str, int]:
    """
    Return, for each boot, the number up to which the server misses nothing.

    Raises
    ------
    BadEnvelope
        If the message does not say.
    """
    accepted = data_in(message).get("accepted")
    if not isinstance(accepted, dict) or not all(is_whole(seq) for seq in accepted.values()):
        raise wire.BadEnvelope("no numbers of accepted reports")
    return accepted


def server_keys_in(message: wire.Envelope) -> Mapping[str, Ed25519PublicKey] | None:
    """
    Return the keys that a device is to obey, by name; nothing if the message does not speak of them.

    Raises
    ------
    BadEnvelope
        If one cannot be read, or goes by another's name.
    """
    named = data_in(message).get("server_keys")
    if named is None:
        return None
    if not isinstance(named, dict) or not all(isinstance(text, str) for text in named.values()):
        raise wire.BadEnvelope("no keys by name")
    keys = {kid: wire.public_key(text) for kid, text in named.items()}
    if any(wire.key_id(key) != kid for kid, key in keys.items()):
        raise wire.BadEnvelope("a key by another's name")
    return keys


def answer_in(message: wire.Envelope) -> Answer:
    """
    Return the server's answer to an entered code.

    Raises
    ------
    BadEnvelope
        If it is none.
    """
    data = data_in(message)
    outcome, compartment = data.get("outcome"), data.get("compartment_number")
    num_left = data.get("num_left")
    if not isinstance(outcome, str) or not (compartment is None or is_whole(compartment)):
        raise wire.BadEnvelope("no answer to a code")
    return Answer(
        outcome=outcome,
        compartment=compartment,
        num_left=num_left if is_whole(num_left) else 0,
        is_deposit=data.get("purpose") == "deposit",
    )


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)
