"""The doors of a locker: what their movements mean, and what did not happen in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockers.device.hardware import Hardware, Housing, Reading
from lockers.device.reporter import Reporter

#: A door that opens so long after a pulse opens because of it.
PULSE_EXPLAINS_S = 30.0
#: A door that stands open calls those around for some time, then those who are responsible.
BEEP_AFTER_S = 60.0
BEEP_EVERY_S = 10.0
LEFT_OPEN_AFTER_S = 180.0


@dataclass(slots=True, kw_only=True)
class Pulse:
    """The last time a lock was driven."""

    command_id: str
    at_s: float
    is_settled: bool = False


@dataclass(slots=True)
class Standing:
    """A door that stands open, since when, and what was done about it."""

    since_s: float
    beeped_s: float = float("-inf")
    is_reported: bool = False


class Doors:
    """Watches the doors, and reports what they do."""

    def __init__(
        self,
        *,
        hardware: Hardware,
        housing: Housing,
        reporter: Reporter,
        monotonic: Callable[[], float],
        opening_time_s: float,
    ) -> None:
        self._hardware = hardware
        self._housing = housing
        self._reporter = reporter
        self._monotonic = monotonic
        self._opening_time_s = opening_time_s
        self._pulses: dict[int, Pulse] = {}
        self._readings: dict[int, Reading] = {}
        self._standing: dict[int, Standing] = {}

    def begin(self) -> None:
        """Report where the doors stand at the start; those that are open count from now."""
        for number in self._hardware.compartments:
            self._readings[number] = self._hardware.reading(number)
            if self._readings[number] == Reading.OPEN:
                self._standing[number] = Standing(self._monotonic())
        self.report_all()

    def report_all(self) -> None:
        """Report where the doors stand."""
        self._report_states(self._hardware.compartments)

    def pulsed(self, number: int, command_id: str, *, was_open: bool) -> None:
        """Expect a door to open because its lock was driven; one that was open is open."""
        self._pulses[number] = Pulse(command_id=command_id, at_s=self._monotonic(), is_settled=was_open)
        if was_open:
            self._report_opened(number, command_id, outcome="already_open", detection_ms=0)

    def moved(self, number: int, reading: Reading) -> None:
        """Take a movement of a door from its sensor."""
        before, self._readings[number] = self._readings.get(number), reading
        if reading == before:
            return
        if reading == Reading.OPEN:
            now_s = self._monotonic()
            self._standing[number] = Standing(now_s)
            self._opened(number, now_s, is_seen=before != Reading.UNKNOWN)
            return
        self._standing.pop(number, None)
        if reading == Reading.CLOSED:
            self._reporter.report("compartment_closed", {"compartment_number": number})
        else:
            self._report_states([number])

    def tick(self) -> None:
        """Notice what did not happen in time: doors that did not open, doors that were not closed."""
        now_s = self._monotonic()
        for number, pulse in self._pulses.items():
            if not pulse.is_settled and now_s - pulse.at_s >= self._opening_time_s:
                pulse.is_settled = True
                self._report_not_opened(number, pulse.command_id)
        for number, standing in self._standing.items():
            self._mind_open_door(number, standing, now_s)

    def _mind_open_door(self, number: int, standing: Standing, now_s: float) -> None:
        open_s = now_s - standing.since_s
        if open_s >= LEFT_OPEN_AFTER_S:
            if not standing.is_reported:
                standing.is_reported = True
                self._reporter.report("compartment_left_open", {"compartment_number": number})
        elif open_s >= BEEP_AFTER_S and now_s - standing.beeped_s >= BEEP_EVERY_S:
            standing.beeped_s = now_s
            self._housing.beep(number)

    def _opened(self, number: int, now_s: float, *, is_seen: bool) -> None:
        """Explain an open door by its last pulse, if it opened before our eyes; else say where it stands."""
        pulse = self._pulses.get(number)
        since_s = None if pulse is None else now_s - pulse.at_s
        if pulse is not None:
            pulse.is_settled = True
        if pulse is not None and since_s is not None and since_s < PULSE_EXPLAINS_S:
            self._report_opened(
                number, pulse.command_id, outcome="opened", detection_ms=round(since_s * 1000)
            )
            return
        if not is_seen:
            self._report_states([number])
            return
        self._reporter.report(
            "compartment_uncommanded_open",
            {
                "compartment_number": number,
                "milliseconds_since_last_relay_fire": None if since_s is None else round(since_s * 1000),
            },
        )

    def _report_states(self, numbers: Sequence[int]) -> None:
        readings = [
            {"compartment_number": number, "door_state": self._hardware.reading(number).value}
            for number in numbers
        ]
        self._reporter.report("compartments", {"compartments": readings})

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
