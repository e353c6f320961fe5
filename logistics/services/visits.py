"""Visits: a stop at a supply point is done once everything for it has left the vehicle."""

from django.db.models import QuerySet

from logistics.models import Handling, Stop, StopKind
from logistics.states import ParcelState, StopState

#: States of goods that are not where the stop should bring them.
ON_THE_WAY = frozenset({ParcelState.PLANNED, ParcelState.LOADED})


def settle(stops: QuerySet[Stop]) -> None:
    """Mark visits of supply points as done whose goods have all been delivered or given up."""
    visits = stops.filter(kind=StopKind.SUPPLY_POINT).exclude(state=StopState.DONE)
    unfinished = set(visits.values_list("pk", flat=True))
    if not unfinished:
        return
    coming = Handling.objects.meant().filter(stop__in=unfinished, parcel__state__in=ON_THE_WAY)
    for stop in Stop.objects.filter(pk__in=unfinished.difference(coming.values_list("stop_id", flat=True))):
        stop.advance(StopState.DONE)
