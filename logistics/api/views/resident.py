"""What residents and counters do: see what waits, read the code, open, hand over."""

from uuid import UUID

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.clock import now, real_now
from lockers.services import codes
from logistics.api.access import get_or_not_found, principal_of
from logistics.api.serializers import BundleSerializer, CodeSerializer, OpenCommandSerializer
from logistics.exceptions import NothingToOpen
from logistics.models import Bundle
from logistics.services import bundles


def visible_bundles(request: Request) -> QuerySet[Bundle]:
    """Return the bundles that the asker receives, hands out, or dispatches."""
    principal = principal_of(request)
    return (
        Bundle.objects.filter(
            Q(resident__in=principal.residents)
            | Q(supply_point__in=principal.counters, reservation=None)
            | Q(pool__region__in=principal.dispatches)
        )
        .select_related("pool", "supply_point", "reservation__locker", "reservation__compartment")
        .select_related("reservation__code")
        .prefetch_related("parcels")
    )


def own_bundle(request: Request, bundle_id: UUID) -> Bundle:
    """
    Return a bundle that the asker receives.

    Raises
    ------
    PermissionDenied
        If the asker may see the bundle but is not its resident.
    """
    bundle = get_or_not_found(visible_bundles(request), bundle_id)
    if bundle.resident_id not in principal_of(request).residents:
        raise PermissionDenied
    return bundle


@extend_schema(tags=["residents"])
class BundlesView(generics.ListAPIView[Bundle]):
    """List what waits, or will, for a resident or at a counter."""

    serializer_class = BundleSerializer

    def get_queryset(self) -> QuerySet[Bundle]:
        """Return the bundles that the asker may see."""
        return visible_bundles(self.request)


@extend_schema(tags=["residents"])
class BundleCodeView(APIView):
    """The code of a bundle."""

    @extend_schema(responses=CodeSerializer)
    def get(self, request: Request, bundle_id: UUID) -> Response:
        """Show the code that opens the resident's compartments; each showing is logged."""
        bundle = own_bundle(request, bundle_id)
        if bundle.reservation is None or bundle.reservation.code is None:
            raise NothingToOpen
        digits = codes.reveal(bundle.reservation.code, reason="resident", at=now())
        return Response(CodeSerializer({"code": digits}).data, headers={"Cache-Control": "no-store"})


@extend_schema(tags=["residents"])
class OpenBundleView(APIView):
    """The door before a bundle."""

    @extend_schema(request=None, responses={202: OpenCommandSerializer})
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Open the compartment in which one's goods lie."""
        command = bundles.open_for_resident(own_bundle(request, bundle_id), at=now(), real_at=real_now())
        return Response(OpenCommandSerializer(command).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["residents"])
class HandOverView(APIView):
    """The hand-over at a counter."""

    @extend_schema(request=None, responses=BundleSerializer)
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Note that the counter handed the goods to their resident."""
        bundle = get_or_not_found(visible_bundles(request), bundle_id)
        if bundle.supply_point_id not in principal_of(request).counters:
            raise PermissionDenied
        bundles.hand_over(bundle, at=now())
        return Response(BundleSerializer(get_or_not_found(visible_bundles(request), bundle_id)).data)
