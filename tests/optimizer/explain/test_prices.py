"""What one more of something is worth, told for every locker, counter and vehicle."""

import pytest

from optimizer.day import Day
from optimizer.explain.prices import Prices
from optimizer.explain.wording import price_in_words
from optimizer.problem import Problem, Size, Temperature
from optimizer.search import Search
from optimizer.solution import Price, PriceKind
from optimizer.solver import Limits
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order, solved, under_way

AMBIENT = Temperature.AMBIENT


def prices_of(problem: Problem, kind: PriceKind) -> list[Price]:
    return [price for price in solved(problem).prices if price.kind == kind]


def with_locker(num_small: int, **more: int) -> Problem:
    """Return a day on which two orders want a small compartment, and the vehicle passes it anyway."""
    stock = [(AMBIENT, Size.S, num_small), *((AMBIENT, Size(size), count) for size, count in more.items())]
    places = [a_place("shop", 5), a_place("point", 10, compartments=stock)]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]
    return a_problem(places=places, orders=orders)


def test_a_compartment_that_lacks_is_worth_what_leaving_its_order_out_costs() -> None:
    (price,) = prices_of(with_locker(1), PriceKind.COMPARTMENTS)

    assert (price.available, price.saved_cents, price.shadow_cents) == (1, 5_000, 5_000)
    assert price.facts == {"place": "point", "temperature": "ambient", "size": "S"}
    assert price.sentence == "One more S compartment in point is worth 50.00 EUR."
    assert solved(with_locker(1)).cost_cents - solved(with_locker(2)).cost_cents == price.saved_cents


def test_a_compartment_that_is_there_already_is_worth_nothing_more() -> None:
    (price,) = prices_of(with_locker(3), PriceKind.COMPARTMENTS)

    assert (price.available, price.saved_cents, price.shadow_cents) == (3, 0, 0)


def test_a_larger_compartment_is_worth_as_much_where_small_ones_lack() -> None:
    locker = a_place("point", 10, compartments=[(AMBIENT, Size.S, 1), (AMBIENT, Size.L, 1)])
    orders = [an_order("large", size=Size.L)] + [
        an_order(f"small-{n}", penalty_cents=4_000) for n in range(2)
    ]

    small, large = prices_of(
        a_problem(places=[a_place("shop", 5), locker], orders=orders), PriceKind.COMPARTMENTS
    )

    assert (small.facts["size"], small.saved_cents) == ("S", 4_000)
    assert (large.facts["size"], large.saved_cents) == ("L", 4_000)


def test_a_place_that_goods_were_sent_past_is_worth_what_bringing_them_back_saves() -> None:
    full = a_place("point", 10, compartments=[(AMBIENT, Size.S, 1)])
    orders = [an_order(name, to={"point": 0, "beyond": 150}) for name in ("one", "two")]

    (price,) = prices_of(
        a_problem(places=[a_place("shop", 5), full, a_place("beyond", 11)], orders=orders),
        PriceKind.COMPARTMENTS,
    )

    # The preference and the way there and back: 20 for 2 km, 20 for 200 s.
    assert price.saved_cents == 190


def test_only_low_doors_count_for_who_needs_one() -> None:
    locker = a_place("point", 10, compartments=[(AMBIENT, Size.S, 2, False), (AMBIENT, Size.S, 1, True)])
    orders = [an_order(name, penalty_cents=5_000, low=True) for name in ("one", "two")]

    (price,) = prices_of(
        a_problem(places=[a_place("shop", 5), locker], orders=orders), PriceKind.COMPARTMENTS
    )

    assert (price.facts["door"], price.available, price.saved_cents) == ("low", 1, 5_000)
    assert price.sentence == "One more S compartment behind a low door in point is worth 50.00 EUR."


def test_a_litre_at_a_full_counter_has_a_shadow_price() -> None:
    places = [a_place("shop", 5), a_place("point", 10, volume_limit_cm3=15_000)]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]

    (price,) = prices_of(a_problem(places=places, orders=orders), PriceKind.VOLUME)

    assert (price.available, price.saved_cents) == (15, None)
    # Ten litres carry an order that costs 5,000 to leave out.
    assert price.shadow_cents == pytest.approx(500, abs=100)


def two_ends(num_vehicles: int) -> Problem:
    """Return a day on which each order lies as far from the shop as its deadline allows."""
    places = [a_place("home", 0), a_place("shop", 5), a_place("point", 10)]
    orders = [an_order(name, to=name, deadline_s=EIGHT + 1_000) for name in ("home", "point")]
    vehicles = [a_vehicle(f"van-{number}") for number in range(num_vehicles)]
    return a_problem(places=places, orders=orders, vehicles=vehicles)


def test_a_vehicle_that_lacks_is_worth_what_it_would_save() -> None:
    (price,) = prices_of(two_ends(1), PriceKind.VEHICLES)

    assert price.saved_cents == solved(two_ends(1)).cost_cents - solved(two_ends(2)).cost_cents
    assert price.sentence == f"One more vehicle like van-0 is worth {price.saved_cents / 100:.2f} EUR."


def saved_by_another_van(*penalties_cents: int, num_small: int = 9, far_cents: int = 1) -> int | None:
    """Return what a second van saves that goes to a locker while the only one is elsewhere."""
    places = [
        a_place("home", 0),
        a_place("shop", 5),
        a_place("point", 10, compartments=[(AMBIENT, Size.S, num_small)]),
        a_place("far", 20),
    ]
    orders = [an_order("home", to="home", deadline_s=EIGHT + 1_000)] + [
        an_order(f"out-{number}", deadline_s=EIGHT + 1_000, penalty_cents=penalty_cents)
        for number, penalty_cents in enumerate(penalties_cents)
    ]
    orders.append(an_order("far", to="far", penalty_cents=far_cents))
    problem = a_problem(places=places, orders=orders, vehicles=[a_vehicle(fixed_cost_cents=1_000)])
    search = Search(Day(problem), should_stop=lambda: False, must_stop=lambda: False)
    search.assign(Limits(seconds=10), should_hurry=lambda: False)
    plan = search.plan()
    search.insert(plan, 0)
    search.adopt(search.columns(plan.tours))
    assert search.left_out() == list(range(1, len(orders)))
    return Prices(search, left_s=lambda: 60.0).all()[-1].saved_cents


def test_another_vehicle_pays_if_all_that_it_carries_together_is_worth_its_fixed_cost() -> None:
    # The way costs 400 and the vehicle 1,000, once.
    assert saved_by_another_van(900) == 0
    assert saved_by_another_van(900, 900) == 400


def test_another_vehicle_goes_out_of_its_way_only_for_what_is_worth_that_way() -> None:
    # The way on costs another 400, but no second vehicle.
    assert saved_by_another_van(2_000) == 600
    assert saved_by_another_van(2_000, far_cents=399) == 600
    assert saved_by_another_van(2_000, far_cents=500) == 700


def test_another_vehicle_finds_no_more_room_in_lockers() -> None:
    assert saved_by_another_van(2_000, 2_000, num_small=2) == 2_600
    assert saved_by_another_van(2_000, 2_000, num_small=1) == 600


def test_equal_vehicles_have_one_price_and_another_idle_one_is_worth_nothing() -> None:
    (price,) = prices_of(two_ends(3), PriceKind.VEHICLES)

    assert price.vehicles == ("van-0", "van-1", "van-2")
    assert (price.available, price.saved_cents, price.shadow_cents) == (3, 0, 0)


def test_nobody_says_what_another_vehicle_just_there_would_save() -> None:
    vehicle = a_vehicle(under_way=under_way())

    (price,) = prices_of(a_problem(vehicles=[vehicle]), PriceKind.VEHICLES)

    assert price.saved_cents is None


def test_without_time_prices_are_unknown_unless_nothing_is_used_up() -> None:
    search = Search(Day(with_locker(0)), should_stop=lambda: False, must_stop=lambda: False)

    locker, van = Prices(search, left_s=lambda: 0.0).all()

    assert (locker.saved_cents, locker.shadow_cents) == (None, None)
    assert (van.saved_cents, van.shadow_cents) == (0, None)
    assert locker.sentence.endswith("is worth an amount that there was no time to find.")


def test_room_that_is_left_needs_no_time_to_be_known() -> None:
    search = Search(Day(with_locker(3)), should_stop=lambda: False, must_stop=lambda: False)

    locker, _ = Prices(search, left_s=lambda: 0.0).all()

    assert (locker.saved_cents, locker.shadow_cents) == (0, None)


def test_no_door_helps_an_order_that_nothing_can_carry() -> None:
    locker = a_place("point", 10, compartments=[(AMBIENT, Size.S, 0)])
    problem = a_problem(places=[a_place("shop", 5), locker], orders=[an_order(transfer_place="hub")])

    (price,) = prices_of(problem, PriceKind.COMPARTMENTS)

    assert price.saved_cents == 0


def test_choosing_anew_finds_what_moving_one_order_does_not() -> None:
    search = Search(Day(two_ends(1)), should_stop=lambda: False, must_stop=lambda: False)
    # Two routes are known, but only one vehicle can drive.
    for order in range(2):
        plan = search.plan_without({0, 1})
        search.insert(plan, order)
        search.adopt(search.columns(plan.tours))

    price = Prices(search, left_s=lambda: 60.0).all()[-1]

    assert price.shadow_cents is not None
    assert price.shadow_cents > 90_000
    assert price.saved_cents is not None
    assert price.saved_cents >= price.shadow_cents


def test_a_sentence_takes_better_names() -> None:
    (price,) = prices_of(with_locker(1), PriceKind.COMPARTMENTS)

    assert (
        price_in_words(price, {"point": "Grohnde"}) == "One more S compartment in Grohnde is worth 50.00 EUR."
    )
