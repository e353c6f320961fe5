"""Where everything really is: the physical side of a day, which no server can talk us out of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Disagreement(Exception):
    """Somebody met what cannot be if everything works; it ends what they were doing."""


class Kind(StrEnum):
    """Kinds of places where a parcel can be."""

    SHOP = "shop"
    VEHICLE = "vehicle"
    COMPARTMENT = "compartment"
    COUNTER = "counter"
    RESIDENT = "resident"


@dataclass(frozen=True, slots=True)
class Place:
    """One place; ``name`` tells it from others of its kind."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(slots=True, kw_only=True)
class ListedOrder:
    """An order that the API accepted, as its clerk knows it."""

    id: str
    card_number: str
    parcels: list[str]
    is_late: bool = False
    is_cancelled: bool = False


@dataclass(slots=True)
class World:
    """All parcels of a day, each in exactly one place, and what people noticed on the way."""

    orders: dict[str, ListedOrder] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    #: How often each compartment's door was asked to open.
    asked: Counter[Place] = field(default_factory=Counter)
    #: What was not as it should be, in words.
    faults: list[str] = field(default_factory=list)
    #: What people met on purpose, and that it was met.
    incidents: list[str] = field(default_factory=list)

    def list_order(self, answer: Mapping[str, Any], *, card_number: str, is_late: bool = False) -> None:
        """Take note of an order that the API accepted; its goods stand ready at the shop."""
        order = ListedOrder(id=answer["id"], card_number=card_number, parcels=[], is_late=is_late)
        if order.id in self.orders:
            self.faults.append(f"order {order.id} was given to two requests")
            return
        self.orders[order.id] = order
        self._stand_ready(order, answer)

    def change_order(self, answer: Mapping[str, Any]) -> None:
        """Take note of an order's new parcels."""
        order = self.orders[answer["id"]]
        for parcel in order.parcels:
            del self.places[parcel]
        self._stand_ready(order, answer)

    def cancel_order(self, order_id: str) -> None:
        """Take note of a withdrawal; the goods stay at the shop."""
        self.orders[order_id].is_cancelled = True

    def move(self, parcels: Iterable[str], *, source: Place, target: Place) -> None:
        """Carry parcels from one place to another; one that is not there is a fault and stays where it is."""
        for parcel in parcels:
            present = self.places.get(parcel)
            if present == source:
                self.places[parcel] = target
            else:
                self.faults.append(f"parcel {parcel} was to be taken from {source}, but is at {present}")

    def parcels_at(self, kind: Kind) -> set[str]:
        """Return the parcels that are at places of a kind."""
        return {parcel for parcel, place in self.places.items() if place.kind == kind}

    def behind_doors(self) -> dict[Place, list[str]]:
        """Return what lies in each compartment that holds something."""
        doors = defaultdict(list)
        for parcel, place in self.places.items():
            if place.kind == Kind.COMPARTMENT:
                doors[place].append(parcel)
        return doors

    def _stand_ready(self, order: ListedOrder, answer: Mapping[str, Any]) -> None:
        order.parcels = [parcel["id"] for parcel in answer["parcels"]]
        for parcel in order.parcels:
            self.places[parcel] = shop(answer["shop"])


def shop(shop_id: str) -> Place:
    """Return a shop as a place."""
    return Place(Kind.SHOP, shop_id)


def vehicle(run_id: str) -> Place:
    """Return the vehicle of a run as a place."""
    return Place(Kind.VEHICLE, run_id)


def compartment(locker: str, number: int) -> Place:
    """Return the space behind a door as a place."""
    return Place(Kind.COMPARTMENT, f"{locker}/{number}")


def locker_of(door: Place) -> str:
    """Return the locker of a compartment."""
    return door.name.rpartition("/")[0]


def counter(supply_point: str) -> Place:
    """Return a counter as a place."""
    return Place(Kind.COUNTER, supply_point)


def resident(card_number: str) -> Place:
    """Return a resident as a place."""
    return Place(Kind.RESIDENT, card_number)
