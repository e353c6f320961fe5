"""The figures of a run, and what they have to be."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: An unlock may take so many times as long as the bare steps that it cannot do without.
LARGEST_RATIO = 3.0
#: What was asked for must be made and have taken effect so nearly in time.
LEAST_SHARE_OF_RATE = 0.95
LONGEST_DRAIN_S, LONGEST_UNCOMMANDED_S, LONGEST_OFFLINE_S = 180.0, 5.0, 60.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocks:
    """
    How long unlocks took, and the bare steps measured between them, all in seconds.

    ``answers`` ended with the answer of the API, ``pulses`` with the pulse; both began with the call.
    """

    answers: Sequence[float]
    pulses: Sequence[float]
    posts: Sequence[float]
    round_trips: Sequence[float]
    syncs: Sequence[float]

    @property
    def bases(self) -> Sequence[float]:
        """Return what one POST, one round trip and one fsync took together, each time."""
        return [sum(steps) for steps in zip(self.posts, self.round_trips, self.syncs, strict=True)]

    @property
    def ratio(self) -> float:
        """Return how many times as long as the bare steps an unlock takes, of each the 95th percentile."""
        return percentile(self.pulses, 95) / percentile(self.bases, 95)

    def as_json(self) -> dict[str, Any]:
        """Return the figures in milliseconds."""
        sorts = {
            "unlock": self.pulses,
            "base": self.bases,
            "answer": self.answers,
            "bare_post": self.posts,
            "round_trip": self.round_trips,
            "fsync": self.syncs,
        }
        return {
            "unlocks": len(self.pulses),
            **{
                f"{name}_p{percent}_ms": round(1000 * percentile(values, percent), 1)
                for name, values in sorts.items()
                for percent in (50, 95)
            },
            "ratio": round(self.ratio, 2),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What became of events that came at a steady rate; ``lags`` in seconds, from the sensor to the effect.

    ``uncommanded`` are the lags of those that raise an alarm, ``effort_s`` is the processor time of parts.
    """

    wanted_per_s: float
    rate_per_s: float
    lags: Sequence[float]
    uncommanded: Sequence[float]
    effort_s: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "events": len(self.lags),
            "rate_per_s": round(self.rate_per_s, 1),
            "lag_p50_s": round(percentile(self.lags, 50), 3),
            "lag_p95_s": round(percentile(self.lags, 95), 3),
            "lag_max_s": round(max(self.lags), 3),
            "uncommanded_p95_s": round(percentile(self.uncommanded, 95), 3),
            "uncommanded_s": round(max(self.uncommanded), 3),
            "cpu_ms_per_event": {
                name: round(1000 * seconds / len(self.lags), 1) for name, seconds in self.effort_s.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What became of events that waited for a network; ``taken_s`` until the server had all of them."""

    backlog: int
    taken_s: float
    drained_s: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "backlog": self.backlog,
            "taken_s": round(self.taken_s, 1),
            "drained_s": round(self.drained_s, 1),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    All that was measured.

    ``idle`` is the share of one core that each part uses while nothing happens, ``offline`` are seconds from
    the pulled plug to the alarm.
    """

    cores: int
    lockers: int
    connected_s: float
    idle: Mapping[str, float]
    load: Load
    outage: Outage
    unlocks: Unlocks
    offline: Sequence[float]
    lost: Sequence[str] = field(default_factory=tuple)
    double: Sequence[str] = field(default_factory=tuple)

    @property
    def misses(self) -> Iterator[str]:
        """Yield what is not as it has to be."""
        yield from (f"lost: {sentence}" for sentence in self.lost)
        yield from (f"double: {sentence}" for sentence in self.double)
        wanted, uncommanded_s = self.load.wanted_per_s, max(self.load.uncommanded)
        for name, value, limit in (
            ("ratio", self.unlocks.ratio, LARGEST_RATIO),
            ("drained_s", self.outage.drained_s, LONGEST_DRAIN_S),
            ("uncommanded_s", uncommanded_s, LONGEST_UNCOMMANDED_S),
            ("offline_s", max(self.offline), LONGEST_OFFLINE_S),
        ):
            if value > limit:
                yield f"missed: {name} is {value:.2f}, and may be {limit:g}"
        if self.load.rate_per_s < LEAST_SHARE_OF_RATE * wanted:
            yield f"missed: rate_per_s is {self.load.rate_per_s:.1f}, and should be {wanted:g}"

    def as_json(self) -> dict[str, Any]:
        """Return the line that ends a run."""
        return {
            "cores": self.cores,
            "lockers": self.lockers,
            "connected_s": round(self.connected_s, 1),
            "cpu_idle_percent": {name: round(100 * share, 1) for name, share in self.idle.items()},
            **self.load.as_json(),
            **self.outage.as_json(),
            **self.unlocks.as_json(),
            "offline_s": round(max(self.offline), 1),
            "lost": len(self.lost),
            "double": len(self.double),
        }
