"""Where errors get their HTTP status: domain errors know nothing of HTTP, and leave as problem details."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.api.problems import problem
from common.exceptions import (
    DomainError,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidTransition,
)
from lockers import exceptions as lockers
from logistics import exceptions as logistics

logger = logging.getLogger(__name__)

#: Status of each domain error; one that is missing here is a defect and becomes a logged 500.
STATUS: dict[type[DomainError], HTTPStatus] = {
    IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidTransition: HTTPStatus.CONFLICT,
    lockers.NoCompartmentAvailable: HTTPStatus.CONFLICT,
    lockers.LockerOffline: HTTPStatus.CONFLICT,
    lockers.OfflineWithoutKeypad: HTTPStatus.CONFLICT,
    lockers.NoKeypad: HTTPStatus.CONFLICT,
    lockers.BasicDevicesOff: HTTPStatus.CONFLICT,
    lockers.WiringDoesNotFit: HTTPStatus.UNPROCESSABLE_ENTITY,
    lockers.CommandPending: HTTPStatus.CONFLICT,
    lockers.CompartmentUnavailable: HTTPStatus.CONFLICT,
    lockers.CodeFrozen: HTTPStatus.CONFLICT,
    lockers.CompartmentInUse: HTTPStatus.CONFLICT,
    lockers.GoodsClaimed: HTTPStatus.CONFLICT,
    lockers.NothingClaimed: HTTPStatus.CONFLICT,
    lockers.DoorNotOpened: HTTPStatus.CONFLICT,
    lockers.NotDeposited: HTTPStatus.CONFLICT,
    lockers.HoldEnded: HTTPStatus.CONFLICT,
    lockers.ReopenLimitReached: HTTPStatus.CONFLICT,
    lockers.CodeNotRevealable: HTTPStatus.CONFLICT,
    lockers.NoCodeLeft: HTTPStatus.SERVICE_UNAVAILABLE,
    lockers.TokenUsed: HTTPStatus.CONFLICT,
    logistics.UnknownShop: HTTPStatus.NOT_FOUND,
    logistics.UnknownResident: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.ResidentWithoutSupplyPoint: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.OrderTooHeavy: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.ParcelTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.NoOpenPool: HTTPStatus.CONFLICT,
    logistics.CutoffPassed: HTTPStatus.CONFLICT,
    logistics.CutoffInThePast: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.PoolExists: HTTPStatus.CONFLICT,
    logistics.WindowsOutOfOrder: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.PoolStillOpen: HTTPStatus.CONFLICT,
    logistics.PlanInComputation: HTTPStatus.CONFLICT,
    logistics.PoolReleased: HTTPStatus.CONFLICT,
    logistics.PlanOutdated: HTTPStatus.CONFLICT,
    logistics.PlanInfeasible: HTTPStatus.CONFLICT,
    logistics.RunTaken: HTTPStatus.CONFLICT,
    logistics.CourierBusy: HTTPStatus.CONFLICT,
    logistics.RunNotUnderWay: HTTPStatus.CONFLICT,
    logistics.NotOnThisStop: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.ReportFromTheFuture: HTTPStatus.UNPROCESSABLE_ENTITY,
    logistics.NothingToOpen: HTTPStatus.CONFLICT,
    logistics.NotAtCounter: HTTPStatus.CONFLICT,
    logistics.LongestHoldReached: HTTPStatus.CONFLICT,
    logistics.CompartmentNeeded: HTTPStatus.CONFLICT,
    logistics.OutsideRegion: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into problem details; ``None`` (a 500) for what nobody foresaw."""
    if isinstance(error, Http404):
        error = drf.NotFound()
    elif isinstance(error, PermissionDenied):
        error = drf.PermissionDenied()
    if isinstance(error, DomainError) and type(error) in STATUS:
        set_rollback()
        status = STATUS[type(error)]
        return problem(status=status, code=error.code, title=status.phrase, detail=str(error))
    if isinstance(error, drf.APIException):
        set_rollback()
        return _from_framework(error)
    return None


def _from_framework(error: drf.APIException) -> Response:
    status = HTTPStatus(error.status_code)
    if isinstance(error, drf.ValidationError):
        errors = list(_field_errors(error.get_full_details(), ""))
        response = problem(
            status=status,
            code="invalid-input",
            title=status.phrase,
            detail="; ".join(f"{entry['pointer']}: {entry['detail']}" for entry in errors[:3]),
            errors=errors,
        )
    else:
        response = problem(
            status=status,
            code=str(error.default_code).replace("_", "-"),
            title=status.phrase,
            detail=str(error.detail),
        )
    for header, value in (
        ("WWW-Authenticate", getattr(error, "auth_header", None)),
        ("Retry-After", getattr(error, "wait", None)),
    ):
        if value:
            response[header] = str(value)
    return response


def _field_errors(details: Any, pointer: str) -> Iterator[dict[str, str]]:
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {"pointer": pointer or "/", "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _field_errors(inner, pointer if name == "non_field_errors" else f"{pointer}/{name}")
    elif isinstance(details, list):
        for position, inner in enumerate(details):
            is_leaf = isinstance(inner, dict) and set(inner) == {"message", "code"}
            yield from _field_errors(inner, pointer if is_leaf else f"{pointer}/{position}")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer an address that no view has."""
    return _plain(HTTPStatus.NOT_FOUND, "not-found", "Nothing lives at this address.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Answer for a defect of ours."""
    return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "A defect on our side; it was logged.")


def _plain(status: HTTPStatus, code: str, detail: str) -> JsonResponse:
    body = {
        "type": f"/problems/{code}",
        "title": status.phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
