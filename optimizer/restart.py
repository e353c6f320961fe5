"""Go on from a plan that is known already, and from routes that were seen when it was made."""

from collections.abc import Iterable

from optimizer.insertion import repaired
from optimizer.routes import legs_of
from optimizer.schedule import Timetable, evaluate
from optimizer.search import Search
from optimizer.solution import Route, Solution


def begin(search: Search, start: Solution, routes: Iterable[Route] = ()) -> None:
    """
    Begin a search with a plan, and offer its master more routes.

    Each route is put on the clock of the search's day. What no longer fits is taken out of the plan and waits
    for insertion: orders and vehicles that are gone, orders that a route cannot carry any more or for which
    there is no room. Of the further routes only those that fit as they are can be chosen.
    """
    day = search.day
    waiting = {order.id for order in day.problem.orders}
    known = {route.vehicle: route for route in start.routes if route.vehicle in day.class_of}
    tours = []
    for route in known.values():
        mine = {d.order: d.option for stop in route.stops for d in stop.deliveries if d.order in waiting}
        tour = repaired(day.classes[day.class_of[route.vehicle]], legs_of(day, route, mine))
        waiting -= {day.problem.orders[order].id for s in tour.shipments for order in s.orders}
        tours.append(tour)
    search.adopt(search.with_homeward(search.within_room(search.columns(tours))))
    for route in routes:
        if route.vehicle in day.class_of:
            vehicle = day.classes[day.class_of[route.vehicle]]
            timetable = evaluate(vehicle, legs_of(day, route))
            if isinstance(timetable, Timetable) and timetable.visits:
                search.pool.add(vehicle, timetable)
