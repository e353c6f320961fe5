"""
A route on the clock: times, waits, loads and cost terms. Every route that counts is evaluated here.

Legs that follow each other at one place are one stop: deliveries come first, then pickups, and the stop
starts at a moment that suits all of them. The run starts as late as its end allows, so that no waiting is
paid that sleeping in could save; then every stop happens as early as possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from optimizer.day import Amounts, Leg, VehicleClass, Windows, intersect
from optimizer.solution import CostTerms


class Failure(StrEnum):
    """The first constraint that a route breaks."""

    ZONE = "zone"
    WEIGHT = "weight"
    VOLUME = "volume"
    CHILLED = "chilled"
    FROZEN = "frozen"
    RANGE = "range"
    WINDOW = "window"
    SHIFT = "shift"
    DURATION = "duration"
    RIDE = "ride"


#: What exceeding each dimension of a load is called.
OVERLOADS = (Failure.WEIGHT, Failure.VOLUME, Failure.CHILLED, Failure.FROZEN)


@dataclass(slots=True, eq=False)
class Visit:
    """Consecutive legs at one place, and when service may start there."""

    place: int
    windows: Windows
    service_s: int
    legs: list[Leg]


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """
    A feasible route on the clock.

    Parameters
    ----------
    arrivals_s, starts_s
        Of each visit; it ends ``service_s`` after its start.
    """

    visits: list[Visit]
    arrivals_s: list[int]
    starts_s: list[int]
    start_s: int
    end_s: int
    distance_m: int
    max_load: Amounts
    cost: CostTerms
    cost_cents: int

    @property
    def wait_s(self) -> int:
        """Time between arrivals and starts."""
        return sum(self.starts_s) - sum(self.arrivals_s)


def evaluate(vehicle: VehicleClass, legs: Sequence[Leg]) -> Timetable | Failure:
    """
    Put a route on the clock, or say what it breaks.

    Parameters
    ----------
    vehicle
        Any of its shifts.
    legs
        In the order in which they are done; each pickup before its delivery.
    """
    visits = visits_of(legs)
    network = vehicle.network
    if any(network.closed[visit.place] for visit in visits):
        return Failure.ZONE
    peak = _peak_load(visits)
    for amount, room, failure in zip(peak, vehicle.capacity, OVERLOADS, strict=True):
        if amount > room:
            return failure
    distance_m = _distance_m(vehicle, visits)
    if distance_m > vehicle.range_m:
        return Failure.RANGE
    times = _times(vehicle, visits)
    if isinstance(times, Failure):
        return times
    start_s, arrivals_s, starts_s, end_s = times
    cost = _cost(vehicle, distance_m, end_s - start_s, visits)
    return Timetable(visits, arrivals_s, starts_s, start_s, end_s, distance_m, peak, cost, cost.total_cents)


def visits_of(legs: Sequence[Leg]) -> list[Visit]:
    """
    Join consecutive legs at one place to visits.

    A visit ends early where its legs have no moment in common to start, or where goods just picked up would
    be delivered; the next visit at the place costs neither travel nor the fixed time of a stop.
    """
    visits: list[Visit] = []
    for leg in legs:
        if visits and visits[-1].place == leg.place:
            last = visits[-1]
            common = intersect(last.windows, leg.windows)
            loaded_here = leg.is_delivery and any(other.shipment is leg.shipment for other in last.legs)
            if common and not loaded_here:
                last.windows = common
                last.service_s += leg.handling_s
                last.legs.append(leg)
                continue
        visits.append(Visit(leg.place, leg.windows, leg.handling_s, [leg]))
    return visits


def _peak_load(visits: Sequence[Visit]) -> Amounts:
    """Return the largest load after any visit, in each dimension."""
    weight = volume = chilled = frozen = 0
    most_weight = most_volume = most_chilled = most_frozen = 0
    for visit in visits:
        for leg in visit.legs:
            amounts = leg.shipment.amounts
            sign = -1 if leg.is_delivery else 1
            weight += sign * amounts[0]
            volume += sign * amounts[1]
            chilled += sign * amounts[2]
            frozen += sign * amounts[3]
        most_weight, most_volume = max(most_weight, weight), max(most_volume, volume)
        most_chilled, most_frozen = max(most_chilled, chilled), max(most_frozen, frozen)
    return most_weight, most_volume, most_chilled, most_frozen


def _distance_m(vehicle: VehicleClass, visits: Sequence[Visit]) -> int:
    total, here = 0, vehicle.start
    for visit in visits:
        total += vehicle.network.distance_m[here][visit.place]
        here = visit.place
    return total + vehicle.network.distance_m[here][vehicle.end]


#: Start of the run, arrivals, starts of service, end of the run.
Times = tuple[int, list[int], list[int], int]


def _times(vehicle: VehicleClass, visits: Sequence[Visit]) -> Times | Failure:
    """Return the shortest schedule that keeps windows, shift, longest run and ride limits."""
    earliest = _forward(vehicle, visits, vehicle.earliest_s)
    if earliest is None:
        return Failure.WINDOW
    if earliest[3] > vehicle.latest_s:
        return Failure.SHIFT
    best: Times | None = None
    failure = Failure.DURATION
    candidate: Times | None = earliest
    # Each turn starts the run later than the last one could, which only a visit with several windows repays.
    while candidate is not None and candidate[3] <= vehicle.latest_s:
        latest_starts = latest_starts_of(vehicle, visits, candidate[3])
        start_s = min(_latest_departure(vehicle, visits, latest_starts, candidate[3]), vehicle.latest_s)
        times = _forward(vehicle, visits, start_s)
        if times is None:
            break
        duration_s = times[3] - times[0]
        if duration_s <= vehicle.max_duration_s and (best is None or duration_s < best[3] - best[0]):
            kept = _within_rides(visits, times, latest_starts)
            failure = Failure.RIDE if kept is None else failure
            best = kept or best
        gaps = any(len(visit.windows) > 1 for visit in visits)
        candidate = _forward(vehicle, visits, start_s + 1) if gaps and _waits(times) else None
    return best or failure


def _forward(vehicle: VehicleClass, visits: Sequence[Visit], start_s: int) -> Times | None:
    """Do every visit as early as possible; ``None`` if a visit comes too late."""
    arrival_s = vehicle.network.arrival_s
    now, here = start_s, vehicle.start
    arrivals: list[int] = []
    starts: list[int] = []
    for visit in visits:
        now += arrival_s[here][visit.place]
        arrivals.append(now)
        for earliest, latest in visit.windows:
            if now <= latest:
                now = max(now, earliest)
                break
        else:
            return None
        starts.append(now)
        now += visit.service_s
        here = visit.place
    return start_s, arrivals, starts, now + vehicle.network.duration_s[here][vehicle.end]


def latest_starts_of(vehicle: VehicleClass, visits: Sequence[Visit], end_s: int) -> list[int]:
    """
    Return the latest start of each visit that still lets the run end in time.

    A visit that cannot start in time gets a moment before its first window.
    """
    arrival_s = vehicle.network.arrival_s
    starts: list[int] = []
    bound = end_s
    there = vehicle.end
    for position in range(len(visits) - 1, -1, -1):
        visit = visits[position]
        last = position == len(visits) - 1
        travel_s = (vehicle.network.duration_s if last else arrival_s)[visit.place][there]
        bound -= travel_s + visit.service_s
        for earliest, latest in reversed(visit.windows):
            if bound >= earliest:
                bound = min(bound, latest)
                break
        starts.append(bound)
        there = visit.place
    starts.reverse()
    return starts


def _latest_departure(
    vehicle: VehicleClass, visits: Sequence[Visit], latest_starts: Sequence[int], end_s: int
) -> int:
    if not visits:
        return end_s - vehicle.network.duration_s[vehicle.start][vehicle.end]
    return latest_starts[0] - vehicle.network.arrival_s[vehicle.start][visits[0].place]


def _waits(times: Times) -> bool:
    return any(start > arrival for arrival, start in zip(times[1], times[2], strict=True))


def _within_rides(visits: Sequence[Visit], times: Times, latest_starts: Sequence[int]) -> Times | None:
    """Return a schedule that keeps all ride limits: as early as possible, else as late, else none."""
    if _rides_kept(visits, times[2]):
        return times
    if _rides_kept(visits, latest_starts):
        return times[0], _late_arrivals(times, visits, latest_starts), list(latest_starts), times[3]
    return None


def _late_arrivals(times: Times, visits: Sequence[Visit], latest_starts: Sequence[int]) -> list[int]:
    """Return the arrivals when every visit starts as late as possible."""
    arrivals = [times[1][0]]
    for position in range(1, len(visits)):
        travel_s = times[1][position] - times[2][position - 1] - visits[position - 1].service_s
        arrivals.append(latest_starts[position - 1] + visits[position - 1].service_s + travel_s)
    return arrivals


def _rides_kept(visits: Sequence[Visit], starts: Sequence[int]) -> bool:
    left_shop: dict[int, int] = {}
    for visit, start in zip(visits, starts, strict=True):
        for leg in visit.legs:
            limit = leg.shipment.ride_limit_s
            if limit is None:
                continue
            if not leg.is_delivery:
                left_shop[id(leg.shipment)] = start + visit.service_s
            elif start - left_shop[id(leg.shipment)] > limit:
                return False
    return True


def _cost(vehicle: VehicleClass, distance_m: int, duration_s: int, visits: Sequence[Visit]) -> CostTerms:
    """Return the cost terms, each rounded half up to cents."""
    prices = vehicle.prices
    co2e = distance_m * prices.co2e_g_per_km * prices.co2e_per_kg_cents
    preference = sum(
        leg.shipment.preference_cents for visit in visits for leg in visit.legs if leg.is_delivery
    )
    return CostTerms(
        fixed_cents=prices.fixed_cents,
        distance_cents=(distance_m * prices.per_km_cents + 500) // 1000,
        time_cents=(duration_s * prices.per_hour_cents + 1800) // 3600,
        co2e_cents=(co2e + 500_000) // 1_000_000,
        preference_cents=preference,
    )
