"""Runs: one courier drives, every tap counts once, whenever it arrives."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import pytest

from common.clock import real_now
from common.models import Event
from lockers.models import Compartment, LockerCode, Reservation
from lockers.services import sweeps
from lockers.sizes import Size, Temperature
from lockers.states import CodeState, CompartmentState, ReservationState
from logistics.exceptions import (
    CourierBusy,
    NothingToOpen,
    NotOnThisStop,
    ReportFromTheFuture,
    RunNotUnderWay,
    RunTaken,
)
from logistics.models import Bundle, Courier, CourierReport, Message, Parcel, ReportKind, Run, Stop
from logistics.services import bundles, runs
from logistics.services.taps import Tap
from logistics.states import ParcelState, PoolState, RunState, StopState
from tests.logistics.builders import Village, at
from tests.logistics.driving import Drive, open_door
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Redis out: hints are not what is tested here."""
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each test the start of a process."""
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)


def test_the_ordinary_way_from_the_shop_into_the_compartment() -> None:
    drive = Drive().start().load().deposit()

    assert drive.states == {ParcelState.DEPOSITED}
    assert Message.objects.filter(kind="ready").count() == 1
    drive.point_stop.refresh_from_db()
    assert drive.point_stop.state == StopState.DONE


def test_goods_count_as_deposited_only_when_the_courier_and_the_door_say_so() -> None:
    drive = Drive().start().load()
    drive.open(Bundle.objects.get())

    assert drive.states == {ParcelState.LOADED}

    drive.report(drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)))
    assert drive.states == {ParcelState.DEPOSITED}


def test_a_resident_collects_and_the_compartment_is_free_again() -> None:
    drive = Drive().start().load().deposit()
    bundle = Bundle.objects.select_related("reservation").get()

    command = bundles.open_for_resident(bundle, at=at(17), real_at=real_now())
    assert drive.cabinet is not None
    drive.cabinet.open_and_close(command, at=at(17))
    drive.cabinet.done(command, at=at(17))

    assert drive.states == {ParcelState.COLLECTED}
    command.compartment.refresh_from_db()
    assert command.compartment.state == CompartmentState.FREE


def test_another_courier_cannot_take_the_run() -> None:
    drive = Drive()
    colleague = Courier.objects.create(region=drive.village.region, name="Kollegin")

    with pytest.raises(RunTaken):
        runs.start(drive.run, courier=colleague, at=at(9, 30))

    drive.run.refresh_from_db()
    assert drive.run.state == RunState.PLANNED


def test_setting_out_twice_changes_nothing() -> None:
    drive = Drive().start()

    runs.start(Run.objects.get(pk=drive.run.pk), courier=drive.run.courier, at=at(9, 45))

    drive.run.refresh_from_db()
    assert drive.run.started_at == at(9, 30)


def test_a_courier_is_on_one_run_at_a_time() -> None:
    first = Drive().start()
    other = Drive()
    Run.objects.filter(pk=other.run.pk).update(courier=first.run.courier)
    other.run.refresh_from_db()

    with pytest.raises(CourierBusy):
        runs.start(other.run, courier=first.run.courier, at=at(9, 40))


def test_a_run_that_has_not_started_takes_no_reports() -> None:
    drive = Drive()

    with pytest.raises(RunNotUnderWay):
        drive.report(drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10)))
    with pytest.raises(RunNotUnderWay):
        open_door(drive.point_stop, Bundle.objects.get(), when=at(10))


def test_a_tap_counts_once_however_often_it_arrives() -> None:
    drive = Drive().start()
    tap = drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10))

    assert [drive.report(tap), drive.report(tap, tap)] == [1, 0]

    assert CourierReport.objects.count() == 1


def test_a_report_with_one_impossible_tap_leaves_nothing_behind() -> None:
    drive = Drive().start()
    stranger = Drive()
    good = drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10))

    for bad in (
        drive.tap(ReportKind.LOADED, stranger.shop_stop, made_at=at(10)),
        drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10), parcels=[uuid4()]),
        drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(10), bundle=uuid4()),
    ):
        with pytest.raises(NotOnThisStop):
            drive.report(good, bad)

    assert CourierReport.objects.count() == 0
    assert drive.states == {ParcelState.PLANNED}


def test_a_tap_cannot_come_from_the_future() -> None:
    drive = Drive().start()

    with pytest.raises(ReportFromTheFuture):
        drive.report(drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10, 30)), received_at=at(10))


def test_a_clock_that_is_slow_does_not_lose_the_loading() -> None:
    drive = Drive().start()

    drive.report(drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(8)))

    assert drive.states == {ParcelState.LOADED}


@pytest.mark.parametrize("seed", range(4))
def test_taps_in_any_order_end_in_the_same_state(seed: int) -> None:
    drive = Drive(Village(with_locker=False, with_counter=True)).start()
    taps = [
        drive.tap(ReportKind.ARRIVED, drive.shop_stop, made_at=at(9, 50)),
        drive.tap(ReportKind.LOADED, drive.shop_stop, made_at=at(10)),
        drive.tap(ReportKind.ARRIVED, drive.point_stop, made_at=at(10, 50)),
        drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)),
        drive.tap(ReportKind.ARRIVED, drive.end, made_at=at(12)),
    ]
    taps += taps[:2]
    Random(seed).shuffle(taps)

    for tap in taps:
        drive.report(tap)

    drive.run.refresh_from_db()
    drive.village.pool.refresh_from_db()
    assert drive.states == {ParcelState.AT_COUNTER}
    assert (drive.run.state, drive.run.finished_at) == (RunState.DONE, at(12))
    assert drive.village.pool.state == PoolState.DONE


def test_what_was_not_delivered_when_the_run_ends_waits_for_the_next_pool() -> None:
    drive = Drive().start().load()

    drive.report(drive.tap(ReportKind.ARRIVED, drive.end, made_at=at(18)))

    assert drive.states == {ParcelState.DEFERRED}
    assert Parcel.objects.get().reason == "not-delivered"


def test_what_was_called_deposited_is_not_taken_for_undelivered_while_its_door_is_silent() -> None:
    drive = Drive().start().load()
    bundle = Bundle.objects.get()
    assert drive.cabinet is not None
    command = open_door(drive.point_stop, bundle)
    drive.report(drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)))

    drive.report(drive.tap(ReportKind.ARRIVED, drive.end, made_at=at(12)))
    assert drive.states == {ParcelState.LOADED}

    drive.cabinet.open_and_close(command, at=at(12))
    assert drive.states == {ParcelState.DEPOSITED}
    drive.point_stop.refresh_from_db()
    assert drive.point_stop.state == StopState.DONE


@pytest.mark.parametrize(
    ("reason", "state"), [("damaged", "damaged"), ("lost", "lost"), ("missing", "deferred")]
)
def test_a_problem_with_the_goods_decides_what_becomes_of_them(reason: str, state: str) -> None:
    drive = Drive().start()

    drive.report(drive.tap(ReportKind.PROBLEM, drive.shop_stop, made_at=at(10), reason=reason))

    assert drive.states == {state}
    # The claim to a door is given up, so that others may have it.
    assert Bundle.objects.get().reservation is not None
    assert Bundle.objects.select_related("reservation").get().reservation.state == "cancelled"  # type: ignore[union-attr]


def test_a_jammed_door_leads_to_another_one() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT), (Size.S, Temperature.AMBIENT)])
    drive = Drive(village).start().load()
    bundle = Bundle.objects.get()
    assert drive.cabinet is not None
    jammed = open_door(drive.point_stop, bundle)
    drive.cabinet.jam(jammed, at=at(11))

    drive.deposit()

    assert drive.states == {ParcelState.DEPOSITED}
    assert Compartment.objects.get(pk=jammed.compartment_id).state == CompartmentState.NEEDS_CHECK
    bundle.refresh_from_db()
    assert bundle.reservation is not None
    assert bundle.reservation.compartment_id != jammed.compartment_id


def test_a_bundle_for_a_counter_has_no_door() -> None:
    drive = Drive(Village(with_locker=False, with_counter=True)).start().load()

    with pytest.raises(NothingToOpen):
        open_door(drive.point_stop, Bundle.objects.get())


def test_what_nobody_collects_becomes_overdue_and_keeps_its_compartment() -> None:
    drive = Drive().start().load().deposit()
    reservation = Bundle.objects.select_related("reservation").get().reservation
    assert reservation is not None
    assert reservation.hold_until is not None

    sweeps.sweep(at=reservation.hold_until + timedelta(seconds=1))

    assert drive.states == {ParcelState.OVERDUE}
    assert Message.objects.filter(kind="overdue").count() == 1
    assert reservation.compartment is not None
    assert reservation.compartment.state != CompartmentState.FREE


def test_an_arrival_that_is_told_after_the_goods_were_delivered_holds_nothing_up() -> None:
    drive = Drive().start().load()
    [bundle] = Bundle.objects.filter(pool=drive.village.pool)
    drive.open(bundle)

    num_new = drive.report(
        drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)),
        drive.tap(ReportKind.ARRIVED, drive.point_stop, made_at=at(11, 5)),
    )

    drive.point_stop.refresh_from_db()
    assert (num_new, drive.point_stop.state) == (2, StopState.DONE)
    assert Parcel.objects.get().state == ParcelState.DEPOSITED


def test_goods_called_deposited_at_the_shop_are_followed_like_any_others() -> None:
    drive = Drive().start().load()
    [bundle] = Bundle.objects.filter(pool=drive.village.pool)
    drive.open(bundle)

    drive.report(drive.tap(ReportKind.DEPOSITED, drive.shop_stop, made_at=at(11), bundle=bundle.pk))

    assert Parcel.objects.get().state == ParcelState.DEPOSITED


def test_a_deposit_whose_code_dies_at_that_moment_is_not_half_made(monkeypatch: pytest.MonkeyPatch) -> None:
    drive = Drive().start().load()
    [bundle] = Bundle.objects.filter(pool=drive.village.pool)
    drive.open(bundle)
    read = runs._stops

    def read_and_let_the_code_die(run: Run, taps: Sequence[Tap]) -> dict[UUID, Stop]:
        stops = read(run, taps)
        LockerCode.objects.update(state=CodeState.REVOKED)
        return stops

    monkeypatch.setattr(runs, "_stops", read_and_let_the_code_die)
    num_new = drive.report(drive.tap(ReportKind.DEPOSITED, drive.point_stop, made_at=at(11)))

    [claim] = Reservation.objects.all()
    assert (num_new, drive.states) == (1, {ParcelState.LOADED})
    assert (claim.state, claim.confirmed_at) == (ReservationState.DEPOSITING, None)
    assert Event.objects.filter(kind="deposit_after_claim_ended").exists()
