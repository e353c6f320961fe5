"""Alarms about doors: left open, forced, jammed; and what of that nobody has to be called for."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from lockers.alarms import AlarmKind
from lockers.link import Report
from lockers.models import Alarm, Compartment
from lockers.services import cabinets, commands, sweeps
from lockers.sizes import Size
from lockers.states import (
    CompartmentState,
    DoorState,
)
from tests.lockers.alarming import (
    check_command,
    closed,
    left_open,
    opens_by_itself,
    snapshot,
    standing,
    the_alarm,
)
from tests.lockers.conftest import (
    Cabinet,
    Ear,
    a_cabinet,
    a_device,
    a_locker,
    a_reservation,
    compartment_of,
    deposited,
    door_of,
    intent_of,
)

pytestmark = pytest.mark.django_db


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
