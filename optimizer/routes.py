"""Columns to the routes of a solution, each given to a vehicle."""

from collections.abc import Iterator, Sequence

from optimizer.day import Day
from optimizer.master import Column
from optimizer.problem import Load
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
