"""What the state machines of Hypothesis share: when they begin, and how much they play."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, settings

from tests.proofs import tries

START = datetime(2026, 11, 24, 11, tzinfo=UTC)
#: Stories of each machine; the usual number always plays the same ones.
USUAL = 12
MACHINES = tries("MACHINES", short=USUAL, long=120)
PLAYED = settings(
    max_examples=MACHINES,
    derandomize=MACHINES == USUAL,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
