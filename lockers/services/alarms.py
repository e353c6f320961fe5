"""
Alarms: raised once, made more urgent, ended when their cause ends; each of it announced once.

``at`` is business time, for the people who follow the day; ``real_at`` is when the fact became known. The
locker is locked by the caller; should it not be, a constraint lets one caller raise an alarm, and one UPDATE
lets one caller end it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import BigAutoField, CharField, DateTimeField, UUIDField
from django.dispatch import Signal

from common import events
from common.prepared import Prepared, PreparedInsert, PreparedUpdate
from lockers import signals
from lockers.alarms import RULES, AlarmKind, AlarmLevel
from lockers.models import Alarm, Compartment, Device
from lockers.models.alarms import AlarmQuerySet

_RAISE = PreparedInsert(Alarm, ignore_conflicts=True)
_OPEN_AT_LOCKER = Prepared(
    lambda locker, kind, zone: Alarm.objects.open().filter(locker=locker, kind=kind, zone=zone),
    locker=UUIDField(),
    kind=CharField(),
    zone=CharField(),
)
_OPEN_AT_DOOR = Prepared(
    lambda compartment: Alarm.objects.open().filter(compartment=compartment).select_related("device"),
    compartment=BigAutoField(),
)
_END = PreparedUpdate(
    lambda alarm, at: (Alarm.objects.open().filter(pk=alarm), {"ended_at": at}),
    alarm=UUIDField(),
    at=DateTimeField(),
)


@transaction.atomic(savepoint=False)
def raise_alarm(
    kind: AlarmKind,
    *,
    device: Device,
    at: datetime,
    real_at: datetime,
    compartment: Compartment | None = None,
    zone: str = "",
    level: AlarmLevel | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Alarm:
    """
    Raise an alarm; one that is open already takes the facts anew, and the level if it is higher.

    The level is the kind's own unless another one is named.
    """
    level, facts = level or RULES[kind].level, dict(facts or {})
    wanted = {"locker": device.locker, "compartment": compartment, "kind": kind, "zone": zone}
    new = Alarm(**wanted, device=device, level=level, facts=facts, raised_at=real_at)
    _RAISE(new)
    open_ones = _OPEN_AT_LOCKER.all(locker=device.locker_id, kind=kind, zone=zone)
    [alarm] = [one for one in open_ones if one.compartment_id == (compartment and compartment.pk)]
    alarm.locker, alarm.compartment = device.locker, compartment
    if compartment is not None and not compartment.has_alarm:
        compartment.write(has_alarm=True)
    if alarm.pk == new.pk:
        _announce(signals.alarm_raised, "alarm_raised", alarm, at=at)
        return alarm
    Alarm.objects.filter(pk=alarm.pk).update(device=device, facts=facts)
    alarm.device, alarm.facts = device, facts
    escalate(alarm, level, at=at, real_at=real_at)
    return alarm


@transaction.atomic(savepoint=False)
def escalate(alarm: Alarm, to: AlarmLevel, *, at: datetime, real_at: datetime) -> bool:
    """Call for someone else; tell whether the alarm was open and had not called for as much yet."""
    lower = Alarm.objects.open().filter(pk=alarm.pk, level__in=to.below)
    if not lower.update(level=to, escalated_at=real_at):
        return False
    alarm.level, alarm.escalated_at = to, real_at
    _announce(signals.alarm_escalated, "alarm_escalated", alarm, at=at)
    return True


def end(those: AlarmQuerySet, *, at: datetime, real_at: datetime) -> None:
    """End those of the alarms that are open: their cause is over."""
    for alarm in those.open().select_related("locker", "compartment", "device"):
        _end(alarm, at=at, real_at=real_at)
        if alarm.compartment is not None:
            alarm.compartment.write(has_alarm=alarm.compartment.alarms.open().exists())


def end_at_door(
    compartment: Compartment, kinds: Collection[AlarmKind], *, at: datetime, real_at: datetime
) -> None:
    """End open alarms about a door; its row says whether there can be any. The locker is locked."""
    if not compartment.has_alarm:
        return
    left = 0
    for alarm in _OPEN_AT_DOOR.all(compartment=compartment.pk):
        alarm.locker = compartment.locker
        if alarm.kind in kinds:
            _end(alarm, at=at, real_at=real_at)
        else:
            left += 1
    if not left:
        compartment.write(has_alarm=False)


@transaction.atomic(savepoint=False)
def _end(alarm: Alarm, *, at: datetime, real_at: datetime) -> None:
    if not _END(alarm=alarm.pk, at=real_at):
        return
    alarm.ended_at = real_at
    _announce(signals.alarm_ended, "alarm_ended", alarm, at=at)


def _announce(signal: Signal, event: str, alarm: Alarm, *, at: datetime) -> None:
    locker, compartment = alarm.locker, alarm.compartment
    about: dict[str, Any] = {} if compartment is None else {"compartment": compartment.number}
    if alarm.zone:
        about["zone"] = alarm.zone
    events.record(
        event,
        scope=locker.namespace,
        at=at,
        alarm=str(alarm.kind),
        level=str(alarm.level),
        locker=locker.slug,
        **alarm.device.label,
        **about,
    )
    signal.send(sender=Alarm, alarm=alarm, at=at)
