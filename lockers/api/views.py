"""
The locker link over HTTPS: signed envelopes in, signed envelopes out.

These views speak the devices' own protocol: they are asynchronous, know no users, and have their own table
of refusals. Each answer is ``{"messages": […]}``; the first message is the answer, commands may follow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from common.clock import real_now
from lockers import exchange, link, wire
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
from lockers.states import HEARTBEAT_INTERVAL, Transport

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
    """Bring a device into service with a one-time token."""
    return [await threads.run(exchange.provision, body)]


@_endpoint
async def hello(body: dict[str, Any]) -> Messages:
    """Begin a connection."""
    return [await threads.run(exchange.hello, body, transport=Transport.HTTPS)]


@_endpoint
async def poll(body: dict[str, Any]) -> Messages:
    """
    Wait for commands, at most one heartbeat long.

    A command is offered again until the device names it as known or its deadline passes, so nothing is lost
    with a poll whose client has gone.
    """
    until_s = time.monotonic() + LONGEST_POLL_S
    with watcher().waiting(str(body.get("kid"))) as called:
        device, waiting = await threads.run(exchange.begin_poll, body)
        known = link.known_commands(body)
        while not waiting and (left_s := until_s - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(called.wait(), left_s)
            except TimeoutError:
                break
            called.clear()
            waiting = await threads.run(exchange.look_again, device, known)
    return [link.answer(device, "poll_answered", to=body.get("message_id"), at=real_now()), *waiting]


@_endpoint
async def messages(body: dict[str, Any]) -> Messages:
    """Take a batch of signed reports."""
    envelopes = body.get("messages")
    if not isinstance(envelopes, list) or not 1 <= len(envelopes) <= wire.MAX_BATCH:
        raise MalformedMessage(reason=f"messages is a list of 1 to {wire.MAX_BATCH}")
    return [await threads.run(exchange.take_reports, envelopes)]


@_endpoint
async def codes(body: dict[str, Any]) -> Messages:
    """Take a code that was typed at the keypad; the unlock command comes with the answer."""
    said = await threads.run(exchange.enter_code, body)
    if said.command is None:
        return [said.answer]
    return [said.answer, link.unlock(said.command, at=real_now())]


def _problem(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    body = {
        "type": f"/problems/{code}",
        "title": status.phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
