"""What residents and counters do: see what waits, read the code, open, hand over."""

from uuid import UUID

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import idempotency
from common.clock import now, real_now
from lockers import tokens
from lockers.models import LockerCode
from lockers.selectors import profile_at
from lockers.services import codes, disputes, reservations
from lockers.services.disputes import Complaint
from logistics.api.access import account_of, get_or_not_found, principal_of
from logistics.api.serializers import (
    BundleSerializer,
    CodeSerializer,
    ComplaintSerializer,
    ExtensionSerializer,
    HelperCodeSerializer,
    OpenCommandSerializer,
)
from logistics.api.views.orders import IDEMPOTENCY_KEY
from logistics.models import Bundle, Principal, Role
from logistics.services import bundles, holding


def visible_bundles(request: Request) -> QuerySet[Bundle]:
    """Return the bundles that the asker receives, hands out, or dispatches."""
    principal = principal_of(request)
    return with_place(
        Bundle.objects.filter(
            Q(resident__in=principal.residents)
            | Q(supply_point__in=principal.counters, reservation=None)
            | Q(pool__region__in=principal.dispatches)
        )
    )


def served_bundles(request: Request) -> QuerySet[Bundle]:
    """Return the bundles that the asker receives or dispatches, or helps with at a supply point."""
    principal = principal_of(request)
    return Bundle.objects.filter(
        Q(resident__in=principal.residents)
        | Q(supply_point__in=principal.counters)
        | Q(pool__region__in=principal.dispatches)
    )


def with_place(bundles: QuerySet[Bundle]) -> QuerySet[Bundle]:
    """Return bundles with where they lie, and what is in them."""
    return (
        bundles.select_related("pool", "supply_point", "reservation__locker", "reservation__compartment")
        .select_related("reservation__code")
        .annotate(locker_profile=profile_at("reservation__locker"))
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


def _shown(code: LockerCode, *, reason: str, status: int = status.HTTP_200_OK) -> Response:
    """Show a code's digits to somebody; it is logged, and no cache keeps them."""
    shown = {"code": codes.reveal(code, reason=reason, at=now()), "qr": tokens.qr_token(code.pk)}
    content = CodeSerializer(shown).data
    return Response(content, status=status, headers={"Cache-Control": "no-store"})


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
        return _shown(bundles.code_to_type(own_bundle(request, bundle_id)), reason="resident")


@extend_schema(tags=["residents"])
class ReplaceCodeView(APIView):
    """Another code in place of one that somebody else may know."""

    @extend_schema(request=None, responses={201: CodeSerializer})
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Revoke a resident's code, and show the one for the new card; dispatchers do, and it is logged."""
        bundle = get_or_not_found(visible_bundles(request), bundle_id)
        if bundle.pool.region_id not in principal_of(request).dispatches:
            raise PermissionDenied
        issued = bundles.replace_code(bundle, by=account_of(request), at=now())
        return _shown(issued, reason="reprint", status=status.HTTP_201_CREATED)


@extend_schema(tags=["residents"])
class HelpersView(APIView):
    """The codes of those who may collect for a resident."""

    @extend_schema(responses=HelperCodeSerializer(many=True))
    def get(self, request: Request, bundle_id: UUID) -> Response:
        """List the codes that helpers were given, without their digits."""
        given = bundles.code_of(own_bundle(request, bundle_id)).helpers.order_by("issued_at")
        return Response(HelperCodeSerializer(given, many=True).data)


@extend_schema(tags=["residents"])
class HelperView(APIView):
    """One helper's code, under an identifier that the asker makes, so that asking again is harmless."""

    @extend_schema(request=None, responses={200: CodeSerializer, 201: CodeSerializer})
    def put(self, request: Request, bundle_id: UUID, helper_id: UUID) -> Response:
        """Give a helper a code that opens the resident's compartments for one visit, and show it."""
        code = bundles.code_to_type(own_bundle(request, bundle_id))
        known = code.helpers.filter(holder=helper_id).first()
        issued = known or codes.issue_for_helper(code, helper=helper_id, at=now())
        how = status.HTTP_200_OK if known else status.HTTP_201_CREATED
        return _shown(issued, reason="helper", status=how)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, bundle_id: UUID, helper_id: UUID) -> Response:
        """Take a helper's code back; to take it back twice is harmless."""
        given = bundles.code_of(own_bundle(request, bundle_id)).helpers.filter(holder=helper_id).first()
        if given is None:
            raise NotFound
        if given.is_live:
            codes.revoke(given, at=now())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["residents"])
class OpenBundleView(APIView):
    """The door before a bundle."""

    @extend_schema(request=None, responses={202: OpenCommandSerializer})
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Open the compartment in which one's goods lie."""
        command = bundles.open_for_resident(own_bundle(request, bundle_id), at=now(), real_at=real_now())
        return Response(OpenCommandSerializer(command).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["residents"])
class DoneView(APIView):
    """The end of a collection."""

    @extend_schema(request=None, responses=BundleSerializer)
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Say that everything was taken out; with the closed door the compartment is free for others."""
        bundle = own_bundle(request, bundle_id)
        reservations.confirm_collection(bundles.claim_of(bundle), at=now())
        return Response(BundleSerializer(own_bundle(request, bundle_id)).data)


@extend_schema(tags=["residents"])
class ComplaintView(APIView):
    """What is wrong with goods behind a door."""

    @extend_schema(request=ComplaintSerializer, responses=BundleSerializer)
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Have somebody look; until then the code opens nothing. Counters and dispatchers ask, too."""
        served = with_place(served_bundles(request))
        bundle = get_or_not_found(served, bundle_id)
        payload = ComplaintSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        disputes.begin(
            bundles.claim_of(bundle),
            Complaint(payload.validated_data["reason"]),
            by=account_of(request),
            role=_role(principal_of(request), bundle),
            at=now(),
        )
        return Response(BundleSerializer(get_or_not_found(served.all(), bundle_id)).data)


@extend_schema(tags=["residents"])
class ExtendBundleView(APIView):
    """More time to collect."""

    @extend_schema(request=None, responses=ExtensionSerializer, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, bundle_id: UUID) -> Response:
        """Let goods wait a day longer while nobody else needs the compartment; counters ask for residents."""
        served = served_bundles(request).select_related("reservation", "pool__region")
        bundle = get_or_not_found(served, bundle_id)
        role = _role(principal_of(request), bundle)

        def extend() -> Response:
            held = holding.extend(bundle, by=account_of(request), role=role, at=now())
            return Response(ExtensionSerializer({"bundles": held}).data)

        return idempotency.once(request, scope=f"extend:{bundle.pk}", act=extend)


def _role(principal: Principal, bundle: Bundle) -> Role:
    """Return as whom somebody acts for a bundle."""
    if bundle.resident_id in principal.residents:
        return Role.RESIDENT
    return Role.COUNTER if bundle.supply_point_id in principal.counters else Role.DISPATCHER


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
