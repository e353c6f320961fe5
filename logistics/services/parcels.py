"""What is said about parcels, and the state that follows from it."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from logistics.models import Parcel, ParcelReport
from logistics.states import ParcelState, fold


@transaction.atomic(savepoint=False)
def report(
    parcels: Collection[Parcel] | QuerySet[Parcel],
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
    if not isinstance(parcels, QuerySet):
        parcels = Parcel.objects.filter(pk__in=[parcel.pk for parcel in parcels])
    locked = list(parcels.select_for_update(of=("self",)).order_by("pk").prefetch_related("reports"))
    said = [
        ParcelReport(parcel=parcel, to=to, made_at=made_at, received_at=received_at, source=source)
        for parcel in locked
    ]
    ParcelReport.objects.bulk_create(said)
    changes: dict[tuple[ParcelState, datetime], list[UUID]] = defaultdict(list)
    for parcel, word in zip(locked, said, strict=True):
        reports = [*parcel.reports.all(), word]
        state = fold(reports)
        if state != parcel.state:
            since = max(report.made_at for report in reports if report.to == state)
            changes[state, since].append(parcel.pk)
    for (state, since), changed in changes.items():
        is_this = state == to
        Parcel.objects.filter(pk__in=changed).update(
            state=state,
            state_since=since,
            reason=reason if is_this else "",
            reason_text=reason_text if is_this else "",
        )
