"""
Whether claims can all get a door: pure arithmetic over nested sizes and low doors of one temperature.

A claim may use any door of its size or larger; one for a low door only low ones. The sets of usable doors are
nested in both directions, so Hall's condition needs to be checked for few combinations only.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lockers.sizes import Size


@dataclass(frozen=True, slots=True)
class Space:
    """A door that is free, or a door that is wanted: at least so large, and low if it must be."""

    size: Size
    is_low: bool


def can_serve(doors: Iterable[Space], wanted: Iterable[Space]) -> bool:
    """Tell whether every wanted door can be had at the same time."""
    have = Counter((door.size.rank, door.is_low) for door in doors)
    want = Counter((claim.size.rank, claim.is_low) for claim in wanted)
    ranks = range(len(Size) + 1)
    return all(
        _at_least(want, low, is_low=True) + _at_least(want, high, is_low=False)
        <= _at_least(have, low, is_low=True) + _at_least(have, high, is_low=False)
        for low in ranks
        for high in ranks
        if low <= high
    )


def left_over(doors: Iterable[Space], wanted: Iterable[Space]) -> Mapping[Space, int]:
    """
    Return how many doors of each kind stay free when each claim takes the smallest that fits.

    Claims for low doors choose first; the others take a low door only where no other is as small. All that
    stay free can be promised at once. Claims are not bound by this choice, so now and then there is room for
    more: a small claim that takes a small low door here could as well have taken a large high one.
    """
    free = Counter(doors)
    for claim in sorted(wanted, key=lambda claim: (claim.is_low, claim.size.rank), reverse=True):
        heights = (True,) if claim.is_low else (False, True)
        fitting = (Space(size, low) for size in Size if size.rank >= claim.size.rank for low in heights)
        taken = next((door for door in fitting if free[door]), None)
        if taken is not None:
            free[taken] -= 1
    return +free


def _at_least(spaces: Mapping[tuple[int, bool], int], rank: int, *, is_low: bool) -> int:
    return sum(number for (size, low), number in spaces.items() if size >= rank and low == is_low)
