"""What a cabinet's sensors say: tampering, temperature, power."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from lockers import link
from lockers.alarms import AlarmKind
from lockers.exceptions import MalformedMessage
from lockers.models import ZoneReading
from lockers.services import sweeps
from tests.lockers.alarming import Standing, power, standing, the_alarm, warmth
from tests.lockers.conftest import Ear, a_cabinet, a_locker

pytestmark = pytest.mark.django_db


def test_tampering_calls_the_dispatcher_until_the_device_says_it_is_over(noon: datetime, ear: Ear) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)

    for _ in range(2):
        cabinet.say(cabinet.report("tamper", active=True))
    assert standing(locker) == {("tamper", None, "", "dispatcher")}
    for _ in range(2):
        cabinet.say(cabinet.report("tamper", active=False))

    assert standing(locker) == set()
    assert ear.heard == [("raised", "tamper"), ("ended", "tamper")]


@pytest.mark.parametrize(
    ("zone", "kept", "broken", "not_yet_safe", "safe"),
    [
        ("chilled", 80, 81, 76, 75),
        ("chilled", 20, 19, 24, 25),
        ("frozen", -150, -149, -154, -155),
        ("frozen", -600, -149, -154, -600),
        ("ambient", 350, 351, 346, 345),
        ("ambient", 0, -1, 4, 5),
    ],
)
def test_a_zone_that_leaves_its_limits_is_a_notice_until_it_is_safely_back(
    noon: datetime, zone: str, kept: int, broken: int, not_yet_safe: int, safe: int
) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)

    def after(celsius_tenths: int) -> Standing:
        cabinet.say(warmth(cabinet, celsius_tenths, zone))
        return standing(locker)

    assert after(kept) == set()
    assert after(broken) == {("temperature", None, zone, "notice")}
    assert after(not_yet_safe) == {("temperature", None, zone, "notice")}
    assert after(safe) == set()
    assert after(not_yet_safe) == set()


def test_goods_that_were_too_warm_for_ten_minutes_are_the_dispatchers(noon: datetime, ear: Ear) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    cabinet.say(warmth(cabinet, 95))

    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=9, seconds=59))
    assert standing(locker) == {("temperature", None, "chilled", "notice")}
    sweeps.sweep_alarms(at=noon, real_at=noon + timedelta(minutes=10))
    assert standing(locker) == {("temperature", None, "chilled", "dispatcher")}
    # More of the same calls nobody again, but says how warm it is by now.
    cabinet.say(warmth(cabinet, 120))
    assert standing(locker) == {("temperature", None, "chilled", "dispatcher")}
    assert the_alarm(AlarmKind.TEMPERATURE).facts == {"celsius_tenths": 120, "limit_tenths": 80}
    assert ear.heard == [("raised", "temperature"), ("escalated", "temperature")]


def test_a_sensor_that_fails_is_an_alarm_until_a_reading_is_safe(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    cabinet.say(warmth(cabinet, 50), warmth(cabinet, None))

    assert standing(locker) == {("temperature", None, "chilled", "notice")}
    assert the_alarm(AlarmKind.TEMPERATURE).facts == {"celsius_tenths": None}
    assert ZoneReading.objects.get(locker=locker).celsius_tenths == 50
    cabinet.say(warmth(cabinet, 50))
    assert standing(locker) == set()


def test_each_zone_has_its_own_alarm_and_its_last_reading(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)

    cabinet.say(warmth(cabinet, 95), warmth(cabinet, -100, "frozen"), warmth(cabinet, 200, "ambient"))
    cabinet.say(warmth(cabinet, 50))

    assert standing(locker) == {("temperature", None, "frozen", "notice")}
    readings = ZoneReading.objects.filter(locker=locker).values_list("zone", "celsius_tenths")
    assert dict(readings) == {"chilled": 50, "frozen": -100, "ambient": 200}


@pytest.mark.parametrize(
    ("source", "percent", "before", "after"),
    [
        ("battery", 20, False, False),
        ("battery", 19, False, True),
        ("battery", None, False, False),
        ("battery", None, True, True),
        ("battery", 29, True, True),
        ("battery", 30, True, False),
        ("mains", 5, False, False),
        ("mains", 5, True, False),
        ("mains", None, True, False),
    ],
)
def test_a_battery_that_runs_low_is_an_alarm_until_it_is_charged(
    noon: datetime, source: str, percent: int | None, before: bool, after: bool
) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    if before:
        cabinet.say(power(cabinet, "battery", 10))

    cabinet.say(power(cabinet, source, percent))

    assert standing(locker) == ({("low_battery", None, "", "alert")} if after else set())


def envelope(event: str, data: object) -> dict[str, Any]:
    """Return a report as it comes in."""
    return {
        "message_id": str(uuid4()),
        "boot_id": "00000001-0123456789abcdef",
        "seq": 1,
        "link_epoch": "epoch-of-the-first-hello",
        "timestamp": "2026-11-24T11:00:00Z",
        "event": event,
        "data": data,
    }


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("tamper", {"active": True}),
        ("temperature", {"zone": "frozen", "celsius_tenths": -600}),
        ("temperature", {"zone": "ambient", "celsius_tenths": 900}),
        ("temperature", {"zone": "chilled", "celsius_tenths": None}),
        ("power", {"source": "mains", "percent": None}),
        ("power", {"source": "battery", "percent": 0}),
        ("power", {"source": "battery", "percent": 100}),
    ],
)
def test_what_sensors_say_is_read(event: str, data: dict[str, Any]) -> None:
    assert link.report_from(envelope(event, data)).data == data


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("tamper", {}),
        ("tamper", {"active": 1}),
        ("tamper", {"active": "yes"}),
        ("tamper", {"active": True, "who": "Erika"}),
        ("temperature", {"celsius_tenths": 50}),
        ("temperature", {"zone": "chilled"}),
        ("temperature", {"zone": "hot", "celsius_tenths": 50}),
        ("temperature", {"zone": ["chilled"], "celsius_tenths": 50}),
        ("temperature", {"zone": "chilled", "celsius_tenths": -601}),
        ("temperature", {"zone": "chilled", "celsius_tenths": 901}),
        ("temperature", {"zone": "chilled", "celsius_tenths": 5.5}),
        ("temperature", {"zone": "chilled", "celsius_tenths": True}),
        ("power", {"percent": 50}),
        ("power", {"source": "sun", "percent": 50}),
        ("power", {"source": {}, "percent": 50}),
        ("power", {"source": "battery", "percent": 101}),
        ("power", {"source": "battery", "percent": -1}),
        ("power", {"source": "battery", "percent": False}),
    ],
)
def test_what_sensors_cannot_mean_is_refused(event: str, data: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        link.report_from(envelope(event, data))
