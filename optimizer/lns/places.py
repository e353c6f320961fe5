"""Where in a route an order can be put, and what that adds, in compiled code."""

import numpy as np

from optimizer.compiled import Generator, Ints, compiled, uniform
from optimizer.lns.arrays import (
    AMOUNT,
    ARRIVAL,
    BASE,
    BUSY,
    CAPACITY,
    CHEAPEST,
    DELIVERY,
    DELIVERY_FROM,
    DELIVERY_UNTIL,
    DONE,
    DURATION,
    END,
    FAR,
    FIRST_RANGE,
    FIXED,
    FULL_RANGE,
    HEAD,
    IS_GAP,
    LATEST,
    LEG,
    LENGTH,
    LOAD,
    LOADING,
    LONGEST,
    METRES,
    NUM_FOUND,
    NUM_KEPT,
    NUM_TRIPS,
    ONWARD,
    ORDER,
    OUT,
    PER_M,
    PER_S,
    PICKUP,
    PICKUP_FROM,
    PICKUP_UNTIL,
    PLACE,
    PROFILE,
    RIDE,
    SECONDS,
    SIZE,
    START,
    TAIL,
    TRIP,
    TURN,
    TURNAROUND,
    UNLOADING,
    VISIT,
    Data,
    State,
)
from optimizer.lns.routes import after

#: What a candidate does: inserts legs; ends the route with a new trip; begins it with one; charges first.
INSERT, TRIP_AFTER, TRIP_BEFORE, TURN_FIRST = range(4)


@compiled
def _keep(state: State, value: float, vehicle: int, way: int, first: int, second: int, what: int) -> None:
    """Keep a place that is cheaper than the one before."""
    found = state.found
    if value < found[CHEAPEST]:
        place = state.place[int(found[NUM_FOUND]) % NUM_KEPT]
        place[0] = vehicle
        place[1] = way
        place[2] = first
        place[3] = second
        place[4] = what
        found[CHEAPEST] = value
        found[NUM_FOUND] += 1.0


@compiled
def _exceeds(gaps: Ints, gap: int, room0: int, room1: int, room2: int, room3: int) -> bool:
    """Tell whether the load at a gap leaves too little room in some dimension."""
    return bool(
        gaps[gap, LOAD] > room0
        or gaps[gap, LOAD + 1] > room1
        or gaps[gap, LOAD + 2] > room2
        or gaps[gap, LOAD + 3] > room3
    )


@compiled
def look(
    data: Data,
    state: State,
    vehicle: int,
    kind: int,
    way: int,
    blink: float,
    random: Generator,
) -> None:
    """
    Look at all pairs of gaps of a route, and keep the cheapest candidates.

    A pair is left as soon as the detour of the pickup alone, in metres and in time that no waiting makes up
    for, costs more than what is kept; this holds where no detour is shorter than the direct way. It is one
    function, because calls with all these arrays would cost more than what they do.
    """
    order, size = data.ways[way, ORDER], state.routes[vehicle, SIZE]
    pickup, delivery = data.ways[way, PICKUP], data.ways[way, DELIVERY]
    profile = data.classes[kind, PROFILE]
    metres, arrival, homeward = (
        data.travel[profile, METRES],
        data.travel[profile, ARRIVAL],
        data.travel[profile, SECONDS],
    )
    legs, gaps, found = state.legs[vehicle], state.gaps[vehicle], state.found
    start, end, home_until = data.classes[kind, START], data.classes[kind, END], data.classes[kind, LATEST]
    per_m, per_s, longest = data.prices[kind, PER_M], data.prices[kind, PER_S], data.classes[kind, LONGEST]
    is_idle = size == 0 and not data.classes[kind, OUT]
    base = data.extra[way, kind] + (
        data.prices[kind, FIXED] + per_m * state.routes[vehicle, LENGTH] if is_idle else 0.0
    )
    known = 0 if is_idle else state.routes[vehicle, DURATION]
    loading, unloading = data.ways[way, LOADING], data.ways[way, UNLOADING]
    pickup_from, pickup_until = data.ways[way, PICKUP_FROM], data.ways[way, PICKUP_UNTIL]
    delivery_from, delivery_until = data.ways[way, DELIVERY_FROM], data.ways[way, DELIVERY_UNTIL]
    longest_ride = data.orders[order, RIDE]
    room0 = data.classes[kind, CAPACITY] - data.orders[order, AMOUNT]
    room1 = data.classes[kind, CAPACITY + 1] - data.orders[order, AMOUNT + 1]
    room2 = data.classes[kind, CAPACITY + 2] - data.orders[order, AMOUNT + 2]
    room3 = data.classes[kind, CAPACITY + 3] - data.orders[order, AMOUNT + 3]
    if min(room0, room1, room2, room3) < 0 or size + 3 >= state.legs.shape[1]:
        return
    # What a detour costs at least: waiting may make up for a part of its time, however it is divided.
    free = base + per_s * (loading + unloading + state.routes[vehicle, BUSY] - known)
    least = state.least
    cheapest = np.inf
    for q in range(size, -1, -1):
        if not gaps[q, IS_GAP]:
            continue
        here = legs[q - 1, PLACE] if q else start
        there = legs[q, PLACE] if q < size else end
        travel = arrival if q < size else homeward
        length = metres[here, delivery] + metres[delivery, there] - metres[here, there]
        late = arrival[here, delivery] + travel[delivery, there] - travel[here, there]
        least[q, 0] = per_m * length + per_s * late
        cheapest = min(cheapest, least[q, 0])
        least[q, 1] = cheapest
    first = 0
    while first <= size:
        gap = first
        first = legs[gap, ONWARD] if gap < size else size + 1
        if blink > 0.0 and uniform(random) < blink:
            continue
        if _exceeds(gaps, gap, room0, room1, room2, room3):
            continue
        # What travels on from there joins that visit at the end of it.
        must_return = gap < size and legs[gap, PLACE] == pickup and legs[gap, LEG] != TURN
        here = legs[gap - 1, PLACE] if gap else start
        there = legs[gap, PLACE] if gap < size else end
        travel = arrival if gap < size else homeward
        to_pickup = metres[here, pickup] - metres[here, there]
        pickup_detour = to_pickup + metres[pickup, there]
        late = arrival[here, pickup] - travel[here, there]
        direct = free + per_m * (to_pickup + metres[pickup, delivery] + metres[delivery, there])
        direct += per_s * (late + arrival[pickup, delivery] + travel[delivery, there])
        apart = free + per_m * pickup_detour + per_s * (late + travel[pickup, there])
        worst = found[CHEAPEST]
        if direct >= worst and apart + least[gap, 1] >= worst:
            continue
        shift = gaps[gap, DONE] if gap and here == pickup and legs[gap - 1, LEG] != TURN else 0
        duration, begins, ends, fits = after(
            (gaps[gap, HEAD], gaps[gap, HEAD + 1], gaps[gap, HEAD + 2]),
            arrival[here, pickup],
            (loading, pickup_from + shift, pickup_until + shift),
        )
        if not fits:
            continue
        trip, ride, cur, second, is_full = gaps[gap, TRIP], 0, pickup, gap, must_return
        while True:
            is_last = second == size
            onward = end if is_last else legs[second, PLACE]
            worst = found[CHEAPEST]
            bound = direct if second == gap else apart + least[second, 0]
            if bound < worst and (is_last or onward != delivery or legs[second, LEG] == TURN):
                if second == gap:
                    length = to_pickup + metres[pickup, delivery] + metres[delivery, onward]
                else:
                    length = pickup_detour + metres[cur, delivery] + metres[delivery, onward]
                    length -= metres[cur, onward]
                if ride + arrival[cur, delivery] <= longest_ride and _in_range(
                    data, state, vehicle, kind, trip, second, pickup_detour, length
                ):
                    joins = second > gap and cur == delivery and legs[second - 1, LEG] != TURN
                    shift = gaps[second, DONE] if joins else 0
                    d, b, e, fits = after(
                        (duration, begins, ends),
                        arrival[cur, delivery],
                        (unloading, delivery_from + shift, delivery_until + shift),
                    )
                    if fits:
                        if is_last:
                            d, b, e, fits = after((d, b, e), homeward[delivery, end], (0, 0, home_until))
                        else:
                            d, b, e, fits = after(
                                (d, b, e),
                                arrival[delivery, onward],
                                (gaps[second, TAIL], gaps[second, TAIL + 1], gaps[second, TAIL + 2]),
                            )
                        value = base + per_m * length + per_s * (d - known)
                        if fits and d <= longest and value < worst:
                            _keep(state, value, vehicle, way, gap, second, INSERT)
            if is_last or is_full:
                break
            visit = (legs[second, VISIT], legs[second, VISIT + 1], legs[second, VISIT + 2])
            travelled = arrival[cur, onward]
            ride += travelled + visit[0]
            following = legs[second, ONWARD]
            if ride > longest_ride or apart + least[following, 1] >= found[CHEAPEST]:
                break
            duration, begins, ends, fits = after((duration, begins, ends), travelled, visit)
            if not fits or duration > longest:
                break
            cur, second = onward, following
            if _exceeds(gaps, second, room0, room1, room2, room3):
                if cur != delivery:
                    break
                is_full = True  # Here it can still be delivered, for loads count between visits.


@compiled
def _in_range(
    data: Data, state: State, vehicle: int, kind: int, trip: int, second: int, pickup_detour: int, length: int
) -> bool:
    """Tell whether the trips of pickup and delivery remain within the range of a charge."""
    other = state.gaps[vehicle, second, TRIP]
    most = data.classes[kind, FULL_RANGE] if trip else data.classes[kind, FIRST_RANGE]
    if other == trip:
        return bool(state.trips[vehicle, trip] + length <= most)
    return bool(
        state.trips[vehicle, trip] + pickup_detour <= most
        and state.trips[vehicle, other] + length - pickup_detour <= data.classes[kind, FULL_RANGE]
    )


@compiled
def look_on_board(data: Data, state: State, vehicle: int, kind: int, way: int) -> None:
    """Look at all gaps for the delivery of what is on board."""
    size, delivery = state.routes[vehicle, SIZE], data.ways[way, DELIVERY]
    profile = data.classes[kind, PROFILE]
    metres, arrival, homeward = (
        data.travel[profile, METRES],
        data.travel[profile, ARRIVAL],
        data.travel[profile, SECONDS],
    )
    for gap in range(size + 1):
        if not state.gaps[vehicle, gap, IS_GAP] or (
            gap < size
            and state.legs[vehicle, gap, PLACE] == delivery
            and state.legs[vehicle, gap, LEG] != TURN
        ):
            continue
        here = state.legs[vehicle, gap - 1, PLACE] if gap else data.classes[kind, START]
        there = state.legs[vehicle, gap, PLACE] if gap < size else data.classes[kind, END]
        length = metres[here, delivery] + metres[delivery, there] - metres[here, there]
        if not _in_range(data, state, vehicle, kind, state.gaps[vehicle, gap, TRIP], gap, length, length):
            continue
        joins = gap > 0 and here == delivery and state.legs[vehicle, gap - 1, LEG] != TURN
        shift = state.gaps[vehicle, gap, DONE] if joins else 0
        head = (
            state.gaps[vehicle, gap, HEAD],
            state.gaps[vehicle, gap, HEAD + 1],
            state.gaps[vehicle, gap, HEAD + 2],
        )
        tail = (
            state.gaps[vehicle, gap, TAIL],
            state.gaps[vehicle, gap, TAIL + 1],
            state.gaps[vehicle, gap, TAIL + 2],
        )
        leg = (
            data.ways[way, UNLOADING],
            data.ways[way, DELIVERY_FROM] + shift,
            data.ways[way, DELIVERY_UNTIL] + shift,
        )
        d, b, e, fits = after(head, arrival[here, delivery], leg)
        if not fits:
            continue
        travel = homeward[delivery, there] if gap == size else arrival[delivery, there]
        d, b, e, fits = after((d, b, e), travel, tail)
        if fits and d <= data.classes[kind, LONGEST]:
            value = data.extra[way, kind] + data.prices[kind, PER_M] * length
            value += data.prices[kind, PER_S] * (d - state.routes[vehicle, DURATION])
            _keep(state, value, vehicle, way, gap, gap, INSERT)


@compiled
def look_trip(data: Data, state: State, vehicle: int, kind: int, way: int) -> None:
    """Look at a trip of its own for the way, and at a charge before the first stop."""
    size = state.routes[vehicle, SIZE]
    if state.gaps[vehicle, size, TRIP] + 1 >= data.classes[kind, NUM_TRIPS]:
        return
    arrival, homeward = (
        data.travel[data.classes[kind, PROFILE], ARRIVAL],
        data.travel[data.classes[kind, PROFILE], SECONDS],
    )
    metres = data.travel[data.classes[kind, PROFILE], METRES]
    start, end, base = data.classes[kind, START], data.classes[kind, END], data.classes[kind, BASE]
    pickup, delivery = data.ways[way, PICKUP], data.ways[way, DELIVERY]
    here = state.legs[vehicle, size - 1, PLACE] if size else start
    there = state.legs[vehicle, 0, PLACE] if size else end
    loading = (data.ways[way, LOADING], data.ways[way, PICKUP_FROM], data.ways[way, PICKUP_UNTIL])
    unloading = (data.ways[way, UNLOADING], data.ways[way, DELIVERY_FROM], data.ways[way, DELIVERY_UNTIL])
    turn, home = (data.classes[kind, TURNAROUND], 0, FAR), (0, 0, data.classes[kind, LATEST])
    head = (
        state.gaps[vehicle, size, HEAD],
        state.gaps[vehicle, size, HEAD + 1],
        state.gaps[vehicle, size, HEAD + 2],
    )
    idle = (state.gaps[vehicle, 0, HEAD], state.gaps[vehicle, 0, HEAD + 1], state.gaps[vehicle, 0, HEAD + 2])
    tail = (state.gaps[vehicle, 0, TAIL], state.gaps[vehicle, 0, TAIL + 1], state.gaps[vehicle, 0, TAIL + 2])
    rooms = (
        data.classes[kind, CAPACITY] - data.orders[data.ways[way, ORDER], AMOUNT],
        data.classes[kind, CAPACITY + 1] - data.orders[data.ways[way, ORDER], AMOUNT + 1],
        data.classes[kind, CAPACITY + 2] - data.orders[data.ways[way, ORDER], AMOUNT + 2],
        data.classes[kind, CAPACITY + 3] - data.orders[data.ways[way, ORDER], AMOUNT + 3],
    )
    for what in (TRIP_AFTER, TRIP_BEFORE, TURN_FIRST):
        if (what == TRIP_BEFORE and not size) or (
            what == TURN_FIRST and not (size and data.classes[kind, OUT])
        ):
            continue
        at = size if what == TRIP_AFTER else 0
        if _exceeds(state.gaps[vehicle], at, rooms[0], rooms[1], rooms[2], rooms[3]):
            continue
        length = metres[pickup, delivery]
        if what == TRIP_AFTER:
            length += metres[here, base] + metres[base, pickup] + metres[delivery, end] - metres[here, end]
            d, b, e, one = after(head, arrival[here, base], turn)
            d, b, e, two = after((d, b, e), arrival[base, pickup], loading)
            d, b, e, three = after((d, b, e), arrival[pickup, delivery], unloading)
            d, b, e, four = after((d, b, e), homeward[delivery, end], home)
        elif what == TRIP_BEFORE:
            length += metres[start, pickup] + metres[delivery, base] + metres[base, there]
            length -= metres[start, there]
            d, b, e, one = after(idle, arrival[start, pickup], loading)
            d, b, e, two = after((d, b, e), arrival[pickup, delivery], unloading)
            d, b, e, three = after((d, b, e), arrival[delivery, base], turn)
            d, b, e, four = after((d, b, e), arrival[base, there], tail)
        else:
            length += metres[start, base] + metres[base, pickup] + metres[delivery, there]
            length -= metres[start, there]
            d, b, e, one = after(idle, arrival[start, base], turn)
            d, b, e, two = after((d, b, e), arrival[base, pickup], loading)
            d, b, e, three = after((d, b, e), arrival[pickup, delivery], unloading)
            d, b, e, four = after((d, b, e), arrival[delivery, there], tail)
        fits = _trips_in_range(data, state, vehicle, kind, way, what, here, there)
        if one and two and three and four and fits and d <= data.classes[kind, LONGEST]:
            value = data.extra[way, kind] + data.prices[kind, PER_M] * length
            value += data.prices[kind, PER_S] * (d - state.routes[vehicle, DURATION])
            _keep(state, value, vehicle, way, at, at, what)


@compiled
def _trips_in_range(
    data: Data, state: State, vehicle: int, kind: int, way: int, what: int, here: int, there: int
) -> bool:
    """
    Tell whether charges last for a trip of its own and for the trip that it is put before or after.

    The last place of the route is ``here``, the first one ``there``.
    """
    metres = data.travel[data.classes[kind, PROFILE], METRES]
    start, end, base = data.classes[kind, START], data.classes[kind, END], data.classes[kind, BASE]
    pickup, delivery = data.ways[way, PICKUP], data.ways[way, DELIVERY]
    first, full = data.classes[kind, FIRST_RANGE], data.classes[kind, FULL_RANGE]
    last = state.gaps[vehicle, state.routes[vehicle, SIZE], TRIP]
    alone = metres[pickup, delivery]
    if what == TRIP_AFTER:
        before = state.trips[vehicle, last] - metres[here, end] + metres[here, base]
        after_it = metres[base, pickup] + alone + metres[delivery, end]
        return bool(before <= (full if last else first) and after_it <= full)
    rest = state.trips[vehicle, 0] - metres[start, there]
    if what == TRIP_BEFORE:
        before = metres[start, pickup] + alone + metres[delivery, base]
        return bool(before <= first and rest + metres[base, there] <= full)
    rest += metres[base, pickup] + alone + metres[delivery, there]
    return bool(metres[start, base] <= first and rest <= full)
