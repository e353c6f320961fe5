"""Clients of basic devices at a real broker, and the workers behind it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from common import intents
from common.clock import real_now
from common.models import Intent, IntentState
from lockers.models import BasicSetup, Device, Locker, OpenCommand
from lockers.mqtt import topics
from lockers.services import basic, broker, commands
from lockers.sizes import Size
from lockers.states import DoorState
from lockers.wiring import Wiring
from tests.deploy.mqtt_client import SUCCESS, Connection
from tests.lockers.conftest import a_device, a_locker, a_reservation
from tests.lockers.open_locker import OpenLocker, until

#: Where a broker is.
Environment = Mapping[str, str]


def a_newcomer(environment: Environment, *, wiring: Wiring | None = None) -> tuple[OpenLocker, Locker]:
    """Return the client of a basic device to come, which may log in at the broker, and its locker."""
    locker = a_locker((Size.S, Size.S))
    token, setup = basic.issue_token(locker, wiring=wiring, real_at=real_now())
    perform_all()
    return OpenLocker(environment, broker.newcomer_access(setup), token), locker


def perform_all() -> None:
    """Do what the workers would: accounts, and reports that take effect."""
    for intent in Intent.objects.filter(state=IntentState.WAITING).order_by("pk"):
        intents.perform(intent.pk)


def settled(condition: Callable[[], Any]) -> None:
    """Wait until something is so, with the workers at work."""

    def is_so() -> Any:
        perform_all()
        return condition()

    until(is_so)


@contextmanager
def a_witness(environment: Environment) -> Iterator[Callable[[], None]]:
    """
    Log in a full device, and yield what waits until the link has taken all that the broker had before.

    It says that it has gone, which is taken unsigned, and waits until that took effect: once for what came
    before, and once more for what was taken together with the first word.
    """
    device = a_device(a_locker(), real_now())
    perform_all()
    account = str(device.pk), broker.password_of(device)
    row = Device.objects.filter(pk=device.pk)

    def wait() -> None:
        for _ in range(2):
            present = real_now()
            row.update(last_seen_at=present)
            assert connection.publish(topics.connection(device.pk), "{}") == SUCCESS
            until(row.exclude(last_seen_at=present).exists)

    with Connection(environment, *account, client_id=str(device.pk)) as connection:
        yield wait


@contextmanager
def at_work(client: OpenLocker) -> Iterator[Device]:
    """Let a client register, log in, and be told of its wiring."""
    client.register()
    perform_all()
    with client:
        client.beat()
        device = Device.objects.get(pk=client.identity)
        settled(lambda: BasicSetup.objects.get(pk=device.pk).applied_hash)
        settled(lambda: not device.locker.compartments.exclude(door=DoorState.CLOSED).exists())
        device.refresh_from_db()
        yield device


def deposit(device: Device) -> OpenCommand:
    """Let a courier ask for a door."""
    reservation = a_reservation(device.locker, real_now())
    return commands.open_for_deposit(reservation, at=real_now(), real_at=real_now())
