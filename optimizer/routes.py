"""Columns to the routes of a solution, each given to a vehicle, and routes back to legs."""

from collections.abc import Iterator, Mapping, Sequence

from optimizer.day import Day, Leg
from optimizer.master import Column
from optimizer.problem import Load
from optimizer.shipments import consolidate
from optimizer.solution import Delivery, Route, Stop


def routes_of(day: Day, columns: Sequence[Column]) -> Iterator[Route]:
    """Yield the routes of columns, given to the vehicles of their classes in order."""
    free = {vehicle.index: iter(vehicle.vehicles) for vehicle in day.classes}
    for column in sorted(columns, key=lambda c: (c.vehicle.index, c.timetable.start_s, c.orders)):
        vehicle = day.problem.vehicles[next(free[column.vehicle.index])]
        timetable = column.timetable
        weight, volume, chilled, frozen = timetable.max_load
        yield Route(
            vehicle=vehicle.id,
            start_s=timetable.start_s,
            end_s=timetable.end_s,
            stops=tuple(_stops(day, column)),
            distance_m=timetable.distance_m,
            wait_s=timetable.wait_s,
            co2e_g=(timetable.distance_m * vehicle.co2e_g_per_km + 500) // 1000,
            max_load=Load(weight_g=weight, volume_cm3=volume, chilled_cm3=chilled, frozen_cm3=frozen),
            cost=timetable.cost,
        )


def _stops(day: Day, column: Column) -> Iterator[Stop]:
    orders, timetable = day.problem.orders, column.timetable
    trip = column.vehicle.under_way.trips if column.vehicle.under_way else 1
    for visit, arrival_s, start_s in zip(
        timetable.visits, timetable.arrivals_s, timetable.starts_s, strict=True
    ):
        yield Stop(
            place=day.problem.places[visit.place].id,
            arrival_s=arrival_s,
            start_s=start_s,
            departure_s=start_s + visit.service_s,
            pickups=tuple(
                orders[o].id for leg in visit.legs if not leg.is_delivery for o in leg.shipment.orders
            ),
            deliveries=tuple(
                Delivery(order=orders[o].id, option=k)
                for leg in visit.legs
                if leg.is_delivery
                for o, k in zip(leg.shipment.orders, leg.shipment.options, strict=True)
            ),
            trip=trip,
            break_s=visit.break_s,
        )
        trip += visit.is_turn


def legs_of(day: Day, route: Route, orders: Mapping[str, int] | None = None) -> list[Leg]:
    """
    Return the legs of a route, as the scheduler takes them; the inverse of :func:`routes_of`.

    Orders that are loaded at one stop and delivered at another are one shipment, where the day's
    consolidation would join them. What the day does not know is left out: other orders, options that are
    gone, and both legs of an order of which the route misses one.

    Parameters
    ----------
    day, route
        Of a problem that has the route's vehicle.
    orders
        Option by order, the only ones to keep; by default all that the route delivers.
    """
    delivered = {
        delivery.order: (position, delivery.option)
        for position, stop in enumerate(route.stops)
        for delivery in stop.deliveries
        if _is_known(day, delivery, orders)
    }
    loaded = {order: position for position, stop in enumerate(route.stops) for order in stop.pickups}
    together: dict[tuple[int, int], dict[int, int]] = {}
    for order, (position, option) in delivered.items():
        number = day.order_index[order]
        loaded_at = -1 if number in day.loaded else loaded.get(order, position)
        if loaded_at < position:
            together.setdefault((loaded_at, position), {})[number] = option
    shipment_by_order = {
        day.problem.orders[order].id: shipment
        for part in together.values()
        for shipment in consolidate(day, part)
        for order in shipment.orders
    }
    vehicle = day.classes[day.class_of[route.vehicle]]
    legs: list[Leg] = []
    for stop in route.stops:
        if not stop.pickups and not stop.deliveries:
            legs.append(vehicle.turn())
        named = [d.order for d in stop.deliveries], stop.pickups
        for is_delivery, names in zip((True, False), named, strict=True):
            # Those that travel together are named one after the other.
            for shipment in dict.fromkeys(shipment_by_order[n] for n in names if n in shipment_by_order):
                legs += [leg for leg in shipment.legs() if leg.is_delivery == is_delivery]
    return legs if shipment_by_order else []


def _is_known(day: Day, delivery: Delivery, orders: Mapping[str, int] | None) -> bool:
    number = day.order_index.get(delivery.order)
    if number is None or (orders is not None and orders.get(delivery.order) != delivery.option):
        return False
    return 0 <= delivery.option < len(day.problem.orders[number].options)
