"""Places that everyone with a role in the region may know."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.pagination import CursorPagination

from common.api.pagination import NewestFirst
from logistics.api.access import principal_of
from logistics.api.serializers import ShopSerializer, SupplyPointSerializer
from logistics.models import Shop, SupplyPoint


class ByName(CursorPagination):
    """Places in alphabetical order."""

    ordering = ("name", "pk")
    page_size = 100
    page_size_query_param = NewestFirst.page_size_query_param
    max_page_size = NewestFirst.max_page_size


@extend_schema(tags=["region"])
class ShopsView(generics.ListAPIView[Shop]):
    """List the shops of one's regions."""

    serializer_class = ShopSerializer
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Shop]:
        """Return the shops that the asker may see."""
        return Shop.objects.visible_to(principal_of(self.request))


@extend_schema(tags=["region"])
class SupplyPointsView(generics.ListAPIView[SupplyPoint]):
    """List the supply points of one's regions."""

    serializer_class = SupplyPointSerializer
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[SupplyPoint]:
        """Return the supply points that the asker may see."""
        return SupplyPoint.objects.visible_to(principal_of(self.request))
