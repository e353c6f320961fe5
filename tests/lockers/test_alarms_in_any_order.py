"""Alarms under load: what they cost, and reports and people in any order and all at once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.models import Event
from lockers.alarms import ENDED_BY_CLOSING, AlarmKind
from lockers.link import Report
from lockers.models import Alarm, Compartment, Device, Locker, OpenCommand
from lockers.services import alarms, commands, devices, inbox, reservations, sweeps
from lockers.sizes import Size
from lockers.states import (
    CompartmentState,
    DoorState,
    LinkState,
)
from tests.lockers.alarming import (
    an_alarm,
    check_command,
    closed,
    left_open,
    opens_by_itself,
    power,
    silence,
    snapshot,
    standing,
    warmth,
)
from tests.lockers.conftest import (
    Cabinet,
    Ear,
    a_cabinet,
    a_device,
    a_locker,
    a_reservation,
    compartment_of,
    door_of,
    intent_of,
)
from tests.lockers.test_races import at_once

pytestmark = pytest.mark.django_db


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
