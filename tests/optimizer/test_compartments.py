"""What fits into a locker equals trying every assignment of demands to doors."""

from collections import Counter
from functools import cache
from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import solver
from optimizer.assignment import assign
from optimizer.compartments import Room
from optimizer.day import Day
from optimizer.feasibility import violations
from optimizer.problem import Problem, Size, Temperature
from optimizer.solution import Solution
from tests.optimizer.builders import a_place, a_problem, an_order, solved

#: A size, and whether a door is low or must be.
Door = tuple[Size, bool]
doors = st.tuples(st.sampled_from(list(Size)), st.booleans())
LARGE: Door = (Size.XL, True)
LIMITS = solver.Limits(seconds=10)


def a_day(stock: list[Door], wanted: list[Door]) -> Problem:
    """Return a day on which every order wants one door of the same locker."""
    kinds = [(Temperature.AMBIENT, size, number, low) for (size, low), number in Counter(stock).items()]
    return a_problem(
        places=[a_place("shop", 5), a_place("point", 10, compartments=kinds)],
        orders=[an_order(f"order-{number}", size=size, low=low) for number, (size, low) in enumerate(wanted)],
    )


@cache
def everything_delivered(num_orders: int) -> Solution:
    """Return the plan that brings so many orders to the locker, whatever is behind its doors."""
    return solved(a_day([LARGE] * num_orders, [LARGE] * num_orders))


def can_serve(stock: list[Door], wanted: list[Door]) -> bool:
    """Tell by trying every assignment whether all can be served at once."""
    return any(
        all(
            door[0].rank >= claim[0].rank and (door[1] or not claim[1])
            for door, claim in zip(choice, wanted, strict=True)
        )
        for choice in permutations(stock, len(wanted))
    )


@given(st.lists(doors, max_size=5), st.lists(doors, min_size=1, max_size=5), st.data())
def test_some_orders_of_a_day_fit_exactly_when_some_assignment_serves_them(
    stock: list[Door], wanted: list[Door], data: st.DataObject
) -> None:
    room = Room(Day(a_day(stock, wanted)))
    chosen = data.draw(st.sets(st.sampled_from(range(len(wanted)))))
    served = can_serve(stock, [wanted[order] for order in chosen])

    taken = room.taken((order, 0) for order in chosen)

    assert room.fits(Counter(), taken) == served


@given(st.lists(doors, max_size=5), st.lists(doors, min_size=1, max_size=5))
def test_the_independent_check_passes_exactly_what_some_assignment_serves(
    stock: list[Door], wanted: list[Door]
) -> None:
    found = violations(a_day(stock, wanted), everything_delivered(len(wanted)))

    assert (found == []) == can_serve(stock, wanted)


@given(st.lists(doors, max_size=4), st.lists(doors, min_size=1, max_size=4))
@settings(max_examples=30)
def test_the_model_assigns_as_many_orders_as_any_assignment_serves(
    stock: list[Door], wanted: list[Door]
) -> None:
    day = Day(a_day(stock, wanted))

    chosen = assign(day, Room(day), {order: {0: 1.0} for order in range(len(wanted))}, LIMITS)

    most = max(
        number
        for number in range(len(wanted) + 1)
        if any(can_serve(stock, list(some)) for some in combinations(wanted, number))
    )
    assert len(chosen) == most
