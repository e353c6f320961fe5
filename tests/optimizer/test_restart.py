"""Plans can be taken up again: routes lead back to legs, and a search may begin with a plan."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from optimizer.day import Day
from optimizer.feasibility import violations
from optimizer.generator import RegionSize, generate
from optimizer.master import Column
from optimizer.problem import Load, Order, Problem, Size, Temperature
from optimizer.restart import begin
from optimizer.routes import legs_of, routes_of
from optimizer.schedule import Timetable, evaluate
from optimizer.search import Search
from optimizer.solution import Route, Solution
from optimizer.solve import solve
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import (
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    some_compartments,
    the_result,
    under_way,
)
from tests.optimizer.strategies import problems


def there_and_back(problem: Problem, route: Route) -> Route:
    """Return a route after the way to legs and back."""
    day = Day(problem)
    timetable = evaluate(day.classes[day.class_of[route.vehicle]], legs_of(day, route))
    assert isinstance(timetable, Timetable)
    shipments = {id(leg.shipment): leg.shipment for visit in timetable.visits for leg in visit.legs}
    orders = [pair for s in shipments.values() for pair in zip(s.orders, s.options, strict=True)]
    vehicle = day.classes[day.class_of[route.vehicle]]
    (again,) = routes_of(day, [Column(vehicle, timetable, tuple(orders), taken={})])  # type: ignore[arg-type]
    return replace(again, vehicle=route.vehicle)


def in_order(route: Route) -> Route:
    """Return a route whose stops name their orders in one order, for which one comes first says nothing."""
    stops = (
        replace(
            stop,
            pickups=tuple(sorted(stop.pickups)),
            deliveries=tuple(sorted(stop.deliveries, key=lambda delivery: delivery.order)),
        )
        for stop in route.stops
    )
    return replace(route, stops=tuple(stops))


def begun_with(problem: Problem, start: Solution, **more: object) -> Solution:
    """Return what remains of a plan where nothing is searched."""
    result = solve(problem, time_limit_s=60, iterations=0, start=start, **more)  # type: ignore[arg-type]
    assert result.solution is not None
    return result.solution


def begun(problem: Problem, start: Solution, routes: Sequence[Route] = ()) -> Search:
    """Begin a search with a plan, and do nothing else."""
    search = Search(Day(problem), should_stop=lambda: False, must_stop=lambda: False)
    begin(search, start, routes)
    return search


def carried(search: Search) -> dict[str, str]:
    """Return the profile of the vehicle by order."""
    orders = search.day.problem.orders
    return {
        orders[order].id: search.day.problem.vehicles[column.vehicle.vehicles[0]].profile
        for column in search.incumbent
        for order, _ in column.orders
    }


def on_two_vehicles(*orders: Order, bike: Sequence[str] = (), **more: Any) -> Problem:
    """Return a day of a van and a bike, of which the bike carries only some orders and the van the others."""
    bound = [replace(order, vehicles=("bike" if order.id in bike else "van",)) for order in orders]
    vehicles = [a_vehicle("van"), a_vehicle("bike", profile="bike")]
    return a_problem(orders=bound, vehicles=vehicles, **more)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_a_route_leads_back_to_the_legs_that_made_it(problem: Problem) -> None:
    for route in solved(problem, iterations=5).routes:
        assert in_order(there_and_back(problem, route)) == in_order(route)


def test_goods_on_board_lead_back_to_their_delivery() -> None:
    problem = a_problem(vehicles=[a_vehicle(under_way=under_way("shop", on_board=["order"]))])

    (route,) = solved(problem).routes

    assert [stop.place for stop in route.stops] == ["point"]
    assert there_and_back(problem, route) == route


def test_a_stop_without_goods_leads_back_to_a_turn() -> None:
    small = Load(weight_g=1_000, volume_cm3=10**6)
    bike = a_vehicle("bike", capacity=small, range_m=25_000, max_trips=2, turnaround_s=600)
    problem = a_problem(orders=[an_order("one"), an_order("two")], vehicles=[bike])

    (route,) = solved(problem).routes

    assert [stop.trip for stop in route.stops] == [1, 1, 1, 2, 2]
    assert there_and_back(problem, route) == route


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_a_plan_to_begin_with_only_gets_cheaper(problem: Problem) -> None:
    plan = solved(problem, iterations=10)

    again = begun_with(problem, plan)

    assert again.cost_cents <= plan.cost_cents
    assert violations(problem, again) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_what_no_longer_fits_into_a_plan_is_taken_out_of_it(problem: Problem) -> None:
    plan = solved(problem, iterations=5)
    smaller = [
        replace(vehicle, capacity=replace(vehicle.capacity, weight_g=2_500))
        for vehicle in problem.vehicles
        if not vehicle.on_board
    ]
    kept = {goods.order for vehicle in problem.vehicles for goods in vehicle.on_board}
    changed = replace(
        problem,
        vehicles=tuple(smaller),
        orders=tuple(replace(o, vehicles=(), promise=None) for o in problem.orders[::2] if o.id not in kept),
    )

    assert violations(changed, begun_with(changed, plan)) == []


def test_an_order_that_two_routes_deliver_stays_with_the_first() -> None:
    one, two, three = (an_order(name) for name in ("one", "two", "three"))
    first = solved(on_two_vehicles(one, two)).routes
    second = solved(on_two_vehicles(two, three, bike=["two", "three"])).routes
    day = on_two_vehicles(one, two, three)
    day = replace(day, orders=tuple(replace(order, vehicles=()) for order in day.orders))

    search = begun(day, Solution(routes=(*first, *second), left_out=()))

    assert carried(search) == {"one": "van", "two": "van", "three": "bike"}


def test_orders_that_are_gone_do_not_take_the_others_along() -> None:
    one, two = an_order("one"), an_order("two")
    plan = solved(on_two_vehicles(one, two, bike=["two"]))

    assert carried(begun(on_two_vehicles(two, bike=["two"]), plan)) == {"two": "bike"}


def test_a_plan_stands_although_it_says_nothing_of_a_vehicle_that_is_out() -> None:
    plan = solved(a_problem())
    out = a_vehicle("bike", profile="bike", under_way=under_way())

    search = begun(a_problem(vehicles=[a_vehicle(), out]), plan)

    assert carried(search) == {"order": "van"}
    assert len(search.incumbent) == 2


def test_what_overfills_a_locker_waits_and_the_rest_of_the_plan_stands() -> None:
    places = [a_place("shop", 5), a_place("point", 10), a_place("counter", 12)]
    orders = [an_order("one"), an_order("two"), an_order("three", to="counter")]
    plan = solved(on_two_vehicles(*orders, bike=["three"], places=places))
    kind = orders[0].compartments[0]
    full = replace(places[1], compartments=(some_compartments(kind.temperature, kind.size, 1),))

    search = begun(on_two_vehicles(*orders, bike=["three"], places=[places[0], full, places[2]]), plan)

    assert carried(search) == {"two": "van", "three": "bike"}


def test_of_routes_seen_elsewhere_only_those_that_fit_as_they_are_are_known() -> None:
    orders = [an_order("one"), an_order("two")]
    routes = solved(on_two_vehicles(*orders, bike=["two"])).routes
    light = replace(orders[0], parcels=(replace(orders[0].parcels[0], weight_g=10**7),))
    day = on_two_vehicles(light, orders[1], bike=["two"])

    search = begun(day, Solution(routes=(), left_out=()), [*routes, replace(routes[0], stops=())])

    assert carried(search) == {}
    assert [column.orders for column in search.pool] == [((1, 0),)]


def test_of_a_plan_that_overfills_a_locker_some_orders_wait() -> None:
    one, two = (an_order(name) for name in ("one", "two"))
    plan = solved(a_problem(orders=[one, two]))
    kind = one.compartments[0]
    full = a_problem(
        orders=[one, two],
        places=[a_place("shop", 5), a_place("point", 10, compartments=[(kind.temperature, kind.size, 1)])],
    )

    assert begun_with(full, plan).num_carried == 1


def test_routes_seen_elsewhere_can_be_chosen() -> None:
    problem = with_matrices(
        generate(3, RegionSize(num_orders=25, num_shops=6, num_supply_points=5, num_bikes=2, num_vans=1))
    )
    better = solved(problem, iterations=60)
    worse = Solution(routes=better.routes[:1], left_out=())

    chosen = begun_with(problem, worse, routes=better.routes)

    assert chosen.cost_cents <= better.cost_cents


def test_a_route_of_a_vehicle_that_is_gone_is_forgotten() -> None:
    problem = a_problem(vehicles=[a_vehicle("van")])
    plan = solved(problem)
    other = a_problem(vehicles=[a_vehicle("bike", profile="bike")])

    (route,) = begun_with(other, plan, routes=plan.routes).routes

    assert route.vehicle == "bike"


def test_who_asks_is_told_of_the_search_when_it_is_over() -> None:
    seen = []

    result = solve(
        a_problem(), time_limit_s=60, iterations=5, on_end=lambda search: seen.append(len(search.pool))
    )

    assert seen == [result.columns]


@pytest.mark.parametrize("order", ["unknown", "order"])
def test_orders_that_a_route_delivers_without_loading_are_left_out_of_its_legs(order: str) -> None:
    problem = a_problem()
    (route,) = the_result(problem).solution.routes  # type: ignore[union-attr]
    stops = tuple(
        replace(
            stop,
            pickups=(),
            deliveries=tuple(replace(delivery, order=order) for delivery in stop.deliveries),
        )
        for stop in route.stops
    )

    assert legs_of(Day(problem), replace(route, stops=stops)) == []


def test_a_locker_with_one_door_less_turns_away_the_least_urgent_order_only() -> None:
    def five_orders(num_doors: int) -> Problem:
        locker = a_place("point", 10, compartments=[(Temperature.AMBIENT, Size.S, num_doors)])
        orders = [an_order(str(number), penalty_cents=5_000 + number % 3) for number in range(5)]
        return a_problem(places=[a_place("shop", 5), locker], orders=orders)

    search = begun(five_orders(4), solved(five_orders(5)))

    assert sorted(carried(search)) == ["1", "2", "3", "4"]
