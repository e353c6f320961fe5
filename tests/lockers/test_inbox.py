"""Reports of a device: kept once, applied in order, whatever order they arrive in."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import intents
from common.models import Intent, IntentState
from lockers.models import Compartment, Device, DeviceBoot, DeviceEvent, Locker, OpenCommand, Reservation
from lockers.services import commands, inbox, reservations
from lockers.services.reports import Scene
from lockers.sizes import Size
from lockers.states import CommandState, CompartmentState, DoorState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_locker,
    a_reservation,
    door_of,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db


def test_a_batch_is_kept_with_one_intent_and_a_repetition_changes_nothing(noon: datetime) -> None:
    cabinet = a_cabinet(a_locker(), noon)
    Intent.objects.all().delete()
    batch = [cabinet.report("compartment_closed", compartment_number=1) for _ in range(3)]

    answers = [inbox.receive(cabinet.device, batch, real_at=noon) for _ in range(2)]

    assert answers == [{cabinet.boot_id: 5}] * 2
    assert DeviceEvent.objects.count() == 5
    assert Intent.objects.count() == 1


def test_nothing_behind_a_gap_takes_effect_or_is_acknowledged(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    missing = cabinet.report("compartment_uncommanded_open", compartment_number=1)
    later = cabinet.report("compartment_closed", compartment_number=1)

    assert inbox.receive(cabinet.device, [later], real_at=noon) == {cabinet.boot_id: 2}
    assert inbox.apply(cabinet.device.pk, at=noon) == 0

    assert inbox.receive(cabinet.device, [missing], real_at=noon) == {cabinet.boot_id: 4}
    assert inbox.apply(cabinet.device.pk, at=noon) == 2
    assert door_of(locker, 1) == DoorState.CLOSED


def test_a_new_life_waits_for_the_last_reports_of_the_one_before(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    last = cabinet.report("compartment_uncommanded_open", compartment_number=1)
    reborn = Cabinet(device=cabinet.device, at=noon, boot_id="00000002-0123456789abcdef")
    booted = reborn.report("booted", previous_boot_id=cabinet.boot_id, previous_seq=3)
    closed = reborn.report("compartments", compartments=[{"compartment_number": 1, "door_state": "closed"}])

    reborn.say(booted, closed)
    assert DeviceBoot.objects.get(boot_id=reborn.boot_id).applied_seq == 0
    cabinet.say(last)

    assert DeviceBoot.objects.get(boot_id=reborn.boot_id).applied_seq == 2
    assert door_of(locker, 1) == DoorState.CLOSED


def test_a_report_that_cannot_be_placed_is_kept_with_the_reason_and_passed_by(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)

    cabinet.say(
        cabinet.report("compartment_closed", compartment_number=99),
        cabinet.report("compartment_uncommanded_open", compartment_number=1),
    )

    assert "no compartment 99" in DeviceEvent.objects.get(seq=3).problem
    assert door_of(locker, 1) == DoorState.OPEN


def test_an_answer_to_a_command_of_another_device_has_no_effect(noon: datetime) -> None:
    locker, other = a_locker(), a_locker()
    a_cabinet(locker, noon)
    stranger = a_cabinet(other, noon)
    command = commands.open_for_deposit(a_reservation(locker, noon), at=noon, real_at=noon)

    stranger.say(stranger.report("response", command.pk, result="success"))

    command.refresh_from_db()
    assert command.state == CommandState.CREATED


def test_an_interrupted_command_is_unknown_until_a_snapshot_shows_the_open_door(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)

    cabinet.say(cabinet.report("response", command.pk, result="error", error_code="INTERRUPTED"))
    command.refresh_from_db()
    assert command.state == CommandState.UNKNOWN

    cabinet.say(
        cabinet.report("compartments", compartments=[{"compartment_number": 1, "door_state": "open"}])
    )
    command.refresh_from_db()
    assert command.state == CommandState.OPENED
    assert state_of(reservation) == ReservationState.DEPOSITING


def test_a_door_that_opens_by_itself_is_noted_and_a_free_compartment_looked_into(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)

    cabinet.say(cabinet.report("compartment_uncommanded_open", compartment_number=1))

    assert Compartment.objects.get().verify_empty
    assert intent_of(locker, 1) == CompartmentState.FREE
    assert not Compartment.objects.free().exists()


def test_a_second_delivery_of_the_intent_finds_nothing_to_do(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    Intent.objects.all().delete()
    inbox.receive(cabinet.device, [cabinet.report("compartment_closed", compartment_number=1)], real_at=noon)
    intent = Intent.objects.get()

    for _ in range(2):
        intents.perform(intent.pk)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (IntentState.DONE, 1)
    assert not DeviceEvent.objects.filter(applied_at=None).exists()


def test_what_several_devices_say_at_once_is_kept_at_once_and_takes_effect_together(noon: datetime) -> None:
    cabinets = [a_cabinet(a_locker((Size.S,)), noon) for _ in range(3)]
    Intent.objects.all().delete()
    batches = {
        cabinet.device.pk: [cabinet.report("compartment_uncommanded_open", compartment_number=1)]
        for cabinet in cabinets
    }
    # One of them has been through this before.
    inbox.receive(cabinets[0].device, batches[cabinets[0].device.pk], real_at=noon)

    accepted = inbox.receive_all(batches, real_at=noon)

    assert accepted == {cabinet.device.pk: {cabinet.boot_id: 3} for cabinet in cabinets}
    asked = list(Intent.objects.order_by("pk"))
    assert {intent.arguments["device_id"] for intent in asked} == {str(pk) for pk in batches}
    intents.perform(*(intent.pk for intent in asked[1:]))
    doors = {door_of(cabinet.device.locker, 1) for cabinet in cabinets[1:]}
    assert doors == {DoorState.OPEN}
    assert door_of(cabinets[0].device.locker, 1) == DoorState.CLOSED


def test_a_device_whose_reports_fail_holds_up_no_other(
    noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, sound = (a_cabinet(a_locker((Size.S,)), noon) for _ in range(2))
    Intent.objects.all().delete()
    take = Scene.take

    def take_or_fail(scene: Scene, event: DeviceEvent) -> None:
        take(scene, event)
        if event.device_id == sick.device.pk:
            raise ZeroDivisionError

    monkeypatch.setattr(Scene, "take", take_or_fail)
    batches = {
        cabinet.device.pk: [cabinet.report("compartment_uncommanded_open", compartment_number=1)]
        for cabinet in (sick, sound)
    }
    inbox.receive_all(batches, real_at=noon)

    intents.perform(*Intent.objects.values_list("pk", flat=True))

    assert door_of(sick.device.locker, 1) == DoorState.CLOSED
    assert door_of(sound.device.locker, 1) == DoorState.OPEN
    [failed] = Intent.objects.exclude(state=IntentState.DONE)
    assert (failed.arguments, failed.last_error) == (
        {"device_id": str(sick.device.pk)},
        "ZeroDivisionError: ",
    )


def test_doors_matter_to_the_list_of_codes_where_somebody_has_a_claim(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)

    def is_concerned_by(kind: str, **data: Any) -> bool:
        before = Locker.objects.get().revision
        cabinet.say(cabinet.report(kind, **data))
        return Locker.objects.get().revision > before

    assert not is_concerned_by("compartment_uncommanded_open", compartment_number=1)
    reservation = a_reservation(locker, noon)
    assert is_concerned_by("compartment_closed", compartment_number=1)
    assert not is_concerned_by("power", source="mains", percent=80)
    command = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    number = command.compartment.number
    cabinet.opens(command)
    reservations.confirm_deposit(reservation, at=noon)
    cabinet.say(cabinet.report("compartment_closed", compartment_number=number))
    reservation.refresh_from_db()
    cabinet.opens(commands.open_for_collection(reservation, at=noon, real_at=noon))
    cabinet.say(cabinet.report("compartment_closed", compartment_number=number))
    # With the last goods goes the last claim: of that the device hears.
    assert is_concerned_by("collection_done", compartment_number=number)
    assert state_of(reservation) == ReservationState.COLLECTED
    assert not is_concerned_by("compartment_uncommanded_open", compartment_number=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_any_batches_and_any_repetitions_end_in_the_same_state(
    noon: datetime, data: st.DataObject
) -> None:
    """One deposit and one collection, reported in order or shuffled, doubled and split."""
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    reservation = a_reservation(locker, noon)
    deposit = commands.open_for_deposit(reservation, at=noon, real_at=noon)
    reservations.confirm_deposit(reservation, at=noon)
    collect = OpenCommand.objects.create(
        compartment=deposit.compartment,
        device=cabinet.device,
        reservation=reservation,
        purpose="collect",
        link_epoch=cabinet.device.link_epoch,
        state=CommandState.UNKNOWN,
        created_at=noon,
        expires_at=noon,
    )
    story = []
    for command in (deposit, collect):
        story += [
            cabinet.report("response", command.pk, result="success"),
            cabinet.report(
                "compartment_open_detected",
                command.pk,
                compartment_number=1,
                outcome="opened",
                detection_ms=9,
            ),
            cabinet.report("compartment_closed", compartment_number=1),
        ]
    story.append(cabinet.report("collection_done", compartment_number=1))
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=5))
    arrival = data.draw(st.permutations(repeated))

    while arrival:
        size = data.draw(st.integers(1, 5))
        batch, arrival = arrival[:size], arrival[size:]
        inbox.receive(cabinet.device, batch, real_at=noon)
        if data.draw(st.booleans()):
            inbox.apply(cabinet.device.pk, at=noon)
    inbox.apply(cabinet.device.pk, at=noon)

    assert state_of(reservation) == ReservationState.COLLECTED
    assert intent_of(locker, 1) == CompartmentState.FREE
    assert door_of(locker, 1) == DoorState.CLOSED
    assert set(OpenCommand.objects.filter(reservation=reservation).values_list("state", flat=True)) == {
        CommandState.OPENED
    }
    assert DeviceEvent.objects.filter(device=cabinet.device).count() == 2 + len(story)
    assert Reservation.objects.get(pk=reservation.pk).num_openings == 1
    assert Device.objects.get(pk=cabinet.device.pk).boots.get().applied_seq == 9
