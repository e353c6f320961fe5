"""Devices: brought into service, heard of, missed, retired. All moments are real time, but ``at``."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, UUIDField
from django.db.models.functions import Least

from common import events
from common.prepared import PreparedUpdate
from lockers import keys
from lockers.alarms import AlarmKind
from lockers.exceptions import BadProvisioningToken, StaleEpoch, TokenUsed
from lockers.models import Alarm, Device, Locker, OpenCommand, ProvisioningToken
from lockers.services import alarms, broker, cabinets
from lockers.states import OFFLINE_AFTER, SUSPECT_FOR, CommandState, LinkState, Profile, Transport

TOKEN_LIFE = timedelta(hours=24)
#: Being heard of again so soon is not written down.
SEEN_RESOLUTION = timedelta(seconds=3)

_SEEN = PreparedUpdate(
    lambda devices, at: (
        Device.objects.in_service().filter(pk__among=devices),
        {"state": LinkState.ONLINE, "last_seen_at": at},
    ),
    devices=[UUIDField()],
    at=DateTimeField(),
)


def issue_token(locker: Locker, *, real_at: datetime) -> str:
    """Return a one-time token that brings one full device into service for a locker."""
    text, _ = new_token(locker, profile=Profile.FULL, real_at=real_at)
    return text


def new_token(locker: Locker, *, profile: Profile, real_at: datetime) -> tuple[str, ProvisioningToken]:
    """Return a one-time token for a device of one profile, and its row, which does not tell it."""
    text = secrets.token_urlsafe(32)
    token = ProvisioningToken.objects.create(
        locker=locker, profile=profile, digest=_digest(text), expires_at=real_at + TOKEN_LIFE
    )
    return text, token


@transaction.atomic
def provision(*, token: str, public_key: str, at: datetime, real_at: datetime) -> Device:
    """
    Bring a device into service in place of the locker's present one.

    The same token with the same key finds the same device, for the answer may have been lost.

    Raises
    ------
    BadProvisioningToken
        If the token is unknown, too old, or was used with another key.
    """
    right = lock_token(token, profile=Profile.FULL, real_at=real_at)
    if right.used_by is not None:
        if right.used_by.public_key != public_key:
            raise BadProvisioningToken
        return right.used_by
    if Device.objects.filter(public_key=public_key).exists():
        raise BadProvisioningToken
    device = Device(locker=right.locker, public_key=public_key, provisioned_at=real_at)
    put_into_service(device, right, at=at, real_at=real_at)
    return device


def lock_token(token: str, *, profile: Profile, real_at: datetime) -> ProvisioningToken:
    """
    Return a token that may be used for a device of this profile, or was by one that is still in service.

    Raises
    ------
    BadProvisioningToken
        If there is none.
    """
    right = (
        ProvisioningToken.objects.select_for_update(of=("self",))
        .select_related("used_by", "locker")
        .filter(digest=_digest(token), profile=profile, expires_at__gt=real_at)
        .first()
    )
    if right is None or (right.used_by is not None and right.used_by.state == LinkState.RETIRED):
        raise BadProvisioningToken
    return right


@transaction.atomic
def withdraw_token(token: ProvisioningToken, *, by: UUID, at: datetime, real_at: datetime) -> None:
    """
    Take back a token that nobody has used; again, or of one that is too old, changes nothing.

    Raises
    ------
    TokenUsed
        If a device came into service by it.
    """
    token = (
        ProvisioningToken.objects.select_for_update(of=("self",)).select_related("locker").get(pk=token.pk)
    )
    if token.used_by_id is not None:
        raise TokenUsed
    if token.expires_at <= real_at:
        return
    token.expires_at = real_at
    token.save(update_fields=["expires_at"])
    locker = token.locker
    events.record(
        "token_withdrawn", scope=locker.namespace, at=at, locker=locker.slug, token=token.pk, by=str(by)
    )


def find_token(token: str) -> ProvisioningToken | None:
    """Return a token's row, however old it is."""
    return ProvisioningToken.objects.filter(digest=_digest(token)).first()


def put_into_service(device: Device, right: ProvisioningToken, *, at: datetime, real_at: datetime) -> None:
    """Put a new device in the place of the locker's present one; that uses up its token."""
    cabinets.lock(right.locker_id)
    for present in Device.objects.in_service().filter(locker=right.locker):
        retire(present, real_at=real_at)
    device.save(force_insert=True)
    broker.ask_to_admit(device)
    right.used_by = device
    right.save(update_fields=["used_by"])
    events.record(
        "device_provisioned",
        scope=right.locker.namespace,
        at=at,
        locker=right.locker.slug,
        device=str(device.pk),
        profile=str(device.profile),
    )


@transaction.atomic
def retire(device: Device, *, real_at: datetime) -> None:
    """Take a device out of service for good; its key is never accepted again."""
    device.advance(LinkState.RETIRED, retired_at=real_at, link_epoch="")
    broker.ask_to_expel(device)
    _refuse_unsent(device)


@transaction.atomic
def retire_of(locker: Locker, *, by: UUID, at: datetime, real_at: datetime) -> None:
    """Take a locker's device out of service without a successor: the locker is offline until it has one."""
    cabinets.lock(locker.pk)
    for device in Device.objects.in_service().filter(locker=locker):
        retire(device, real_at=real_at)
        events.record(
            "device_retired",
            scope=locker.namespace,
            at=at,
            locker=locker.slug,
            device=str(device.pk),
            by=str(by),
            **device.label,
        )


@transaction.atomic
def greet(
    device: Device,
    *,
    link_epoch: str,
    num_hellos: int,
    transport: Transport,
    real_at: datetime,
    list_version: int | None = None,
) -> None:
    """
    Begin a connection: commands of an earlier one are executed no more.

    ``list_version`` is that of the list of codes that the device keeps, if it says so.

    Raises
    ------
    StaleEpoch
        If the greeting is older than one that was heard before.
    """
    greeted = (
        Device.objects.in_service()
        .filter(pk=device.pk, num_hellos__lt=num_hellos)
        .update(
            link_epoch=link_epoch,
            num_hellos=num_hellos,
            transport=transport,
            keys_told=keys.name_of_known(),
            state=LinkState.ONLINE,
            last_seen_at=real_at,
        )
    )
    if list_version is not None:
        # A device that lost its list gets it again.
        Device.objects.filter(pk=device.pk, list_confirmed__gt=list_version).update(
            list_confirmed=list_version, list_sent_at=None
        )
    device.refresh_from_db()
    if not greeted and device.link_epoch != link_epoch:
        raise StaleEpoch
    _refuse_unsent(device)


def hear(device: Device, *, real_at: datetime) -> None:
    """Note that a device spoke in its present connection."""
    hear_all([device], real_at=real_at)


def hear_all(those: Iterable[Device], *, real_at: datetime) -> None:
    """Note that devices spoke, each in its present connection."""
    unseen = [device.pk for device in those if not _was_seen(device, real_at=real_at)]
    if unseen:
        _SEEN(devices=unseen, at=real_at)


def suspect(device_id: UUID, *, real_at: datetime) -> None:
    """
    Note a hint that a device has gone: it is sent no command until it is heard of.

    If that is not soon, it counts as silent.
    """
    Device.objects.filter(pk=device_id, state=LinkState.ONLINE).update(
        last_seen_at=Least("last_seen_at", real_at - OFFLINE_AFTER + SUSPECT_FOR)
    )


def sweep(*, at: datetime, real_at: datetime) -> None:
    """
    Call devices offline that have missed three heartbeats; end alarms of those that are back or retired.

    What is ended follows from how things stand: to be heard of, which must cost next to nothing, need not
    notice that it was a return.
    """
    for device in Device.objects.silent(at=real_at).select_related("locker"):
        _miss(device, at=at, real_at=real_at)
    for alarm in Alarm.objects.outlived():
        _let_go(alarm, at=at, real_at=real_at)


@transaction.atomic
def _miss(device: Device, *, at: datetime, real_at: datetime) -> None:
    cabinets.lock(device.locker_id)
    # It may have been heard of while we waited for the lock.
    if Device.objects.silent(at=real_at).filter(pk=device.pk).update(state=LinkState.OFFLINE):
        alarms.raise_alarm(AlarmKind.OFFLINE, device=device, at=at, real_at=real_at)


@transaction.atomic
def _let_go(alarm: Alarm, *, at: datetime, real_at: datetime) -> None:
    cabinets.lock(alarm.locker_id)
    # The device may have fallen silent again while we waited for the lock.
    alarms.end(Alarm.objects.outlived().filter(pk=alarm.pk), at=at, real_at=real_at)


def _was_seen(device: Device, *, real_at: datetime) -> bool:
    """Tell whether it was written down just now that a device spoke."""
    known = device.last_seen_at
    return device.state == LinkState.ONLINE and known is not None and real_at - known < SEEN_RESOLUTION


def _refuse_unsent(device: Device) -> None:
    OpenCommand.objects.filter(device=device, state=CommandState.CREATED).exclude(
        link_epoch=device.link_epoch
    ).update(state=CommandState.REFUSED, reason="stale-epoch")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
