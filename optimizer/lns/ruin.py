"""Which orders are taken out of a plan, in compiled code."""

from optimizer.compiled import Generator, Ints, below, compiled, uniform
from optimizer.lns.arrays import (
    ANY_SHARE,
    CLAIMS_BEGIN,
    CLAIMS_END,
    DELIVERY,
    EMPTIED,
    FILLED,
    LEG,
    LONGEST_STRING,
    MEAN_REMOVED,
    OPEN_SHARE,
    ORDER,
    OUT,
    PICKUP,
    PLACE_SHARE,
    ROUTE_SHARE,
    SIZE,
    SPLIT,
    TURN,
    VEHICLE,
    WAY,
    Data,
    State,
)
from optimizer.lns.routes import refresh


@compiled
def ruin(
    data: Data,
    state: State,
    is_open: Ints,
    random: Generator,
    removed: Ints,
    touched: Ints,
    fleet: Ints,
) -> int:
    """
    Take related orders out of the routes.

    Parameters
    ----------
    data, state
        The day, and the plan to change.
    is_open
        Whether each vehicle may be given something, shape ``(V,)``.
    random
        Generator.
    removed, touched
        Told which orders and vehicles, shapes ``(O + 1,)`` and ``(V,)``; ``touched`` is 1 for a vehicle whose
        route has changed.
    fleet
        Told the vehicles ``EMPTIED`` and ``FILLED``, -1 for none; shape ``(2,)``.

    Returns
    -------
    int
        How many orders are removed.
    """
    fleet[:] = -1
    seed = _carried(data, state, random)
    if seed < 0:
        return 0
    dice = uniform(random)
    if dice < data.settings[PLACE_SHARE]:
        count = _of_a_place(data, state, seed, random, removed)
    elif dice < data.settings[PLACE_SHARE] + data.settings[ROUTE_SHARE]:
        fleet[EMPTIED] = _driven(state, state.orders[seed, VEHICLE], random)
        count = _of_a_route(data, state, fleet[EMPTIED], removed)
    elif dice < data.settings[PLACE_SHARE] + data.settings[ROUTE_SHARE] + data.settings[ANY_SHARE]:
        count = _anywhere(data, state, random, removed)
    elif dice > 1.0 - data.settings[OPEN_SHARE]:
        fleet[FILLED] = _idle(data, state, is_open, random)
        count = _around(data, state, seed, random, removed)
    else:
        count = _strings(data, state, seed, random, removed, touched)
    return take_out(data, state, removed, count, touched)


@compiled
def take_out(data: Data, state: State, removed: Ints, count: int, touched: Ints) -> int:
    """Remove orders from their routes; return how many, for a route that fails without them is emptied."""
    for number in range(count):
        touched[state.orders[removed[number], VEHICLE]] = 2
        _forget(data, state, removed[number])
    for vehicle in range(len(data.vehicle_class)):
        if touched[vehicle] != 2:
            continue
        touched[vehicle] = 1
        before = state.cents[vehicle]
        _close_up(data, state, vehicle)
        kind = data.vehicle_class[vehicle]
        if not refresh(data, state, vehicle, kind):
            # Waiting has moved into the ride of goods that remain.
            for q in range(state.routes[vehicle, SIZE]):
                leg = state.legs[vehicle, q, LEG]
                if leg != TURN and leg & 1:
                    removed[count] = data.ways[leg >> 1, ORDER]
                    _forget(data, state, removed[count])
                    count += 1
            state.routes[vehicle, SIZE] = 0
            refresh(data, state, vehicle, kind)
        state.total[0] += state.cents[vehicle] - before
    return count


@compiled
def _forget(data: Data, state: State, order: int) -> None:
    """Mark an order as left out."""
    way = state.orders[order, WAY]
    for claim in range(data.ways[way, CLAIMS_BEGIN], data.ways[way, CLAIMS_END]):
        state.taken[data.claims[claim, 0]] -= data.claims[claim, 1]
    state.orders[order, WAY] = -1
    state.orders[order, VEHICLE] = -1
    state.total[0] += data.penalty[order]


@compiled
def _close_up(data: Data, state: State, vehicle: int) -> None:
    """Drop the legs of orders that are left out, and turns that no longer stand between two trips."""
    legs, size = state.legs[vehicle], 0
    out = data.classes[data.vehicle_class[vehicle], OUT]
    for q in range(state.routes[vehicle, SIZE]):
        leg = legs[q, LEG]
        if leg == TURN:
            # A charge may well be the first thing that a vehicle does which is out already.
            keeps = legs[size - 1, LEG] != TURN if size else out
        else:
            keeps = state.orders[data.ways[leg >> 1, ORDER], WAY] == leg >> 1
        if keeps:
            legs[size, LEG] = leg
            size += 1
    while size and legs[size - 1, LEG] == TURN:
        size -= 1
    state.routes[vehicle, SIZE] = size


@compiled
def _carried(data: Data, state: State, random: Generator) -> int:
    """Return a random order that is carried, or -1 if that is hard to find."""
    num_orders = len(data.penalty)
    for _ in range(20):
        order = below(random, num_orders)
        if state.orders[order, VEHICLE] >= 0:
            return order
    return -1


@compiled
def _of_a_place(data: Data, state: State, seed: int, random: Generator, removed: Ints) -> int:
    """Choose orders that go where the seed goes, or come from where it comes from."""
    by_pickup = uniform(random) < 0.4 and data.ways[state.orders[seed, WAY], PICKUP] >= 0
    end = PICKUP if by_pickup else DELIVERY
    place = data.ways[state.orders[seed, WAY], end]
    most = 1 + below(random, int(2 * data.settings[MEAN_REMOVED]))
    removed[0] = seed
    count = 1
    for order in data.near[seed]:
        if count >= most:
            break
        if state.orders[order, VEHICLE] >= 0 and data.ways[state.orders[order, WAY], end] == place:
            removed[count] = order
            count += 1
    return count


@compiled
def _of_a_route(data: Data, state: State, vehicle: int, removed: Ints) -> int:
    """Choose all orders of a route."""
    count = 0
    for q in range(state.routes[vehicle, SIZE]):
        leg = state.legs[vehicle, q, LEG]
        if leg != TURN and leg & 1:
            removed[count] = data.ways[leg >> 1, ORDER]
            count += 1
    return count


@compiled
def _driven(state: State, seed: int, random: Generator) -> int:
    """Return a vehicle that is driven, the less loaded one of two: it is the one that others may relieve."""
    vehicle = below(random, len(state.routes) - 1)
    size = state.routes[vehicle, SIZE]
    return vehicle if 0 < size < state.routes[seed, SIZE] else seed


@compiled
def _idle(data: Data, state: State, is_open: Ints, random: Generator) -> int:
    """Return an idle vehicle, or -1."""
    num_vehicles = len(data.vehicle_class)
    for _ in range(10):
        vehicle = below(random, num_vehicles)
        if is_open[vehicle] and state.routes[vehicle, SIZE] == 0:
            return vehicle
    return -1


@compiled
def _around(data: Data, state: State, seed: int, random: Generator, removed: Ints) -> int:
    """Choose some of the orders that are most related to the seed."""
    most = 1 + below(random, int(5 * data.settings[MEAN_REMOVED]))
    removed[0] = seed
    count = 1
    for order in data.near[seed]:
        if count >= most:
            break
        if state.orders[order, VEHICLE] >= 0:
            removed[count] = order
            count += 1
    return count


@compiled
def _anywhere(data: Data, state: State, random: Generator, removed: Ints) -> int:
    """Choose orders at random."""
    count = 0
    for _ in range(int(data.settings[MEAN_REMOVED])):
        order = below(random, len(data.penalty))
        if state.orders[order, VEHICLE] >= 0:
            is_new = True
            for number in range(count):
                is_new &= removed[number] != order
            if is_new:
                removed[count] = order
                count += 1
    return count


@compiled
def _strings(data: Data, state: State, seed: int, random: Generator, removed: Ints, touched: Ints) -> int:
    """
    Choose neighbouring orders in some neighbouring routes [1]_.

    References
    ----------
    .. [1] Christiaens, J. & Vanden Berghe, G. (2020). Slack induction by string removals for vehicle routing
           problems. *Transportation Science*, 54(2), 417-433. https://doi.org/10.1287/trsc.2019.0914
    """
    num_carried, num_used = 0, 0
    for vehicle in range(len(data.vehicle_class)):
        num_used += state.routes[vehicle, SIZE] > 0
        num_carried += state.routes[vehicle, SIZE] // 2
    longest = min(data.settings[LONGEST_STRING], max(1.0, num_carried / max(1, num_used)))
    most_strings = 4.0 * data.settings[MEAN_REMOVED] / (1.0 + longest) - 1.0
    num_strings = int(uniform(random) * max(1.0, most_strings)) + 1
    count = 0
    ruined = 0
    for number in range(-1, len(data.near[seed])):
        order = seed if number < 0 else data.near[seed, number]
        if ruined >= num_strings:
            break
        vehicle = state.orders[order, VEHICLE]
        if vehicle < 0 or touched[vehicle] == 3:
            continue
        most = min(longest, max(1.0, state.routes[vehicle, SIZE] / 2.0))
        length = int(uniform(random) * most) + 1
        count = _string(data, state, order, length, random, removed, count)
        touched[vehicle] = 3
        ruined += 1
    return count


@compiled
def _string(
    data: Data, state: State, order: int, length: int, random: Generator, removed: Ints, count: int
) -> int:
    """Add so many orders around one of its route, some in between left out."""
    vehicle, way = state.orders[order, VEHICLE], state.orders[order, WAY]
    legs, size = state.legs[vehicle], state.routes[vehicle, SIZE]
    half = 0 if data.ways[way, PICKUP] >= 0 and uniform(random) < 0.5 else 1
    middle = 0
    for q in range(size):
        if legs[q, LEG] == 2 * way + half:
            middle = q
    stay = 0
    if length > 2 and uniform(random) < data.settings[SPLIT]:
        stay = 1
        while uniform(random) < 0.5 and stay < size:
            stay += 1
    behind = below(random, length + stay)
    skipped = below(random, length)
    first = count
    removed[count] = order
    count += 1
    # Walk to the left, then to the right; what is seen between two numbers stays.
    seen = 0
    for step in range(1, 2 * size):
        q = middle - step if step <= middle else step
        leftward = step <= middle
        if q >= size or (leftward and seen >= behind):
            if not leftward:
                break
            continue
        if count - first >= length:
            break
        leg = legs[q, LEG]
        if leg == TURN:
            continue
        other = data.ways[leg >> 1, ORDER]
        is_new = True
        for number in range(first, count):
            is_new &= removed[number] != other
        if not is_new:
            continue
        seen += 1
        if skipped < seen <= skipped + stay:
            continue
        removed[count] = other
        count += 1
    return count
