"""Helpers: somebody collects for a resident, with a code of their own, once."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from common.exceptions import InvalidTransition
from common.models import Event
from lockers.models import CodeMask, LockerCode
from lockers.services import codes, keypad, reservations
from lockers.services.keypad import Outcome
from lockers.sizes import Size
from lockers.states import CodeState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    digits_of,
    state_of,
)

pytestmark = pytest.mark.django_db


class Visit:
    """Goods of one resident behind two doors, and a helper who was asked to fetch them."""

    def __init__(self, at: datetime, *, num_bundles: int = 2) -> None:
        self.at = at
        self.locker = a_locker((Size.S, Size.S, Size.S))
        self.cabinet: Cabinet = a_cabinet(self.locker, at)
        self.code = a_code(at)
        self.bundles = [
            deposited(a_reservation(self.locker, at, code=self.code), self.cabinet)
            for _ in range(num_bundles)
        ]
        self.helper = codes.issue_for_helper(self.code, helper=uuid4(), at=at)
        self.digits = digits_of(self.helper, at)

    def type(self, digits: str) -> str:
        """Type a code; if a door opens, take everything, close it and press the button."""
        entry = keypad.enter(self.locker, digits, at=self.at, real_at=self.at, request_id=uuid4())
        if entry.command is not None:
            self.cabinet.opens(entry.command)
            self.cabinet.closes(entry.command)
            self.cabinet.done(entry.command)
        self.helper.refresh_from_db()
        self.code.refresh_from_db()
        return entry.outcome


def test_a_helper_collects_everything_with_one_code_and_it_is_used_up(noon: datetime) -> None:
    visit = Visit(noon)

    outcomes = [visit.type(visit.digits) for _ in range(3)]

    assert outcomes == [Outcome.OPENING, Outcome.OPENING, Outcome.CODE_UNKNOWN]
    assert {state_of(bundle) for bundle in visit.bundles} == {ReservationState.COLLECTED}
    assert (visit.helper.state, visit.code.state) == (CodeState.USED, CodeState.USED)
    assert Event.objects.filter(kind="opened_by_helper").count() == 1
    assert not CodeMask.objects.exists()


def test_a_visit_uses_the_code_up_even_if_more_is_to_come(noon: datetime) -> None:
    visit = Visit(noon, num_bundles=1)
    coming = a_reservation(visit.locker, noon, code=visit.code)

    visit.type(visit.digits)
    deposited(coming, visit.cabinet)

    assert visit.helper.state == CodeState.USED
    assert visit.type(visit.digits) == Outcome.CODE_UNKNOWN
    assert visit.type(digits_of(visit.code, noon)) == Outcome.OPENING


def test_before_the_goods_lie_there_a_helper_is_told_to_wait(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    coming = a_reservation(locker, noon, code=code)
    helper = codes.issue_for_helper(code, helper=uuid4(), at=noon)
    digits = digits_of(helper, noon)

    early = keypad.enter(locker, digits, at=noon, real_at=noon, request_id=uuid4())
    deposited(coming, cabinet)
    later = keypad.enter(locker, digits, at=noon, real_at=noon, request_id=uuid4())

    assert (early.outcome, later.outcome) == (Outcome.CODE_NOT_ACTIVE, Outcome.OPENING)


def test_a_code_that_was_taken_back_opens_nothing_and_the_residents_own_does(noon: datetime) -> None:
    visit = Visit(noon)

    codes.revoke(visit.helper, at=noon)

    assert visit.type(visit.digits) == Outcome.CODE_UNKNOWN
    assert visit.type(digits_of(visit.code, noon)) == Outcome.OPENING


def test_when_the_resident_collects_first_the_helpers_code_dies(noon: datetime) -> None:
    visit = Visit(noon, num_bundles=1)

    visit.type(digits_of(visit.code, noon))

    assert visit.helper.state == CodeState.EXPIRED
    assert visit.type(visit.digits) == Outcome.CODE_UNKNOWN


def test_more_time_for_the_goods_is_more_time_for_the_helper(noon: datetime) -> None:
    visit = Visit(noon, num_bundles=1)
    later = noon + timedelta(days=5)

    reservations.extend(visit.bundles[0], hold_until=later)
    codes.sweep(at=later - timedelta(hours=1))

    assert LockerCode.objects.get(pk=visit.helper.pk).valid_until == later
    assert visit.type(visit.digits) == Outcome.OPENING


def test_helpers_do_not_pass_their_code_on_and_dead_codes_are_not_shared(noon: datetime) -> None:
    visit = Visit(noon, num_bundles=1)

    with pytest.raises(InvalidTransition):
        codes.issue_for_helper(visit.helper, helper=uuid4(), at=noon)
    codes.revoke(visit.code, at=noon)
    with pytest.raises(InvalidTransition):
        codes.issue_for_helper(visit.code, helper=uuid4(), at=noon)
    visit.helper.refresh_from_db()
    assert not visit.helper.is_live
