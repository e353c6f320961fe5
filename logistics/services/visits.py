"""Visits: a stop at a supply point is done once everything for it has left the vehicle."""

from django.db.models import QuerySet

from logistics.models import Handling, Stop, StopKind
from logistics.states import ParcelState, StopState

#: States of goods that are not where the stop should bring them.
ON_THE_WAY = frozenset({ParcelState.PLANNED, ParcelState.LOADED})


def settle(stops: QuerySet[Stop]) -> None:
    """Mark visits of supply points as done whose goods have all been delivered or given up."""
    visits = list(stops.filter(kind=StopKind.SUPPLY_POINT).exclude(state=StopState.DONE).distinct())
    if not visits:
        return
    coming = Handling.objects.filter(stop__in=visits, parcel__state__in=ON_THE_WAY)
    unfinished = set(coming.values_list("stop_id", flat=True))
    for stop in visits:
        if stop.pk not in unfinished:
            stop.advance(StopState.DONE)
