"""Who needs a low door gets one or is refused, whatever the order of claims and whatever breaks meanwhile."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockers.capacity import Space, can_serve
from lockers.exceptions import NoCompartmentAvailable
from lockers.models import Compartment, Reservation
from lockers.services import cabinets
from lockers.sizes import Height, Size
from tests.lockers.conftest import a_code, a_locker, a_reservation, bound

pytestmark = pytest.mark.django_db

SIZES = st.sampled_from([Size.S, Size.M, Size.L])
DOORS = st.lists(st.tuples(SIZES, st.sampled_from(Height)), min_size=1, max_size=4)
CLAIMS = st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=5)

a_story = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def promised(
    noon: datetime, doors: list[tuple[Size, Height]], wanted: list[tuple[Size, bool]]
) -> list[Reservation]:
    """Return the claims that a locker with these doors took, of those that were made."""
    locker = a_locker([size for size, _ in doors], heights=[height for _, height in doors])
    code, taken = a_code(noon), []
    for size, low_door in wanted:
        with suppress(NoCompartmentAvailable):
            taken.append(a_reservation(locker, noon, size=size, low_door=low_door, code=code))
    return taken


def door_for(claim: Reservation) -> Compartment | None:
    """Return the door that a claim gets, or nothing if it is refused."""
    try:
        return bound(claim)
    except NoCompartmentAvailable:
        return None


@a_story
@given(doors=DOORS, wanted=CLAIMS, data=st.data())
def test_every_promise_is_kept_in_whatever_order_couriers_come(
    noon: datetime, doors: list[tuple[Size, Height]], wanted: list[tuple[Size, bool]], data: st.DataObject
) -> None:
    for claim in data.draw(st.permutations(promised(noon, doors, wanted))):
        door = door_for(claim)

        assert door is not None
        assert door.is_low or not claim.low_door
        assert Size(door.size).rank >= Size(claim.size).rank


@a_story
@given(doors=DOORS, wanted=CLAIMS, data=st.data())
def test_when_doors_break_the_low_ones_that_are_left_go_to_those_who_can_reach_no_other(
    noon: datetime, doors: list[tuple[Size, Height]], wanted: list[tuple[Size, bool]], data: st.DataObject
) -> None:
    taken = promised(noon, doors, wanted)
    for number in data.draw(st.sets(st.integers(1, len(doors)), max_size=len(doors) - 1)) if taken else ():
        broken = Compartment.objects.get(locker=taken[0].locker, number=number)
        cabinets.demand_check(broken, reason="test", at=noon)
    needing = [claim for claim in taken if claim.low_door]
    left = Compartment.objects.free().filter(locker__in={claim.locker_id for claim in taken})
    suffice = can_serve(
        [Space(Size(door.size), door.is_low) for door in left],
        [Space(Size(claim.size), is_low=True) for claim in needing],
    )

    served = {claim for claim in data.draw(st.permutations(taken)) if door_for(claim) is not None}

    for claim in needing:
        assert claim in served or not suffice
        assert claim.compartment is None or claim.compartment.is_low
