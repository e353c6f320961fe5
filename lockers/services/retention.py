"""What is deleted after a while: facts of doors, which tell who came when, and dead codes."""

from datetime import datetime, timedelta

from django.conf import settings

from lockers.models import DeviceEvent, LockerCode, OpenCommand
from lockers.states import LIVE


def purge(*, at: datetime, real_at: datetime) -> None:
    """
    Delete reports and commands that are old, and codes that are long dead.

    What a full device says again of that time is known by its number to have been heard. ``at`` is business
    time, in which codes end.
    """
    kept = timedelta(days=settings.KEEP_DOOR_FACTS_DAYS)
    DeviceEvent.objects.exclude(applied_at=None).filter(received_at__lt=real_at - kept).delete()
    OpenCommand.objects.exclude(state__in=LIVE).filter(created_at__lt=real_at - kept).delete()
    LockerCode.objects.filter(ended_at__lt=at - kept).delete()
