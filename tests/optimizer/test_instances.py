"""Public instances mean here what they mean where they come from."""

import json
from collections.abc import Sequence

import pytest

from optimizer import instances, io
from optimizer.checks import ProblemError
from optimizer.day import Day, Leg
from optimizer.instances import Objective
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from optimizer.visits import Failure
from tests.optimizer.builders import a_problem
from tests.optimizer.shared_data import SHARED_DATA, needs_shared_data

#: Order 1 goes from node 1 to 2 and order 4 from 4 to 3; the depot is far from all of them.
LI_LIM = """2 10 1
0 0 0   0   0 100 0 0 0
1 3 4   6  10  20 5 0 2
2 6 8  -6  20  30 9 1 0
3 6 8  -7   0  90 2 4 0
4 1 1   7   0  90 8 0 3
"""

#: Customers 0 and 1 may go to the locker with one door, customer 1 home as well; nobody else lives here.
OPTIONS = """V_tiny.txt

VEHICLE CAPACITY LOCATIONS CUSTOMER OPTIONS PRIORITIES NUMTYPS
2 10 3 2 3 2 2

CUSTOMER DEMAND
0 6
1 5

LOCATION XCOORD YCOORD CAP READY DUE TYP SERVICETIME
0 0 0 -1 0 720 0 0
1 3 4 1 10 20 1 4
2 1 1 -1 0 90 2 6
OPTION LOCATION CUSTOMER PRIO SERVICETIME COST
0 1 0 0 2 0
1 1 1 1 2 0
2 2 1 0 5 0
"""


def on_the_clock(problem: Problem, *options: tuple[int, int], done: Sequence[tuple[int, bool]]) -> Timetable:
    """Drive a route: ``options`` names the option of each order, ``done`` its legs in their order."""
    timetable = tried(problem, *options, done=done)
    assert isinstance(timetable, Timetable)
    return timetable


def tried(
    problem: Problem, *options: tuple[int, int], done: Sequence[tuple[int, bool]]
) -> Timetable | Failure:
    day = Day(problem)
    legs: dict[int, tuple[Leg, ...]] = {o: shipment_of(day, [o], [k]).legs() for o, k in options}
    return evaluate(day.classes[0], [legs[order][is_delivery] for order, is_delivery in done])


def test_a_route_of_li_and_lim_costs_its_length_in_thousandths() -> None:
    timetable = on_the_clock(instances.li_lim(LI_LIM), (0, 0), done=[(0, False), (0, True)])

    # 5 to node 1, 5 on to node 2, 10 back.
    assert timetable.cost_cents == timetable.distance_m == 20_000


def test_every_way_of_li_and_lim_is_rounded_to_the_nearest_thousandth() -> None:
    timetable = on_the_clock(instances.li_lim(LI_LIM), (1, 0), done=[(1, False), (1, True)])

    # 1.41421 to node 4, 8.60233 on to node 3, 10 back.
    assert timetable.cost_cents == 1_414 + 8_602 + 10_000


def test_service_of_li_and_lim_starts_in_the_window_and_may_differ_at_both_ends() -> None:
    timetable = on_the_clock(instances.li_lim(LI_LIM), (0, 0), done=[(0, False), (0, True)])

    # Service at node 1 starts as late as is of use: 5 of service and 5 of way make it 20 at node 2, where
    # service takes 9.
    assert timetable.starts_s == [10_000, 20_000]
    assert timetable.end_s == 20_000 + 9_000 + 10_000


def test_service_of_a_pickup_beyond_that_of_its_delivery_counts_too() -> None:
    timetable = on_the_clock(instances.li_lim(LI_LIM), (1, 0), done=[(1, False), (1, True)])

    # 8 of service at node 4 and 2 at node 3.
    assert timetable.end_s - timetable.start_s == 1_414 + 8_000 + 8_602 + 2_000 + 10_000


def test_capacities_of_li_and_lim_bind() -> None:
    problem = instances.li_lim(LI_LIM)

    together = [(0, False), (1, False), (0, True), (1, True)]

    assert tried(problem, (0, 0), (1, 0), done=together) == Failure.WEIGHT


def test_nodes_of_li_and_lim_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ProblemError, match=r"node\[4\].delivery: node 2 disagrees"):
        instances.li_lim(LI_LIM.replace("90 8 0 3", "90 8 0 2"))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("2 10 1\n", "2 10\n", "line[0]"),
        ("1 3 4   6", "1 3 4   x", "node[1].demand"),
        ("1 3 4   6", "7 3 4   6", "node[1].id"),
        ("-7   0  90 2 4 0", "-9   0  90 2 4 0", "node[4].demand"),
        ("-7   0  90 2 4 0", "-7   0  90 2 0 0", "node[4].delivery"),
        ("8 0 3", "8 0 9", "node[4].delivery"),
        ("0  90 8 0 3", "91  90 8 0 3", "node[4].latest"),
        ("0  90 8 0 3", "-1  90 8 0 3", "node[4].earliest"),
        ("0  90 8 0 3", "0  90 -8 0 3", "node[4].service"),
        ("1 3 4   6", "1 1000001 4   6", "node[1].x"),
        ("1 3 4   6", "1 3 99999999999999999999   6", "node[1].y"),
        ("2 10 1\n", "2 9999999999 1\n", "line[0].capacity"),
    ],
)
def test_whatever_is_wrong_with_an_instance_of_li_and_lim_is_named(old: str, new: str, field: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        instances.li_lim(LI_LIM.replace(old, new))

    assert refusal.value.field == field


def test_a_route_with_options_costs_tenths_rounded_up() -> None:
    problem = instances.delivery_options(OPTIONS)

    # 5 to the locker exactly, 3.6056 on to the home, 1.4142 back.
    done = [(0, False), (1, False), (0, True), (1, True)]
    timetable = on_the_clock(problem_without_capacity(OPTIONS), (0, 0), (1, 1), done=done)

    assert timetable.cost_cents == 50 + 37 + 15
    assert tried(problem, (0, 0), (1, 1), done=done) == Failure.WEIGHT


def problem_without_capacity(text: str) -> Problem:
    return instances.delivery_options(text.replace("2 10 3 2 3 2 2", "2 99 3 2 3 2 2"))


def test_a_location_is_served_once_per_visit_and_each_customer_beyond_that() -> None:
    problem = problem_without_capacity(OPTIONS)
    done = [(0, False), (1, False), (0, True), (1, True)]

    both = on_the_clock(problem, (0, 0), (1, 0), done=done)

    # The visit may begin from 10 to 20: with 4 for the locker and 2 for each customer it ends 8 later.
    visit = both.starts_s[-1]
    assert 140 <= visit <= 240
    assert both.end_s == visit + 2 * 20 + 50
    assert both.starts_s[0] + 50 + 40 <= visit


def test_a_visit_that_would_begin_after_its_window_is_too_late() -> None:
    late = OPTIONS.replace("0 0 0 -1 0 720 0 0", "0 0 0 -1 16 720 0 0")
    in_time = OPTIONS.replace("0 0 0 -1 0 720 0 0", "0 0 0 -1 15 720 0 0")

    # The locker is 5 away and open until 20.
    assert tried(instances.delivery_options(late), (0, 0), done=[(0, False), (0, True)]) == Failure.WINDOW
    assert on_the_clock(instances.delivery_options(in_time), (0, 0), done=[(0, False), (0, True)])


@pytest.mark.parametrize(("num_customers", "second", "third"), [(4, 0, 0), (14, 2, 1), (25, 5, 2)])
def test_of_five_customers_four_get_their_first_wish_and_of_ten_nine_their_second(
    num_customers: int, second: int, third: int
) -> None:
    customers = [f"{n} 1" for n in range(num_customers)]
    options = [f"{n} 2 {n} 0 5 0" for n in range(num_customers)]
    lines = [line for line in OPTIONS.splitlines() if len(line.split()) not in (2, 6)]
    at = lines.index("LOCATION XCOORD YCOORD CAP READY DUE TYP SERVICETIME")
    lines[at:at] = ["CUSTOMER DEMAND", *customers]
    lines += ["OPTION LOCATION CUSTOMER PRIO SERVICETIME COST", *options]

    text = "\n".join(lines).replace("2 10 3 2 3 2 2", f"2 10 3 {num_customers} {num_customers} 2 2")
    limits = instances.delivery_options(text).rank_limits

    assert [(limit.rank, limit.most) for limit in limits] == [(0, second), (1, third)]


def test_doors_and_ranks_are_what_the_instance_says() -> None:
    problem = instances.delivery_options(OPTIONS)

    stock = {place.id: place.compartments and place.compartments[0].count for place in problem.places}
    assert stock == {"0": None, "1": 1, "2": None}
    assert [option.rank for option in problem.orders[1].options] == [1, 0]


def test_locations_with_the_same_coordinates_are_served_one_by_one() -> None:
    side_by_side = OPTIONS.replace("2 1 1 -1 0 90 2 6", "2 3 4 -1 0 90 2 6")
    problem = problem_without_capacity(side_by_side)

    timetable = on_the_clock(problem, (0, 0), (1, 1), done=[(0, False), (1, False), (1, True), (0, True)])

    # At the home 6 and 5, at the locker 4 and 2.
    assert timetable.end_s - timetable.start_s == 50 + 60 + 50 + 40 + 20 + 50


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("VEHICLE", "FLEET", "VEHICLE"),
        ("10 20 1 4", "21 20 1 4", "LOCATION[1].DUE"),
        ("1 1 1 1 2 0", "1 1 7 1 2 0", "OPTION[1].CUSTOMER"),
        ("1 1 1 1 2 0", "1 1 1 1 2 3", "OPTION[1].COST"),
        ("1 1 1 1 2 0", "1 9 1 1 2 0", "orders[1].options[0].place"),
        ("1 1 1 1 2 0", "1 1 1 1 2", "OPTION[1]"),
        ("2 1 1 -1 0 90 2 6", "3 1 1 -1 0 90 2 6", "LOCATION[2]"),
        ("0 6\n", "0 six\n", "CUSTOMER[0].DEMAND"),
        ("2 2 1 0 5 0\n", "", "VEHICLE[0].OPTIONS"),
        ("0 1 0 0 2 0", "0 1 1 0 2 0", "CUSTOMER[0]"),
        ("2 1 1 -1 0 90 2 6", "2 1 1 -1 0 500001 2 6", "LOCATION[2].DUE"),
    ],
)
def test_whatever_is_wrong_with_an_instance_with_options_is_named(old: str, new: str, field: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        instances.delivery_options(OPTIONS.replace(old, new, 1))

    assert refusal.value.field == field


def test_the_format_of_a_document_is_recognised() -> None:
    ours = json.dumps(io.problem_to_json(a_problem()))

    assert [order.id for order in instances.read(ours.encode()).orders] == ["order"]
    assert [order.id for order in instances.read(b"\xef\xbb\xbf" + ours.encode()).orders] == ["order"]
    assert [order.id for order in instances.read(LI_LIM).orders] == ["order 1", "order 4"]
    assert [order.id for order in instances.read(OPTIONS).orders] == ["customer 0", "customer 1"]
    with pytest.raises(ProblemError, match="neither JSON nor"):
        instances.read("Dear optimizer, please plan my day.")


def test_vehicles_first_makes_any_vehicle_dearer_than_all_ways_and_cheaper_than_an_order_left_out() -> None:
    problem = instances.read(LI_LIM, Objective.VEHICLES)
    longest_way = int(problem.matrices[0].distance_m.max())

    for vehicle in problem.vehicles:
        assert vehicle.fixed_cost_cents > 2 * len(problem.orders) * longest_way
    for order in problem.orders:
        assert order.unserved_penalty_cents > problem.vehicles[0].fixed_cost_cents


@needs_shared_data
def test_all_public_instances_are_read() -> None:
    folder = SHARED_DATA / "instances"
    known = json.loads((folder / "li_lim_best_known.json").read_text())

    for file in [*folder.glob("li_lim_*/*.txt"), *folder.glob("vrpdo/*.txt")]:
        problem = instances.read(file.read_bytes())
        nodes = known["vehicles_first"].get(file.stem, {}).get("jobs", 2 * len(problem.orders))
        assert 2 * len(problem.orders) == nodes, file.name
