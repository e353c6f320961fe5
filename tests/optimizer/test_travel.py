"""Places to metres and seconds."""

import pytest

from optimizer.problem import BIKE, Place, Problem, Profile, Zone
from optimizer.travel import GeodesicTravel, forbidden, with_matrices
from tests.optimizer.builders import a_problem

HAMELN = Place(id="hameln", latitude=52.104, longitude=9.356)
GROHNDE = Place(id="grohnde", latitude=52.018, longitude=9.413)
NEXT_DOOR = Place(id="next-door", latitude=52.018, longitude=9.413)


def test_the_way_is_the_geodesic_times_the_detour() -> None:
    profile = Profile(id="van", speed_m_s=10, detour_factor=2.0)

    matrix = GeodesicTravel().matrix([HAMELN, GROHNDE], profile)

    # 10.3 km as the crow flies.
    assert matrix.distance_m[0, 1] == pytest.approx(2 * 10_340, rel=0.01)
    assert matrix.duration_s[0, 1] == pytest.approx(matrix.distance_m[0, 1] / 10, abs=1)
    assert (matrix.distance_m == matrix.distance_m.T).all()


def test_equal_coordinates_are_nothing_apart() -> None:
    matrix = GeodesicTravel().matrix([GROHNDE, NEXT_DOOR], BIKE)

    assert not matrix.distance_m.any()
    assert not matrix.duration_s.any()


def test_given_matrices_are_kept() -> None:
    problem = a_problem()

    assert with_matrices(problem) is problem


def test_a_place_on_the_border_of_a_zone_is_inside() -> None:
    ring = ((9.356, 52.0), (9.4, 52.0), (9.4, 52.2), (9.356, 52.2))
    zone = Zone(id="centre", ring=ring, forbidden_profiles=("van",))
    problem = Problem(places=(HAMELN, GROHNDE), vehicles=(), orders=(), zones=(zone,))

    closed = forbidden(problem)

    assert closed["van"].tolist() == [True, False]
    assert closed["bike"].tolist() == [False, False]
