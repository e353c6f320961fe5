"""Orders to shipments: what shares shop, supply point, temperatures and window travels as one."""

from collections.abc import Mapping, Sequence

from optimizer.day import Amounts, Day, Shipment, total
from optimizer.problem import Promise

#: Orders whose ready times, and whose deadlines, fall into the same piece of time share a shipment.
WINDOW_S = 1800

#: For each order that is assigned, the index of its option.
Assignment = Mapping[int, int]


def shipment_of(day: Day, orders: Sequence[int], options: Sequence[int]) -> Shipment:
    """
    Return the shipment of some orders with the same pickup and delivery place and the same vehicles.

    It is ready when the last order is, due when the first is, and as sensitive as the most sensitive one.
    Windows may come out empty; then no vehicle can carry it.
    """
    rows = [day.problem.orders[order] for order in orders]
    pickup = day.place_index[rows[0].pickup_place]
    delivery = day.option_place(orders[0], options[0])
    ready_s, deadline_s = max(row.ready_s for row in rows), min(row.deadline_s for row in rows)
    limits = [limit for row in rows if (limit := day.ride_limit_s(row)) is not None]
    chosen = [row.options[option] for row, option in zip(rows, options, strict=True)]
    return Shipment(
        orders=tuple(orders),
        options=tuple(options),
        pickup_place=pickup,
        delivery_place=delivery,
        pickup_windows=day.open_windows(pickup, ready_s, deadline_s),
        delivery_windows=day.open_windows(delivery, ready_s, deadline_s),
        amounts=total([row.load.amounts for row in rows]),
        pickup_handling_s=sum(row.handling_s for row in rows),
        delivery_handling_s=sum(row.handling_s for row in rows) + sum(o.handling_s for o in chosen),
        ride_limit_s=min(limits, default=None),
        preference_cents=sum(option.preference_penalty_cents for option in chosen),
        penalty_cents=sum(row.unserved_penalty_cents for row in rows),
        classes=day.classes_for(orders[0]),
        loaded_s=day.loaded[orders[0]][1] if orders[0] in day.loaded else None,
        promises=tuple(_promise(day, row.promise) for row in rows if row.promise is not None),
    )


def _promise(day: Day, promise: Promise) -> tuple[int | None, int | None]:
    """Return the class and the moment promised."""
    # A vehicle that is gone from the problem, such as one that broke down, is none of its classes.
    vehicle = None if promise.vehicle is None else day.class_of.get(promise.vehicle, -1)
    return vehicle, promise.latest_s


def is_delivered_only(day: Day, shipment: Shipment) -> bool:
    """Tell whether a shipment is on board, or waits where every vehicle starts and takes no time to load."""
    if shipment.is_on_board:
        return True
    if shipment.pickup_handling_s or not shipment.pickup_windows:
        return False
    latest_s = shipment.pickup_windows[-1][1]
    return all(
        vehicle.start == shipment.pickup_place
        and vehicle.under_way is None
        and vehicle.num_trips == 1
        and vehicle.latest_s <= latest_s
        for vehicle in day.classes
    )


def consolidate(day: Day, assignment: Assignment) -> list[Shipment]:
    """
    Return the shipments of an assignment.

    A shipment joins orders of one shop, supply point, set of temperatures, set of vehicles and window, and is
    split where it would exceed the smallest vehicle that can carry each of its orders.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for order, option in sorted(assignment.items()):
        row = day.problem.orders[order]
        window = row.ready_s // WINDOW_S, row.deadline_s // WINDOW_S
        goods = row.temperatures, day.classes_for(order), day.loaded.get(order)
        key = (row.pickup_place, row.options[option].place, *goods, *window)
        groups.setdefault(key, []).append(order)
    return [
        shipment_of(day, part, [assignment[order] for order in part])
        for group in groups.values()
        for part in _split(day, group)
    ]


def _split(day: Day, group: Sequence[int]) -> list[list[int]]:
    """Divide orders into parts that fit the smallest suitable vehicle, first fit by falling weight."""
    loads = {order: day.problem.orders[order].load.amounts for order in group}
    room = _smallest_room(day, list(loads.values()))
    parts: list[list[int]] = []
    for order in sorted(group, key=lambda order: (-loads[order][0], order)):
        for part in parts:
            if _fits(total([loads[other] for other in (*part, order)]), room):
                part.append(order)
                break
        else:
            parts.append([order])
    return [sorted(part) for part in parts]


def _smallest_room(day: Day, loads: Sequence[Amounts]) -> Amounts:
    """Return the capacity of the smallest vehicle that can carry each of the loads, 0 if there is none."""
    suitable = [
        vehicle.capacity for vehicle in day.classes if all(_fits(load, vehicle.capacity) for load in loads)
    ]
    return min(suitable, default=(0, 0, 0, 0))


def _fits(load: Amounts, room: Amounts) -> bool:
    return all(amount <= limit for amount, limit in zip(load, room, strict=True))
