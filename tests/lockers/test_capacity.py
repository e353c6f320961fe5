"""The arithmetic of doors equals trying every assignment."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from lockers.capacity import Space, can_serve, left_over
from lockers.sizes import Size

spaces = st.lists(st.builds(Space, size=st.sampled_from(Size), is_low=st.booleans()), max_size=5)


def fits(door: Space, claim: Space) -> bool:
    return door.size.rank >= claim.size.rank and (door.is_low or not claim.is_low)


@given(spaces, spaces)
def test_claims_can_be_served_exactly_when_some_assignment_serves_them(
    doors: list[Space], wanted: list[Space]
) -> None:
    by_trying = any(
        all(fits(door, claim) for door, claim in zip(choice, wanted, strict=True))
        for choice in permutations(doors, len(wanted))
    )

    assert can_serve(doors, wanted) == by_trying


@given(st.lists(st.sampled_from(Size), max_size=6), st.lists(st.sampled_from(Size), max_size=6))
def test_what_is_left_over_can_be_promised_on_top_of_what_was_claimed(
    doors: list[Size], wanted: list[Size]
) -> None:
    have = [Space(size, is_low=False) for size in doors]
    claimed = [Space(size, is_low=False) for size in wanted]
    more = [Space(size, is_low=False) for size, n in left_over(doors, wanted).items() for _ in range(n)]

    assert not can_serve(have, claimed) or can_serve(have, claimed + more)


def test_a_claim_takes_the_smallest_door_that_fits() -> None:
    left = left_over([Size.S, Size.M, Size.L], [Size.M])

    assert left == {Size.S: 1, Size.L: 1}
