"""When a run has come to rest: nothing waits to be done, said or answered."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from common.models import Intent, IntentState
from lockers.models import Device, OpenCommand
from tests.faults import evidence, witness


def restless(run_directory: Path, *, heard_since: datetime) -> Sequence[str]:
    """
    Say what has not come to rest; every device must have been heard of since a real moment.

    Journals come first: what has left them is in the database, with what follows from it.
    """
    return [*_journals(run_directory), *_database(heard_since)]


def _journals(run_directory: Path) -> Iterator[str]:
    in_service = set(Device.objects.in_service().values_list("locker__slug", flat=True))
    for trail in run_directory.glob(f"fleet-*/*/{witness.TRAIL}"):
        waiting = evidence.unreported(trail.parent)
        if waiting and trail.parent.name in in_service:
            yield f"{trail.parent.name} has {waiting} reports to make"


def _database(heard_since: datetime) -> Iterator[str]:
    for command in OpenCommand.objects.live():
        yield f"command {command.pk} is {command.state}"
    for intent in Intent.objects.exclude(state__in=[IntentState.DONE, IntentState.DEAD]):
        yield f"intent {intent}, attempt {intent.attempts}, {intent.last_error}"
    for device in Device.objects.in_service().select_related("locker"):
        is_back = device.last_seen_at is not None and device.last_seen_at > heard_since
        if device.state != "online" or not is_back:
            yield f"{device.locker.slug} is {device.state}, last heard of at {device.last_seen_at}"
