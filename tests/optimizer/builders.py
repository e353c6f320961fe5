"""
Problems on a straight road: a place lies at a number of kilometres, every kilometre takes 100 seconds.

Each builder has a default for everything, so a test names only what matters.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from optimizer.problem import (
    CompartmentDemand,
    Compartments,
    DeliveryOption,
    Load,
    Order,
    ParcelClass,
    Place,
    Problem,
    Profile,
    Size,
    Temperature,
    TimeWindow,
    TravelMatrix,
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
) -> Order:
    """Build an order; ``to`` names its place, or its places with their preference penalties."""
    options = {to: 0} if isinstance(to, str) else to
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
        options=tuple(DeliveryOption(place=p, preference_penalty_cents=c) for p, c in options.items()),
        unserved_penalty_cents=penalty_cents,
        compartments=(CompartmentDemand(temperature=temperature, size=size, low=low),),
        handling_s_per_parcel=handling_s,
    )


def a_problem(
    *,
    places: Sequence[Place] | None = None,
    vehicles: Sequence[Vehicle] | None = None,
    orders: Sequence[Order] | None = None,
    zones: Sequence[Zone] = (),
    co2e_price_cents_per_kg: int = 0,
    max_ride_s: Mapping[Temperature, int] | None = None,
) -> Problem:
    """Build a problem with the hub at 0 km, the shop at 5 km and the point at 10 km."""
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
        matrices=(_along_the_road("van", places), _along_the_road("bike", places)),
        co2e_price_cents_per_kg=co2e_price_cents_per_kg,
        max_ride_s=max_ride_s or {},
    )


def _along_the_road(profile: str, places: Sequence[Place]) -> TravelMatrix:
    km = np.array([(place.latitude - 52) * 111 for place in places])
    apart = np.abs(km[:, None] - km[None, :])
    return TravelMatrix(
        profile=profile,
        distance_m=np.rint(1000 * apart).astype(np.int64),
        duration_s=np.rint(SECONDS_PER_KM * apart).astype(np.int64),
    )


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
