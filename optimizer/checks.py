"""What a field may hold, and the error that names the field."""

import math
from collections.abc import Iterable, Sequence

#: No quantity is larger; keeps every sum within 64 bits.
LARGEST = 10**9


class ProblemError(ValueError):
    """A field of the input makes no sense."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def require(condition: bool, name: str, reason: str) -> None:
    """Refuse a field unless the condition holds."""
    if not condition:
        raise ProblemError(name, reason)


def whole(name: str, value: int, *, least: int = 0, most: int = LARGEST) -> None:
    """Refuse what is not a whole number within limits."""
    require(isinstance(value, int) and not isinstance(value, bool), name, "must be a whole number")
    require(least <= value <= most, name, f"must lie between {least} and {most}, is {value}")


def optional_whole(name: str, value: int | None) -> None:
    """Refuse what is neither ``None`` nor a whole number."""
    if value is not None:
        whole(name, value)


def number(name: str, value: float, *, least: float, most: float) -> None:
    """Refuse what is not a finite number within limits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(is_number and (isinstance(value, int) or math.isfinite(value)), name, "must be a finite number")
    require(least <= value <= most, name, f"must lie between {least} and {most}, is {value}")


def degrees(name: str, value: float, most: float) -> None:
    """Refuse what is not an angle."""
    number(name, value, least=-most, most=most)


def named(name: str, value: str) -> None:
    """Refuse an empty name."""
    require(isinstance(value, str) and value != "", name, "must be a non-empty text")


def unique(name: str, values: Sequence[object]) -> None:
    """Refuse a value that appears twice."""
    seen: set[object] = set()
    for position, value in enumerate(values):
        require(value not in seen, f"{name}[{position}]", f"{value} appears twice")
        seen.add(value)


def known(name: str, value: str, names: Iterable[str]) -> None:
    """Refuse a name that nothing has."""
    require(value in names, name, f"{value} is unknown")
