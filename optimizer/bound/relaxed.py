"""What the lower bound leaves out, in words for whoever reads it."""

from collections.abc import Iterator
from itertools import chain

from optimizer.day import Day, total


def relaxed(day: Day) -> tuple[str, ...]:
    """Return the constraints and costs of a day that its lower bound does not know of."""
    return tuple(chain(_of_vehicles(day), _of_time(day), _of_orders(day)))


def _of_vehicles(day: Day) -> Iterator[str]:
    load = total([order.load.amounts for order in day.problem.orders])
    if any(amount > most for one in day.classes for amount, most in zip(load, one.capacity, strict=True)):
        yield "capacities of vehicles, except for single orders"
    if any(one.num_trips > 1 for one in day.classes):
        yield "ranges, turnarounds and numbers of trips of vehicles with several trips"
    if any(one.max_duration_s < one.latest_s - one.earliest_s for one in day.classes):
        yield "waiting as a part of longest runs"
    if any(one.working_time is not None for one in day.classes):
        yield "breaks and working time"
    if any(one.prices.per_hour_cents for one in day.classes):
        yield "cost of waiting"


def _of_time(day: Day) -> Iterator[str]:
    orders = day.problem.orders
    if any(len(windows) > 1 for windows in day.windows):
        yield "closing between several opening windows"
    if len({(order.ready_s, order.deadline_s) for order in orders}) > 1:
        yield "ready times and deadlines that differ among orders of one place"
    if any(order.handling_s for order in orders):
        yield "time of handling beyond the least of a place, but not its cost"
    limited = {number for number, order in enumerate(orders) if day.ride_limit_s(order) is not None}
    if limited - set(day.loaded):
        yield "waiting as a part of longest rides"
    if limited & set(day.loaded):
        yield "longest rides of goods on board"


def _of_orders(day: Day) -> Iterator[str]:
    problem = day.problem
    promises = [order.promise for order in problem.orders if order.promise is not None]
    if problem.late_cents_per_hour and any(promise.latest_s is not None for promise in promises):
        yield "cost of lateness"
    if problem.moved_cents and any(promise.vehicle is not None for promise in promises):
        yield "cost of changing what was announced"
    if any(order.transfer_place is not None for order in problem.orders):
        yield "changes of vehicle"
