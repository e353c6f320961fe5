"""A parcel's state follows from what was said about it, in the order in which it was said."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logistics.states import PARCEL_TRANSITIONS, SEVERITY, ParcelState, fold, worst

NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    to: str
    made_at: datetime


def said(*states: str) -> list[Said]:
    """Return reports made a minute apart."""
    return [Said(state, NINE + timedelta(minutes=minute)) for minute, state in enumerate(states)]


def test_the_ordinary_way_ends_with_the_resident() -> None:
    assert fold(said("pooled", "planned", "loaded", "deposited", "collected")) == ParcelState.COLLECTED


def test_a_parcel_without_reports_is_listed() -> None:
    assert fold([]) == ParcelState.LISTED


@given(
    st.lists(st.tuples(st.sampled_from(ParcelState), st.integers(0, 600)), max_size=12),
    st.integers(0, 10_000),
)
def test_the_order_of_arrival_and_repetitions_make_no_difference(
    facts: list[tuple[ParcelState, int]], seed: int
) -> None:
    reports = [Said(state, NINE + timedelta(minutes=minute)) for state, minute in facts]
    arrived = reports + reports[: len(reports) // 2]
    Random(seed).shuffle(arrived)

    assert fold(arrived) == fold(reports)


@given(st.lists(st.sampled_from(ParcelState), max_size=12))
def test_the_fold_follows_the_table_only(states: list[ParcelState]) -> None:
    reached = ParcelState.LISTED
    for length in range(len(states) + 1):
        state = fold(said(*states[:length]))
        assert state == reached or state in PARCEL_TRANSITIONS[reached]
        reached = state


def test_a_deposit_counts_even_when_the_loading_was_reported_by_a_clock_that_is_fast() -> None:
    assert fold(said("pooled", "planned", "deposited", "loaded")) == ParcelState.DEPOSITED


def test_a_deposit_that_was_reported_late_undoes_the_deferral_at_the_end_of_the_run() -> None:
    assert fold(said("pooled", "planned", "loaded", "deposited", "deferred")) == ParcelState.DEPOSITED


@pytest.mark.parametrize("final", ["collected", "cancelled", "returned", "lost"])
def test_what_has_ended_stays_ended(final: str) -> None:
    assert PARCEL_TRANSITIONS[ParcelState(final)] == frozenset()


def test_an_order_counts_under_its_worst_parcel() -> None:
    assert worst(["collected", "overdue", "deposited"]) == ParcelState.OVERDUE


def test_every_state_has_its_place_among_better_and_worse() -> None:
    assert set(SEVERITY) == set(ParcelState)
