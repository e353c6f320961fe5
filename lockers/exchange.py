"""
What a device's message asks for, and our signed answer, whatever carries them.

Each function takes one message, or one batch, as it came; it raises a ``LinkError`` for what the contract or
the present state forbids, and then nothing of it is kept.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from common.clock import now, real_now
from lockers import keys, link, tokens, wire
from lockers.exceptions import LinkError, MalformedMessage
from lockers.models import Device, OpenCommand
from lockers.services import allowlists, broker, commands, devices, inbox, keypad
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
        server_keys=keys.known_keys(),
        list_key=base64.b64encode(tokens.list_key(device.pk)).decode(),
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
        list_version=greeting.list_version,
        real_at=at,
    )
    boots = {boot.boot_id: boot.accepted_seq for boot in device.boots.all()}
    return link.answer(
        device,
        "hello_accepted",
        to=greeting.message_id,
        at=at,
        accepted=boots,
        server_keys=keys.known_keys(),
    )


def heartbeat(envelope: wire.Envelope) -> Sequence[wire.Envelope]:
    """Note a sign of life, as ``all_heartbeats`` does."""
    [said] = all_heartbeats([envelope])
    if isinstance(said, LinkError):
        raise said
    return said


def all_heartbeats(envelopes: Sequence[wire.Envelope]) -> Sequence[Sequence[wire.Envelope] | LinkError]:
    """
    Note signs of life of several devices, each in its present connection.

    Returns for each the answer, which is how the device learns the time, or why it was refused. What we miss
    of a device's reports is asked for after the answer; lists of codes go their own way.
    """
    known = link.devices_named_by(envelopes)
    read = [_sign_of_life(envelope, known) for envelope in envelopes]
    at = real_now()
    devices.hear_all([one.device for one in read if isinstance(one, _SignOfLife)], real_at=at)
    return [
        one
        if isinstance(one, LinkError)
        else [
            link.answer(one.device, "heartbeat_answered", to=str(one.message_id), at=at),
            *_sync_for(one.device),
        ]
        for one in read
    ]


@dataclass(frozen=True, slots=True)
class _SignOfLife:
    """A heartbeat, and whose it is."""

    device: Device
    message_id: UUID


def _sign_of_life(envelope: wire.Envelope, known: Mapping[UUID, Device]) -> _SignOfLife | LinkError:
    try:
        device = link.signer_of(envelope, known)
        link.require_epoch(envelope, device)
        return _SignOfLife(device, link.heartbeat_from(envelope))
    except LinkError as error:
        return error


def begin_poll(envelope: wire.Envelope) -> tuple[Device, list[wire.Envelope]]:
    """Note a sign of life, and return the device and what waits for it."""
    device = link.device_of(envelope)
    link.require_epoch(envelope, device)
    known = link.known_commands(envelope)
    devices.hear(device, real_at=real_now())
    return device, [*_unlocks(device, known), *asides(device)]


def look_again(device: Device, known: frozenset[UUID]) -> list[wire.Envelope]:
    """Return what waits for a device by now."""
    device = Device.objects.select_related("locker").get(pk=device.pk)
    return [*_unlocks(device, known), *asides(device)]


def asides(device: Device) -> list[wire.Envelope]:
    """Return what a device should know: its list of codes if it may be behind, and what we miss of it."""
    codes = _list_for(device) if allowlists.is_due(device, real_at=real_now()) else []
    return [*_sync_for(device), *codes]


def lists_due(transport: Transport) -> Iterator[wire.Envelope]:
    """Yield the lists of codes for devices on a transport that may be behind."""
    due = allowlists.due(real_at=real_now()).filter(transport=transport)
    for device in due.select_related("locker"):
        yield from _list_for(device)


def _sync_for(device: Device) -> list[wire.Envelope]:
    at = real_now()
    if not inbox.ask_for_missing(device, real_at=at):
        return []
    return [link.order(device, "sync", at=at, accepted=inbox.missing_after(device))]


def _list_for(device: Device) -> list[wire.Envelope]:
    at = real_now()
    content = allowlists.next_message(device, at=now(), real_at=at)
    return [] if content is None else [link.order(device, "put_allowlist", at=at, **content)]


def _unlocks(device: Device, known: frozenset[UUID]) -> list[wire.Envelope]:
    """Return the commands that a device has not named as known."""
    at = real_now()
    offered = commands.hand_out(device, real_at=at, except_for=known)
    return [link.unlock(command, at=at) for command in offered]


def take_reports(envelopes: Sequence[Any]) -> wire.Envelope:
    """Take signed reports of one device; the answer says up to where nothing is missing."""
    [said] = take_all_reports([envelopes])
    if isinstance(said, LinkError):
        raise said
    return said


def take_all_reports(batches: Sequence[Sequence[Any]]) -> Sequence[wire.Envelope | LinkError]:
    """
    Take batches of signed reports, each of another device, in one transaction.

    Returns for each the answer, or why it was refused; a batch that is refused stops no other.
    """
    known = link.devices_named_by(batch[0] for batch in batches if batch and isinstance(batch[0], dict))
    read = [_read(batch, known) for batch in batches]
    at = real_now()
    accepted = inbox.receive_all(
        {one.device.pk: one.reports for one in read if isinstance(one, _Batch)}, real_at=at
    )
    return [
        one
        if isinstance(one, LinkError)
        else link.answer(
            one.device, "messages_accepted", to=None, at=at, accepted=dict(accepted[one.device.pk])
        )
        for one in read
    ]


def enter_code(envelope: wire.Envelope) -> CodeAnswer:
    """
    Take a code that was typed at the keypad.

    The command to open the door is claimed: it may be carried out as soon as it is handed on. The same
    message again finds the same command.
    """
    device = link.device_of(envelope)
    link.require_epoch(envelope, device)
    request_id, code = link.code_from(envelope)
    at = real_now()
    devices.hear(device, real_at=at)
    with transaction.atomic():
        entry = keypad.enter(device.locker, code, at=now(), real_at=at, request_id=request_id)
        if entry.command is not None:
            commands.claim(entry.command)
    answer = link.answer(
        device,
        "code_answered",
        to=str(request_id),
        at=at,
        outcome=entry.told,
        num_left=entry.num_left,
        compartment_number=entry.command and entry.command.compartment.number,
        purpose=entry.command and entry.command.purpose,
        locked_until=entry.locked_until and wire.moment(entry.locked_until),
    )
    is_to_open = entry.command is not None and entry.command.is_offerable(at=at)
    return CodeAnswer(answer, entry.command if is_to_open else None)


def refusal(envelope: wire.Envelope, error: LinkError) -> wire.Envelope | None:
    """Return our word to a device that its message was refused; nothing if it is not the device's."""
    try:
        device = link.device_of(envelope)
    except LinkError:
        return None
    to = link.identity_of(envelope)
    return link.answer(device, "refused", to=to, at=real_now(), code=error.code)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Reports, and who signed all of them."""

    device: Device
    reports: Sequence[link.Report]


def _read(envelopes: Sequence[Any], known: Mapping[UUID, Device]) -> _Batch | LinkError:
    try:
        device = _signer(envelopes, known)
        return _Batch(device, [link.report_from(envelope) for envelope in envelopes])
    except LinkError as error:
        return error


def _signer(envelopes: Sequence[Any], known: Mapping[UUID, Device]) -> Device:
    """Return the one device that signed all the envelopes."""
    device: Device | None = None
    for envelope in envelopes:
        if not isinstance(envelope, dict):
            raise MalformedMessage(reason="every message is an object")
        if device is None:
            device = link.signer_of(envelope, known)
        elif envelope.get("kid") != str(device.pk):
            raise MalformedMessage(reason="a batch comes from one device")
        else:
            link.check_signature(envelope, device.public_key)
    if device is None:
        raise MalformedMessage(reason="a batch holds at least one message")
    return device
