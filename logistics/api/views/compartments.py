"""What those do who look into lockers: checks, differences, blocks, the sheet, what is overdue."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.pagination import NewestFirst
from common.clock import now, real_now
from lockers.models import Compartment
from lockers.services import checks
from lockers.services.checks import Difference, Finding
from lockers.states import TROUBLE, CompartmentState
from logistics import selectors
from logistics.api.access import account_of, principal_of, require_dispatcher
from logistics.api.serializers import (
    BlockSerializer,
    CompartmentContentSerializer,
    DifferenceSerializer,
    FindingSerializer,
    OpenCommandSerializer,
    OverdueSerializer,
    SheetSerializer,
)
from logistics.api.sheets import SheetCSVRenderer
from logistics.models import Bundle


def visible_compartments(request: Request) -> QuerySet[Compartment]:
    """Return the compartments that the asker dispatches, or helps with at a supply point."""
    return selectors.compartments_visible_to(principal_of(request))


def visible_compartment(request: Request, locker_id: UUID, number: int) -> Compartment:
    """
    Return a compartment that the asker may look into.

    Raises
    ------
    NotFound
        If there is none that the asker may know of.
    """
    found = visible_compartments(request).filter(locker=locker_id, number=number).first()
    if found is None:
        raise NotFound
    return found


def dispatched_compartment(request: Request, locker_id: UUID, number: int) -> Compartment:
    """
    Return a compartment of a region that the asker dispatches.

    Raises
    ------
    PermissionDenied
        If the asker may look into it, but does not dispatch the region.
    """
    compartment = visible_compartment(request, locker_id, number)
    require_dispatcher(request, compartment.locker.supply_point.municipality.region_id)
    return compartment


def shown(request: Request, compartment: Compartment) -> Response:
    """Show a compartment as it is now."""
    whole = selectors.with_content(visible_compartments(request)).get(pk=compartment.pk)
    return Response(CompartmentContentSerializer(whole, context={"request": request}).data)


class LongestWaiting(CursorPagination):
    """What has waited longest comes first."""

    ordering = ("trouble_since", "pk")
    page_size = NewestFirst.page_size
    page_size_query_param = NewestFirst.page_size_query_param
    max_page_size = NewestFirst.max_page_size


@extend_schema(tags=["compartments"])
class ChecksView(generics.ListAPIView[Compartment]):
    """List the compartments that wait for a check or are out of service, and what should lie in them."""

    serializer_class = CompartmentContentSerializer
    pagination_class = LongestWaiting

    def get_queryset(self) -> QuerySet[Compartment]:
        """Return the compartments out of use that the asker may look into."""
        return selectors.with_content(visible_compartments(self.request).filter(state__in=TROUBLE))


@extend_schema(tags=["compartments"])
class OpenCompartmentView(APIView):
    """The door of a compartment that is out of use."""

    @extend_schema(request=None, responses={202: OpenCommandSerializer})
    def post(self, request: Request, locker_id: UUID, number: int) -> Response:
        """Open a compartment that waits for a check or is out of service, to look into it."""
        compartment = visible_compartment(request, locker_id, number)
        command = checks.open_door(compartment, by=account_of(request), at=now(), real_at=real_now())
        return Response(OpenCommandSerializer(command).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["compartments"])
class SettleCompartmentView(APIView):
    """The word of somebody who looked into a compartment."""

    @extend_schema(request=FindingSerializer, responses=CompartmentContentSerializer)
    def post(self, request: Request, locker_id: UUID, number: int) -> Response:
        """Say what was found; the compartment comes back into use as what it is."""
        compartment = visible_compartment(request, locker_id, number)
        if compartment.state == CompartmentState.OUT_OF_SERVICE:
            compartment = dispatched_compartment(request, locker_id, number)
        payload = FindingSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        found, note = Finding(payload.validated_data["found"]), payload.validated_data["note"]
        checks.settle(compartment, found, note=note, by=account_of(request), at=now(), real_at=real_now())
        return shown(request, compartment)


@extend_schema(tags=["compartments"])
class DifferencesView(APIView):
    """What is otherwise than the sheet says."""

    @extend_schema(request=DifferenceSerializer, responses=CompartmentContentSerializer)
    def post(self, request: Request, locker_id: UUID, number: int) -> Response:
        """Report a difference; the compartment waits for a check, and nobody else gets to what is inside."""
        compartment = visible_compartment(request, locker_id, number)
        payload = DifferenceSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        difference, note = Difference(payload.validated_data["difference"]), payload.validated_data["note"]
        checks.report(compartment, difference, note=note, by=account_of(request), at=now())
        return shown(request, compartment)


@extend_schema(tags=["compartments"])
class BlockCompartmentView(APIView):
    """The end of a compartment's service."""

    @extend_schema(request=BlockSerializer, responses=CompartmentContentSerializer)
    def post(self, request: Request, locker_id: UUID, number: int) -> Response:
        """Take a compartment out of service, with whatever lies in it; its resident is told to wait."""
        compartment = dispatched_compartment(request, locker_id, number)
        payload = BlockSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        checks.block(compartment, by=account_of(request), at=now(), **payload.validated_data)
        return shown(request, compartment)


@extend_schema(tags=["compartments"])
class UnblockCompartmentView(APIView):
    """The return of a compartment into service."""

    @extend_schema(request=None, responses=CompartmentContentSerializer)
    def post(self, request: Request, locker_id: UUID, number: int) -> Response:
        """Let a blocked compartment serve again: its resident if goods lie in it, else whoever checks it."""
        compartment = dispatched_compartment(request, locker_id, number)
        checks.unblock(compartment, by=account_of(request), at=now())
        return shown(request, compartment)


@extend_schema(tags=["compartments"])
class SheetView(APIView):
    """What should lie where in a locker."""

    renderer_classes = (JSONRenderer, SheetCSVRenderer)

    @extend_schema(
        responses={(200, "application/json"): SheetSerializer, (200, "text/csv"): OpenApiTypes.STR}
    )
    def get(self, request: Request, locker_id: UUID) -> Response:
        """Show what should lie behind each door now, to be compared with what does; as JSON or as CSV."""
        doors = visible_compartments(request).filter(locker=locker_id).order_by("number")
        compartments = list(selectors.with_content(doors))
        if not compartments:
            raise NotFound
        locker = compartments[0].locker
        sheet = {
            "locker_id": locker.pk,
            "locker": locker.slug,
            "locker_name": locker.name,
            "village": locker.supply_point.village,
            "made_at": now(),
            "compartments": compartments,
        }
        return Response(SheetSerializer(sheet, context={"request": request}).data)


class LongestOverdue(LongestWaiting):
    """What has been overdue longest comes first."""

    ordering = ("overdue_since", "pk")


@extend_schema(tags=["compartments"])
class OverdueView(generics.ListAPIView[Bundle]):
    """List what was not collected in time: where it lies, since when, and of which shops it is."""

    serializer_class = OverdueSerializer
    pagination_class = LongestOverdue

    def get_queryset(self) -> QuerySet[Bundle]:
        """Return what is overdue in the regions that the asker dispatches."""
        return selectors.overdue_visible_to(principal_of(self.request))
