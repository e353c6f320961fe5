"""Claims: promised only while every claim can get a door, bound late, given up cleanly."""

from datetime import datetime
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from common.exceptions import InvalidTransition
from lockers import selectors
from lockers.exceptions import CommandPending, DoorNotOpened, NoCompartmentAvailable
from lockers.models import Compartment, Reservation
from lockers.services import cabinets, claims, codes, commands, reservations
from lockers.services.claims import Claim, ReleaseReason
from lockers.sizes import Height, Size, Temperature
from lockers.states import CompartmentState, DoorState, ReservationState
from tests.lockers.conftest import (
    a_cabinet,
    a_device,
    a_locker,
    a_reservation,
    bound,
    deposited,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db


def test_a_class_is_not_promised_twice(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.L))
    a_reservation(locker, noon, size=Size.M)

    with pytest.raises(NoCompartmentAvailable, match="no free ambient compartment of size L"):
        a_reservation(locker, noon, size=Size.L)


def test_a_smaller_claim_may_use_a_larger_door_but_not_the_other_way_round(noon: datetime) -> None:
    locker = a_locker((Size.L,))

    a_reservation(locker, noon, size=Size.S)

    with pytest.raises(NoCompartmentAvailable):
        a_reservation(a_locker((Size.S,)), noon, size=Size.M)


def test_a_door_whose_sensor_fails_is_neither_promised_nor_given(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    claim = a_reservation(locker, noon)
    broken = [{"compartment_number": 1, "door_state": "unknown"}]
    cabinet.say(cabinet.report("compartments", compartments=broken))

    with pytest.raises(NoCompartmentAvailable):
        a_reservation(locker, noon)

    assert bound(claim).number == 2


def test_a_door_is_promised_again_once_its_sensor_is_back(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    for state in ("unknown", "closed"):
        told = [{"compartment_number": 1, "door_state": state}]
        cabinet.say(cabinet.report("compartments", compartments=told))

    assert bound(a_reservation(locker, noon)).number == 1


def test_a_new_locker_takes_claims_before_its_device_has_spoken(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    claim = a_reservation(locker, noon)
    a_device(locker, noon)

    assert bound(claim).door == DoorState.UNKNOWN


def test_chilled_goods_need_a_chilled_door(noon: datetime) -> None:
    with pytest.raises(NoCompartmentAvailable):
        a_reservation(a_locker((Size.XL,)), noon, temperature=Temperature.CHILLED)


def test_a_low_door_is_kept_for_whoever_needs_one(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S), heights=(Height.LOW, Height.HIGH))
    needs_low = a_reservation(locker, noon, low_door=True)

    with pytest.raises(NoCompartmentAvailable):
        a_reservation(locker, noon, low_door=True)
    other = a_reservation(locker, noon)

    assert bound(other).number == 2
    assert bound(needs_low).number == 1


def test_the_smallest_door_is_bound_that_no_other_claim_depends_on(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.M), heights=(Height.LOW, Height.HIGH))
    small = a_reservation(locker, noon, size=Size.S)
    a_reservation(locker, noon, size=Size.S, low_door=True)

    assert bound(small).number == 2


def test_a_repeated_claim_finds_the_first_one(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    first = a_reservation(locker, noon)

    again = claims.reserve(
        locker=locker,
        size=Size.S,
        temperature=Temperature.AMBIENT,
        reference=first.reference,
        code=first.code,
        expires_at=first.expires_at,
    )

    assert again == first
    assert Reservation.objects.count() == 1


def test_of_several_claims_all_or_none_are_met(noon: datetime) -> None:
    locker, other = a_locker((Size.S,)), a_locker((Size.S,))
    wanted = [
        Claim(
            locker=place,
            size=Size.S,
            temperature=Temperature.AMBIENT,
            reference=uuid4(),
            code=None,
            expires_at=noon,
        )
        for place in (other, locker, locker)
    ]

    with pytest.raises(NoCompartmentAvailable) as refusal:
        claims.reserve_all(wanted)

    assert refusal.value.facts["reference"] == wanted[2].reference
    assert not Reservation.objects.exists()


def test_claims_for_many_lockers_cost_a_fixed_number_of_queries(
    noon: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    lockers = [a_locker() for _ in range(5)]
    wanted = [
        Claim(
            locker=place,
            size=Size.S,
            temperature=Temperature.AMBIENT,
            reference=uuid4(),
            code=None,
            expires_at=noon,
        )
        for place in lockers
    ]

    # Savepoint, lockers and their revision, known references, doors, claims, insert, release.
    with django_assert_num_queries(8):
        claims.reserve_all(wanted)


def test_free_capacity_counts_doors_that_are_free_and_promised_to_nobody(
    noon: datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    locker = a_locker((Size.S, Size.M, Size.M, Size.L))
    other = a_locker((Size.XL,))
    a_reservation(locker, noon, size=Size.M)
    Compartment.objects.filter(locker=locker, number=4).update(door=DoorState.JAMMED)

    with django_assert_num_queries(2):
        free = selectors.free_capacities([locker, other])

    assert free[locker.pk] == {
        (Temperature.AMBIENT, Size.S, False): 1,
        (Temperature.AMBIENT, Size.M, False): 1,
    }
    assert free[other.pk] == {(Temperature.AMBIENT, Size.XL, False): 1}


def test_free_capacity_says_which_doors_are_low_and_leaves_out_those_promised(noon: datetime) -> None:
    locker = a_locker(
        (Size.S, Size.S, Size.M, Size.M), heights=(Height.LOW, Height.LOW, Height.LOW, Height.HIGH)
    )
    a_reservation(locker, noon, size=Size.S, low_door=True)
    a_reservation(locker, noon, size=Size.M)

    free = selectors.free_capacities([locker])

    assert free[locker.pk] == {(Temperature.AMBIENT, Size.S, True): 1, (Temperature.AMBIENT, Size.M, True): 1}


def test_a_cancelled_claim_frees_its_class_and_its_door(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    reservation = a_reservation(locker, noon)
    bound(reservation)

    claims.cancel(reservation, at=noon)
    claims.cancel(reservation, at=noon)

    assert intent_of(locker, 1) == CompartmentState.FREE
    a_reservation(locker, noon)


def test_a_claim_is_not_cancelled_while_its_door_is_being_opened(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    commands.open_for_deposit(reservation, at=noon, real_at=noon)

    with pytest.raises(CommandPending):
        claims.cancel(reservation, at=noon)

    assert state_of(reservation) == ReservationState.RESERVED


@pytest.mark.parametrize(
    ("error", "intent"),
    [
        ("EXPIRED", CompartmentState.FREE),
        ("INTERRUPTED", CompartmentState.NEEDS_CHECK),
        ("HARDWARE_FAILED", CompartmentState.NEEDS_CHECK),
    ],
)
def test_a_claim_whose_door_may_have_opened_leaves_a_compartment_to_be_checked(
    noon: datetime, error: str, intent: CompartmentState
) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.say(cabinet.report("response", command.pk, result="error", error_code=error))

    claims.cancel(reservation, at=noon)

    assert intent_of(locker, 1) == intent


def test_deposited_goods_are_not_cancelled(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    reservation = deposited(a_reservation(locker, noon), a_cabinet(locker, noon))

    with pytest.raises(InvalidTransition, match="A deposited reservation cannot become cancelled"):
        claims.cancel(reservation, at=noon)


def test_a_stale_row_cannot_be_moved_against_the_table(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    reservation = a_reservation(locker, noon)
    stale = Reservation.objects.get(pk=reservation.pk)
    claims.cancel(reservation, at=noon)

    with pytest.raises(InvalidTransition):
        commands.open_for_deposit(stale, at=noon, real_at=noon)
    with pytest.raises(InvalidTransition):
        reservations.confirm_deposit(stale, at=noon)


def test_a_deposit_without_a_door_is_not_believed(noon: datetime) -> None:
    reservation = a_reservation(a_locker(), noon)

    with pytest.raises(DoorNotOpened):
        reservations.confirm_deposit(reservation, at=noon)


@pytest.mark.parametrize("reason", [ReleaseReason.NOT_EMPTY, ReleaseReason.DOOR_JAMMED])
def test_a_door_that_does_not_serve_waits_for_a_check_and_another_one_is_opened(
    noon: datetime, reason: ReleaseReason
) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    first = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(first)
    cabinet.closes(first)

    claims.release_door(reservation, reason=reason, at=noon)
    second = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    assert intent_of(locker, first.compartment.number) == CompartmentState.NEEDS_CHECK
    assert second.compartment != first.compartment


def test_goods_that_do_not_fit_get_the_next_size_and_leave_the_door_to_others(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.M))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    first = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(first)
    cabinet.closes(first)

    claims.release_door(reservation, reason=ReleaseReason.DOES_NOT_FIT, at=noon)
    second = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    assert second.compartment.size == Size.M
    assert intent_of(locker, 1) == CompartmentState.FREE


def test_a_checked_compartment_comes_back_only_as_what_it_is(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    compartment = locker.compartments.get()
    cabinets.demand_check(compartment, reason="test", at=noon)

    with pytest.raises(InvalidTransition, match="A unclaimed compartment cannot become occupied"):
        cabinets.settle_check(compartment, is_empty=False, at=noon, real_at=noon)
    cabinets.settle_check(compartment, is_empty=True, at=noon, real_at=noon)

    assert intent_of(locker, 1) == CompartmentState.FREE
    with pytest.raises(InvalidTransition):
        cabinets.settle_check(compartment, is_empty=True, at=noon, real_at=noon)


def test_a_larger_door_is_not_taken_from_a_claim_that_depends_on_it(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.L))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    other = a_reservation(locker, noon, size=Size.L)
    first = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(first)
    cabinet.closes(first)

    has_another = claims.release_door(reservation, reason=ReleaseReason.DOES_NOT_FIT, at=noon)

    assert not has_another
    assert bound(other).number == 2


def test_goods_too_large_for_the_largest_door_get_no_other(noon: datetime) -> None:
    locker = a_locker((Size.XL, Size.XL))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon, size=Size.XL)
    first = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.opens(first)
    cabinet.closes(first)

    assert not claims.release_door(reservation, reason=ReleaseReason.DOES_NOT_FIT, at=noon)


@pytest.mark.parametrize("num_doors", [1, 2])
def test_a_courier_is_told_whether_another_door_is_there(noon: datetime, num_doors: int) -> None:
    locker = a_locker((Size.S,) * num_doors)
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    jammed = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    cabinet.jams(jammed)

    has_another = claims.release_door(reservation, reason=ReleaseReason.DOOR_JAMMED, at=noon)

    assert has_another == claims.has_door(reservation) == (num_doors == 2)


def test_a_claim_moves_to_another_locker_with_its_code_and_all_that_it_asks_for(noon: datetime) -> None:
    locker = a_locker((Size.M,), heights=(Height.LOW,))
    other = a_locker((Size.M,), heights=(Height.LOW,))
    reservation = a_reservation(locker, noon, size=Size.M, low_door=True)
    codes.issue_for_deposits([reservation], at=noon)

    moved = claims.move(reservation, to=other, at=noon)

    assert (state_of(reservation), state_of(moved)) == (ReservationState.CANCELLED, ReservationState.RESERVED)
    asked = ("code_id", "reference", "size", "temperature", "low_door", "expires_at", "hold_until")
    assert [getattr(moved, name) for name in asked] == [getattr(reservation, name) for name in asked]
    assert moved.locker == other
    assert moved.deposit_code is not None
    assert moved.deposit_code != reservation.deposit_code
    a_reservation(locker, noon, size=Size.M, low_door=True)


def test_a_claim_stays_where_it_is_if_the_other_locker_is_full(noon: datetime) -> None:
    locker, other = a_locker((Size.S,)), a_locker((Size.S,))
    a_reservation(other, noon)
    reservation = a_reservation(locker, noon)
    bound(reservation)

    with pytest.raises(NoCompartmentAvailable):
        claims.move(reservation, to=other, at=noon)

    assert state_of(reservation) == ReservationState.RESERVED
    assert intent_of(locker, 1) == CompartmentState.RESERVED


def test_a_claim_that_has_ended_does_not_move(noon: datetime) -> None:
    locker, other = a_locker((Size.S,)), a_locker((Size.S,))
    reservation = a_reservation(locker, noon)
    claims.cancel(reservation, at=noon)

    with pytest.raises(InvalidTransition):
        claims.move(reservation, to=other, at=noon)

    assert not Reservation.objects.holding().exists()
