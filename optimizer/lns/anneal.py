"""Simulated annealing by ruin and recreate, in compiled code."""

import math

import numpy as np

from optimizer.compiled import Generator, Ints, below, compiled, uniform
from optimizer.lns.arrays import (
    BLINK,
    EMPTIED,
    FILLED,
    LEG,
    SIZE,
    TURN,
    VEHICLE,
    WAYS_BEGIN,
    WAYS_END,
    Data,
    State,
)
from optimizer.lns.insertion import Open, has_room, insert_cheapest
from optimizer.lns.routes import copy_route
from optimizer.lns.ruin import ruin

#: Left-out orders for which there is room now that are tried once more in each iteration, at most.
NUM_RETRIED = 30
#: How much dearer than the best a plan may be for its routes to be remembered, as a part of its cost.
WORTH_KEEPING = 0.02


@compiled
def recreate(
    data: Data,
    state: State,
    waiting: Ints,
    count: int,
    is_open: Open,
    should_force: bool,
    blink: float,
    random: Generator,
    touched: Ints,
) -> int:
    """
    Insert orders one after the other where each is cheapest; ``should_force`` does so at any price.

    Returns
    -------
    int
        How many are left out; these stand first in ``waiting`` afterwards.
    """
    _sort(data, waiting, count, random)
    left = 0
    for number in range(count):
        order = waiting[number]
        limit = 1e15 if should_force else data.penalty[order]
        vehicle = insert_cheapest(data, state, order, limit, is_open, blink, random)
        if vehicle < 0:
            waiting[left] = order
            left += 1
        else:
            touched[vehicle] = 1
    return left


@compiled
def _sort(data: Data, orders: Ints, count: int, random: Generator) -> None:
    """Sort orders by a key chosen at random, or shuffle them."""
    for number in range(count - 1, 0, -1):
        other = below(random, number + 1)
        orders[number], orders[other] = orders[other], orders[number]
    key = below(random, 2 * len(data.keys)) - len(data.keys)
    if key < 0:
        return
    for number in range(1, count):
        order, position = orders[number], number
        while position > 0 and data.keys[key, orders[position - 1]] > data.keys[key, order]:
            orders[position] = orders[position - 1]
            position -= 1
        orders[position] = order


@compiled
def copy_changes(source: State, target: State, touched: Ints) -> None:
    """Copy the routes that changed, and what depends on all of them."""
    for vehicle in range(len(touched)):
        if touched[vehicle]:
            copy_route(source, vehicle, target, vehicle)
    for order in range(len(source.orders)):
        for column in range(2):
            target.orders[order, column] = source.orders[order, column]
    for row in range(len(source.taken)):
        target.taken[row] = source.taken[row]
    target.total[0] = source.total[0]


@compiled
def anneal(
    data: Data,
    current: State,
    tried: State,
    best: State,
    is_open: Open,
    random: Generator,
    iterations: int,
    temperature: float,
    harvest: Ints,
    harvest_size: Ints,
    seen: Ints,
) -> None:
    """
    Ruin and recreate for some iterations.

    Parameters
    ----------
    data
        Of the day.
    current, tried, best
        Feasible plans; the first two are equal at the beginning and at the end.
    is_open
        Whether each vehicle may be given something, shape ``(V,)``.
    random
        Generator.
    iterations
        How often.
    temperature
        In cents.
    harvest, harvest_size
        Routes of good plans on the way: class and legs of each, and how many there are; shapes
        ``(H, 2 + M)`` and ``(1,)``.
    seen
        A table of the routes that were harvested already, as hashes; its size is a power of two.
    """
    num_vehicles, num_orders = len(data.vehicle_class), len(data.penalty)
    removed, touched = np.zeros(num_orders + 1, dtype=np.int64), np.zeros(num_vehicles, dtype=np.int64)
    # Nothing is known of how the best plan differs from the current one.
    changed = np.ones(num_vehicles, dtype=np.int64)
    fleet, gate = np.zeros(2, dtype=np.int64), is_open.copy()
    for _ in range(iterations):
        touched[:] = 0
        count = ruin(data, tried, is_open, random, removed, touched, fleet)
        for vehicle in range(num_vehicles):
            touched[vehicle] = touched[vehicle] == 1
        count = add_left_out(data, tried, removed, count, random)
        blink = data.settings[BLINK]
        if fleet[FILLED] >= 0:
            gate[:] = 0
            gate[fleet[FILLED]] = 1
            count = recreate(data, tried, removed, count, gate, True, blink, random, touched)
            gate[:] = is_open
        if fleet[EMPTIED] >= 0:
            gate[fleet[EMPTIED]] = 0
        recreate(data, tried, removed, count, gate, False, blink, random, touched)
        if fleet[EMPTIED] >= 0:
            gate[fleet[EMPTIED]] = is_open[fleet[EMPTIED]]
        threshold = current.total[0] - temperature * math.log(max(uniform(random), 1e-12))
        if tried.total[0] >= threshold:
            copy_changes(current, tried, touched)
            continue
        copy_changes(tried, current, touched)
        for vehicle in range(num_vehicles):
            changed[vehicle] |= touched[vehicle]
        if tried.total[0] < best.total[0] - 1e-6:
            copy_changes(tried, best, changed)
            changed[:] = 0
        if tried.total[0] < best.total[0] * (1.0 + WORTH_KEEPING):
            for vehicle in range(num_vehicles):
                if touched[vehicle]:
                    _remember(data, tried, vehicle, harvest, harvest_size, seen)


@compiled
def add_left_out(data: Data, state: State, removed: Ints, count: int, random: Generator) -> int:
    """Add orders to those just removed that were left out before and find room now."""
    num_orders = len(state.orders)
    first, begin, limit = count, below(random, num_orders), count + NUM_RETRIED
    for number in range(num_orders):
        order = (begin + number) % num_orders
        if state.orders[order, VEHICLE] == -1 and _finds_room(data, state, order):
            is_new = True
            for other in range(first):
                is_new &= removed[other] != order
            if is_new:
                removed[count] = order
                count += 1
                if count >= limit:
                    break
    return count


@compiled
def _finds_room(data: Data, state: State, order: int) -> bool:
    """Tell whether there is room for some way of an order."""
    for way in range(data.orders[order, WAYS_BEGIN], data.orders[order, WAYS_END]):
        if has_room(data, state, way):
            return True
    return False


@compiled
def _remember(data: Data, state: State, vehicle: int, harvest: Ints, harvest_size: Ints, seen: Ints) -> None:
    """Keep a route that was not seen before."""
    size, number = state.routes[vehicle, SIZE], harvest_size[0]
    if number >= len(harvest) or size == 0 or size + 2 > harvest.shape[1]:
        return
    mark = data.vehicle_class[vehicle] + 1
    for q in range(size):
        leg = state.legs[vehicle, q, LEG]
        if leg != TURN and leg & 1:
            mark += _mixed(leg)
    slot = mark & (len(seen) - 1)
    for _ in range(8):
        if seen[slot] == mark:
            return
        if seen[slot] == 0:
            break
        slot = (slot + 1) & (len(seen) - 1)
    seen[slot] = mark
    harvest[number, 0] = data.vehicle_class[vehicle]
    harvest[number, 1] = size
    for q in range(size):
        harvest[number, 2 + q] = state.legs[vehicle, q, LEG]
    harvest_size[0] = number + 1


@compiled
def _mixed(value: int) -> int:
    """Return a whole number that looks random."""
    value = (value + 1) * 0x9E3779B97F4A7C1
    value ^= value >> 29
    value *= 0x1B873593CC9E2D5
    return value ^ (value >> 31)
