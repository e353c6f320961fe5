"""What couriers do: read runs, set out, report, open doors."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import idempotency
from common.clock import now, real_now
from lockers.selectors import profile_at
from logistics.api.access import get_or_not_found, principal_of
from logistics.api.serializers import (
    DepositCodeSerializer,
    OpenDoorInputSerializer,
    OpenedDoorSerializer,
    ReportAnswerSerializer,
    ReportInputSerializer,
    RunDetailSerializer,
    RunSerializer,
)
from logistics.api.views.orders import IDEMPOTENCY_KEY
from logistics.exceptions import NothingToOpen, RunTaken
from logistics.models import Bundle, Courier, Handling, Run, Stop
from logistics.services import runs


def visible_runs(request: Request) -> QuerySet[Run]:
    """Return the runs that the asker may see."""
    return Run.objects.visible_to(principal_of(request)).select_related("vehicle", "pool__region")


def own_run(request: Request, run_id: UUID) -> Run:
    """
    Return a run that the asker drives.

    Raises
    ------
    RunTaken
        If another courier drives it.
    NotFound
        If it is none that the asker may know of.
    """
    own = Run.objects.filter(pk=run_id, courier__in=principal_of(request).couriers).first()
    if own is None:
        get_or_not_found(visible_runs(request), run_id)
        raise RunTaken
    return own


@extend_schema(tags=["runs"])
class RunsView(generics.ListAPIView[Run]):
    """List the runs that one drives, may step in for, or dispatches."""

    serializer_class = RunSerializer

    def get_queryset(self) -> QuerySet[Run]:
        """Return the runs that the asker may see."""
        return visible_runs(self.request)


@extend_schema(tags=["runs"])
class RunView(APIView):
    """One run."""

    @extend_schema(responses=RunDetailSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Show a run with its stops and what is handled there."""
        stops = Stop.objects.select_related("hub", "shop", "supply_point__locker").annotate(
            locker_profile=profile_at("supply_point__locker")
        )
        handled = Handling.objects.meant().select_related("parcel__bundle")
        detailed = visible_runs(request).prefetch_related(
            Prefetch("stops", stops), Prefetch("stops__handlings", handled)
        )
        return Response(RunDetailSerializer(get_or_not_found(detailed, run_id)).data)


@extend_schema(tags=["runs"])
class StartRunView(APIView):
    """The start of a run."""

    @extend_schema(request=None, responses=RunSerializer)
    def post(self, request: Request, run_id: UUID) -> Response:
        """Set out on a run."""
        run = get_or_not_found(visible_runs(request), run_id)
        mine = Courier.objects.filter(pk__in=principal_of(request).couriers, region=run.pool.region_id)
        courier = mine.filter(pk=run.courier_id).first() or mine.first()
        if courier is None:
            raise PermissionDenied
        runs.start(run, courier=courier, at=now())
        run.refresh_from_db()
        return Response(RunSerializer(run).data)


@extend_schema(tags=["runs"])
class RunReportsView(APIView):
    """What the courier says."""

    @extend_schema(
        request=ReportInputSerializer, responses=ReportAnswerSerializer, parameters=[IDEMPOTENCY_KEY]
    )
    def post(self, request: Request, run_id: UUID) -> Response:
        """Report taps: arrived, loaded, empty, deposited, problem; late, doubled and out of order is fine."""
        run = own_run(request, run_id)
        payload = ReportInputSerializer(data=request.data)
        payload.is_valid(raise_exception=True)

        def report() -> Response:
            answer = runs.report(run, taps=payload.to_taps(), received_at=now())
            return Response(ReportAnswerSerializer(answer).data)

        return idempotency.once(request, scope=f"report:{run.pk}", act=report)


@extend_schema(tags=["runs"])
class OpenDoorView(APIView):
    """A door for a bundle that the courier has brought."""

    @extend_schema(request=OpenDoorInputSerializer, responses={202: OpenedDoorSerializer})
    def post(self, request: Request, run_id: UUID, stop_id: UUID) -> Response:
        """Open a compartment for a bundle."""
        payload = OpenDoorInputSerializer(data=request.data)
        handling = None
        if payload.is_valid():
            bundle_id = payload.validated_data["bundle"]
            handling = runs.brought(run_id=run_id, stop_id=stop_id, bundle_id=bundle_id)
        if handling is None or handling.stop.run.courier_id not in principal_of(request).couriers:
            run = own_run(request, run_id)
            get_or_not_found(run.stops.all(), stop_id)
            payload.is_valid(raise_exception=True)
            get_or_not_found(Bundle.objects.filter(pool=run.pool_id), bundle_id)
            raise NothingToOpen
        command = runs.open_door(handling, at=now(), real_at=real_now())
        return Response(OpenedDoorSerializer(command).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["runs"])
class DepositCodesView(APIView):
    """The codes of a run's deposits, for the courier's sheet."""

    @extend_schema(responses=DepositCodeSerializer(many=True))
    def get(self, request: Request, run_id: UUID) -> Response:
        """Show with what a door for each bundle opens at the keypad, also without network; it is logged."""
        shown = runs.deposit_codes(own_run(request, run_id), at=now())
        return Response(DepositCodeSerializer(shown, many=True).data, headers={"Cache-Control": "no-store"})
