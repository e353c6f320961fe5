"""
A day and its routes as arrays, which compiled functions read and change.

A *way* is an order brought to one of its options within one window of each of the two places. Leg ``2 w``
picks way *w* up, leg ``2 w + 1`` delivers it; ``TURN`` is the stop between two trips. A *gap* is where a leg
can be put into a route: before the first leg, between two, or after the last.

There are few arrays with many columns instead of one for each quantity, because each argument of a compiled
function takes time to compile and to pass.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optimizer.compiled import Floats, Ints

#: The leg between two trips.
TURN = -1
#: Later than any moment, longer than any way.
FAR = 10**12
#: Instead of a vehicle: the order travels with one that the search leaves alone.
KEPT = -2

#: Columns of ``Data.classes``; capacity and load on board have four dimensions each.
PROFILE, START, END, BASE, EARLIEST, LATEST, LONGEST = range(7)
FIRST_RANGE, FULL_RANGE, NUM_TRIPS, TURNAROUND, OUT, CAPACITY = range(7, 13)
ON_BOARD = CAPACITY + 4
#: Columns of ``Data.prices``, and tables of ``Data.travel``.
FIXED, PER_M, PER_S = range(3)
METRES, ARRIVAL, SECONDS = range(3)
#: Columns of ``Data.ways``.
ORDER, PICKUP, DELIVERY, PICKUP_FROM, PICKUP_UNTIL, DELIVERY_FROM, DELIVERY_UNTIL = range(7)
LOADING, UNLOADING, CLAIMS_BEGIN, CLAIMS_END = range(7, 11)
#: Columns of ``Data.orders``; the load has four dimensions.
WAYS_BEGIN, WAYS_END, RIDE, LOADED, AMOUNT = range(5)
#: Entries of ``Data.settings``.
BLINK, MEAN_REMOVED, LONGEST_STRING, SPLIT, PLACE_SHARE, ROUTE_SHARE, ANY_SHARE, OPEN_SHARE = range(8)
#: What a ruin tells of vehicles: which one is to stay idle, and which idle one is to be filled first.
EMPTIED, FILLED = range(2)
#: What orders are sorted by before they are inserted.
NUM_KEYS = 7

#: Columns of ``State.legs``.
LEG, PLACE, EARLY, LATE, SERVICE, ONWARD, VISIT = range(7)
#: Columns of ``State.gaps``.
IS_GAP, DONE, TRIP, HEAD = range(4)
TAIL, LOAD = HEAD + 3, HEAD + 6
#: Columns of ``State.routes`` and of ``State.orders``.
SIZE, LENGTH, DURATION, BUSY, DIGEST = range(5)
WAY, VEHICLE = range(2)
#: Entries of ``State.found``, and places that are kept.
CHEAPEST, NUM_FOUND = range(2)
NUM_KEPT = 4


class Data(NamedTuple):
    """
    What does not change in a search: *V* vehicles of *C* classes, *P* profiles, *n* places, *W* ways of *O*
    orders, *R* rows of shared room.

    Parameters
    ----------
    vehicle_class
        Of each vehicle, shape ``(V,)``.
    classes
        For each class the numbers of its profile, start, end and base, earliest and latest moment, longest
        run that leaves time for breaks, range on the first and on a full charge, number of trips, time of a
        turn, 1 if it is under way, capacity, load on board; shape ``(C, 20)``.
    prices
        Cents for a run, a metre and a second; shape ``(C, 3)``.
    travel
        Metres, seconds with the fixed time of the stop, seconds without it; shape ``(P, 3, n, n)``.
    ways
        For each way its order, place of pickup (-1 for what is on board) and of delivery, windows of both,
        time to load and to hand over, and from where to where its claims stand; shape ``(W, 11)``.
    extra
        Cents that a way costs on each class whatever the route, infinite if it cannot; shape ``(W, C)``.
    claims
        Rows of shared room, and how much of them is taken; shape ``(N, 2)``.
    orders
        For each order from where to where its ways stand, longest ride or ``FAR``, when it was loaded or -1,
        its load; shape ``(O, 8)``.
    penalty
        Cents of leaving each order out, shape ``(O,)``.
    near
        Other orders of each order, the most related ones first; shape ``(O, K)``.
    keys
        By which orders are sorted, least first; shape ``(NUM_KEYS, O)``.
    room
        Of each row, shape ``(R,)``.
    settings
        Part of the gaps that are overlooked; orders taken out in the mean, and from one route at most; how
        often some in the middle of a string stay; how often some of a place, all of a route whose vehicle
        then idles, orders anywhere, or orders for an idle vehicle are taken out instead; shape ``(8,)``.
    """

    vehicle_class: Ints
    classes: Ints
    prices: Floats
    travel: NDArray[np.int32]
    ways: Ints
    extra: Floats
    claims: Ints
    orders: Ints
    penalty: Floats
    near: Ints
    keys: Floats
    room: Ints
    settings: Floats


class State(NamedTuple):
    """
    Routes of all vehicles, and one more row to try something in; *M* legs at most, *T* trips.

    Parameters
    ----------
    legs
        For each leg its number, place, window and service, shape ``(V + 1, M, 9)``. Windows count from the
        start of the visit, so they are shifted by what is done before. For the first leg of a visit also the
        gap after that visit, and the visit as a part of a route like those of ``gaps``.
    gaps
        For each gap whether a visit ends there, the service of that visit, the number of the trip, the parts
        of the route before and after it (least duration, and between which moments the part may start to be
        that short), and the load; shape ``(V + 1, M + 1, 13)``.
    trips
        Length of each trip, shape ``(V + 1, T)``.
    routes
        Number of legs, length, duration, duration without waiting, and a digest of the legs, which no two
        routes have in common in practice; shape ``(V + 1, 5)``.
    cents
        Cost of each route, shape ``(V + 1,)``.
    orders
        Way and vehicle of each order, -1 if it is left out; vehicle ``KEPT`` if it is not to be touched;
        shape ``(O, 2)``.
    taken
        Of each row of shared room, shape ``(R,)``.
    total
        Cents of all, shape ``(1,)``.
    work
        To compute with: starts of legs, and when orders left their shop; shape ``(max(M, O), 2)``.
    marks
        To compute with: which vehicles are worth a look, shape ``(V + 1,)``; the last is the mark in use.
    least
        To compute with: cents that a delivery in each gap adds at least, and in any gap from there on; shape
        ``(M + 1, 2)``.
    found, place
        To compute with: cents of the cheapest place so far for an order, and how many were the cheapest
        for a while; the last of these, in turn, as vehicle, way, two gaps and what is done there; shapes
        ``(2,)`` and ``(NUM_KEPT, 5)``.
    hopeless
        To save work: the digest of a route of each vehicle that each way does not fit into, its complement
        if that was seen once only; shape ``(W, V)``.
    detours, detours_of
        To save work: cents of the least detour from a route of each vehicle to each place, and the digest of
        that route; shapes ``(V, n)``.
    """

    legs: Ints
    gaps: Ints
    trips: Ints
    routes: Ints
    cents: Floats
    orders: Ints
    taken: Ints
    total: Floats
    work: Ints
    marks: Ints
    least: Floats
    found: Floats
    place: Ints
    hopeless: Ints
    detours: Floats
    detours_of: Ints


def empty_state(data: Data, max_legs: int) -> State:
    """Return arrays for routes; :func:`optimizer.lns.routes.refresh` fills them."""
    rows, num_orders = len(data.vehicle_class) + 1, len(data.orders)

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, dtype=np.int64)

    return State(
        legs=ints(rows, max_legs, VISIT + 3),
        gaps=ints(rows, max_legs + 1, LOAD + 4),
        trips=ints(rows, int(data.classes[:, NUM_TRIPS].max(initial=1)) + 1),
        routes=ints(rows, DIGEST + 1),
        cents=np.zeros(rows),
        orders=np.full((num_orders, 2), -1, dtype=np.int64),
        taken=ints(len(data.room)),
        total=np.zeros(1),
        work=ints(max(max_legs, num_orders), 2),
        marks=ints(rows),
        least=np.zeros((max_legs + 1, 2)),
        found=np.zeros(2),
        place=ints(NUM_KEPT, 5),
        hopeless=ints(len(data.ways), rows - 1),
        detours=np.zeros((rows - 1, data.travel.shape[2])),
        detours_of=ints(rows - 1, data.travel.shape[2]),
    )
