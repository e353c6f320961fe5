"""What is left of a day while its plan is carried out, as a problem of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from optimizer.checks import require, whole
from optimizer.fleet import OnBoard, UnderWay
from optimizer.problem import CompartmentDemand, Compartments, Order, Place, Problem, Promise, Vehicle
from optimizer.solution import Route, Solution, Stop

#: A resident who was told a time counts on it within so many seconds.
TOLERANCE_S = 900


def remaining(problem: Problem, solution: Solution, now_s: int, tolerance_s: int = TOLERANCE_S) -> Problem:
    """
    Return what is left of a day at a moment of its plan.

    Stops that are done, or that a vehicle drives to, stay as they are; what was loaded there is on board,
    what was delivered is gone and keeps its room. Vehicles that are back are gone, too. All other orders are
    open again, with the promise of their vehicle and time. What has changed since (an order that came in or
    was withdrawn, a vehicle that broke down, a locker that is full) is changed in the problem, before or
    afterwards.

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
        If the moment is negative, or a matrix is missing.
    """
    whole("now_s", now_s)
    whole("tolerance_s", tolerance_s)
    known = {matrix.profile for matrix in problem.matrices}
    require({v.profile for v in problem.vehicles} <= known, "matrices", "lack a profile of the vehicles")
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
    vehicles = [_vehicle(problem, vehicle, route_of.get(vehicle.id), now_s) for vehicle in problem.vehicles]
    gone = [(orders[name], option) for name, option in delivered.items() if name in orders]
    beyond = [order.options[option].rank for order, option in gone]
    return replace(
        problem,
        places=tuple(_place(place, gone) for place in problem.places),
        vehicles=tuple(vehicle for vehicle in vehicles if vehicle is not None),
        orders=tuple(
            replace(order, promise=promised.get(order.id, order.promise))
            for order in problem.orders
            if order.id not in delivered
        ),
        rank_limits=tuple(
            replace(limit, most=max(0, limit.most - sum(rank > limit.rank for rank in beyond)))
            for limit in problem.rank_limits
        ),
    )


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
    if not done:
        return vehicle
    last = done[-1]
    is_back = not last.pickups and not last.deliveries
    breaks = [stop for stop in done if stop.break_s]
    rested_s = breaks[-1].arrival_s + breaks[-1].break_s if breaks else before.rested_s if before else None
    return replace(
        vehicle,
        under_way=UnderWay(
            place=last.place,
            free_s=max(last.departure_s, now_s),
            started_s=before.started_s if before else route.start_s,
            driven_m=0 if is_back else _driven_m(problem, vehicle, done),
            trips=last.trip + is_back,
            break_s=sum(stop.break_s for stop in done) + (before.break_s if before else 0),
            rested_s=rested_s,
            on_board=tuple(_on_board({order.id for order in problem.orders}, vehicle, done)),
        ),
    )


def _driven_m(problem: Problem, vehicle: Vehicle, done: Sequence[Stop]) -> int:
    """Return the way since the last charge."""
    index = {place.id: number for number, place in enumerate(problem.places)}
    matrix = next(matrix for matrix in problem.matrices if matrix.profile == vehicle.profile)
    before = vehicle.under_way
    metres, here = (before.driven_m, before.place) if before else (0, vehicle.start_place)
    for stop in done:
        metres += int(matrix.distance_m[index[here], index[stop.place]])
        here = stop.place
        if not stop.pickups and not stop.deliveries:
            metres = 0
    return metres


def _on_board(orders: set[str], vehicle: Vehicle, done: Sequence[Stop]) -> Iterable[OnBoard]:
    """Yield what is loaded and not delivered."""
    delivered = {delivery.order for stop in done for delivery in stop.deliveries}
    yield from (goods for goods in vehicle.on_board if goods.order not in delivered and goods.order in orders)
    for stop in done:
        for name in stop.pickups:
            if name in orders and name not in delivered:
                yield OnBoard(order=name, loaded_s=stop.departure_s)


def _place(place: Place, gone: Iterable[tuple[Order, int]]) -> Place:
    """Return a place without the room that delivered orders take."""
    here = [order for order, option in gone if order.options[option].place == place.id]
    if not here:
        return place
    stock, limit_cm3 = place.compartments, place.volume_limit_cm3
    if limit_cm3 is not None:
        limit_cm3 = max(0, limit_cm3 - sum(order.volume_cm3 for order in here))
    if stock is not None:
        demands = [demand for order in here for demand in order.compartments]
        # Whoever has least choice chooses first, and takes the least that suits.
        for demand in sorted(demands, key=lambda d: (not d.low, d.size.rank)):
            stock = _claimed(stock, demand)
    return replace(place, compartments=stock, volume_limit_cm3=limit_cm3)


def _claimed(stock: tuple[Compartments, ...], demand: CompartmentDemand) -> tuple[Compartments, ...]:
    """Return compartments with one more claimed."""
    fitting = [
        row
        for row in stock
        if row.temperature == demand.temperature
        and row.size.rank >= demand.size.rank
        and (row.low or not demand.low)
        and row.free > 0
    ]
    if not fitting:
        return stock
    chosen = min(fitting, key=lambda row: (row.low and not demand.low, row.size.rank))
    return tuple(replace(row, forecast=row.forecast + 1) if row is chosen else row for row in stock)
