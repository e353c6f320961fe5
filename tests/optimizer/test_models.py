"""The two PuLP models: each constraint has a day in which it bites."""

from optimizer import solver
from optimizer.assignment import assign, fill, proximity_costs
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.master import Column, Pool, plan_cost, relax, select
from optimizer.problem import Problem, Size, Temperature
from optimizer.reachability import Reachability
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import consolidate, shipment_of
from tests.optimizer.builders import a_place, a_problem, a_vehicle, an_order, under_way

LIMITS = solver.Limits(seconds=10)
AMBIENT = Temperature.AMBIENT


def assigned(problem: Problem, costs: dict[int, dict[int, float]]) -> dict[int, int]:
    day = Day(problem)
    return assign(day, Room(day), costs, LIMITS)


def a_column(day: Day, pool: Pool, *orders: tuple[int, int]) -> Column:
    """Return the route that loads all orders, then delivers them."""
    shipments = [shipment_of(day, [order], [option]) for order, option in orders]
    pairs = [shipment.legs() for shipment in shipments]
    legs = [pickup for pickup, _ in pairs] + [delivery for _, delivery in pairs]
    timetable = evaluate(day.classes[0], legs)
    assert isinstance(timetable, Timetable)
    return pool.add(day.classes[0], timetable)


def selected(day: Day, pool: Pool, incumbent: list[Column], limits: solver.Limits = LIMITS) -> list[Column]:
    """Return what the master drives; only its choice has limits, not its relaxation."""
    room, columns = Room(day), list(pool)
    relaxation = relax(day, room, columns, LIMITS)
    assert relaxation is not None
    return select(day, room, columns, incumbent, relaxation, limits)


def lockers(*counts: tuple[Size, int]) -> Problem:
    """Two orders, small and medium, for a locker."""
    stock = [(AMBIENT, size, count) for size, count in counts]
    return a_problem(
        places=[a_place("shop", 5), a_place("point", 10, compartments=stock)],
        orders=[an_order("small", penalty_cents=9_000), an_order("medium", size=Size.M, penalty_cents=9_000)],
        vehicles=[a_vehicle("a"), a_vehicle("b")],
    )


def test_each_order_gets_its_cheapest_option() -> None:
    places = [a_place("shop", 5), a_place("point", 10), a_place("other", 10)]
    problem = a_problem(places=places, orders=[an_order(to={"point": 0, "other": 0})])

    assert assigned(problem, {0: {0: 9.0, 1: 5.0}}) == {0: 1}


def test_an_option_is_estimated_from_the_shop_but_goods_on_board_from_where_they_are() -> None:
    orders = [an_order("on board", to={"point": 7}), an_order("waits", to={"point": 7})]
    vehicle = a_vehicle(under_way=under_way("hub", on_board=["on board"]))
    day = Day(a_problem(orders=orders, vehicles=[vehicle], no_way=[("hub", "shop")]))
    reach = Reachability(day)

    costs = proximity_costs(day, reach, [0, 1])

    # 10 km at 10 cents, 1,000 s at 0.1 cents, shared with another order; no way leads to what waits.
    assert costs == {0: {0: 7 + 200 / 2}, 1: {}}


def test_a_small_bundle_may_take_a_medium_compartment_but_not_from_a_medium_one() -> None:
    costs = {0: {0: 1.0}, 1: {0: 1.0}}

    assert assigned(lockers((Size.M, 2)), costs) == {0: 0, 1: 0}
    assert len(assigned(lockers((Size.M, 1)), costs)) == 1
    assert assigned(lockers((Size.S, 2)), costs) == {0: 0}


def low_doors(low: int, high: int, *needs_low: bool) -> Problem:
    """Orders that need a low door or do not, for a locker with some low medium doors and some others."""
    stock = [(AMBIENT, Size.M, low, True), (AMBIENT, Size.M, high, False)]
    return a_problem(
        places=[a_place("shop", 5), a_place("point", 10, compartments=stock)],
        orders=[an_order(f"order-{n}", size=Size.M, low=low) for n, low in enumerate(needs_low)],
        vehicles=[a_vehicle("a"), a_vehicle("b")],
    )


def test_who_needs_a_low_door_gets_one_and_the_others_get_what_is_left() -> None:
    costs = {0: {0: 1.0}, 1: {0: 1.0}}

    assert assigned(low_doors(1, 1, True, False), costs) == {0: 0, 1: 0}
    assert assigned(low_doors(2, 0, True, False), costs) == {0: 0, 1: 0}
    assert assigned(low_doors(2, 0, False, False), costs) == {0: 0, 1: 0}
    assert len(assigned(low_doors(1, 1, True, True), costs)) == 1
    assert assigned(low_doors(0, 2, True, False), costs) == {1: 0}


def test_nobody_has_more_rows_than_they_need() -> None:
    nobody, somebody = Room(Day(low_doors(1, 1, False))), Room(Day(low_doors(1, 1, True, False)))

    # Medium doors of any height; for who needs a low one, medium low ones too.
    assert list(nobody.capacity.values()) == [2]
    assert sorted(somebody.capacity.values()) == [1, 2]


def test_calling_at_one_place_is_cheaper_than_at_two() -> None:
    places = [a_place("shop", 5), *(a_place(name, 10, stop_duration_s=300) for name in ("point", "other"))]
    orders = [an_order("one", to={"point": 0, "other": 0}), an_order("two", to={"other": 0, "point": 0})]

    chosen = assigned(a_problem(places=places, orders=orders), {0: {0: 1.0, 1: 2.0}, 1: {0: 1.0, 1: 1.5}})

    assert chosen == {0: 0, 1: 1}


def test_filling_keeps_what_is_chosen_and_serves_the_dearest_first() -> None:
    problem = lockers((Size.M, 1))
    day = Day(problem)
    costs = {0: {0: 1.0}, 1: {0: 1.0}}

    assert fill(day, Room(day), costs, {1: 0}) == {1: 0}
    assert fill(day, Room(day), costs, {}) == {0: 0}


def test_the_master_replaces_two_runs_by_a_cheaper_one() -> None:
    day = Day(lockers((Size.M, 2)))
    pool = Pool(Room(day))
    apart = [a_column(day, pool, (0, 0)), a_column(day, pool, (1, 0))]
    together = a_column(day, pool, (0, 0), (1, 0))

    assert selected(day, pool, apart) == [together]


def test_the_master_drives_no_more_runs_than_there_are_vehicles() -> None:
    problem = a_problem(orders=[an_order("one"), an_order("two")], vehicles=[a_vehicle()])
    day = Day(problem)
    pool = Pool(Room(day))
    a_column(day, pool, (0, 0))
    a_column(day, pool, (1, 0))

    assert len(selected(day, pool, [])) == 1


def test_the_master_promises_no_compartment_twice() -> None:
    day = Day(lockers((Size.M, 1)))
    pool = Pool(Room(day))
    a_column(day, pool, (0, 0))
    a_column(day, pool, (1, 0))

    assert len(selected(day, pool, [])) == 1


def test_the_master_promises_no_low_door_twice() -> None:
    day = Day(low_doors(1, 5, True, True))
    pool = Pool(Room(day))
    a_column(day, pool, (0, 0))
    a_column(day, pool, (1, 0))

    assert len(selected(day, pool, [])) == 1


def test_the_master_never_returns_worse_than_it_was_given() -> None:
    day = Day(lockers((Size.M, 2)))
    pool = Pool(Room(day))
    together = a_column(day, pool, (0, 0), (1, 0))
    a_column(day, pool, (0, 0))

    chosen = selected(day, pool, [together], solver.Limits(seconds=0))

    assert chosen == [together]
    assert plan_cost(day, chosen) < plan_cost(day, [])


def test_of_two_routes_for_the_same_orders_the_cheaper_is_kept() -> None:
    places = [a_place("shop", 5), a_place("point", 10), a_place("other", 12)]
    day = Day(a_problem(places=places, orders=[an_order("one"), an_order("two", to="other")]))
    pool = Pool(Room(day))

    cheap = a_column(day, pool, (0, 0), (1, 0))

    assert a_column(day, pool, (1, 0), (0, 0)) is cheap
    assert len(pool) == 1


def test_orders_that_share_shop_point_temperature_and_window_are_one_shipment() -> None:
    orders = [
        an_order("a"),
        an_order("b"),
        an_order("cold", temperature=Temperature.CHILLED),
        an_order("later", ready_s=15 * 3600),
    ]
    day = Day(a_problem(orders=orders))

    shipments = consolidate(day, dict.fromkeys(range(4), 0))

    assert [shipment.orders for shipment in shipments] == [(0, 1), (2,), (3,)]


def test_a_shipment_is_split_where_it_exceeds_the_smallest_suitable_vehicle() -> None:
    small = a_vehicle("small", capacity=a_vehicle().capacity.__class__(weight_g=2_500, volume_cm3=10**6))
    day = Day(a_problem(vehicles=[a_vehicle(), small], orders=[an_order(n) for n in "abc"]))

    shipments = consolidate(day, dict.fromkeys(range(3), 0))

    assert [shipment.orders for shipment in shipments] == [(0, 1), (2,)]


def test_orders_for_different_vehicles_or_on_board_are_different_shipments() -> None:
    orders = [
        an_order("a"),
        an_order("b"),
        an_order("pinned", vehicles=("second",)),
        an_order("skilled", skills=("stairs",)),
        an_order("loaded"),
    ]
    vehicles = [
        a_vehicle("first", skills=("stairs",)),
        a_vehicle("second"),
        a_vehicle("out", under_way=under_way(on_board=["loaded"])),
    ]
    day = Day(a_problem(orders=orders, vehicles=vehicles))

    shipments = consolidate(day, dict.fromkeys(range(5), 0))

    assert [shipment.orders for shipment in shipments] == [(0, 1), (2,), (3,), (4,)]
    assert [shipment.classes for shipment in shipments] == [None, {1}, {0}, {2}]
