"""Background work: reports that take effect, and sweeps for what is due."""

from typing import Any
from uuid import UUID

from celery import shared_task

from common import clock, intents
from lockers.models import BasicSetup, Device
from lockers.mqtt import accounts
from lockers.services import basic, broker, codes, commands, devices, inbox, retention, sweeps

#: Attempts to reach a broker that is away; the longest pause is ten minutes.
PATIENCE = 1_000


@intents.handles(inbox.APPLY, queue="events", together=inbox.APPLIED_TOGETHER)
def apply_events(claim: intents.Claim, /, **arguments: Any) -> None:
    """Let the waiting reports of devices take effect; a second delivery finds none."""
    inbox.apply_all([UUID(device_id) for device_id in arguments["device_id"]], at=clock.now())


@intents.handles(broker.ADMIT, queue="housekeeping", one_transaction=False, max_attempts=PATIENCE)
def admit_device(claim: intents.Claim, /, **arguments: Any) -> None:
    """Let a device in at the broker, unless it was retired meanwhile."""
    in_service = Device.objects.in_service().filter(pk=arguments["device_id"])
    if device := in_service.first():
        accounts.admit(device.pk, broker.password_of(device))
        if not in_service.exists():
            accounts.expel(device.pk)
    claim.finish()


@intents.handles(broker.EXPEL, queue="housekeeping", one_transaction=False, max_attempts=PATIENCE)
def expel_device(claim: intents.Claim, /, **arguments: Any) -> None:
    """Keep a retired device out at the broker."""
    accounts.expel(UUID(arguments["device_id"]))
    claim.finish()


@intents.handles(broker.ADMIT_NEWCOMER, queue="housekeeping", one_transaction=False, max_attempts=PATIENCE)
def admit_newcomer(claim: intents.Claim, /, **arguments: Any) -> None:
    """Let a basic device to come ask for its account at the broker, unless its time is over."""
    open_to = BasicSetup.objects.filter(pk=arguments["setup_id"], has_account=True)
    if setup := open_to.first():
        accounts.admit_newcomer(setup.pk)
        if not open_to.exists():
            accounts.expel_newcomer(setup.pk)
    claim.finish()


@intents.handles(broker.EXPEL_NEWCOMER, queue="housekeeping", one_transaction=False, max_attempts=PATIENCE)
def expel_newcomer(claim: intents.Claim, /, **arguments: Any) -> None:
    """Take away the account with which a basic device asked for its own."""
    accounts.expel_newcomer(UUID(arguments["setup_id"]))
    claim.finish()


@shared_task(name="lockers.purge")
def purge() -> None:
    """Delete what has outlived its purpose."""
    retention.purge(at=clock.now(), real_at=clock.real_now())


@shared_task(name="lockers.sweep")
def sweep() -> None:
    """Move whatever is due; each move is one UPDATE, so two sweeps at once do no harm."""
    at, real_at = clock.now(), clock.real_now()
    commands.sweep(real_at=real_at)
    devices.sweep(at=at, real_at=real_at)
    basic.sweep(real_at=real_at)
    sweeps.sweep(at=at)
    sweeps.sweep_alarms(at=at, real_at=real_at)
    codes.sweep(at=at)
