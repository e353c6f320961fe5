"""Why an order is left out, and what would help: found by asking the same scheduler that made the plan."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from optimizer.compartments import Room, Row, is_rank
from optimizer.day import Day
from optimizer.explain.remedies import MAX_REMEDIES, Prober
from optimizer.explain.wording import remedy_in_words
from optimizer.insertion import Tour
from optimizer.reachability import Reachability
from optimizer.solution import Facts, LeftOut, Reason, Remedy, RemedyKind
from optimizer.visits import Failure

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
    Reason.PLANNING_TIME_OVER: "Planning ended before a place for the order was found.",
}


#: What is worth trying where an order is left out for a reason.
_IN_TIME = (
    RemedyKind.READY_EARLIER,
    RemedyKind.DEADLINE_LATER,
    RemedyKind.LONGER_OPENING,
    RemedyKind.LONGER_SHIFT,
)
HELPED_BY: dict[Reason, tuple[RemedyKind, ...]] = {
    Reason.UNREACHABLE_IN_TIME: _IN_TIME,
    Reason.RUN_TOO_LONG: (RemedyKind.LONGER_SHIFT,),
    Reason.OUT_OF_RANGE: (RemedyKind.LONGER_RANGE,),
    Reason.NO_VEHICLE_LARGE_ENOUGH: (RemedyKind.LARGER_VEHICLE,),
    Reason.NO_CHILLED_CAPACITY: (RemedyKind.LARGER_VEHICLE,),
    Reason.NO_FROZEN_CAPACITY: (RemedyKind.LARGER_VEHICLE,),
    Reason.NO_VEHICLE_TIME_LEFT: (
        *_IN_TIME,
        RemedyKind.LONGER_RANGE,
        RemedyKind.LARGER_VEHICLE,
        RemedyKind.MORE_VEHICLES,
    ),
    Reason.NOT_WORTH_THE_DETOUR: (*_IN_TIME, RemedyKind.LARGER_VEHICLE),
}


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What was decided: a tour for each vehicle shift, and the room that deliveries take."""

    tours: Sequence[Tour]
    taken: Counter[Row]


@dataclass(frozen=True, slots=True)
class _Finding:
    """Why an order is left out; where there would be room for it; where it lacks nothing but room."""

    reason: Reason
    options: Sequence[int] = ()
    full: Sequence[int] = ()
    facts: Facts = field(default_factory=dict)


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
        self._prober = Prober(day, room, plan.tours, plan.taken, should_hurry=should_hurry)
        self._should_stop = should_stop

    def explain(self, orders: Sequence[int]) -> tuple[LeftOut, ...]:
        """Return why orders are left out; remedies are sought first for those that cost most."""
        rows = self._day.problem.orders
        findings = {order: self._finding(order) for order in orders}
        remedies = {
            order: self._remedies(order, findings[order])
            for order in sorted(orders, key=lambda order: (-rows[order].unserved_penalty_cents, order))
        }
        return tuple(
            LeftOut(
                order=rows[order].id,
                reason=finding.reason,
                sentence=SENTENCES[finding.reason],
                unserved_penalty_cents=rows[order].unserved_penalty_cents,
                facts=finding.facts,
                remedies=remedies[order],
            )
            for order, finding in findings.items()
        )

    def _finding(self, order: int) -> _Finding:
        if not self._day.classes:
            return _Finding(Reason.NO_VEHICLE)
        if self._should_stop():
            return _Finding(Reason.PLANNING_TIME_OVER)
        options = self._reach.reachable(order)
        if not options:
            return self._unreachable(order)
        possible = [k for k in options if self._room.fits(Counter(), self._room.claims(order, k))]
        open_options = [k for k in possible if self._room.fits(self._plan.taken, self._room.claims(order, k))]
        full = [k for k in options if k not in open_options]
        if not open_options and any(self._only_ranks_forbid(order, k) for k in options):
            return _Finding(Reason.TOO_MANY_SENT_ELSEWHERE)
        if not possible:
            return _Finding(Reason.NO_COMPARTMENT_LARGE_ENOUGH, full=full)
        if not open_options:
            return _Finding(Reason.LOCKER_FULL, full=full)
        way = self._prober.way(self._prober.shipment(order, k) for k in open_options)
        if way is None:
            return _Finding(Reason.NO_VEHICLE_TIME_LEFT, open_options, full)
        if way.added_cents < self._day.problem.orders[order].unserved_penalty_cents:
            return _Finding(Reason.PLANNING_TIME_OVER)
        facts = {"detour_cents": way.added_cents}
        return _Finding(Reason.NOT_WORTH_THE_DETOUR, open_options, full, facts)

    def _only_ranks_forbid(self, order: int, option: int) -> bool:
        """Tell whether there is room for an option of an order but for the limits on ranks."""
        claims = self._room.claims(order, option)
        room = Counter({row: amount for row, amount in claims.items() if not is_rank(row)})
        return room != claims and self._room.fits(self._plan.taken, room)

    def _unreachable(self, order: int) -> _Finding:
        """Name the constraint at which the most promising vehicle fails: checks run from coarse to fine."""
        options = range(len(self._day.problem.orders[order].options))
        failures = [f for k in options for f in self._reach.failures(order, k) if f is not None]
        reason = REASONS[max(failures, key=list(Failure).index)]
        fitting = [k for k in options if self._room.fits(self._plan.taken, self._room.claims(order, k))]
        return _Finding(reason, fitting)

    def _remedies(self, order: int, finding: _Finding) -> tuple[Remedy, ...]:
        more_room = self._prober.room_for(order, finding.full)
        kinds = HELPED_BY.get(finding.reason, ())
        remedies = self._prober.remedies(order, finding.options, kinds) if finding.options else ()
        if finding.reason == Reason.NOT_WORTH_THE_DETOUR:
            remedies = (self._higher_penalty(int(finding.facts["detour_cents"])), *remedies)
        return (*remedies, *more_room)[:MAX_REMEDIES]

    def _higher_penalty(self, detour_cents: int) -> Remedy:
        facts = {"penalty_cents": detour_cents + 1}
        remedy = Remedy(kind=RemedyKind.HIGHER_PENALTY, sentence="", facts=facts)
        return replace(remedy, sentence=remedy_in_words(remedy))
