"""Orders: listed, changed and cancelled by shops; read by whoever they concern."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import idempotency
from common.clock import now
from logistics.api.access import get_or_not_found, principal_of
from logistics.api.serializers import OrderChangeSerializer, OrderInputSerializer, OrderSerializer
from logistics.exceptions import UnknownShop
from logistics.models import Order, Shop
from logistics.services import orders

IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    location=OpenApiParameter.HEADER,
    required=True,
    description="Made by the client; the same request with the same key takes effect once.",
)


def visible_orders(request: Request) -> QuerySet[Order]:
    """Return the orders that the asker may see, ready to be shown."""
    return (
        Order.objects.visible_to(principal_of(request))
        .select_related("pool__region", "resident", "shop", "supply_point")
        .prefetch_related("parcels")
    )


@extend_schema(tags=["orders"])
class OrdersView(generics.ListAPIView[Order]):
    """Orders of a shop, a resident or a region."""

    serializer_class = OrderSerializer

    def get_queryset(self) -> QuerySet[Order]:
        """Return the orders that the asker may see."""
        return visible_orders(self.request)

    @extend_schema(
        request=OrderInputSerializer, responses={201: OrderSerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    def post(self, request: Request) -> Response:
        """List an order; it joins the pool with the next cut-off."""
        payload = OrderInputSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        wanted = dict(payload.validated_data)
        shop = (
            Shop.objects.filter(pk__in=principal_of(request).shops, pk=wanted.pop("shop"))
            .select_related("municipality__region")
            .first()
        )
        if shop is None:
            raise UnknownShop

        def list_order() -> Response:
            order = orders.list_order(shop=shop, card_number=wanted.pop("resident_card"), at=now(), **wanted)
            return Response(OrderSerializer(order).data, status=status.HTTP_201_CREATED)

        return idempotency.once(request, scope=f"list-order:{shop.pk}", act=list_order)


@extend_schema(tags=["orders"])
class OrderView(APIView):
    """One order."""

    @extend_schema(responses=OrderSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """Show an order."""
        return Response(OrderSerializer(get_or_not_found(visible_orders(request), order_id)).data)

    @extend_schema(request=OrderChangeSerializer, responses=OrderSerializer)
    def patch(self, request: Request, order_id: UUID) -> Response:
        """Change an order before the cut-off."""
        order = own_order(request, order_id)
        payload = OrderChangeSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        changes = payload.validated_data
        orders.change(order, parcels=changes.get("parcels"), note=changes.get("note"), at=now())
        return self.get(request, order_id)


@extend_schema(tags=["orders"])
class CancelOrderView(APIView):
    """The withdrawal of an order."""

    @extend_schema(request=None, responses=OrderSerializer)
    def post(self, request: Request, order_id: UUID) -> Response:
        """Cancel an order before the cut-off."""
        orders.cancel(own_order(request, order_id), at=now())
        return Response(OrderSerializer(get_or_not_found(visible_orders(request), order_id)).data)


def own_order(request: Request, order_id: UUID) -> Order:
    """
    Return an order that the asker's shop listed.

    Raises
    ------
    PermissionDenied
        If the asker may see the order but is not its shop.
    """
    order = get_or_not_found(visible_orders(request), order_id)
    if order.shop_id not in principal_of(request).shops:
        raise PermissionDenied
    return order
