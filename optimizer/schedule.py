"""
A shift on the clock: times, waits, breaks, charges, loads and cost terms. Every route that counts is
evaluated here.

Legs that follow each other at one place are one stop: deliveries come first, then pickups, and the stop
starts at a moment that suits all of them. The run starts as late as its end allows, so that no waiting is
paid that sleeping in could save; then every stop happens as early as possible. A break is taken while the
vehicle stands at a stop, before the stop's work begins, and counts as waiting that nobody works through.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from optimizer.day import Amounts, Leg, VehicleClass
from optimizer.fleet import WorkingTime
from optimizer.solution import CostTerms
from optimizer.visits import OVERLOADS, Failure, Visit, length_m, overload_of, peak_load, visits_of

#: Places for a break that are tried, those first that lengthen the run least.
NUM_BREAKS_TRIED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """
    A feasible route on the clock.

    Parameters
    ----------
    arrivals_s, starts_s
        Of each visit; it ends ``service_s`` after its start.
    """

    visits: Sequence[Visit]
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
        """Time between arrivals and starts, breaks included."""
        return sum(self.starts_s) - sum(self.arrivals_s)


def evaluate(vehicle: VehicleClass, legs: Sequence[Leg]) -> Timetable | Failure:
    """
    Put a route on the clock, or say what it breaks.

    Parameters
    ----------
    vehicle
        Any of its shifts.
    legs
        In the order in which they are done; each pickup before its delivery. A vehicle that is under way may
        have none: then it goes home.
    """
    sets = (leg.shipment.classes for leg in legs)
    if any(classes is not None and vehicle.index not in classes for classes in sets):
        return Failure.VEHICLE
    if vehicle.only_home and legs:
        return Failure.HOMEWARD
    visits = visits_of(legs)
    network = vehicle.network
    if any(network.closed[visit.place] and not visit.is_turn for visit in visits):
        return Failure.ZONE
    peak = peak_load(vehicle, visits)
    for amount, room, failure in zip(peak, vehicle.capacity, OVERLOADS, strict=True):
        if amount > room:
            return failure
    if vehicle.capacity != vehicle.loaded_capacity and (overload := overload_of(vehicle, visits)):
        return overload
    distance_m = length_m(vehicle, visits)
    if isinstance(distance_m, Failure):
        return distance_m
    times = _times(vehicle, visits)
    if isinstance(times, Failure):
        return times
    cost = _cost(vehicle, distance_m, times)
    return Timetable(
        times.visits,
        times.arrivals_s,
        times.starts_s,
        times.start_s,
        times.end_s,
        distance_m,
        peak,
        cost,
        cost.total_cents,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Start of the run, arrivals and starts of service at each visit, end of the run."""

    visits: Sequence[Visit]
    start_s: int
    arrivals_s: list[int]
    starts_s: list[int]
    end_s: int

    @property
    def duration_s(self) -> int:
        """Length of the run."""
        return self.end_s - self.start_s


def _times(vehicle: VehicleClass, visits: Sequence[Visit]) -> Times | Failure:
    """Return the shortest schedule that keeps all limits of time; going straight home is always allowed."""
    times, rules = _without_breaks(vehicle, visits), vehicle.working_time
    if isinstance(times, Failure) or rules is None or _work_kept(vehicle, times) or not visits:
        return times
    failure = Failure.WORKING_TIME
    best: Times | None = None
    for position, break_s in _breaks(vehicle, rules, times):
        paused = [*visits]
        paused[position] = replace(visits[position], break_s=break_s)
        tried = _without_breaks(vehicle, paused)
        if isinstance(tried, Failure) or not _work_kept(vehicle, tried):
            continue
        if best is None or tried.duration_s < best.duration_s:
            best = tried
    return best or failure


def _without_breaks(vehicle: VehicleClass, visits: Sequence[Visit]) -> Times | Failure:
    """Return the shortest schedule that keeps windows, shift, longest run and ride limits."""
    earliest = _forward(vehicle, visits, vehicle.earliest_s)
    if earliest is None:
        return Failure.WINDOW
    if earliest.end_s > vehicle.latest_s:
        return Failure.SHIFT
    if vehicle.under_way:
        return _as_it_comes(vehicle, visits, earliest)
    best: Times | None = None
    failure = Failure.DURATION
    candidate: Times | None = earliest
    # Each turn starts the run later than the last one could, which only a visit with several windows repays.
    while candidate is not None and candidate.end_s <= vehicle.latest_s:
        latest_starts = latest_starts_of(vehicle, visits, candidate.end_s)
        start_s = min(_latest_departure(vehicle, visits, latest_starts, candidate.end_s), vehicle.latest_s)
        times = _forward(vehicle, visits, start_s)
        if times is None:
            break
        is_shorter = best is None or times.duration_s < best.duration_s
        if is_shorter and times.duration_s <= vehicle.max_duration_s:
            kept = _within_rides(times, latest_starts)
            failure = Failure.RIDE if kept is None else failure
            best = kept or best
        gaps = any(len(visit.windows) > 1 for visit in visits)
        candidate = _forward(vehicle, visits, start_s + 1) if gaps and _waits(times) else None
    if best and vehicle.prices.late_per_hour_cents:
        return _less_late(vehicle, best, earliest)
    return best or failure


def _as_it_comes(vehicle: VehicleClass, visits: Sequence[Visit], earliest: Times) -> Times | Failure:
    """Return the schedule of a vehicle that is out already and cannot leave later."""
    if earliest.duration_s > vehicle.max_duration_s:
        return Failure.DURATION
    latest_starts = latest_starts_of(vehicle, visits, earliest.end_s)
    return _within_rides(earliest, latest_starts) or Failure.RIDE


def _less_late(vehicle: VehicleClass, shortest: Times, earliest: Times) -> Times:
    """Return the schedule that starts at once if being less late is worth the waiting."""
    if earliest.duration_s > vehicle.max_duration_s or not _rides_kept(earliest.visits, earliest.starts_s):
        return shortest
    if not _work_kept(vehicle, earliest):
        return shortest
    return min(shortest, earliest, key=lambda times: _cost(vehicle, 0, times).total_cents)


def _forward(vehicle: VehicleClass, visits: Sequence[Visit], start_s: int) -> Times | None:
    """Do every visit as early as possible; ``None`` if a visit comes too late."""
    arrival_s = vehicle.network.arrival_s
    now, here = start_s, vehicle.start
    arrivals: list[int] = []
    starts: list[int] = []
    for visit in visits:
        now += arrival_s[here][visit.place]
        arrivals.append(now)
        now += visit.break_s
        for earliest, latest in visit.windows:
            if now <= latest:
                now = max(now, earliest)
                break
        else:
            return None
        starts.append(now)
        now += visit.service_s
        here = visit.place
    return Times(visits, start_s, arrivals, starts, now + vehicle.network.duration_s[here][vehicle.end])


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
        bound -= visit.break_s
        there = visit.place
    starts.reverse()
    return starts


def _latest_departure(
    vehicle: VehicleClass, visits: Sequence[Visit], latest_starts: Sequence[int], end_s: int
) -> int:
    if not visits:
        return end_s - vehicle.network.duration_s[vehicle.start][vehicle.end]
    first = visits[0]
    return latest_starts[0] - first.break_s - vehicle.network.arrival_s[vehicle.start][first.place]


def _waits(times: Times) -> bool:
    """Tell whether any visit begins later than its arrival and its break make it."""
    return any(idle_s > 0 for idle_s in _idle_s(times))


def _idle_s(times: Times) -> Iterator[int]:
    """Yield how long each visit waits, breaks apart."""
    for visit, arrival_s, start_s in zip(times.visits, times.arrivals_s, times.starts_s, strict=True):
        yield start_s - arrival_s - visit.break_s


def _within_rides(times: Times, latest_starts: Sequence[int]) -> Times | None:
    """Return a schedule that keeps all ride limits: as early as possible, else as late, else none."""
    if _rides_kept(times.visits, times.starts_s):
        return times
    if _rides_kept(times.visits, latest_starts):
        return replace(times, arrivals_s=_late_arrivals(times, latest_starts), starts_s=list(latest_starts))
    return None


def _late_arrivals(times: Times, latest_starts: Sequence[int]) -> list[int]:
    """Return the arrivals when every visit starts as late as possible."""
    visits = times.visits
    arrivals = [times.arrivals_s[0]]
    for position in range(1, len(visits)):
        left_s = times.starts_s[position - 1] + visits[position - 1].service_s
        travel_s = times.arrivals_s[position] - left_s
        arrivals.append(latest_starts[position - 1] + visits[position - 1].service_s + travel_s)
    return arrivals


def _rides_kept(visits: Sequence[Visit], starts: Sequence[int]) -> bool:
    left_shop: dict[int, int] = {}
    for visit, start in zip(visits, starts, strict=True):
        for leg in visit.legs:
            shipment = leg.shipment
            if shipment.ride_limit_s is None:
                continue
            if not leg.is_delivery:
                left_shop[id(shipment)] = start + visit.service_s
                continue
            loaded_s = left_shop[id(shipment)] if shipment.loaded_s is None else shipment.loaded_s
            if start - loaded_s > shipment.ride_limit_s:
                return False
    return True


def _stretches(vehicle: VehicleClass, times: Times) -> list[tuple[int, int]]:
    """Return the periods of unbroken work, the one that was begun before the plan included."""
    way = vehicle.under_way
    began_s = times.start_s if way is None else way.started_s if way.rested_s is None else way.rested_s
    marks = [began_s]
    for visit, arrival_s in zip(times.visits, times.arrivals_s, strict=True):
        if visit.break_s:
            marks += [arrival_s, arrival_s + visit.break_s]
    marks.append(times.end_s)
    return list(zip(marks[::2], marks[1::2], strict=True))


def _work_s(vehicle: VehicleClass, times: Times) -> tuple[int, int]:
    """Return work and breaks of the whole shift, in seconds."""
    way = vehicle.under_way
    break_s = sum(visit.break_s for visit in times.visits) + (way.break_s if way else 0)
    return times.end_s - (way.started_s if way else times.start_s) - break_s, break_s


def _work_kept(vehicle: VehicleClass, times: Times) -> bool:
    """Tell whether a schedule keeps the rules on working time."""
    rules = vehicle.working_time
    if rules is None:
        return True
    work_s, break_s = _work_s(vehicle, times)
    if rules.max_work_s is not None and work_s > rules.max_work_s:
        return False
    if break_s < rules.breaks_s(work_s):
        return False
    longest_s = rules.max_unbroken_s
    return longest_s is None or all(end - begin <= longest_s for begin, end in _stretches(vehicle, times))


def _breaks(vehicle: VehicleClass, rules: WorkingTime, times: Times) -> Iterator[tuple[int, int]]:
    """
    Yield visits before which a break would keep the rules, and how long it would have to be.

    One break in one piece: whoever keeps the longest unbroken work needs no more up to twice that work.
    """
    work_s, taken_s = _work_s(vehicle, times)
    longest_s = rules.max_unbroken_s or work_s
    needed_s = {max(rules.breaks_s(work_s) - taken_s, _LEAST_BREAK_S)}
    needed_s |= {rule.break_s - taken_s for rule in rules.rules if rule.break_s > max(needed_s) + taken_s}
    (began_s, _), *_ = _stretches(vehicle, times)
    idle_s = list(accumulate(_idle_s(times)))
    for break_s in sorted(needed_s):
        fitting = []
        for position, (arrival_s, start_s) in enumerate(zip(times.arrivals_s, times.starts_s, strict=True)):
            waits_s = start_s - arrival_s
            before_s, after_s = arrival_s - began_s, times.end_s - start_s
            # A break may take the place of waiting elsewhere, which shortens the work before or after it.
            least_s = before_s - (idle_s[position] - waits_s), after_s - (idle_s[-1] - idle_s[position])
            if max(least_s) <= longest_s:
                is_sure = max(before_s, after_s) <= longest_s
                lengthens_s, unevenness_s = max(0, break_s - waits_s), abs(before_s - after_s)
                fitting.append((not is_sure, lengthens_s, unevenness_s, position))
        yield from ((position, break_s) for *_, position in sorted(fitting)[:NUM_BREAKS_TRIED])


#: A shorter rest is no break (Arbeitszeitgesetz, section 4).
_LEAST_BREAK_S = 15 * 60


def _cost(vehicle: VehicleClass, distance_m: int, times: Times) -> CostTerms:
    """Return the cost terms, each rounded half up to cents."""
    prices = vehicle.prices
    co2e = distance_m * prices.co2e_g_per_km * prices.co2e_per_kg_cents
    late_s = moved = preference = 0
    for visit, start_s in zip(times.visits, times.starts_s, strict=True):
        for leg in visit.legs:
            if leg.is_delivery:
                preference += leg.shipment.preference_cents
                for promised, latest_s in leg.shipment.promises:
                    moved += promised is not None and promised != vehicle.index
                    late_s += 0 if latest_s is None else max(0, start_s - latest_s)
    return CostTerms(
        fixed_cents=prices.fixed_cents,
        distance_cents=(distance_m * prices.per_km_cents + 500) // 1000,
        time_cents=(times.duration_s * prices.per_hour_cents + 1800) // 3600,
        co2e_cents=(co2e + 500_000) // 1_000_000,
        preference_cents=preference,
        lateness_cents=(late_s * prices.late_per_hour_cents + 1800) // 3600,
        stability_cents=moved * prices.moved_cents,
    )
