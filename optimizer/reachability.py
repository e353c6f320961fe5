"""Whether an order could be carried if it were the only one: the first source of reasons."""

from collections.abc import Callable
from dataclasses import replace

from optimizer.day import Day, Shipment, VehicleClass
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import shipment_of
from optimizer.visits import Failure


def alone(vehicle: VehicleClass, shipment: Shipment) -> Timetable | Failure:
    """
    Put a shipment on the clock as if it were all that a vehicle does.

    A vehicle that is out may deliver what it has on board before, and charge at its start place first; each
    one may charge with the goods on board.
    """
    empty = replace(vehicle, on_board_amounts=(0, 0, 0, 0)) if vehicle.on_board else vehicle
    legs = shipment.legs()
    outcome = evaluate(empty, legs)
    if outcome != Failure.RANGE or vehicle.num_trips == 1:
        return outcome
    if vehicle.under_way:
        outcome = evaluate(empty, [vehicle.turn(), *legs])
    between = evaluate(empty, [*legs[:-1], vehicle.turn(), legs[-1]])
    return between if isinstance(between, Timetable) else outcome


class Reachability:
    """What speaks against each option of each order on each class of vehicles, looked up when asked."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._known: dict[tuple[int, int], tuple[Failure | None, ...]] = {}

    def failures(self, order: int, option: int) -> tuple[Failure | None, ...]:
        """
        Return what an option of an order breaks alone on each class of vehicles.

        Returns
        -------
        tuple
            One entry for each of ``day.classes``, ``None`` where nothing is broken.
        """
        key = order, option
        if key not in self._known:
            self._known[key] = self._evaluate(order, option)
        return self._known[key]

    def reachable(self, order: int) -> list[int]:
        """Return the options that some vehicle can serve."""
        options = range(len(self._day.problem.orders[order].options))
        return [option for option in options if None in self.failures(order, option)]

    def explore(self, should_stop: Callable[[], bool]) -> list[int]:
        """Look at orders until told to stop; return those looked at."""
        seen: list[int] = []
        for order in range(len(self._day.problem.orders)):
            if should_stop():
                break
            self.reachable(order)
            seen.append(order)
        return seen

    def _evaluate(self, order: int, option: int) -> tuple[Failure | None, ...]:
        if self._day.problem.orders[order].transfer_place is not None:
            return (Failure.TRANSFER,) * len(self._day.classes)
        shipment = shipment_of(self._day, [order], [option])
        if not all(leg.windows for leg in shipment.legs()):
            return (Failure.WINDOW,) * len(self._day.classes)
        outcomes = [alone(vehicle, shipment) for vehicle in self._day.classes]
        return tuple(outcome if isinstance(outcome, Failure) else None for outcome in outcomes)
