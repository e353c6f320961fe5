"""The books balance only if every movement of a door took effect once, and every command was done once."""

from dataclasses import replace

import pytest

from tests.load.fleets import FORCED
from tests.load.ledger import Books

REPORTS = {("device", "boot", 1), ("device", "boot", 2)}
BALANCED = Books(
    moved={("l1", FORCED): 1, ("l1", "compartment_closed"): 1},
    applied={("l1", FORCED): 1, ("l1", "compartment_closed"): 1},
    alarms={"l1": 1},
    journalled=REPORTS,
    settled=REPORTS,
    pulses={"command": 1},
)


def test_books_of_a_good_run_balance() -> None:
    assert [*BALANCED.lost, *BALANCED.double] == []


@pytest.mark.parametrize(
    "books",
    [
        replace(BALANCED, applied={("l1", FORCED): 1}),
        replace(BALANCED, alarms={}),
        replace(BALANCED, settled={("device", "boot", 1)}),
    ],
)
def test_what_took_no_effect_is_lost(books: Books) -> None:
    assert len(list(books.lost)) == 1
    assert list(books.double) == []


@pytest.mark.parametrize(
    "books",
    [
        replace(BALANCED, applied={("l1", FORCED): 1, ("l1", "compartment_closed"): 2}),
        replace(BALANCED, applied={**BALANCED.applied, ("l2", FORCED): 1}),
        replace(BALANCED, alarms={"l1": 2}),
        replace(BALANCED, pulses={"command": 2}),
    ],
)
def test_what_took_effect_more_often_than_it_happened_is_double(books: Books) -> None:
    assert len(list(books.double)) == 1
    assert list(books.lost) == []
