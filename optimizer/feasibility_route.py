"""The part of the independent check that looks at a route: sequence, clock, loads, length and cost."""

from collections.abc import Iterator
from itertools import pairwise

import shapely

from optimizer.problem import NO_WAY, Load, Order, Problem, Temperature, Vehicle
from optimizer.solution import Route, Stop


class RouteCheck:
    """
    Checks routes one after the other.

    Parameters
    ----------
    problem
        With matrices of all profiles; the names in the routes are known to it.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.position = {place.id: index for index, place in enumerate(problem.places)}
        self.matrix = {matrix.profile: matrix for matrix in problem.matrices}
        self.areas = [
            (shapely.make_valid(shapely.Polygon(zone.ring)), zone.forbidden_profiles)
            for zone in problem.zones
        ]

    def violations(self, route: Route) -> Iterator[str]:
        """Yield a sentence for each rule that a route breaks."""
        vehicle = self.problem.vehicle_by_id[route.vehicle]
        yield from self.suitable(route, vehicle)
        yield from self.sequence(route, vehicle)
        yield from self.zones(route, vehicle)
        yield from self.trips(route, vehicle)
        yield from self.clock(route, vehicle)
        yield from self.working_time(route, vehicle)
        yield from self.moments(route)
        yield from self.rides(route)
        yield from self.loads(route, vehicle)
        yield from self.distance(route, vehicle)
        yield from self.cost(route, vehicle)

    def suitable(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        """Orders are carried by vehicles that may and can."""
        for stop in route.stops:
            for order_id in stop.pickups:
                order = self.problem.order_by_id[order_id]
                if order.vehicles and vehicle.id not in order.vehicles:
                    yield f"order {order_id} may not be carried by it"
                for skill in order.skills:
                    if skill not in vehicle.skills:
                        yield f"order {order_id} asks for {skill}"
            for delivery in stop.deliveries:
                if self.problem.order_by_id[delivery.order].transfer_place is not None:
                    yield f"order {delivery.order} changes vehicles, which no plan can do yet"

    def sequence(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        """Every order is picked up where it waits, or on board, then delivered to one of its options."""
        on_board = {goods.order for goods in vehicle.on_board}
        picked_up: set[str] = set()
        if not route.stops and vehicle.under_way is None:
            yield "has no stops"
        for stop in route.stops:
            for delivery in stop.deliveries:
                order = self.problem.order_by_id[delivery.order]
                if order.id not in on_board:
                    yield f"order {order.id} is delivered but not on board"
                on_board.discard(order.id)
                picked_up.discard(order.id)
                if not 0 <= delivery.option < len(order.options):
                    yield f"order {order.id} has no option {delivery.option}"
                elif order.options[delivery.option].place != stop.place:
                    yield f"order {order.id} is not delivered where its option says"
            for order_id in stop.pickups:
                if self.problem.order_by_id[order_id].pickup_place != stop.place:
                    yield f"order {order_id} does not wait at {stop.place}"
                if order_id in on_board:
                    yield f"order {order_id} is picked up twice"
                on_board.add(order_id)
                picked_up.add(order_id)
        for order_id in sorted(picked_up):
            yield f"order {order_id} stays on board"

    def zones(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        closed = [area for area, profiles in self.areas if vehicle.profile in profiles]
        for stop in route.stops if closed else ():
            place = self.problem.place_by_id[stop.place]
            point = shapely.Point(place.longitude, place.latitude)
            if not self._is_turn(stop) and any(area.covers(point) for area in closed):
                yield f"{stop.place} is closed to {vehicle.profile}"

    def trips(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        """Trips are counted, end at the start place, and each is short enough for one charge."""
        way = vehicle.under_way
        trip = way.trips if way else 1
        charge_m = way.driven_m if way else 0
        here = self._start(vehicle)
        for stop in route.stops:
            charge_m += self._metres(vehicle, here, stop.place)
            here = stop.place
            if stop.trip != trip:
                yield f"stop at {stop.place} belongs to trip {trip}, not {stop.trip}"
            if self._is_turn(stop):
                if stop.place != vehicle.start_place:
                    yield f"turns at {stop.place}"
                yield from self._charge(vehicle, charge_m)
                charge_m, trip = 0, trip + 1
        if route.stops or way is None:
            yield from self._charge(vehicle, charge_m + self._metres(vehicle, here, vehicle.end_place))
        if trip > max(vehicle.max_trips, way.trips if way else 1):
            yield f"makes {trip} trips of at most {vehicle.max_trips}"

    def _charge(self, vehicle: Vehicle, metres: int) -> Iterator[str]:
        if vehicle.range_m is not None and metres > vehicle.range_m:
            yield f"drives {metres} m on one charge of {vehicle.range_m}"

    def clock(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        """Times follow from travel, fixed times and handling, and keep the shift and the longest run."""
        way = vehicle.under_way
        if way is None and route.start_s < vehicle.shift.earliest_s:
            yield "starts before the shift"
        if way is not None and route.start_s != way.free_s:
            yield "does not go on when the vehicle is free"
        lasts_s = route.end_s - (way.started_s if way else route.start_s)
        if route.stops or way is None:  # A vehicle that is out may always go straight home.
            if route.end_s > vehicle.shift.latest_s:
                yield "ends after the shift"
            if vehicle.max_duration_s is not None and lasts_s > vehicle.max_duration_s:
                yield "lasts too long"
        now, here, wait_s = route.start_s, self._start(vehicle), 0
        for stop in route.stops:
            now += self._duration_s(vehicle, here, stop.place) + self._parking_s(here, stop.place)
            if stop.arrival_s != now:
                yield f"arrives at {stop.place} at {now}, not at {stop.arrival_s}"
            if stop.break_s < 0 or stop.start_s < stop.arrival_s + stop.break_s:
                yield f"starts at {stop.place} before it arrives and rests"
            wait_s += stop.start_s - stop.arrival_s
            handling_s = vehicle.turnaround_s if self._is_turn(stop) else self._handling_s(stop)
            if stop.departure_s != stop.start_s + handling_s:
                yield f"leaves {stop.place} at a wrong moment"
            now, here = stop.departure_s, stop.place
        if route.end_s != now + self._duration_s(vehicle, here, vehicle.end_place):
            yield "ends at a wrong moment"
        if route.wait_s != wait_s:
            yield "waits for another time than it says"

    def working_time(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        """Whoever drives rests often and long enough; a break begins on arrival."""
        rules, way = vehicle.working_time, vehicle.under_way
        if rules is None or (way is not None and not route.stops):
            return
        breaks = [(stop.arrival_s, stop.break_s) for stop in route.stops if stop.break_s > 0]
        for _, length_s in breaks:
            if length_s < 15 * 60:
                yield f"has a break of {length_s} s, too short to be one"
        rested_s = sum(length_s for _, length_s in breaks) + (way.break_s if way else 0)
        work_s = route.end_s - (way.started_s if way else route.start_s) - rested_s
        if rules.max_work_s is not None and work_s > rules.max_work_s:
            yield f"asks for {work_s} s of work"
        for rule in rules.rules:
            if work_s > rule.work_s and rested_s < rule.break_s:
                yield f"has breaks of {rested_s} s in {work_s} s of work"
        since_s = route.start_s
        if way is not None:
            since_s = way.started_s if way.rested_s is None else way.rested_s
        for moment_s, length_s in [*breaks, (route.end_s, 0)]:
            if rules.max_unbroken_s is not None and moment_s - since_s > rules.max_unbroken_s:
                yield f"asks for {moment_s - since_s} s of work without a break"
            since_s = moment_s + length_s

    def moments(self, route: Route) -> Iterator[str]:
        """Service starts in an opening window, not before goods are ready nor after they are due."""
        for stop in route.stops:
            windows = () if self._is_turn(stop) else self.problem.place_by_id[stop.place].windows
            if windows and not any(w.earliest_s <= stop.start_s <= w.latest_s for w in windows):
                yield f"{stop.place} is closed at {stop.start_s}"
            for order_id in (*stop.pickups, *(delivery.order for delivery in stop.deliveries)):
                order = self.problem.order_by_id[order_id]
                if stop.start_s < order.ready_s:
                    yield f"order {order_id} is not ready at {stop.start_s}"
                if stop.start_s > order.deadline_s:
                    yield f"order {order_id} is late at {stop.start_s}"

    def rides(self, route: Route) -> Iterator[str]:
        vehicle = self.problem.vehicle_by_id[route.vehicle]
        left_shop = {goods.order: goods.loaded_s for goods in vehicle.on_board}
        for stop in route.stops:
            for delivery in stop.deliveries:
                order = self.problem.order_by_id[delivery.order]
                ride_s = stop.start_s - left_shop.get(order.id, stop.start_s)
                for parcel in order.parcels:
                    if ride_s > self.problem.max_ride_s.get(parcel.temperature, ride_s):
                        yield f"order {order.id} spends {ride_s} s in the vehicle"
                        break
            left_shop.update(dict.fromkeys(stop.pickups, stop.departure_s))

    def loads(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        load = [0, 0, 0, 0]
        for goods in vehicle.on_board:
            self._add(load, self.problem.order_by_id[goods.order], 1)
        peak, filled = list(load), [0, 0, 0, 0]
        for stop in route.stops:
            for delivery in stop.deliveries:
                self._add(load, self.problem.order_by_id[delivery.order], -1)
            for order_id in stop.pickups:
                self._add(load, self.problem.order_by_id[order_id], 1)
            peak = [max(most, now) for most, now in zip(peak, load, strict=True)]
            if stop.pickups:  # What is on board from the start is there, whatever it takes.
                filled = [max(most, now) for most, now in zip(filled, load, strict=True)]
        for name, most, room in zip(Load.__dataclass_fields__, filled, vehicle.capacity.amounts, strict=True):
            if most > room:
                yield f"carries {most} of at most {room} {name}"
        if tuple(peak) != route.max_load.amounts:
            yield "carries another load than it says"

    def distance(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        path = [self._start(vehicle), *(stop.place for stop in route.stops), vehicle.end_place]
        for one, other in pairwise(path):
            if self._metres(vehicle, one, other) >= NO_WAY:
                yield f"goes from {one} to {other}, where there is no way"
        metres = self._distance_m(route, vehicle)
        if metres != route.distance_m:
            yield f"is {metres} m long, not {route.distance_m}"

    def cost(self, route: Route, vehicle: Vehicle) -> Iterator[str]:
        metres, cost = self._distance_m(route, vehicle), route.cost
        co2e_g = metres * vehicle.co2e_g_per_km / 1000
        liked = sum(
            self.problem.order_by_id[d.order].options[d.option].preference_penalty_cents
            for stop in route.stops
            for d in stop.deliveries
            if 0 <= d.option < len(self.problem.order_by_id[d.order].options)
        )
        late_s, moved = self._broken_promises(route)
        expected = {
            "fixed_cents": 0.0 if vehicle.under_way else float(vehicle.fixed_cost_cents),
            "distance_cents": metres * vehicle.cost_per_km_cents / 1000,
            "time_cents": (route.end_s - route.start_s) * vehicle.cost_per_hour_cents / 3600,
            "co2e_cents": co2e_g * self.problem.co2e_price_cents_per_kg / 1000,
            "preference_cents": float(liked),
            "lateness_cents": late_s * self.problem.late_cents_per_hour / 3600,
            "stability_cents": float(moved * self.problem.moved_cents),
            "unserved_cents": 0.0,
        }
        for term, value in expected.items():
            if abs(getattr(cost, term) - value) > 0.5 + 1e-6:
                yield f"{term} is {getattr(cost, term)}, not {value:.1f}"
        if abs(route.co2e_g - co2e_g) > 0.5 + 1e-6:
            yield f"emits {co2e_g:.0f} g, not {route.co2e_g}"

    def _broken_promises(self, route: Route) -> tuple[int, int]:
        """Return by how many seconds deliveries are late, and how many orders changed vehicles."""
        late_s = moved = 0
        for stop in route.stops:
            for delivery in stop.deliveries:
                promise = self.problem.order_by_id[delivery.order].promise
                if promise is not None:
                    moved += promise.vehicle not in (None, route.vehicle)
                    if promise.latest_s is not None:
                        late_s += max(0, stop.start_s - promise.latest_s)
        return late_s, moved

    def _start(self, vehicle: Vehicle) -> str:
        return vehicle.under_way.place if vehicle.under_way else vehicle.start_place

    @staticmethod
    def _is_turn(stop: Stop) -> bool:
        return not stop.pickups and not stop.deliveries

    def _duration_s(self, vehicle: Vehicle, one: str, other: str) -> int:
        return int(self.matrix[vehicle.profile].duration_s[self.position[one], self.position[other]])

    def _distance_m(self, route: Route, vehicle: Vehicle) -> int:
        path = [self._start(vehicle), *(stop.place for stop in route.stops), vehicle.end_place]
        return sum(self._metres(vehicle, one, other) for one, other in pairwise(path))

    def _metres(self, vehicle: Vehicle, one: str, other: str) -> int:
        return int(self.matrix[vehicle.profile].distance_m[self.position[one], self.position[other]])

    def _parking_s(self, one: str, other: str) -> int:
        a, b = self.problem.place_by_id[one], self.problem.place_by_id[other]
        side_by_side = (a.latitude, a.longitude) == (b.latitude, b.longitude)
        return 0 if side_by_side else b.stop_duration_s

    def _handling_s(self, stop: Stop) -> int:
        orders = (*stop.pickups, *(delivery.order for delivery in stop.deliveries))
        rows = [self.problem.order_by_id[order] for order in orders]
        parcels_s = sum(p.count * row.handling_s_per_parcel for row in rows for p in row.parcels)
        options = [
            option
            for delivery in stop.deliveries
            for option in self.problem.order_by_id[delivery.order].options
            if option.place == stop.place
        ]
        return parcels_s + sum(option.handling_s for option in options)

    @staticmethod
    def _add(load: list[int], order: Order, sign: int) -> None:
        """Add an order to a load of weight, ambient, chilled and frozen volume."""
        dimension = {Temperature.AMBIENT: 1, Temperature.CHILLED: 2, Temperature.FROZEN: 3}
        for parcel in order.parcels:
            load[0] += sign * parcel.count * parcel.weight_g
            load[dimension[parcel.temperature]] += sign * parcel.count * parcel.volume_cm3
