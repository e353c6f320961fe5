"""What is left out has a remedy that works."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from optimizer.day import Day
from optimizer.explain.reasons import Explainer
from optimizer.problem import CompartmentDemand, Load, Problem, Size, Temperature
from optimizer.search import Search
from optimizer.solution import Reason, Remedy, RemedyKind
from tests.optimizer.builders import (
    EIGHT,
    a_place,
    a_problem,
    a_vehicle,
    an_order,
    solved,
    the_only_left_out,
    under_way,
)

HOUR = 3600
AMBIENT_S = (Temperature.AMBIENT, Size.S)


def the_remedy(problem: Problem) -> Remedy:
    return the_only_left_out(solved(problem)).remedies[0]


def test_goods_that_miss_the_closing_time_should_be_ready_earlier_or_the_point_open_longer() -> None:
    places = [a_place("shop", 5), a_place("point", 10, windows=[(0, 12 * HOUR)])]
    order = an_order(ready_s=12 * HOUR)

    earlier, longer = the_only_left_out(solved(a_problem(places=places, orders=[order]))).remedies

    # The point is 500 s away, so eight minutes are too little.
    assert (earlier.kind, earlier.facts) == (RemedyKind.READY_EARLIER, {"place": "shop", "minutes": 9})
    assert earlier.sentence == "It would fit if shop handed it over 9 minutes earlier."
    assert (longer.kind, longer.facts) == (RemedyKind.LONGER_OPENING, {"place": "point", "minutes": 9})
    for minutes, num_carried in ((9, 1), (8, 0)):
        helped = replace(order, ready_s=12 * HOUR - minutes * 60)
        assert solved(a_problem(places=places, orders=[helped])).num_carried == num_carried


def test_a_remedy_tells_what_the_plan_would_save() -> None:
    order = an_order(ready_s=12 * HOUR, penalty_cents=1_234)
    places = [a_place("shop", 5), a_place("point", 10, windows=[(0, 12 * HOUR)])]
    helped = replace(order, ready_s=12 * HOUR - 9 * 60)

    remedy = the_remedy(a_problem(places=places, orders=[order]))

    # 100 fixed, 200 for 20 km, 200 for 2,000 s.
    assert remedy.saved_cents == 1_234 - 500
    assert solved(a_problem(places=places, orders=[helped])).cost_cents == 1_234 - remedy.saved_cents


def test_goods_that_are_due_too_early_should_be_due_later() -> None:
    remedy = the_remedy(a_problem(orders=[an_order(deadline_s=EIGHT + 900)]))

    # The point is reached after 1,000 s at the earliest.
    assert (remedy.kind, remedy.facts) == (RemedyKind.DEADLINE_LATER, {"minutes": 2})


def test_a_run_that_is_just_too_long_needs_a_longer_shift() -> None:
    remedy = the_remedy(a_problem(vehicles=[a_vehicle(max_duration_s=1_500)]))

    # It takes 2,000 s.
    assert (remedy.kind, remedy.facts) == (RemedyKind.LONGER_SHIFT, {"minutes": 9, "vehicle": "van"})


def test_a_vehicle_that_goes_home_too_early_needs_a_longer_shift() -> None:
    remedy = the_remedy(a_problem(vehicles=[a_vehicle(shift=(EIGHT, EIGHT + 1_500))]))

    assert (remedy.kind, remedy.facts) == (RemedyKind.LONGER_SHIFT, {"minutes": 9, "vehicle": "van"})


def test_a_shop_that_closes_before_the_vehicle_comes_should_be_open_longer() -> None:
    places = [a_place("shop", 5, windows=[(0, EIGHT + 400)]), a_place("point", 10)]

    # Five kilometres take 500 s; nothing else would help.
    (remedy,) = the_only_left_out(solved(a_problem(places=places))).remedies

    assert (remedy.kind, remedy.facts) == (RemedyKind.LONGER_OPENING, {"place": "shop", "minutes": 2})


def test_of_several_vehicles_the_one_is_named_that_needs_least() -> None:
    vehicles = [a_vehicle("tired", max_duration_s=1_000), a_vehicle("fresh", max_duration_s=1_900)]

    remedy = the_remedy(a_problem(vehicles=vehicles))

    assert remedy.facts == {"minutes": 2, "vehicle": "fresh"}


def test_a_way_that_is_longer_than_a_charge_needs_more_range() -> None:
    remedy = the_remedy(a_problem(vehicles=[a_vehicle(range_m=17_500)]))

    assert (remedy.kind, remedy.facts) == (RemedyKind.LONGER_RANGE, {"distance_m": 3_000, "vehicle": "van"})
    assert remedy.sentence == "It would fit if van could drive 3 km further on one charge."


def test_more_range_helps_on_the_second_trip_too() -> None:
    places = [a_place("shop", 5), a_place("near", 6), a_place("point", 10)]
    orders = [an_order("early", to="near", deadline_s=EIGHT + 700), an_order("late", ready_s=12 * HOUR)]
    bike = a_vehicle(range_m=17_500, max_trips=2, turnaround_s=600)

    remedy = the_remedy(a_problem(places=places, orders=orders, vehicles=[bike]))

    assert (remedy.kind, remedy.facts["distance_m"]) == (RemedyKind.LONGER_RANGE, 3_000)


def test_goods_that_no_vehicle_can_take_need_a_larger_one() -> None:
    capacity = Load(weight_g=10_000, volume_cm3=8_000, chilled_cm3=0)

    remedy = the_remedy(a_problem(vehicles=[a_vehicle(capacity=capacity)]))

    assert (remedy.kind, remedy.facts) == (RemedyKind.LARGER_VEHICLE, {"volume_cm3": 2_000, "vehicle": "van"})
    assert remedy.sentence == "It would fit if van could carry 2 l more."


def test_what_the_only_vehicle_has_no_time_for_needs_one_more() -> None:
    # Each end of the road is as far as the deadline allows.
    places = [a_place("home", 0), a_place("shop", 5), a_place("point", 10)]
    orders = [an_order(name, to=name, deadline_s=EIGHT + 1_000) for name in ("home", "point")]
    problem = a_problem(places=places, orders=orders)

    (left_out,) = solved(problem).left_out
    more = next(remedy for remedy in left_out.remedies if remedy.kind == RemedyKind.MORE_VEHICLES)

    assert more.facts == {"vehicle": "van"}
    two = a_problem(places=places, orders=orders, vehicles=[a_vehicle(), a_vehicle("other")])
    assert solved(problem).cost_cents - solved(two).cost_cents == more.saved_cents


def test_a_full_locker_needs_more_compartments_and_their_worth_is_told() -> None:
    places = [a_place("shop", 5), a_place("point", 10, compartments=[(*AMBIENT_S, 1)])]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]

    remedy = the_remedy(a_problem(places=places, orders=orders))

    # The vehicle goes there anyway.
    assert (remedy.kind, remedy.saved_cents) == (RemedyKind.MORE_COMPARTMENTS, 5_000)
    assert remedy.facts == {"place": "point", "temperature": "ambient", "size": "S", "count": 1}
    assert remedy.sentence == "One more S compartment in point would save 50.00 EUR."


def test_nobody_asks_for_one_more_of_a_vehicle_that_is_out() -> None:
    # By its deadline the vehicle reaches one end of the road only.
    places = [a_place("home", 0), a_place("shop", 5), a_place("point", 10)]
    orders = [an_order(name, to=name, deadline_s=EIGHT + 500) for name in ("home", "point")]
    vehicle = a_vehicle(under_way=under_way("shop", EIGHT))

    (left_out,) = solved(a_problem(places=places, orders=orders, vehicles=[vehicle])).left_out

    assert left_out.reason == Reason.NO_VEHICLE_TIME_LEFT
    assert RemedyKind.MORE_VEHICLES not in {remedy.kind for remedy in left_out.remedies}


def test_of_several_full_lockers_the_one_comes_first_that_saves_most() -> None:
    full = [a_place(f"point-{km}", km, compartments=[(*AMBIENT_S, 0)]) for km in (20, 10, 15)]
    order = an_order(to={place.id: 0 for place in full})

    left_out = the_only_left_out(solved(a_problem(places=[a_place("shop", 5), *full], orders=[order])))

    assert [remedy.facts["place"] for remedy in left_out.remedies] == ["point-10", "point-15", "point-20"]
    nearest, _, farthest = left_out.remedies
    assert nearest.saved_cents > farthest.saved_cents


def test_an_order_that_lacks_two_kinds_of_compartments_is_not_helped_by_one_of_them() -> None:
    locker = a_place("point", 10, compartments=[])
    chilled = CompartmentDemand(temperature=Temperature.CHILLED, size=Size.S)
    order = replace(an_order(), compartments=(*an_order().compartments, chilled))

    left_out = the_only_left_out(solved(a_problem(places=[a_place("shop", 5), locker], orders=[order])))

    assert (left_out.reason, left_out.remedies) == (Reason.NO_COMPARTMENT_LARGE_ENOUGH, ())


def test_the_compartment_that_lacks_is_as_large_as_the_largest_goods_of_its_temperature() -> None:
    cold = [CompartmentDemand(temperature=Temperature.CHILLED, size=size) for size in (Size.S, Size.M)]
    large = CompartmentDemand(temperature=Temperature.AMBIENT, size=Size.XL)
    order = replace(an_order(), compartments=(cold[0], cold[1], large))
    locker = a_place("point", 10, compartments=[(Temperature.AMBIENT, Size.XL, 1)])

    remedy = the_remedy(a_problem(places=[a_place("shop", 5), locker], orders=[order]))

    assert remedy.facts == {"place": "point", "temperature": "chilled", "size": "M", "count": 2}


def test_where_an_open_place_is_too_far_a_full_one_with_more_room_is_a_remedy() -> None:
    full = [a_place(f"full-{km}", km, compartments=[(*AMBIENT_S, 0)]) for km in (7, 8, 9)]
    order = an_order(to={"far": 0, **{place.id: 0 for place in full}}, penalty_cents=600)

    left_out = the_only_left_out(
        solved(a_problem(places=[a_place("shop", 5), *full, a_place("far", 60)], orders=[order]))
    )

    assert left_out.reason == Reason.NOT_WORTH_THE_DETOUR
    # Three at most.
    assert [(remedy.kind, remedy.facts.get("place")) for remedy in left_out.remedies] == [
        (RemedyKind.HIGHER_PENALTY, None),
        (RemedyKind.MORE_COMPARTMENTS, "full-7"),
        (RemedyKind.MORE_COMPARTMENTS, "full-8"),
    ]


def test_where_no_vehicle_has_time_for_the_open_place_a_full_one_with_more_room_is_a_remedy() -> None:
    full = a_place("full", 6, compartments=[(*AMBIENT_S, 0)])
    places = [a_place("home", 0), a_place("shop", 5), full, a_place("point", 10)]
    # By its deadline the vehicle reaches one end of the road only.
    dear = an_order("dear", to="point", deadline_s=EIGHT + 1_000, penalty_cents=200_000)
    other = an_order("other", to={"home": 0, "full": 0}, deadline_s=EIGHT + 1_000)

    left_out = the_only_left_out(solved(a_problem(places=places, orders=[dear, other])))

    assert (left_out.order, left_out.reason) == ("other", Reason.NO_VEHICLE_TIME_LEFT)
    assert left_out.remedies[-1].kind == RemedyKind.MORE_COMPARTMENTS


def test_remedies_are_sought_first_for_what_is_missed_most() -> None:
    orders = [
        an_order("cheap", penalty_cents=10_000, deadline_s=EIGHT + 900),
        an_order("dear", penalty_cents=20_000, deadline_s=EIGHT + 900),
    ]
    search = Search(Day(a_problem(orders=orders)), should_stop=never, must_stop=never)
    asked = count()
    explainer = explainer_of(search, should_hurry=lambda: next(asked) > 3)

    cheap, dear = explainer.explain([0, 1])

    assert (len(cheap.remedies), len(dear.remedies)) == (0, 1)


def test_who_is_told_to_stop_looks_for_no_reasons() -> None:
    too_long = a_problem(vehicles=[a_vehicle(max_duration_s=1_500)])
    search = Search(Day(too_long), should_stop=never, must_stop=never)

    (left_out,) = explainer_of(search, should_stop=lambda: True).explain([0])

    assert (left_out.reason, left_out.remedies) == (Reason.PLANNING_TIME_OVER, ())


def test_the_least_change_is_found_for_every_order_however_many_there_are() -> None:
    orders = [an_order(f"order-{number}", deadline_s=EIGHT + 900) for number in range(20)]

    left_out = solved(a_problem(orders=orders)).left_out

    remedies = [left.remedies[0] for left in left_out]
    assert {remedy.kind for remedy in remedies} == {RemedyKind.DEADLINE_LATER}
    assert [remedy.facts for remedy in remedies] == [{"minutes": 2}] * len(orders)


def test_after_some_trials_a_change_is_told_that_is_larger_than_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optimizer.explain.remedies.MAX_TRIALS", 3)

    remedy = the_remedy(a_problem(orders=[an_order(deadline_s=EIGHT + 900)]))

    # The first trial is in vain, for nobody could be ready earlier; two hours are enough, and so is one.
    assert remedy.facts == {"minutes": 60}


def test_a_full_counter_needs_more_room() -> None:
    places = [a_place("shop", 5), a_place("point", 10, volume_limit_cm3=15_000)]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]

    remedy = the_remedy(a_problem(places=places, orders=orders))

    # Two orders of 10 l.
    assert remedy.facts == {"place": "point", "volume_cm3": 5_000}
    assert remedy.sentence == "Room for 5 more l in point would save 50.00 EUR."


def test_what_is_not_worth_the_detour_needs_a_higher_penalty_and_that_suffices() -> None:
    remedy = the_remedy(a_problem(orders=[an_order(penalty_cents=499)]))

    # 100 fixed, 200 for 20 km, 200 for 2,000 s.
    assert (remedy.kind, remedy.facts) == (RemedyKind.HIGHER_PENALTY, {"penalty_cents": 501})
    assert solved(a_problem(orders=[an_order(penalty_cents=501)])).num_carried == 1


def test_what_no_change_helps_has_no_remedy() -> None:
    # No one is asked to wait for more than two hours.
    left_out = the_only_left_out(solved(a_problem(vehicles=[a_vehicle(shift=(0, 1_000), max_duration_s=9)])))

    assert left_out.reason == Reason.UNREACHABLE_IN_TIME
    assert left_out.remedies == ()


def test_a_change_that_costs_more_than_it_saves_is_no_remedy() -> None:
    places = [a_place("shop", 5), a_place("point", 10, windows=[(0, 12 * HOUR)])]
    order = an_order(ready_s=12 * HOUR, penalty_cents=500)

    left_out = the_only_left_out(solved(a_problem(places=places, orders=[order])))

    # Carrying it would cost as much.
    assert (left_out.reason, left_out.remedies) == (Reason.UNREACHABLE_IN_TIME, ())


def test_an_order_that_a_vehicle_could_carry_at_a_profit_was_not_found_a_place_in_time() -> None:
    search = Search(Day(a_problem()), should_stop=never, must_stop=never)

    (left_out,) = explainer_of(search).explain([0])

    assert left_out.reason == Reason.PLANNING_TIME_OVER


def never() -> bool:
    return False


def explainer_of(
    search: Search, *, should_hurry: Callable[[], bool] = never, should_stop: Callable[[], bool] = never
) -> Explainer:
    return Explainer(
        search.day,
        search.room,
        search.reach,
        search.plan(),
        should_hurry=should_hurry,
        should_stop=should_stop,
    )


def test_without_time_reasons_are_told_but_no_remedies_are_sought() -> None:
    full = a_place("point", 10, compartments=[(*AMBIENT_S, 0)])
    too_long = a_problem(vehicles=[a_vehicle(max_duration_s=1_500)])
    too_full = a_problem(places=[a_place("shop", 5), full])
    for problem, reason in ((too_long, Reason.RUN_TOO_LONG), (too_full, Reason.NO_COMPARTMENT_LARGE_ENOUGH)):
        search = Search(Day(problem), should_stop=never, must_stop=never)

        (left_out,) = explainer_of(search, should_hurry=lambda: True).explain([0])

        assert (left_out.reason, left_out.remedies) == (reason, ())


def test_a_vehicle_that_is_busy_all_day_has_no_time_left() -> None:
    # The shop lies in the middle; by their deadlines the vehicle reaches one end of the road only.
    places = [a_place("home", 0), a_place("shop", 5), a_place("point", 10)]
    orders = [an_order(name, to=name, deadline_s=EIGHT + 1_000) for name in ("home", "point")]

    left_out = the_only_left_out(solved(a_problem(places=places, orders=orders)))

    assert left_out.reason == Reason.NO_VEHICLE_TIME_LEFT
    assert left_out.remedies[0].kind == RemedyKind.DEADLINE_LATER


def test_who_needs_a_low_door_learns_whether_there_is_none_or_they_are_taken() -> None:
    orders = [an_order("one", penalty_cents=5_000, low=True), an_order("two", penalty_cents=6_000, low=True)]
    high, low = (*AMBIENT_S, 2, False), (*AMBIENT_S, 1, True)
    none = [a_place("shop", 5), a_place("point", 10, compartments=[high])]
    taken = [a_place("shop", 5), a_place("point", 10, compartments=[high, low])]

    reasons = {left.reason for left in solved(a_problem(places=none, orders=orders)).left_out}
    left_out = the_only_left_out(solved(a_problem(places=taken, orders=orders)))

    assert reasons == {Reason.NO_COMPARTMENT_LARGE_ENOUGH}
    assert (left_out.order, left_out.reason) == ("one", Reason.LOCKER_FULL)
    remedy = left_out.remedies[0]
    assert remedy.sentence == "One more S compartment behind a low door in point would save 50.00 EUR."
    assert remedy.facts["door"] == "low"
