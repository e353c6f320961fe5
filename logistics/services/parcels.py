"""What is said about parcels, and the state that follows from it."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from logistics.models import Parcel, ParcelReport
from logistics.states import ParcelState


@transaction.atomic
def report(
    parcels: Collection[Parcel],
    *,
    to: ParcelState,
    made_at: datetime,
    received_at: datetime,
    source: str,
    reason: str = "",
    reason_text: str = "",
) -> None:
    """
    Note that parcels are now in another state, and set the state that follows from all reports so far.

    A report that came late takes its place by ``made_at``; one that is not possible at its place stays in
    the history without effect.
    """
    keys = [parcel.pk for parcel in parcels]
    locked = list(Parcel.objects.select_for_update().filter(pk__in=keys).order_by("pk"))
    ParcelReport.objects.bulk_create(
        ParcelReport(parcel=parcel, to=to, made_at=made_at, received_at=received_at, source=source)
        for parcel in locked
    )
    changed = [
        parcel
        for parcel in Parcel.objects.filter(pk__in=keys).prefetch_related("reports")
        if parcel.fold_reports()
    ]
    for parcel in changed:
        is_this = parcel.state == to
        parcel.reason = reason if is_this else ""
        parcel.reason_text = reason_text if is_this else ""
    Parcel.objects.bulk_update(changed, ["state", "state_since", "reason", "reason_text"], batch_size=200)
