"""What a route leaves unused: room in the vehicle after each stop, and time until a rule is broken."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from optimizer.fleet import Vehicle
from optimizer.goods import Load
from optimizer.problem import Problem
from optimizer.solution import Route, Stop

#: A period of work, and the first and the last stop whose slip makes it longer.
Stretch = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """
    What a stop leaves unused.

    Parameters
    ----------
    load
        On board after the stop.
    load_share
        Part of the vehicle's capacity that is used after the stop, in the dimension that is fullest; more
        than 1 if the vehicle came with more on board than it may carry.
    slack_s
        Seconds by which the stop's start may slip.
    """

    load: Load
    load_share: float
    slack_s: int


def margins(problem: Problem, route: Route) -> tuple[Margin, ...]:
    """
    Return what each stop of a route leaves unused.

    A stop that starts later pushes what follows, as far as that does not wait anyway: the forward time slack
    [1]_. It may slip until a later stop would miss the opening period that it is planned in or a deadline,
    goods would ride too long, or shift, longest run or working time would be exceeded. Promises may be
    broken, for that only costs.

    Parameters
    ----------
    problem
        No matrices are needed.
    route
        One that breaks no rule.

    References
    ----------
    .. [1] Savelsbergh, M. W. P. (1992). The vehicle routing problem with time windows: Minimizing route
           duration. *ORSA Journal on Computing*, 4(2), 146-154. https://doi.org/10.1287/ijoc.4.2.146
    """
    vehicle = problem.vehicle_by_id[route.vehicle]
    return tuple(
        Margin(load=load, load_share=_share(vehicle, load), slack_s=slack_s)
        for load, slack_s in zip(_loads(problem, route), _slacks_s(problem, route), strict=True)
    )


def _loads(problem: Problem, route: Route) -> Iterator[Load]:
    """Yield the load after each stop."""
    on_board: Counter[str] = Counter()
    for goods in problem.vehicle_by_id[route.vehicle].on_board:
        on_board.update(_amounts(problem, goods.order))
    for stop in route.stops:
        for delivery in stop.deliveries:
            on_board.subtract(_amounts(problem, delivery.order))
        for order in stop.pickups:
            on_board.update(_amounts(problem, order))
        yield Load(**{name: on_board[name] for name in Load.__dataclass_fields__})


def _amounts(problem: Problem, order: str) -> dict[str, int]:
    return dict(zip(Load.__dataclass_fields__, problem.order_by_id[order].load.amounts, strict=True))


def _share(vehicle: Vehicle, load: Load) -> float:
    rooms = zip(load.amounts, vehicle.capacity.amounts, strict=True)
    return round(max((amount / room for amount, room in rooms if room), default=0.0), 4)


@dataclass(frozen=True, slots=True)
class _Limit:
    """What happens after the last stop may come so much later, if a stop from the first on slips."""

    first: int
    last: int
    seconds: int


def _slacks_s(problem: Problem, route: Route) -> list[int]:
    """Return by how much the start of each stop may slip, in seconds."""
    stops = route.stops
    idle_s = list(accumulate(stop.start_s - stop.arrival_s - stop.break_s for stop in stops))
    slacks_s = [0] * len(stops)
    limits = list(_limits(problem, route))
    for number in range(len(stops)):
        slacks_s[number] = min(
            limit.seconds + idle_s[limit.last] - idle_s[number]
            for limit in limits
            if limit.first <= number <= limit.last
        )
    return slacks_s


def _limits(problem: Problem, route: Route) -> Iterator[_Limit]:
    if not route.stops:
        return
    vehicle, last = problem.vehicle_by_id[route.vehicle], len(route.stops) - 1
    yield _Limit(0, last, _latest_end_s(vehicle, route) - route.end_s)
    for number, stop in enumerate(route.stops):
        yield from (_Limit(0, number, latest_s - stop.start_s) for latest_s in _latest_s(problem, stop))
    yield from _ride_limits(problem, vehicle, route)
    rules = vehicle.working_time
    if rules is not None and rules.max_unbroken_s is not None:
        for first, final, begin_s, end_s in _stretches(vehicle, route):
            yield _Limit(first, final, rules.max_unbroken_s - (end_s - begin_s))


def _latest_end_s(vehicle: Vehicle, route: Route) -> int:
    """Return when the run must be over."""
    way, rules = vehicle.under_way, vehicle.working_time
    started_s = way.started_s if way else route.start_s
    moments_s = [vehicle.shift.latest_s]
    if vehicle.max_duration_s is not None:
        moments_s.append(started_s + vehicle.max_duration_s)
    if rules is not None:
        rested_s = sum(stop.break_s for stop in route.stops) + (way.break_s if way else 0)
        works_s = [rule.work_s for rule in rules.rules if rested_s < rule.break_s]
        works_s += [] if rules.max_work_s is None else [rules.max_work_s]
        moments_s += [started_s + rested_s + work_s for work_s in works_s]
    return min(moments_s)


def _latest_s(problem: Problem, stop: Stop) -> Iterator[int]:
    """Yield moments at which a stop must have started; a turn between two trips has none."""
    orders = (*stop.pickups, *(delivery.order for delivery in stop.deliveries))
    yield from (problem.order_by_id[order].deadline_s for order in orders)
    windows = problem.place_by_id[stop.place].windows if orders else ()
    yield from (w.latest_s for w in windows if w.earliest_s <= stop.start_s <= w.latest_s)


def _ride_limits(problem: Problem, vehicle: Vehicle, route: Route) -> Iterator[_Limit]:
    """Yield the limits of goods on board: who slips before loading them lengthens no ride."""
    loaded = {goods.order: (-1, goods.loaded_s) for goods in vehicle.on_board}
    for number, stop in enumerate(route.stops):
        for delivery in stop.deliveries:
            temperatures = problem.order_by_id[delivery.order].temperatures
            limits_s = [problem.max_ride_s[t] for t in temperatures if t in problem.max_ride_s]
            if limits_s:
                loading, loaded_s = loaded[delivery.order]
                yield _Limit(loading + 1, number, min(limits_s) - (stop.start_s - loaded_s))
        loaded.update(dict.fromkeys(stop.pickups, (number, stop.departure_s)))


def _stretches(vehicle: Vehicle, route: Route) -> Iterator[Stretch]:
    """Yield the periods of unbroken work; a break begins on arrival."""
    way, stops = vehicle.under_way, route.stops
    began_s = route.start_s if way is None else way.started_s if way.rested_s is None else way.rested_s
    breaks = [
        (n, stop.arrival_s, stop.arrival_s + stop.break_s) for n, stop in enumerate(stops) if stop.break_s
    ]
    marks = [(0, began_s, began_s), *breaks, (len(stops), route.end_s, route.end_s)]
    for (first, _, begin_s), (behind, end_s, _) in pairwise(marks):
        yield first, behind - 1, begin_s, end_s
