"""Places to metres and seconds."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from optimizer.problem import BIKE, NO_WAY, Place, Problem, Profile, TravelMatrix, Zone
from optimizer.travel.model import (
    NAMED_PAIRS,
    GeodesicTravel,
    Line,
    TravelReport,
    areas_of,
    forbidden,
    prepare,
    report_of,
    whole_matrix,
    with_matrices,
)
from tests.optimizer.builders import a_problem

HAMELN = Place(id="hameln", latitude=52.104, longitude=9.356)
GROHNDE = Place(id="grohnde", latitude=52.018, longitude=9.413)
NEXT_DOOR = Place(id="next-door", latitude=52.018, longitude=9.413)


def test_the_way_is_the_geodesic_times_the_detour() -> None:
    profile = Profile(id="van", speed_m_s=10, detour_factor=2.0)

    matrix, report = GeodesicTravel().measure([HAMELN, GROHNDE], profile)

    # 10.3 km as the crow flies.
    assert matrix.distance_m[0, 1] == pytest.approx(2 * 10_340, rel=0.01)
    assert matrix.duration_s[0, 1] == pytest.approx(matrix.distance_m[0, 1] / 10, abs=1)
    assert (matrix.distance_m == matrix.distance_m.T).all()
    assert report.complete
    assert (report.sentence, report.attribution) == ("", "")


def test_equal_coordinates_are_nothing_apart() -> None:
    matrix, _ = GeodesicTravel().measure([GROHNDE, NEXT_DOOR], BIKE)

    assert not matrix.distance_m.any()
    assert not matrix.duration_s.any()


def test_different_coordinates_are_never_nothing_apart() -> None:
    beside = replace(GROHNDE, id="beside", latitude=GROHNDE.latitude + 1e-9)

    matrix, _ = GeodesicTravel().measure([GROHNDE, beside], BIKE)

    assert matrix.distance_m.tolist() == matrix.duration_s.tolist() == [[0, 1], [1, 0]]


def test_what_a_model_takes_for_one_point_is_still_a_metre_and_a_second_apart() -> None:
    nothing = np.zeros((2, 2))

    matrix = whole_matrix([HAMELN, GROHNDE], BIKE, nothing, nothing)

    assert matrix.distance_m.tolist() == matrix.duration_s.tolist() == [[0, 1], [1, 0]]


def test_a_way_that_no_quantity_can_measure_is_none() -> None:
    snail = Profile(id="snail", speed_m_s=0.1, detour_factor=10)
    far = Place(id="far", latitude=-HAMELN.latitude, longitude=HAMELN.longitude - 180)

    # 20,000 km take 63 years.
    matrix, _ = GeodesicTravel().measure([HAMELN, far], snail)

    assert matrix.duration_s.tolist() == matrix.distance_m.tolist() == [[0, NO_WAY], [NO_WAY, 0]]


def test_geodesic_lines_are_straight_and_say_so() -> None:
    lines = GeodesicTravel().path([HAMELN, GROHNDE, HAMELN], BIKE)

    assert lines[0] == Line(points=((52.104, 9.356), (52.018, 9.413)), by_road=False)
    assert len(lines) == 2


def test_given_matrices_are_kept() -> None:
    problem = a_problem()

    assert with_matrices(problem) is problem
    assert prepare(problem) == (problem, ())


class LameTravel(GeodesicTravel):
    """A model that finds no way anywhere."""

    def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
        nowhere = np.full((len(places), len(places)), np.inf)
        matrix = whole_matrix(places, profile, nowhere, nowhere)
        return matrix, report_of(matrix, places, model="lame", attribution="", closed=[0])


def test_missing_matrices_come_from_the_model_with_a_report_and_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    (bike,) = with_matrices(
        Problem(places=(HAMELN, GROHNDE), vehicles=(), orders=(), profiles=(BIKE,))
    ).matrices
    problem = Problem(places=(HAMELN, GROHNDE), vehicles=(), orders=(), matrices=(bike,))

    prepared, reports = prepare(problem, LameTravel())

    assert prepared.matrices[0] is bike
    assert [report.profile for report in reports] == ["van"]
    assert prepared.matrices[1].distance_m.tolist() == [[0, NO_WAY], [NO_WAY, 0]]
    assert "Travel of profile van (lame): hameln in a closed area" in caplog.text


def test_a_report_counts_all_pairs_without_a_way_and_names_the_first() -> None:
    places = [replace(HAMELN, id=str(i), longitude=9 + i / 10) for i in range(10)]
    nowhere = np.full((10, 10), np.inf)
    matrix = whole_matrix(places, BIKE, nowhere, nowhere)

    report = report_of(matrix, places, model="lame", attribution="", off_road=[9])

    assert report.num_unreachable == 9 * 8
    assert report.unreachable[0] == ("0", "1")
    assert len(report.unreachable) == NAMED_PAIRS
    assert report.sentence == (
        "no road near 9; no way between 72 pairs of places (0 to 1, 0 to 2, 0 to 3, …)"
    )


def test_areas_are_told_by_profile() -> None:
    ring = ((9.356, 52.0), (9.4, 52.0), (9.4, 52.2))
    fair = Zone(id="fair", ring=ring, forbidden_profiles=("van", "bike"))
    centre = Zone(id="centre", ring=ring, forbidden_profiles=("van",))

    areas = areas_of([fair, centre])

    assert {profile: len(closed) for profile, closed in areas.items()} == {"van": 2, "bike": 1}


def test_a_place_on_the_border_of_a_zone_is_inside() -> None:
    ring = ((9.356, 52.0), (9.4, 52.0), (9.4, 52.2), (9.356, 52.2))
    zone = Zone(id="centre", ring=ring, forbidden_profiles=("van",))
    problem = Problem(places=(HAMELN, GROHNDE), vehicles=(), orders=(), zones=(zone,))

    closed = forbidden(problem)

    assert closed["van"].tolist() == [True, False]
    assert closed["bike"].tolist() == [False, False]
