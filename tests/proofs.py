"""How often a rule is put to the proof: in short by ``make test``, at length by ``make proofs``."""

import os

IS_LONG = os.environ.get("PROOFS") == "long"


def tries(name: str, *, short: int, long: int) -> int:
    """Return how often to try, unless a variable of this name says otherwise."""
    return int(os.environ.get(name) or (long if IS_LONG else short))
