"""The input refuses nonsense, and names the field."""

from collections.abc import Callable

import numpy as np
import pytest

from optimizer.checks import ProblemError
from optimizer.problem import (
    NO_WAY,
    BreakRule,
    Compartments,
    DeliveryOption,
    Load,
    OnBoard,
    Order,
    ParcelClass,
    Place,
    Problem,
    Profile,
    Promise,
    RankLimit,
    Size,
    Temperature,
    TimeWindow,
    TravelMatrix,
    UnderWay,
    Vehicle,
    WorkingTime,
    Zone,
)
from tests.optimizer.builders import a_place, a_problem, a_vehicle, an_order, under_way

NONSENSE: dict[str, tuple[Callable[[], object], str]] = {
    "a window that ends before it begins": (lambda: TimeWindow(earliest_s=2, latest_s=1), "latest_s"),
    "a moment before midnight": (lambda: TimeWindow(earliest_s=-1, latest_s=1), "earliest_s"),
    "a latitude beyond the pole": (lambda: Place(id="p", latitude=91, longitude=0), "latitude"),
    "a longitude that is no number": (
        lambda: Place(id="p", latitude=0, longitude=float("nan")),
        "longitude",
    ),
    "a place without a name": (lambda: Place(id="", latitude=0, longitude=0), "id"),
    "windows that overlap": (lambda: a_place(windows=[(0, 5), (5, 9)]), "windows"),
    "a kind of compartment twice": (
        lambda: a_place(compartments=[(Temperature.AMBIENT, Size.S, 1)] * 2),
        r"compartments\[1\]",
    ),
    "fewer than no compartments": (
        lambda: a_place(compartments=[(Temperature.AMBIENT, Size.S, -1)]),
        "count",
    ),
    "a negative capacity": (lambda: Load(weight_g=-1, volume_cm3=0), "weight_g"),
    "a negative range": (lambda: a_vehicle(range_m=-1), "range_m"),
    "half a cent": (lambda: a_vehicle(cost_per_km_cents=0.5), "cost_per_km_cents"),  # type: ignore[arg-type] # the point of the test
    "an infinite speed": (lambda: Profile(id="x", speed_m_s=float("inf")), "speed_m_s"),
    "a standstill": (lambda: Profile(id="x", speed_m_s=0), "speed_m_s"),
    "no parcel": (lambda: ParcelClass(size=Size.S, count=0), "count"),
    "parcels that no scale can weigh": (lambda: an_order(weight_g=10**7, count=101), "parcels"),
    "more on board than can be added up": (
        lambda: a_problem(
            vehicles=[a_vehicle(under_way=under_way(on_board=["one", "two"]))],
            orders=[an_order(name, weight_g=10**7, count=51) for name in ("one", "two")],
        ),
        r"vehicles\[0\].under_way.on_board",
    ),
    "more windows than a day has use for": (
        lambda: a_place(windows=[(2 * n, 2 * n) for n in range(51)]),
        "windows",
    ),
    "a deadline before readiness": (lambda: an_order(ready_s=10, deadline_s=9), "deadline_s"),
    "a negative penalty": (lambda: an_order(penalty_cents=-1), "unserved_penalty_cents"),
    "an order for nowhere": (lambda: an_order(to={}), "options"),
    "an order of nothing": (lambda: _order_without_parcels(), "parcels"),
    "a line for an area": (
        lambda: Zone(id="z", ring=((0.0, 0.0), (1.0, 1.0)), forbidden_profiles=()),
        "ring",
    ),
    "a table that is not square": (lambda: _matrix(np.zeros((2, 3), dtype=np.int64)), "distance_m"),
    "a negative distance": (lambda: _matrix(np.array([[-1]])), "distance_m"),
    "distances in fractions": (lambda: _matrix(np.array([[0.5]])), "distance_m"),
    "two places of one name": (lambda: a_problem(places=[a_place("shop"), a_place("shop")]), r"places\[2\]"),
    "two orders of one name": (lambda: a_problem(orders=[an_order(), an_order()]), r"orders\[1\]"),
    "a pickup nowhere": (lambda: a_problem(orders=[an_order(pickup="moon")]), r"orders\[0\].pickup_place"),
    "a delivery nowhere": (
        lambda: a_problem(orders=[an_order(to="moon")]),
        r"orders\[0\].options\[0\].place",
    ),
    "a vehicle from nowhere": (lambda: a_problem(vehicles=[a_vehicle(start="moon")]), r"vehicles\[0\]"),
    "a vehicle of no kind": (
        lambda: a_problem(vehicles=[a_vehicle(profile="mule")]),
        r"vehicles\[0\].profile",
    ),
    "a matrix of another size": (lambda: _problem_with_small_matrix(), r"matrices\[0\]"),
    "a ride limit below nothing": (
        lambda: a_problem(max_ride_s={Temperature.CHILLED: -1}),
        "max_ride_s.chilled",
    ),
    "a skill twice": (lambda: a_vehicle(skills=("stairs", "stairs")), r"skills\[1\]"),
    "no trip at all": (lambda: a_vehicle(max_trips=0), "max_trips"),
    "a turn backwards in time": (lambda: a_vehicle(turnaround_s=-1), "turnaround_s"),
    "work of less than nothing": (lambda: BreakRule(work_s=-1, break_s=0), "work_s"),
    "a break of half a second": (lambda: BreakRule(work_s=0, break_s=0.5), "break_s"),  # type: ignore[arg-type] # the point of the test
    "breaks that shrink": (lambda: _rules((10, 30), (20, 29)), "rules"),
    "rules out of order": (lambda: _rules((20, 30), (10, 40)), "rules"),
    "no stretch of work": (lambda: WorkingTime(max_unbroken_s=-1), "max_unbroken_s"),
    "no work": (lambda: WorkingTime(max_work_s=-1), "max_work_s"),
    "under way nowhere": (lambda: UnderWay(place="", free_s=0, started_s=0), "place"),
    "under way on the moon": (
        lambda: a_problem(vehicles=[a_vehicle(under_way=under_way("moon"))]),
        r"vehicles\[0\].under_way.place",
    ),
    "under way where no way leads home": (
        lambda: a_problem(vehicles=[a_vehicle(under_way=under_way())], no_way=[("shop", "hub")]),
        r"vehicles\[0\].under_way.place",
    ),
    "free before it began": (lambda: under_way(free_s=9, started_s=10), "free_s"),
    "driven backwards": (lambda: under_way(driven_m=-1), "driven_m"),
    "under way on no trip": (lambda: under_way(trips=0), "trips"),
    "a break longer than the run": (
        lambda: under_way(free_s=9, started_s=8, break_s=2, rested_s=9),
        "break_s",
    ),
    "a rest after the run": (lambda: under_way(free_s=9, started_s=8, rested_s=10), "rested_s"),
    "a break that never ended": (lambda: under_way(free_s=9, started_s=8, break_s=1), "rested_s"),
    "goods on board twice": (lambda: under_way(on_board=["a", "a"]), r"on_board\[1\]"),
    "goods on board without a name": (lambda: OnBoard(order="", loaded_s=0), "order"),
    "goods loaded before midnight": (lambda: OnBoard(order="a", loaded_s=-1), "loaded_s"),
    "goods that will be loaded": (
        lambda: under_way(free_s=9, started_s=8, on_board=["a"], loaded_s=10),
        r"on_board\[0\].loaded_s",
    ),
    "unknown goods on board": (
        lambda: a_problem(vehicles=[a_vehicle(under_way=under_way(on_board=["ghost"]))]),
        r"vehicles\[0\].under_way.on_board\[0\].order",
    ),
    "goods in two vehicles": (
        lambda: a_problem(vehicles=[_out_with_the_order("a"), _out_with_the_order("b")]),
        r"vehicles\[0\].under_way.on_board\[0\].order",
    ),
    "an order that needs a skill twice": (lambda: an_order(skills=("a", "a")), r"skills\[1\]"),
    "a pin twice": (lambda: an_order(vehicles=("van", "van")), r"vehicles\[1\]"),
    "a pin to no vehicle": (
        lambda: a_problem(orders=[an_order(vehicles=("mule",))]),
        r"orders\[0\].vehicles",
    ),
    "a promise before midnight": (lambda: Promise(latest_s=-1), "latest_s"),
    "a transfer nowhere": (
        lambda: a_problem(orders=[an_order(transfer_place="moon")]),
        r"orders\[0\].transfer_place",
    ),
    "a rank better than the best": (lambda: DeliveryOption(place="point", rank=-1), "rank"),
    "handing over in no time at all": (lambda: DeliveryOption(place="point", handling_s=-1), "handling_s"),
    "a limit to a rank better than the best": (lambda: RankLimit(rank=-1, most=0), "rank"),
    "fewer than no orders beyond a rank": (lambda: RankLimit(rank=0, most=-1), "most"),
    "two limits to one rank": (
        lambda: a_problem(rank_limits=[RankLimit(rank=0, most=most) for most in (1, 2)]),
        r"rank_limits\[1\]",
    ),
    "a reward for being late": (lambda: a_problem(late_cents_per_hour=-1), "late_cents_per_hour"),
    "a reward for changing vehicles": (lambda: a_problem(moved_cents=-1), "moved_cents"),
    "a forecast of less than nothing": (
        lambda: Compartments(temperature=Temperature.AMBIENT, size=Size.S, count=1, forecast=-1),
        "forecast",
    ),
    "a way longer than none": (lambda: _matrix(np.array([[NO_WAY + 1]])), "distance_m"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused_with_the_name_of_the_field(case: str) -> None:
    build, field = NONSENSE[case]

    with pytest.raises(ProblemError, match=field):
        build()


def test_an_order_that_claims_nothing_cannot_go_to_a_locker() -> None:
    order = Order(
        id="order",
        pickup_place="shop",
        ready_s=0,
        deadline_s=1,
        parcels=(ParcelClass(size=Size.S),),
        options=(DeliveryOption(place="point"),),
        unserved_penalty_cents=1,
    )

    with pytest.raises(ProblemError, match=r"orders\[0\].compartments"):
        a_problem(places=[a_place("shop"), a_place("point", compartments=[])], orders=[order])


def test_chilled_goods_take_their_own_room_but_weigh_like_all() -> None:
    order = an_order(temperature=Temperature.CHILLED, count=2, volume_cm3=5, weight_g=7)

    assert order.load == Load(weight_g=14, volume_cm3=0, chilled_cm3=10, frozen_cm3=0)


def _order_without_parcels() -> Order:
    return Order(
        id="order",
        pickup_place="shop",
        ready_s=0,
        deadline_s=1,
        parcels=(),
        options=(DeliveryOption(place="point"),),
        unserved_penalty_cents=1,
    )


def _rules(*rules: tuple[int, int]) -> WorkingTime:
    return WorkingTime(rules=tuple(BreakRule(work_s=work_s, break_s=break_s) for work_s, break_s in rules))


def _out_with_the_order(name: str) -> Vehicle:
    return a_vehicle(name, under_way=under_way(on_board=["order"]))


def _matrix(table: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> TravelMatrix:
    return TravelMatrix(profile="van", distance_m=table, duration_s=np.zeros((1, 1), dtype=np.int64))


def _problem_with_small_matrix() -> Problem:
    return Problem(
        places=(a_place("hub"), a_place("shop")),
        vehicles=(),
        orders=(),
        matrices=(_matrix(np.zeros((1, 1), dtype=np.int64)),),
    )


def test_a_forecast_beyond_the_count_leaves_nothing_rather_than_less() -> None:
    stock = Compartments(temperature=Temperature.AMBIENT, size=Size.S, count=1, forecast=3)

    assert stock.free == 0
