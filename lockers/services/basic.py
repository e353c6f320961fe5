"""
Basic devices: brought in one by one, heard, numbered by us, told how their cabinet is wired.

What they say is kept in the same inbox as the reports of full devices, in the order in which it was received.
All moments are real time, but ``at``.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from common import events
from common.exceptions import InvalidTransition
from lockers import dialect
from lockers.exceptions import BadProvisioningToken, BasicDevicesOff, UnknownDevice, WiringDoesNotFit
from lockers.link import Report
from lockers.models import BasicSetup, Device, DeviceBoot, DeviceEvent, Locker, OpenCommand
from lockers.models.devices import BASIC_BOOT_ID
from lockers.services import broker, devices, inbox
from lockers.states import CommandState, Profile, Transport
from lockers.wiring import Wiring

#: Basic devices have one connection that never ends, as far as they tell.
_EPOCH = "basic"
#: A client that did not answer is told of its wiring again after so long.
CONFIG_AGAIN_AFTER = timedelta(seconds=60)
#: Of two link processes one may be slower: a snapshot made so shortly before another was overtaken by it.
_OVERTAKEN_WITHIN = timedelta(seconds=5)


def are_on() -> bool:
    """Tell whether this installation takes basic devices at all."""
    return bool(settings.BASIC_DEVICES and settings.MQTT_URL)


@transaction.atomic
def issue_token(locker: Locker, *, wiring: Wiring | None, real_at: datetime) -> tuple[str, BasicSetup]:
    """
    Return a one-time token that brings one basic device into service, and what its client has to be given.

    Without a wiring the compartments follow one another on boards of eight.

    Raises
    ------
    BasicDevicesOff
        If this installation takes none.
    WiringDoesNotFit
        If a compartment has no lock or two, or a lock has two compartments.
    """
    if not are_on():
        raise BasicDevicesOff
    numbers = list(locker.compartments.values_list("number", flat=True))
    wiring = wiring or Wiring.usual(numbers)
    if not wiring.fits(numbers):
        raise WiringDoesNotFit(locker=locker.name)
    text, token = devices.new_token(locker, profile=Profile.BASIC, real_at=real_at)
    setup = BasicSetup.objects.create(token=token, wiring=wiring.as_stored())
    broker.ask_to_admit_newcomer(setup)
    return text, setup


@transaction.atomic
def register(*, token: str, client_id: UUID, at: datetime, real_at: datetime) -> Device:
    """
    Bring a basic device into service in place of the locker's present one.

    The same token finds the same device, for the answer may have been lost.

    Raises
    ------
    BadProvisioningToken
        If the token is unknown, too old, another client's, or one for a full device.
    """
    right = devices.lock_token(token, profile=Profile.BASIC, real_at=real_at)
    if right.setup.pk != client_id:
        raise BadProvisioningToken
    if right.used_by is not None:
        return right.used_by
    device = Device(
        pk=client_id,
        locker=right.locker,
        profile=Profile.BASIC,
        transport=Transport.MQTT,
        link_epoch=_EPOCH,
        provisioned_at=real_at,
    )
    devices.put_into_service(device, right, at=at, real_at=real_at)
    return device


def is_made_for(token: str, *, client_id: UUID) -> bool:
    """Tell whether a token, however old, was made for a client: it may be told why it is refused."""
    made = devices.find_token(token)
    return made is not None and BasicSetup.objects.filter(pk=client_id, token=made).exists()


def device_of(name: str) -> Device:
    """
    Return the basic device in service on whose topics a message came; the broker lets nobody else use them.

    Raises
    ------
    UnknownDevice
        If there is none: what a full device did not sign is never taken for its word.
    """
    try:
        return Device.objects.in_service().basic().select_related("locker").get(pk=UUID(name))
    except (ValueError, Device.DoesNotExist) as error:
        raise UnknownDevice from error


@transaction.atomic
def take(device: Device, said: dialect.Said, *, is_kept: bool, real_at: datetime) -> None:
    """
    Give a report the next number and keep it; what was received before changes nothing.

    ``is_kept`` says that the broker had kept it for whoever asks: it is no sign of life.
    """
    device = Device.objects.select_for_update(no_key=True).get(pk=device.pk)
    message_id = uuid5(device.pk, said.message_id)
    if device.events.filter(boot_id=BASIC_BOOT_ID, message_id=message_id).exists():
        return
    if said.kind == "compartments" and _is_overtaken(device, said):
        return
    report = Report(
        message_id=message_id,
        transaction_id=said.transaction_id,
        boot_id=BASIC_BOOT_ID,
        seq=_last_number(device) + 1,
        link_epoch="" if is_kept else device.link_epoch,
        kind=said.kind,
        data=said.data,
        reported_at=said.reported_at,
    )
    inbox.receive(device, [report], real_at=real_at)
    if said.kind == "response" and said.data.get("error_code") in dialect.UNWIRED:
        BasicSetup.objects.filter(pk=device.pk).update(applied_hash="")


@transaction.atomic
def note_configured(device: Device, answer: dialect.Configured, *, at: datetime) -> None:
    """Note which wiring a client works with, or why it refused the last one: then it opens no doors."""
    setup = BasicSetup.objects.filter(pk=device.pk)
    is_news = bool(answer.problem) and setup.exclude(problem=answer.problem).exists()
    setup.update(applied_hash=answer.applied_hash, problem=answer.problem)
    if is_news:
        locker = device.locker
        facts = {"locker": locker.slug, "problem": answer.problem, **device.label}
        events.record("wiring_refused", scope=locker.namespace, at=at, **facts)


def wiring_to_tell(device: Device, *, real_at: datetime) -> Wiring | None:
    """Return the wiring if its client does not work with it and was not told just now; to one caller only."""
    setup = BasicSetup.objects.get(pk=device.pk)
    wiring = Wiring.stored(setup.wiring)
    if setup.applied_hash == wiring.digest():
        return None
    untold = Q(sent_at=None) | Q(sent_at__lte=real_at - CONFIG_AGAIN_AFTER)
    is_ours = BasicSetup.objects.filter(untold, pk=setup.pk).update(sent_at=real_at)
    return wiring if is_ours else None


def may_unlock(command: OpenCommand, *, real_at: datetime) -> bool:
    """
    Tell whether a claimed command may still be sent to a basic device; if not, it is refused.

    Its client would execute whatever it finds on its return, however old: whoever was not heard of lately
    is sent nothing.
    """
    if command.device.is_reachable(at=real_at):
        return True
    with suppress(InvalidTransition):  # Somebody may have settled it meanwhile.
        command.advance(CommandState.REFUSED, reason="locker-offline")
    return False


def sweep(*, real_at: datetime) -> None:
    """Take away the accounts that asked for another one successfully, or can do so no longer."""
    served = Q(token__expires_at__lte=real_at) | Q(token__used_by__last_seen_at__isnull=False)
    for setup in BasicSetup.objects.filter(served, has_account=True):
        _expel_newcomer(setup)


@transaction.atomic
def _expel_newcomer(setup: BasicSetup) -> None:
    if BasicSetup.objects.filter(pk=setup.pk, has_account=True).update(has_account=False):
        broker.ask_to_expel_newcomer(setup)


def _last_number(device: Device) -> int:
    boot = DeviceBoot.objects.filter(device=device, boot_id=BASIC_BOOT_ID).first()
    return 0 if boot is None else boot.accepted_seq


def _is_overtaken(device: Device, said: dialect.Said) -> bool:
    """Tell whether a snapshot was made shortly before one that is known; a clock set back is no reason."""
    known = DeviceEvent.objects.filter(device=device, boot_id=BASIC_BOOT_ID, kind=said.kind)
    last = known.order_by("-seq").first()
    return last is not None and timedelta() < last.reported_at - said.reported_at <= _OVERTAKEN_WITHIN
