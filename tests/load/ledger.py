"""What became of every report, as the database and the devices' own journals tell it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import connection
from django.db.models import Count

from lockers.alarms import AlarmKind
from lockers.models import Alarm, Device, DeviceEvent
from tests.faults import evidence, witness
from tests.load.fleets import FORCED

#: What doors do.
MOVES = (FORCED, "compartment_open_detected", "compartment_closed")


@dataclass(frozen=True, slots=True)
class Effect:
    """A door's movement: when its device saw it, when we received it, and when its effect was committed."""

    kind: str
    made_at: datetime
    received_at: datetime
    committed_at: datetime

    @property
    def lag_s(self) -> float:
        """Return how long it took from the sensor to the effect."""
        return (self.committed_at - self.made_at).total_seconds()


def effects(since: datetime, until: datetime) -> list[Effect]:
    """Return what took effect of the movements that devices saw within some time."""
    with connection.cursor() as cursor:
        # Not ``applied_at``, which is business time and noted before the work: PostgreSQL keeps when the
        # transaction was committed that wrote a row last.
        cursor.execute(
            "SELECT kind, reported_at, received_at, pg_xact_commit_timestamp(xmin) FROM lockers_deviceevent"
            " WHERE applied_at IS NOT NULL AND kind = ANY(%s) AND reported_at BETWEEN %s AND %s",
            [list(MOVES), since, until],
        )
        return [Effect(*row) for row in cursor.fetchall()]


def alarmed_at(slug: str, kind: AlarmKind) -> datetime | None:
    """Return when a locker's open alarm was committed, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_xact_commit_timestamp(alarm.xmin) FROM lockers_alarm alarm"
            " JOIN lockers_locker locker ON locker.id = alarm.locker_id"
            " WHERE locker.slug = %s AND alarm.kind = %s AND alarm.ended_at IS NULL",
            [slug, kind],
        )
        found: tuple[datetime] | None = cursor.fetchone()
    return found and found[0]


def num_applied() -> int:
    """Return how many reports of moved doors have taken effect."""
    return DeviceEvent.objects.filter(kind__in=MOVES, applied_at__isnull=False).count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """
    Both sides of what happened.

    ``moved`` and ``applied`` count movements of doors by locker and kind, ``alarms`` those about doors that
    opened without a command by locker, and ``pulses`` the times that a lock was driven by command. Reports
    are named by device, boot and number.
    """

    moved: Mapping[tuple[str, str], int]
    applied: Mapping[tuple[str, str], int]
    alarms: Mapping[str, int]
    journalled: Collection[tuple[str, str, int]]
    settled: Collection[tuple[str, str, int]]
    pulses: Mapping[str, int]

    @property
    def lost(self) -> Iterator[str]:
        """Yield what happened and is not known."""
        for place, moved in self.moved.items():
            if (applied := self.applied.get(place, 0)) < moved:
                yield f"{place}: {moved} movements, {applied} took effect"
        for locker, forced in self._forced():
            if (raised := self.alarms.get(locker, 0)) < forced:
                yield f"{locker}: {forced} doors forced, {raised} alarms"
        for report in set(self.journalled) - set(self.settled):
            yield f"report {report} took no effect"

    @property
    def double(self) -> Iterator[str]:
        """Yield what is known more often than it happened."""
        for place, applied in self.applied.items():
            if applied > self.moved.get(place, 0):
                yield f"{place}: {self.moved.get(place, 0)} movements, {applied} took effect"
        for locker, forced in self._forced():
            if (raised := self.alarms.get(locker, 0)) > forced:
                yield f"{locker}: {forced} doors forced, {raised} alarms"
        for command, times in self.pulses.items():
            if times > 1:
                yield f"command {command} was executed {times} times"

    def _forced(self) -> Iterator[tuple[str, int]]:
        for (locker, kind), times in self.moved.items():
            if kind == FORCED:
                yield locker, times


def books(run_directory: Path, moved: Mapping[tuple[str, str], int]) -> Books:
    """Return both sides as they stand; ``moved`` is what hands did."""
    folders = [trail.parent for trail in run_directory.glob(f"*/*/{witness.TRAIL}")]
    in_service = {str(pk) for pk in Device.objects.in_service().values_list("pk", flat=True)}
    counted = (
        DeviceEvent.objects.filter(kind__in=MOVES, applied_at__isnull=False, problem="")
        .values_list("device__locker__slug", "kind")
        .annotate(times=Count("pk"))
    )
    raised = (
        Alarm.objects.filter(kind=AlarmKind.UNCOMMANDED_OPEN)
        .values_list("locker__slug")
        .annotate(times=Count("pk"))
    )
    settled = DeviceEvent.objects.filter(applied_at__isnull=False)
    return Books(
        moved=moved,
        applied={(slug, kind): times for slug, kind, times in counted},
        alarms=dict(raised),
        journalled={
            (report.device, report.boot_id, report.seq)
            for folder in folders
            for report in evidence.reports(folder)
            if report.device in in_service
        },
        settled={
            (str(device), boot_id, seq)
            for device, boot_id, seq in settled.values_list("device", "boot_id", "seq")
        },
        pulses=Counter(pulse.command for folder in folders for pulse in evidence.pulses(folder)),
    )
