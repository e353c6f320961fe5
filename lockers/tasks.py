"""Background work: reports that take effect, and sweeps for what is due."""

from typing import Any
from uuid import UUID

from celery import shared_task

from common import clock, intents
from lockers.services import codes, commands, devices, inbox, sweeps


@intents.handles(inbox.APPLY, queue="events")
def apply_events(claim: intents.Claim, /, **arguments: Any) -> None:
    """Let a device's waiting reports take effect; a second delivery finds none."""
    inbox.apply(UUID(arguments["device_id"]), at=clock.now())


@shared_task(name="lockers.sweep")
def sweep() -> None:
    """Move whatever is due; each move is one UPDATE, so two sweeps at once do no harm."""
    at, real_at = clock.now(), clock.real_now()
    commands.sweep(real_at=real_at)
    devices.sweep(at=at, real_at=real_at)
    sweeps.sweep(at=at)
    codes.sweep(at=at)
