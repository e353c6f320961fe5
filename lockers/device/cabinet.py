"""A simulated cabinet below the hardware port: doors, goods behind them, sensors, and faults."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lockers.device.hardware import Reading, Source, Supply, Zone
from lockers.device.power import Moment, PowerCut


class Impossible(Exception):
    """Physics does not allow it: nobody reaches through a closed door."""


class Sensor(StrEnum):
    """How a door's sensor fares."""

    WORKS = "works"
    BROKEN = "broken"
    STUCK_OPEN = "stuck_open"


@dataclass(slots=True)
class Space:
    """One door and what lies behind it."""

    is_open: bool = False
    is_jammed: bool = False
    sensor: Sensor = Sensor.WORKS
    num_openings: int = 0
    num_beeps: int = 0
    goods: list[str] = field(default_factory=list)

    @property
    def reading(self) -> Reading:
        """Return what the sensor says."""
        if self.sensor == Sensor.BROKEN:
            return Reading.UNKNOWN
        return Reading.OPEN if self.is_open or self.sensor == Sensor.STUCK_OPEN else Reading.CLOSED


class Cabinet:
    """
    Doors that spring open when pulsed, unless they are jammed.

    ``spring`` is called with what a pulse sets going, to be done a moment later; contents survive a restart
    in ``file``. ``moved`` is told what sensors see, ``stirred`` of everything that doors really do.
    """

    def __init__(
        self, numbers: Iterable[int], *, spring: Callable[[Callable[[], None]], object], file: Path
    ) -> None:
        self._spaces = {number: Space() for number in numbers}
        self._spring = spring
        self._file = file
        self._blackout: tuple[Moment, Callable[[], None]] | None = None
        self.moved: Callable[[int, Reading], None] = lambda number, reading: None
        self.stirred: Callable[[], None] = lambda: None
        self.is_forced = False
        #: Tenths of a degree Celsius by zone.
        self.climate: dict[Zone, int | None] = {Zone.AMBIENT: 180}
        self.feed = Supply(Source.MAINS, 100)
        if file.exists():
            for number, (is_open, goods) in json.loads(file.read_text()).items():
                self._spaces[int(number)] = Space(is_open=is_open, goods=goods)

    @property
    def compartments(self) -> Sequence[int]:
        """Return the numbers of the compartments."""
        return list(self._spaces)

    def pulse(self, compartment: int) -> None:
        """
        Drive a lock: the door springs open a moment later, if it can.

        Raises
        ------
        PowerCut
            If the power was to go just before or just now.
        """
        moment, black_out = self._blackout or (None, None)
        self._blackout = None
        if black_out and moment == Moment.AFTER_PULSE:
            self._spring(black_out)
        if moment != Moment.BEFORE_PULSE:
            self._spring(lambda: self._open(compartment))
        if black_out and moment in {Moment.BEFORE_PULSE, Moment.IN_PULSE}:
            black_out()
            raise PowerCut

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor of a door says."""
        return self._space(compartment).reading

    def beep(self, compartment: int) -> None:
        """Count a signal."""
        self._space(compartment).num_beeps += 1

    def is_tampered(self) -> bool:
        """Tell whether the cabinet was forced open."""
        return self.is_forced

    def temperatures(self) -> Mapping[Zone, int | None]:
        """Return how warm it is."""
        return self.climate

    def supply(self) -> Supply:
        """Return what the cabinet lives on."""
        return self.feed

    def put(self, compartment: int, goods: Iterable[str]) -> None:
        """Put goods into an open compartment."""
        self._through_open_door(compartment).goods.extend(goods)
        self._keep()

    def take(self, compartment: int) -> list[str]:
        """Take everything out of an open compartment."""
        space = self._through_open_door(compartment)
        taken, space.goods = space.goods, []
        self._keep()
        return taken

    def close(self, compartment: int) -> None:
        """Push a door shut; one that is shut stays so."""
        if self._space(compartment).is_open:
            self._move(compartment, is_open=False)

    def force(self, compartment: int) -> None:
        """Open a door without its lock being driven."""
        if not self._space(compartment).is_open:
            self._move(compartment, is_open=True)

    def jam(self, compartment: int, *, is_jammed: bool) -> None:
        """Let a door stick, or stick no more."""
        self._space(compartment).is_jammed = is_jammed

    def break_sensor(self, compartment: int, sensor: Sensor) -> None:
        """Let a door's sensor fail, or work again."""
        space = self._space(compartment)
        before, space.sensor = space.reading, sensor
        self._tell(compartment, before)

    def black_out(self, moment: Moment, cut: Callable[[], None]) -> None:
        """Let the power go at a moment of the next pulse."""
        self._blackout = moment, cut

    def contents(self) -> Mapping[int, Space]:
        """Return each compartment's door and goods."""
        return self._spaces

    def is_open(self, compartment: int) -> bool:
        """Tell whether a door stands open."""
        return self._space(compartment).is_open

    def _open(self, compartment: int) -> None:
        space = self._space(compartment)
        if space.is_jammed or space.is_open:
            return
        space.num_openings += 1
        self._move(compartment, is_open=True)

    def _move(self, compartment: int, *, is_open: bool) -> None:
        space = self._space(compartment)
        before, space.is_open = space.reading, is_open
        self._keep()
        self._tell(compartment, before)
        self.stirred()

    def _tell(self, compartment: int, before: Reading) -> None:
        """Let the device know what its sensor sees, if that has changed."""
        reading = self.reading(compartment)
        if reading != before:
            self.moved(compartment, reading)

    def _through_open_door(self, compartment: int) -> Space:
        space = self._space(compartment)
        if not space.is_open:
            raise Impossible(f"door {compartment} is closed")
        return space

    def _space(self, compartment: int) -> Space:
        if compartment not in self._spaces:
            raise Impossible(f"there is no compartment {compartment}")
        return self._spaces[compartment]

    def _keep(self) -> None:
        spaces = {number: (space.is_open, space.goods) for number, space in self._spaces.items()}
        self._file.write_text(json.dumps(spaces))
