"""
The input of a day's plan: immutable, and refusing nonsense on construction.

Moments are whole seconds after midnight of the delivery day, money is whole cents, and every other
quantity is a whole number in the unit that its name ends with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optimizer import checks
from optimizer.checks import LARGEST

#: No moment lies later: a week after midnight of the delivery day.
LATEST_S = 7 * 86_400


class Temperature(StrEnum):
    """How goods must be kept."""

    AMBIENT = "ambient"
    CHILLED = "chilled"
    FROZEN = "frozen"


class Size(StrEnum):
    """Size class of parcels and compartments; a larger compartment takes whatever a smaller one takes."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"

    @property
    def rank(self) -> int:
        """Position in the order of sizes, 0 for the smallest."""
        return list(Size).index(self)


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

    def __post_init__(self) -> None:
        checks.whole("count", self.count)


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
        If a coordinate is not a number on Earth, windows overlap, or a kind of compartment appears twice.
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
    """

    id: str
    speed_m_s: float
    detour_factor: float = 1.3

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.number("speed_m_s", self.speed_m_s, least=0.1, most=100)
        checks.number("detour_factor", self.detour_factor, least=1, most=10)


BIKE = Profile(id="bike", speed_m_s=4.5)
VAN = Profile(id="van", speed_m_s=12.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TravelMatrix:
    """
    Known distances and durations of one profile; they take precedence over its speed.

    Parameters
    ----------
    distance_m, duration_s
        From each place (row) to each place (column), in the order of ``Problem.places``; square.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    Goods, or the room for them, in the four dimensions that are counted.

    Ambient goods take ``volume_cm3``; chilled and frozen goods take only the room of their own boxes, which
    is never part of ``volume_cm3``. The weight of all of them counts together.
    """

    weight_g: int
    volume_cm3: int
    chilled_cm3: int = 0
    frozen_cm3: int = 0

    def __post_init__(self) -> None:
        for name, value in zip(self.__dataclass_fields__, self.amounts, strict=True):
            checks.whole(name, value)

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The four dimensions in a fixed order."""
        return self.weight_g, self.volume_cm3, self.chilled_cm3, self.frozen_cm3


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """
    One vehicle in one shift.

    Parameters
    ----------
    shift
        The run starts and ends within it, both ends included.
    max_duration_s
        Longest run from start to end, waiting included.
    range_m
        Longest run on one charge.
    fixed_cost_cents
        Paid once if the vehicle runs at all.

    Raises
    ------
    ProblemError
        If a quantity is negative or absurdly large.
    """

    id: str
    profile: str
    start_place: str
    end_place: str
    capacity: Load
    shift: TimeWindow
    max_duration_s: int | None = None
    range_m: int | None = None
    fixed_cost_cents: int = 0
    cost_per_km_cents: int = 0
    cost_per_hour_cents: int = 0
    co2e_g_per_km: int = 0

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.optional_whole("max_duration_s", self.max_duration_s)
        checks.optional_whole("range_m", self.range_m)
        checks.whole("fixed_cost_cents", self.fixed_cost_cents, most=10**8)
        checks.whole("cost_per_km_cents", self.cost_per_km_cents, most=10**5)
        checks.whole("cost_per_hour_cents", self.cost_per_hour_cents, most=10**6)
        checks.whole("co2e_g_per_km", self.co2e_g_per_km, most=10**5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelClass:
    """
    Some equal parcels of an order.

    Parameters
    ----------
    volume_cm3, weight_g
        Of one parcel.
    """

    size: Size
    temperature: Temperature = Temperature.AMBIENT
    count: int = 1
    volume_cm3: int = 0
    weight_g: int = 0

    def __post_init__(self) -> None:
        checks.whole("count", self.count, least=1, most=10_000)
        checks.whole("volume_cm3", self.volume_cm3, most=10**8)
        checks.whole("weight_g", self.weight_g, most=10**7)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompartmentDemand:
    """
    A compartment that an order claims at a locker, of this size or larger.

    Parameters
    ----------
    low
        Only a low door will do; otherwise any does.
    """

    temperature: Temperature
    size: Size
    low: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOption:
    """A place that the resident accepts, and how much worse it is than the place liked best."""

    place: str
    preference_penalty_cents: int = 0

    def __post_init__(self) -> None:
        checks.named("place", self.place)
        checks.whole("preference_penalty_cents", self.preference_penalty_cents, most=10**8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    Goods of one shop for one household: carried whole by one vehicle, or left out.

    Parameters
    ----------
    household
        Opaque key of who receives.
    ready_s, deadline_s
        Earliest start of the stop that picks up, latest start of the stop that delivers.
    compartments
        What the order claims if it goes to a locker: one entry for each bundle, by the rule of the caller.
    handling_s_per_parcel
        Time at the pickup, and again at the delivery, for each parcel.
    unserved_penalty_cents
        Cost of leaving the order for the next pool.

    Raises
    ------
    ProblemError
        If there are no parcels or options, an option appears twice, or the deadline precedes readiness.
    """

    id: str
    pickup_place: str
    ready_s: int
    deadline_s: int
    parcels: tuple[ParcelClass, ...]
    options: tuple[DeliveryOption, ...]
    unserved_penalty_cents: int
    household: str = ""
    compartments: tuple[CompartmentDemand, ...] = ()
    handling_s_per_parcel: int = 0

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.whole("ready_s", self.ready_s, most=LATEST_S)
        checks.whole("deadline_s", self.deadline_s, most=LATEST_S)
        checks.require(self.ready_s <= self.deadline_s, "deadline_s", "lies before ready_s")
        checks.whole("unserved_penalty_cents", self.unserved_penalty_cents, most=10**8)
        checks.whole("handling_s_per_parcel", self.handling_s_per_parcel, most=86_400)
        checks.require(bool(self.parcels), "parcels", "must not be empty")
        checks.require(bool(self.options), "options", "must not be empty")
        checks.unique("options", [option.place for option in self.options])

    @property
    def num_parcels(self) -> int:
        """Number of single parcels."""
        return sum(parcels.count for parcels in self.parcels)

    @property
    def handling_s(self) -> int:
        """Time to load or unload the whole order."""
        return self.num_parcels * self.handling_s_per_parcel

    @property
    def temperatures(self) -> tuple[Temperature, ...]:
        """Temperatures that occur, in the order of the enumeration."""
        present = {parcels.temperature for parcels in self.parcels}
        return tuple(temperature for temperature in Temperature if temperature in present)

    def volume_of(self, temperature: Temperature) -> int:
        """Volume of all parcels of a temperature, in cm³."""
        return sum(p.count * p.volume_cm3 for p in self.parcels if p.temperature == temperature)

    @property
    def volume_cm3(self) -> int:
        """Volume of all parcels, whatever their temperature."""
        return sum(p.count * p.volume_cm3 for p in self.parcels)

    @property
    def load(self) -> Load:
        """What the order adds to the load of a vehicle."""
        return Load(
            weight_g=sum(p.count * p.weight_g for p in self.parcels),
            volume_cm3=self.volume_of(Temperature.AMBIENT),
            chilled_cm3=self.volume_of(Temperature.CHILLED),
            frozen_cm3=self.volume_of(Temperature.FROZEN),
        )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """
    One day to plan.

    Parameters
    ----------
    profiles
        How each profile travels; profiles with a matrix need their speed only to be named.
    matrices
        Known travel tables; profiles without one are computed by a travel model.
    max_ride_s
        Longest time that goods of a temperature may spend between the end of the stop that picks them up
        and the start of the stop that delivers them.

    Raises
    ------
    ProblemError
        If an identifier appears twice or names nothing, a matrix has the wrong shape, or an order that may go
        to a locker claims no compartment.
    """

    places: tuple[Place, ...]
    vehicles: tuple[Vehicle, ...]
    orders: tuple[Order, ...]
    zones: tuple[Zone, ...] = ()
    profiles: tuple[Profile, ...] = (BIKE, VAN)
    matrices: tuple[TravelMatrix, ...] = ()
    co2e_price_cents_per_kg: int = 0
    max_ride_s: Mapping[Temperature, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.whole("co2e_price_cents_per_kg", self.co2e_price_cents_per_kg, most=10**5)
        for temperature, limit in self.max_ride_s.items():
            checks.whole(f"max_ride_s.{temperature}", limit, most=LATEST_S)
        for name in ("places", "vehicles", "orders", "zones", "profiles"):
            checks.unique(name, [row.id for row in getattr(self, name)])
        checks.unique("matrices", [matrix.profile for matrix in self.matrices])
        self._check_references()
        for position, matrix in enumerate(self.matrices):
            fits = matrix.distance_m.shape == matrix.duration_s.shape == (len(self.places),) * 2
            checks.require(fits, f"matrices[{position}]", f"must be {len(self.places)} by {len(self.places)}")

    def _check_references(self) -> None:
        places = {place.id for place in self.places}
        lockers = {place.id for place in self.places if place.compartments is not None}
        profiles = {profile.id for profile in self.profiles}
        for v, vehicle in enumerate(self.vehicles):
            checks.known(f"vehicles[{v}].profile", vehicle.profile, profiles)
            checks.known(f"vehicles[{v}].start_place", vehicle.start_place, places)
            checks.known(f"vehicles[{v}].end_place", vehicle.end_place, places)
        for o, order in enumerate(self.orders):
            checks.known(f"orders[{o}].pickup_place", order.pickup_place, places)
            for k, option in enumerate(order.options):
                checks.known(f"orders[{o}].options[{k}].place", option.place, places)
                claims = bool(order.compartments) or option.place not in lockers
                checks.require(
                    claims, f"orders[{o}].compartments", f"is empty, but {option.place} is a locker"
                )
        for z, zone in enumerate(self.zones):
            for profile in zone.forbidden_profiles:
                checks.known(f"zones[{z}].forbidden_profiles", profile, profiles)
        for m, matrix in enumerate(self.matrices):
            checks.known(f"matrices[{m}].profile", matrix.profile, profiles)

    @cached_property
    def place_by_id(self) -> dict[str, Place]:
        """Places by identifier."""
        return {place.id: place for place in self.places}

    @cached_property
    def order_by_id(self) -> dict[str, Order]:
        """Orders by identifier."""
        return {order.id: order for order in self.orders}

    @cached_property
    def vehicle_by_id(self) -> dict[str, Vehicle]:
        """Vehicle shifts by identifier."""
        return {vehicle.id: vehicle for vehicle in self.vehicles}
