"""
The locker link over HTTPS: signed envelopes in, signed envelopes out.

These views speak the devices' own protocol: they are asynchronous, know no users, and have their own table
of refusals. Each answer is ``{"messages": […]}``; the first message is the answer, commands may follow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from common.clock import now, real_now
from lockers import link, wire
from lockers.api import threads
from lockers.api.waiting import watcher
from lockers.exceptions import (
    BadProvisioningToken,
    BadSignature,
    LinkError,
    MalformedMessage,
    StaleEpoch,
    UnknownDevice,
)
from lockers.models import Device, OpenCommand
from lockers.services import commands, devices, inbox, keypad
from lockers.states import HEARTBEAT_INTERVAL

#: A poll without news is answered after one heartbeat, so that every poll is one.
LONGEST_POLL_S = HEARTBEAT_INTERVAL.total_seconds()

STATUS: Mapping[type[LinkError], HTTPStatus] = {
    MalformedMessage: HTTPStatus.BAD_REQUEST,
    BadSignature: HTTPStatus.UNAUTHORIZED,
    UnknownDevice: HTTPStatus.UNAUTHORIZED,
    BadProvisioningToken: HTTPStatus.FORBIDDEN,
    StaleEpoch: HTTPStatus.CONFLICT,
}

Messages = Sequence[wire.Envelope]
Endpoint = Callable[[dict[str, Any]], Awaitable[Messages]]


def _endpoint(act: Endpoint) -> Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]:
    """Read the body, answer with messages, and turn refusals into problem details."""

    @csrf_exempt
    @wraps(act)
    async def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "Only POST is allowed.")
        try:
            body = wire.read(request.body)
            if not isinstance(body, dict):
                raise MalformedMessage(reason="the body is an object")
            return JsonResponse({"messages": await act(body)})
        except wire.BadEnvelope as error:
            malformed = MalformedMessage(reason=str(error))
            return _problem(STATUS[MalformedMessage], malformed.code, str(malformed))
        except LinkError as error:
            return _problem(STATUS[type(error)], error.code, str(error))

    return view


@_endpoint
async def provision(body: dict[str, Any]) -> Messages:
    """Bring a device into service with a one-time token; it proves that it holds its key by signing."""
    return [await threads.run(_provision, body)]


@_endpoint
async def hello(body: dict[str, Any]) -> Messages:
    """Begin a connection."""
    return [await threads.run(_hello, body)]


@_endpoint
async def poll(body: dict[str, Any]) -> Messages:
    """
    Wait for commands, at most one heartbeat long.

    A command is offered again until the device names it as known or its deadline passes, so nothing is lost
    with a poll whose client has gone.
    """
    until_s = time.monotonic() + LONGEST_POLL_S
    with watcher().waiting(str(body.get("kid"))) as called:
        device, offered = await threads.run(_begin_poll, body)
        known = link.known_commands(body)
        while not offered and (left_s := until_s - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(called.wait(), left_s)
            except TimeoutError:
                break
            called.clear()
            offered = await threads.run(_offer, device, known)
    at = real_now()
    answer = link.answer(device, "poll_answered", to=body.get("message_id"), at=at)
    return [answer, *(link.unlock(command, at=at) for command in offered)]


@_endpoint
async def messages(body: dict[str, Any]) -> Messages:
    """Take a batch of signed reports; the answer says up to where nothing is missing."""
    return [await threads.run(_take_messages, body)]


@_endpoint
async def codes(body: dict[str, Any]) -> Messages:
    """Take a code that was typed at the keypad; the unlock command comes with the answer."""
    return await threads.run(_enter_code, body)


def _provision(body: dict[str, Any]) -> wire.Envelope:
    token, public_key = body.get("token"), body.get("public_key")
    if not isinstance(token, str) or not isinstance(public_key, str):
        raise MalformedMessage(reason="token and public_key are texts")
    link.check_signature(body, public_key)
    at = real_now()
    device = devices.provision(token=token, public_key=public_key, at=now(), real_at=at)
    return link.answer(
        device,
        "provisioned",
        to=body.get("message_id"),
        at=at,
        locker_id=str(device.locker_id),
        locker=device.locker.slug,
        compartments=list(device.locker.compartments.values_list("number", flat=True)),
        server_keys={link.server_kid(): wire.public_text(link.server_key().public_key())},
    )


def _hello(body: dict[str, Any]) -> wire.Envelope:
    device = link.device_of(body)
    greeting = link.hello_from(body)
    at = real_now()
    devices.greet(device, link_epoch=greeting.link_epoch, num_hellos=greeting.num_hellos, real_at=at)
    boots = {boot.boot_id: boot.accepted_seq for boot in device.boots.all()}
    return link.answer(device, "hello_accepted", to=greeting.message_id, at=at, accepted=boots)


def _begin_poll(body: dict[str, Any]) -> tuple[Device, list[OpenCommand]]:
    device = link.device_of(body)
    link.require_epoch(body, device)
    known = link.known_commands(body)
    devices.hear(device, real_at=real_now())
    return device, _offer(device, known)


def _offer(device: Device, known: frozenset[Any]) -> list[OpenCommand]:
    return commands.hand_out(device, real_at=real_now(), except_for=known)


def _take_messages(body: dict[str, Any]) -> wire.Envelope:
    envelopes = body.get("messages")
    if not isinstance(envelopes, list) or not 1 <= len(envelopes) <= wire.MAX_BATCH:
        raise MalformedMessage(reason=f"messages is a list of 1 to {wire.MAX_BATCH}")
    device = _signer(envelopes)
    batch = [link.report_from(envelope) for envelope in envelopes]
    at = real_now()
    accepted = inbox.receive(device, batch, real_at=at)
    return link.answer(device, "messages_accepted", to=None, at=at, accepted=dict(accepted))


def _signer(envelopes: Iterable[Any]) -> Device:
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
    assert device is not None  # noqa: S101 - the batch is not empty
    return device


def _enter_code(body: dict[str, Any]) -> Messages:
    device = link.device_of(body)
    link.require_epoch(body, device)
    request_id, digits = link.digits_from(body)
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
    if entry.command is None or not entry.command.is_live:
        return [answer]
    return [answer, link.unlock(entry.command, at=at)]


def _problem(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    body = {
        "type": f"/problems/{code}",
        "title": status.phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
