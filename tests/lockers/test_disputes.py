"""A resident says that something is wrong: the code opens nothing until somebody has looked."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from common.exceptions import InvalidTransition
from common.models import Event
from lockers import signals
from lockers.exceptions import CodeFrozen, CommandPending, GoodsClaimed, NotDeposited
from lockers.models import Compartment, Device, LockerCode, Reservation
from lockers.services import allowlists, checks, codes, commands, disputes, keypad, reservations, sweeps
from lockers.services.checks import Finding
from lockers.services.disputes import Complaint
from lockers.services.keypad import Outcome
from lockers.sizes import Size
from lockers.states import REACH_GUARANTEED, CodeState, CompartmentState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    bound,
    deposited,
    digits_of,
    state_of,
)

pytestmark = pytest.mark.django_db
SOMEBODY = uuid4()


class Scene:
    """Goods of one resident behind some doors, under one code."""

    def __init__(self, at: datetime, *, num_bundles: int = 1) -> None:
        self.at = at
        self.locker = a_locker((Size.S, Size.S, Size.S))
        self.cabinet: Cabinet = a_cabinet(self.locker, at)
        self._code = a_code(at)
        self.bundles = [
            deposited(a_reservation(self.locker, at, code=self._code), self.cabinet)
            for _ in range(num_bundles)
        ]
        self.bundle = self.bundles[0]
        self.digits = digits_of(self._code, at)

    @property
    def code(self) -> LockerCode:
        """The resident's code, as stored."""
        return LockerCode.objects.get(pk=self._code.pk)

    @property
    def door(self) -> Compartment:
        """The compartment of the first bundle, as stored."""
        return bound(self.bundle)

    def collect(self) -> "Scene":
        """Open the door and close it, as somebody who takes goods out."""
        command = commands.open_for_collection(self.bundle, at=self.at, real_at=self.at)
        self.cabinet.opens(command)
        self.cabinet.closes(command)
        return self

    def complain(
        self, complaint: Complaint = Complaint.STILL_INSIDE, *, of: Reservation | None = None
    ) -> None:
        """Say that something is wrong."""
        disputes.begin(of or self.bundle, complaint, by=SOMEBODY, role="resident", at=self.at)

    def settle(self, found: Finding, *, of: Reservation | None = None) -> None:
        """Say what was found."""
        door = bound(of or self.bundle)
        checks.settle(door, found, by=SOMEBODY, at=self.at, real_at=self.at)

    def type(self, digits: str | None = None) -> str:
        """Type a code, and return what it did."""
        entry = keypad.enter(
            self.locker, digits or self.digits, at=self.at, real_at=self.at, request_id=uuid4()
        )
        return entry.outcome

    def listed(self) -> list[str]:
        """Return the codes that a list made now names."""
        device = Device.objects.select_related("locker").get(locker=self.locker)
        Device.objects.filter(pk=device.pk).update(list_sent_at=None)
        told = allowlists.next_message(device, at=self.at, real_at=self.at)
        assert told is not None
        return [entry["entry_id"] for entry in told["entries"]]


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("complaint", Complaint)
def test_a_complaint_has_the_compartment_checked_and_freezes_the_code(
    noon: datetime, complaint: Complaint, has_begun: bool
) -> None:
    scene = Scene(noon)
    if has_begun:
        scene.collect()

    scene.complain(complaint)

    assert (scene.door.state, scene.door.trouble) == (CompartmentState.NEEDS_CHECK, complaint.value)
    assert (scene.code.state, state_of(scene.bundle)) == (CodeState.FROZEN, ReservationState.DEPOSITED)
    assert scene.type() == Outcome.CODE_FROZEN
    with pytest.raises(CodeFrozen):
        commands.open_for_collection(scene.bundle, at=noon, real_at=noon)
    facts = Event.objects.get(kind="complaint_made").facts
    assert (facts["complaint"], facts["role"], facts["by"]) == (complaint.value, "resident", str(SOMEBODY))


def test_a_frozen_code_opens_no_other_door_either_and_its_helpers_wait_too(noon: datetime) -> None:
    scene = Scene(noon, num_bundles=2)
    helper = codes.issue_for_helper(scene.code, helper=uuid4(), at=noon)

    scene.complain()

    assert scene.type(digits_of(helper, noon)) == Outcome.CODE_FROZEN
    with pytest.raises(CodeFrozen):
        commands.open_for_collection(scene.bundles[1], at=noon, real_at=noon)


def test_a_frozen_code_leaves_the_list_of_the_device_and_comes_back_when_it_thaws(noon: datetime) -> None:
    scene = Scene(noon)
    codes.issue_for_helper(scene.code, helper=uuid4(), at=noon)
    before = scene.listed()

    scene.complain()
    frozen = scene.listed()
    scene.settle(Finding.AS_CLAIMED)

    assert (len(before), frozen) == (2, [])
    assert sorted(scene.listed()) == sorted(before)


def test_lockers_elsewhere_that_know_the_code_hear_of_it_too(noon: datetime) -> None:
    scene = Scene(noon)
    other = a_locker((Size.S,))
    a_reservation(other, noon, code=scene.code)
    other.refresh_from_db()
    before = other.revision

    scene.complain()
    other.refresh_from_db()
    frozen = other.revision
    scene.settle(Finding.AS_CLAIMED)
    other.refresh_from_db()

    assert before < frozen < other.revision


def test_while_the_door_is_being_opened_nobody_complains_yet(noon: datetime) -> None:
    scene = Scene(noon)
    commands.open_for_collection(scene.bundle, at=noon, real_at=noon)

    with pytest.raises(CommandPending):
        scene.complain()

    assert scene.code.state == CodeState.ACTIVE


def test_a_complaint_made_twice_is_one(noon: datetime) -> None:
    scene = Scene(noon)

    scene.complain(Complaint.DAMAGED)
    scene.complain(Complaint.NOT_MINE)

    assert scene.door.trouble == "damaged"
    assert Event.objects.filter(kind="complaint_made").count() == 1


def test_of_goods_that_do_not_lie_there_nobody_complains(noon: datetime) -> None:
    scene = Scene(noon)
    coming = a_reservation(scene.locker, noon, code=scene.code)

    with pytest.raises(NotDeposited):
        scene.complain(of=coming)
    scene.collect()
    reservations.confirm_collection(scene.bundle, at=noon)
    with pytest.raises(NotDeposited):
        scene.complain()

    assert scene.code.state == CodeState.IN_USE


def test_goods_that_are_as_claimed_can_be_collected_again_and_the_code_thaws(noon: datetime) -> None:
    scene = Scene(noon).collect()
    scene.complain()

    scene.settle(Finding.AS_CLAIMED)

    assert scene.door.state == CompartmentState.OCCUPIED
    assert scene.code.state == CodeState.ACTIVE
    assert scene.type() == Outcome.OPENING


@pytest.mark.parametrize(
    ("found", "to", "code"),
    [
        (Finding.HANDED_OVER, ReservationState.COLLECTED, CodeState.EXPIRED),
        (Finding.MISSING, ReservationState.MISSING, CodeState.EXPIRED),
    ],
)
def test_a_code_ends_with_the_check_that_leaves_it_nothing_to_open(
    noon: datetime, found: Finding, to: ReservationState, code: CodeState
) -> None:
    scene = Scene(noon)
    scene.complain()

    scene.settle(found)

    assert (state_of(scene.bundle), scene.code.state) == (to, code)
    assert scene.door.state == CompartmentState.FREE


def test_a_disputed_compartment_is_not_called_empty_just_like_that(noon: datetime) -> None:
    scene = Scene(noon).collect()
    scene.complain(Complaint.NOT_MINE)

    with pytest.raises(GoodsClaimed):
        scene.settle(Finding.EMPTY)

    assert scene.code.state == CodeState.FROZEN


def test_goods_of_nobody_keep_the_code_frozen(noon: datetime) -> None:
    scene = Scene(noon)
    scene.complain(Complaint.NOT_MINE)

    scene.settle(Finding.UNCLAIMED)

    assert scene.code.state == CodeState.FROZEN
    scene.settle(Finding.AS_CLAIMED)
    assert scene.code.state == CodeState.ACTIVE


def test_a_code_thaws_with_the_last_complaint_and_its_resident_hears_of_the_rest(noon: datetime) -> None:
    scene = Scene(noon, num_bundles=3)
    told: list[Reservation] = []

    def note(*, reservation: Reservation, **_: object) -> None:
        told.append(reservation)

    scene.complain()
    scene.complain(of=scene.bundles[1])
    signals.reservation_within_reach.connect(note)
    try:
        scene.settle(Finding.MISSING)
        still = scene.code.state
        scene.settle(Finding.MISSING, of=scene.bundles[1])
    finally:
        signals.reservation_within_reach.disconnect(note)

    assert (still, scene.code.state) == (CodeState.FROZEN, CodeState.ACTIVE)
    assert told == [scene.bundles[2]]
    assert scene.type() == Outcome.OPENING


def test_goods_under_a_frozen_code_wait_until_somebody_has_looked(noon: datetime) -> None:
    scene = Scene(noon, num_bundles=2)
    other = scene.bundles[1]
    scene.complain()
    other.refresh_from_db()
    assert other.hold_until is not None

    late = other.hold_until + timedelta(minutes=1)
    sweeps.sweep(at=late)
    codes.sweep(at=late)

    other.refresh_from_db()
    assert (other.state, other.hold_until) == (ReservationState.DEPOSITED, late + REACH_GUARANTEED)
    assert scene.code.state == CodeState.FROZEN


def test_what_a_locker_let_in_before_it_heard_of_the_complaint_does_not_end_it(noon: datetime) -> None:
    scene = Scene(noon)
    command = commands.open_for_collection(scene.bundle, at=noon, real_at=noon)
    commands.sweep(real_at=noon + timedelta(minutes=1))
    scene.complain()

    scene.cabinet.opens(command)
    scene.cabinet.closes(command)
    scene.cabinet.done(command)
    sweeps.sweep(at=noon + timedelta(minutes=30))

    assert state_of(scene.bundle) == ReservationState.COLLECTING
    assert (scene.door.state, scene.code.state) == (CompartmentState.NEEDS_CHECK, CodeState.FROZEN)
    scene.settle(Finding.EMPTY)
    assert (state_of(scene.bundle), scene.code.state) == (ReservationState.COLLECTED, CodeState.USED)


def test_a_compartment_that_was_blocked_meanwhile_still_waits_for_somebody_to_look(noon: datetime) -> None:
    scene = Scene(noon)
    checks.block(scene.door, note="Hinge broken", by=SOMEBODY, at=noon)

    scene.complain()
    checks.unblock(scene.door, by=SOMEBODY, at=noon)

    assert scene.door.state == CompartmentState.NEEDS_CHECK
    assert scene.code.state == CodeState.FROZEN


def test_a_code_that_was_revoked_meanwhile_does_not_thaw(noon: datetime) -> None:
    scene = Scene(noon)
    scene.complain()

    codes.revoke(scene.code, at=noon)
    scene.settle(Finding.AS_CLAIMED)

    assert scene.code.state == CodeState.REVOKED
    with pytest.raises(InvalidTransition):
        codes.issue_for_helper(scene.code, helper=uuid4(), at=noon)


def test_a_helper_who_was_asked_while_the_code_was_frozen_can_come_when_it_thaws(noon: datetime) -> None:
    scene = Scene(noon)
    scene.complain()
    helper = codes.issue_for_helper(scene.code, helper=uuid4(), at=noon)
    digits = digits_of(helper, noon)

    scene.settle(Finding.AS_CLAIMED)

    assert scene.type(digits) == Outcome.OPENING


def test_nobody_says_done_while_the_door_opens_once_more(noon: datetime) -> None:
    scene = Scene(noon).collect()
    commands.open_for_collection(scene.bundle, at=noon, real_at=noon)

    with pytest.raises(CommandPending):
        reservations.confirm_collection(scene.bundle, at=noon)

    assert state_of(scene.bundle) == ReservationState.COLLECTING
