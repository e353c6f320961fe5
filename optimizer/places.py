"""Where goods are loaded and delivered, when that is possible, and how far apart it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer import checks
from optimizer.checks import LARGEST
from optimizer.goods import Size, Temperature

#: No moment lies later.
LATEST_S = 10**7
#: No place opens more often.
MOST_WINDOWS = 50
#: Distance and duration of a pair of places between which there is no way.
NO_WAY = LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """
    When service may start, both ends included; who is early waits, who is late is infeasible.

    Raises
    ------
    ProblemError
        If the window ends before it begins or a moment is negative.
    """

    earliest_s: int
    latest_s: int

    def __post_init__(self) -> None:
        checks.whole("earliest_s", self.earliest_s, most=LATEST_S)
        checks.whole("latest_s", self.latest_s, most=LATEST_S)
        checks.require(self.earliest_s <= self.latest_s, "latest_s", "lies before earliest_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compartments:
    """
    How many compartments of one kind a locker has free for this pool.

    Parameters
    ----------
    forecast
        How many of them are expected to be claimed by others before the goods arrive.
    low
        Their doors can be reached from a wheelchair.

    Raises
    ------
    ProblemError
        If the count is negative.
    """

    temperature: Temperature
    size: Size
    count: int
    low: bool = False
    forecast: int = 0

    def __post_init__(self) -> None:
        checks.whole("count", self.count)
        checks.whole("forecast", self.forecast)

    @property
    def free(self) -> int:
        """How many may be planned."""
        return max(0, self.count - self.forecast)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where vehicles start, load or deliver.

    Parameters
    ----------
    latitude, longitude
        Degrees, WGS 84.
    windows
        Opening hours in order and without overlap; empty means always open.
    stop_duration_s
        Fixed time of every stop, such as parking. It is paid on arrival from other coordinates, so a
        locker and a counter side by side pay it once; the start and the end of a run pay nothing.
    compartments
        Free compartments of a locker; ``None`` marks a place without lockers (shop, hub, counter), an empty
        tuple a locker that accepts nothing.
    volume_limit_cm3
        Most goods, all temperatures together, that may be delivered here; ``None`` means unlimited.

    Raises
    ------
    ProblemError
        If a coordinate is not a number on Earth, windows overlap or are too many, or a kind of
        compartment appears twice.
    """

    id: str
    latitude: float
    longitude: float
    windows: tuple[TimeWindow, ...] = ()
    stop_duration_s: int = 0
    compartments: tuple[Compartments, ...] | None = None
    volume_limit_cm3: int | None = None

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.degrees("latitude", self.latitude, 90)
        checks.degrees("longitude", self.longitude, 180)
        checks.whole("stop_duration_s", self.stop_duration_s, most=LATEST_S)
        checks.optional_whole("volume_limit_cm3", self.volume_limit_cm3)
        checks.require(len(self.windows) <= MOST_WINDOWS, "windows", f"are more than {MOST_WINDOWS}")
        for before, after in zip(self.windows, self.windows[1:], strict=False):
            checks.require(before.latest_s < after.earliest_s, "windows", "must be in order and not overlap")
        kinds = [(stock.temperature, stock.size, stock.low) for stock in self.compartments or ()]
        checks.unique("compartments", kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """
    An area that vehicles of some profiles may not serve, such as a car-free centre.

    Parameters
    ----------
    ring
        Corners of the area as ``(longitude, latitude)``, in degrees.
    forbidden_profiles
        Profiles that may not stop at a place inside.

    Raises
    ------
    ProblemError
        If the ring has fewer than three corners or a corner is not on Earth.
    """

    id: str
    ring: tuple[tuple[float, float], ...]
    forbidden_profiles: tuple[str, ...]

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.require(len(set(self.ring)) >= 3, "ring", "needs at least three corners")
        for longitude, latitude in self.ring:
            checks.degrees("ring", longitude, 180)
            checks.degrees("ring", latitude, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    How one kind of vehicle travels where no matrix is given.

    Parameters
    ----------
    speed_m_s
        Mean speed along the road, in metres per second.
    detour_factor
        Length of the road over the length of the geodesic, at least 1.
    mode
        Whose roads it uses: what travel models know it as, such as ``bike`` or ``van``. Its id by default.
    """

    id: str
    speed_m_s: float
    detour_factor: float = 1.3
    mode: str | None = None

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        if self.mode is not None:
            checks.named("mode", self.mode)
        checks.number("speed_m_s", self.speed_m_s, least=0.1, most=100)
        checks.number("detour_factor", self.detour_factor, least=1, most=10)

    @property
    def known_as(self) -> str:
        """What travel models call it."""
        return self.mode or self.id


BIKE = Profile(id="bike", speed_m_s=4.5)
VAN = Profile(id="van", speed_m_s=12.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TravelMatrix:
    """
    Known distances and durations of one profile; they take precedence over its speed.

    Parameters
    ----------
    distance_m, duration_s
        From each place (row) to each place (column), in the order of ``Problem.places``; square. Where there
        is no way both are :data:`NO_WAY`.

    Raises
    ------
    ProblemError
        If a matrix is not square, or has a negative entry.
    """

    profile: str
    distance_m: NDArray[np.int64]
    duration_s: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, table in (("distance_m", self.distance_m), ("duration_s", self.duration_s)):
            checks.require(table.ndim == 2 and table.shape[0] == table.shape[1], name, "must be square")
            checks.require(np.issubdtype(table.dtype, np.integer), name, "must hold whole numbers")
            inside = bool(((table >= 0) & (table <= LARGEST)).all())
            checks.require(inside, name, f"must lie between 0 and {LARGEST}")
            table.setflags(write=False)
