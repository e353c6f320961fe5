"""The best route for given rewards and prices."""

import math
from collections.abc import Callable, Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.bound import completion, labels, pricing
from optimizer.bound.pricing import Duals, Group, Pricer, TooManyGroups
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.problem import Temperature
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import EIGHT, SIX_PM, a_place, a_problem, a_vehicle, an_order


@given(st.integers(0, 10**6), st.sampled_from((600, 1_500, 4_000)))
@example(992, 600)
@settings(deadline=None, max_examples=15)
def test_the_best_route_priced_is_the_best_of_all_sequences_of_places(seed: int, ride_s: int) -> None:
    pricer, duals = a_pricer(seed, ride_s)

    priced = pricer.price(duals, (), beam=10**5, should_stop=lambda: False)

    least = min(0.0, least_by_enumeration(pricer, duals))
    if priced.paths:
        # It may be longer than those enumerated.
        nodes = [pricer.places.index(place) for place in priced.paths[0].places]
        least = min(least, least_of(pricer, duals, lambda before: nodes[len(before) : len(before) + 1]))
    assert priced.least == pytest.approx(least, abs=1e-5)


@given(st.integers(0, 10**6), st.sampled_from((1, 2, 5)))
@settings(deadline=None, max_examples=5)
def test_few_labels_prove_less_but_nothing_wrong(seed: int, beam: int) -> None:
    pricer, duals = a_pricer(seed, 1_500)

    priced = pricer.price(duals, (), beam=beam, should_stop=lambda: False)

    assert priced.least <= least_by_enumeration(pricer, duals) + 1e-5


def test_what_can_be_brought_to_a_place_before_or_behind_its_shop_is_counted_in_good_time() -> None:
    # On a road: the farm, its point, the bakery, and a point for whose goods the first one would do as well.
    places = [
        a_place(name, km) for name, km in zip(("farm", "near", "bakery", "far"), (1, 3, 5, 7), strict=True)
    ]
    orders = [
        an_order("eggs", pickup="farm", to="near"),
        an_order("rolls", pickup="bakery", to={"near": 0, "far": 0}),
    ]
    day = Day(
        a_problem(places=[*places, a_place("depot", 8)], orders=orders, vehicles=[a_vehicle(end="depot")])
    )
    duals = Duals(orders=np.array([130.0, 140.0]), rows={}, classes=np.zeros(1))

    priced = Pricer(day, Room(day), day.classes[0]).price(duals, (), beam=10**5, should_stop=lambda: False)

    # The vehicle costs 100, 8 km cost 160; three terms may have been rounded by half a cent each.
    assert priced.least == pytest.approx(260 - 270, abs=1.6)


@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from((600, 4_000)))
@settings(deadline=None, max_examples=40)
def test_joined_places_do_not_change_the_best_route(seed: int, most: int, ride_s: int) -> None:
    apart, duals = a_pricer(seed, ride_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completion, "MAX_JOINED", most)
        joined, _ = a_pricer(seed, ride_s)

    least = [one.price(duals, (), beam=10**5, should_stop=lambda: False).least for one in (apart, joined)]

    assert least[1] == pytest.approx(least[0])


def test_compiled_functions_do_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    pricer, duals = a_pricer(5, 1_500)
    compiled = pricer.price(duals, (), beam=10**5, should_stop=lambda: False)

    for module in (completion, labels, pricing):
        for name, function in vars(module).copy().items():
            monkeypatch.setattr(module, name, getattr(function, "py_func", function))

    plain = pricer.price(duals, (), beam=10**5, should_stop=lambda: False)
    assert compiled.least < -1
    assert plain.least == pytest.approx(compiled.least)
    assert [path.orders for path in plain.paths] == [path.orders for path in compiled.paths]


def a_pricer(seed: int, ride_s: int) -> tuple[Pricer, Duals]:
    """Return a pricer over two shops and three points along a road, with random rewards and prices."""
    random = Random(seed)
    shops, points = ("one shop", "other shop"), ("near", "middle", "far")
    windows = random.choice(([], [], [(EIGHT, EIGHT + 2_000)], [(EIGHT + 1_500, SIX_PM)]))
    places = [
        *(a_place(name, random.randrange(25) / 2, stop_duration_s=random.choice((0, 90))) for name in points),
        a_place(shops[0], random.randrange(25) / 2, windows=windows),
        a_place(shops[1], random.randrange(25) / 2),
        a_place("depot", random.randrange(25) / 2),
    ]
    orders = [
        an_order(
            f"order-{number}",
            pickup=random.choice(shops),
            to={point: 25 * rank for rank, point in enumerate(random.sample(points, random.randint(1, 2)))},
            temperature=random.choice((Temperature.AMBIENT, Temperature.CHILLED)),
            handling_s=random.choice((0, 150, 300)),
        )
        for number in range(6)
    ]
    problem = a_problem(
        places=places,
        orders=orders,
        vehicles=[
            a_vehicle(end=random.choice(("hub", "depot")), max_duration_s=random.choice((None, 4_000)))
        ],
        max_ride_s={Temperature.CHILLED: ride_s},
    )
    day = Day(with_matrices(problem))
    room = Room(day)
    duals = Duals(
        orders=np.array([random.choice((0, 60, 150, 400)) + random.random() for _ in orders]),
        rows={row: random.choice((0.0, 40.0)) for row in room.capacity},
        classes=np.zeros(len(day.classes)),
    )
    return Pricer(day, room, day.classes[0]), duals


def least_by_enumeration(pricer: Pricer, duals: Duals) -> float:
    """Return the least reduced cost of all routes of six visits at most."""
    nodes = range(len(pricer.places))
    return least_of(pricer, duals, lambda before: nodes if len(before) < 6 else ())


def least_of(pricer: Pricer, duals: Duals, following: Callable[[tuple[int, ...]], Iterable[int]]) -> float:
    """Return the least reduced cost of routes, by the rules that the pricer states, given what may follow."""
    graph, worth = pricer.graph, pricer.worth(duals, ())
    value_by_choice = {(choice.order, choice.option): value + choice.cents for value, choice in worth}
    least = math.inf
    num_nodes = len(graph.end_cents)

    def visit(nodes: tuple[int, ...], now_s: float, spent_s: float, length_m: float) -> None:
        nonlocal least
        here = nodes[-1] if nodes else num_nodes
        if nodes:
            ends_s = max(now_s - graph.limits[1], spent_s - graph.limits[3]) + graph.end_seconds[here]
            if ends_s > 0 or length_m + graph.end_metres[here] > graph.limits[2]:
                return
            path = pricer.path_of(nodes, worth)
            least = min(least, path.cents - sum(value_by_choice[pair] for pair in path.orders))
        for there in following(nodes):
            begin_s = max(graph.earliest[there], now_s + graph.seconds[here, there])
            if there != here and begin_s <= graph.latest[there]:
                service_s = graph.service[there]
                after_s = spent_s + graph.seconds[here, there] + service_s
                visit((*nodes, there), begin_s + service_s, after_s, length_m + graph.metres[here, there])

    visit((), float(graph.limits[0]), 0.0, 0.0)
    return least


def test_of_too_many_groups_those_are_joined_that_share_a_shop() -> None:
    alone = {Group(shop, frozenset({100 + shop}), math.inf): 1.0 for shop in range(62)}
    shared = {Group(62, frozenset({200 + point}), math.inf): 5.0 + point for point in range(4)}

    few = pricing._few({**alone, **shared})

    assert len(few) == pricing.MAX_GROUPS
    assert alone.items() <= few.items()
    assert sum(few.values()) == sum(alone.values()) + sum(shared.values())
    # Each is earned wherever it was earned before.
    rest = [group for group in few if group.shop == 62]
    assert all(any(group.is_within(other) for other in rest) for group in shared)


def test_more_shops_than_a_label_holds_cannot_be_priced() -> None:
    with pytest.raises(TooManyGroups):
        pricing._few({Group(shop, frozenset({100}), math.inf): 1.0 for shop in range(65)})
