"""
Seeds of bad luck over device, services and database: nothing late, double, lost or wrongly free.

One protection is switched off to show that the judgement can find fault; those of the device alone are tried
in ``test_device_simulation``.
"""

import os
from typing import Any

import pytest
from django.db import transaction

from lockers import exchange
from lockers.device.journal import Journal
from tests.lockers.town import Findings, Town

pytestmark = pytest.mark.django_db

#: `make faults` plays more.
SEEDS = range(int(os.environ.get("TOWN_SEEDS", "4")))
#: Within so many seeds one shows that a protection is missing.
PATIENCE = range(12)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server follow the clock of the town that is played."""
    monkeypatch.setattr(exchange, "now", lambda: Town.present.now())
    monkeypatch.setattr(exchange, "real_now", lambda: Town.present.now())


def findings(seed: int, **town: Any) -> Findings:
    """Play one seed and leave nothing of it behind."""
    with transaction.atomic():
        found = Town(seed, **town).play()
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_late_double_lost_or_wrongly_free(seed: int) -> None:
    assert findings(seed).faults == []


def test_much_happens_in_a_story() -> None:
    played = [findings(seed) for seed in range(4)]

    assert sum(story.num_deposits for story in played) > 3
    assert sum(story.num_collections for story in played) > 1


def test_a_device_that_forgets_more_than_was_accepted_loses_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    forget = Journal.forget
    monkeypatch.setattr(Journal, "forget", lambda journal, boot_id, seq: forget(journal, boot_id, seq + 5))

    assert any(findings(seed).lost for seed in PATIENCE)
