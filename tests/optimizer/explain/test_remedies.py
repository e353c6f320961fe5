"""Every remedy and every price holds: with the change there is a plan that is cheaper by what was told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.problem import Compartments, Place, Problem, Size, Temperature, TimeWindow
from optimizer.solution import Facts, LeftOut, PriceKind, Remedy, RemedyKind
from tests.optimizer.builders import solved
from tests.optimizer.strategies import best_cost_by_enumeration, tiny_problems


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(tiny_problems(), st.integers(0, 3))
def test_each_remedy_and_price_is_what_it_says(problem: Problem, seed: int) -> None:
    solution = solved(problem, iterations=3, seed=seed)

    for left in solution.left_out:
        for remedy in left.remedies:
            changed = with_remedy(problem, left, remedy)
            spent = remedy.facts.get("penalty_cents", left.unserved_penalty_cents)
            more_cents = int(spent) - left.unserved_penalty_cents
            least = best_cost_by_enumeration(changed)
            assert least <= solution.cost_cents + more_cents - remedy.saved_cents, remedy
    for price in solution.prices:
        if price.saved_cents:
            changed = CHANGES_BY_PRICE[price.kind](problem, price.facts)
            assert best_cost_by_enumeration(changed) <= solution.cost_cents - price.saved_cents, price


def with_remedy(problem: Problem, left: LeftOut, remedy: Remedy) -> Problem:
    """Return the problem after a change that helps an order."""
    facts = remedy.facts
    order = problem.order_by_id[left.order]
    seconds = 60 * int(facts.get("minutes", 0))
    of_order: dict[RemedyKind, dict[str, Any]] = {
        RemedyKind.READY_EARLIER: {"ready_s": max(0, order.ready_s - seconds)},
        RemedyKind.DEADLINE_LATER: {"deadline_s": order.deadline_s + seconds},
        RemedyKind.HIGHER_PENALTY: {"unserved_penalty_cents": facts.get("penalty_cents")},
    }
    if remedy.kind in of_order:
        changed = replace(order, **of_order[remedy.kind])
        return replace(problem, orders=tuple(changed if o is order else o for o in problem.orders))
    return CHANGES[remedy.kind](problem, facts)


def with_place(problem: Problem, facts: Facts, change: Callable[[Place], Place]) -> Problem:
    places = (change(place) if place.id == facts["place"] else place for place in problem.places)
    return replace(problem, places=tuple(places))


def open_longer(problem: Problem, facts: Facts) -> Problem:
    seconds = 60 * int(facts["minutes"])

    def change(place: Place) -> Place:
        windows = [replace(window, latest_s=window.latest_s + seconds) for window in place.windows]
        for number in reversed(range(1, len(windows))):
            if windows[number - 1].latest_s >= windows[number].earliest_s:
                joined = TimeWindow(
                    earliest_s=windows[number - 1].earliest_s, latest_s=windows[number].latest_s
                )
                windows[number - 1 : number + 1] = [joined]
        return replace(place, windows=tuple(windows))

    return with_place(problem, facts, change)


def with_compartments(problem: Problem, facts: Facts) -> Problem:
    def change(place: Place) -> Place:
        kind = Temperature(str(facts["temperature"])), Size(str(facts["size"])), facts.get("door") == "low"
        more = int(facts.get("count", 1))
        stock = {(c.temperature, c.size, c.low): c for c in place.compartments or ()}
        none = Compartments(temperature=kind[0], size=kind[1], count=0, low=kind[2])
        present = stock.get(kind, none)
        # What is expected to be claimed by others is not asked to grow.
        stock[kind] = replace(present, count=max(present.count, present.forecast) + more)
        return replace(place, compartments=tuple(stock.values()))

    return with_place(problem, facts, change)


def with_volume(problem: Problem, facts: Facts) -> Problem:
    def change(place: Place) -> Place:
        return replace(place, volume_limit_cm3=(place.volume_limit_cm3 or 0) + int(facts["volume_cm3"]))

    return with_place(problem, facts, change)


def with_better_vehicle(problem: Problem, facts: Facts) -> Problem:
    seconds = 60 * int(facts.get("minutes", 0))
    vehicle = problem.vehicle_by_id[str(facts["vehicle"])]
    room = vehicle.capacity
    more = {
        name: getattr(room, name) + int(facts.get(name, 0))
        for name in ("weight_g", "volume_cm3", "chilled_cm3", "frozen_cm3")
    }
    changed = replace(
        vehicle,
        shift=replace(vehicle.shift, latest_s=vehicle.shift.latest_s + seconds),
        max_duration_s=None if vehicle.max_duration_s is None else vehicle.max_duration_s + seconds,
        range_m=None if vehicle.range_m is None else vehicle.range_m + int(facts.get("distance_m", 0)),
        capacity=replace(room, **more),
    )
    return replace(problem, vehicles=tuple(changed if v is vehicle else v for v in problem.vehicles))


def with_vehicle(problem: Problem, facts: Facts) -> Problem:
    more = replace(problem.vehicle_by_id[str(facts["vehicle"])], id="one-more")
    return replace(problem, vehicles=(*problem.vehicles, more))


CHANGES: dict[RemedyKind, Callable[[Problem, Facts], Problem]] = {
    RemedyKind.LONGER_OPENING: open_longer,
    RemedyKind.LONGER_SHIFT: with_better_vehicle,
    RemedyKind.LONGER_RANGE: with_better_vehicle,
    RemedyKind.LARGER_VEHICLE: with_better_vehicle,
    RemedyKind.MORE_VEHICLES: with_vehicle,
    RemedyKind.MORE_COMPARTMENTS: with_compartments,
    RemedyKind.MORE_VOLUME: with_volume,
}
CHANGES_BY_PRICE: dict[PriceKind, Callable[[Problem, Facts], Problem]] = {
    PriceKind.COMPARTMENTS: with_compartments,
    PriceKind.VEHICLES: with_vehicle,
}
