"""What the sensors of a cabinet say, and when it is worth telling."""

from collections.abc import Callable
from dataclasses import dataclass

from lockers.device.hardware import Housing, Supply, Zone
from lockers.device.reporter import Reporter

#: Temperatures are told when they have changed by so much, and at least so often: less than the ten minutes
#: after which the server fears for the goods.
TOLD_STEP_TENTHS = 5
TOLD_EVERY_S = 300.0
#: What lies beyond no sensor measures; a broken wire of a common one reads as −127 °C.
MEASURABLE_TENTHS = range(-600, 901)
TOLD_STEP_PERCENT = 5


@dataclass(frozen=True, slots=True)
class _Told:
    """The temperature that was reported last for a zone, and when."""

    celsius_tenths: int | None
    at_s: float


class Sensors:
    """Watches the cabinet, and reports what changes; after a start, all of it."""

    def __init__(self, *, housing: Housing, reporter: Reporter, monotonic: Callable[[], float]) -> None:
        self._housing = housing
        self._reporter = reporter
        self._monotonic = monotonic
        self._is_tampered: bool | None = None
        self._supply: Supply | None = None
        self._zones: dict[Zone, _Told] = {}

    def look(self) -> None:
        """Report what is news."""
        self._look_for_tampering()
        self._look_at_temperatures()
        self._look_at_supply()

    def _look_for_tampering(self) -> None:
        is_tampered = self._housing.is_tampered()
        if is_tampered is not None and is_tampered != self._is_tampered:
            self._is_tampered = is_tampered
            self._reporter.report("tamper", {"active": is_tampered})

    def _look_at_temperatures(self) -> None:
        now_s = self._monotonic()
        for zone, measured in self._housing.temperatures().items():
            celsius_tenths = measured if measured in MEASURABLE_TENTHS else None
            told = self._zones.get(zone)
            if (
                told is None
                or now_s - told.at_s >= TOLD_EVERY_S
                or _differ(celsius_tenths, told.celsius_tenths, TOLD_STEP_TENTHS)
            ):
                self._zones[zone] = _Told(celsius_tenths, now_s)
                self._reporter.report("temperature", {"zone": zone.value, "celsius_tenths": celsius_tenths})

    def _look_at_supply(self) -> None:
        supply, told = self._housing.supply(), self._supply
        if supply is None:
            return
        if (
            told is None
            or supply.source != told.source
            or _differ(supply.percent, told.percent, TOLD_STEP_PERCENT)
        ):
            self._supply = supply
            self._reporter.report("power", {"source": supply.source.value, "percent": supply.percent})


def _differ(present: int | None, told: int | None, step: int) -> bool:
    """Tell whether a value has moved so far from what was told, or is known no more, or again."""
    if present is None or told is None:
        return present is not told
    return abs(present - told) >= step
