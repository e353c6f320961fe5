"""
What a device's message asks for, and our signed answer, whatever carries them.

Each function takes one message, or one batch, as it came; it raises a ``LinkError`` for what the contract or
the present state forbids, and then nothing of it is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.clock import now, real_now
from lockers import link, wire
from lockers.exceptions import LinkError, MalformedMessage
from lockers.models import Device, OpenCommand
from lockers.services import broker, commands, devices, inbox, keypad
from lockers.states import Transport


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """What is said to a typed code, and the command to open the door, if one does."""

    answer: wire.Envelope
    command: OpenCommand | None


def provision(envelope: wire.Envelope) -> wire.Envelope:
    """Bring a device into service with a one-time token; it proves that it holds its key by signing."""
    wish = link.enrolment_from(envelope)
    at = real_now()
    device = devices.provision(token=wish.token, public_key=wish.public_key, at=now(), real_at=at)
    return link.answer(
        device,
        "provisioned",
        to=wish.message_id,
        at=at,
        locker_id=str(device.locker_id),
        locker=device.locker.slug,
        compartments=list(device.locker.compartments.values_list("number", flat=True)),
        server_keys={link.server_kid(): wire.public_text(link.server_key().public_key())},
        mqtt=broker.access(device),
    )


def hello(envelope: wire.Envelope, *, transport: Transport) -> wire.Envelope:
    """Begin a connection."""
    device = link.device_of(envelope)
    greeting = link.hello_from(envelope)
    at = real_now()
    devices.greet(
        device,
        link_epoch=greeting.link_epoch,
        num_hellos=greeting.num_hellos,
        transport=transport,
        real_at=at,
    )
    boots = {boot.boot_id: boot.accepted_seq for boot in device.boots.all()}
    return link.answer(device, "hello_accepted", to=greeting.message_id, at=at, accepted=boots)


def heartbeat(envelope: wire.Envelope) -> wire.Envelope:
    """Note a sign of life of the present connection; the answer is how the device learns the time."""
    device = link.device_of(envelope)
    link.require_epoch(envelope, device)
    message_id = link.heartbeat_from(envelope)
    at = real_now()
    devices.hear(device, real_at=at)
    return link.answer(device, "heartbeat_answered", to=str(message_id), at=at)


def begin_poll(envelope: wire.Envelope) -> tuple[Device, list[OpenCommand]]:
    """Note a sign of life, and return the device and the commands that wait for it."""
    device = link.device_of(envelope)
    link.require_epoch(envelope, device)
    known = link.known_commands(envelope)
    devices.hear(device, real_at=real_now())
    return device, offer(device, known)


def offer(device: Device, known: frozenset[UUID]) -> list[OpenCommand]:
    """Return the commands that a device has not named as known."""
    return commands.hand_out(device, real_at=real_now(), except_for=known)


def take_reports(envelopes: Sequence[Any]) -> wire.Envelope:
    """Take signed reports of one device; the answer says up to where nothing is missing."""
    device = _signer(envelopes)
    batch = [link.report_from(envelope) for envelope in envelopes]
    at = real_now()
    accepted = inbox.receive(device, batch, real_at=at)
    return link.answer(device, "messages_accepted", to=None, at=at, accepted=dict(accepted))


def enter_code(envelope: wire.Envelope) -> CodeAnswer:
    """Take a code that was typed at the keypad."""
    device = link.device_of(envelope)
    link.require_epoch(envelope, device)
    request_id, digits = link.digits_from(envelope)
    at = real_now()
    devices.hear(device, real_at=at)
    entry = keypad.enter(device.locker, digits, at=now(), real_at=at, request_id=request_id)
    answer = link.answer(
        device,
        "code_answered",
        to=str(request_id),
        at=at,
        outcome=entry.told,
        num_left=entry.num_left,
        compartment_number=entry.command and entry.command.compartment.number,
        locked_until=entry.locked_until and wire.moment(entry.locked_until),
    )
    is_to_open = entry.command is not None and entry.command.is_live
    return CodeAnswer(answer, entry.command if is_to_open else None)


def refusal(envelope: wire.Envelope, error: LinkError) -> wire.Envelope | None:
    """Return our word to a device that its message was refused; nothing if it is not the device's."""
    try:
        device = link.device_of(envelope)
    except LinkError:
        return None
    to = link.identity_of(envelope)
    return link.answer(device, "refused", to=to, at=real_now(), code=error.code)


def _signer(envelopes: Sequence[Any]) -> Device:
    """Return the one device that signed all the envelopes."""
    device: Device | None = None
    for envelope in envelopes:
        if not isinstance(envelope, dict):
            raise MalformedMessage(reason="every message is an object")
        if device is None:
            device = link.device_of(envelope)
        elif envelope.get("kid") != str(device.pk):
            raise MalformedMessage(reason="a batch comes from one device")
        else:
            link.check_signature(envelope, device.public_key)
    if device is None:
        raise MalformedMessage(reason="a batch holds at least one message")
    return device
