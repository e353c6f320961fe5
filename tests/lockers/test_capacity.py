"""The arithmetic of doors equals trying every assignment."""

from collections import Counter
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


@given(spaces, spaces)
def test_what_is_left_over_can_be_promised_on_top_of_what_was_claimed(
    doors: list[Space], wanted: list[Space]
) -> None:
    left = [space for space, number in left_over(doors, wanted).items() for _ in range(number)]

    assert not can_serve(doors, wanted) or can_serve(doors, wanted + left)
    assert can_serve(doors, wanted) == (len(left) == len(doors) - len(wanted))


@given(spaces, spaces, st.booleans())
def test_nothing_more_could_be_promised_where_one_height_is_as_good_as_the_other(
    doors: list[Space], wanted: list[Space], is_low: bool
) -> None:
    doors, wanted = ([Space(space.size, is_low) for space in some] for some in (doors, wanted))
    left = list(Counter(left_over(doors, wanted)).elements())

    for size in Size:
        more = Space(size, is_low)
        assert not can_serve(doors, wanted) or can_serve(left, [more]) == can_serve(doors, [*wanted, more])


def test_a_claim_takes_the_smallest_door_that_fits() -> None:
    small, medium, large = (Space(size, is_low=False) for size in (Size.S, Size.M, Size.L))

    assert left_over([small, medium, large], [medium]) == {small: 1, large: 1}


def test_a_low_door_is_left_for_whoever_needs_one_unless_it_is_the_smallest() -> None:
    low, high = Space(Size.M, is_low=True), Space(Size.M, is_low=False)
    large = Space(Size.L, is_low=False)

    assert left_over([low, high], [high]) == {low: 1}
    assert left_over([low, large], [high]) == {large: 1}
    assert left_over([low, high, large], [high, low]) == {large: 1}
