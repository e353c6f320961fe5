"""Tables of states are closed, and one UPDATE decides who makes a move."""

import pytest
from django.db import models

from common.states import is_closed
from lockers import states as lockers
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
