"""What the route proposer is told of a day, and what is made of its answer."""

import pytest
import pyvrp

from optimizer.day import Day, Shipment
from optimizer.problem import NO_WAY, Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from optimizer.view import UNITS_PER_CENT, View
from optimizer.visits import Failure
from tests.optimizer.builders import (
    EIGHT,
    SIX_PM,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    under_way,
)

HOUR = 3600


def view_of(problem: Problem) -> View:
    """Return the view of all orders at their first option, with all vehicles."""
    day = Day(problem)
    shipments = [shipment_of(day, [order], [0]) for order in range(len(problem.orders))]
    available = {vehicle.index: len(vehicle.vehicles) for vehicle in day.classes}
    return View(day, {shipment: _moments(shipment) for shipment in shipments}, available)


def _moments(shipment: Shipment) -> tuple[int, int]:
    return shipment.pickup_windows[0][0], shipment.delivery_windows[0][0]


def test_goods_that_wait_where_every_vehicle_starts_are_delivered_only() -> None:
    orders = [an_order("here", pickup="hub"), an_order("there")]

    data = view_of(a_problem(orders=orders)).data

    assert (data.num_clients, data.num_shipments) == (1, 1)


@pytest.mark.parametrize(
    "problem",
    [
        a_problem(orders=[an_order(pickup="hub", handling_s=1)]),
        a_problem(orders=[an_order(pickup="hub")], vehicles=[a_vehicle(), a_vehicle("b", start="shop")]),
        a_problem(orders=[an_order(pickup="hub")], vehicles=[a_vehicle(max_trips=2)]),
        a_problem(orders=[an_order(pickup="hub")], vehicles=[a_vehicle(under_way=under_way("hub"))]),
        a_problem(orders=[an_order(pickup="hub", deadline_s=SIX_PM - 1)]),
    ],
    ids=["loading takes time", "another start", "trips", "under way", "due within the shift"],
)
def test_other_goods_are_loaded_on_the_way(problem: Problem) -> None:
    data = view_of(problem).data

    assert (data.num_clients, data.num_shipments) == (0, 1)


def test_goods_on_board_are_delivered_only() -> None:
    way = under_way("shop", EIGHT + HOUR, on_board=["order"])
    view = view_of(a_problem(vehicles=[a_vehicle(under_way=way)]))

    route = pyvrp.Route(view.data, [pyvrp.Activity("C0")], 0)

    assert (route.start_time(), route.end_time()) == (EIGHT + HOUR, EIGHT + HOUR + 1_500)
    assert [leg.is_delivery for leg in view.legs_of(route)] == [True]


def test_a_vehicle_that_may_not_carry_an_order_lacks_room_for_it() -> None:
    vehicles = [a_vehicle("any"), a_vehicle("pinned")]
    orders = [an_order("free"), an_order("bound", vehicles=("pinned",))]
    view = view_of(a_problem(orders=orders, vehicles=vehicles))

    def fits(shipment: int, vehicle_type: int) -> bool:
        activities = [pyvrp.Activity(f"{kind}{shipment}") for kind in "LU"]
        return not pyvrp.Route(view.data, activities, vehicle_type).has_excess_load()

    assert [fits(shipment, kind) for shipment in (0, 1) for kind in (0, 1)] == [True, True, False, True]


def test_where_there_is_no_way_the_route_is_too_long() -> None:
    open_road, closed = (view_of(a_problem(no_way=pairs)) for pairs in ([], [("shop", "point")]))

    routes = [
        pyvrp.Route(view.data, [pyvrp.Activity("L0"), pyvrp.Activity("U0")], 0)
        for view in (open_road, closed)
    ]

    assert [route.is_feasible() for route in routes] == [True, False]
    assert routes[1].distance() >= NO_WAY


def test_what_the_proposer_finds_costs_the_same_on_our_clock() -> None:
    orders = [
        an_order("here", pickup="hub", handling_s=0, option_handling_s=60),
        an_order("there", handling_s=20),
    ]
    places = [a_place("shop", 5, stop_duration_s=90), a_place("point", 10, stop_duration_s=30)]
    view = view_of(a_problem(places=places, orders=orders))
    activities = [pyvrp.Activity(name) for name in ("L0", "C0", "U0")]

    route = pyvrp.Route(view.data, activities, 0)
    timetable = evaluate(view.class_of(route), view.legs_of(route))

    assert isinstance(timetable, Timetable)
    assert timetable.distance_m == route.distance()
    assert timetable.end_s - timetable.start_s == route.duration()
    cents = (route.distance_cost() + route.duration_cost()) / UNITS_PER_CENT
    assert timetable.cost_cents == pytest.approx(cents + 100, abs=1)


def test_a_shift_of_two_trips_is_two_routes() -> None:
    day = Day(a_problem(orders=[an_order("a"), an_order("b")], vehicles=[a_vehicle(max_trips=2)]))
    shipments = [shipment_of(day, [order], [0]) for order in (0, 1)]
    vehicle = day.classes[0]
    view = View(day, {s: _moments(s) for s in shipments}, {0: 2})
    legs = [*shipments[0].legs(), vehicle.turn(), *shipments[1].legs()]
    assert not isinstance(evaluate(vehicle, legs), Failure)

    routes = view.routes_of(vehicle, legs)

    carried = [[leg.shipment.orders for leg in view.legs_of(route)] for route in routes]
    assert carried == [[(0,), (0,)], [(1,), (1,)]]
