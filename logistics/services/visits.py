"""Visits: a stop at a supply point is done once everything for it has left the vehicle."""

from collections.abc import Iterable

from logistics.models import Parcel, Stop, StopKind
from logistics.states import ParcelState, StopState

#: States of goods that are not where the stop should bring them.
ON_THE_WAY = frozenset({ParcelState.PLANNED, ParcelState.LOADED})


def settle(stops: Iterable[Stop]) -> None:
    """Mark visits of supply points as done whose goods have all been delivered or given up."""
    open_stops = {
        stop.pk: stop for stop in stops if stop.kind == StopKind.SUPPLY_POINT and stop.state != StopState.DONE
    }
    if not open_stops:
        return
    waiting = Parcel.objects.filter(handlings__stop__in=open_stops, state__in=ON_THE_WAY)
    for key in open_stops.keys() - set(waiting.values_list("handlings__stop", flat=True)):
        open_stops[key].advance(StopState.DONE)


def settle_for(goods: Iterable[Parcel]) -> None:
    """Settle the visits that brought some goods."""
    settle(Stop.objects.filter(handlings__parcel__in=list(goods), kind=StopKind.SUPPLY_POINT).distinct())
