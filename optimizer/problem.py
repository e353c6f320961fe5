"""
The input of a day's plan: immutable, and refusing nonsense on construction.

Moments are whole seconds after midnight of the delivery day, money is whole cents, and every other
quantity is a whole number in the unit that its name ends with. The parts of a problem live in
:mod:`optimizer.goods`, :mod:`optimizer.places`, :mod:`optimizer.fleet` and :mod:`optimizer.orders`; all of
them may be imported from here.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from optimizer import checks
from optimizer.fleet import ARBZG, BreakRule, OnBoard, UnderWay, Vehicle, WorkingTime
from optimizer.goods import Load, ParcelClass, Size, Temperature
from optimizer.orders import CompartmentDemand, DeliveryOption, Order, Promise, RankLimit
from optimizer.places import (
    BIKE,
    LATEST_S,
    NO_WAY,
    VAN,
    Compartments,
    Place,
    Profile,
    TimeWindow,
    TravelMatrix,
    Zone,
)

__all__ = [
    "ARBZG",
    "BIKE",
    "LATEST_S",
    "NO_WAY",
    "VAN",
    "BreakRule",
    "CompartmentDemand",
    "Compartments",
    "DeliveryOption",
    "Load",
    "OnBoard",
    "Order",
    "ParcelClass",
    "Place",
    "Problem",
    "Profile",
    "Promise",
    "RankLimit",
    "Size",
    "Temperature",
    "TimeWindow",
    "TravelMatrix",
    "UnderWay",
    "Vehicle",
    "WorkingTime",
    "Zone",
]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """
    One day to plan, or what is left of it.

    Parameters
    ----------
    profiles
        How each profile travels; profiles with a matrix need their speed only to be named.
    matrices
        Known travel tables; profiles without one are computed by a travel model.
    max_ride_s
        Longest time that goods of a temperature may spend between the end of the stop that picks them up
        and the start of the stop that delivers them.
    rank_limits
        How many orders may go to places that residents like less.
    late_cents_per_hour
        Cost of delivering later than promised, for each order.
    moved_cents
        Cost of an order that another vehicle carries than promised.

    Raises
    ------
    ProblemError
        If an identifier appears twice or names nothing, a matrix has the wrong shape, an order that may go
        to a locker claims no compartment, goods are on board of two vehicles, or a vehicle that is under way
        has no way home.
    """

    places: tuple[Place, ...]
    vehicles: tuple[Vehicle, ...]
    orders: tuple[Order, ...]
    zones: tuple[Zone, ...] = ()
    profiles: tuple[Profile, ...] = (BIKE, VAN)
    matrices: tuple[TravelMatrix, ...] = ()
    co2e_price_cents_per_kg: int = 0
    max_ride_s: Mapping[Temperature, int] = field(default_factory=dict)
    rank_limits: tuple[RankLimit, ...] = ()
    late_cents_per_hour: int = 0
    moved_cents: int = 0

    def __post_init__(self) -> None:
        checks.whole("co2e_price_cents_per_kg", self.co2e_price_cents_per_kg, most=10**5)
        checks.whole("late_cents_per_hour", self.late_cents_per_hour, most=10**6)
        checks.whole("moved_cents", self.moved_cents, most=10**8)
        for temperature, limit in self.max_ride_s.items():
            checks.whole(f"max_ride_s.{temperature}", limit, most=LATEST_S)
        for name in ("places", "vehicles", "orders", "zones", "profiles"):
            checks.unique(name, [row.id for row in getattr(self, name)])
        checks.unique("matrices", [matrix.profile for matrix in self.matrices])
        checks.unique("rank_limits", [limit.rank for limit in self.rank_limits])
        self._check_vehicles()
        self._check_orders()
        self._check_zones_and_matrices()

    def _check_vehicles(self) -> None:
        places = {place.id for place in self.places}
        profiles = {profile.id for profile in self.profiles}
        orders = {order.id: order.load.amounts for order in self.orders}
        carriers = Counter(goods.order for vehicle in self.vehicles for goods in vehicle.on_board)
        for v, vehicle in enumerate(self.vehicles):
            checks.known(f"vehicles[{v}].profile", vehicle.profile, profiles)
            checks.known(f"vehicles[{v}].start_place", vehicle.start_place, places)
            checks.known(f"vehicles[{v}].end_place", vehicle.end_place, places)
            if vehicle.under_way is not None:
                checks.known(f"vehicles[{v}].under_way.place", vehicle.under_way.place, places)
            for b, goods in enumerate(vehicle.on_board):
                name = f"vehicles[{v}].under_way.on_board[{b}].order"
                checks.known(name, goods.order, orders)
                checks.require(carriers[goods.order] == 1, name, f"{goods.order} is on board twice")
            loads = zip(*(orders[goods.order] for goods in vehicle.on_board), strict=True)
            can_be_summed = all(sum(amounts) <= checks.LARGEST for amounts in loads)
            name = f"vehicles[{v}].under_way.on_board"
            checks.require(can_be_summed, name, f"weighs or takes more than {checks.LARGEST} together")

    def _check_orders(self) -> None:
        places = {place.id for place in self.places}
        lockers = {place.id for place in self.places if place.compartments is not None}
        vehicles = {vehicle.id for vehicle in self.vehicles}
        for o, order in enumerate(self.orders):
            checks.known(f"orders[{o}].pickup_place", order.pickup_place, places)
            if order.transfer_place is not None:
                checks.known(f"orders[{o}].transfer_place", order.transfer_place, places)
            for k, option in enumerate(order.options):
                checks.known(f"orders[{o}].options[{k}].place", option.place, places)
                claims = bool(order.compartments) or option.place not in lockers
                checks.require(
                    claims, f"orders[{o}].compartments", f"is empty, but {option.place} is a locker"
                )
            for name in order.vehicles:
                checks.known(f"orders[{o}].vehicles", name, vehicles)

    def _check_zones_and_matrices(self) -> None:
        profiles = {profile.id for profile in self.profiles}
        for z, zone in enumerate(self.zones):
            for profile in zone.forbidden_profiles:
                checks.known(f"zones[{z}].forbidden_profiles", profile, profiles)
        size = (len(self.places),) * 2
        for m, matrix in enumerate(self.matrices):
            checks.known(f"matrices[{m}].profile", matrix.profile, profiles)
            fits = matrix.distance_m.shape == matrix.duration_s.shape == size
            checks.require(fits, f"matrices[{m}]", f"must be {size[0]} by {size[0]}")
            self._check_ways_home(matrix)

    def _check_ways_home(self, matrix: TravelMatrix) -> None:
        position = {place.id: index for index, place in enumerate(self.places)}
        for v, vehicle in enumerate(self.vehicles):
            if vehicle.under_way is not None and vehicle.profile == matrix.profile:
                here, end = position[vehicle.under_way.place], position[vehicle.end_place]
                leads_home = matrix.distance_m[here, end] < NO_WAY
                name = f"vehicles[{v}].under_way.place"
                checks.require(bool(leads_home), name, f"no way leads to {vehicle.end_place}")

    @cached_property
    def place_by_id(self) -> dict[str, Place]:
        """Places by identifier."""
        return {place.id: place for place in self.places}

    @cached_property
    def order_by_id(self) -> dict[str, Order]:
        """Orders by identifier."""
        return {order.id: order for order in self.orders}

    @cached_property
    def vehicle_by_id(self) -> dict[str, Vehicle]:
        """Vehicle shifts by identifier."""
        return {vehicle.id: vehicle for vehicle in self.vehicles}
