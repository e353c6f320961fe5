"""Ways around closed areas."""

from pathlib import Path

import numpy as np
import pytest

from optimizer.problem import BIKE, NO_WAY, VAN, Problem, Zone
from optimizer.travel.model import areas_of, with_matrices
from tests.optimizer.town import (
    NODES,
    RESIDENTIAL,
    RING,
    a_network,
    a_place,
    an_area,
    degrees,
    metres_and_seconds,
)


def test_a_closed_road_is_driven_around(tmp_path: Path) -> None:
    places = [a_place("a", 0, 0), a_place("b", 1000, 0)]
    travel = a_network(tmp_path).closing({"van": [an_area(490, -10, 510, 10)]})

    van, report = travel.measure(places, VAN)

    assert van.distance_m[0, 1] == pytest.approx(400 + 2 * np.hypot(500, 100), abs=2)
    assert report.complete
    assert metres_and_seconds(travel, places, BIKE)[0][0, 1] == 1000


def test_what_a_closed_area_cuts_off_is_unreachable(tmp_path: Path) -> None:
    nodes = NODES | {"E": (1000, -400)}
    travel = a_network(tmp_path, RING, ("BE", RESIDENTIAL), nodes=nodes)
    places = [a_place("a", 0, 0), a_place("end", 1000, -400)]

    _, whole = travel.measure(places, VAN)
    matrix, report = travel.closing({"van": [an_area(990, -110, 1010, -100)]}).measure(places, VAN)

    assert whole.complete
    assert (report.num_unreachable, report.unreachable) == (2, (("a", "end"), ("end", "a")))
    assert (report.off_road, report.closed) == ((), ())
    assert matrix.duration_s.tolist() == [[0, NO_WAY], [NO_WAY, 0]]


def test_a_closed_road_is_open_up_to_the_border_of_the_area(tmp_path: Path) -> None:
    travel = a_network(tmp_path).closing({"van": [an_area(490, -10, 510, 10)]})
    places = [a_place("a", 0, 0), a_place("near", 480, 0), a_place("beyond", 520, 0), a_place("b", 1000, 0)]

    metres, _ = metres_and_seconds(travel, places)

    around = 480 + 400 + 2 * np.hypot(500, 100) + 480
    assert (metres[0, 1], metres[2, 3]) == (480, 480)
    assert metres[1, 2] == pytest.approx(around, abs=2)


def test_areas_closed_one_after_another_are_all_closed(tmp_path: Path) -> None:
    below, above = an_area(490, -10, 510, 10), an_area(490, 250, 510, 350)
    travel = a_network(tmp_path).closing({"van": [below]}).closing({"van": [above], "bike": [above]})
    places = [a_place("a", 0, 0), a_place("b", 1000, 0)]

    assert travel.measure(places, VAN)[1].num_unreachable == 2
    assert travel.measure(places, BIKE)[1].complete


def test_a_place_in_a_closed_area_is_not_reached(tmp_path: Path) -> None:
    places = [a_place("a", 0, 0), a_place("fair", 500, 5), a_place("b", 1000, 0)]
    zone = Zone(
        id="fair",
        ring=tuple(degrees(x, y) for x, y in ((450, -20), (550, -20), (550, 20), (450, 20))),
        forbidden_profiles=("van",),
    )

    matrix, report = a_network(tmp_path).closing(areas_of([zone])).measure(places, VAN)

    assert (report.closed, report.off_road) == (("fair",), ())
    assert matrix.distance_m[0, 1] == NO_WAY
    assert 1000 < matrix.distance_m[0, 2] < NO_WAY


def test_zones_are_driven_around(tmp_path: Path) -> None:
    area = an_area(490, -10, 510, 10)
    ring = tuple((x, y) for x, y, *_ in area.exterior.coords[:-1])
    zone = Zone(id="fair", ring=ring, forbidden_profiles=("van",))
    places = (a_place("a", 0, 0), a_place("b", 1000, 0))
    problem = Problem(places=places, vehicles=(), orders=(), zones=(zone,))

    bike, van = with_matrices(problem, a_network(tmp_path)).matrices

    assert van.distance_m[0, 1] > bike.distance_m[0, 1] == 1000


def test_models_that_differ_in_what_is_closed_share_their_roads(tmp_path: Path) -> None:
    travel = a_network(tmp_path)
    places = [a_place("a", 0, 0), a_place("b", 1000, 0)]
    areas = {"van": [an_area(490, -10, 510, 10)]}
    before = metres_and_seconds(travel, places)[0][0, 1]

    closed = [metres_and_seconds(travel.closing(areas), places)[0][0, 1] for _ in range(2)]

    assert closed[0] == closed[1] > before == metres_and_seconds(travel, places)[0][0, 1]


def test_if_everything_is_closed_nothing_is_reached(tmp_path: Path) -> None:
    travel = a_network(tmp_path).closing({"van": [an_area(-50, -9, 2000, 2000)]})
    places = [a_place("a", 0, -40), a_place("b", 1000, -40)]

    _, report = travel.measure(places, VAN)

    assert report.off_road == ("a", "b")
    assert not any(line.by_road for line in travel.path(places, VAN))
