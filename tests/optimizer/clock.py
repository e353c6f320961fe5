"""
Routes on the clock, without a search.

Sequences are written in tokens: ``+0`` picks order 0 up, ``-0`` delivers it to its first option, ``|`` turns.
"""

from optimizer.day import Day, Leg
from optimizer.problem import Problem
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from optimizer.visits import Failure


def outcome_of(problem: Problem, sequence: str) -> Timetable | Failure:
    """Return the timetable of a sequence for the first vehicle, or what it breaks."""
    day = Day(problem)
    return evaluate(day.classes[0], legs_of(day, sequence))


def on_the_clock(problem: Problem, sequence: str) -> Timetable:
    """Return the timetable of a sequence that breaks nothing."""
    outcome = outcome_of(problem, sequence)
    assert isinstance(outcome, Timetable)
    return outcome


def legs_of(day: Day, sequence: str) -> list[Leg]:
    """Return the legs of a sequence; what is on board is delivered only."""
    legs = [shipment_of(day, [order], [0]).legs() for order in range(len(day.problem.orders))]
    turn = day.classes[0].turn
    return [
        turn() if token == "|" else legs[int(token[1:])][0 if token[0] == "+" else -1]
        for token in sequence.split()
    ]
