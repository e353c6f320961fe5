"""Deposits of which the lockers know half: the courier is asked, and the dispatcher sees it."""

import pytest

from common.models import Event
from lockers.models import Compartment
from lockers.services import sweeps
from lockers.states import CompartmentState
from logistics.models import Bundle, ReportKind
from logistics.services import runs
from logistics.services.overflow import Action
from logistics.services.runs import Answer
from logistics.services.taps import Tap
from tests.logistics.builders import at
from tests.logistics.driving import Drive

pytestmark = pytest.mark.django_db


class Doubt:
    """A courier who put goods in, closed the door and went on without a word."""

    def __init__(self) -> None:
        self.drive = Drive().start().load()
        self.bundle = Bundle.objects.get()
        self.drive.open(self.bundle)
        sweeps.sweep(at=at(11, 11))

    @property
    def door(self) -> Compartment:
        """The compartment, as stored."""
        return Compartment.objects.get(reservations__bundle=self.bundle)

    def say(self, *taps: Tap) -> Answer:
        """Report taps, and return what the courier is told."""
        return runs.report(self.drive.run, taps=taps, received_at=at(12))


def test_a_deposit_without_a_word_is_on_record_for_the_dispatcher_with_its_run() -> None:
    doubt = Doubt()

    assert doubt.door.state == CompartmentState.NEEDS_CHECK
    assert Event.objects.get(kind="deposit_in_doubt").facts == {
        "bundle": str(doubt.bundle.pk),
        "run": str(doubt.drive.run.pk),
        "reason": "half_confirmed_deposit",
    }


def test_whatever_the_courier_reports_next_is_answered_with_the_question() -> None:
    doubt = Doubt()

    answer = doubt.say(doubt.drive.tap(ReportKind.ARRIVED, doubt.drive.shop_stop, made_at=at(11, 30)))

    [told] = answer.instructions
    assert (told.bundle, told.action, told.stop) == (
        doubt.bundle.pk,
        Action.CONFIRM_DEPOSIT,
        doubt.drive.point_stop,
    )


def test_the_late_word_of_the_courier_settles_it_and_nobody_is_asked_again() -> None:
    doubt = Doubt()

    answer = doubt.say(doubt.drive.tap(ReportKind.DEPOSITED, doubt.drive.point_stop, made_at=at(11, 30)))

    assert answer.instructions == []
    assert (doubt.door.state, doubt.drive.states) == (CompartmentState.OCCUPIED, {"deposited"})


def test_of_a_deposit_that_is_under_way_nobody_is_asked() -> None:
    drive = Drive().start().load()
    drive.open(Bundle.objects.get())
    tap = drive.tap(ReportKind.ARRIVED, drive.point_stop, made_at=at(11))

    assert runs.report(drive.run, taps=[tap], received_at=at(11, 5)).instructions == []
