"""A simulated cabinet below the hardware port: doors, goods behind them, and faults."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockers.device.hardware import Reading


class Impossible(Exception):
    """Physics does not allow it: nobody reaches through a closed door."""


@dataclass(slots=True)
class Space:
    """One door and what lies behind it."""

    is_open: bool = False
    is_jammed: bool = False
    num_openings: int = 0
    goods: list[str] = field(default_factory=list)


class Cabinet:
    """
    Doors that spring open when pulsed, unless they are jammed.

    ``spring`` is called with what a pulse sets going, to be done a moment later; contents survive a restart
    in ``file``.
    """

    def __init__(
        self, numbers: Iterable[int], *, spring: Callable[[Callable[[], None]], object], file: Path
    ) -> None:
        self._spaces = {number: Space() for number in numbers}
        self._spring = spring
        self._file = file
        self.moved: Callable[[int, Reading], None] = lambda number, reading: None
        if file.exists():
            for number, (is_open, goods) in json.loads(file.read_text()).items():
                self._spaces[int(number)] = Space(is_open=is_open, goods=goods)

    @property
    def compartments(self) -> Sequence[int]:
        """Return the numbers of the compartments."""
        return list(self._spaces)

    def pulse(self, compartment: int) -> None:
        """Drive a lock: the door springs open a moment later, if it can."""
        self._spring(lambda: self._open(compartment))

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor says."""
        return Reading.OPEN if self._space(compartment).is_open else Reading.CLOSED

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
        space = self._space(compartment)
        if space.is_open:
            space.is_open = False
            self._keep()
            self.moved(compartment, Reading.CLOSED)

    def jam(self, compartment: int, *, is_jammed: bool) -> None:
        """Let a door stick, or stick no more."""
        self._space(compartment).is_jammed = is_jammed

    def contents(self) -> dict[int, Space]:
        """Return each compartment's door and goods."""
        return self._spaces

    def is_open(self, compartment: int) -> bool:
        """Tell whether a door stands open."""
        return self._space(compartment).is_open

    def _open(self, compartment: int) -> None:
        space = self._space(compartment)
        if space.is_jammed or space.is_open:
            return
        space.is_open = True
        space.num_openings += 1
        self._keep()
        self.moved(compartment, Reading.OPEN)

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
