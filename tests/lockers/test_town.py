"""
Seeds of bad luck over device, services and database: nothing late, double, lost or wrongly free.

``test_protections`` shows that the same judgement finds fault once a protection is missing.
"""

import pytest

from tests.lockers.town.played import played
from tests.proofs import tries

pytestmark = pytest.mark.django_db

SEEDS = range(tries("TOWN_SEEDS", short=4, long=200))


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_late_double_lost_or_wrongly_free(seed: int) -> None:
    assert played(seed).faults == []


def test_much_happens_in_a_story() -> None:
    stories = [played(seed) for seed in range(4)]

    assert sum(story.num_deposits for story in stories) > 6
    assert sum(story.num_collections for story in stories) > 2
    assert sum(story.num_own_pulses for story in stories) > 0
    assert sum(story.num_checks for story in stories) > 0


def test_the_same_seed_plays_the_same_story() -> None:
    assert played(1) == played(1)
