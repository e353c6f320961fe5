"""Visits: a stop at a supply point is done once everything for it has left the vehicle."""

from django.db.models import Exists, OuterRef, QuerySet

from logistics.models import Handling, Stop, StopKind
from logistics.states import ParcelState, StopState

#: States of goods that are not where the stop should bring them.
ON_THE_WAY = frozenset({ParcelState.PLANNED, ParcelState.LOADED})


def settle(stops: QuerySet[Stop]) -> None:
    """Mark visits of supply points as done whose goods have all been delivered or given up."""
    waiting = Handling.objects.filter(stop=OuterRef("pk"), parcel__state__in=ON_THE_WAY)
    visits = stops.filter(kind=StopKind.SUPPLY_POINT).exclude(state=StopState.DONE)
    for stop in visits.exclude(Exists(waiting)).distinct():
        stop.advance(StopState.DONE)
