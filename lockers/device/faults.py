"""The faults that a simulated locker can suffer: what there is, how it is written down, when it strikes."""

import asyncio
import inspect
import json
import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from lockers.device.cabinet import Impossible, Sensor
from lockers.device.hardware import Source, Supply, Zone
from lockers.device.power import Moment
from lockers.device.simulated import SimulatedLocker

logger = logging.getLogger(__name__)


class BadFault(Exception):
    """There is no such fault, or it is not written like this."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls one locker or, without a name, every one, so long after it came into service."""

    kind: str
    arguments: Mapping[str, Any]
    locker: str | None = None
    at_s: float = 0.0

    def strikes(self, name: str) -> bool:
        """Tell whether it befalls a locker."""
        return self.locker in {None, name}

    def inflict(self, locker: SimulatedLocker) -> None:
        """
        Let a locker suffer it.

        Raises
        ------
        Impossible
            If there is no such compartment.
        """
        _KINDS[self.kind](locker, **self.arguments)


def fault_from(content: Any) -> Fault:
    """
    Read a fault: an object with ``fault``, its arguments, and if need be ``locker`` and ``at``.

    Raises
    ------
    BadFault
        If it is none.
    """
    if not isinstance(content, dict) or str(content.get("fault")) not in _KINDS:
        raise BadFault(f"a fault is one of {', '.join(_KINDS)}")
    rest = dict(content)
    kind, locker, at_s = rest.pop("fault"), rest.pop("locker", None), rest.pop("at", 0)
    if not isinstance(at_s, (int, float)) or not isinstance(locker, str | None):
        raise BadFault(f"{kind}: at is a number of seconds, locker a name")
    return Fault(kind, _arguments(kind, rest), locker, at_s)


def fault_in(text: str) -> Fault:
    """
    Read a fault as people write it: ``jam compartment=3 locker=haverbeck at=20``.

    Raises
    ------
    BadFault
        If it is none.
    """
    kind, *words = shlex.split(text) or [""]
    pairs = [word.partition("=") for word in words]
    return fault_from({"fault": kind, **{name: _value(value) for name, _, value in pairs}})


def script_in(file: Path) -> list[Fault]:
    """
    Read a script: one fault a line, each a JSON object.

    Raises
    ------
    BadFault
        If a line is none.
    """
    faults = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            faults += [fault_from(json.loads(line))] if line.strip() else []
        except (BadFault, ValueError) as error:
            raise BadFault(f"{file}, line {number}: {error}") from error
    return faults


async def befall(locker: SimulatedLocker, name: str, script: Iterable[Fault]) -> None:
    """Let a locker suffer each fault in its time, counted from when it comes into service."""
    await locker.until_connected()
    passed_s = 0.0
    for fault in sorted(script, key=lambda fault: fault.at_s):
        if not fault.strikes(name):
            continue
        await asyncio.sleep(fault.at_s - passed_s)
        passed_s = fault.at_s
        try:
            fault.inflict(locker)
        except Impossible as error:
            logger.error("%s: %s", name, error)
        else:
            logger.warning("%s suffers %s %s", name, fault.kind, dict(fault.arguments))


def _jam(locker: SimulatedLocker, *, compartment: int, on: bool = True) -> None:
    """Let a door stick, or stick no more."""
    locker.cabinet.jam(compartment, is_jammed=on)


def _sensor(locker: SimulatedLocker, *, compartment: int, state: Sensor) -> None:
    """Let a door's sensor fail, or work again."""
    locker.cabinet.break_sensor(compartment, state)


def _forced(locker: SimulatedLocker, *, compartment: int) -> None:
    """Open a door without a command."""
    locker.cabinet.force(compartment)


def _reboot(locker: SimulatedLocker, *, moment: Moment = Moment.NOW, seconds: float = 1.0) -> None:
    """Take the power away for some seconds: now, or before, in mid or after the next pulse."""
    locker.black_out(moment, seconds=seconds)


def _clock(locker: SimulatedLocker, *, days: float) -> None:
    """Let the wall clock jump, so that it is so many days off."""
    locker.clock_is_off = timedelta(days=days)


def _messages(locker: SimulatedLocker, *, doubled: float = 0.0, shuffled: float = 0.0) -> None:
    """Let a share of the messages, both ways, come twice, and a share out of turn."""
    locker.network.disorder.doubled = doubled
    locker.network.disorder.shuffled = shuffled


def _cut(locker: SimulatedLocker, *, seconds: float, half_open: bool = False) -> None:
    """Cut the network; half-open, nobody is told and nothing passes."""
    locker.network.cut(seconds, half_open=half_open)


def _broker(locker: SimulatedLocker, *, seconds: float = 1.0) -> None:
    """Let the broker restart: MQTT connections break, and for some seconds none can be made."""
    locker.network.restart_broker(seconds)


def _disk(locker: SimulatedLocker, *, full: bool = True) -> None:
    """Let the disk be full, or have room again."""
    locker.disk_is_full = full


def _tamper(locker: SimulatedLocker, *, on: bool = True) -> None:
    """Let somebody meddle with the cabinet, or go away."""
    locker.cabinet.is_forced = on


def _temperature(locker: SimulatedLocker, *, zone: Zone, celsius: float | None) -> None:
    """Let it be so warm in a zone; null is a sensor that fails."""
    locker.cabinet.climate[zone] = None if celsius is None else round(celsius * 10)


def _power(locker: SimulatedLocker, *, source: Source, percent: int | None = None) -> None:
    """Let the cabinet live on mains or battery, charged so far."""
    locker.cabinet.feed = Supply(source, percent)


_KINDS: Mapping[str, Callable[..., None]] = {
    "jam": _jam,
    "sensor": _sensor,
    "forced": _forced,
    "reboot": _reboot,
    "clock": _clock,
    "messages": _messages,
    "cut": _cut,
    "broker": _broker,
    "disk": _disk,
    "tamper": _tamper,
    "temperature": _temperature,
    "power": _power,
}


def _arguments(kind: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a fault's arguments as its function takes them."""
    wanted = inspect.signature(_KINDS[kind])
    try:
        wanted.bind(None, **given)
        return {name: _fitting(value, wanted.parameters[name].annotation) for name, value in given.items()}
    except (TypeError, ValueError) as error:
        raise BadFault(f"{kind}: {error}") from error


def _fitting(value: Any, kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    is_whole_for_real = isinstance(value, int) and isinstance(0.0, kind)
    if not isinstance(value, kind) and not is_whole_for_real:
        raise TypeError(f"{value!r} does not fit")
    return value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
