"""A plan is computed in a process of its own, checked, and released only while it still holds."""

import sys
from datetime import time, timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from common import intents
from common.exceptions import InvalidTransition
from common.models import Intent
from lockers.models import Compartment, Locker, Reservation
from lockers.services import cabinets, claims
from lockers.sizes import Height, Size, Temperature
from lockers.states import CompartmentState
from logistics import planning, solver
from logistics.exceptions import PlanInComputation, PlanInfeasible, PlanOutdated, PoolStillOpen
from logistics.models import (
    Bundle,
    Courier,
    Handling,
    Message,
    Order,
    Parcel,
    Plan,
    Resident,
    Run,
    Stop,
    SupplyPoint,
)
from logistics.services import plans, pools
from logistics.states import ParcelState, PlanState, PoolState
from optimizer.problem import ARBZG
from tests.logistics.builders import Village, a_parcel, a_resident, a_supply_point, an_order, at
from tests.logistics.solving import computed, released

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_plan_carries_what_can_be_carried_and_says_what_it_costs() -> None:
    village = Village()
    village.order(a_parcel(Size.S), a_parcel(Size.M, Temperature.CHILLED))

    plan = computed(village)

    assert (plan.state, plan.error) == (PlanState.PROPOSED, "")
    assert (plan.num_carried, plan.num_left_out) == (1, 0)
    assert plan.cost_cents is not None
    # The van's fixed cost and at least the straight line there and back.
    assert plan.cost_cents >= village.shift.vehicle.fixed_cost_cents
    assert plan.progress["fraction"] > 0


def test_an_order_that_cannot_come_along_is_left_out_with_a_reason() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])
    for _ in range(2):
        village.order(a_parcel(Size.S))

    plan = released(village)

    assert (plan.num_carried, plan.num_left_out) == (1, 1)
    left = Parcel.objects.get(state=ParcelState.DEFERRED)
    assert left.reason == "locker-full"
    assert left.reason_text
    assert Message.objects.filter(kind="deferred", subject=left.order_id).count() == 1


def test_the_counter_beside_a_full_locker_takes_what_the_locker_does_not() -> None:
    village = Village(with_counter=True, compartments=[(Size.S, Temperature.AMBIENT)])
    for _ in range(2):
        village.order(a_parcel(Size.S))

    plan = released(village)

    assert plan.num_carried == 2
    assert Bundle.objects.filter(reservation=None).count() == 1
    assert Reservation.objects.count() == 1


def test_a_released_plan_gives_runs_stops_doors_and_codes() -> None:
    village = Village()
    order = village.order(a_parcel(Size.S), a_parcel(Size.S))

    plan = released(village)

    run = Run.objects.get()
    assert (run.vehicle, run.courier) == (village.shift.vehicle, village.shift.courier)
    assert [stop.kind for stop in run.stops.all()] == ["start", "shop", "supply_point", "end"]
    assert Handling.objects.count() == 2 * 2
    bundle = Bundle.objects.get()
    assert bundle.reservation is not None
    assert bundle.reservation.code is not None
    # Two parcels of 8 l go behind one door of 30 l.
    assert bundle.reservation.size == Size.M
    assert {parcel.state for parcel in Parcel.objects.filter(order=order)} == {ParcelState.PLANNED}
    village.pool.refresh_from_db()
    assert village.pool.state == PoolState.RELEASED
    assert plan.state == PlanState.RELEASED


def test_releasing_twice_gives_one_set_of_runs() -> None:
    village = Village()
    village.order()
    plan = released(village)

    plans.release(plan, at=at(9, 11))

    assert Run.objects.count() == 1
    assert Message.objects.filter(kind="planned").count() == 1


def test_two_orders_of_one_resident_share_a_door_and_a_code() -> None:
    village = Village()
    village.order(a_parcel(Size.M))
    village.order(a_parcel(Size.S))

    released(village)

    # 20 l and 8 l fit behind one door of 30 l.
    assert Bundle.objects.count() == 1
    assert Stop.objects.filter(kind="supply_point").count() == 1


def test_a_pool_may_be_planned_early_but_not_released_before_it_closes() -> None:
    village = Village()
    village.order()
    plan = computed(village, close=False)

    with pytest.raises(PoolStillOpen):
        plans.release(plan, at=at(8, 30))

    assert Run.objects.count() == 0


def test_a_plan_of_a_pool_that_changed_since_is_outdated() -> None:
    village = Village()
    village.order()
    plan = computed(village, close=False)
    village.order(listed_at=at(8, 30))
    pools.close(village.pool, at=at(9))

    with pytest.raises(PlanOutdated):
        plans.release(plan, at=at(9, 10))

    assert Run.objects.count() == 0
    assert Order.objects.filter(parcels__state=ParcelState.POOLED).count() == 2


def test_a_plan_that_no_longer_fits_the_doors_is_infeasible_and_leaves_nothing_behind() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])
    village.order()
    plan = computed(village)
    cabinets.demand_check(
        Compartment.objects.get(), reason="test", at=at(9), to=CompartmentState.OUT_OF_SERVICE
    )

    with pytest.raises(PlanInfeasible):
        plans.release(plan, at=at(9, 10))

    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED
    assert (Run.objects.count(), Reservation.objects.count()) == (0, 0)


def test_a_second_plan_waits_until_the_first_is_computed() -> None:
    village = Village()
    plans.ask(village.pool, budget_s=1, at=at(7))

    with pytest.raises(PlanInComputation):
        plans.ask(village.pool, budget_s=1, at=at(7))

    assert Plan.objects.count() == 1


def test_a_queued_plan_that_was_cancelled_is_never_computed() -> None:
    village = Village()
    plan = plans.ask(village.pool, budget_s=1, at=at(7))
    plans.cancel(plan, at=at(7))

    intents.perform(Intent.objects.get(kind="logistics.compute_plan").pk)

    plan.refresh_from_db()
    assert (plan.state, plan.solution) == (PlanState.CANCELLED, None)


def test_a_running_plan_stops_within_a_second_or_two_of_the_wish() -> None:
    village = Village()
    village.order()
    plan = plans.ask(village.pool, budget_s=60, at=at(7))
    Plan.objects.update(is_cancel_requested=True)

    intents.perform(Intent.objects.get(kind="logistics.compute_plan").pk)

    plan.refresh_from_db()
    assert plan.state == PlanState.CANCELLED


def test_a_computed_plan_cannot_be_cancelled() -> None:
    village = Village()
    plan = computed(village)

    with pytest.raises(InvalidTransition):
        plans.cancel(plan, at=at(9, 5))


@pytest.fixture
def broken_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that dies with a word of complaint."""
    monkeypatch.setattr(
        solver, "COMMAND", (sys.executable, "-c", "import sys; sys.exit('no licence for thinking')")
    )


@pytest.mark.usefixtures("broken_solver")
def test_a_solver_that_dies_makes_the_plan_fail_with_its_last_words() -> None:
    village = Village()
    village.order()

    plan = computed(village)

    assert plan.state == PlanState.FAILED
    assert "no licence for thinking" in plan.error


def test_a_plan_whose_computation_was_given_up_is_failed_and_another_may_be_asked_for() -> None:
    village = Village()
    plan = plans.ask(village.pool, budget_s=1, at=at(7))
    Intent.objects.update(state="dead")

    plans.fail_abandoned(at=at(8))
    plans.ask(village.pool, budget_s=1, at=at(8))

    plan.refresh_from_db()
    assert (plan.state, plan.error) == (PlanState.FAILED, "solver-gave-up")


def test_a_resident_who_accepts_another_village_gets_goods_there_when_the_own_locker_is_full() -> None:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])
    elsewhere = a_supply_point(village.region, latitude=52.13)
    village.resident.alternatives.add(elsewhere)
    for _ in range(2):
        village.order(a_parcel(Size.S))

    released(village)

    assert {bundle.supply_point for bundle in Bundle.objects.all()} == {village.supply_point, elsewhere}


@pytest.fixture
def village_with_one_low_door() -> Village:
    """A village with two residents who need a low door, and one low chilled door besides a high one."""
    village = Village(compartments=[(Size.M, Temperature.CHILLED)] * 2)
    Compartment.objects.filter(number=1).update(height=Height.LOW)
    Resident.objects.update(needs_low_door=True)
    return village


def order_for_two(village: Village, **second: object) -> tuple[Order, Order]:
    """List chilled goods for the village's resident, and the same for another."""
    other = a_resident(village.region, supply_point=village.supply_point, **second)
    parcel = a_parcel(Size.M, Temperature.CHILLED)
    return village.order(parcel), an_order(shop=village.shop, resident=other, parcels=[parcel])


def test_of_two_residents_who_need_the_only_low_door_one_waits_with_a_reason(
    village_with_one_low_door: Village,
) -> None:
    order_for_two(village_with_one_low_door, needs_low_door=True)

    plan = released(village_with_one_low_door)

    assert (plan.state, plan.num_carried, plan.num_left_out) == (PlanState.RELEASED, 1, 1)
    assert Parcel.objects.get(state=ParcelState.DEFERRED).reason == "locker-full"
    reservation = Reservation.objects.get()
    assert reservation.low_door
    with transaction.atomic():
        claims.lock(reservation)
        assert claims.bind(reservation).number == 1


def test_the_counter_takes_what_has_no_low_door(village_with_one_low_door: Village) -> None:
    SupplyPoint.objects.update(counter_opens=time(9), counter_closes=time(18))
    order_for_two(village_with_one_low_door, needs_low_door=True)

    plan = released(village_with_one_low_door)

    assert plan.num_carried == 2
    assert Reservation.objects.get().low_door
    assert Bundle.objects.filter(reservation=None).count() == 1


def test_who_needs_no_low_door_leaves_it_to_who_does(village_with_one_low_door: Village) -> None:
    order_for_two(village_with_one_low_door)

    plan = released(village_with_one_low_door)

    assert plan.num_carried == 2
    assert sorted(Reservation.objects.values_list("low_door", flat=True)) == [False, True]


def test_a_low_door_promised_to_an_earlier_pool_is_not_planned_with(
    village_with_one_low_door: Village,
) -> None:
    village = village_with_one_low_door
    claims.reserve(
        locker=Locker.objects.get(),
        size=Size.S,
        temperature=Temperature.CHILLED,
        reference=uuid4(),
        code=None,
        expires_at=at(23),
        low_door=True,
    )
    order_for_two(village)

    released(village)

    left = Parcel.objects.get(state=ParcelState.DEFERRED)
    assert left.order.resident == village.resident
    assert left.reason == "no-compartment-large-enough"


def test_goods_are_packed_for_the_low_doors_of_who_needs_one() -> None:
    village = Village(compartments=[(size, Temperature.AMBIENT) for size in (Size.M, Size.M, Size.L)])
    Compartment.objects.filter(size=Size.M).update(height=Height.LOW)
    Resident.objects.update(needs_low_door=True)
    # 40 l fit behind one large door or two medium ones; the large door is too high.
    village.order(a_parcel(Size.M), a_parcel(Size.M))

    released(village)

    assert list(Reservation.objects.values_list("size", flat=True)) == [Size.M, Size.M]


def test_whoever_is_employed_has_breaks() -> None:
    village = Village()
    (employed,) = planning.problem_of(village.pool).vehicles
    Courier.objects.update(is_volunteer=True)
    (volunteer,) = planning.problem_of(village.pool).vehicles

    assert (employed.working_time, volunteer.working_time) == (ARBZG, None)


def test_goods_that_are_ready_too_late_spoil_no_plan() -> None:
    village = Village()
    village.order()
    late = village.order()
    Order.objects.filter(pk=late.pk).update(ready_at=village.pool.deliver_until + timedelta(hours=1))

    plan = computed(village)

    assert (plan.state, plan.num_carried, plan.num_left_out) == (PlanState.PROPOSED, 1, 1)
