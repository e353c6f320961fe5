"""What is left of a day while its plan is carried out, as a problem of its own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from optimizer.checks import require, whole
from optimizer.fleet import OnBoard, UnderWay
from optimizer.places import LATEST_S, TimeWindow
from optimizer.problem import CompartmentDemand, Compartments, Order, Place, Problem, Promise, Vehicle
from optimizer.solution import Route, Solution, Stop

#: A resident who was told a time counts on it within so many seconds.
TOLERANCE_S = 900
#: An order, and the option that its delivery is at.
Delivered = tuple[Order, int]


def remaining(problem: Problem, solution: Solution, now_s: int, tolerance_s: int = TOLERANCE_S) -> Problem:
    """
    Return what is left of a day at a moment of its plan.

    Stops that are done, or that a vehicle drives to, stay as they are; what was loaded there is on board,
    what was delivered is gone and keeps its room. Who is on the way home can do something new only there;
    goods that a vehicle brought home wait where it is.
    Vehicles that are back are gone, too; where an order may be carried by no others, they stay without time
    for it. All other orders are open again, with the promise of their vehicle and time. What has changed
    since (an order that came in or was withdrawn, a vehicle that broke down, a locker that is full) is
    changed in the problem, before or afterwards.

    Parameters
    ----------
    problem
        With a travel matrix for every profile of its vehicles. Orders and vehicles of the plan that it no
        longer has are left out.
    solution
        The plan that is carried out.
    now_s
        Moment, in seconds as in the problem.
    tolerance_s
        How much later than planned a delivery may start without being late.

    Raises
    ------
    ProblemError
        If the moment is negative, a matrix is missing, or the plan names a place or an option that the
        problem does not have.
    """
    whole("now_s", now_s)
    whole("tolerance_s", tolerance_s)
    known = {matrix.profile for matrix in problem.matrices}
    require({v.profile for v in problem.vehicles} <= known, "matrices", "lack a profile of the vehicles")
    _check(problem, solution)
    route_of = {route.vehicle: route for route in solution.routes}
    orders = {order.id: order for order in problem.orders}
    done = [stop for route in solution.routes for stop in _done(route, now_s)]
    delivered = {delivery.order: delivery.option for stop in done for delivery in stop.deliveries}
    promised = {
        delivery.order: Promise(vehicle=route.vehicle, latest_s=stop.start_s + tolerance_s)
        for route in solution.routes
        for stop in route.stops
        for delivery in stop.deliveries
    }
    home = {
        order: (vehicle, route_of[vehicle.id].end_s)
        for vehicle in problem.vehicles
        if vehicle.id in route_of and route_of[vehicle.id].end_s <= now_s
        for order in _brought_home(set(orders), vehicle, route_of[vehicle.id])
    }
    left = [
        _waiting(order, *home[order.id]) if order.id in home else order
        for order in problem.orders
        if order.id not in delivered
    ]
    named = {name for order in left for name in order.vehicles}
    vehicles = [
        _vehicle(problem, vehicle, route_of.get(vehicle.id), now_s)
        or (_without_time(vehicle, now_s) if vehicle.id in named else None)
        for vehicle in problem.vehicles
    ]
    gone = [(orders[name], option) for name, option in delivered.items() if name in orders]
    beyond = [order.options[option].rank for order, option in gone]
    coming = _coming(solution, orders, delivered)
    return replace(
        problem,
        places=tuple(_place(place, gone, coming) for place in problem.places),
        vehicles=tuple(vehicle for vehicle in vehicles if vehicle is not None),
        orders=tuple(replace(order, promise=promised.get(order.id, order.promise)) for order in left),
        rank_limits=tuple(
            replace(limit, most=max(0, limit.most - sum(rank > limit.rank for rank in beyond)))
            for limit in problem.rank_limits
        ),
    )


def _check(problem: Problem, solution: Solution) -> None:
    places, orders = {place.id for place in problem.places}, {order.id: order for order in problem.orders}
    for r, route in enumerate(solution.routes):
        for n, stop in enumerate(route.stops):
            field = f"solution.routes[{r}].stops[{n}]"
            require(stop.place in places, f"{field}.place", f"{stop.place} is unknown")
            for d, delivery in enumerate(stop.deliveries):
                options = orders[delivery.order].options if delivery.order in orders else ()
                is_known = not options or 0 <= delivery.option < len(options)
                require(is_known, f"{field}.deliveries[{d}].option", "is none of the order's")


def _done(route: Route, now_s: int) -> Sequence[Stop]:
    """Return the stops that are done, or being done, and the one that the vehicle drives to."""
    if route.start_s > now_s:
        return ()
    begun = sum(stop.departure_s <= now_s for stop in route.stops)
    return route.stops[: begun + 1]


def _vehicle(problem: Problem, vehicle: Vehicle, route: Route | None, now_s: int) -> Vehicle | None:
    """Return a vehicle as it is now, or ``None`` if it is back, or its shift over."""
    if route is None or route.start_s > now_s:
        earliest_s = max(vehicle.shift.earliest_s, now_s)
        if vehicle.under_way is not None or earliest_s > vehicle.shift.latest_s:
            return vehicle if vehicle.under_way is not None else None
        return replace(vehicle, shift=replace(vehicle.shift, earliest_s=earliest_s))
    if route.end_s <= now_s:
        return None
    done, before = _done(route, now_s), vehicle.under_way
    breaks = [stop for stop in done if stop.break_s]
    rested_s = breaks[-1].arrival_s + breaks[-1].break_s if breaks else before.rested_s if before else None
    places, trips = [stop.place for stop in done], before.trips if before else 1
    if done:
        trips = done[-1].trip + _is_turn(done[-1])
    if not done or route.stops[-1].departure_s <= now_s:
        places, free_s = [*places, vehicle.end_place], route.end_s
    else:
        free_s = max(done[-1].departure_s, now_s)
    return replace(
        vehicle,
        under_way=UnderWay(
            place=places[-1],
            free_s=free_s,
            started_s=before.started_s if before else route.start_s,
            driven_m=_driven_m(problem, vehicle, done, places[-1]),
            trips=trips,
            break_s=sum(stop.break_s for stop in done) + (before.break_s if before else 0),
            rested_s=rested_s,
            on_board=tuple(_on_board({order.id for order in problem.orders}, vehicle, done)),
        ),
    )


def _brought_home(orders: set[str], vehicle: Vehicle, route: Route) -> Iterable[str]:
    """Yield the orders that a vehicle which is back still had on board."""
    return (goods.order for goods in _on_board(orders, vehicle, route.stops))


def _waiting(order: Order, vehicle: Vehicle, since_s: int) -> Order:
    """Return an order whose goods wait where a vehicle has brought them."""
    ready_s = min(order.deadline_s, max(order.ready_s, since_s))
    return replace(order, pickup_place=vehicle.end_place, ready_s=ready_s)


def _without_time(vehicle: Vehicle, now_s: int) -> Vehicle:
    """Return a vehicle whose shift is over, for orders that no other may carry."""
    moment_s = min(now_s, LATEST_S)
    return replace(vehicle, shift=TimeWindow(earliest_s=moment_s, latest_s=moment_s), under_way=None)


def _is_turn(stop: Stop) -> bool:
    return not stop.pickups and not stop.deliveries


def _driven_m(problem: Problem, vehicle: Vehicle, done: Sequence[Stop], to: str) -> int:
    """Return the way since the last charge: past some stops, up to a place."""
    index = {place.id: number for number, place in enumerate(problem.places)}
    matrix = next(matrix for matrix in problem.matrices if matrix.profile == vehicle.profile)
    before = vehicle.under_way
    metres, here = (before.driven_m, before.place) if before else (0, vehicle.start_place)
    for stop in done:
        metres = 0 if _is_turn(stop) else metres + int(matrix.distance_m[index[here], index[stop.place]])
        here = stop.place
    return metres if here == to else metres + int(matrix.distance_m[index[here], index[to]])


def _on_board(orders: set[str], vehicle: Vehicle, done: Sequence[Stop]) -> Iterable[OnBoard]:
    """Yield what is loaded and not delivered."""
    delivered = {delivery.order for stop in done for delivery in stop.deliveries}
    yield from (goods for goods in vehicle.on_board if goods.order not in delivered and goods.order in orders)
    for stop in done:
        for name in stop.pickups:
            if name in orders and name not in delivered:
                yield OnBoard(order=name, loaded_s=stop.departure_s)


def _coming(
    solution: Solution, orders: Mapping[str, Order], delivered: Collection[str]
) -> list[tuple[Order, int]]:
    """Return the orders that the plan delivers later, each with its option."""
    return [
        (orders[delivery.order], delivery.option)
        for route in solution.routes
        for stop in route.stops
        for delivery in stop.deliveries
        if delivery.order in orders and delivery.order not in delivered
    ]


def _place(place: Place, gone: Iterable[Delivered], coming: Iterable[Delivered]) -> Place:
    """Return a place without the room that delivered orders take."""
    here = [order for order, option in gone if order.options[option].place == place.id]
    if not here:
        return place
    stock, limit_cm3 = place.compartments, place.volume_limit_cm3
    if limit_cm3 is not None:
        limit_cm3 = max(0, limit_cm3 - sum(order.volume_cm3 for order in here))
    if stock is not None:
        later = [order for order, option in coming if order.options[option].place == place.id]
        stock = _claimed(stock, here, later)
    return replace(place, compartments=stock, volume_limit_cm3=limit_cm3)


def _claimed(
    stock: tuple[Compartments, ...], here: Sequence[Order], later: Sequence[Order]
) -> tuple[Compartments, ...]:
    """
    Return compartments of which those are claimed that orders have, so that others find one later.

    Whoever has least choice chooses first, and takes the smallest that will do: whenever all can have one,
    all get one.
    """
    demands = [(demand, True) for order in here for demand in order.compartments]
    demands += [(demand, False) for order in later for demand in order.compartments]
    free = [row.free for row in stock]
    claims = [0] * len(stock)
    for demand, is_here in sorted(demands, key=lambda pair: (not pair[0].low, pair[0].size.rank)):
        fitting = [n for n, row in enumerate(stock) if free[n] and _suits(row, demand)]
        if fitting:
            chosen = min(fitting, key=lambda n: (stock[n].size.rank, stock[n].low))
            free[chosen] -= 1
            claims[chosen] += is_here
    return tuple(
        replace(row, forecast=row.forecast + more) if more else row
        for row, more in zip(stock, claims, strict=True)
    )


def _suits(row: Compartments, demand: CompartmentDemand) -> bool:
    return (
        row.temperature == demand.temperature
        and row.size.rank >= demand.size.rank
        and (row.low or not demand.low)
    )
