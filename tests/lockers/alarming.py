"""What devices report when something is wrong, and what stands or is announced then."""

from datetime import datetime, timedelta

from lockers.alarms import DOOR_KINDS, AlarmKind
from lockers.link import Report
from lockers.models import Alarm, Device, Locker, OpenCommand
from lockers.services import alarms, commands
from lockers.sizes import Temperature
from lockers.states import OFFLINE_AFTER
from tests.lockers.conftest import Cabinet, a_device, a_locker, compartment_of

#: Kind, number of the door or None, zone, level.
Standing = set[tuple[str, int | None, str, str]]


def standing(locker: Locker) -> Standing:
    """Return the open alarms of a locker."""
    rows = Alarm.objects.open().filter(locker=locker)
    return set(rows.values_list("kind", "compartment__number", "zone", "level"))


def the_alarm(kind: AlarmKind) -> Alarm:
    """Return the only alarm of a kind, open or not."""
    return Alarm.objects.get(kind=kind)


def opens_by_itself(cabinet: Cabinet, number: int = 1, *, since_pulse_ms: int | None = None) -> Report:
    """Return the report of a door that nobody was let in by."""
    return cabinet.report(
        "compartment_uncommanded_open",
        compartment_number=number,
        milliseconds_since_last_relay_fire=since_pulse_ms,
    )


def left_open(cabinet: Cabinet, number: int = 1) -> Report:
    """Return the report of a door that has stood open for three minutes."""
    return cabinet.report("compartment_left_open", compartment_number=number)


def closed(cabinet: Cabinet, number: int = 1) -> Report:
    """Return the report of a closed door."""
    return cabinet.report("compartment_closed", compartment_number=number)


def snapshot(cabinet: Cabinet, *states: str) -> Report:
    """Return the report of all doors, from number 1."""
    rows = [{"compartment_number": number, "door_state": state} for number, state in enumerate(states, 1)]
    return cabinet.report("compartments", compartments=rows)


def warmth(cabinet: Cabinet, celsius_tenths: int | None, zone: str = "chilled") -> Report:
    """Return the report of a thermometer."""
    return cabinet.report("temperature", zone=zone, celsius_tenths=celsius_tenths)


def power(cabinet: Cabinet, source: str, percent: int | None) -> Report:
    """Return the report of what the cabinet lives on."""
    return cabinet.report("power", source=source, percent=percent)


def check_command(locker: Locker, at: datetime, number: int = 1) -> OpenCommand:
    """Return the command of an operator who wants to look into a compartment."""
    return commands.open_for_check(compartment_of(locker, number), real_at=at)


def silence(device: Device) -> datetime:
    """Return the first moment at which a device counts as silent."""
    device.refresh_from_db()
    assert device.last_seen_at is not None
    return device.last_seen_at + OFFLINE_AFTER + timedelta(microseconds=1)


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
