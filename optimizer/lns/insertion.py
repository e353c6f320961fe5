"""Where in which route a way costs least, in compiled code."""

import numpy as np

from optimizer.compiled import Generator, Ints, compiled
from optimizer.lns.arrays import (
    ARRIVAL,
    BUSY,
    CHEAPEST,
    CLAIMS_BEGIN,
    CLAIMS_END,
    DELIVERY,
    DIGEST,
    DURATION,
    END,
    FAR,
    LEG,
    LOADING,
    METRES,
    NUM_FOUND,
    NUM_KEPT,
    NUM_TRIPS,
    ONWARD,
    OUT,
    PER_M,
    PER_S,
    PICKUP,
    PLACE,
    PROFILE,
    SECONDS,
    SIZE,
    START,
    TURN,
    UNLOADING,
    VEHICLE,
    WAY,
    WAYS_BEGIN,
    WAYS_END,
    Data,
    State,
)
from optimizer.lns.places import TRIP_AFTER, TRIP_BEFORE, TURN_FIRST, look, look_on_board, look_trip
from optimizer.lns.routes import copy_route, refresh

#: Legs of a route that is looked at at once, without asking first how far away it is.
SHORT = 8
#: Vehicles whose routes are looked at for an order, besides those that idle.
NUM_VEHICLES = 12
#: Where orders may be: vehicles that are closed to insertions have 0.
Open = Ints


@compiled
def insert_cheapest(
    data: Data,
    state: State,
    order: int,
    limit: float,
    is_open: Open,
    blink: float,
    random: Generator,
) -> int:
    """
    Insert an order where it adds least to the cost, if that is less than ``limit``.

    Parameters
    ----------
    data, state
        The day, and the plan to change.
    order, limit
        Number of the order, and cents.
    is_open
        Whether each vehicle may be given something, shape ``(V,)``.
    random
        Generator.
    blink
        Part of the gaps that are overlooked, so that not every try ends alike.

    Returns
    -------
    int
        The vehicle, or -1.
    """
    begin, scratch = _mark_related(data, state, order), len(data.vehicle_class)
    found, place = state.found, state.place
    found[CHEAPEST], found[NUM_FOUND] = limit, 0.0
    _look_around(data, state, order, limit, begin, is_open, blink, random)
    count = int(found[NUM_FOUND])
    if count == 0 and limit == data.penalty[order]:
        _give_up(data, state, order, is_open)
    for number in range(count - 1, max(-1, count - 1 - NUM_KEPT), -1):
        # The cheapest place may turn out not to be feasible in full; the one before it was cheap, too.
        candidate = place[number % NUM_KEPT]
        vehicle, way = candidate[0], candidate[1]
        kind = data.vehicle_class[vehicle]
        _write(state, vehicle, scratch, way, candidate, data.ways[way, PICKUP] >= 0)
        if refresh(data, state, scratch, kind) and (state.cents[scratch] - state.cents[vehicle] < limit):
            state.total[0] += state.cents[scratch] - state.cents[vehicle] - data.penalty[order]
            copy_route(state, scratch, state, vehicle)
            state.orders[order, WAY] = way
            state.orders[order, VEHICLE] = vehicle
            for claim in range(data.ways[way, CLAIMS_BEGIN], data.ways[way, CLAIMS_END]):
                state.taken[data.claims[claim, 0]] += data.claims[claim, 1]
            return int(vehicle)
    return -1


@compiled
def has_room(data: Data, state: State, way: int) -> bool:
    """Tell whether a way finds the room that it claims."""
    for claim in range(data.ways[way, CLAIMS_BEGIN], data.ways[way, CLAIMS_END]):
        row = data.claims[claim, 0]
        if state.taken[row] + data.claims[claim, 1] > data.room[row]:
            return False
    return True


@compiled
def _look_around(
    data: Data,
    state: State,
    order: int,
    limit: float,
    begin: int,
    is_open: Open,
    blink: float,
    random: Generator,
) -> None:
    """Look at all ways of an order in all vehicles that are marked, from one vehicle on."""
    num_vehicles, knows = len(data.vehicle_class), limit <= data.penalty[order]
    for way in range(data.orders[order, WAYS_BEGIN], data.orders[order, WAYS_END]):
        if not has_room(data, state, way):
            continue
        idle = -1
        for number in range(num_vehicles):
            vehicle = (begin + number) % num_vehicles
            kind = data.vehicle_class[vehicle]
            if not is_open[vehicle] or data.extra[way, kind] >= FAR:
                continue
            if state.routes[vehicle, SIZE] == 0 and not data.classes[kind, OUT]:
                # Vehicles of a class stand side by side; one that idles is like the next.
                if kind == idle:
                    continue
                idle = kind
            elif state.marks[vehicle] != state.marks[num_vehicles]:
                continue
            if knows and state.hopeless[way, vehicle] == state.routes[vehicle, DIGEST]:
                continue
            if state.routes[vehicle, SIZE] > SHORT and _is_far(data, state, vehicle, kind, way):
                continue
            if data.ways[way, PICKUP] < 0:
                look_on_board(data, state, vehicle, kind, way)
                continue
            look(data, state, vehicle, kind, way, blink, random)
            if data.classes[kind, NUM_TRIPS] > 1 and (state.routes[vehicle, SIZE] or data.classes[kind, OUT]):
                look_trip(data, state, vehicle, kind, way)


@compiled
def _is_far(data: Data, state: State, vehicle: int, kind: int, way: int) -> bool:
    """Tell whether the detours to both places show that no pair of gaps is cheaper than what was found."""
    routes, ways = state.routes, data.ways
    pickup, delivery = ways[way, PICKUP], ways[way, DELIVERY]
    seconds = ways[way, LOADING] + ways[way, UNLOADING] + routes[vehicle, BUSY] - routes[vehicle, DURATION]
    least = _least_detour(data, state, vehicle, kind, delivery)
    if pickup >= 0:
        least = max(least, _least_detour(data, state, vehicle, kind, pickup))
    return bool(data.extra[way, kind] + data.prices[kind, PER_S] * seconds + least >= state.found[CHEAPEST])


@compiled
def _least_detour(data: Data, state: State, vehicle: int, kind: int, place: int) -> float:
    """Return the cents of the least detour from a route to a place, without the time spent there."""
    digest, size = state.routes[vehicle, DIGEST], state.routes[vehicle, SIZE]
    if state.detours_of[vehicle, place] == digest:
        return float(state.detours[vehicle, place])
    profile, legs = data.classes[kind, PROFILE], state.legs[vehicle]
    metres, arrival = data.travel[profile, METRES], data.travel[profile, ARRIVAL]
    per_m, per_s = data.prices[kind, PER_M], data.prices[kind, PER_S]
    least, gap = np.inf, 0
    while gap <= size:
        is_last = gap == size
        here = legs[gap - 1, PLACE] if gap else data.classes[kind, START]
        there = data.classes[kind, END] if is_last else legs[gap, PLACE]
        travel = data.travel[profile, SECONDS] if is_last else arrival
        length = metres[here, place] + metres[place, there] - metres[here, there]
        late = arrival[here, place] + travel[place, there] - travel[here, there]
        least = min(least, per_m * length + per_s * late)
        gap = size + 1 if is_last else legs[gap, ONWARD]
    state.detours[vehicle, place] = least
    state.detours_of[vehicle, place] = digest
    return float(least)


@compiled
def _give_up(data: Data, state: State, order: int, is_open: Open) -> None:
    """
    Remember into which routes an order does not fit for less than its penalty.

    What is seen once may be due to a gap that was overlooked; twice it is taken for granted.
    """
    num_vehicles = len(data.vehicle_class)
    for way in range(data.orders[order, WAYS_BEGIN], data.orders[order, WAYS_END]):
        if not has_room(data, state, way):
            continue
        for vehicle in range(num_vehicles):
            if not is_open[vehicle] or state.marks[vehicle] != state.marks[num_vehicles]:
                continue
            digest = state.routes[vehicle, DIGEST]
            if state.hopeless[way, vehicle] == ~digest:
                state.hopeless[way, vehicle] = digest
            elif state.hopeless[way, vehicle] != digest:
                state.hopeless[way, vehicle] = ~digest


@compiled
def _mark_related(data: Data, state: State, order: int) -> int:
    """
    Mark the vehicles that carry related orders; of a large fleet others are not looked at.

    Returns
    -------
    int
        The vehicle of the most related order, or 0: what is cheap there spares looking closely elsewhere.
    """
    num_vehicles = len(data.vehicle_class)
    state.marks[num_vehicles] += 1
    mark, best, count = state.marks[num_vehicles], -1, 0
    for other in data.near[order]:
        vehicle = state.orders[other, VEHICLE]
        if vehicle < 0 or state.marks[vehicle] == mark:
            continue
        state.marks[vehicle] = mark
        count += 1
        if best < 0:
            best = vehicle
        if count == NUM_VEHICLES:
            break
    if count < NUM_VEHICLES:
        for vehicle in range(num_vehicles):
            state.marks[vehicle] = mark
    return max(0, best)


@compiled
def _write(state: State, vehicle: int, scratch: int, way: int, candidate: Ints, has_pickup: bool) -> None:
    """Write the route of a candidate into the row where things are tried."""
    first, second, what = candidate[2], candidate[3], candidate[4]
    size, position = state.routes[vehicle, SIZE], 0
    if what == TURN_FIRST:
        state.legs[scratch, position, LEG] = TURN
        position += 1
    for q in range(size + 1):
        if q == first:
            if what == TRIP_AFTER:
                state.legs[scratch, position, LEG] = TURN
                position += 1
            if has_pickup:
                state.legs[scratch, position, LEG] = 2 * way
                position += 1
        if q == second:
            state.legs[scratch, position, LEG] = 2 * way + 1
            position += 1
            if what == TRIP_BEFORE:
                state.legs[scratch, position, LEG] = TURN
                position += 1
        if q < size:
            state.legs[scratch, position, LEG] = state.legs[vehicle, q, LEG]
            position += 1
    state.routes[scratch, SIZE] = position
