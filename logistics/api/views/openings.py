"""What became of the doors that people asked to be opened."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from logistics import selectors
from logistics.api.access import get_or_not_found, principal_of
from logistics.api.serializers import OpeningSerializer


@extend_schema(tags=["openings"])
class OpeningView(APIView):
    """One attempt to open a door."""

    @extend_schema(responses=OpeningSerializer)
    def get(self, request: Request, opening_id: UUID) -> Response:
        """Show what is known of an opening that one asked for; a later answer of the device amends it."""
        visible = selectors.openings_visible_to(principal_of(request))
        return Response(OpeningSerializer(get_or_not_found(visible, opening_id)).data)
