"""
A route on the clock in compiled code: what :mod:`optimizer.schedule` says about legs with one window each.

The least duration of a sequence follows from those of its parts [1]_, so that a change in the middle of a
route is judged without going through the whole of it.

References
----------
.. [1] Vidal, T., Crainic, T. G., Gendreau, M. & Prins, C. (2013). A hybrid genetic algorithm with adaptive
       diversity management for a large class of vehicle routing problems with time-windows. *Computers &
       Operations Research*, 40(1), 475-489. https://doi.org/10.1016/j.cor.2012.07.018
"""

from optimizer.compiled import compiled
from optimizer.lns.arrays import (
    AMOUNT,
    ARRIVAL,
    BASE,
    BUSY,
    CAPACITY,
    DELIVERY,
    DIGEST,
    DONE,
    DURATION,
    EARLIEST,
    EARLY,
    END,
    FAR,
    FIRST_RANGE,
    FIXED,
    FULL_RANGE,
    HEAD,
    IS_GAP,
    LATE,
    LATEST,
    LEG,
    LENGTH,
    LOAD,
    LOADED,
    LOADING,
    LONGEST,
    METRES,
    NUM_TRIPS,
    ON_BOARD,
    ONWARD,
    ORDER,
    OUT,
    PER_M,
    PER_S,
    PICKUP,
    PICKUP_FROM,
    PLACE,
    PROFILE,
    RIDE,
    SECONDS,
    SERVICE,
    SIZE,
    START,
    TAIL,
    TRIP,
    TURN,
    TURNAROUND,
    VISIT,
    Data,
    State,
)

#: Least duration, and between which moments a part of a route may start to be that short.
Part = tuple[int, int, int]


@compiled
def after(one: Part, travel: int, other: Part) -> tuple[int, int, int, bool]:
    """Join two parts of a route; the last number is whether their windows allow it."""
    until = one[0] + travel
    wait = max(other[1] - until - one[2], 0)
    fits = one[1] + until <= other[2]
    return (
        until + other[0] + wait,
        max(other[1] - until, one[1]) - wait,
        min(other[2] - until, one[2]),
        fits,
    )


@compiled
def refresh(data: Data, state: State, row: int, kind: int) -> bool:
    """Derive all that follows from the legs of a route of a class; tell whether it is feasible."""
    _read_legs(data, state, row, kind)
    if not _measured(data, state, row, kind) or not _loaded(data, state, row, kind):
        return False
    if not _timed(data, state, row, kind):
        return False
    _joined(state, row)
    size = state.routes[row, SIZE]
    extra = 0.0
    rides = False
    for q in range(size):
        leg = state.legs[row, q, LEG]
        if leg != TURN and leg & 1:
            extra += data.extra[leg >> 1, kind]
            rides |= data.orders[data.ways[leg >> 1, ORDER], RIDE] < FAR
    if rides and not _rides_kept(data, state, row, kind):
        return False
    if size == 0 and not data.classes[kind, OUT]:
        state.cents[row] = 0.0
    else:
        state.cents[row] = (
            data.prices[kind, FIXED]
            + data.prices[kind, PER_M] * state.routes[row, LENGTH]
            + data.prices[kind, PER_S] * state.routes[row, DURATION]
            + extra
        )
    return bool(state.cents[row] < FAR)


@compiled
def _read_legs(data: Data, state: State, row: int, kind: int) -> None:
    """Look up what each leg asks for; consecutive legs at one place are one visit."""
    size = state.routes[row, SIZE]
    done, digest = 0, 1
    for q in range(size):
        leg = state.legs[row, q, LEG]
        digest = (digest ^ (leg + 2)) * 0x100000001B3
        digest ^= digest >> 32
        if leg == TURN:
            place, early, late, service = data.classes[kind, BASE], 0, FAR, data.classes[kind, TURNAROUND]
        else:
            way, half = leg >> 1, leg & 1
            place = data.ways[way, DELIVERY] if half else data.ways[way, PICKUP]
            early, late = data.ways[way, PICKUP_FROM + 2 * half], data.ways[way, PICKUP_FROM + 2 * half + 1]
            service = data.ways[way, LOADING + half]
        joins = (
            q > 0
            and place == state.legs[row, q - 1, PLACE]
            and leg != TURN
            and state.legs[row, q - 1, LEG] != TURN
        )
        done = done if joins else 0
        state.legs[row, q, PLACE] = place
        state.legs[row, q, EARLY] = early + done
        state.legs[row, q, LATE] = late + done
        state.legs[row, q, SERVICE] = service
        state.gaps[row, q, IS_GAP] = not joins
        done += service
        state.gaps[row, q + 1, DONE] = done
    state.gaps[row, 0, IS_GAP] = True
    state.gaps[row, size, IS_GAP] = True
    state.gaps[row, 0, DONE] = 0
    state.routes[row, DIGEST] = digest


@compiled
def _measured(data: Data, state: State, row: int, kind: int) -> bool:
    """Measure the route and its trips; tell whether there are charges and ways enough."""
    metres = data.travel[data.classes[kind, PROFILE], METRES]
    here, trip, length, total = data.classes[kind, START], 0, 0, 0
    for q in range(state.routes[row, SIZE]):
        state.gaps[row, q, TRIP] = trip
        there = state.legs[row, q, PLACE]
        length += metres[here, there]
        here = there
        if state.legs[row, q, LEG] == TURN:
            if length > (data.classes[kind, FULL_RANGE] if trip else data.classes[kind, FIRST_RANGE]):
                return False
            state.trips[row, trip] = length
            total += length
            trip, length = trip + 1, 0
            if trip >= data.classes[kind, NUM_TRIPS]:
                return False
    length += metres[here, data.classes[kind, END]]
    state.gaps[row, state.routes[row, SIZE], TRIP] = trip
    state.trips[row, trip] = length
    state.routes[row, LENGTH] = total + length
    return bool(length <= (data.classes[kind, FULL_RANGE] if trip else data.classes[kind, FIRST_RANGE]))


@compiled
def _loaded(data: Data, state: State, row: int, kind: int) -> bool:
    """Add up the load at each gap; tell whether it fits wherever a visit ends."""
    for dimension in range(4):
        load, most = data.classes[kind, ON_BOARD + dimension], data.classes[kind, CAPACITY + dimension]
        state.gaps[row, 0, LOAD + dimension] = load
        for q in range(state.routes[row, SIZE]):
            leg = state.legs[row, q, LEG]
            if leg != TURN:
                amount = data.orders[data.ways[leg >> 1, ORDER], AMOUNT + dimension]
                load += -amount if leg & 1 else amount
            state.gaps[row, q + 1, LOAD + dimension] = load
            if load > most and state.gaps[row, q + 1, IS_GAP]:
                return False
    return True


@compiled
def _timed(data: Data, state: State, row: int, kind: int) -> bool:
    """Put the parts before and after each gap on the clock; tell whether windows and longest run are kept."""
    arrival = data.travel[data.classes[kind, PROFILE], ARRIVAL]
    homeward = data.travel[data.classes[kind, PROFILE], SECONDS]
    size = state.routes[row, SIZE]
    latest = data.classes[kind, EARLIEST] if data.classes[kind, OUT] else data.classes[kind, LATEST]
    duration, first, last = 0, data.classes[kind, EARLIEST], latest
    here = data.classes[kind, START]
    for q in range(size):
        state.gaps[row, q, HEAD], state.gaps[row, q, HEAD + 1], state.gaps[row, q, HEAD + 2] = (
            duration,
            first,
            last,
        )
        leg = (state.legs[row, q, SERVICE], state.legs[row, q, EARLY], state.legs[row, q, LATE])
        there = state.legs[row, q, PLACE]
        duration, first, last, fits = after((duration, first, last), arrival[here, there], leg)
        if not fits:
            return False
        here = there
    state.gaps[row, size, HEAD], state.gaps[row, size, HEAD + 1], state.gaps[row, size, HEAD + 2] = (
        duration,
        first,
        last,
    )
    home = (0, 0, data.classes[kind, LATEST])
    duration, first, last, fits = after(
        (duration, first, last), homeward[here, data.classes[kind, END]], home
    )
    state.routes[row, DURATION] = duration
    if not fits or duration > data.classes[kind, LONGEST]:
        return False
    duration, first, last = home
    there, busy = data.classes[kind, END], 0
    state.gaps[row, size, TAIL], state.gaps[row, size, TAIL + 1], state.gaps[row, size, TAIL + 2] = (
        duration,
        first,
        last,
    )
    for q in range(size - 1, -1, -1):
        leg = (state.legs[row, q, SERVICE], state.legs[row, q, EARLY], state.legs[row, q, LATE])
        here = state.legs[row, q, PLACE]
        travel = homeward[here, there] if q == size - 1 else arrival[here, there]
        busy += travel + leg[0]
        duration, first, last, fits = after(leg, travel, (duration, first, last))
        state.gaps[row, q, TAIL], state.gaps[row, q, TAIL + 1], state.gaps[row, q, TAIL + 2] = (
            duration,
            first,
            last,
        )
        there = here
    busy += arrival[data.classes[kind, START], there] if size else homeward[data.classes[kind, START], there]
    state.routes[row, BUSY] = busy
    return True


@compiled
def _joined(state: State, row: int) -> None:
    """Join the legs of each visit."""
    size = state.routes[row, SIZE]
    begin = 0
    for q in range(size):
        leg = (state.legs[row, q, SERVICE], state.legs[row, q, EARLY], state.legs[row, q, LATE])
        if state.gaps[row, q, IS_GAP]:
            begin, visit = q, leg
        else:
            d, b, e, _ = after(visit, 0, leg)
            visit = (d, b, e)
        if state.gaps[row, q + 1, IS_GAP]:
            state.legs[row, begin, VISIT], state.legs[row, begin, VISIT + 1] = visit[0], visit[1]
            state.legs[row, begin, VISIT + 2] = visit[2]
            state.legs[row, begin, ONWARD] = q + 1


@compiled
def _rides_kept(data: Data, state: State, row: int, kind: int) -> bool:
    """Tell whether all goods arrive in time if every visit is made as early, or else as late, as possible."""
    size = state.routes[row, SIZE]
    arrival, homeward = (
        data.travel[data.classes[kind, PROFILE], ARRIVAL],
        data.travel[data.classes[kind, PROFILE], SECONDS],
    )
    whole = after(
        (state.gaps[row, size, HEAD], state.gaps[row, size, HEAD + 1], state.gaps[row, size, HEAD + 2]),
        homeward[state.legs[row, size - 1, PLACE], data.classes[kind, END]],
        (0, 0, data.classes[kind, LATEST]),
    )
    now, here = whole[1], data.classes[kind, START]
    for q in range(size):
        there = state.legs[row, q, PLACE]
        now = max(now + arrival[here, there], state.legs[row, q, EARLY])
        state.work[q, 0] = now
        now += state.legs[row, q, SERVICE]
        here = there
    if _rides_short(data, state, row):
        return True
    until, there = whole[1] + whole[0], data.classes[kind, END]
    for q in range(size - 1, -1, -1):
        here = state.legs[row, q, PLACE]
        until -= (homeward[here, there] if q == size - 1 else arrival[here, there]) + state.legs[
            row, q, SERVICE
        ]
        until = min(until, state.legs[row, q, LATE])
        state.work[q, 0] = until
        there = here
    return _rides_short(data, state, row)


@compiled
def _rides_short(data: Data, state: State, row: int) -> bool:
    """Tell whether no ride is too long, given when the service of each leg starts."""
    first = 0
    for q in range(state.routes[row, SIZE]):
        if not state.gaps[row, q + 1, IS_GAP]:
            continue
        ends = state.work[q, 0] + state.legs[row, q, SERVICE]
        begins = ends - state.gaps[row, q + 1, DONE]
        for other in range(first, q + 1):
            leg = state.legs[row, other, LEG]
            if leg == TURN:
                continue
            order = data.ways[leg >> 1, ORDER]
            if not leg & 1:
                state.work[order, 1] = ends
            elif data.orders[order, RIDE] < FAR:
                left = state.work[order, 1] if data.orders[order, LOADED] < 0 else data.orders[order, LOADED]
                if begins - left > data.orders[order, RIDE]:
                    return False
        first = q + 1
    return True


@compiled
def copy_route(source: State, row: int, target: State, other: int) -> None:
    """Copy a route with all that is derived from it."""
    size = source.routes[row, SIZE]
    # Loops instead of slices: those take ten times as long to compile.
    for q in range(size):
        for column in range(VISIT + 3):
            target.legs[other, q, column] = source.legs[row, q, column]
    for q in range(size + 1):
        for column in range(LOAD + 4):
            target.gaps[other, q, column] = source.gaps[row, q, column]
    for trip in range(source.trips.shape[1]):
        target.trips[other, trip] = source.trips[row, trip]
    for column in range(DIGEST + 1):
        target.routes[other, column] = source.routes[row, column]
    target.cents[other] = source.cents[row]
