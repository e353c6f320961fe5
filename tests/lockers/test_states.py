"""The tables of states are closed, and keep what must always hold."""

import pytest

from common.states import is_closed
from lockers import states
from lockers.states import CommandState, CompartmentState, ReservationState


@pytest.mark.parametrize(
    ("transitions", "kind"),
    [
        (states.DOOR_TRANSITIONS, states.DoorState),
        (states.COMPARTMENT_TRANSITIONS, states.CompartmentState),
        (states.COMMAND_TRANSITIONS, states.CommandState),
        (states.LINK_TRANSITIONS, states.LinkState),
        (states.CODE_TRANSITIONS, states.CodeState),
        (states.RESERVATION_TRANSITIONS, states.ReservationState),
    ],
)
def test_every_table_names_every_state_and_leads_to_known_ones(transitions, kind) -> None:  # type: ignore[no-untyped-def]
    assert is_closed(transitions, kind)


def test_a_compartment_with_goods_becomes_free_only_by_a_collection_or_a_check() -> None:
    ways_to_free = {
        state for state, targets in states.COMPARTMENT_TRANSITIONS.items() if CompartmentState.FREE in targets
    }

    assert CompartmentState.OCCUPIED not in ways_to_free


def test_an_unknown_outcome_can_be_amended_by_every_answer_but_never_sent_again() -> None:
    targets = states.COMMAND_TRANSITIONS[CommandState.UNKNOWN]

    assert CommandState.OPENED in targets
    assert not targets & states.OFFERABLE


def test_a_command_that_was_settled_is_never_offered_again() -> None:
    for state, targets in states.COMMAND_TRANSITIONS.items():
        if state not in states.OFFERABLE:
            assert not targets & states.OFFERABLE


@pytest.mark.parametrize(
    "end", [ReservationState.COLLECTED, ReservationState.CANCELLED, ReservationState.EXPIRED]
)
def test_a_reservation_that_ended_stays_ended_and_holds_nothing(end: ReservationState) -> None:
    assert not states.RESERVATION_TRANSITIONS[end]
    assert end not in states.HOLDING


def test_an_opened_door_outweighs_every_other_answer() -> None:
    assert not states.COMMAND_TRANSITIONS[CommandState.OPENED]
    others = set(CommandState) - {CommandState.OPENED}
    assert all(CommandState.OPENED in states.COMMAND_TRANSITIONS[state] for state in others)
