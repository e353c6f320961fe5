"""Goods that do not go where they should: next size, another locker, a counter, or the next pool."""

from datetime import datetime, time
from typing import Any
from uuid import uuid4

import pytest

from common.clock import real_now
from common.models import Event
from lockers.models import Compartment, Reservation
from lockers.services import codes, keypad
from lockers.sizes import Size, Temperature
from lockers.states import CompartmentState, ReservationState
from logistics.exceptions import NothingToOpen
from logistics.models import Bundle, CourierReport, Handling, Message, Parcel, ReportKind, Run, Stop
from logistics.services import bundles, runs
from logistics.services.overflow import Action
from logistics.services.runs import Answer
from logistics.services.taps import Tap
from logistics.states import ParcelState, RunState, StopState
from tests.logistics.builders import Village, a_resident, a_supply_point, an_order, at
from tests.logistics.doors import Cabinet
from tests.logistics.driving import open_door
from tests.logistics.solving import SolverHere, released

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = (Size.S, Temperature.AMBIENT)
MEDIUM = (Size.M, Temperature.AMBIENT)


@pytest.fixture(autouse=True)
def _solver_and_no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


class Round:
    """
    A run under way over two villages, in the order of its stops, with all goods on board.

    Residents accept each other's supply points from the moment on at which the run was released.
    """

    def __init__(self, *, accept: bool = True, compartments: Any = (SMALL, SMALL), **points: Any) -> None:
        village = Village(compartments=compartments, **points)
        neighbours = a_supply_point(village.region, compartments=compartments, latitude=52.13, **points)
        neighbour = a_resident(village.region, supply_point=neighbours)
        an_order(shop=village.shop, resident=village.resident)
        an_order(shop=village.shop, resident=neighbour)
        released(village)
        if accept:
            village.resident.alternatives.add(neighbours)
            neighbour.alternatives.add(village.supply_point)
        self.village = village
        self.run = Run.objects.get()
        self.shop_stop = self.run.stops.get(kind="shop")
        self.first, self.second = self.run.stops.filter(kind="supply_point")
        self.end = self.run.stops.get(kind="end")
        self.bundle = Bundle.objects.get(supply_point=self.first.supply_point)
        self.other_bundle = Bundle.objects.get(supply_point=self.second.supply_point)
        self.cabinets = {
            stop.pk: Cabinet(stop.supply_point.locker)  # type: ignore[union-attr, arg-type]
            for stop in (self.first, self.second)
        }
        runs.start(self.run, courier=self.run.courier, at=at(9, 30))
        self.say(self.tap(ReportKind.LOADED, self.shop_stop, made_at=at(10)))

    def tap(self, kind: ReportKind, stop: Stop, *, made_at: datetime | None = None, **about: Any) -> Tap:
        """Return a tap with a key of its own."""
        return Tap(key=uuid4(), kind=kind, stop_id=stop.pk, made_at=made_at or at(11), **about)

    def problem(self, reason: str, **about: Any) -> Tap:
        """Return the tap that the bundle of the first stop cannot go where it should."""
        about = {"bundle": self.bundle.pk} | about
        return self.tap(ReportKind.PROBLEM, self.first, reason=reason, **about)

    def deposited(self, stop: Stop, **about: Any) -> Tap:
        """Return the tap that the bundle is in."""
        return self.tap(ReportKind.DEPOSITED, stop, bundle=self.bundle.pk, **about)

    def say(self, *taps: Tap, received_at: datetime | None = None) -> Answer:
        """Report taps."""
        return runs.report(self.run, taps=taps, received_at=received_at or at(18))

    def told(self, *taps: Tap) -> list[tuple[Action, Any]]:
        """Report taps, and return what the courier is told to do with the bundle, and at which stop."""
        answer = self.say(*taps)
        self.bundle.refresh_from_db()
        return [(one.action, one.stop) for one in answer.instructions if one.bundle == self.bundle.pk]

    def open(self, stop: Stop) -> Compartment:
        """Open a door for the bundle, and close it again."""
        command = open_door(stop, Bundle.objects.get(pk=self.bundle.pk))
        self.cabinets[stop.pk].open_and_close(command, at=at(11))
        return command.compartment

    @property
    def claim(self) -> Reservation:
        """The claim of the bundle."""
        return Reservation.objects.get(bundle=self.bundle)

    @property
    def state(self) -> str:
        """The state of the bundle's parcel."""
        return Parcel.objects.get(bundle=self.bundle).state

    def fill(self, stop: Stop, *, but: int = 0) -> None:
        """Let all doors of a stop's locker be taken but the last ones, without a claim of ours."""
        assert stop.supply_point is not None
        doors = Compartment.objects.filter(locker=stop.supply_point.locker_id).order_by("number")
        doors.filter(pk__in=doors[: doors.count() - but]).update(state=CompartmentState.OCCUPIED)


def facts_of(kind: str) -> dict[str, Any]:
    """Return the facts of the only event of a kind."""
    return dict(Event.objects.get(kind=kind).facts)


def test_goods_that_do_not_fit_go_behind_the_next_larger_door_of_the_same_locker() -> None:
    tour = Round(compartments=(SMALL, MEDIUM))
    small = tour.open(tour.first)

    told = tour.told(tour.problem("does_not_fit", compartment=small.number))

    assert told == [(Action.OPEN_DOOR, tour.first)]
    assert tour.open(tour.first).size == Size.M
    assert not Message.objects.filter(kind="moved").exists()


def test_goods_without_a_larger_door_go_to_the_next_locker_that_their_resident_accepts() -> None:
    tour = Round(compartments=(SMALL, MEDIUM))
    tour.fill(tour.first, but=0)
    Compartment.objects.filter(locker=tour.claim.locker_id, size=Size.S).update(state=CompartmentState.FREE)
    given_up, small = tour.claim, tour.open(tour.first)

    told = tour.told(tour.problem("does_not_fit", compartment=small.number))

    assert told == [(Action.OPEN_DOOR, tour.second)]
    assert (tour.claim.locker, tour.claim.size) == (tour.second.supply_point.locker, Size.M)  # type: ignore[union-attr]
    assert (tour.claim.code_id, tour.claim.hold_until) == (given_up.code_id, given_up.hold_until)
    assert Reservation.objects.get(pk=given_up.pk).state == ReservationState.CANCELLED
    assert Reservation.objects.holding().filter(reference=tour.bundle.pk).count() == 1
    assert Compartment.objects.get(pk=small.pk).state == CompartmentState.FREE
    assert tour.bundle.supply_point == tour.second.supply_point


def test_everyone_is_told_of_goods_that_go_elsewhere() -> None:
    tour = Round()

    tour.told(tour.problem("locker_full"))

    message = Message.objects.get(kind="moved")
    assert (message.subject, message.resident) == (tour.bundle.pk, tour.bundle.resident)
    assert facts_of("bundle_moved") == {
        "run": str(tour.run.pk),
        "bundle": str(tour.bundle.pk),
        "reason": "locker_full",
        "stop": str(tour.second.pk),
        "supply_point": str(tour.second.supply_point_id),
        "at_counter": False,
    }
    meant = Handling.objects.meant().filter(parcel__bundle=tour.bundle, stop__kind="supply_point")
    assert [handling.stop for handling in meant] == [tour.second]
    tour.first.refresh_from_db()
    assert tour.first.state == StopState.DONE


def test_the_same_code_opens_the_goods_at_their_new_place() -> None:
    tour = Round()
    tour.say(tour.problem("locker_full"))
    tour.open(tour.second)
    tour.say(tour.deposited(tour.second))
    code, locker = tour.claim.code, tour.claim.locker
    assert code is not None

    entry = keypad.enter(
        locker,
        codes.reveal(code, reason="test", at=at(17)),
        at=at(17),
        real_at=real_now(),
        request_id=uuid4(),
    )

    assert (tour.state, entry.outcome) == (ParcelState.DEPOSITED, "opening")
    assert entry.command is not None
    assert entry.command.reservation == tour.claim


def test_goods_moved_twice_are_told_of_twice() -> None:
    tour = Round(with_counter=True)
    tour.say(tour.problem("locker_full"))
    Message.objects.filter(kind="moved").update(sent_at=at(11))

    again = tour.tap(ReportKind.PROBLEM, tour.second, bundle=tour.bundle.pk, reason="locker_full")
    told = tour.told(again)

    assert told == [(Action.HAND_IN, tour.second)]
    assert Message.objects.get(kind="moved").sent_at is None


def test_without_another_locker_goods_go_to_the_counter_that_the_courier_stands_before() -> None:
    tour = Round(with_counter=True)
    tour.fill(tour.second)

    told = tour.told(tour.problem("locker_full"))

    assert told == [(Action.HAND_IN, tour.first)]
    assert tour.bundle.reservation is None
    assert not Reservation.objects.holding().filter(reference=tour.bundle.pk).exists()
    tour.say(tour.deposited(tour.first))
    assert tour.state == ParcelState.AT_COUNTER
    bundles.hand_over(tour.bundle, at=at(17))
    assert tour.state == ParcelState.COLLECTED


def test_a_counter_that_is_closed_takes_nothing() -> None:
    tour = Round(with_counter=True)
    tour.fill(tour.second)
    here = tour.first.supply_point
    assert here is not None
    here.counter_opens = time(16)
    here.save()

    assert tour.told(tour.problem("locker_full")) == [(Action.HAND_IN, tour.second)]
    assert tour.bundle.supply_point == tour.second.supply_point


def test_without_any_place_goods_wait_for_the_next_pool_and_the_dispatcher_is_asked() -> None:
    tour = Round()
    tour.fill(tour.second)
    elsewhere = a_supply_point(tour.village.region)
    full = a_supply_point(tour.village.region, compartments=[(Size.S, Temperature.CHILLED)])
    tour.bundle.resident.alternatives.add(elsewhere, full)

    told = tour.told(tour.problem("locker_full"))

    assert told == [(Action.KEEP_ON_BOARD, None)]
    assert (tour.state, tour.claim.state) == (ParcelState.DEFERRED, ReservationState.CANCELLED)
    assert facts_of("place_needed") == {
        "run": str(tour.run.pk),
        "bundle": str(tour.bundle.pk),
        "reason": "locker_full",
        "options": [str(elsewhere.pk)],
    }
    assert Message.objects.filter(kind="deferred", resident=tour.bundle.resident).count() == 1


def test_goods_go_nowhere_that_their_resident_does_not_accept() -> None:
    tour = Round(accept=False)

    assert tour.told(tour.problem("locker_full")) == [(Action.KEEP_ON_BOARD, None)]


def test_goods_too_large_for_any_door_go_to_a_counter_and_not_to_another_locker() -> None:
    tour = Round(compartments=[(Size.XL, Temperature.AMBIENT)] * 2, with_counter=True)
    tour.open(tour.first)

    assert tour.told(tour.problem("does_not_fit")) == [(Action.HAND_IN, tour.first)]


def test_goods_go_to_no_stop_that_lies_behind() -> None:
    tour = Round()
    problem = tour.tap(ReportKind.PROBLEM, tour.second, bundle=tour.other_bundle.pk, reason="locker_full")

    answer = tour.say(problem)

    assert [one.action for one in answer.instructions] == [Action.KEEP_ON_BOARD]


def test_a_courier_who_went_on_before_the_tap_arrived_is_not_sent_where_he_has_been() -> None:
    tour = Round()

    told = tour.told(
        tour.problem("locker_full"),
        tour.tap(ReportKind.ARRIVED, tour.second, made_at=at(11, 20)),
    )

    assert told == [(Action.KEEP_ON_BOARD, None)]


def test_a_tap_that_arrives_again_changes_nothing_and_is_answered_alike() -> None:
    tour = Round()
    tap = tour.problem("locker_full")

    told, again = tour.told(tap), tour.told(tap)

    assert told == again == [(Action.OPEN_DOOR, tour.second)]
    assert Event.objects.filter(kind="bundle_moved").count() == 1
    assert Reservation.objects.filter(reference=tour.bundle.pk).count() == 2


@pytest.mark.parametrize("reason", ["does_not_fit", "not_empty", "door_jammed", "locker_full"])
def test_trouble_that_is_told_after_the_goods_were_deposited_changes_nothing(reason: str) -> None:
    tour = Round()
    door = tour.open(tour.first)
    tour.say(tour.deposited(tour.first, made_at=at(11, 5)))

    told = tour.told(tour.problem(reason))

    assert told == []
    assert (tour.state, tour.claim.compartment) == (ParcelState.DEPOSITED, door)
    assert Event.objects.filter(kind="problem_too_late").count() == 1
    assert CourierReport.objects.filter(reason=reason).count() == 1


def test_trouble_with_one_door_that_is_told_late_does_not_cost_the_next_door() -> None:
    tour = Round()
    first = tour.open(tour.first)
    tour.say(tour.problem("not_empty", compartment=first.number))
    second = tour.open(tour.first)

    tour.say(tour.problem("not_empty", compartment=first.number))

    assert tour.claim.compartment == second
    assert Compartment.objects.get(pk=second.pk).state == CompartmentState.DEPOSITING


def test_trouble_that_the_courier_overcame_by_himself_moves_nothing() -> None:
    tour = Round()

    tour.say(tour.problem("locker_full"), tour.deposited(tour.first, made_at=at(11, 5)))

    assert tour.claim.locker == tour.first.supply_point.locker  # type: ignore[union-attr]
    assert not Event.objects.filter(kind="bundle_moved").exists()


@pytest.mark.parametrize("num_doors", [1, 2])
def test_a_door_that_is_not_empty_is_checked_and_the_goods_go_behind_the_next_or_elsewhere(
    num_doors: int,
) -> None:
    tour = Round()
    tour.fill(tour.first, but=num_doors)
    door = tour.open(tour.first)

    told = tour.told(tour.problem("not_empty", compartment=door.number))

    assert told == [(Action.OPEN_DOOR, tour.first if num_doors == 2 else tour.second)]
    checked = Compartment.objects.get(pk=door.pk)
    assert (checked.state, checked.trouble) == (CompartmentState.NEEDS_CHECK, "not_empty")


@pytest.mark.parametrize("num_doors", [1, 2])
def test_a_jam_that_the_locker_told_first_is_answered_with_the_next_place(num_doors: int) -> None:
    tour = Round()
    tour.fill(tour.first, but=num_doors)
    command = open_door(tour.first, tour.bundle)
    tour.cabinets[tour.first.pk].jam(command, at=at(11))

    told = tour.told(tour.problem("door_jammed", compartment=command.compartment.number))

    assert told == [(Action.OPEN_DOOR, tour.first if num_doors == 2 else tour.second)]


def test_a_locker_called_full_while_a_door_stands_open_has_that_door_checked() -> None:
    tour = Round()
    door = tour.open(tour.first)

    tour.told(tour.problem("locker_full"))

    assert Compartment.objects.get(pk=door.pk).state == CompartmentState.NEEDS_CHECK
    assert tour.claim.locker == tour.second.supply_point.locker  # type: ignore[union-attr]


def test_at_the_stop_that_goods_were_moved_from_nothing_opens_for_them_any_more() -> None:
    tour = Round()
    tour.say(tour.problem("locker_full"))

    with pytest.raises(NothingToOpen):
        tour.open(tour.first)


@pytest.mark.parametrize("kind", [ReportKind.DEPOSITED, ReportKind.PROBLEM])
def test_a_tap_about_goods_that_were_moved_on_is_kept_and_answered_with_where_they_go(
    kind: ReportKind,
) -> None:
    tour = Round()
    tour.say(tour.problem("locker_full"))
    late = tour.tap(
        kind, tour.first, bundle=tour.bundle.pk, reason="not_empty" if kind == ReportKind.PROBLEM else ""
    )

    told = tour.told(late)

    assert told == [(Action.OPEN_DOOR, tour.second)]
    assert (tour.state, tour.claim.state) == (ParcelState.LOADED, ReservationState.RESERVED)
    assert facts_of("tap_about_moved_goods")["tap"] == kind


def test_everything_deposited_at_a_stop_leaves_out_what_was_moved_on() -> None:
    tour = Round()
    tour.say(tour.problem("locker_full"))

    tour.say(tour.tap(ReportKind.DEPOSITED, tour.first, made_at=at(11, 5)))

    assert tour.state == ParcelState.LOADED


def test_moved_goods_that_were_not_delivered_wait_for_the_next_pool() -> None:
    tour = Round()
    tour.say(tour.problem("locker_full"))

    tour.say(tour.tap(ReportKind.ARRIVED, tour.end, made_at=at(12)))

    tour.run.refresh_from_db()
    assert (tour.run.state, tour.state) == (RunState.DONE, ParcelState.DEFERRED)


def test_the_word_of_a_deposit_waits_for_a_locker_that_opened_without_network() -> None:
    tour = Round()

    told = tour.told(tour.deposited(tour.first))

    assert told == [(Action.OPEN_DOOR, tour.first)]
    assert tour.claim.confirmed_at == at(11)
    tour.open(tour.first)
    assert tour.state == ParcelState.DEPOSITED


def test_what_only_the_courier_calls_deposited_and_no_door_knows_of_is_undelivered_at_the_end() -> None:
    tour = Round()
    tour.say(tour.deposited(tour.first))

    tour.say(tour.tap(ReportKind.ARRIVED, tour.end, made_at=at(12)))

    assert tour.state == ParcelState.DEFERRED


class Unverified(Round):
    """A round whose first door was freed without anyone's word that it is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.fill(self.first, but=1)
        Compartment.objects.filter(locker=self.claim.locker_id).update(verify_empty=True)

    def empty(self, door: Compartment, **about: Any) -> Tap:
        """Return the tap that a compartment was found empty."""
        return self.tap(ReportKind.EMPTY, self.first, bundle=self.bundle.pk, compartment=door.number, **about)


def test_goods_in_a_compartment_that_nobody_called_empty_are_deposited_once_the_courier_does() -> None:
    tour = Unverified()
    door = tour.open(tour.first)

    told = tour.told(tour.deposited(tour.first))
    before = tour.state
    tour.say(tour.empty(door, made_at=at(10, 59)))

    assert told == [(Action.CONFIRM_EMPTY, tour.first)]
    assert (before, tour.state) == (ParcelState.LOADED, ParcelState.DEPOSITED)
    assert tour.claim.confirmed_at == at(11)


def test_one_tap_that_the_compartment_is_empty_suffices() -> None:
    tour = Unverified()
    door = tour.open(tour.first)

    told = tour.told(tour.empty(door, made_at=at(10, 59)), tour.deposited(tour.first))

    assert (told, tour.state) == ([], ParcelState.DEPOSITED)
    assert not Compartment.objects.get(pk=door.pk).verify_empty


def test_that_another_door_was_empty_says_nothing_of_this_one() -> None:
    tour = Unverified()
    door = tour.open(tour.first)
    door.number = 7

    tour.say(tour.empty(door), tour.deposited(tour.first))

    assert tour.state == ParcelState.LOADED


def test_a_compartment_that_turns_out_not_to_be_empty_is_checked_and_the_goods_go_elsewhere() -> None:
    tour = Unverified()
    door = tour.open(tour.first)

    told = tour.told(tour.problem("not_empty", compartment=door.number))

    assert told == [(Action.OPEN_DOOR, tour.second)]
    assert Compartment.objects.get(pk=door.pk).state == CompartmentState.NEEDS_CHECK
