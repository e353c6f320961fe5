"""Alarms: raised once, more urgent in time, and over as soon as their cause is; first those of devices."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from common.clock import real_now
from common.models import Event
from lockers import tasks
from lockers.alarms import RULES, AlarmKind, AlarmLevel
from lockers.models import Alarm, Device
from lockers.services import alarms, devices, inbox, sweeps
from lockers.sizes import Size
from lockers.states import (
    HEARTBEAT_INTERVAL,
    OFFLINE_AFTER,
    Transport,
)
from tests.lockers.alarming import (
    an_alarm,
    closed,
    left_open,
    opens_by_itself,
    power,
    silence,
    standing,
    the_alarm,
    warmth,
)
from tests.lockers.conftest import (
    Cabinet,
    Ear,
    a_cabinet,
    a_device,
    a_locker,
    compartment_of,
)

pytestmark = pytest.mark.django_db


# The device itself.


def test_silence_is_an_alarm_within_a_minute_and_a_word_ends_it(noon: datetime, ear: Ear) -> None:
    locker = a_locker()
    device = a_device(locker, noon)
    # The sweep looks every fifteen seconds; the last look before found the device in time.
    late = silence(device) + HEARTBEAT_INTERVAL
    assert late - noon < timedelta(seconds=60, milliseconds=1)

    devices.sweep(at=noon, real_at=noon + OFFLINE_AFTER)
    assert standing(locker) == set()
    for _ in range(2):
        devices.sweep(at=noon, real_at=late)
    assert standing(locker) == {("offline", None, "", "alert")}
    devices.hear(Device.objects.get(pk=device.pk), real_at=late)
    for _ in range(2):
        devices.sweep(at=noon, real_at=late)

    assert standing(locker) == set()
    assert ear.heard == [("raised", "offline"), ("ended", "offline")]


def test_a_greeting_ends_the_alarm_too(noon: datetime) -> None:
    locker = a_locker()
    device = a_device(locker, noon)
    devices.sweep(at=noon, real_at=silence(device))

    devices.greet(device, link_epoch="again", num_hellos=2, transport=Transport.MQTT, real_at=noon)
    devices.sweep(at=noon, real_at=noon)

    assert standing(locker) == set()


def test_a_device_that_falls_silent_again_before_anyone_noticed_its_return_is_the_same_alarm(
    noon: datetime, ear: Ear
) -> None:
    locker = a_locker()
    device = a_device(locker, noon)
    devices.sweep(at=noon, real_at=silence(device))
    devices.hear(device, real_at=silence(device))

    devices.sweep(at=noon, real_at=silence(device))

    assert standing(locker) == {("offline", None, "", "alert")}
    assert ear.heard == [("raised", "offline")]


def test_after_a_quarter_of_an_hour_a_silence_is_the_dispatchers(noon: datetime) -> None:
    locker = a_locker()
    since = silence(a_device(locker, noon))
    devices.sweep(at=noon, real_at=since)

    sweeps.sweep_alarms(at=noon, real_at=since + timedelta(minutes=15))

    assert standing(locker) == {("offline", None, "", "dispatcher")}


def test_to_hear_a_device_costs_one_query_online_or_back(
    noon: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    device = a_device(a_locker(), noon)

    with django_assert_num_queries(1):
        devices.hear(device, real_at=noon + timedelta(seconds=10))
    devices.sweep(at=noon, real_at=silence(device))
    device.refresh_from_db()
    with django_assert_num_queries(1):
        devices.hear(device, real_at=noon + timedelta(minutes=2))


def test_what_a_retired_device_said_calls_nobody_any_longer(noon: datetime, ear: Ear) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    cabinet.say(
        opens_by_itself(cabinet),
        left_open(cabinet),
        warmth(cabinet, 95),
        power(cabinet, "battery", 5),
        cabinet.report("tamper", active=True),
    )
    devices.sweep(at=noon, real_at=silence(cabinet.device))
    assert len(standing(locker)) == 6

    successor = a_cabinet_of(a_device(locker, noon))
    successor.say(successor.report("tamper", active=True), left_open(successor))
    devices.sweep(at=noon, real_at=noon)

    # The successor says of two of them that it is so.
    assert standing(locker) == {("tamper", None, "", "dispatcher"), ("left_open", 1, "", "alert")}
    assert (ear.said("raised"), ear.said("ended")) == (6, 4)
    successor.say(closed(successor))
    assert standing(locker) == {("tamper", None, "", "dispatcher")}


def a_cabinet_of(device: Device) -> Cabinet:
    """Return the device's first life, with all that it has said so far."""
    cabinet = Cabinet(device=device, at=device.provisioned_at)
    cabinet.say(cabinet.report("booted", previous_boot_id=None, previous_seq=0))
    return cabinet


def test_a_device_that_was_retired_without_a_successor_calls_nobody(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet))

    devices.retire(cabinet.device, real_at=noon)
    devices.sweep(at=noon, real_at=noon)

    assert standing(locker) == set()


def test_a_compartment_that_is_removed_takes_its_alarms_along(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet, 1), left_open(cabinet, 2))

    compartment_of(locker, 1).delete()

    assert standing(locker) == {("left_open", 2, "", "alert")}


# All of them.


def test_every_kind_names_its_remedy(noon: datetime) -> None:
    assert set(RULES) == set(AlarmKind)
    assert len({rule.remedy for rule in RULES.values()}) == len(AlarmKind)
    for rule in RULES.values():
        assert rule.advice.endswith(".")
        # Whoever does not call the dispatcher at once does so in time.
        assert (rule.patience is None) == (rule.level == AlarmLevel.DISPATCHER)


@pytest.mark.parametrize("kind", [kind for kind in AlarmKind if RULES[kind].patience is not None])
def test_every_alarm_calls_the_dispatcher_after_its_patience(
    noon: datetime, ear: Ear, kind: AlarmKind
) -> None:
    alarm = an_alarm(kind, noon)
    patience = RULES[kind].patience
    assert patience is not None

    sweeps.sweep_alarms(at=noon, real_at=noon + patience - timedelta(microseconds=1))
    assert ear.said("escalated") == 0
    for _ in range(2):
        sweeps.sweep_alarms(at=noon, real_at=noon + patience)

    alarm.refresh_from_db()
    assert (alarm.level, alarm.escalated_at) == ("dispatcher", noon + patience)
    assert ear.said("escalated") == 1


@pytest.mark.parametrize("kind", AlarmKind)
def test_an_alarm_that_is_raised_again_only_takes_the_new_facts(
    noon: datetime, ear: Ear, kind: AlarmKind
) -> None:
    first = an_alarm(kind, noon)

    again = alarms.raise_alarm(
        kind,
        device=first.device,
        compartment=first.compartment,
        zone=first.zone,
        facts={"number": 2},
        at=noon,
        real_at=noon + timedelta(minutes=1),
    )

    first.refresh_from_db()
    assert (again.pk, first.facts, first.raised_at) == (first.pk, {"number": 2}, noon)
    assert ear.heard == [("raised", kind.value)]


def test_a_level_never_falls(noon: datetime, ear: Ear) -> None:
    alarm = an_alarm(AlarmKind.LEFT_OPEN, noon)
    alarms.escalate(alarm, AlarmLevel.DISPATCHER, at=noon, real_at=noon)

    for level in AlarmLevel:
        assert not alarms.escalate(alarm, level, at=noon, real_at=noon)

    alarm.refresh_from_db()
    assert alarm.level == AlarmLevel.DISPATCHER
    assert ear.said("escalated") == 1


def test_what_ended_can_happen_again(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    for _ in range(2):
        cabinet.say(opens_by_itself(cabinet), closed(cabinet))

    assert ear.heard == [("raised", "uncommanded_open"), ("ended", "uncommanded_open")] * 2
    assert Alarm.objects.count() == 2


def test_the_day_shows_when_it_was_for_people_and_the_alarm_when_it_was_in_truth(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    received, later = noon + timedelta(seconds=5), noon + timedelta(days=3)
    inbox.receive(cabinet.device, [opens_by_itself(cabinet)], real_at=received)

    inbox.apply(cabinet.device.pk, at=later)

    assert the_alarm(AlarmKind.UNCOMMANDED_OPEN).raised_at == received
    [event] = Event.objects.filter(kind="alarm_raised")
    assert (event.at, event.scope) == (later, locker.namespace)
    assert event.facts == {
        "alarm": "uncommanded_open",
        "level": "dispatcher",
        "locker": locker.slug,
        "compartment": 1,
    }


def test_raising_escalating_and_ending_are_told_to_those_who_follow_the_day(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    cabinet.say(left_open(cabinet))
    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(hours=1))
    cabinet.say(closed(cabinet))

    told = Event.objects.filter(kind__startswith="alarm_").order_by("pk").values_list("kind", flat=True)
    assert list(told) == ["alarm_raised", "alarm_escalated", "alarm_ended"]


def test_what_ended_while_nobody_could_hear_it_is_no_open_alarm(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    backlog = [
        opens_by_itself(cabinet),
        left_open(cabinet),
        warmth(cabinet, 95),
        power(cabinet, "battery", 10),
        cabinet.report("tamper", active=True),
        opens_by_itself(cabinet, 2),
        closed(cabinet),
        warmth(cabinet, 50),
        power(cabinet, "mains", 12),
        cabinet.report("tamper", active=False),
    ]

    cabinet.say(*backlog)

    assert standing(locker) == {("uncommanded_open", 2, "", "dispatcher")}
    assert (ear.said("raised"), ear.said("ended")) == (6, 5)


def test_the_sweep_of_the_workers_calls_the_dispatcher() -> None:
    alarm = an_alarm(AlarmKind.JAMMED, real_now() - timedelta(hours=1))

    tasks.sweep()

    alarm.refresh_from_db()
    assert alarm.level == AlarmLevel.DISPATCHER


@pytest.mark.parametrize("kind", AlarmKind)
def test_the_database_refuses_a_second_open_alarm_of_the_same(noon: datetime, kind: AlarmKind) -> None:
    alarm = an_alarm(kind, noon)
    alarm.pk = uuid4()

    with pytest.raises(IntegrityError), transaction.atomic():
        alarm.save(force_insert=True)

    alarm.ended_at = noon
    alarm.save(force_insert=True)


@pytest.mark.parametrize(
    ("kind", "about_a_door", "zone"),
    [
        (AlarmKind.JAMMED, False, ""),
        (AlarmKind.OFFLINE, True, ""),
        (AlarmKind.TEMPERATURE, False, ""),
        (AlarmKind.TAMPER, False, "frozen"),
    ],
)
def test_the_database_refuses_an_alarm_about_the_wrong_thing(
    noon: datetime, kind: AlarmKind, about_a_door: bool, zone: str
) -> None:
    device = a_device(a_locker(), noon)
    door = compartment_of(device.locker, 1) if about_a_door else None

    with pytest.raises(IntegrityError), transaction.atomic():
        Alarm.objects.create(
            locker=device.locker,
            device=device,
            compartment=door,
            kind=kind,
            zone=zone,
            level=AlarmLevel.ALERT,
            raised_at=noon,
        )
