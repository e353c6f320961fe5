"""The states of parcels, pools, plans, runs and stops, and the tables of moves between them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from django.db import models


class ParcelState(models.TextChoices):
    """Where a parcel is on its way from the shop to the resident."""

    LISTED = "listed"
    POOLED = "pooled"
    PLANNED = "planned"
    LOADED = "loaded"
    AT_HUB = "at_hub"
    DEPOSITED = "deposited"
    AT_COUNTER = "at_counter"
    COLLECTED = "collected"
    CANCELLED = "cancelled"
    DEFERRED = "deferred"
    OVERDUE = "overdue"
    RETURNING = "returning"
    RETURNED = "returned"
    DAMAGED = "damaged"
    LOST = "lost"


_P = ParcelState
_MISHAPS = frozenset({_P.DAMAGED, _P.LOST})

PARCEL_TRANSITIONS: Mapping[ParcelState, frozenset[ParcelState]] = {
    _P.LISTED: frozenset({_P.POOLED, _P.CANCELLED}),
    _P.POOLED: frozenset({_P.PLANNED, _P.DEFERRED, _P.CANCELLED}),
    # Depositing without loading: the word on the loading may come later, or from a clock that is fast.
    _P.PLANNED: frozenset({_P.LOADED, _P.POOLED, _P.DEFERRED, _P.CANCELLED, _P.DEPOSITED, _P.AT_COUNTER})
    | _MISHAPS,
    _P.LOADED: frozenset({_P.AT_HUB, _P.DEPOSITED, _P.AT_COUNTER, _P.DEFERRED, _P.RETURNING}) | _MISHAPS,
    _P.AT_HUB: frozenset({_P.LOADED, _P.DEFERRED, _P.RETURNING}) | _MISHAPS,
    _P.DEPOSITED: frozenset({_P.COLLECTED, _P.OVERDUE}) | _MISHAPS,
    _P.AT_COUNTER: frozenset({_P.COLLECTED, _P.OVERDUE}) | _MISHAPS,
    _P.OVERDUE: frozenset({_P.COLLECTED, _P.RETURNING}) | _MISHAPS,
    # Deposited after all: the door's word came after the run had ended.
    _P.DEFERRED: frozenset({_P.POOLED, _P.CANCELLED, _P.RETURNING, _P.DEPOSITED, _P.AT_COUNTER}) | _MISHAPS,
    _P.RETURNING: frozenset({_P.RETURNED, _P.AT_HUB}) | _MISHAPS,
    _P.COLLECTED: frozenset(),
    _P.CANCELLED: frozenset(),
    _P.RETURNED: frozenset(),
    _P.DAMAGED: frozenset({_P.RETURNING, _P.RETURNED}),
    _P.LOST: frozenset(),
}

#: From best to worst: an order whose parcels differ counts under its worst parcel.
SEVERITY: tuple[ParcelState, ...] = (
    _P.COLLECTED,
    _P.AT_COUNTER,
    _P.DEPOSITED,
    _P.LOADED,
    _P.AT_HUB,
    _P.PLANNED,
    _P.POOLED,
    _P.LISTED,
    _P.CANCELLED,
    _P.OVERDUE,
    _P.DEFERRED,
    _P.RETURNING,
    _P.RETURNED,
    _P.DAMAGED,
    _P.LOST,
)
#: States in which the shop may still change or cancel an order.
CHANGEABLE = frozenset({_P.LISTED, _P.POOLED, _P.DEFERRED})


class Report(Protocol):
    """What the fold needs to know of a report about a parcel."""

    @property
    def to(self) -> str:
        """The state that the report claims."""

    @property
    def made_at(self) -> datetime:
        """When it was made, not when it arrived."""


def fold(reports: Iterable[Report]) -> ParcelState:
    """
    Return the state that follows from the reports about a parcel, in the order in which they were made.

    A report that the table does not allow at its turn is history without effect: the same reports give
    the same state in whatever order they arrived.
    """
    state = ParcelState.LISTED
    for report in sorted(reports, key=lambda report: (report.made_at, SEVERITY_RANK[ParcelState(report.to)])):
        if report.to in PARCEL_TRANSITIONS[state]:
            state = ParcelState(report.to)
    return state


#: Of two reports of the same moment the one that comes earlier on the way is taken first.
_ON_THE_WAY = (
    _P.LISTED, _P.POOLED, _P.PLANNED, _P.LOADED, _P.AT_HUB, _P.DEPOSITED, _P.AT_COUNTER, _P.OVERDUE,
    _P.DEFERRED, _P.COLLECTED, _P.RETURNING, _P.RETURNED, _P.CANCELLED, _P.DAMAGED, _P.LOST,
)  # fmt: skip
SEVERITY_RANK = {state: rank for rank, state in enumerate(_ON_THE_WAY)}


def worst(states: Iterable[str]) -> ParcelState:
    """Return the state under which an order with these parcels counts."""
    return max((ParcelState(state) for state in states), key=SEVERITY.index)


class PoolState(models.TextChoices):
    """Whether a pool takes orders, and what became of it."""

    OPEN = "open"
    CLOSED = "closed"
    RELEASED = "released"
    DONE = "done"


POOL_TRANSITIONS: Mapping[PoolState, frozenset[PoolState]] = {
    PoolState.OPEN: frozenset({PoolState.CLOSED}),
    PoolState.CLOSED: frozenset({PoolState.RELEASED}),
    PoolState.RELEASED: frozenset({PoolState.DONE}),
    PoolState.DONE: frozenset(),
}


class PlanState(models.TextChoices):
    """How far the computation of a plan has come, and whether it was taken."""

    QUEUED = "queued"
    RUNNING = "running"
    PROPOSED = "proposed"
    RELEASED = "released"
    FAILED = "failed"
    CANCELLED = "cancelled"


PLAN_TRANSITIONS: Mapping[PlanState, frozenset[PlanState]] = {
    PlanState.QUEUED: frozenset({PlanState.RUNNING, PlanState.CANCELLED, PlanState.FAILED}),
    PlanState.RUNNING: frozenset({PlanState.PROPOSED, PlanState.CANCELLED, PlanState.FAILED}),
    PlanState.PROPOSED: frozenset({PlanState.RELEASED}),
    PlanState.RELEASED: frozenset(),
    PlanState.FAILED: frozenset(),
    PlanState.CANCELLED: frozenset(),
}
#: States in which a plan is being computed; a pool has at most one such plan.
IN_COMPUTATION = frozenset({PlanState.QUEUED, PlanState.RUNNING})


class TerritoryState(models.TextChoices):
    """How far the planning of a territory has come; one that failed keeps the plan that it began with."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


TERRITORY_TRANSITIONS: Mapping[TerritoryState, frozenset[TerritoryState]] = {
    TerritoryState.WAITING: frozenset({TerritoryState.RUNNING, TerritoryState.FAILED}),
    TerritoryState.RUNNING: frozenset({TerritoryState.DONE, TerritoryState.FAILED}),
    TerritoryState.DONE: frozenset(),
    TerritoryState.FAILED: frozenset(),
}
#: States in which a territory may still get a plan.
UNPLANNED = frozenset({TerritoryState.WAITING, TerritoryState.RUNNING})


class RunState(models.TextChoices):
    """How far a released route has come."""

    PLANNED = "planned"
    UNDER_WAY = "under_way"
    DONE = "done"


RUN_TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    RunState.PLANNED: frozenset({RunState.UNDER_WAY}),
    RunState.UNDER_WAY: frozenset({RunState.DONE}),
    RunState.DONE: frozenset(),
}


class StopState(models.TextChoices):
    """How far a visit has come."""

    PLANNED = "planned"
    ARRIVED = "arrived"
    DONE = "done"


STOP_TRANSITIONS: Mapping[StopState, frozenset[StopState]] = {
    StopState.PLANNED: frozenset({StopState.ARRIVED, StopState.DONE}),
    StopState.ARRIVED: frozenset({StopState.DONE}),
    StopState.DONE: frozenset(),
}
