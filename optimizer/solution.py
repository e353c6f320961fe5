"""The output of a day's plan: immutable, with a reason for whatever is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from optimizer.problem import Load

#: What a sentence is made of, for whoever says it in another language.
Facts = Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTerms:
    """
    What a route or a plan costs, term by term, in cents.

    ``preference_cents`` is what delivering to less liked places costs, ``lateness_cents`` and
    ``stability_cents`` what delivering later, or by another vehicle, than promised does, ``unserved_cents``
    what leaving orders for the next pool costs (always 0 on a route).
    """

    fixed_cents: int = 0
    distance_cents: int = 0
    time_cents: int = 0
    co2e_cents: int = 0
    preference_cents: int = 0
    lateness_cents: int = 0
    stability_cents: int = 0
    unserved_cents: int = 0

    @property
    def total_cents(self) -> int:
        """Sum of all terms."""
        return sum(getattr(self, term.name) for term in fields(self))

    def __add__(self, other: "CostTerms") -> "CostTerms":
        return CostTerms(**{t.name: getattr(self, t.name) + getattr(other, t.name) for t in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An order handed over, and which of its options (from 0) that is."""

    order: str
    option: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """
    One visit of a vehicle at one place.

    Parameters
    ----------
    arrival_s, start_s, departure_s
        The vehicle arrives (parked, ready to work), may wait, starts with the goods, and leaves.
    pickups
        Orders loaded, deliveries come first.
    trip
        Which trip of the shift the stop belongs to, from 1. A stop without goods ends its trip: the vehicle
        is back at its start place, and is charged.
    break_s
        Break of whoever drives, from the arrival on.
    """

    place: str
    arrival_s: int
    start_s: int
    departure_s: int
    pickups: tuple[str, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    trip: int = 1
    break_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    What one vehicle shift does.

    Parameters
    ----------
    start_s, end_s
        When the vehicle leaves its start place and reaches its end place.
    wait_s
        Time spent waiting at stops, breaks included.
    max_load
        Largest load on board in each dimension, not necessarily at the same moment.
    """

    vehicle: str
    start_s: int
    end_s: int
    stops: tuple[Stop, ...]
    distance_m: int
    wait_s: int
    co2e_g: int
    max_load: Load
    cost: CostTerms

    @property
    def duration_s(self) -> int:
        """Length of the run, waiting included."""
        return self.end_s - self.start_s


class Reason(StrEnum):
    """Why an order is left out."""

    NO_VEHICLE = "no-vehicle"
    NO_SUITABLE_VEHICLE = "no-suitable-vehicle"
    UNREACHABLE = "unreachable"
    NEEDS_TRANSFER = "needs-transfer"
    NO_VEHICLE_LARGE_ENOUGH = "no-vehicle-large-enough"
    NO_CHILLED_CAPACITY = "no-chilled-capacity"
    NO_FROZEN_CAPACITY = "no-frozen-capacity"
    ZONE_FORBIDDEN = "zone-forbidden"
    UNREACHABLE_IN_TIME = "unreachable-in-time"
    OUT_OF_RANGE = "out-of-range"
    RUN_TOO_LONG = "run-too-long"
    TOO_LONG_IN_VEHICLE = "too-long-in-vehicle"
    NO_COMPARTMENT_LARGE_ENOUGH = "no-compartment-large-enough"
    LOCKER_FULL = "locker-full"
    TOO_MANY_SENT_ELSEWHERE = "too-many-sent-elsewhere"
    NOT_WORTH_THE_DETOUR = "not-worth-the-detour"
    NO_VEHICLE_TIME_LEFT = "no-vehicle-time-left"
    PLANNING_TIME_OVER = "planning-time-over"


class RemedyKind(StrEnum):
    """What would let an order come along."""

    READY_EARLIER = "ready-earlier"
    DEADLINE_LATER = "deadline-later"
    LONGER_OPENING = "longer-opening"
    LONGER_SHIFT = "longer-shift"
    LONGER_RANGE = "longer-range"
    LARGER_VEHICLE = "larger-vehicle"
    MORE_VEHICLES = "more-vehicles"
    MORE_COMPARTMENTS = "more-compartments"
    MORE_VOLUME = "more-volume"
    HIGHER_PENALTY = "higher-penalty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """
    A change that lets the order come along, all else equal; all but a higher penalty were tried.

    Parameters
    ----------
    facts
        How much of what: minutes and metres are the least ones with which it worked.
    saved_cents
        By how much the plan gets cheaper: what leaving the order out costs, minus what carrying it adds. A
        higher penalty saves nothing.
    """

    kind: RemedyKind
    sentence: str
    facts: Facts = field(default_factory=dict)
    saved_cents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """
    An order that waits for the next pool, why, and what would help.

    Parameters
    ----------
    remedies
        Any one of them suffices; none may have been found, or sought in the time there was.
    """

    order: str
    reason: Reason
    sentence: str
    unserved_penalty_cents: int
    facts: Facts = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()


class PriceKind(StrEnum):
    """What there could be more of."""

    COMPARTMENTS = "compartments"
    VOLUME = "volume"
    VEHICLES = "vehicles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What one more of something is worth: a compartment, a litre at a counter, or a vehicle in its shift.

    Parameters
    ----------
    facts
        Of a compartment the place, the temperature and the size, and ``"door": "low"`` where only low doors
        count; of a counter the place; of vehicles the first one of several that are equal.
    vehicles
        All vehicle shifts that the price is of; each has it.
    available
        How many there are: compartments free for this plan, whole litres, equal vehicle shifts.
    shadow_cents
        Dual value in the linear relaxation of choosing among all routes found. An estimate: it knows no
        other routes, and holds for the first fraction of a unit. ``None`` if there was no time.
    saved_cents
        By how much a plan is cheaper that was found with one more: at least this much it is worth. ``None``
        if none was sought.
    """

    kind: PriceKind
    sentence: str
    facts: Facts
    available: int
    shadow_cents: float | None
    saved_cents: int | None
    vehicles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """
    A plan: at most one route for each vehicle shift, and every order either carried or left out.

    Parameters
    ----------
    prices
        What one more compartment of each locker, litre of each counter, and vehicle would be worth.
    """

    routes: tuple[Route, ...]
    left_out: tuple[LeftOut, ...]
    prices: tuple[Price, ...] = ()

    @property
    def cost(self) -> CostTerms:
        """Cost of all routes and of what is left out."""
        unserved = CostTerms(unserved_cents=sum(order.unserved_penalty_cents for order in self.left_out))
        return sum((route.cost for route in self.routes), start=unserved)

    @property
    def cost_cents(self) -> int:
        """Total cost."""
        return self.cost.total_cents

    @property
    def num_carried(self) -> int:
        """Number of orders delivered."""
        return sum(len(stop.deliveries) for route in self.routes for stop in route.stops)
