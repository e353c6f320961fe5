"""Who asks, and the objects that exist for them."""

from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request

from logistics.models import Principal, User

ModelT = TypeVar("ModelT", bound=models.Model)


def principal_of(request: Request) -> Principal:
    """Return what the signed-in account may act for."""
    user = request.user
    return user.principal if isinstance(user, User) else Principal()


def account_of(request: Request) -> UUID:
    """Return the signed-in account, for the record of who did something."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    return user.pk


def get_or_not_found(rows: models.QuerySet[ModelT], pk: UUID) -> ModelT:
    """
    Return a row of a queryset that was narrowed to what the asker may see.

    Raises
    ------
    NotFound
        If there is none; a foreign row is answered like one that does not exist.
    """
    try:
        return rows.get(pk=pk)
    except ObjectDoesNotExist as error:
        raise NotFound from error


def require_dispatcher(request: Request, region_id: UUID) -> None:
    """
    Let only dispatchers of a region pass.

    Raises
    ------
    PermissionDenied
        If the asker sees the region but does not dispatch it.
    NotFound
        If the region is none of the asker's.
    """
    principal = principal_of(request)
    if region_id in principal.dispatches:
        return
    raise PermissionDenied if region_id in principal.regions else NotFound
