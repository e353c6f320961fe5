"""
The books of a day: what the API says, what the cabinets hold and what people carried must agree.

Every disagreement is put into words. An order is lost if it was listed and the API or the world no longer
knows where it is; it is double if it, its goods or a door appears more often than it should.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lockers.device.hands import Door
from tests.cast import world
from tests.cast.world import Kind, Place, World

FINAL_STATES = ("collected", "overdue", "at_counter", "left_out", "next_pool", "cancelled")
NEXT_POOL = "next_pool"
_NAMES = {"deferred": "left_out"}

#: Where a parcel may be while the API says that it is in a state.
WHEREABOUTS: Mapping[str, frozenset[Kind]] = {
    "pooled": frozenset({Kind.SHOP}),
    "planned": frozenset({Kind.SHOP}),
    "cancelled": frozenset({Kind.SHOP}),
    "loaded": frozenset({Kind.VEHICLE}),
    "deferred": frozenset({Kind.SHOP, Kind.VEHICLE}),
    "deposited": frozenset({Kind.COMPARTMENT}),
    "overdue": frozenset({Kind.COMPARTMENT}),
    "at_counter": frozenset({Kind.COUNTER}),
    "collected": frozenset({Kind.RESIDENT}),
}
#: Whether goods lie behind a door while the API says that its compartment is in a state.
HOLDS_GOODS: Mapping[str, bool] = {
    "free": False,
    "reserved": False,
    "needs_check": False,
    "out_of_service": False,
    "occupied": True,
}


class Sort(StrEnum):
    """Sorts of disagreement."""

    LOST = "lost"
    DOUBLE = "double"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Fault:
    """A disagreement; ``about`` names the order, parcel or door."""

    sort: Sort
    about: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known at the end of a day, from the API, the cabinets and the people."""

    world: World
    pool_id: str
    orders: Sequence[Mapping[str, Any]]
    day: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    lockers: Sequence[Mapping[str, Any]]
    cabinets: Mapping[str, Sequence[Door]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A day in figures; ``faults`` is empty if they balance."""

    listed: int
    final_states: Mapping[str, int]
    lost: int
    double: int
    runs: int
    km: float
    cost_cents: int
    events: int
    faults: Sequence[Fault]

    def as_json(self, *, seed: int | str, seconds: float) -> dict[str, Any]:
        """Return the line that ends a day."""
        figures = asdict(self)
        del figures["faults"]
        return {"seed": seed, **figures, "seconds": round(seconds, 1)}


def balance(evidence: Evidence) -> Books:
    """Compare all that is known, and count."""
    faults = [
        *(Fault(Sort.OTHER, "people", sentence) for sentence in evidence.world.faults),
        *_orders_known_once(evidence),
        *_orders_where_they_belong(evidence),
        *_parcels_where_the_api_says(evidence),
        *_cabinets_as_people_left_them(evidence),
        *_compartments_as_the_api_says(evidence),
        *_books_as_the_api_keeps_them(evidence),
    ]
    states = Counter(_final_states(evidence))
    return Books(
        listed=len(evidence.world.orders),
        final_states={state: states[state] for state in (*FINAL_STATES, *sorted(states - _known(states)))},
        lost=len({fault.about for fault in faults if fault.sort == Sort.LOST}),
        double=len({fault.about for fault in faults if fault.sort == Sort.DOUBLE}),
        runs=len(evidence.runs),
        km=round(sum(run["distance_m"] for run in evidence.runs) / 1000, 1),
        cost_cents=sum(run["cost_cents"] for run in evidence.runs),
        events=evidence.day["events"],
        faults=faults,
    )


def total(days: Sequence[Mapping[str, Any]], *, seeds: str, seconds: float) -> dict[str, Any]:
    """Return the sum of several days' lines."""
    states: Counter[str] = Counter()
    for day in days:
        states.update(day["final_states"])
    sums = {
        key: round(sum(day[key] for day in days), 1)
        for key in ("listed", "lost", "double", "runs", "km", "cost_cents", "events")
    }
    return {
        "seed": seeds,
        "listed": sums.pop("listed"),
        "final_states": dict(states),
        **sums,
        "seconds": round(seconds, 1),
    }


def _known(states: Counter[str]) -> Counter[str]:
    return Counter({state: states[state] for state in FINAL_STATES})


def _final_states(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders:
        if order["id"] in evidence.world.orders:
            yield _final_state(evidence, order)


def _final_state(evidence: Evidence, order: Mapping[str, Any]) -> str:
    if order["pool"] != evidence.pool_id:
        return NEXT_POOL
    state = str(order["state"])
    return _NAMES.get(state, state)


def _orders_known_once(evidence: Evidence) -> Iterator[Fault]:
    known = Counter(order["id"] for order in evidence.orders)
    for order_id in evidence.world.orders.keys() - known.keys():
        yield Fault(Sort.LOST, order_id, f"order {order_id} was listed, but the API does not know it")
    for order_id in known.keys() - evidence.world.orders.keys():
        yield Fault(Sort.DOUBLE, order_id, f"order {order_id} exists, but nobody listed it")
    for order_id, times in known.items():
        if times > 1:
            yield Fault(Sort.DOUBLE, order_id, f"order {order_id} appears {times} times")


def _orders_where_they_belong(evidence: Evidence) -> Iterator[Fault]:
    for order in evidence.orders:
        listed = evidence.world.orders.get(order["id"])
        if listed is None:
            continue
        state = _final_state(evidence, order)
        if state not in FINAL_STATES:
            yield Fault(Sort.OTHER, listed.id, f"order {listed.id} is still {state} when the day ends")
        if listed.is_late != (state == NEXT_POOL):
            yield Fault(Sort.OTHER, listed.id, f"order {listed.id} is {state}; late: {listed.is_late}")
        if listed.is_cancelled != (state == "cancelled"):
            yield Fault(
                Sort.OTHER, listed.id, f"order {listed.id} is {state}; cancelled: {listed.is_cancelled}"
            )


def _parcels_where_the_api_says(evidence: Evidence) -> Iterator[Fault]:
    for order in evidence.orders:
        listed = evidence.world.orders.get(order["id"])
        if listed is None:
            continue
        states = {parcel["id"]: parcel["state"] for parcel in order["parcels"]}
        if sorted(states) != sorted(listed.parcels):
            yield Fault(Sort.LOST, listed.id, f"order {listed.id} does not have the parcels that were listed")
        for parcel, state in states.items():
            place = evidence.world.places.get(parcel)
            if place is None:
                yield Fault(Sort.LOST, listed.id, f"parcel {parcel} is {state}, but nowhere to be found")
            elif place.kind not in WHEREABOUTS.get(state, frozenset()):
                yield Fault(Sort.OTHER, listed.id, f"parcel {parcel} is {state}, but lies at {place}")
            elif state == "collected" and place != world.resident(listed.card_number):
                yield Fault(Sort.OTHER, listed.id, f"parcel {parcel} was collected by {place}")


def _cabinets_as_people_left_them(evidence: Evidence) -> Iterator[Fault]:
    expected = evidence.world.behind_doors()
    owners = {parcel: order for order in evidence.world.orders.values() for parcel in order.parcels}
    seen: Counter[str] = Counter()
    for place, door in _doors(evidence.cabinets):
        seen.update(door.goods)
        missing = set(expected.get(place, ())) - set(door.goods)
        for parcel in missing:
            yield Fault(Sort.LOST, owners[parcel].id, f"parcel {parcel} should lie in {place}, but does not")
        for parcel in set(door.goods) - set(expected.get(place, ())):
            about = owners[parcel].id if parcel in owners else parcel
            yield Fault(Sort.DOUBLE, about, f"parcel {parcel} lies in {place}, where nobody left it")
        if len({owners[parcel].card_number for parcel in door.goods if parcel in owners}) > 1:
            yield Fault(Sort.DOUBLE, str(place), f"{place} holds the goods of several residents")
        if door.is_open:
            yield Fault(Sort.OTHER, str(place), f"the door of {place} stands open")
        if door.num_openings > evidence.world.asked[place]:
            yield Fault(
                Sort.DOUBLE,
                str(place),
                f"the door of {place} opened {door.num_openings} times, asked {evidence.world.asked[place]}",
            )
    for parcel, times in seen.items():
        if times > 1:
            yield Fault(Sort.DOUBLE, parcel, f"parcel {parcel} lies in {times} compartments")
    for place in expected.keys() - {place for place, _ in _doors(evidence.cabinets)}:
        for parcel in expected[place]:
            yield Fault(
                Sort.LOST, owners[parcel].id, f"parcel {parcel} lies in {place}, which does not exist"
            )


def _compartments_as_the_api_says(evidence: Evidence) -> Iterator[Fault]:
    said = {
        world.compartment(locker["slug"], compartment["number"]): compartment["state"]
        for locker in evidence.lockers
        for compartment in locker["compartments"]
    }
    held = {place: bool(door.goods) for place, door in _doors(evidence.cabinets)}
    for place in said.keys() ^ held.keys():
        yield Fault(Sort.OTHER, str(place), f"{place} is known to one side only")
    for place in said.keys() & held.keys():
        if HOLDS_GOODS.get(said[place]) != held[place]:
            holds = "holds goods" if held[place] else "is empty"
            yield Fault(Sort.OTHER, str(place), f"{place} is {said[place]}, but {holds}")


def _books_as_the_api_keeps_them(evidence: Evidence) -> Iterator[Fault]:
    day, ours = evidence.day, Counter(_final_states(evidence))
    theirs = Counter({_NAMES.get(state, state): number for state, number in day["states"].items()})
    if day["listed"] != len(evidence.world.orders):
        sentence = f"the API counts {day['listed']} orders, the clerks {len(evidence.world.orders)}"
        yield Fault(Sort.OTHER, "day", sentence)
    if ours != theirs:
        yield Fault(Sort.OTHER, "day", f"the API counts {dict(theirs)}, its list of orders {dict(ours)}")
    if sum(day["left_out"].values()) != ours["left_out"]:
        yield Fault(Sort.OTHER, "day", "not every order left out has a reason")
    for figure in ("distance_m", "cost_cents"):
        if day[figure] != sum(run[figure] for run in evidence.runs):
            yield Fault(Sort.OTHER, "day", f"the API's {figure} is not the sum of its runs'")


def _doors(cabinets: Mapping[str, Iterable[Door]]) -> Iterator[tuple[Place, Door]]:
    for locker, doors in cabinets.items():
        for door in doors:
            yield world.compartment(locker, door.compartment), door
