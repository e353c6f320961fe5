"""What a device may believe about the server's time, by its own monotonic clock alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: How far a quartz may run off, in seconds per second; generous.
DRIFT = 5e-4
#: Timestamps are cut off at milliseconds.
RESOLUTION_S = 0.001


class ServerTime:
    """
    The latest that the server's clock can show now.

    An answer that says T was written between our request and its arrival, so by our clock the server's time
    then was at most T when we asked. The tightest such bound is kept, widened by drift; a server clock that
    was set forward shows when an answer is later than the bound allows, and is believed.
    """

    def __init__(self) -> None:
        self._ahead_s: float | None = None
        self._learned_s = 0.0

    def learn(self, stamp: datetime, *, sent_s: float, received_s: float) -> None:
        """Take an answer's timestamp, with the monotonic moments of our request and its arrival."""
        at_most, at_least = stamp.timestamp() + RESOLUTION_S - sent_s, stamp.timestamp() - received_s
        present = self._bound(received_s)
        if present is None or at_most < present or at_least > present:
            self._ahead_s, self._learned_s = at_most, received_s

    def latest(self, now_s: float) -> datetime | None:
        """Return the latest that the server's clock can show, or ``None`` if it never told."""
        bound = self._bound(now_s)
        return None if bound is None else datetime.fromtimestamp(0, tz=UTC) + timedelta(seconds=now_s + bound)

    def _bound(self, now_s: float) -> float | None:
        if self._ahead_s is None:
            return None
        return self._ahead_s + DRIFT * (now_s - self._learned_s)


class Calendar:
    """
    How late it is at least, by the server's last word: for what may wait, and known after a restart too.

    What passed while the device had no power is not counted.
    """

    def __init__(self, monotonic: Callable[[], float], known: tuple[datetime, datetime] | None) -> None:
        self._monotonic = monotonic
        self._base_s = monotonic()
        self._contact: datetime | None = known and known[0]
        self._base: datetime | None = known and known[1]

    @property
    def contact(self) -> datetime | None:
        """Return the server's time when it was last heard of."""
        return self._contact

    def learn(self, stamp: datetime) -> None:
        """Take the timestamp of an answer that has just arrived."""
        self._contact = self._base = stamp
        self._base_s = self._monotonic()

    def now(self) -> datetime | None:
        """Return the server's time, or less; ``None`` if it never told."""
        if self._base is None:
            return None
        return self._base + timedelta(seconds=self._monotonic() - self._base_s)
