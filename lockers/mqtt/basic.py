"""
What the link process makes of the messages of basic devices.

They are not signed: the topic says whose they are, for the broker lets nobody else publish there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from common.clock import now, real_now
from lockers import dialect
from lockers.exceptions import BadProvisioningToken, MalformedMessage
from lockers.models import Device, OpenCommand
from lockers.mqtt import topics
from lockers.services import basic, broker, devices

#: A client waits for so long for the answer to its registration.
REPLY_LIFE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A message to a basic device, which the broker drops when its life is over."""

    topic: str
    content: dialect.Content
    qos: int
    life_s: int


def take(topic: str, content: dialect.Content, *, is_kept: bool) -> Publication | None:
    """
    Take a message of a basic device, and return what is to be said to it.

    Raises
    ------
    LinkError
        If the message does not keep to the contract, or its topic is not that of a basic device; then nothing
        of it is kept.
    """
    if topic.startswith(_REGISTER):
        return _register(topic.removeprefix(_REGISTER), content)
    _, whose, kind = topic.split("/", 2)
    device = basic.device_of(whose)
    if kind == "state/compartments":
        numbers = device.locker.compartments.values_list("number", flat=True)
        said = dialect.snapshot_from(content, of=set(numbers))
        basic.take(device, said, is_kept=is_kept, real_at=real_now())
        return None
    if kind not in _ACTS:
        raise MalformedMessage(reason="nothing is said on this topic")
    return _ACTS[kind](device, content)


def unlock(command: OpenCommand, *, at: datetime) -> Publication | None:
    """
    Return a claimed command for a basic device, unless it was not heard of lately.

    QoS 0: neither we nor the broker keep it for a device that is away. The broker counts whole seconds; what
    is left is rounded down.
    """
    life_s = math.floor((command.expires_at - at).total_seconds())
    if life_s <= 0 or not basic.may_unlock(command, real_at=at):
        return None
    content = dialect.unlock(command, at=at)
    return Publication(topic=topics.command(command.device_id), content=content, qos=0, life_s=life_s)


def _register(token: str, content: dialect.Content) -> Publication | None:
    """Answer a wish for an account, on the topic of whom the token was made for; others hear nothing."""
    client_id = dialect.registration_from(content)
    at = real_now()
    try:
        device = basic.register(token=token, client_id=client_id, at=now(), real_at=at)
    except BadProvisioningToken as error:
        if not basic.is_made_for(token, client_id=client_id):
            raise
        answer = dialect.rejection(str(error), at=at)
    else:
        answer = dialect.welcome(
            username=str(device.pk), password=broker.password_of(device), locker_uuid=device.pk, at=at
        )
    reply = topics.registration_reply(client_id)
    return Publication(topic=reply, content=answer, qos=1, life_s=REPLY_LIFE_S)


def _heartbeat(device: Device, content: dialect.Content) -> Publication | None:
    """Note a sign of life; whoever does not know its wiring is told."""
    dialect.heartbeat_from(content)
    at = real_now()
    devices.hear(device, real_at=at)
    wiring = basic.wiring_to_tell(device, real_at=at)
    if wiring is None:
        return None
    return Publication(
        topic=topics.command(device.pk),
        content=dialect.apply_config(wiring, at=at),
        qos=1,
        life_s=int(basic.CONFIG_AGAIN_AFTER.total_seconds()),
    )


def _response(device: Device, content: dialect.Content) -> None:
    answer = dialect.response_from(content)
    if isinstance(answer, dialect.Configured):
        basic.note_configured(device, answer, at=now())
    else:
        basic.take(device, answer, is_kept=False, real_at=real_now())


def _event(device: Device, content: dialect.Content) -> None:
    basic.take(device, dialect.event_from(content), is_kept=False, real_at=real_now())


_REGISTER = topics.REGISTRATIONS.removesuffix("+")
_ACTS: Mapping[str, Callable[[Device, dialect.Content], Publication | None]] = {
    "state/heartbeat": _heartbeat,
    "response": _response,
    "event": _event,
}
