"""The devices of lockers: tokens that bring them into service, and their retirement."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.clock import now, real_now
from lockers.models import Locker
from lockers.services import basic, broker, devices
from lockers.states import Profile
from logistics import selectors
from logistics.api.access import account_of, get_or_not_found, principal_of
from logistics.api.serializers import (
    ProvisioningTokenInputSerializer,
    ProvisioningTokenSerializer,
    UnusedTokenSerializer,
)


def dispatched_locker(request: Request, locker_id: UUID) -> Locker:
    """Return a locker of a region that the asker dispatches."""
    return get_or_not_found(selectors.lockers_visible_to(principal_of(request)), locker_id)


@extend_schema(tags=["dispatch"])
class LockerTokensView(APIView):
    """One-time tokens of a locker."""

    @extend_schema(responses=UnusedTokenSerializer(many=True), operation_id="locker_tokens_list")
    def get(self, request: Request, locker_id: UUID) -> Response:
        """List the tokens by which a device can still make itself known, without what they say."""
        unused = dispatched_locker(request, locker_id).tokens.usable(at=real_now()).order_by("expires_at")
        return Response(UnusedTokenSerializer(unused, many=True).data)

    @extend_schema(request=ProvisioningTokenInputSerializer, responses={201: ProvisioningTokenSerializer})
    def post(self, request: Request, locker_id: UUID) -> Response:
        """Make a one-time token with which a new device of this locker makes itself known."""
        locker = dispatched_locker(request, locker_id)
        wanted = ProvisioningTokenInputSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        profile, access = wanted.validated_data["profile"], None
        if profile == Profile.BASIC:
            text, setup = basic.issue_token(locker, wiring=wanted.to_wiring(), real_at=real_now())
            token, access = setup.token, broker.newcomer_access(setup)
        else:
            text, token = devices.new_token(locker, profile=Profile.FULL, real_at=real_now())
        made = {"id": token.pk, "token": text, "profile": profile, "broker": access}
        content = ProvisioningTokenSerializer(made).data
        return Response(content, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


@extend_schema(tags=["dispatch"])
class LockerTokenView(APIView):
    """A one-time token of a locker."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, locker_id: UUID, token_id: int) -> Response:
        """Take back a token that nobody has used; to take it back twice is harmless."""
        token = dispatched_locker(request, locker_id).tokens.filter(pk=token_id).first()
        if token is None:
            raise NotFound
        devices.withdraw_token(token, by=account_of(request), at=now(), real_at=real_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["dispatch"])
class LockerDeviceView(APIView):
    """The device that drives a locker."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, locker_id: UUID) -> Response:
        """Retire the device for good; the locker is offline until a new one makes itself known."""
        locker = dispatched_locker(request, locker_id)
        devices.retire_of(locker, by=account_of(request), at=now(), real_at=real_now())
        return Response(status=status.HTTP_204_NO_CONTENT)
