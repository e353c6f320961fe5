"""Locker codes: far enough apart, told to nobody who should not know, and not to be guessed."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from common.models import Event
from lockers.exceptions import CodeNotRevealable, NoCodeLeft
from lockers.models import CodeMask, CodeThrottle, Locker, LockerCode
from lockers.services import codes, commands, keypad
from lockers.services.keypad import Entry, Outcome
from lockers.sizes import Size
from lockers.states import CodeState, CommandState
from tests.lockers.conftest import (
    NAMESPACE,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    deposited,
    digits_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Draw these digits, one after the other, and then the last one for ever."""
    queue: list[str] = []
    monkeypatch.setattr(codes, "draw", lambda: queue.pop(0) if len(queue) > 1 else queue[0])
    return queue


def enter(locker: Locker, digits: str, at: datetime) -> Entry:
    return keypad.enter(locker, digits, at=at, real_at=at, request_id=uuid4())


@pytest.mark.parametrize("near", ["12345678", "12345679", "02345678"])
def test_two_live_codes_differ_in_at_least_two_places(noon: datetime, drawn: list[str], near: str) -> None:
    drawn += ["12345678", near, "12345687"]

    a_code(noon)
    second = a_code(noon)

    assert digits_of(second, noon) == "12345687"


def test_codes_issued_together_differ_from_each_other_too(noon: datetime, drawn: list[str]) -> None:
    drawn += ["12345678", "12345679", "55555555"]
    holders = [uuid4(), uuid4()]

    issued = codes.issue_all(
        namespace=NAMESPACE, holders=holders, occasion=uuid4(), valid_until=noon, at=noon
    )

    assert [digits_of(issued[holder], noon) for holder in holders] == ["12345678", "55555555"]


def test_codes_of_another_region_may_be_the_same(noon: datetime, drawn: list[str]) -> None:
    drawn += ["12345678"]
    a_code(noon)

    other = codes.issue(namespace="holzminden", holder=uuid4(), occasion=uuid4(), valid_until=noon, at=noon)

    assert codes.find(namespace="holzminden", entered="12345678") == other


def test_without_a_code_far_enough_away_none_is_issued(noon: datetime, drawn: list[str]) -> None:
    drawn += ["12345678"]
    a_code(noon)

    with pytest.raises(NoCodeLeft):
        a_code(noon)

    assert LockerCode.objects.count() == 1


def test_the_digits_of_a_dead_code_can_be_issued_again_and_nothing_tells_them(
    noon: datetime, drawn: list[str]
) -> None:
    drawn += ["12345678"]
    dead = a_code(noon)
    codes.revoke(dead, at=noon)

    a_code(noon)

    dead.refresh_from_db()
    assert (dead.digest, dead.sealed) == ("", "")
    assert not CodeMask.objects.filter(code=dead).exists()
    with pytest.raises(CodeNotRevealable, match="revoked"):
        codes.reveal(dead, reason="test", at=noon)


def test_a_holder_has_one_live_code_for_an_occasion(noon: datetime) -> None:
    first = a_code(noon)

    assert a_code(noon, holder=first.holder, occasion=first.occasion) == first
    assert a_code(noon, holder=first.holder) != first


def test_showing_a_code_again_is_recorded_without_the_code(noon: datetime) -> None:
    digits = digits_of(a_code(noon), noon)

    record = Event.objects.get(kind="code_revealed")
    assert record.facts["reason"] == "test"
    assert digits not in str(record.facts)


def test_neither_digest_nor_copy_holds_the_digits(noon: datetime) -> None:
    code = a_code(noon)
    digits = digits_of(code, noon)

    assert digits not in code.digest + code.sealed
    assert all(digits not in mask.digest for mask in code.masks.all())


def test_one_code_opens_all_compartments_one_after_another_and_is_used_up_with_the_last(
    noon: datetime,
) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    for _ in range(2):
        deposited(a_reservation(locker, noon, code=code), cabinet)
    digits = digits_of(code, noon)

    opened = []
    for left in (1, 0):
        entry = enter(locker, digits, noon)
        assert entry.command is not None
        assert entry.num_left == left
        cabinet.opens(entry.command)
        cabinet.closes(entry.command)
        cabinet.done(entry.command)
        opened.append(entry.command.compartment.number)

    assert opened == [1, 2]
    code.refresh_from_db()
    assert code.state == CodeState.USED
    assert enter(locker, digits, noon).outcome == Outcome.CODE_UNKNOWN


def test_a_repeated_request_opens_nothing_else(noon: datetime) -> None:
    locker = a_locker((Size.S, Size.S))
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    for _ in range(2):
        deposited(a_reservation(locker, noon, code=code), cabinet)
    request_id = uuid4()

    first, second = (
        keypad.enter(locker, digits_of(code, noon), at=noon, real_at=noon, request_id=request_id)
        for _ in range(2)
    )

    assert first.command == second.command


def test_a_code_that_is_not_active_yet_is_no_wrong_code(noon: datetime) -> None:
    locker = a_locker()
    a_cabinet(locker, noon)
    code = a_code(noon)
    a_reservation(locker, noon, code=code)

    for _ in range(6):
        assert enter(locker, digits_of(code, noon), noon).outcome == Outcome.CODE_NOT_ACTIVE


def test_a_code_of_another_locker_looks_unknown_and_is_recorded(noon: datetime) -> None:
    here, there = a_locker(), a_locker()
    code = a_code(noon)
    deposited(a_reservation(there, noon, code=code), a_cabinet(there, noon))

    entry = enter(here, digits_of(code, noon), noon)

    assert entry.told == Outcome.CODE_UNKNOWN
    assert entry.command is None
    recorded = Event.objects.get(kind="code_refused")
    assert recorded.facts["outcome"] == "code-of-another-locker"
    assert CodeThrottle.objects.get(locker=here).num_failures == 1


@pytest.mark.parametrize("pause", [timedelta(), timedelta(seconds=1), timedelta(hours=23)])
def test_five_wrong_codes_lock_the_keypad_for_longer_each_time(noon: datetime, pause: timedelta) -> None:
    locker = a_locker()
    lock_outs = []
    at = noon
    for _ in range(5):
        for _ in range(5):
            assert enter(locker, "00000000", at).outcome == Outcome.CODE_UNKNOWN
        refused = enter(locker, "00000000", at)
        assert refused.outcome == Outcome.LOCKED_OUT
        assert refused.locked_until is not None
        lock_outs.append(refused.locked_until - at)
        at = refused.locked_until + pause

    hours = timedelta(hours=1)
    assert lock_outs == [hours / 4, hours, 4 * hours, 24 * hours, 24 * hours]


def test_a_locked_keypad_refuses_the_right_code_too(noon: datetime) -> None:
    locker = a_locker()
    code = a_code(noon)
    deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    for _ in range(5):
        enter(locker, "00000000", noon)

    assert enter(locker, digits_of(code, noon), noon).outcome == Outcome.LOCKED_OUT


def test_a_right_code_forgives_wrong_ones_once_so_that_its_holder_cannot_guess_on(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    code = a_code(noon)
    deposited(a_reservation(locker, noon, code=code), cabinet)
    left = []
    for _ in range(2):
        for _ in range(2):
            enter(locker, "00000000", noon)
        entry = enter(locker, digits_of(code, noon), noon)
        assert entry.command is not None
        cabinet.opens(entry.command)
        cabinet.closes(entry.command)
        left.append(CodeThrottle.objects.get(locker=locker).num_failures)

    assert left == [0, 2]


def test_wrong_codes_of_yesterday_are_forgotten(noon: datetime) -> None:
    locker = a_locker()
    for _ in range(4):
        enter(locker, "00000000", noon)

    enter(locker, "00000000", noon + timedelta(hours=25))

    assert CodeThrottle.objects.get(locker=locker).num_failures == 1


def test_lock_outs_are_forgotten_a_day_after_the_last_has_ended(noon: datetime) -> None:
    locker = a_locker()
    at = noon
    for _ in range(2):
        for _ in range(5):
            enter(locker, "00000000", at)
        at = CodeThrottle.objects.get(locker=locker).locked_until or noon

    at += timedelta(hours=25)
    for _ in range(5):
        enter(locker, "00000000", at)

    assert enter(locker, "00000000", at).locked_until == at + timedelta(minutes=15)


def test_an_offline_locker_opens_nothing_but_counts_nothing_either(noon: datetime) -> None:
    locker = a_locker()
    code = a_code(noon)
    deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    later = noon + timedelta(minutes=5)

    assert enter(locker, digits_of(code, noon), later).outcome == "locker-offline"
    assert CodeThrottle.objects.get(locker=locker).num_failures == 0


def test_codes_die_with_their_time_but_not_while_someone_collects(noon: datetime) -> None:
    locker = a_locker()
    cabinet = a_cabinet(locker, noon)
    idle, busy = a_code(noon, lives=timedelta(hours=1)), a_code(noon, lives=timedelta(hours=1))
    reservation = deposited(a_reservation(locker, noon, code=busy), cabinet)
    cabinet.opens(commands.open_for_collection(reservation, at=noon, real_at=noon))

    codes.sweep(at=noon + timedelta(hours=2))

    states = dict(LockerCode.objects.values_list("pk", "state"))
    assert states == {idle.pk: CodeState.EXPIRED, busy.pk: CodeState.IN_USE}


def test_entering_the_code_again_at_once_does_not_open_the_same_door_twice(noon: datetime) -> None:
    locker = a_locker((Size.S,))
    code = a_code(noon)
    deposited(a_reservation(locker, noon, code=code), a_cabinet(locker, noon))
    first = enter(locker, digits_of(code, noon), noon)

    second = enter(locker, digits_of(code, noon), noon)

    assert first.command is not None
    assert first.command.state == CommandState.CREATED
    assert (second.outcome, second.command) == ("command-pending", None)


def test_the_codes_of_a_day_are_all_two_places_apart(noon: datetime) -> None:
    issued = {digits_of(a_code(noon), noon) for _ in range(100)}

    masks = {(place, code[:place] + code[place + 1 :]) for code in issued for place in range(8)}
    assert len(masks) == 8 * len(issued)
    assert CodeMask.objects.filter(namespace=NAMESPACE).count() == 8 * len(issued)
