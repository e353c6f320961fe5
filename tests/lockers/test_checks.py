"""Compartments out of use: who looks says what is inside, and only then they are offered again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from common.models import Event
from lockers import signals
from lockers.exceptions import (
    CommandPending,
    CompartmentInUse,
    CompartmentUnavailable,
    GoodsClaimed,
    NothingClaimed,
)
from lockers.models import Compartment, LockerCode, Reservation
from lockers.services import cabinets, checks, claims, codes, commands, reservations, sweeps
from lockers.services.checks import Difference, Finding
from lockers.services.claims import ReleaseReason
from lockers.sizes import Size
from lockers.states import REACH_GUARANTEED, CodeState, CompartmentState, ReservationState
from tests.lockers.conftest import (
    Cabinet,
    a_cabinet,
    a_code,
    a_locker,
    a_reservation,
    bound,
    compartment_of,
    deposited,
    intent_of,
    state_of,
)

pytestmark = pytest.mark.django_db
OPERATOR = uuid4()


class Scene:
    """A locker with one door, its device, and a claim."""

    def __init__(self, noon: datetime, sizes: tuple[Size, ...] = (Size.S,)) -> None:
        self.noon = noon
        self.locker = a_locker(sizes)
        self.cabinet: Cabinet = a_cabinet(self.locker, noon)
        self.claim = a_reservation(self.locker, noon)

    @property
    def door(self) -> Compartment:
        """The first compartment, as stored."""
        return compartment_of(self.locker, 1)

    @property
    def code(self) -> LockerCode:
        """The resident's code, as stored."""
        return LockerCode.objects.get(reservations=self.claim)

    def deposit(self) -> "Scene":
        """Let the courier put the goods in."""
        deposited(self.claim, self.cabinet)
        return self

    def half_deposit(self, *, says_so: bool) -> "Scene":
        """Let the courier open, and either close the door or say that the goods are in; then time passes."""
        command = commands.open_for_deposit(self.claim, at=self.noon, real_at=self.noon)
        self.cabinet.opens(command)
        if says_so:
            reservations.confirm_deposit(self.claim, at=self.noon)
        else:
            self.cabinet.closes(command)
        sweeps.sweep(at=self.noon + timedelta(minutes=11))
        assert intent_of(self.locker, 1) == CompartmentState.NEEDS_CHECK
        return self

    def demand_check(self, reason: str = "test") -> "Scene":
        """Have the compartment checked."""
        cabinets.demand_check(self.door, reason=reason, at=self.noon)
        return self

    def report(self, difference: Difference = Difference.WRONG_GOODS, note: str = "") -> None:
        """Say that something is otherwise than the list says."""
        checks.report(self.door, difference, note=note, by=OPERATOR, at=self.noon)

    def block(self, note: str = "Hinge broken") -> None:
        """Take the compartment out of service."""
        checks.block(self.door, note=note, by=OPERATOR, at=self.noon)

    def unblock(self, at: datetime | None = None) -> None:
        """Let the compartment serve again."""
        checks.unblock(self.door, by=OPERATOR, at=at or self.noon)

    def settle(self, found: Finding, note: str = "") -> None:
        """Say what was found."""
        checks.settle(self.door, found, note=note, by=OPERATOR, at=self.noon, real_at=self.noon)


def test_why_and_since_when_a_compartment_is_out_of_use_is_kept_until_it_is_back(noon: datetime) -> None:
    scene = Scene(noon)

    scene.report(Difference.UNEXPECTED_GOODS, note="A blue bag")
    asked = scene.door
    scene.settle(Finding.EMPTY)

    assert (asked.trouble, asked.trouble_note, asked.trouble_since) == (
        "unexpected_goods",
        "A blue bag",
        noon,
    )
    back = scene.door
    assert back.state == CompartmentState.FREE
    assert (back.trouble, back.trouble_note, back.trouble_since) == ("", "", None)


def test_no_compartment_is_out_of_use_without_a_reason(noon: datetime) -> None:
    door = Scene(noon).door

    with pytest.raises(IntegrityError, match="out_of_use_for_a_reason"), transaction.atomic():
        door.advance(CompartmentState.NEEDS_CHECK)


def test_a_difference_closes_the_door_to_the_resident_until_somebody_looked(noon: datetime) -> None:
    scene = Scene(noon).deposit()

    scene.report()

    with pytest.raises(CompartmentUnavailable):
        commands.open_for_collection(scene.claim, at=noon, real_at=noon)
    scene.settle(Finding.AS_CLAIMED)
    assert commands.open_for_collection(scene.claim, at=noon, real_at=noon).compartment == scene.door


def test_a_difference_gives_the_claim_of_a_courier_on_the_way_another_door(noon: datetime) -> None:
    scene = Scene(noon, (Size.S, Size.S))
    bound(scene.claim)

    scene.report(Difference.UNEXPECTED_GOODS)

    command = commands.open_for_deposit(scene.claim, at=noon, real_at=noon)
    assert command.compartment.number == 2


def test_a_difference_reported_again_changes_nothing_but_is_on_record(noon: datetime) -> None:
    scene = Scene(noon)

    scene.report(Difference.FAULTY_DOOR)
    scene.report(Difference.WRONG_GOODS)

    assert scene.door.trouble == Difference.FAULTY_DOOR
    assert Event.objects.filter(kind="difference_reported").count() == 2


@pytest.mark.parametrize("act", [Scene.report, Scene.block])
def test_a_door_that_is_being_opened_is_not_taken_away_from_whoever_opens_it(
    noon: datetime, act: Callable[[Scene], None]
) -> None:
    scene = Scene(noon)
    commands.open_for_deposit(scene.claim, at=noon, real_at=noon)

    with pytest.raises(CommandPending):
        act(scene)

    assert intent_of(scene.locker, 1) == CompartmentState.RESERVED


def test_operators_open_no_door_that_is_in_use(noon: datetime) -> None:
    scene = Scene(noon).deposit()

    with pytest.raises(CompartmentInUse):
        checks.open_door(scene.door, by=OPERATOR, at=noon, real_at=noon)
    scene.report()

    command = checks.open_door(scene.door, by=OPERATOR, at=noon, real_at=noon)
    assert (command.purpose, command.reservation) == ("operator", None)


def test_who_opened_checked_and_blocked_is_on_record(noon: datetime) -> None:
    scene = Scene(noon)
    scene.report()
    checks.open_door(scene.door, by=OPERATOR, at=noon, real_at=noon)
    scene.settle(Finding.EMPTY)
    claims.cancel(scene.claim, at=noon)
    # The outcome of the opening is known by now.
    scene.door.commands.update(state="opened")
    scene.block()
    scene.unblock()

    done = Event.objects.filter(facts__by=str(OPERATOR)).order_by("pk")
    assert [event.kind for event in done] == [
        "difference_reported",
        "opened_for_check",
        "compartment_checked",
        "compartment_blocked",
        "compartment_unblocked",
    ]
    assert done[2].facts["found"] == "empty"


def test_goods_found_of_a_deposit_that_lacked_a_word_are_deposited(noon: datetime) -> None:
    scene = Scene(noon).half_deposit(says_so=False)

    scene.settle(Finding.AS_CLAIMED)

    scene.claim.refresh_from_db()
    assert (scene.claim.state, scene.claim.deposited_at) == (ReservationState.DEPOSITED, noon)
    assert scene.code.state == CodeState.ACTIVE
    assert intent_of(scene.locker, 1) == CompartmentState.OCCUPIED
    commands.open_for_collection(scene.claim, at=noon, real_at=noon)


def test_an_empty_compartment_gives_a_courier_who_said_nothing_another_try(noon: datetime) -> None:
    scene = Scene(noon).half_deposit(says_so=False)

    scene.settle(Finding.EMPTY)

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.RESERVED,
        CompartmentState.FREE,
    )
    assert commands.open_for_deposit(scene.claim, at=noon, real_at=noon).compartment == scene.door


@pytest.mark.parametrize("half", [True, False])
def test_a_compartment_is_not_called_empty_while_somebody_said_that_goods_are_in_it(
    noon: datetime, half: bool
) -> None:
    scene = Scene(noon)
    if half:
        scene.half_deposit(says_so=True)
    else:
        scene.deposit().demand_check()

    with pytest.raises(GoodsClaimed):
        scene.settle(Finding.EMPTY)
    assert intent_of(scene.locker, 1) == CompartmentState.NEEDS_CHECK

    scene.settle(Finding.MISSING)
    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.MISSING,
        CompartmentState.FREE,
    )


def test_missing_goods_are_announced_once_and_leave_the_code_without_use(noon: datetime) -> None:
    scene = Scene(noon).deposit().demand_check()
    heard = []
    signals.reservation_missing.connect(lambda reservation, **_: heard.append(reservation.pk), weak=False)

    scene.settle(Finding.MISSING)
    with pytest.raises(CompartmentInUse):
        scene.settle(Finding.MISSING)

    assert heard == [scene.claim.pk]
    assert scene.code.state == CodeState.EXPIRED


@pytest.mark.parametrize("is_overdue", [False, True])
def test_goods_that_were_handed_over_by_hand_are_collected(noon: datetime, is_overdue: bool) -> None:
    scene = Scene(noon).deposit()
    if is_overdue:
        sweeps.sweep(at=noon + timedelta(days=3))
        assert state_of(scene.claim) == ReservationState.OVERDUE
    scene.block()

    scene.settle(Finding.HANDED_OVER)

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.COLLECTED,
        CompartmentState.FREE,
    )


@pytest.mark.parametrize("found", [Finding.AS_CLAIMED, Finding.MISSING, Finding.HANDED_OVER])
def test_nothing_can_be_said_of_goods_that_nobody_knows_of(noon: datetime, found: Finding) -> None:
    scene = Scene(noon).demand_check()

    with pytest.raises(NothingClaimed):
        scene.settle(found)

    assert intent_of(scene.locker, 1) == CompartmentState.NEEDS_CHECK


@pytest.mark.parametrize("found", [Finding.MISSING, Finding.HANDED_OVER])
def test_goods_that_no_courier_said_were_there_are_neither_missing_nor_handed_over(
    noon: datetime, found: Finding
) -> None:
    scene = Scene(noon).half_deposit(says_so=False)

    with pytest.raises(NothingClaimed):
        scene.settle(found)

    assert state_of(scene.claim) == ReservationState.DEPOSITING


def test_goods_that_nobody_claims_keep_the_compartment_out_of_use_under_a_note(noon: datetime) -> None:
    scene = Scene(noon).demand_check()

    scene.settle(Finding.UNCLAIMED, note="Two bottles, no sticker")

    door = scene.door
    assert (door.state, door.trouble) == (CompartmentState.NEEDS_CHECK, "unclaimed_goods")
    assert (door.trouble_note, door.trouble_since) == ("Two bottles, no sticker", noon)
    assert not Compartment.objects.free().exists()


def test_a_collection_whose_door_was_left_open_ends_when_the_compartment_is_found_empty(
    noon: datetime,
) -> None:
    scene = Scene(noon).deposit()
    scene.cabinet.opens(commands.open_for_collection(scene.claim, at=noon, real_at=noon))
    scene.demand_check("door_left_open")

    scene.settle(Finding.EMPTY)

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.COLLECTED,
        CompartmentState.FREE,
    )


def test_goods_left_behind_in_a_collection_can_be_collected_again(noon: datetime) -> None:
    scene = Scene(noon).deposit()
    scene.cabinet.opens(commands.open_for_collection(scene.claim, at=noon, real_at=noon))
    scene.demand_check("door_left_open")

    scene.settle(Finding.AS_CLAIMED)

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.DEPOSITED,
        CompartmentState.OCCUPIED,
    )


@pytest.mark.parametrize("says_so", [True, False])
def test_that_an_operator_opens_and_closes_is_not_taken_for_the_couriers_deposit(
    noon: datetime, says_so: bool
) -> None:
    scene = Scene(noon).half_deposit(says_so=says_so)

    command = checks.open_door(scene.door, by=OPERATOR, at=noon, real_at=noon)
    scene.cabinet.opens(command)
    scene.cabinet.closes(command)

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.DEPOSITING,
        CompartmentState.NEEDS_CHECK,
    )


def test_a_blocked_compartment_keeps_its_goods_and_its_code_until_it_is_back(noon: datetime) -> None:
    scene = Scene(noon).deposit()

    scene.block()
    with pytest.raises(CompartmentUnavailable):
        commands.open_for_collection(scene.claim, at=noon, real_at=noon)
    scene.unblock()

    assert (state_of(scene.claim), intent_of(scene.locker, 1)) == (
        ReservationState.DEPOSITED,
        CompartmentState.OCCUPIED,
    )
    assert scene.code.state == CodeState.ACTIVE
    commands.open_for_collection(scene.claim, at=noon, real_at=noon)


def test_time_does_not_run_for_goods_that_nobody_can_reach(noon: datetime) -> None:
    scene = Scene(noon).deposit()
    scene.claim.refresh_from_db()
    assert scene.claim.hold_until is not None
    scene.block()
    later = scene.claim.hold_until + timedelta(days=1)

    for moment in (scene.claim.hold_until - timedelta(minutes=1), later):
        sweeps.sweep(at=moment)
        codes.sweep(at=moment)
    scene.unblock(at=later)

    scene.claim.refresh_from_db()
    assert scene.claim.state == ReservationState.DEPOSITED
    assert scene.claim.hold_until >= later + REACH_GUARANTEED
    code = scene.code
    assert (code.is_live, code.valid_until) == (True, scene.claim.hold_until)
    sweeps.sweep(at=scene.claim.hold_until + timedelta(seconds=1))
    assert state_of(scene.claim) == ReservationState.OVERDUE


def test_unblocked_goods_may_stay_as_long_as_was_promised(noon: datetime) -> None:
    scene = Scene(noon).deposit()
    scene.claim.refresh_from_db()
    promised = scene.claim.hold_until

    scene.block()
    scene.unblock()

    scene.claim.refresh_from_db()
    assert scene.claim.hold_until == promised


def test_into_an_unblocked_compartment_without_goods_somebody_looks_before_it_is_offered(
    noon: datetime,
) -> None:
    scene = Scene(noon)
    claims.cancel(scene.claim, at=noon)

    scene.block()
    scene.unblock()

    assert (scene.door.state, scene.door.trouble) == (CompartmentState.NEEDS_CHECK, "blocked")
    assert not Compartment.objects.free().exists()


def test_what_waited_for_a_check_before_it_was_blocked_waits_for_it_afterwards(noon: datetime) -> None:
    scene = Scene(noon).deposit()
    scene.report(Difference.WRONG_GOODS)

    scene.block()
    blocked = scene.door
    scene.unblock()

    assert (blocked.state, blocked.trouble) == (CompartmentState.OUT_OF_SERVICE, "wrong_goods")
    assert (scene.door.state, scene.door.trouble) == (CompartmentState.NEEDS_CHECK, "wrong_goods")


def test_to_block_twice_changes_the_note_only_and_to_unblock_twice_nothing(noon: datetime) -> None:
    scene = Scene(noon).deposit()

    scene.block("Hinge broken")
    scene.block("Hinge broken, part ordered")
    blocked = scene.door
    scene.unblock()
    scene.unblock()

    assert (blocked.state, blocked.trouble_note) == (
        CompartmentState.OUT_OF_SERVICE,
        "Hinge broken, part ordered",
    )
    assert Event.objects.filter(kind="compartment_blocked").count() == 1
    assert Event.objects.filter(kind="compartment_unblocked").count() == 1


@pytest.mark.parametrize("reason", list(ReleaseReason))
def test_whatever_a_courier_says_a_blocked_compartment_stays_out_of_service(
    noon: datetime, reason: ReleaseReason
) -> None:
    scene = Scene(noon)
    command = commands.open_for_deposit(scene.claim, at=noon, real_at=noon)
    scene.cabinet.opens(command)
    scene.cabinet.closes(command)
    scene.block()

    claims.release_door(scene.claim, reason=reason, at=noon)

    assert intent_of(scene.locker, 1) == CompartmentState.OUT_OF_SERVICE


def test_the_word_that_goods_do_not_fit_settles_no_check(noon: datetime) -> None:
    scene = Scene(noon).half_deposit(says_so=False)

    claims.release_door(scene.claim, reason=ReleaseReason.DOES_NOT_FIT, at=noon)

    assert intent_of(scene.locker, 1) == CompartmentState.NEEDS_CHECK


def test_goods_whose_words_come_late_leave_the_list_of_checks(noon: datetime) -> None:
    scene = Scene(noon).half_deposit(says_so=False)

    reservations.confirm_deposit(scene.claim, at=noon)

    assert (scene.door.state, scene.door.trouble, scene.door.trouble_since) == (
        CompartmentState.OCCUPIED,
        "",
        None,
    )


def test_of_two_goods_of_one_code_only_those_out_of_reach_get_more_time(noon: datetime) -> None:
    code = a_code(noon)
    scene = Scene(noon, (Size.S, Size.S))
    Reservation.objects.filter(pk=scene.claim.pk).update(code=code)
    scene.claim.refresh_from_db()
    other = deposited(a_reservation(scene.locker, noon, code=code), scene.cabinet)
    scene.deposit()
    until = Reservation.objects.get(pk=other.pk).hold_until
    assert until is not None
    checks.block(compartment_of(scene.locker, 2), note="", by=OPERATOR, at=noon)

    sweeps.sweep(at=until + timedelta(seconds=1))

    states = {state_of(other), state_of(scene.claim)}
    assert states == {ReservationState.DEPOSITED, ReservationState.OVERDUE}
    code.refresh_from_db()
    assert code.is_live
