"""What everyone who plays shares: the clock, the network, the lockers, the world."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockers.device.hands import Hands
from tests.cast.api import Api, Network
from tests.cast.conductor import Conductor
from tests.cast.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The people of one region and what they work with."""

    seed: int
    credentials: Mapping[str, Any]
    conductor: Conductor
    network: Network
    hands: Hands
    world: World

    def signed_in(self, who: Mapping[str, Any]) -> Api:
        """Return the API as somebody of the credentials sees it."""
        return self.network.signed_in(who["token"])

    def dice(self, what: str) -> random.Random:
        """Return the chance of one thing; the same seed lets the same things happen."""
        return random.Random(f"{self.seed} {what}")
