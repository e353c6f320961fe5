"""Tables of states are closed, and one UPDATE decides who makes a move."""

import pytest
from django.db import models

from common.exceptions import InvalidTransition
from common.states import is_closed
from lockers import states as lockers
from lockers.models import Compartment
from lockers.services import cabinets
from lockers.services.cabinets import CompartmentSpec
from lockers.sizes import Height, Size, Temperature
from logistics import states as logistics

TABLES = [
    (logistics.PARCEL_TRANSITIONS, logistics.ParcelState),
    (logistics.POOL_TRANSITIONS, logistics.PoolState),
    (logistics.PLAN_TRANSITIONS, logistics.PlanState),
    (logistics.RUN_TRANSITIONS, logistics.RunState),
    (logistics.STOP_TRANSITIONS, logistics.StopState),
    (lockers.DOOR_TRANSITIONS, lockers.DoorState),
    (lockers.COMPARTMENT_TRANSITIONS, lockers.CompartmentState),
    (lockers.RESERVATION_TRANSITIONS, lockers.ReservationState),
    (lockers.COMMAND_TRANSITIONS, lockers.CommandState),
    (lockers.LINK_TRANSITIONS, lockers.LinkState),
    (lockers.CODE_TRANSITIONS, lockers.CodeState),
]


@pytest.mark.parametrize(("table", "states"), TABLES, ids=[states.__name__ for _, states in TABLES])
def test_every_table_names_every_state_and_leads_nowhere_else(
    table: dict[models.TextChoices, frozenset[models.TextChoices]], states: type[models.TextChoices]
) -> None:
    assert is_closed(table, states)


@pytest.fixture
def row() -> Compartment:
    """A compartment is as good a row with a state as any other."""
    locker = cabinets.install(
        slug="l",
        name="L",
        namespace="r",
        compartments=[
            CompartmentSpec(number=1, size=Size.S, temperature=Temperature.AMBIENT, height=Height.REACHABLE)
        ],
    )
    return Compartment.objects.get(locker=locker)


@pytest.mark.django_db
def test_of_two_who_make_the_same_move_one_makes_it(row: Compartment) -> None:
    late = Compartment.objects.get(pk=row.pk)

    assert row.advance(lockers.CompartmentState.RESERVED)
    assert not late.advance(lockers.CompartmentState.RESERVED)
    assert late.state == lockers.CompartmentState.RESERVED


@pytest.mark.django_db
def test_what_changes_with_a_move_is_written_with_it(row: Compartment) -> None:
    row.advance(lockers.CompartmentState.RESERVED, num_jams=2, verify_empty=True)

    row.refresh_from_db()
    assert (row.state, row.num_jams, row.verify_empty) == ("reserved", 2, True)


@pytest.mark.django_db
def test_a_move_that_the_table_does_not_know_changes_nothing(row: Compartment) -> None:
    with pytest.raises(InvalidTransition):
        row.advance(lockers.CompartmentState.COLLECTING, num_jams=2)

    row.refresh_from_db()
    assert (row.state, row.num_jams) == ("free", 0)


@pytest.mark.django_db
def test_a_field_that_does_not_exist_is_an_error_and_not_left_out(row: Compartment) -> None:
    with pytest.raises(KeyError):
        row.advance(lockers.CompartmentState.RESERVED, num_james=2)

    row.refresh_from_db()
    assert row.state == "free"


@pytest.mark.django_db
def test_facts_are_written_without_a_move(row: Compartment) -> None:
    row.write(door=lockers.DoorState.OPEN, num_jams=1)

    found = Compartment.objects.get(pk=row.pk)
    assert (row.door, found.state, found.door, found.num_jams) == ("open", "free", "open", 1)
