"""Why an order is left out, and what would help: found by asking the same scheduler that made the plan."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from optimizer.compartments import Room, Row, is_rank
from optimizer.day import Day, Shipment
from optimizer.insertion import Insertion, Tour, cheapest_insertion
from optimizer.problem import Order
from optimizer.reachability import Reachability
from optimizer.schedule import Failure
from optimizer.shipments import shipment_of
from optimizer.solution import Facts, LeftOut, Reason, Remedy, RemedyKind

#: Positions of a route that are tried before it is called full.
NUM_TRIALS = 8
#: Minutes by which readiness, deadline or shift are moved to see whether that helps.
PROBES_MIN = (15, 30, 60, 120)

#: What a constraint that no vehicle can keep is called to those who wait.
REASONS: dict[Failure, Reason] = {
    Failure.TRANSFER: Reason.NEEDS_TRANSFER,
    Failure.VEHICLE: Reason.NO_SUITABLE_VEHICLE,
    Failure.HOMEWARD: Reason.NO_VEHICLE_TIME_LEFT,
    Failure.NO_WAY: Reason.UNREACHABLE,
    Failure.TRIPS: Reason.OUT_OF_RANGE,
    Failure.WORKING_TIME: Reason.RUN_TOO_LONG,
    Failure.ZONE: Reason.ZONE_FORBIDDEN,
    Failure.WEIGHT: Reason.NO_VEHICLE_LARGE_ENOUGH,
    Failure.VOLUME: Reason.NO_VEHICLE_LARGE_ENOUGH,
    Failure.CHILLED: Reason.NO_CHILLED_CAPACITY,
    Failure.FROZEN: Reason.NO_FROZEN_CAPACITY,
    Failure.RANGE: Reason.OUT_OF_RANGE,
    Failure.WINDOW: Reason.UNREACHABLE_IN_TIME,
    Failure.SHIFT: Reason.UNREACHABLE_IN_TIME,
    Failure.DURATION: Reason.RUN_TOO_LONG,
    Failure.RIDE: Reason.TOO_LONG_IN_VEHICLE,
}
SENTENCES: dict[Reason, str] = {
    Reason.NO_VEHICLE: "There is no vehicle.",
    Reason.NO_SUITABLE_VEHICLE: "No vehicle that may carry it can do what it asks for.",
    Reason.UNREACHABLE: "No way leads from the shop to the supply point.",
    Reason.NEEDS_TRANSFER: "It changes vehicles at a hub, which is not planned yet.",
    Reason.NO_VEHICLE_LARGE_ENOUGH: "No vehicle that may go there is large or strong enough.",
    Reason.NO_CHILLED_CAPACITY: "No vehicle that may go there has enough room for chilled goods.",
    Reason.NO_FROZEN_CAPACITY: "No vehicle that may go there has enough room for frozen goods.",
    Reason.ZONE_FORBIDDEN: "No vehicle may enter the zone of the shop or of the supply point.",
    Reason.UNREACHABLE_IN_TIME: "No vehicle can load and deliver within the opening hours and the deadline.",
    Reason.OUT_OF_RANGE: "The way is longer than a charge lasts.",
    Reason.RUN_TOO_LONG: "The way takes longer than any run may last.",
    Reason.TOO_LONG_IN_VEHICLE: "The goods would spend too long in the vehicle.",
    Reason.NO_COMPARTMENT_LARGE_ENOUGH: "No accepted supply point has a compartment for these goods.",
    Reason.TOO_MANY_SENT_ELSEWHERE: "As many orders as agreed go to places that residents like less.",
    Reason.LOCKER_FULL: "All suitable compartments of the accepted supply points are taken.",
    Reason.NOT_WORTH_THE_DETOUR: "The detour would cost more than waiting for the next pool.",
    Reason.NO_VEHICLE_TIME_LEFT: "Every vehicle that could go there is full or has no time left.",
    Reason.PLANNING_TIME_OVER: "Planning ended before a place for the order was sought.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What was decided: a tour for each vehicle shift, and the room that deliveries take."""

    tours: Sequence[Tour]
    taken: Counter[Row]


class Explainer:
    """
    Finds reasons and remedies for the orders that a plan leaves out.

    Once ``should_hurry`` is true it probes for no more remedies, once ``should_stop`` is, for nothing.
    """

    def __init__(
        self,
        day: Day,
        room: Room,
        reach: Reachability,
        plan: Plan,
        *,
        should_hurry: Callable[[], bool],
        should_stop: Callable[[], bool],
    ) -> None:
        self._day = day
        self._room = room
        self._reach = reach
        self._plan = plan
        self._should_hurry = should_hurry
        self._should_stop = should_stop

    def explain(self, order: int) -> LeftOut:
        """Return why an order is left out, with a remedy if a probe finds one in time."""
        if not self._day.classes:
            return self._left_out(order, Reason.NO_VEHICLE)
        if self._should_stop():
            return self._left_out(order, Reason.PLANNING_TIME_OVER)
        options = self._reach.reachable(order)
        if not options:
            return self._unreachable(order)
        possible = [k for k in options if self._room.fits(Counter(), self._room.claims(order, k))]
        open_options = [k for k in possible if self._room.fits(self._plan.taken, self._room.claims(order, k))]
        if not open_options and any(self._only_ranks_forbid(order, k) for k in options):
            return self._left_out(order, Reason.TOO_MANY_SENT_ELSEWHERE)
        if not possible:
            return self._left_out(order, Reason.NO_COMPARTMENT_LARGE_ENOUGH)
        if not open_options:
            return self._left_out(order, Reason.LOCKER_FULL, remedy=self._more_compartments(order, possible))
        ways = [way for k in open_options if (way := self._way(self._shipment(order, k))) is not None]
        if ways:
            return self._not_worth_it(order, min(way.added_cents for way in ways))
        remedy = self._first_remedy(order, open_options)
        return self._left_out(order, Reason.NO_VEHICLE_TIME_LEFT, remedy=remedy)

    def _only_ranks_forbid(self, order: int, option: int) -> bool:
        """Tell whether there is room for an option of an order but for the limits on ranks."""
        claims = self._room.claims(order, option)
        room = Counter({row: amount for row, amount in claims.items() if not is_rank(row)})
        return room != claims and self._room.fits(self._plan.taken, room)

    def _unreachable(self, order: int) -> LeftOut:
        """Name the constraint at which the most promising vehicle fails: checks run from coarse to fine."""
        options = range(len(self._day.problem.orders[order].options))
        failures = [f for k in options for f in self._reach.failures(order, k) if f is not None]
        reason = REASONS[max(failures, key=list(Failure).index)]
        remedy = self._first_remedy(order, options) if reason in _HELPED_BY_TIME else None
        return self._left_out(order, reason, remedy=remedy)

    def _not_worth_it(self, order: int, added_cents: int) -> LeftOut:
        remedy = Remedy(
            kind=RemedyKind.HIGHER_PENALTY,
            sentence=f"It would be carried if waiting cost more than {added_cents} cents.",
            facts={"penalty_cents": added_cents + 1},
        )
        facts = {"detour_cents": added_cents}
        return self._left_out(order, Reason.NOT_WORTH_THE_DETOUR, facts=facts, remedy=remedy)

    def _more_compartments(self, order: int, options: Sequence[int]) -> Remedy | None:
        """Return how much one more compartment is worth at the place where it is worth most."""
        row = self._day.problem.orders[order]
        worth = [
            (row.unserved_penalty_cents - way.added_cents, -k)
            for k in options
            if (way := self._way(self._shipment(order, k))) is not None
        ]
        if not worth or max(worth)[0] <= 0:
            return None
        saved_cents, option = max(worth)
        place = row.options[-option].place
        sizes = [demand.size for demand in row.compartments]
        size = max(sizes, key=lambda size: size.rank, default=None)
        low = any(demand.low for demand in row.compartments)
        more = "More room behind low doors" if low else "More room"
        facts: Facts = {"place": place, "size": str(size or ""), "saved_cents": saved_cents}
        return Remedy(
            kind=RemedyKind.MORE_COMPARTMENTS,
            sentence=f"{more} in {place} would save {saved_cents} cents.",
            facts={**facts, "door": "low"} if low else facts,
        )

    def _first_remedy(self, order: int, options: Sequence[int]) -> Remedy | None:
        """Return the smallest change of times that would let the order come along."""
        for minutes in PROBES_MIN:
            for remedy, tours, shipments in self._probes(order, options, minutes):
                if self._should_hurry():
                    return None
                ways = [way for s in shipments if (way := self._way(s, tours)) is not None]
                if any(way.added_cents < self._penalty(order) for way in ways):
                    return remedy
        return None

    def _probes(
        self, order: int, options: Sequence[int], minutes: int
    ) -> Iterator[tuple[Remedy, Sequence[Tour], list[Shipment]]]:
        seconds, row = 60 * minutes, self._day.problem.orders[order]
        facts = {"minutes": minutes}
        earlier = [self._moved(order, k, row.ready_s - seconds, row.deadline_s) for k in options]
        sentence = f"It would fit if it were ready {minutes} minutes earlier."
        yield (
            Remedy(kind=RemedyKind.READY_EARLIER, sentence=sentence, facts=facts),
            self._plan.tours,
            earlier,
        )
        later = [self._moved(order, k, row.ready_s, row.deadline_s + seconds) for k in options]
        sentence = f"It would fit if it were due {minutes} minutes later."
        yield Remedy(kind=RemedyKind.DEADLINE_LATER, sentence=sentence, facts=facts), self._plan.tours, later
        present = [self._shipment(order, k) for k in options]
        for tour in self._plan.tours:
            vehicle = self._day.problem.vehicles[tour.vehicle.vehicles[0]].id
            sentence = f"It would fit if the shift of {vehicle} were {minutes} minutes longer."
            remedy = Remedy(
                kind=RemedyKind.LONGER_SHIFT, sentence=sentence, facts={**facts, "vehicle": vehicle}
            )
            yield remedy, [_with_longer_shift(tour, seconds)], present

    def _moved(self, order: int, option: int, ready_s: int, deadline_s: int) -> Shipment:
        """Return the shipment of an order as if it were ready or due at other moments."""
        shipment = self._shipment(order, option)
        ready_s = max(0, ready_s)
        shipment.pickup_windows = self._day.open_windows(shipment.pickup_place, ready_s, deadline_s)
        shipment.delivery_windows = self._day.open_windows(shipment.delivery_place, ready_s, deadline_s)
        return shipment

    def _way(self, shipment: Shipment, tours: Sequence[Tour] | None = None) -> Insertion | None:
        return cheapest_insertion(self._plan.tours if tours is None else tours, shipment, NUM_TRIALS)

    def _shipment(self, order: int, option: int) -> Shipment:
        return shipment_of(self._day, [order], [option])

    def _penalty(self, order: int) -> int:
        return self._day.problem.orders[order].unserved_penalty_cents

    def _left_out(
        self,
        order: int,
        reason: Reason,
        *,
        facts: Facts | None = None,
        remedy: Remedy | None = None,
    ) -> LeftOut:
        row: Order = self._day.problem.orders[order]
        return LeftOut(
            order=row.id,
            reason=reason,
            sentence=SENTENCES[reason],
            unserved_penalty_cents=row.unserved_penalty_cents,
            facts=facts or {},
            remedy=remedy,
        )


_HELPED_BY_TIME = (Reason.UNREACHABLE_IN_TIME, Reason.RUN_TOO_LONG)


def _with_longer_shift(tour: Tour, seconds: int) -> Tour:
    vehicle = replace(
        tour.vehicle,
        latest_s=tour.vehicle.latest_s + seconds,
        max_duration_s=tour.vehicle.max_duration_s + seconds,
    )
    return Tour(vehicle, tour.timetable)
