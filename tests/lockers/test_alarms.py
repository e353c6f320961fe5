"""Alarms: raised once, more urgent in time, and over as soon as their cause is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from common.clock import real_now
from common.models import Event
from lockers import tasks
from lockers.alarms import DOOR_KINDS, ENDED_BY_CLOSING, RULES, AlarmKind, AlarmLevel
from lockers.link import Report
from lockers.models import Alarm, Compartment, Device, Locker, OpenCommand
from lockers.services import alarms, cabinets, commands, devices, inbox, reservations, sweeps
from lockers.sizes import Size, Temperature
from lockers.states import (
    HEARTBEAT_INTERVAL,
    OFFLINE_AFTER,
    CompartmentState,
    DoorState,
    LinkState,
    Transport,
)
from tests.lockers.alarming import (
    Ear,
    check_command,
    closed,
    left_open,
    listening,
    opens_by_itself,
    power,
    snapshot,
    standing,
    the_alarm,
    warmth,
)
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_device,
    a_locker,
    a_reservation,
    compartment_of,
    deposited,
    door_of,
    intent_of,
)
from tests.lockers.test_races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Listen to what is announced."""
    with listening() as ear:
        yield ear


# Doors.


def test_a_door_left_open_calls_the_helper_and_closing_it_ends_that(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    cabinet.opens(check_command(locker, noon))

    cabinet.say(left_open(cabinet))
    assert standing(locker) == {("left_open", 1, "", "alert")}
    cabinet.say(closed(cabinet, 2))
    assert standing(locker) == {("left_open", 1, "", "alert")}
    cabinet.say(closed(cabinet))

    assert standing(locker) == set()
    assert not compartment_of(locker, 1).has_alarm
    assert ear.heard == [("raised", "left_open"), ("ended", "left_open")]


def test_twelve_minutes_after_the_report_the_door_has_been_open_for_fifteen(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.opens(check_command(locker, noon))
    cabinet.say(left_open(cabinet))

    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=11, seconds=59))
    assert standing(locker) == {("left_open", 1, "", "alert")}
    assert intent_of(locker, 1) == CompartmentState.FREE
    for _ in range(2):
        sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=12))

    assert standing(locker) == {("left_open", 1, "", "dispatcher")}
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK
    assert the_alarm(AlarmKind.LEFT_OPEN).escalated_at == noon + timedelta(minutes=12)
    assert ear.said("escalated") == 1
    # Closing the door ends the alarm; the check remains.
    cabinet.say(closed(cabinet))
    assert standing(locker) == set()
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK


def test_a_door_that_was_closed_while_the_sweep_looked_calls_nobody(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet))
    late = noon + timedelta(minutes=12)
    [seen_by_the_sweep] = Alarm.objects.due(at=late)
    cabinet.say(closed(cabinet))

    sweeps.escalate(seen_by_the_sweep, at=noon, real_at=late)

    assert ear.heard == [("raised", "left_open"), ("ended", "left_open")]
    assert intent_of(locker, 1) == CompartmentState.FREE


def test_a_compartment_out_of_service_stays_so_though_its_door_was_left_open(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinets.demand_check(
        compartment_of(locker, 1), reason="test", at=noon, to=CompartmentState.OUT_OF_SERVICE
    )
    cabinet.say(left_open(cabinet))

    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=12))

    assert standing(locker) == {("left_open", 1, "", "dispatcher")}
    assert intent_of(locker, 1) == CompartmentState.OUT_OF_SERVICE


def test_a_door_that_is_opened_again_while_left_open_is_still_left_open(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet))
    command = check_command(locker, noon)

    cabinet.say(
        cabinet.report("response", command.pk, result="success"),
        cabinet.report(
            "compartment_open_detected",
            command.pk,
            compartment_number=1,
            outcome="already_open",
            detection_ms=0,
        ),
    )

    assert door_of(locker, 1) == DoorState.OPEN
    assert standing(locker) == {("left_open", 1, "", "alert")}
    cabinet.say(closed(cabinet))
    assert standing(locker) == set()


@pytest.mark.parametrize(("since_pulse_ms", "is_alarm"), [(None, True), (30_000, True), (29_999, False)])
def test_a_door_that_no_pulse_explains_calls_the_dispatcher(
    noon: datetime, ear: Ear, since_pulse_ms: int | None, is_alarm: bool
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    cabinet.say(opens_by_itself(cabinet, since_pulse_ms=since_pulse_ms))
    assert standing(locker) == ({("uncommanded_open", 1, "", "dispatcher")} if is_alarm else set())
    cabinet.say(closed(cabinet))

    assert standing(locker) == set()
    assert ear.said("raised") == ear.said("ended") == int(is_alarm)


def test_a_forced_door_that_stays_open_is_two_alarms_and_closing_it_ends_both(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    cabinet.say(opens_by_itself(cabinet), left_open(cabinet))
    assert {kind for kind, *_ in standing(locker)} == {"uncommanded_open", "left_open"}
    cabinet.say(closed(cabinet))

    assert standing(locker) == set()


def test_a_door_that_was_forced_while_the_device_had_no_power_is_found_by_the_snapshot(
    noon: datetime,
) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)

    cabinet.say(snapshot(cabinet, "open", "closed"))
    assert standing(locker) == {("uncommanded_open", 1, "", "dispatcher")}
    assert compartment_of(locker, 1).verify_empty
    cabinet.say(snapshot(cabinet, "unknown", "closed"))
    assert standing(locker) == {("uncommanded_open", 1, "", "dispatcher")}
    cabinet.say(snapshot(cabinet, "closed", "closed"))

    assert standing(locker) == set()


def test_doors_that_stand_open_when_a_device_first_speaks_are_no_alarm(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = Cabinet(device=a_device(locker, noon), at=noon)

    cabinet.say(cabinet.report("booted", previous_boot_id=None, previous_seq=0), snapshot(cabinet, "open"))

    assert standing(locker) == set()


def test_an_open_door_that_a_lost_command_explains_is_no_alarm(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    command = check_command(locker, noon)

    cabinet.say(
        cabinet.report("response", command.pk, result="error", error_code="INTERRUPTED"),
        snapshot(cabinet, "open"),
    )

    assert standing(locker) == set()


def test_a_door_that_is_seen_closed_by_a_snapshot_ends_its_alarm_whatever_it_is_meant_for(
    noon: datetime,
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    deposited(a_reservation(locker, noon), cabinet)
    cabinet.say(left_open(cabinet))

    cabinet.say(snapshot(cabinet, "closed"))

    assert standing(locker) == set()


def test_jams_of_a_door_are_one_alarm_which_the_third_takes_to_the_dispatcher(
    noon: datetime, ear: Ear
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    levels = []
    for _ in range(3):
        cabinet.jams(check_command(locker, noon))
        [(kind, number, _zone, level)] = standing(locker)
        assert (kind, number) == ("jammed", 1)
        levels.append(level)

    assert levels == ["alert", "alert", "dispatcher"]
    assert the_alarm(AlarmKind.JAMMED).facts == {"num_jams": 3}
    assert ear.heard == [("raised", "jammed"), ("escalated", "jammed")]
    assert intent_of(locker, 1) == CompartmentState.OUT_OF_SERVICE


def test_a_jam_is_over_when_the_door_opens(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.jams(check_command(locker, noon))

    cabinet.opens(check_command(locker, noon))

    assert standing(locker) == set()
    assert ear.heard == [("raised", "jammed"), ("ended", "jammed")]


@pytest.mark.parametrize("report", [opens_by_itself, left_open, lambda cabinet: snapshot(cabinet, "open")])
def test_a_jam_is_over_when_the_door_is_seen_open_however_it_came_to_that(
    noon: datetime, report: Callable[[Cabinet], Report]
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.jams(check_command(locker, noon))

    cabinet.say(report(cabinet))

    assert the_alarm(AlarmKind.JAMMED).ended_at == noon


def test_a_jam_is_over_when_somebody_looked_into_the_compartment(noon: datetime, ear: Ear) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    cabinet.jams(commands.open_for_deposit(reservation, at=noon, real_at=noon))
    assert intent_of(locker, 1) == CompartmentState.NEEDS_CHECK

    cabinets.settle_check(compartment_of(locker, 1), is_empty=True, at=noon, real_at=noon)

    assert standing(locker) == set()
    assert ear.heard == [("raised", "jammed"), ("ended", "jammed")]
    assert Compartment.objects.free().filter(locker=locker).exists()


def test_a_settled_check_does_not_close_a_door(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet))
    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=12))

    cabinets.settle_check(compartment_of(locker, 1), is_empty=True, at=noon, real_at=noon)

    assert standing(locker) == {("left_open", 1, "", "dispatcher")}


def test_a_door_that_jams_is_closed(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(opens_by_itself(cabinet), snapshot(cabinet, "unknown"))

    cabinet.jams(check_command(locker, noon))

    assert standing(locker) == {("jammed", 1, "", "alert")}


# The device itself.


def silence(device: Device) -> datetime:
    """Return the first moment at which a device counts as silent."""
    device.refresh_from_db()
    assert device.last_seen_at is not None
    return device.last_seen_at + OFFLINE_AFTER + timedelta(microseconds=1)


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


def an_alarm(kind: AlarmKind, at: datetime, *, device: Device | None = None) -> Alarm:
    """Return an alarm of a kind that was just raised."""
    device = device or a_device(a_locker(), at)
    return alarms.raise_alarm(
        kind,
        device=device,
        compartment=compartment_of(device.locker, 1) if kind in DOOR_KINDS else None,
        zone=Temperature.CHILLED if kind == AlarmKind.TEMPERATURE else "",
        facts={"number": 1},
        at=at,
        real_at=at,
    )


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


# What ordinary doors cost.


def test_an_ordinary_day_at_a_door_never_looks_for_alarms(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)

    def queries_for(*batch: Report) -> int:
        inbox.receive(cabinet.device, batch, real_at=noon)
        with CaptureQueriesContext(connection) as captured:
            inbox.apply(cabinet.device.pk, at=noon)
        assert not [query for query in captured.captured_queries if "lockers_alarm" in query["sql"]]
        return len(captured)

    def story(command: OpenCommand) -> list[Report]:
        return [
            cabinet.report("response", command.pk, result="success"),
            cabinet.report(
                "compartment_open_detected",
                command.pk,
                compartment_number=1,
                outcome="opened",
                detection_ms=20,
            ),
            closed(cabinet),
        ]

    deposit = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    # A savepoint and its release; locker, boot and report read, all three written: eight.
    # Four more read what a report is about and write what changes: command, reservation, compartment.
    assert [queries_for(report) for report in story(deposit)] == [12, 12, 12]
    reservations.confirm_deposit(reservation, at=noon)
    reservation.refresh_from_db()
    collection = commands.open_for_collection(reservation, at=noon, real_at=noon)
    queries_for(*story(collection), cabinet.report("collection_done", compartment_number=1))
    queries_for(snapshot(cabinet, "closed"))
    assert door_of(locker, 1) == DoorState.CLOSED


# Any order.

#: What a device may say of two doors and of itself; the command opens door 1 for an operator.
SAYINGS: Mapping[str, Callable[[Cabinet, OpenCommand], Report]] = {
    "door 1 opens by itself": lambda cabinet, _: opens_by_itself(cabinet, 1),
    "door 2 opens by itself": lambda cabinet, _: opens_by_itself(cabinet, 2),
    "door 1 was left open": lambda cabinet, _: left_open(cabinet, 1),
    "door 1 closes": lambda cabinet, _: closed(cabinet, 1),
    "door 2 closes": lambda cabinet, _: closed(cabinet, 2),
    "door 1 is driven": lambda cabinet, command: cabinet.report("response", command.pk, result="success"),
    "door 1 jams": lambda cabinet, command: cabinet.report(
        "compartment_open_failed", command.pk, compartment_number=1, error_code="DOOR_JAMMED"
    ),
    "door 1 opens": lambda cabinet, command: cabinet.report(
        "compartment_open_detected", command.pk, compartment_number=1, outcome="opened", detection_ms=9
    ),
    "both are open": lambda cabinet, _: snapshot(cabinet, "open", "open"),
    "both are closed": lambda cabinet, _: snapshot(cabinet, "closed", "closed"),
    "both are unknown": lambda cabinet, _: snapshot(cabinet, "unknown", "unknown"),
    "somebody meddles": lambda cabinet, _: cabinet.report("tamper", active=True),
    "nobody meddles": lambda cabinet, _: cabinet.report("tamper", active=False),
    "too warm": lambda cabinet, _: warmth(cabinet, 95),
    "cold enough": lambda cabinet, _: warmth(cabinet, 50),
    "low battery": lambda cabinet, _: power(cabinet, "battery", 10),
    "mains": lambda cabinet, _: power(cabinet, "mains", None),
}


def tells(told: Sequence[str], at: datetime) -> tuple[Cabinet, list[Report]]:
    """Return a new device and what it has to say."""
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, at)
    command = check_command(locker, at)
    return cabinet, [SAYINGS[saying](cabinet, command) for saying in told]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(st.sampled_from(sorted(SAYINGS)), min_size=1, max_size=12), data=st.data())
def test_any_order_of_arrival_and_any_repetition_ends_in_the_same_alarms(
    noon: datetime, told: list[str], data: st.DataObject
) -> None:
    """Two devices say the same: one is heard in order, the other shuffled, doubled and in batches."""
    orderly, story = tells(told, noon)
    orderly.say(*story)

    other, same_story = tells(told, noon)
    repeated = same_story + data.draw(st.lists(st.sampled_from(same_story), max_size=6))
    arrival = data.draw(st.permutations(repeated))
    while arrival:
        size = data.draw(st.integers(1, 5))
        batch, arrival = arrival[:size], arrival[size:]
        inbox.receive(other.device, batch, real_at=noon)
        if data.draw(st.booleans()):
            inbox.apply(other.device.pk, at=noon)
    inbox.apply(other.device.pk, at=noon)

    first, second = orderly.device.locker, other.device.locker
    assert standing(first) == standing(second)
    assert ever_raised(first) == ever_raised(second)
    for compartment in Compartment.objects.filter(locker__in=[first, second]):
        kinds = set(compartment.alarms.open().values_list("kind", flat=True))
        assert compartment.has_alarm == bool(kinds)
        if compartment.door == DoorState.CLOSED:
            assert not kinds & ENDED_BY_CLOSING
        if compartment.door in {DoorState.OPEN, DoorState.LEFT_OPEN}:
            assert AlarmKind.JAMMED not in kinds


def ever_raised(locker: Locker) -> list[tuple[str, int | None]]:
    """Return all alarms that a locker ever had."""
    return sorted(locker.alarms.values_list("kind", "compartment__number"), key=str)


# At once.


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [AlarmKind.TAMPER, AlarmKind.TEMPERATURE, AlarmKind.LEFT_OPEN])
def test_an_alarm_that_many_raise_at_once_is_announced_once(
    noon: datetime, ear: Ear, kind: AlarmKind
) -> None:
    device = a_device(a_locker(), noon)

    outcomes = at_once(10, lambda _: an_alarm(kind, noon, device=device))

    assert len({alarm.pk for alarm in outcomes}) == 1
    assert ear.heard == [("raised", kind.value)]
    assert Event.objects.filter(kind="alarm_raised").count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_alarm_that_many_escalate_and_end_at_once_does_each_once(noon: datetime, ear: Ear) -> None:
    alarm = an_alarm(AlarmKind.TEMPERATURE, noon)

    at_once(10, lambda _: sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=10)))
    at_once(10, lambda _: alarms.end(Alarm.objects.filter(pk=alarm.pk), at=noon, real_at=noon))

    assert [what for what, _ in ear.heard] == ["raised", "escalated", "ended"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_number", range(5))
def test_a_door_that_closes_while_the_dispatcher_is_called_leaves_no_alarm(
    noon: datetime, ear: Ear, round_number: int
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    cabinet.say(left_open(cabinet))
    inbox.receive(cabinet.device, [closed(cabinet)], real_at=noon)

    def act(index: int) -> None:
        if index % 2:
            inbox.apply(cabinet.device.pk, at=noon)
        else:
            sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=12))

    outcomes = at_once(8, act)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert standing(locker) == set()
    assert not compartment_of(locker, 1).has_alarm
    assert (ear.said("raised"), ear.said("ended")) == (1, 1)
    # Either the door was closed first, or somebody has to look behind it: never the one without the other.
    is_to_be_checked = intent_of(locker, 1) == CompartmentState.NEEDS_CHECK
    assert ear.said("escalated") == int(is_to_be_checked)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_number", range(5))
def test_a_device_heard_while_sweeps_miss_it_ends_as_it_is(
    noon: datetime, ear: Ear, round_number: int
) -> None:
    locker = a_locker()
    device = a_device(locker, noon)
    seen_online = Device.objects.get(pk=device.pk)
    late = silence(device)

    def act(index: int) -> None:
        if index % 3 == 0:
            devices.hear(seen_online, real_at=late)
        else:
            devices.sweep(at=noon, real_at=late)

    outcomes = at_once(9, act)
    devices.sweep(at=noon, real_at=late)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    device.refresh_from_db()
    assert device.state == LinkState.ONLINE
    assert standing(locker) == set()
    assert ear.said("raised") == ear.said("ended") <= 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_reports_that_raise_and_end_taken_by_many_at_once_leave_what_the_last_said(
    noon: datetime, ear: Ear
) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    story = [
        report
        for _ in range(4)
        for report in (opens_by_itself(cabinet), left_open(cabinet), closed(cabinet), warmth(cabinet, 95))
    ]

    def act(index: int) -> int:
        inbox.receive(cabinet.device, story[2 * index : 2 * index + 2], real_at=noon)
        return inbox.apply(cabinet.device.pk, at=noon)

    outcomes = at_once(8, act)

    assert sum(outcomes) == len(story)
    assert standing(locker) == {("temperature", None, "chilled", "notice")}
    assert (ear.said("raised"), ear.said("ended")) == (9, 8)
