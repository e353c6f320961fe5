"""The doors of a locker: what their movements mean, and what did not happen in time."""

from collections.abc import Callable
from dataclasses import dataclass

from lockers.device.hardware import Hardware, Reading
from lockers.device.reporter import Reporter

#: A door that opens so long after a pulse opens because of it.
PULSE_EXPLAINS_S = 30.0
LEFT_OPEN_AFTER_S = 180.0


@dataclass(slots=True, kw_only=True)
class Pulse:
    """The last time a lock was driven."""

    command_id: str
    at_s: float
    is_settled: bool = False


class Doors:
    """Watches the doors, and reports what they do."""

    def __init__(
        self,
        *,
        hardware: Hardware,
        reporter: Reporter,
        monotonic: Callable[[], float],
        opening_time_s: float,
    ) -> None:
        self._hardware = hardware
        self._reporter = reporter
        self._monotonic = monotonic
        self._opening_time_s = opening_time_s
        self._pulses: dict[int, Pulse] = {}
        self._open_since_s: dict[int, float] = {}

    def report_all(self) -> None:
        """Report where the doors stand."""
        readings = [
            {"compartment_number": number, "door_state": self._hardware.reading(number).value}
            for number in self._hardware.compartments
        ]
        self._reporter.report("compartments", {"compartments": readings})

    def pulsed(self, number: int, command_id: str, *, was_open: bool) -> None:
        """Expect a door to open because its lock was driven; one that was open is open."""
        self._pulses[number] = Pulse(command_id=command_id, at_s=self._monotonic(), is_settled=was_open)
        if was_open:
            self._report_opened(number, command_id, outcome="already_open", detection_ms=0)

    def moved(self, number: int, reading: Reading) -> None:
        """Take a movement of a door from its sensor."""
        now_s = self._monotonic()
        if reading == Reading.OPEN:
            self._open_since_s[number] = now_s
            self._opened(number, now_s)
        elif reading == Reading.CLOSED:
            self._open_since_s.pop(number, None)
            self._reporter.report("compartment_closed", {"compartment_number": number})

    def tick(self) -> None:
        """Notice what did not happen in time: doors that did not open, doors that were not closed."""
        now_s = self._monotonic()
        for number, pulse in self._pulses.items():
            if not pulse.is_settled and now_s - pulse.at_s >= self._opening_time_s:
                pulse.is_settled = True
                self._report_not_opened(number, pulse.command_id)
        for number, since_s in list(self._open_since_s.items()):
            if now_s - since_s >= LEFT_OPEN_AFTER_S:
                del self._open_since_s[number]
                self._reporter.report("compartment_left_open", {"compartment_number": number})

    def _opened(self, number: int, now_s: float) -> None:
        pulse = self._pulses.get(number)
        since_s = None if pulse is None else now_s - pulse.at_s
        if pulse is not None and since_s is not None and since_s < PULSE_EXPLAINS_S:
            pulse.is_settled = True
            self._report_opened(
                number, pulse.command_id, outcome="opened", detection_ms=round(since_s * 1000)
            )
            return
        self._reporter.report(
            "compartment_uncommanded_open",
            {
                "compartment_number": number,
                "milliseconds_since_last_relay_fire": None if since_s is None else round(since_s * 1000),
            },
        )

    def _report_opened(self, number: int, command_id: str, *, outcome: str, detection_ms: int) -> None:
        self._reporter.report(
            "compartment_open_detected",
            {"compartment_number": number, "outcome": outcome, "detection_ms": detection_ms},
            transaction_id=command_id,
        )

    def _report_not_opened(self, number: int, command_id: str) -> None:
        is_jammed = self._hardware.reading(number) == Reading.CLOSED
        self._reporter.report(
            "compartment_open_failed",
            {
                "compartment_number": number,
                "error_code": "DOOR_JAMMED" if is_jammed else "SENSOR_UNKNOWN",
            },
            transaction_id=command_id,
        )
