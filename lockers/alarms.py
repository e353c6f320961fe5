"""
Alarms: what calls whom, and what that person should do.

================  ===========================================  ==========================================
Kind              Raised                                       Ends
================  ===========================================  ==========================================
offline           three heartbeats missed (45 s)               the device is heard of again
left_open         its device saw a door open for 180 s         the door is seen closed
uncommanded_open  a door opened and no pulse explains it       the door is seen closed
jammed            a lock was driven, its door did not move     the door opens, or a check is settled
tamper            its device says so                           its device says that it is over
temperature       a reading beyond its zone's limits, or none  a reading safely within them
low_battery       on battery below 20 %                        on mains, or 30 % and more
================  ===========================================  ==========================================

Whoever ends the cause ends the alarm; there is nothing to acknowledge. ``RULES`` says whom each kind calls
first, and after which real time it calls the dispatcher.

A single reading may be that of a door that stands open while somebody loads, so a temperature is a notice at
first; if no reading within the limits came for ten minutes, the goods are in danger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import models

from lockers.sizes import Temperature


class AlarmKind(models.TextChoices):
    """What is wrong."""

    OFFLINE = "offline"
    LEFT_OPEN = "left_open"
    UNCOMMANDED_OPEN = "uncommanded_open"
    JAMMED = "jammed"
    TAMPER = "tamper"
    TEMPERATURE = "temperature"
    LOW_BATTERY = "low_battery"


#: Kinds that are about one door; the others are about the cabinet.
DOOR_KINDS = frozenset({AlarmKind.LEFT_OPEN, AlarmKind.UNCOMMANDED_OPEN, AlarmKind.JAMMED})
#: What ends once the door is seen closed.
ENDED_BY_CLOSING = frozenset({AlarmKind.LEFT_OPEN, AlarmKind.UNCOMMANDED_OPEN})


class AlarmLevel(models.TextChoices):
    """Who has to act: nobody yet, whoever helps in the village, the dispatcher."""

    NOTICE = "notice"
    ALERT = "alert"
    DISPATCHER = "dispatcher"

    @property
    def below(self) -> "list[AlarmLevel]":
        """Return the levels that call for less."""
        levels = list(AlarmLevel)
        return levels[: levels.index(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Whom an alarm calls, after which real time it calls the dispatcher instead, and what helps."""

    level: AlarmLevel
    patience: timedelta | None = None
    remedy: str
    advice: str


#: So long has a door stood open, by the device's clock, when it is reported as left open.
LEFT_OPEN_AFTER = timedelta(seconds=180)

RULES: Mapping[AlarmKind, Rule] = {
    AlarmKind.OFFLINE: Rule(
        level=AlarmLevel.ALERT,
        patience=timedelta(minutes=15),
        remedy="check-power-and-network",
        advice=(
            "Check that the locker has power and its router a connection. Until it is back no door opens "
            "from afar. As long as it has power, codes open doors at its keypad, if it has one: tell those "
            "who want to collect there today."
        ),
    ),
    AlarmKind.LEFT_OPEN: Rule(
        level=AlarmLevel.ALERT,
        patience=timedelta(minutes=15) - LEFT_OPEN_AFTER,
        remedy="close-the-door",
        advice="Look into the compartment, take out what does not belong there, and close the door.",
    ),
    AlarmKind.UNCOMMANDED_OPEN: Rule(
        level=AlarmLevel.DISPATCHER,
        remedy="secure-the-goods",
        advice=(
            "Nobody was let in here: have someone see whether the goods are still there and the lock is "
            "whole, and close the door. Tell the resident if something is missing."
        ),
    ),
    AlarmKind.JAMMED: Rule(
        level=AlarmLevel.ALERT,
        patience=timedelta(minutes=15),
        remedy="free-the-door",
        advice=(
            "Press the door shut and open it once more; see whether something is caught in it. If it stays "
            "shut, have it opened by hand and settle the check."
        ),
    ),
    AlarmKind.TAMPER: Rule(
        level=AlarmLevel.DISPATCHER,
        remedy="inspect-the-cabinet",
        advice="Have someone look at the cabinet at once; call the police if it was broken open.",
    ),
    AlarmKind.TEMPERATURE: Rule(
        level=AlarmLevel.NOTICE,
        patience=timedelta(minutes=10),
        remedy="save-the-goods",
        advice=(
            "See whether a door is open and the cooling runs. Take goods that need another temperature out, "
            "and tell their residents."
        ),
    ),
    AlarmKind.LOW_BATTERY: Rule(
        level=AlarmLevel.ALERT,
        patience=timedelta(hours=1),
        remedy="restore-mains",
        advice="Bring the mains back or change the battery, before the locker stops opening doors.",
    ),
}

#: A door that opens so soon after a pulse was opened by it, however late.
PULSE_EXPLAINS = timedelta(seconds=30)

#: On battery, below the first the alarm is raised; from the second on it ends.
LOW_BATTERY_PERCENT, ENOUGH_BATTERY_PERCENT = 20, 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Temperatures that a zone keeps, both ends included, in tenths of a degree Celsius."""

    lowest: int
    highest: int

    def broken_by(self, celsius_tenths: int) -> int | None:
        """Return the limit that a reading is beyond, if it is."""
        if celsius_tenths < self.lowest:
            return self.lowest
        return self.highest if celsius_tenths > self.highest else None

    def safely_hold(self, celsius_tenths: int) -> bool:
        """Tell whether a reading is so far within the limits that it will not be beyond them right away."""
        return self.lowest + _HYSTERESIS <= celsius_tenths <= self.highest - _HYSTERESIS


_HYSTERESIS = 5
#: No sensor reports less: colder does no harm.
_NO_LOWEST = -10_000

#: Chilled: dairy goods keep at 7 to 10 °C (recommended by DIN 10508), and below 2 °C vegetables begin to
#: freeze; raw meat and fish need it colder and are not promised here. Frozen: −18 °C, with 3 K of grace in
#: local delivery (TLMV § 2 (4) and (5)). Ambient is our assumption: bottles must not burst, nor butter melt.
LIMITS: Mapping[Temperature, Limits] = {
    Temperature.AMBIENT: Limits(0, 350),
    Temperature.CHILLED: Limits(20, 80),
    Temperature.FROZEN: Limits(_NO_LOWEST, -180 + 30),
}
