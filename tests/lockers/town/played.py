"""Playing a story and leaving nothing of it behind; the same seed always plays the same one."""

import os
import random
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from django.db import transaction

from lockers import exchange
from tests.lockers.town.judge import Findings
from tests.lockers.town.luck import EVERYDAY, Luck
from tests.lockers.town.story import Town


def played(seed: int, luck: Luck = EVERYDAY, *, steps: int = 60, **town: Any) -> Findings:
    """Play a seed, with servers that follow the clock of the story and identities that follow its dice."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(os, "urandom", random.Random(seed).randbytes))
        for clock in ("now", "real_now"):
            stack.enter_context(patch.object(exchange, clock, lambda: Town.present.now()))
        stack.enter_context(transaction.atomic())
        try:
            return Town(seed, luck, **town).play(steps)
        finally:
            transaction.set_rollback(True)
