"""From first wishes to a plan of ours: assignment before a peer plans, repair and costs afterwards."""

from collections.abc import Callable, Iterable, Sequence

from optimizer.compartments import Room
from optimizer.day import Day, Leg, Shipment, VehicleClass
from optimizer.insertion import Tour, cheapest_insertion, homeward, idle_tours, repaired
from optimizer.master import Pool
from optimizer.peers.view import Route
from optimizer.reachability import Reachability
from optimizer.routes import routes_of
from optimizer.schedule import Timetable, evaluate
from optimizer.shipments import Assignment
from optimizer.solution import LeftOut, Reason, Solution
from optimizer.visits import Failure

#: Positions of a route that are put on the clock when a shipment is inserted.
NUM_TRIALS = 4


def nearest(day: Day) -> Assignment:
    """
    Return for each order its first wish: least preference penalty, then nearest to the pickup.

    Where the wishes exceed the room there is, the orders dearest to leave out choose first, and the others
    take their next wish that has room, or none.
    """
    reach, room = Reachability(day), Room(day)
    chosen: dict[int, int] = {}
    taken = room.taken(())
    for order in sorted(range(len(day.problem.orders)), key=lambda o: _dearest_first(day, o)):
        for option in sorted(reach.reachable(order), key=lambda k: _wish(day, order, k)):
            claims = room.claims(order, option)
            if room.fits(taken, claims):
                chosen[order] = option
                taken.update(claims)
                break
    return chosen


def _dearest_first(day: Day, order: int) -> tuple[int, int]:
    return -day.problem.orders[order].unserved_penalty_cents, order


def _wish(day: Day, order: int, option: int) -> tuple[int, int, int, int]:
    row = day.problem.orders[order]
    shop, place = day.place_index[row.pickup_place], day.option_place(order, option)
    distance_m = min(network.distance_m[shop][place] for network in day.networks.values())
    wish = row.options[option]
    return wish.preference_penalty_cents, wish.rank, distance_m, option


def finished(day: Day, shipments: Sequence[Shipment], routes: Iterable[Route]) -> Solution:
    """
    Return the plan that a peer's routes make on our clock.

    What no longer fits is dropped and, like all that the peer left, inserted where that costs less than
    leaving it out; what costs more than leaving it out is left out.
    """
    tours = _tours(day, routes)
    carried = {id(shipment) for tour in tours for shipment in tour.shipments}
    left = [s for s in shipments if id(s) not in carried and s.pickup_windows and s.delivery_windows]
    for shipment in sorted(left, key=lambda s: (-s.penalty_cents, s.orders)):
        way = cheapest_insertion(tours, shipment, NUM_TRIALS)
        if way is not None and way.added_cents < shipment.penalty_cents:
            way.tour.drive(way.timetable)
    for tour in tours:
        _drop_what_does_not_pay(tour)
    return _solution(day, tours)


def _tours(day: Day, routes: Iterable[Route]) -> list[Tour]:
    """Return a tour for each shift; routes beyond the shifts of their class stay undriven."""
    idle: dict[int, list[Tour]] = {}
    for tour in idle_tours(day):
        idle.setdefault(tour.vehicle.index, []).append(tour)
    tours = []
    for vehicle, legs in routes:
        if idle[vehicle.index]:
            idle[vehicle.index].pop()
            tours.append(min(repaired(vehicle, legs), _thinned(vehicle, legs), key=_loss_of(legs)))
    return [*tours, *(tour for rest in idle.values() for tour in rest)]


def _thinned(vehicle: VehicleClass, legs: list[Leg]) -> Tour:
    """Return the tour of a route without the shipments that stand against it, cheapest penalties first."""
    timetable = evaluate(vehicle, legs)
    while not isinstance(timetable, Timetable) and legs:
        suspects = list({id(leg.shipment): leg.shipment for leg in legs}.values())
        if timetable == Failure.RIDE:
            suspects = [shipment for shipment in suspects if shipment.ride_limit_s is not None]
        trials = [
            [leg for leg in legs if leg.shipment is not shipment]
            for shipment in sorted(suspects, key=lambda s: (s.penalty_cents, s.orders))
        ]
        legs = next((rest for rest in trials if isinstance(evaluate(vehicle, rest), Timetable)), trials[0])
        timetable = evaluate(vehicle, legs) if legs else timetable
    return Tour(vehicle, timetable if isinstance(timetable, Timetable) else homeward(vehicle))


def _loss_of(legs: Sequence[Leg]) -> Callable[[Tour], int]:
    """Return what tours cost together with what they leave of a route."""

    def loss_cents(tour: Tour) -> int:
        carried = {id(shipment) for shipment in tour.shipments}
        left = (leg.shipment for leg in legs if leg.is_first and id(leg.shipment) not in carried)
        return tour.cost_cents + sum(shipment.penalty_cents for shipment in left)

    return loss_cents


def _drop_what_does_not_pay(tour: Tour) -> None:
    """Leave out shipments that cost more than their penalty, one by one, then all if they do together."""
    for shipment in tour.shipments:
        legs = [leg for leg in tour.legs if leg.shipment is not shipment]
        rest = evaluate(tour.vehicle, legs) if legs else homeward(tour.vehicle)
        cost_cents = rest.cost_cents if isinstance(rest, Timetable) else 0
        if (
            isinstance(rest, Timetable) or not legs
        ) and tour.cost_cents - cost_cents > shipment.penalty_cents:
            tour.drive(rest if isinstance(rest, Timetable) else None)
    home = homeward(tour.vehicle)
    saved_cents = tour.cost_cents - (home.cost_cents if home else 0)
    if saved_cents > sum(shipment.penalty_cents for shipment in tour.shipments):
        tour.drive(home)


def _solution(day: Day, tours: Sequence[Tour]) -> Solution:
    pool = Pool(Room(day))
    columns = [pool.add(tour.vehicle, tour.timetable) for tour in tours if tour.timetable]
    carried = {order for column in columns for order, _ in column.orders}
    left = [order for number, order in enumerate(day.problem.orders) if number not in carried]
    return Solution(
        routes=tuple(routes_of(day, columns)),
        left_out=tuple(
            LeftOut(
                order=order.id,
                reason=Reason.NOT_WORTH_THE_DETOUR,
                sentence="A peer left it out.",
                unserved_penalty_cents=order.unserved_penalty_cents,
            )
            for order in left
        ),
    )
