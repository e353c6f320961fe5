"""Python's garbage collector, as a service that runs for weeks wants it."""

import gc

#: New objects between two looks at the youngest. The default is 700; a page of rows makes more than that.
YOUNGEST = 20_000


def settle() -> None:
    """Leave what was loaded at the start alone, for it stays, and look for garbage less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, 10, 10)
