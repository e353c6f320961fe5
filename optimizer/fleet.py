"""Vehicles in their shifts, the rules on working time, and what is under way already."""

from dataclasses import dataclass
from itertools import pairwise

from optimizer import checks
from optimizer.goods import Load
from optimizer.places import LATEST_S, TimeWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakRule:
    """Who works longer than ``work_s`` takes breaks of at least ``break_s`` in all."""

    work_s: int
    break_s: int

    def __post_init__(self) -> None:
        checks.whole("work_s", self.work_s, most=LATEST_S)
        checks.whole("break_s", self.break_s, most=LATEST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTime:
    """
    How long a courier may work; breaks are not working time, waiting is.

    Parameters
    ----------
    rules
        From the shortest to the longest work; the last one that applies counts.
    max_unbroken_s
        Longest work without a break.
    max_work_s
        Longest work in one shift.

    Raises
    ------
    ProblemError
        If the rules are not in order.
    """

    rules: tuple[BreakRule, ...] = ()
    max_unbroken_s: int | None = None
    max_work_s: int | None = None

    def __post_init__(self) -> None:
        checks.optional_whole("max_unbroken_s", self.max_unbroken_s)
        checks.optional_whole("max_work_s", self.max_work_s)
        for one, other in pairwise(self.rules):
            rises = one.work_s < other.work_s and one.break_s <= other.break_s
            checks.require(rises, "rules", "must rise")

    def breaks_s(self, work_s: int) -> int:
        """Return the least time of breaks that some work asks for, in seconds."""
        return max((rule.break_s for rule in self.rules if work_s > rule.work_s), default=0)


#: Germany's Arbeitszeitgesetz, sections 3 and 4.
ARBZG = WorkingTime(
    rules=(BreakRule(work_s=6 * 3600, break_s=30 * 60), BreakRule(work_s=9 * 3600, break_s=45 * 60)),
    max_unbroken_s=6 * 3600,
    max_work_s=10 * 3600,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBoard:
    """Goods in a vehicle, and when the stop that loaded them ended."""

    order: str
    loaded_s: int

    def __post_init__(self) -> None:
        checks.named("order", self.order)
        checks.whole("loaded_s", self.loaded_s, most=LATEST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """
    Where a vehicle stands that has begun its run; the stop that it drives to counts as done.

    Parameters
    ----------
    place, free_s
        Where and when it can do something new.
    started_s
        When the run began.
    driven_m
        Since the last charge, up to ``place``.
    trips
        Trips begun so far, the present one included.
    break_s, rested_s
        Breaks taken so far, and when the last one ended; ``None`` if there was none.
    on_board
        Goods that are loaded; they may be delivered by this vehicle only.

    Raises
    ------
    ProblemError
        If the vehicle is free before it began, or before goods on board were loaded.
    """

    place: str
    free_s: int
    started_s: int
    driven_m: int = 0
    trips: int = 1
    break_s: int = 0
    rested_s: int | None = None
    on_board: tuple[OnBoard, ...] = ()

    def __post_init__(self) -> None:
        checks.named("place", self.place)
        checks.whole("started_s", self.started_s, most=LATEST_S)
        checks.whole("free_s", self.free_s, most=LATEST_S)
        checks.require(self.started_s <= self.free_s, "free_s", "lies before started_s")
        checks.whole("driven_m", self.driven_m)
        checks.whole("trips", self.trips, least=1, most=1000)
        checks.whole("break_s", self.break_s, most=self.free_s - self.started_s)
        if self.rested_s is not None:
            inside = self.started_s <= self.rested_s <= self.free_s
            checks.require(inside, "rested_s", "lies outside the run")
        checks.require(not self.break_s or self.rested_s is not None, "rested_s", "must follow a break")
        checks.unique("on_board", [goods.order for goods in self.on_board])
        for b, goods in enumerate(self.on_board):
            checks.require(goods.loaded_s <= self.free_s, f"on_board[{b}].loaded_s", "lies after free_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """
    One vehicle in one shift.

    Parameters
    ----------
    shift
        The run starts and ends within it, both ends included.
    max_duration_s
        Longest run from start to end, waiting and breaks included.
    range_m
        Longest way on one charge.
    fixed_cost_cents
        Paid once if the vehicle runs at all.
    skills
        What it can do that not every vehicle can, such as carrying deposits back.
    max_trips, turnaround_s
        How often it may set out from its start place, and how long it stands there in between; it leaves
        with a full charge.
    working_time
        Rules for whoever drives; ``None`` where they are kept elsewhere.
    under_way
        ``None`` as long as the run has not begun.

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
    skills: tuple[str, ...] = ()
    max_trips: int = 1
    turnaround_s: int = 0
    working_time: WorkingTime | None = None
    under_way: UnderWay | None = None

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.optional_whole("max_duration_s", self.max_duration_s)
        checks.optional_whole("range_m", self.range_m)
        checks.whole("fixed_cost_cents", self.fixed_cost_cents, most=10**8)
        checks.whole("cost_per_km_cents", self.cost_per_km_cents, most=10**5)
        checks.whole("cost_per_hour_cents", self.cost_per_hour_cents, most=10**6)
        checks.whole("co2e_g_per_km", self.co2e_g_per_km, most=10**5)
        checks.whole("max_trips", self.max_trips, least=1, most=1000)
        checks.whole("turnaround_s", self.turnaround_s, most=LATEST_S)
        checks.unique("skills", self.skills)

    @property
    def on_board(self) -> tuple[OnBoard, ...]:
        """Goods that are loaded already."""
        return self.under_way.on_board if self.under_way else ()
