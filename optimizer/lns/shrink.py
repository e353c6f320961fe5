"""Doing with fewer vehicles, in compiled code."""

import math

import numpy as np

from optimizer.compiled import Floats, Generator, compiled, uniform
from optimizer.lns.anneal import add_left_out, copy_changes, recreate
from optimizer.lns.arrays import BLINK, LEG, ORDER, SIZE, TURN, VEHICLE, Data, State
from optimizer.lns.insertion import Open
from optimizer.lns.ruin import ruin, take_out


@compiled
def close_one(data: Data, current: State, tried: State, is_open: Open, misses: Floats) -> int:
    """
    Take the vehicle away whose orders were missed least until now, and all that idle.

    Returns
    -------
    int
        The vehicle, or -1 if none may be taken away.
    """
    chosen, least = -1, np.inf
    for vehicle in range(len(data.vehicle_class)):
        size = current.routes[vehicle, SIZE]
        if size == 0:
            is_open[vehicle] = 0
        if not is_open[vehicle]:
            continue
        missed = 0.0
        for q in range(size):
            leg = current.legs[vehicle, q, LEG]
            if leg != TURN and leg & 1:
                missed += 1.0 + misses[data.ways[leg >> 1, ORDER]]
        if missed < least:
            chosen, least = vehicle, missed
    if chosen < 0:
        return -1
    removed = np.zeros(len(data.penalty) + 1, dtype=np.int64)
    touched = np.zeros(len(data.vehicle_class), dtype=np.int64)
    count = 0
    for q in range(tried.routes[chosen, SIZE]):
        leg = tried.legs[chosen, q, LEG]
        if leg != TURN and leg & 1:
            removed[count] = data.ways[leg >> 1, ORDER]
            count += 1
    take_out(data, tried, removed, count, touched)
    copy_changes(tried, current, touched)
    is_open[chosen] = 0
    return int(chosen)


@compiled
def shrink(
    data: Data,
    current: State,
    tried: State,
    is_open: Open,
    random: Generator,
    iterations: int,
    temperature: float,
    misses: Floats,
) -> int:
    """
    Ruin and recreate until the orders of a vehicle that was taken away travel with others [1]_.

    Parameters
    ----------
    data, is_open, random
        As for annealing; the vehicle taken away is closed.
    current, tried
        Equal plans with some orders left out.
    iterations, temperature
        At most so many, at a temperature in cents.
    misses
        How often each order was left out: what is hard to place counts more; shape ``(O,)``.

    Returns
    -------
    int
        How many orders are left out in the end; 0 ends the search at once.

    References
    ----------
    .. [1] Christiaens, J. & Vanden Berghe, G. (2020). Slack induction by string removals for vehicle routing
           problems. *Transportation Science*, 54(2), 417-433. https://doi.org/10.1287/trsc.2019.0914
    """
    num_vehicles, num_orders = len(data.vehicle_class), len(data.penalty)
    removed, touched = np.zeros(num_orders + 1, dtype=np.int64), np.zeros(num_vehicles, dtype=np.int64)
    fleet = np.zeros(2, dtype=np.int64)
    left, missed, cost = _missing(data, current, misses)
    for _ in range(iterations):
        if left == 0:
            break
        touched[:] = 0
        count = ruin(data, tried, is_open, random, removed, touched, fleet)
        for vehicle in range(num_vehicles):
            touched[vehicle] = touched[vehicle] == 1
        count = add_left_out(data, tried, removed, count, random)
        recreate(
            data,
            tried,
            removed,
            count,
            is_open,
            True,
            data.settings[BLINK],
            random,
            touched,
        )
        left_now, missed_now, cost_now = _missing(data, tried, misses)
        is_accepted = missed_now < missed or left_now == 0
        if not is_accepted and left_now <= left and missed_now <= missed:
            is_accepted = cost_now < cost - temperature * math.log(max(uniform(random), 1e-12))
        for order in range(num_orders):
            if tried.orders[order, VEHICLE] == -1:
                misses[order] += 1.0
        if is_accepted:
            copy_changes(tried, current, touched)
        else:
            copy_changes(current, tried, touched)
        left, missed, cost = _missing(data, current, misses)
    return int(left)


@compiled
def _missing(data: Data, state: State, misses: Floats) -> tuple[int, float, float]:
    """Return how many orders are left out, how often these were missed, and the cost of the routes."""
    left, missed, cost = 0, 0.0, 0.0
    for order in range(len(data.penalty)):
        if state.orders[order, VEHICLE] == -1:
            left += 1
            missed += 1.0 + misses[order]
    for vehicle in range(len(data.vehicle_class)):
        cost += state.cents[vehicle]
    return left, missed, cost
