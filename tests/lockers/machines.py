"""What the state machines of Hypothesis share: when they begin, and how much they play."""

import os
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings

START = datetime(2026, 11, 24, 11, tzinfo=UTC)
#: Stories of each machine; the usual number always plays the same ones.
USUAL = 12
MACHINES = int(os.environ.get("MACHINES", str(USUAL)))
PLAYED = settings(
    max_examples=MACHINES,
    derandomize=MACHINES == USUAL,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
