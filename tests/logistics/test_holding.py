"""More time to collect: a day at a time, up to a limit, while nobody else loses a door by it."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from common.models import Event
from lockers.exceptions import HoldEnded, NotDeposited
from lockers.models import Compartment, LockerCode, Reservation
from lockers.services import claims, codes, sweeps
from lockers.sizes import Height, Size, Temperature
from lockers.states import CompartmentState, ReservationState
from logistics.exceptions import CompartmentNeeded, LongestHoldReached, NothingToOpen
from logistics.models import Bundle, Message, Order, Parcel, Pool, Role
from logistics.services import holding, pools
from logistics.services.holding import LONGEST, STEP, Held
from logistics.states import ParcelState
from tests.logistics.builders import (
    DELIVERY_DATE,
    Village,
    a_locker,
    a_parcel,
    a_pool,
    a_resident,
    a_supply_point,
    an_order,
    at,
)
from tests.logistics.driving import Drive
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)
AMBIENT, CHILLED = Temperature.AMBIENT, Temperature.CHILLED
ASKER = uuid4()
TOMORROW = DELIVERY_DATE + timedelta(days=1)


@pytest.fixture(autouse=True)
def _solver_and_no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    monkeypatch.setattr("lockers.wake.device", lambda device_id: None)


class Waiting:
    """A bundle that lies in a compartment since eleven, and may do so for two days after the deliveries."""

    def __init__(self, *doors: tuple[Size, Temperature], goods: tuple[Temperature, ...] = (AMBIENT,)) -> None:
        self.village = Village(compartments=doors or [(Size.S, AMBIENT)] * 2)
        self.village.order(*(a_parcel(Size.S, temperature) for temperature in goods))
        self.drive = Drive(self.village).start().load().deposit()
        self.bundle = self.bundle_of(goods[0])

    def bundle_of(self, temperature: Temperature) -> Bundle:
        """Return the bundle of a temperature."""
        return Bundle.objects.select_related("reservation", "pool__region").get(temperature=temperature)

    def extend(self) -> list[Held]:
        """Ask for more time."""
        bundle = self.bundle_of(Temperature(self.bundle.temperature))
        return holding.extend(bundle, by=ASKER, role=Role.RESIDENT, at=at(17))

    def order(self, pool_opened: datetime | None = None) -> Order:
        """Let another resident of the village order something small for the next day."""
        if not Pool.objects.filter(delivery_date=TOMORROW).exists():
            a_pool(self.village.region, day=TOMORROW, opened_at=pool_opened or at(10))
        neighbour = a_resident(self.village.region, supply_point=self.village.supply_point)
        return an_order(shop=self.village.shop, resident=neighbour, listed_at=at(16))

    @property
    def claim(self) -> Reservation:
        """The claim of the bundle, as stored."""
        return Reservation.objects.get(bundle=self.bundle)

    @property
    def hold_until(self) -> datetime:
        """Until when the goods may stay."""
        assert self.claim.hold_until is not None
        return self.claim.hold_until


def test_a_resident_gets_a_day_more_and_the_code_lives_as_long() -> None:
    waiting = Waiting()
    promised = waiting.hold_until

    [held] = waiting.extend()

    assert (held.bundle, held.hold_until, held.refusal) == (waiting.bundle.pk, promised + STEP, None)
    assert waiting.hold_until == promised + STEP
    assert LockerCode.objects.get(reservations=waiting.claim).valid_until >= promised + STEP


def test_what_was_extended_falls_due_at_the_new_time_and_its_resident_is_told_then() -> None:
    waiting = Waiting()
    promised = waiting.hold_until
    waiting.extend()

    for moment in (promised + timedelta(hours=1), promised + STEP - timedelta(seconds=1)):
        sweeps.sweep(at=moment)
        codes.sweep(at=moment)
    before = waiting.claim.state
    sweeps.sweep(at=promised + STEP + timedelta(seconds=1))

    assert (before, waiting.claim.state) == (ReservationState.DEPOSITED, ReservationState.OVERDUE)
    assert Message.objects.filter(kind="overdue").count() == 1


@pytest.mark.parametrize("temperature", [AMBIENT, CHILLED])
def test_nothing_stays_longer_than_its_temperature_allows(temperature: Temperature) -> None:
    waiting = Waiting((Size.S, temperature), (Size.S, temperature), goods=(temperature,))
    deposited_at = waiting.claim.deposited_at
    assert deposited_at is not None

    for _ in range(10):
        try:
            waiting.extend()
        except LongestHoldReached as refusal:
            told = str(refusal)
            break

    assert waiting.hold_until == deposited_at + LONGEST[temperature]
    assert at(11).strftime("T%H:%M") in told
    assert LONGEST[CHILLED] < LONGEST[AMBIENT]


def test_while_an_order_of_the_next_pool_needs_the_door_goods_do_not_stay() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, AMBIENT))
    promised = waiting.hold_until
    for _ in range(2):
        waiting.order()

    with pytest.raises(
        CompartmentNeeded, match=promised.astimezone(at(11).tzinfo).strftime("%Y-%m-%dT%H:%M")
    ):
        waiting.extend()

    assert waiting.hold_until == promised
    assert not Event.objects.filter(kind="hold_extended").exists()


def test_goods_stay_while_every_order_of_the_next_pool_has_another_door() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, AMBIENT))
    waiting.order()

    assert waiting.extend()[0].refusal is None


def test_an_order_whose_pool_closes_after_the_extension_does_not_count() -> None:
    waiting = Waiting((Size.S, AMBIENT))
    day = DELIVERY_DATE + timedelta(days=4)
    a_pool(waiting.village.region, day=day, opened_at=at(10))
    an_order(shop=waiting.village.shop, resident=waiting.village.resident, listed_at=at(16))

    assert waiting.extend()[0].refusal is None


def test_orders_of_another_supply_point_or_temperature_do_not_count() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.M, CHILLED))
    a_pool(waiting.village.region, day=TOMORROW, opened_at=at(10))
    an_order(
        shop=waiting.village.shop,
        resident=waiting.village.resident,
        parcels=[a_parcel(Size.S, CHILLED)],
        listed_at=at(16),
    )
    elsewhere = a_supply_point(waiting.village.region)
    neighbour = a_resident(waiting.village.region, supply_point=elsewhere)
    an_order(shop=waiting.village.shop, resident=neighbour, listed_at=at(16))

    assert waiting.extend()[0].refusal is None


def test_a_claim_without_a_door_yet_comes_before_more_time() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, AMBIENT))
    locker = waiting.village.supply_point.locker
    assert locker is not None
    claims.reserve(
        locker=locker,
        size=Size.S,
        temperature=AMBIENT,
        reference=uuid4(),
        code=None,
        expires_at=at(19),
    )
    # The door that it was promised breaks.
    free = Compartment.objects.filter(locker=locker, state=CompartmentState.FREE)
    assert free.update(door="jammed") == 1

    with pytest.raises(CompartmentNeeded):
        waiting.extend()


def test_who_needs_a_low_door_tomorrow_comes_before_more_time_for_goods_behind_a_high_one() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, AMBIENT))
    order = waiting.order()
    order.resident.needs_low_door = True
    order.resident.save()

    with pytest.raises(CompartmentNeeded):
        waiting.extend()
    Compartment.objects.filter(state=CompartmentState.FREE).update(height=Height.LOW)
    assert waiting.extend()[0].refusal is None


def test_what_waits_for_the_next_pool_needs_its_door_too() -> None:
    waiting = Waiting((Size.S, AMBIENT))
    order = waiting.order()
    Parcel.objects.filter(order=order).update(state=ParcelState.DEFERRED)

    with pytest.raises(CompartmentNeeded):
        waiting.extend()


def test_a_closed_pool_that_is_not_released_needs_its_doors_too() -> None:
    waiting = Waiting((Size.S, AMBIENT))
    order = waiting.order()
    pools.close(order.pool, at=at(16))

    with pytest.raises(CompartmentNeeded):
        waiting.extend()


def test_all_goods_of_one_code_are_extended_together_and_those_that_are_not_are_named() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, CHILLED), goods=(AMBIENT, CHILLED))
    chilled = waiting.bundle_of(CHILLED)

    first = {held.bundle: held for held in waiting.extend()}
    second = {held.bundle: held for held in waiting.extend()}

    assert set(first) == set(second) == {waiting.bundle.pk, chilled.pk}
    assert [held.refusal for held in first.values()] == [None, None]
    assert second[waiting.bundle.pk].refusal is None
    assert isinstance(second[chilled.pk].refusal, LongestHoldReached)
    assert chilled.reservation is not None
    chilled.reservation.refresh_from_db()
    assert second[chilled.pk].hold_until == chilled.reservation.hold_until


def test_if_the_goods_that_were_asked_for_may_not_stay_nothing_changes_for_the_others() -> None:
    waiting = Waiting((Size.S, AMBIENT), (Size.S, CHILLED), goods=(CHILLED, AMBIENT))
    waiting.extend()
    ambient = waiting.bundle_of(AMBIENT).reservation
    assert ambient is not None

    with pytest.raises(LongestHoldReached):
        waiting.extend()

    assert Reservation.objects.get(pk=ambient.pk).hold_until == ambient.hold_until


def test_who_asked_and_as_whom_is_on_record() -> None:
    waiting = Waiting()

    waiting.extend()

    assert Event.objects.get(kind="hold_extended").facts == {
        "bundles": [str(waiting.bundle.pk)],
        "by": str(ASKER),
        "role": "resident",
    }


def test_goods_that_are_overdue_not_there_yet_or_at_a_counter_get_no_more_time() -> None:
    overdue = Waiting()
    sweeps.sweep(at=overdue.hold_until + timedelta(seconds=1))
    with pytest.raises(HoldEnded):
        overdue.extend()

    under_way = Drive().start().load()
    bundle = Bundle.objects.select_related("reservation", "pool__region").get(pool=under_way.village.pool)
    with pytest.raises(NotDeposited):
        holding.extend(bundle, by=ASKER, role=Role.RESIDENT, at=at(17))

    at_counter = Drive(Village(with_locker=False, with_counter=True)).start().load()
    bundle = Bundle.objects.select_related("reservation", "pool__region").get(pool=at_counter.village.pool)
    with pytest.raises(NothingToOpen):
        holding.extend(bundle, by=ASKER, role=Role.RESIDENT, at=at(17))


def test_a_free_door_elsewhere_helps_nobody_here() -> None:
    waiting = Waiting((Size.S, AMBIENT))
    a_locker(waiting.village.region)
    waiting.order()

    with pytest.raises(CompartmentNeeded):
        waiting.extend()
