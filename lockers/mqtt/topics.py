"""Topics of the locker link, named as Open-Locker names them; ``answer`` is ours."""

from collections.abc import Sequence
from uuid import UUID

#: What the server listens to, of all devices.
FROM_DEVICES: Sequence[str] = ("locker/+/event", "locker/+/response", "locker/+/state/+")
#: Where basic devices to come ask for their accounts; the last level is their token.
REGISTRATIONS = "locker/register/+"


def command(device_id: UUID | str) -> str:
    """Return where a device finds its commands."""
    return f"locker/{device_id}/command"


def answer(device_id: UUID | str) -> str:
    """Return where a device finds answers to its messages."""
    return f"locker/{device_id}/answer"


def connection(device_id: UUID | str) -> str:
    """Return where a device, or the broker in its stead, says that it has gone."""
    return f"locker/{device_id}/state/connection"


def heartbeat(device_id: UUID | str) -> str:
    """Return where a device shows life."""
    return f"locker/{device_id}/state/heartbeat"


def compartments(device_id: UUID | str) -> str:
    """Return where a device says how its doors stand; of basic devices the broker keeps the last word."""
    return f"locker/{device_id}/state/compartments"


def registration_reply(client_id: UUID | str) -> str:
    """Return where a basic device to come finds the answer to its wish for an account."""
    return f"locker/provisioning/reply/{client_id}"


def written_by(device_id: UUID | str) -> Sequence[str]:
    """Return where a device may publish; the patterns of ``FROM_DEVICES`` for one device."""
    return tuple(pattern.replace("+", str(device_id), 1) for pattern in FROM_DEVICES)


def read_by(device_id: UUID | str) -> Sequence[str]:
    """Return where a device may listen."""
    return (command(device_id), answer(device_id))


def device_of(topic: str) -> str:
    """Return whose topic it is; the broker lets nobody else publish there."""
    return topic.split("/", 2)[1]
