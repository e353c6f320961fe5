"""Where shipments are put into routes, before anything is on the clock."""

from dataclasses import replace

import pytest

from optimizer.day import Day
from optimizer.insertion import idle_tours, insertions, repaired
from optimizer.problem import Load, Vehicle, Zone
from optimizer.shipments import shipment_of
from tests.optimizer.builders import EIGHT, a_place, a_problem, a_vehicle, an_order, under_way
from tests.optimizer.clock import legs_of

PLACES = (a_place("shop", 5), a_place("point", 10), a_place("depot", 20))


@pytest.mark.parametrize(
    ("vehicle", "cents"),
    [
        # A kilometre costs 10 cents, and 100 s at 0.1 cents.
        (a_vehicle(end="depot"), 20 * 20),
        (a_vehicle(end="hub"), 20 * 20),
        # Who is out goes to the depot anyway, and the point is on the way from the shop.
        (a_vehicle(end="depot", under_way=under_way("shop")), 0),
    ],
)
def test_the_estimate_is_what_the_way_costs_beyond_that_of_a_vehicle_left_alone(
    vehicle: Vehicle, cents: int
) -> None:
    day = Day(a_problem(places=PLACES, vehicles=[vehicle]))

    (way,) = insertions(idle_tours(day), shipment_of(day, [0], [0]))

    assert way.estimate_cents == pytest.approx(cents)
    assert way.added_cents == cents + (0 if vehicle.under_way else 100)


def test_coming_home_takes_no_time_for_parking() -> None:
    places = [a_place("hub", stop_duration_s=600), *PLACES]
    day = Day(a_problem(places=places, vehicles=[a_vehicle(shift=(EIGHT, EIGHT + 2_000))]))

    # There and back it is 2,000 s.
    assert len(list(insertions(idle_tours(day), shipment_of(day, [0], [0])))) == 1


@pytest.mark.parametrize(
    ("trips", "kept"),
    [("| +0 -0", "+0 -0"), ("+0 -0 |", "+0 -0"), ("+0 -0 | | +1 -1", "+0 -0 | +1 -1"), ("|", "")],
)
def test_trips_without_anything_to_do_are_not_driven(trips: str, kept: str) -> None:
    problem = a_problem(orders=[an_order("one"), an_order("two")], vehicles=[a_vehicle(max_trips=3)])
    day = Day(problem)

    tour = repaired(day.classes[0], legs_of(day, trips))

    assert [leg.place for leg in tour.legs] == [leg.place for leg in legs_of(day, kept)]


def test_what_does_not_fit_on_a_trip_goes_on_one_more_as_long_as_there_may_be_one() -> None:
    small = Load(volume_cm3=10_000, weight_g=1_000, chilled_cm3=0, frozen_cm3=0)
    problem = a_problem(orders=[an_order("one"), an_order("two")], places=PLACES)
    added = []
    for max_trips in (1, 2):
        bike = a_vehicle(capacity=small, range_m=25_000, max_trips=max_trips, turnaround_s=600)
        day = Day(replace(problem, vehicles=(bike,)))
        tour = repaired(day.classes[0], legs_of(day, "+0 -0"))
        ways = list(insertions([tour], shipment_of(day, [1], [0])))
        added.append([(way.timetable.distance_m, way.added_cents) for way in ways])

    # Another 20 km, for 10 cents each and 0.1 cents a second, and the time at the hub.
    assert added == [[], [(40_000, 20 * 20 + 60)]]


def test_a_later_trip_may_go_only_where_the_vehicle_may() -> None:
    ring = ((8.9, 52.08), (9.1, 52.08), (9.1, 52.1), (8.9, 52.1))
    places = [*PLACES, a_place("other", 6)]
    problem = a_problem(
        orders=[an_order("one", to="other"), an_order("two")],
        vehicles=[a_vehicle(max_trips=2)],
        places=places,
        zones=[Zone(id="centre", ring=ring, forbidden_profiles=("van",))],
    )
    day = Day(problem)
    tour = repaired(day.classes[0], legs_of(day, "+0 -0"))

    assert list(insertions([tour], shipment_of(day, [1], [0]))) == []
