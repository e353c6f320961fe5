"""What dispatchers do: pools, plans, lockers, the books of a day."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.pagination import NewestFirst
from common.clock import now
from lockers.models import Alarm, Locker
from logistics import selectors
from logistics.api.access import get_or_not_found, principal_of, require_dispatcher
from logistics.api.serializers import (
    AlarmFilterSerializer,
    AlarmSerializer,
    DaySerializer,
    LockerSerializer,
    PlanInputSerializer,
    PlanSerializer,
    PlanSummarySerializer,
    PoolInputSerializer,
    PoolSerializer,
)
from logistics.models import Plan, Pool, Region
from logistics.services import plans, pools


def dispatched_pool(request: Request, pool_id: UUID) -> Pool:
    """Return a pool of a region that the asker dispatches."""
    visible = Pool.objects.visible_to(principal_of(request)).select_related("region")
    pool = get_or_not_found(visible, pool_id)
    require_dispatcher(request, pool.region_id)
    return pool


def visible_plan(request: Request, plan_id: UUID) -> Plan:
    """Return a plan of a region that the asker dispatches."""
    visible = Plan.objects.visible_to(principal_of(request)).select_related("pool__region")
    return get_or_not_found(visible.defer("problem"), plan_id)


@extend_schema(tags=["dispatch"])
class PoolsView(generics.ListAPIView[Pool]):
    """Pools of one's regions."""

    serializer_class = PoolSerializer

    def get_queryset(self) -> QuerySet[Pool]:
        """Return the pools that the asker may see."""
        return Pool.objects.visible_to(principal_of(self.request))

    @extend_schema(request=PoolInputSerializer, responses={201: PoolSerializer})
    def post(self, request: Request) -> Response:
        """Open a pool for a day."""
        payload = PoolInputSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        wanted = dict(payload.validated_data)
        region_id = wanted.pop("region")
        require_dispatcher(request, region_id)
        pool = pools.open_pool(region=Region.objects.get(pk=region_id), at=now(), **wanted)
        return Response(PoolSerializer(pool).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=["dispatch"])
class PoolView(APIView):
    """One pool."""

    @extend_schema(responses=PoolSerializer)
    def get(self, request: Request, pool_id: UUID) -> Response:
        """Show a pool."""
        return Response(
            PoolSerializer(get_or_not_found(Pool.objects.visible_to(principal_of(request)), pool_id)).data
        )


@extend_schema(tags=["dispatch"])
class ClosePoolView(APIView):
    """The end of a pool's intake."""

    @extend_schema(request=None, responses=PoolSerializer)
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Close a pool before its cut-off; a plan is asked for at once."""
        pool = dispatched_pool(request, pool_id)
        pools.close(pool, at=now())
        return Response(PoolSerializer(pool).data)


@extend_schema(tags=["dispatch"])
class PoolDayView(APIView):
    """The books of a pool."""

    @extend_schema(responses=DaySerializer)
    def get(self, request: Request, pool_id: UUID) -> Response:
        """Show where the orders of a pool are, what runs there were and what they cost."""
        return Response(DaySerializer(selectors.day_of(dispatched_pool(request, pool_id))).data)


@extend_schema(tags=["dispatch"])
class PoolPlansView(APIView):
    """Plans of a pool."""

    @extend_schema(responses=PlanSummarySerializer(many=True), operation_id="pool_plans_list")
    def get(self, request: Request, pool_id: UUID) -> Response:
        """List the plans of a pool, the newest first, without their routes."""
        pool = dispatched_pool(request, pool_id)
        newest = pool.plans.defer("solution", "problem").order_by("-created_at")[:50]
        return Response(PlanSummarySerializer(newest, many=True).data)

    @extend_schema(request=PlanInputSerializer, responses={202: PlanSerializer})
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Ask for a plan; it is computed in the background."""
        pool = dispatched_pool(request, pool_id)
        payload = PlanInputSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        plan = plans.ask(pool, at=now(), **payload.validated_data)
        return Response(PlanSerializer(plan).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["dispatch"])
class PlanView(APIView):
    """One plan."""

    @extend_schema(responses=PlanSerializer)
    def get(self, request: Request, plan_id: UUID) -> Response:
        """Show a plan and, while it is computed, its progress."""
        return Response(PlanSerializer(visible_plan(request, plan_id)).data)


@extend_schema(tags=["dispatch"])
class CancelPlanView(APIView):
    """The end of a computation."""

    @extend_schema(request=None, responses={202: PlanSerializer})
    def post(self, request: Request, plan_id: UUID) -> Response:
        """Stop the computation of a plan."""
        plan = visible_plan(request, plan_id)
        plans.cancel(plan, at=now())
        plan.refresh_from_db()
        return Response(PlanSerializer(plan).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["dispatch"])
class ReleasePlanView(APIView):
    """The decision for a plan."""

    @extend_schema(request=None, responses=PlanSerializer)
    def post(self, request: Request, plan_id: UUID) -> Response:
        """Turn a plan into runs."""
        plan = visible_plan(request, plan_id)
        plans.release(plan, at=now())
        return Response(PlanSerializer(visible_plan(request, plan_id)).data)


class ByVillage(CursorPagination):
    """Lockers by the name of their device."""

    ordering = ("slug", "pk")
    page_size = 100
    page_size_query_param = NewestFirst.page_size_query_param
    max_page_size = NewestFirst.max_page_size


@extend_schema(
    tags=["dispatch"],
    parameters=[OpenApiParameter("slug", many=True, description="Only these lockers.")],
)
class LockersView(generics.ListAPIView[Locker]):
    """List the lockers of the regions that one dispatches, with their compartments."""

    serializer_class = LockerSerializer
    pagination_class = ByVillage

    def get_queryset(self) -> QuerySet[Locker]:
        """Return the lockers that the asker may see, or those of them that were named."""
        visible = selectors.lockers_visible_to(principal_of(self.request))
        named = self.request.query_params.getlist("slug")
        return visible.filter(slug__in=named) if named else visible


class LatestRaised(NewestFirst):
    """The latest alarms first."""

    ordering = ("-raised_at", "-pk")


@extend_schema(tags=["dispatch"], parameters=[AlarmFilterSerializer])
class AlarmsView(generics.ListAPIView[Alarm]):
    """List the alarms of the lockers of the regions that one dispatches, each with its remedy."""

    serializer_class = AlarmSerializer
    pagination_class = LatestRaised

    def get_queryset(self) -> QuerySet[Alarm]:
        """Return the alarms that the asker may see, by default the open ones."""
        wanted = AlarmFilterSerializer(data=self.request.query_params)
        wanted.is_valid(raise_exception=True)
        visible = selectors.alarms_visible_to(principal_of(self.request))
        return visible if wanted.validated_data["state"] == "all" else visible.filter(ended_at=None)
