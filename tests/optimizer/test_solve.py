"""Plans: each constraint bites, costs add up, what just fits is carried."""

from dataclasses import replace

import pytest

from optimizer.generator import RegionSize, generate
from optimizer.problem import DeliveryOption, Load, Place, Problem, Size, Temperature, Zone
from optimizer.result import Status
from optimizer.solution import Reason
from tests.optimizer.builders import (
    EIGHT,
    SIX_PM,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    the_only_left_out,
    the_result,
)

HOUR = 3600
AMBIENT_S = (Temperature.AMBIENT, Size.S)


def test_an_order_is_loaded_at_its_shop_and_delivered_at_its_point() -> None:
    solution = solved(a_problem())

    (route,) = solution.routes
    assert [(stop.place, stop.pickups) for stop in route.stops] == [("shop", ("order",)), ("point", ())]
    assert [delivery.order for delivery in route.stops[1].deliveries] == ["order"]


def test_the_cost_terms_follow_from_distance_time_and_emissions() -> None:
    vehicle = a_vehicle(
        fixed_cost_cents=100, cost_per_km_cents=10, cost_per_hour_cents=360, co2e_g_per_km=100
    )

    solution = solved(a_problem(vehicles=[vehicle], co2e_price_cents_per_kg=50))

    # 10 km there, 10 km back, 100 s each: 2,000 s at 0.1 cents; 2 kg at 50 cents.
    cost = solution.cost
    assert (cost.fixed_cents, cost.distance_cents, cost.time_cents, cost.co2e_cents) == (100, 200, 200, 100)
    assert solution.cost_cents == 600
    assert solution.routes[0].co2e_g == 2_000


def test_the_run_starts_late_rather_than_wait() -> None:
    (route,) = solved(a_problem(orders=[an_order(ready_s=12 * HOUR)])).routes

    assert route.start_s == 12 * HOUR - 500
    assert route.wait_s == 0


def test_the_fixed_time_of_a_stop_is_paid_once_for_all_its_goods() -> None:
    places = [a_place("shop", 5, stop_duration_s=120), a_place("point", 10, stop_duration_s=60)]
    orders = [an_order("one", handling_s=10), an_order("two", handling_s=10)]

    (route,) = solved(a_problem(places=places, orders=orders)).routes

    assert route.duration_s == 2_000 + 120 + 60 + 4 * 10


def test_a_locker_and_a_counter_side_by_side_cost_one_stop() -> None:
    places = [
        a_place("shop", 5),
        a_place("locker", 10, stop_duration_s=60, compartments=[(*AMBIENT_S, 1)]),
        a_place("counter", 10, stop_duration_s=60),
    ]
    orders = [an_order(name, to={"locker": 0, "counter": 30}) for name in ("one", "two")]

    solution = solved(a_problem(places=places, orders=orders))

    assert solution.num_carried == 2
    assert solution.routes[0].duration_s == 2_000 + 60
    assert solution.cost.preference_cents == 30


def _expected(forecast: int) -> Place:
    """Return a locker with one compartment that others are expected to claim, or not."""
    (stock,) = a_place(compartments=[(*AMBIENT_S, 1)]).compartments or ()
    return replace(a_place("point", 10), compartments=(replace(stock, forecast=forecast),))


BITES: dict[str, tuple[Problem, Reason]] = {
    "weight": (
        a_problem(vehicles=[a_vehicle(capacity=Load(weight_g=999, volume_cm3=10**6))]),
        Reason.NO_VEHICLE_LARGE_ENOUGH,
    ),
    "ambient volume": (
        a_problem(vehicles=[a_vehicle(capacity=Load(weight_g=10**6, volume_cm3=9_999, chilled_cm3=10**6))]),
        Reason.NO_VEHICLE_LARGE_ENOUGH,
    ),
    "chilled volume": (
        a_problem(
            vehicles=[a_vehicle(capacity=Load(weight_g=10**6, volume_cm3=10**6))],
            orders=[an_order(temperature=Temperature.CHILLED)],
        ),
        Reason.NO_CHILLED_CAPACITY,
    ),
    "frozen volume": (
        a_problem(
            vehicles=[a_vehicle(capacity=Load(weight_g=10**6, volume_cm3=10**6, chilled_cm3=10**6))],
            orders=[an_order(temperature=Temperature.FROZEN)],
        ),
        Reason.NO_FROZEN_CAPACITY,
    ),
    "opening hours of the shop": (
        a_problem(places=[a_place("shop", 5, windows=[(0, EIGHT + 499)]), a_place("point", 10)]),
        Reason.UNREACHABLE_IN_TIME,
    ),
    "opening hours of the point": (
        a_problem(places=[a_place("shop", 5), a_place("point", 10, windows=[(0, EIGHT + 999)])]),
        Reason.UNREACHABLE_IN_TIME,
    ),
    "readiness": (
        a_problem(orders=[an_order(ready_s=SIX_PM - 1_499)]),
        Reason.UNREACHABLE_IN_TIME,
    ),
    "deadline": (a_problem(orders=[an_order(deadline_s=EIGHT + 999)]), Reason.UNREACHABLE_IN_TIME),
    "shift": (
        a_problem(vehicles=[a_vehicle(shift=(EIGHT, EIGHT + 1_999))]),
        Reason.UNREACHABLE_IN_TIME,
    ),
    "longest run": (a_problem(vehicles=[a_vehicle(max_duration_s=1_999)]), Reason.RUN_TOO_LONG),
    "range": (a_problem(vehicles=[a_vehicle(range_m=19_999)]), Reason.OUT_OF_RANGE),
    "time in the vehicle": (
        a_problem(orders=[an_order(temperature=Temperature.CHILLED)], max_ride_s={Temperature.CHILLED: 499}),
        Reason.TOO_LONG_IN_VEHICLE,
    ),
    "zone": (
        a_problem(
            zones=[
                Zone(
                    id="centre",
                    ring=((8.9, 52.08), (9.1, 52.08), (9.1, 52.1), (8.9, 52.1)),
                    forbidden_profiles=("van",),
                )
            ]
        ),
        Reason.ZONE_FORBIDDEN,
    ),
    "compartment size": (
        a_problem(
            places=[a_place("shop", 5), a_place("point", 10, compartments=[(*AMBIENT_S, 9)])],
            orders=[an_order(size=Size.M)],
        ),
        Reason.NO_COMPARTMENT_LARGE_ENOUGH,
    ),
    "compartment temperature": (
        a_problem(
            places=[a_place("shop", 5), a_place("point", 10, compartments=[(*AMBIENT_S, 9)])],
            orders=[an_order(temperature=Temperature.CHILLED)],
        ),
        Reason.NO_COMPARTMENT_LARGE_ENOUGH,
    ),
    "a locker without compartments": (
        a_problem(places=[a_place("shop", 5), a_place("point", 10, compartments=[])]),
        Reason.NO_COMPARTMENT_LARGE_ENOUGH,
    ),
    "volume of a counter": (
        a_problem(places=[a_place("shop", 5), a_place("point", 10, volume_limit_cm3=9_999)]),
        Reason.NO_COMPARTMENT_LARGE_ENOUGH,
    ),
    "no vehicle": (a_problem(vehicles=[]), Reason.NO_VEHICLE),
    "cost": (a_problem(orders=[an_order(penalty_cents=499)]), Reason.NOT_WORTH_THE_DETOUR),
    "skill": (a_problem(orders=[an_order(skills=("stairs",))]), Reason.NO_SUITABLE_VEHICLE),
    "pin": (
        a_problem(
            vehicles=[a_vehicle(), a_vehicle("weak", capacity=Load(weight_g=1, volume_cm3=1))],
            orders=[an_order(vehicles=("weak",))],
        ),
        Reason.NO_VEHICLE_LARGE_ENOUGH,
    ),
    "skill of the vehicle it is pinned to": (
        a_problem(
            vehicles=[a_vehicle(skills=("stairs",)), a_vehicle("other")],
            orders=[an_order(skills=("stairs",), vehicles=("other",))],
        ),
        Reason.NO_SUITABLE_VEHICLE,
    ),
    "transfer": (a_problem(orders=[an_order(transfer_place="hub")]), Reason.NEEDS_TRANSFER),
    "way": (a_problem(no_way=[("shop", "point")]), Reason.UNREACHABLE),
    "handing over": (
        a_problem(orders=[an_order(option_handling_s=1)], vehicles=[a_vehicle(max_duration_s=2_000)]),
        Reason.RUN_TOO_LONG,
    ),
    "forecast": (a_problem(places=[a_place("shop", 5), _expected(1)]), Reason.NO_COMPARTMENT_LARGE_ENOUGH),
}

SUFFICES: dict[str, Problem] = {
    "weight": a_problem(vehicles=[a_vehicle(capacity=Load(weight_g=1_000, volume_cm3=10**6))]),
    "ambient volume": a_problem(vehicles=[a_vehicle(capacity=Load(weight_g=10**6, volume_cm3=10_000))]),
    "opening hours of the shop": a_problem(
        places=[a_place("shop", 5, windows=[(0, EIGHT + 500)]), a_place("point", 10)]
    ),
    "opening hours of the point": a_problem(
        places=[a_place("shop", 5), a_place("point", 10, windows=[(0, EIGHT + 1_000)])]
    ),
    "readiness": a_problem(orders=[an_order(ready_s=SIX_PM - 1_500)]),
    "deadline": a_problem(orders=[an_order(deadline_s=EIGHT + 1_000)]),
    "shift": a_problem(vehicles=[a_vehicle(shift=(EIGHT, EIGHT + 2_000))]),
    "longest run": a_problem(vehicles=[a_vehicle(max_duration_s=2_000)]),
    "range": a_problem(vehicles=[a_vehicle(range_m=20_000)]),
    "time in the vehicle": a_problem(
        orders=[an_order(temperature=Temperature.CHILLED)], max_ride_s={Temperature.CHILLED: 500}
    ),
    "a larger compartment": a_problem(
        places=[
            a_place("shop", 5),
            a_place("point", 10, compartments=[(Temperature.AMBIENT, Size.XL, 1)]),
        ]
    ),
    "volume of a counter": a_problem(
        places=[a_place("shop", 5), a_place("point", 10, volume_limit_cm3=10_000)]
    ),
    "cost": a_problem(orders=[an_order(penalty_cents=501)]),
    "skill": a_problem(orders=[an_order(skills=("stairs",))], vehicles=[a_vehicle(skills=("stairs",))]),
    "pin": a_problem(orders=[an_order(vehicles=("van",))]),
    "way": a_problem(no_way=[("point", "shop"), ("hub", "point")]),
    "handing over": a_problem(
        orders=[an_order(option_handling_s=1)], vehicles=[a_vehicle(max_duration_s=2_001)]
    ),
    "forecast": a_problem(places=[a_place("shop", 5), _expected(0)]),
}


@pytest.mark.parametrize("constraint", BITES)
def test_a_constraint_that_cannot_be_kept_leaves_the_order_out_and_says_why(constraint: str) -> None:
    problem, reason = BITES[constraint]

    solution = solved(problem)

    assert the_only_left_out(solution).reason == reason
    assert solution.routes == ()


@pytest.mark.parametrize("constraint", SUFFICES)
def test_what_just_fits_is_carried(constraint: str) -> None:
    assert solved(SUFFICES[constraint]).num_carried == 1


def test_compartments_are_shared_by_all_runs() -> None:
    places = [a_place("shop", 5), a_place("point", 10, compartments=[(*AMBIENT_S, 1)])]
    orders = [an_order("cheap", penalty_cents=5_000), an_order("dear", penalty_cents=6_000)]

    solution = solved(a_problem(places=places, orders=orders, vehicles=[a_vehicle("a"), a_vehicle("b")]))

    left_out = the_only_left_out(solution)
    assert (left_out.order, left_out.reason) == ("cheap", Reason.LOCKER_FULL)


def test_a_full_locker_sends_goods_to_the_next_point() -> None:
    places = [
        a_place("shop", 5),
        a_place("point", 10, compartments=[(*AMBIENT_S, 1)]),
        a_place("other", 12, compartments=[(*AMBIENT_S, 1)]),
    ]
    orders = [an_order(name, to={"point": 0, "other": 50}) for name in ("one", "two")]

    solution = solved(a_problem(places=places, orders=orders))

    assert solution.num_carried == 2
    assert solution.cost.preference_cents == 50


def test_a_vehicle_that_may_enter_the_zone_serves_it() -> None:
    square = ((8.9, 52.08), (9.1, 52.08), (9.1, 52.1), (8.9, 52.1))
    zone = Zone(id="centre", ring=square, forbidden_profiles=("van",))
    bike = a_vehicle("bike", profile="bike", fixed_cost_cents=5_000)

    solution = solved(a_problem(zones=[zone], vehicles=[a_vehicle(), bike]))

    assert [route.vehicle for route in solution.routes] == ["bike"]


def test_the_vehicle_that_has_the_skill_or_the_pin_goes_though_it_costs_more() -> None:
    vehicles = [a_vehicle(), a_vehicle("dear", fixed_cost_cents=5_000, skills=("stairs",))]

    for order in (an_order(skills=("stairs",)), an_order(vehicles=("dear",))):
        solution = solved(a_problem(vehicles=vehicles, orders=[order]))
        assert [route.vehicle for route in solution.routes] == ["dear"]


def test_goods_go_where_a_way_leads() -> None:
    places = [a_place("shop", 5), a_place("point", 10), a_place("other", 30)]
    order = an_order(to={"point": 0, "other": 50})

    (route,) = solved(a_problem(places=places, orders=[order], no_way=[("shop", "point")])).routes

    assert [stop.place for stop in route.stops] == ["shop", "other"]


def test_goods_go_where_handing_over_takes_less() -> None:
    options = (
        DeliveryOption(place="point", handling_s=3_000),
        DeliveryOption(place="other", preference_penalty_cents=99),
    )
    order = replace(an_order(), options=options)
    places = [a_place("shop", 5), a_place("point", 10), a_place("other", 10)]

    solution = solved(a_problem(places=places, orders=[order]))

    # 3,000 s at 0.1 cents are more than 99 cents.
    assert solution.cost.preference_cents == 99


def test_an_idle_vehicle_whose_ends_no_way_joins_may_be_used() -> None:
    places = [a_place("depot", 20), a_place("shop", 5), a_place("point", 10)]
    problem = a_problem(places=places, vehicles=[a_vehicle(end="depot")], no_way=[("hub", "depot")])

    assert solved(problem).num_carried == 1


def test_goods_that_exceed_one_run_are_carried_by_two() -> None:
    vehicles = [a_vehicle(name, capacity=Load(weight_g=1_000, volume_cm3=10**6)) for name in ("a", "b")]

    # 1,000 s after the start the first round is over, and there is no time for a second.
    orders = [an_order(name, deadline_s=EIGHT + 1_000) for name in ("one", "two")]

    solution = solved(a_problem(vehicles=vehicles, orders=orders))

    assert {route.vehicle for route in solution.routes} == {"a", "b"}


def test_a_shop_that_closes_at_noon_is_reached_in_its_second_window() -> None:
    windows = [(9 * HOUR, 12 * HOUR), (14 * HOUR, 17 * HOUR)]
    places = [a_place("shop", 5, windows=windows), a_place("point", 10)]

    (route,) = solved(a_problem(places=places, orders=[an_order(ready_s=13 * HOUR)])).routes

    assert route.stops[0].start_s == 14 * HOUR
    assert route.wait_s == 0


def test_the_shop_window_that_leaves_time_for_the_delivery_is_used() -> None:
    # The second window of the shop is the longer one, but opens after the point has closed.
    places = [
        a_place("shop", 5, windows=[(EIGHT, 10 * HOUR), (14 * HOUR, 18 * HOUR)]),
        a_place("point", 10, windows=[(9 * HOUR, 12 * HOUR)]),
    ]

    (route,) = solved(a_problem(places=places)).routes

    assert route.stops[0].start_s <= 10 * HOUR


def test_goods_for_the_shop_they_wait_at_are_loaded_and_handed_over() -> None:
    assert solved(a_problem(orders=[an_order(to="shop")])).num_carried == 1


def test_an_order_of_mixed_temperatures_is_carried_whole_or_not_at_all() -> None:
    problem = generate(0, RegionSize(num_orders=30, num_shops=5, num_supply_points=4))

    solution = solved(problem)

    delivered = [d.order for route in solution.routes for stop in route.stops for d in stop.deliveries]
    assert len(delivered) == len(set(delivered))


def test_no_orders_cost_nothing_and_that_is_optimal() -> None:
    result = the_result(a_problem(orders=[]))

    assert result.status == Status.OPTIMAL
    assert result.solution is not None
    assert (result.solution.routes, result.solution.left_out) == ((), ())


def test_without_a_bound_the_result_says_so() -> None:
    result = the_result(a_problem())

    assert (result.bound, result.gap, result.bound_reason) == (None, None, "no bound computed")


def test_a_plan_that_fails_the_check_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.solve.violations", lambda problem, solution: ["it is wrong"])

    result = the_result(a_problem())

    assert (result.status, result.solution, result.violations) == (Status.UNKNOWN, None, ("it is wrong",))
