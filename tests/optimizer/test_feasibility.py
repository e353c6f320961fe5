"""The independent check notices every corruption of a good plan."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from optimizer.feasibility import violations
from optimizer.problem import (
    BreakRule,
    CompartmentDemand,
    Load,
    Problem,
    Promise,
    RankLimit,
    Size,
    Temperature,
    WorkingTime,
    Zone,
)
from optimizer.solution import Delivery, LeftOut, Reason, Route, Solution, Stop
from tests.optimizer.builders import (
    EIGHT,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    under_way,
)

AMBIENT = Temperature.AMBIENT


def a_day() -> Problem:
    """Two orders of a shop for a locker with one small and one medium compartment, and a counter."""
    locker = a_place(
        "point", 10, stop_duration_s=60, compartments=[(AMBIENT, Size.S, 1), (AMBIENT, Size.M, 1)]
    )
    return a_problem(
        places=[a_place("shop", 5, stop_duration_s=60), locker, a_place("counter", 12)],
        orders=[an_order(name, to={"point": 0, "counter": 10}, handling_s=20) for name in ("one", "two")],
        vehicles=[a_vehicle(co2e_g_per_km=100), a_vehicle("spare", fixed_cost_cents=9_000)],
        co2e_price_cents_per_kg=20,
    )


def with_route(solution: Solution, **changes: Any) -> Solution:
    return replace(solution, routes=(replace(solution.routes[0], **changes), *solution.routes[1:]))


def with_stop(solution: Solution, position: int, **changes: Any) -> Solution:
    stops = list(solution.routes[0].stops)
    stops[position] = replace(stops[position], **changes)
    return with_route(solution, stops=tuple(stops))


def the_route(solution: Solution) -> Route:
    return solution.routes[0]


def the_delivery(solution: Solution) -> Stop:
    return the_route(solution).stops[1]


def _the_second_by_option(solution: Solution, option: int) -> tuple[Delivery, ...]:
    return (the_delivery(solution).deliveries[0], Delivery(order="two", option=option))


CORRUPTIONS: dict[str, tuple[Callable[[Solution], Solution], str]] = {
    "an order vanishes": (
        lambda s: with_stop(
            with_stop(s, 0, pickups=("one",)), 1, deliveries=(Delivery(order="one", option=0),)
        ),
        "two is accounted for 0 times",
    ),
    "an order is carried and left out": (
        lambda s: replace(
            s,
            left_out=(
                LeftOut(
                    order="one",
                    reason=Reason.LOCKER_FULL,
                    sentence="",
                    unserved_penalty_cents=100_000,
                ),
            ),
        ),
        "one is accounted for 2 times",
    ),
    "an order is never loaded": (lambda s: with_stop(s, 0, pickups=("one",)), "two is delivered but not on"),
    "an order stays on board": (
        lambda s: with_stop(s, 1, deliveries=(Delivery(order="one", option=0),)),
        "two stays on board",
    ),
    "an order goes to another place": (
        lambda s: with_stop(s, 1, deliveries=_the_second_by_option(s, 1)),
        "two is not delivered where its option says",
    ),
    "an order has no such option": (
        lambda s: with_stop(s, 1, deliveries=_the_second_by_option(s, 9)),
        "two has no option 9",
    ),
    "goods are loaded elsewhere": (lambda s: with_stop(s, 0, place="counter"), "does not wait at counter"),
    "a vehicle has two routes": (lambda s: replace(s, routes=s.routes * 2), "van has 2 routes"),
    "a vehicle is unknown": (lambda s: with_route(s, vehicle="mule"), "mule is unknown"),
    "a place is unknown": (lambda s: with_stop(s, 0, place="moon"), "moon is unknown"),
    "an order is unknown": (lambda s: with_stop(s, 0, pickups=("one", "two", "six")), "six is unknown"),
    "the run starts earlier": (lambda s: with_route(s, start_s=EIGHT - 1), "starts before the shift"),
    "the run ends later": (lambda s: with_route(s, end_s=the_route(s).end_s + 1), "ends at a wrong moment"),
    "the vehicle flies": (lambda s: with_stop(s, 1, arrival_s=the_delivery(s).arrival_s - 1), "arrives at"),
    "work starts before arrival": (
        lambda s: with_stop(s, 1, start_s=the_delivery(s).start_s - 1),
        "before it arrives",
    ),
    "work takes no time": (
        lambda s: with_stop(s, 1, departure_s=the_delivery(s).start_s),
        "leaves point at a wrong moment",
    ),
    "the wait is hidden": (lambda s: with_route(s, wait_s=1), "waits for another time"),
    "the distance is shorter": (lambda s: with_route(s, distance_m=1), "is 20000 m long, not 1"),
    "the load is lighter": (
        lambda s: with_route(s, max_load=Load(weight_g=1, volume_cm3=1)),
        "another load than it says",
    ),
    "the fixed cost is forgotten": (
        lambda s: with_route(s, cost=replace(the_route(s).cost, fixed_cents=0)),
        "fixed_cents is 0, not 100.0",
    ),
    "the time is cheaper": (
        lambda s: with_route(s, cost=replace(the_route(s).cost, time_cents=1)),
        "time_cents is 1",
    ),
    "the distance is cheaper": (
        lambda s: with_route(s, cost=replace(the_route(s).cost, distance_cents=1)),
        "distance_cents is 1",
    ),
    "the emissions are cheaper": (
        lambda s: with_route(s, cost=replace(the_route(s).cost, co2e_cents=1)),
        "co2e_cents is 1",
    ),
    "the emissions are lower": (lambda s: with_route(s, co2e_g=1), "emits 2000 g"),
    "likes are forgotten": (
        lambda s: with_route(s, cost=replace(the_route(s).cost, preference_cents=7)),
        "preference_cents is 7",
    ),
    "a route does nothing": (lambda s: with_route(s, stops=()), "has no stops"),
}


def test_a_good_plan_breaks_nothing() -> None:
    problem = a_day()

    assert violations(problem, solved(problem)) == []


@pytest.mark.parametrize("case", CORRUPTIONS)
def test_a_corrupted_plan_is_noticed(case: str) -> None:
    corrupt, sentence = CORRUPTIONS[case]
    problem = a_day()

    found = violations(problem, corrupt(solved(problem)))

    assert any(sentence in violation for violation in found), found


def _tightened(**changes: Any) -> Problem:
    return replace(a_day(), **changes)


def _with_vehicle(**changes: Any) -> Problem:
    day = a_day()
    return replace(day, vehicles=(replace(day.vehicles[0], **changes), day.vehicles[1]))


def _with_orders(**changes: Any) -> Problem:
    day = a_day()
    return replace(day, orders=tuple(replace(order, **changes) for order in day.orders))


def _with_point(**changes: Any) -> Problem:
    day = a_day()
    changed = [replace(p, **changes) if p.id == "point" else p for p in day.places]
    return replace(day, places=tuple(changed))


def _with_spare(**changes: Any) -> Problem:
    day = a_day()
    return replace(day, vehicles=(day.vehicles[0], replace(day.vehicles[1], **changes)))


def _with_options(**changes: Any) -> Problem:
    options = tuple(replace(option, **changes) for option in a_day().orders[0].options)
    return _with_orders(options=options)


def _promised(**promise: Any) -> Problem:
    return _with_orders(promise=Promise(**promise))


def _working(**rules: Any) -> Problem:
    return _with_vehicle(working_time=WorkingTime(**rules))


def _working_since(started_s: int, **rules: Any) -> Problem:
    way = under_way("hub", EIGHT, started_s=started_s)
    return _with_vehicle(working_time=WorkingTime(**rules), under_way=way)


def _with_forecast(forecast: int) -> Problem:
    stock = a_day().place_by_id["point"].compartments or ()
    return _with_point(compartments=tuple(replace(kind, forecast=forecast) for kind in stock))


def _without_way(one: str, other: str) -> Problem:
    places = a_day().places
    return replace(a_day(), matrices=a_problem(places=places, no_way=[(one, other)]).matrices)


CENTRE = Zone(
    id="z", ring=((8.9, 52.08), (9.1, 52.08), (9.1, 52.1), (8.9, 52.1)), forbidden_profiles=("van",)
)
SMALL = a_place(compartments=[(AMBIENT, Size.S, 1)]).compartments
#: Nobody can reach the large doors from a wheelchair.
HIGH = a_place(compartments=[(AMBIENT, Size.S, 1, True), (AMBIENT, Size.XL, 9)]).compartments
LOW = (CompartmentDemand(temperature=AMBIENT, size=Size.S, low=True),)
CLOSED = a_place(windows=[(0, EIGHT)]).windows

#: The plan of the day, checked against a day with one rule more.
TIGHTENED: dict[str, tuple[Callable[[], Problem], str]] = {
    "zone": (lambda: _tightened(zones=(CENTRE,)), "point is closed to van"),
    "range": (lambda: _with_vehicle(range_m=19_999), "on one charge"),
    "longest run": (lambda: _with_vehicle(max_duration_s=2_000), "lasts too long"),
    "capacity": (lambda: _with_vehicle(capacity=Load(weight_g=1_999, volume_cm3=10**6)), "1999 weight_g"),
    "volume": (lambda: _with_vehicle(capacity=Load(weight_g=10**6, volume_cm3=1)), "1 volume_cm3"),
    "readiness": (lambda: _with_orders(ready_s=EIGHT + 5_000), "is not ready"),
    "deadline": (lambda: _with_orders(ready_s=0, deadline_s=1), "is late"),
    "opening hours": (lambda: _with_point(windows=CLOSED), "point is closed at"),
    "compartments": (lambda: _with_point(compartments=SMALL), "no ambient compartment left for size S"),
    "low doors": (
        lambda: replace(_with_point(compartments=HIGH), orders=_with_orders(compartments=LOW).orders),
        "no low ambient compartment left for size S",
    ),
    "counter volume": (lambda: _with_point(volume_limit_cm3=19_999), "holds 20000"),
    "ride": (lambda: _tightened(max_ride_s={AMBIENT: 1}), "s in the vehicle"),
    "skill": (lambda: _with_orders(skills=("stairs",)), "order one asks for stairs"),
    "pin": (lambda: _with_orders(vehicles=("spare",)), "order one may not be carried by it"),
    "transfer": (lambda: _with_orders(transfer_place="counter"), "order one changes vehicles"),
    "way": (lambda: _without_way("shop", "point"), "goes from shop to point, where there is no way"),
    "way home": (lambda: _without_way("point", "hub"), "goes from point to hub, where there is no way"),
    "rank": (
        lambda: replace(_with_options(rank=1), rank_limits=(RankLimit(rank=0, most=1),)),
        "2 orders go beyond rank 0, of at most 1",
    ),
    "forecast": (lambda: _with_forecast(1), "no ambient compartment left for size S"),
    "handing over": (lambda: _with_options(handling_s=5), "leaves point at a wrong moment"),
    "promised moment": (
        lambda: replace(_promised(latest_s=EIGHT), late_cents_per_hour=3_600),
        "lateness_cents is 0, not",
    ),
    "promised vehicle": (
        lambda: replace(_promised(vehicle="spare"), moved_cents=7),
        "stability_cents is 0, not 14.0",
    ),
    "longest work": (lambda: _working(max_work_s=2_000), "asks for 2200 s of work"),
    "breaks": (
        lambda: _working(rules=(BreakRule(work_s=2_000, break_s=900),)),
        "has breaks of 0 s in 2200 s of work",
    ),
    "unbroken work": (lambda: _working(max_unbroken_s=2_000), "2200 s of work without a break"),
    "trips": (lambda: _with_vehicle(max_trips=1, under_way=under_way(trips=2)), "to trip 2, not 1"),
    "free later": (
        lambda: _with_vehicle(under_way=under_way("hub", EIGHT + 1)),
        "does not go on when the vehicle is free",
    ),
    "under way elsewhere": (
        lambda: _with_vehicle(under_way=under_way("counter", EIGHT)),
        "arrives at shop at",
    ),
    "under way without a route": (
        lambda: _with_spare(under_way=under_way("hub")),
        "vehicle spare is under way, but has no route",
    ),
    "on board of another": (
        lambda: _with_spare(under_way=under_way("hub", on_board=["one"])),
        "order one is on board of spare, not of van",
    ),
    "on board already": (
        lambda: _with_vehicle(under_way=under_way("hub", EIGHT, on_board=["one"])),
        "order one is picked up twice",
    ),
    "run begun long ago": (
        lambda: _with_vehicle(max_duration_s=2_300, under_way=under_way("hub", EIGHT, started_s=EIGHT - 101)),
        "lasts too long",
    ),
    "work begun long ago": (
        lambda: _working_since(EIGHT - 101, max_work_s=2_300),
        "asks for 2301 s of work",
    ),
    "unbroken work begun long ago": (
        lambda: _working_since(EIGHT - 101, max_unbroken_s=2_300),
        "2301 s of work without a break",
    ),
    "driven before": (
        lambda: _with_vehicle(range_m=20_000, under_way=under_way("hub", EIGHT, driven_m=1)),
        "drives 20001 m on one charge of 20000",
    ),
    "fixed cost of a run begun": (
        lambda: _with_vehicle(under_way=under_way("hub", EIGHT)),
        "fixed_cents is 100, not 0.0",
    ),
}


@pytest.mark.parametrize("rule", TIGHTENED)
def test_each_rule_is_checked(rule: str) -> None:
    tightened, sentence = TIGHTENED[rule]

    found = violations(tightened(), solved(a_day()))

    assert any(sentence in violation for violation in found), found


def test_a_large_compartment_takes_small_goods_but_not_the_other_way_round() -> None:
    day = a_day()
    large = a_place(compartments=[(AMBIENT, Size.XL, 2)]).compartments
    solution = solved(day)

    assert violations(_with_point(compartments=large), solution) == []
    claims = tuple(replace(claim, size=Size.L) for claim in day.orders[0].compartments)
    found = violations(_with_orders(compartments=claims), solution)
    assert any("left for size L" in violation for violation in found)


def a_day_of_trips() -> Problem:
    """Two orders for a bike that carries one of them, and whose driver rests on the way."""
    rules = WorkingTime(rules=(BreakRule(work_s=4_000, break_s=900),))
    bike = a_vehicle(
        capacity=Load(weight_g=1_000, volume_cm3=10**6),
        range_m=25_000,
        max_trips=2,
        turnaround_s=600,
        working_time=rules,
    )
    return a_problem(orders=[an_order("one"), an_order("two")], vehicles=[bike])


def the_rest(solution: Solution) -> int:
    """Return the position of the stop at which the driver rests."""
    return next(position for position, stop in enumerate(the_route(solution).stops) if stop.break_s)


#: Shop, point, hub, shop, point: the vehicle turns at the third stop.
TRIPS: dict[str, tuple[Callable[[Solution], Solution], str]] = {
    "a stop belongs to another trip": (lambda s: with_stop(s, 3, trip=1), "belongs to trip 2, not 1"),
    "the turn is left out": (
        lambda s: with_route(s, stops=(*the_route(s).stops[:2], *the_route(s).stops[3:])),
        "m on one charge of 25000",
    ),
    "the vehicle turns elsewhere": (lambda s: with_stop(s, 2, place="shop"), "turns at shop"),
    "the charge takes no time": (
        lambda s: with_stop(s, 2, departure_s=the_route(s).stops[2].start_s),
        "leaves hub at a wrong moment",
    ),
    "the break is short": (lambda s: with_stop(s, the_rest(s), break_s=899), "too short to be one"),
    "nobody rests": (lambda s: with_stop(s, the_rest(s), break_s=0), "has breaks of 0 s"),
    "a break of less than nothing": (
        lambda s: with_stop(s, the_rest(s), break_s=-1_000),
        "before it arrives and rests",
    ),
    "work begins during the break": (
        lambda s: with_stop(s, the_rest(s), break_s=10_000),
        "before it arrives and rests",
    ),
}


@pytest.mark.parametrize("case", TRIPS)
def test_a_corrupted_trip_or_break_is_noticed(case: str) -> None:
    corrupt, sentence = TRIPS[case]
    problem = a_day_of_trips()
    solution = solved(problem)
    assert violations(problem, solution) == []

    found = violations(problem, corrupt(solution))

    assert any(sentence in violation for violation in found), found


def test_a_trip_too_many_is_noticed() -> None:
    problem = a_day_of_trips()
    (bike,) = problem.vehicles
    once = replace(problem, vehicles=(replace(bike, max_trips=1),))

    assert "route of van: makes 2 trips of at most 1" in violations(once, solved(problem))


def test_goods_that_ride_since_before_the_plan_are_noticed() -> None:
    vehicles = [a_vehicle(under_way=under_way(on_board=["order"], loaded_s=moment)) for moment in (EIGHT, 1)]
    fresh, stale = (a_problem(vehicles=[one], max_ride_s={AMBIENT: 1_000}) for one in vehicles)

    assert violations(fresh, solved(fresh)) == []
    assert any("s in the vehicle" in sentence for sentence in violations(stale, solved(fresh)))
