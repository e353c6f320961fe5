"""
Problems on a straight road: a place lies at a number of kilometres, every kilometre takes 100 seconds.

Each builder has a default for everything, so a test names only what matters; what a builder does not know
is handed on to the class it builds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optimizer.problem import (
    NO_WAY,
    CompartmentDemand,
    Compartments,
    DeliveryOption,
    Load,
    OnBoard,
    Order,
    ParcelClass,
    Place,
    Problem,
    Profile,
    Size,
    Temperature,
    TimeWindow,
    TravelMatrix,
    UnderWay,
    Vehicle,
    Zone,
)
from optimizer.result import Result
from optimizer.solution import LeftOut, Solution
from optimizer.solve import solve

EIGHT = 8 * 3600
SIX_PM = 18 * 3600
SECONDS_PER_KM = 100


def a_place(
    name: str = "shop",
    km: float = 0.0,
    *,
    windows: Sequence[tuple[int, int]] = (),
    stop_duration_s: int = 0,
    compartments: Sequence[tuple[Temperature, Size, int] | tuple[Temperature, Size, int, bool]] | None = None,
    volume_limit_cm3: int | None = None,
) -> Place:
    stock = None if compartments is None else tuple(some_compartments(*kind) for kind in compartments)
    return Place(
        id=name,
        latitude=52 + km / 111,
        longitude=9.0,
        windows=tuple(TimeWindow(earliest_s=a, latest_s=b) for a, b in windows),
        stop_duration_s=stop_duration_s,
        compartments=stock,
        volume_limit_cm3=volume_limit_cm3,
    )


def some_compartments(temperature: Temperature, size: Size, count: int, low: bool = False) -> Compartments:
    return Compartments(temperature=temperature, size=size, count=count, low=low)


def a_vehicle(
    name: str = "van",
    *,
    profile: str = "van",
    start: str = "hub",
    end: str = "hub",
    shift: tuple[int, int] = (EIGHT, SIX_PM),
    capacity: Load | None = None,
    max_duration_s: int | None = None,
    range_m: int | None = None,
    fixed_cost_cents: int = 100,
    cost_per_km_cents: int = 10,
    cost_per_hour_cents: int = 360,
    co2e_g_per_km: int = 0,
    **more: Any,
) -> Vehicle:
    return Vehicle(
        id=name,
        profile=profile,
        start_place=start,
        end_place=end,
        shift=TimeWindow(earliest_s=shift[0], latest_s=shift[1]),
        capacity=capacity or Load(weight_g=10**6, volume_cm3=10**7, chilled_cm3=10**6, frozen_cm3=10**6),
        max_duration_s=max_duration_s,
        range_m=range_m,
        fixed_cost_cents=fixed_cost_cents,
        cost_per_km_cents=cost_per_km_cents,
        cost_per_hour_cents=cost_per_hour_cents,
        co2e_g_per_km=co2e_g_per_km,
        **more,
    )


def under_way(
    place: str = "shop",
    free_s: int = EIGHT + 500,
    *,
    started_s: int = EIGHT,
    on_board: Sequence[str] = (),
    loaded_s: int | None = None,
    **more: Any,
) -> UnderWay:
    """Build a vehicle's state; by default its last stop is over at the moment at which it is free."""
    moment_s = free_s if loaded_s is None else loaded_s
    return UnderWay(
        place=place,
        free_s=free_s,
        started_s=started_s,
        on_board=tuple(OnBoard(order=name, loaded_s=moment_s) for name in on_board),
        **more,
    )


def an_order(
    name: str = "order",
    *,
    pickup: str = "shop",
    to: str | Mapping[str, int] = "point",
    ready_s: int = EIGHT,
    deadline_s: int = SIX_PM,
    temperature: Temperature = Temperature.AMBIENT,
    size: Size = Size.S,
    count: int = 1,
    volume_cm3: int = 10_000,
    weight_g: int = 1_000,
    penalty_cents: int = 100_000,
    handling_s: int = 0,
    low: bool = False,
    ranks: Sequence[int] = (),
    option_handling_s: int = 0,
    **more: Any,
) -> Order:
    """
    Build an order; ``to`` names its place, or its places with their preference penalties.

    Its options have the ``ranks`` given, by default 0, and each takes ``option_handling_s``.
    """
    options = {to: 0} if isinstance(to, str) else to
    ranked = zip(options.items(), ranks or [0] * len(options), strict=True)
    return Order(
        id=name,
        household=f"household of {name}",
        pickup_place=pickup,
        ready_s=ready_s,
        deadline_s=deadline_s,
        parcels=(
            ParcelClass(
                size=size, temperature=temperature, count=count, volume_cm3=volume_cm3, weight_g=weight_g
            ),
        ),
        options=tuple(
            DeliveryOption(place=p, preference_penalty_cents=c, rank=rank, handling_s=option_handling_s)
            for (p, c), rank in ranked
        ),
        unserved_penalty_cents=penalty_cents,
        compartments=(CompartmentDemand(temperature=temperature, size=size, low=low),),
        handling_s_per_parcel=handling_s,
        **more,
    )


def a_problem(
    *,
    places: Sequence[Place] | None = None,
    vehicles: Sequence[Vehicle] | None = None,
    orders: Sequence[Order] | None = None,
    zones: Sequence[Zone] = (),
    co2e_price_cents_per_kg: int = 0,
    max_ride_s: Mapping[Temperature, int] | None = None,
    no_way: Sequence[tuple[str, str]] = (),
    **more: Any,
) -> Problem:
    """
    Build a problem with the hub at 0 km, the shop at 5 km and the point at 10 km.

    ``no_way`` names pairs of places, from and to, between which nothing can travel.
    """
    if places is None:
        places = (a_place("shop", 5), a_place("point", 10))
    if all(place.id != "hub" for place in places):
        places = (a_place("hub", 0), *places)
    return Problem(
        places=tuple(places),
        vehicles=(a_vehicle(),) if vehicles is None else tuple(vehicles),
        orders=(an_order(),) if orders is None else tuple(orders),
        zones=tuple(zones),
        profiles=(Profile(id="van", speed_m_s=10), Profile(id="bike", speed_m_s=5)),
        matrices=(_along_the_road("van", places, no_way), _along_the_road("bike", places, no_way)),
        co2e_price_cents_per_kg=co2e_price_cents_per_kg,
        max_ride_s=max_ride_s or {},
        **more,
    )


def _along_the_road(
    profile: str, places: Sequence[Place], no_way: Sequence[tuple[str, str]] = ()
) -> TravelMatrix:
    km = np.array([(place.latitude - 52) * 111 for place in places])
    apart = np.abs(km[:, None] - km[None, :])
    distance_m = np.rint(1000 * apart).astype(np.int64)
    duration_s = np.rint(SECONDS_PER_KM * apart).astype(np.int64)
    position = {place.id: index for index, place in enumerate(places)}
    for one, other in no_way:
        distance_m[position[one], position[other]] = duration_s[position[one], position[other]] = NO_WAY
    return TravelMatrix(profile=profile, distance_m=distance_m, duration_s=duration_s)


def solved(problem: Problem, *, iterations: int = 20, seed: int = 0) -> Solution:
    """Solve a small problem without a race against the clock."""
    solution = the_result(problem, iterations=iterations, seed=seed).solution
    assert solution is not None
    return solution


def the_result(problem: Problem, *, iterations: int = 20, seed: int = 0) -> Result:
    return solve(problem, time_limit_s=60, iterations=iterations, seed=seed)


def the_only_left_out(solution: Solution) -> LeftOut:
    (left_out,) = solution.left_out
    return left_out
