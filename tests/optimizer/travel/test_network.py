"""Ways by road: the fastest ones, their lines, and what cannot be reached."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optimizer import io
from optimizer.__main__ import main
from optimizer.checks import ProblemError
from optimizer.problem import BIKE, NO_WAY, VAN, Place, Profile
from optimizer.travel.graph import projection
from optimizer.travel.model import GeodesicTravel
from optimizer.travel.network import NetworkTravel
from tests.optimizer.builders import a_problem
from tests.optimizer.shared_data import SHARED_DATA, needs_shared_data
from tests.optimizer.town import (
    NODES,
    RESIDENTIAL,
    RING,
    a_network,
    a_place,
    an_extract,
    degrees,
    metres_and_seconds,
)


def test_the_way_follows_the_roads_at_their_speeds(tmp_path: Path) -> None:
    here, there = a_place("here", 400, 0), a_place("there", 1000, 100)

    metres, seconds = metres_and_seconds(a_network(tmp_path), [here, there])

    # 600 m along the street and 100 m up, at 25 km/h.
    assert metres.tolist() == [[0, 700], [700, 0]]
    assert seconds.tolist() == [[0, 101], [101, 0]]


def test_places_are_reached_on_foot_from_the_nearest_point_of_a_road(tmp_path: Path) -> None:
    here, there = a_place("here", 400, 70), a_place("there", 600, -35)

    metres, seconds = metres_and_seconds(a_network(tmp_path), [here, there])

    # 105 m at 1.4 m/s, 200 m at 25 km/h.
    assert metres[0, 1] == 305
    assert seconds[0, 1] == 75 + 29


def test_a_one_way_street_is_driven_around(tmp_path: Path) -> None:
    travel = a_network(tmp_path, ("AB", RESIDENTIAL | {"oneway": "yes"}), ("BCMDA", RESIDENTIAL))
    here, there = a_place("here", 400, 0), a_place("there", 600, 0)

    metres, _ = metres_and_seconds(travel, [here, there])

    # Back over both ends and the bend.
    assert metres[0, 1] == 200
    assert metres[1, 0] == pytest.approx(400 + 200 + 2 * np.hypot(500, 100) + 200 + 400, abs=2)


def test_bikes_and_vans_go_their_own_ways(tmp_path: Path) -> None:
    travel = a_network(tmp_path, RING, ("AC", {"highway": "cycleway"}))
    corners = [a_place("a", 0, 0), a_place("c", 1000, 200)]

    assert metres_and_seconds(travel, corners, BIKE)[0][0, 1] == 1020
    assert metres_and_seconds(travel, corners, VAN)[0][0, 1] == 1200


def test_the_fastest_way_need_not_be_the_shortest(tmp_path: Path) -> None:
    fast = {"highway": "secondary", "maxspeed": "100"}
    travel = a_network(tmp_path, ("AB", {"highway": "living_street"}), ("BCMDA", fast))

    metres, seconds = metres_and_seconds(travel, [a_place("a", 0, 0), a_place("b", 1000, 0)])

    assert metres[0, 1] == pytest.approx(400 + 2 * np.hypot(500, 100), abs=2)
    assert seconds[0, 1] == pytest.approx(metres[0, 1] * 3.6 / 80, abs=1)


def test_a_place_snaps_to_no_road_that_leads_nowhere(tmp_path: Path) -> None:
    nodes = NODES | {"X": (400, 60), "Y": (420, 60)}
    travel = a_network(tmp_path, RING, ("XY", {"highway": "service"}), nodes=nodes)

    metres, _ = metres_and_seconds(travel, [a_place("here", 400, 60), a_place("there", 600, 0)])

    assert metres[0, 1] == 60 + 200


def test_equal_coordinates_are_nothing_apart_and_others_never(tmp_path: Path) -> None:
    shop, locker, beside = a_place("shop", 400, 3), a_place("locker", 400, 3), a_place("beside", 400, 3.01)

    metres, seconds = metres_and_seconds(a_network(tmp_path), [shop, locker, beside])

    assert (metres[0, 1], seconds[0, 1]) == (0, 0)
    assert metres[0, 2] >= 1
    assert seconds[0, 2] >= 1


def test_a_place_far_from_any_road_is_reported_and_not_guessed(tmp_path: Path) -> None:
    places = [a_place("here", 0, 0), a_place("forest", 400, -600), a_place("there", 600, 0)]

    matrix, report = a_network(tmp_path).measure(places, VAN)

    assert report.off_road == ("forest",)
    assert (report.num_unreachable, report.complete) == (0, False)
    assert report.attribution == "© OpenStreetMap contributors, ODbL 1.0"
    assert matrix.distance_m[0].tolist() == [0, NO_WAY, 600]
    assert matrix.duration_s[:, 1].tolist() == [NO_WAY, 0, NO_WAY]


def test_a_place_beyond_the_map_is_off_the_road(tmp_path: Path) -> None:
    pole = Place(id="pole", latitude=-90.0, longitude=0.0)

    _, report = a_network(tmp_path).measure([a_place("here", 0, 0), pole], VAN)

    assert report.off_road == ("pole",)


def test_nothing_to_measure_is_an_empty_table(tmp_path: Path) -> None:
    matrix, report = a_network(tmp_path).measure([], VAN)

    assert matrix.distance_m.shape == (0, 0)
    assert report.complete


def test_the_line_follows_the_bends_from_place_to_place(tmp_path: Path) -> None:
    travel = a_network(tmp_path)
    here, there, end = a_place("here", 750, 280), a_place("there", 0, 100), a_place("end", 0, 100)

    first, second = travel.path([here, there, end], VAN)

    _, bend, corner, _ = (degrees(x, y) for x, y in (NODES["C"], NODES["M"], NODES["D"], NODES["A"]))
    longitudes_and_latitudes = [(longitude, latitude) for latitude, longitude in first.points]
    assert first.by_road
    assert first.points[0] == (here.latitude, here.longitude)
    assert first.points[-1] == (there.latitude, there.longitude)
    assert longitudes_and_latitudes[2] == pytest.approx(bend, abs=1e-6)
    assert longitudes_and_latitudes[3] == pytest.approx(corner, abs=1e-6)
    assert second.by_road
    assert second.points == ((end.latitude, end.longitude),) * 2


def test_lines_are_as_long_as_the_table_says(tmp_path: Path) -> None:
    places = [a_place(str(x), x, 40) for x in range(0, 1000, 90)]
    travel = a_network(tmp_path, ("AB", RESIDENTIAL | {"oneway": "yes"}), ("BCMDA", RESIDENTIAL))
    metres, _ = metres_and_seconds(travel, places)

    lines = travel.path(places[::-1], VAN)

    for position, line in enumerate(lines):
        x, y = projection().transform(*reversed(np.array(line.points).T))
        length = np.hypot(np.diff(x), np.diff(y)).sum()
        assert length == pytest.approx(metres[len(places) - 1 - position, len(places) - 2 - position], abs=2)


def test_where_there_is_no_way_the_line_is_straight_and_says_so(tmp_path: Path) -> None:
    here, forest = a_place("here", 0, 0), a_place("forest", 400, -600)

    (line,) = a_network(tmp_path).path([here, forest], VAN)

    assert not line.by_road
    assert line.points == ((here.latitude, here.longitude), (forest.latitude, forest.longitude))


def test_a_longest_walk_of_nothing_is_refused() -> None:
    with pytest.raises(ProblemError, match="max_walk_m"):
        NetworkTravel(networks={}, max_walk_m=0)


def test_a_profile_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="profiles: truck is unknown"):
        a_network(tmp_path).measure([], Profile(id="truck", speed_m_s=10))


def test_profiles_of_one_mode_use_the_same_roads(tmp_path: Path) -> None:
    places, travel = [a_place("a", 0, 0), a_place("b", 1000, 0)], a_network(tmp_path)
    fast = Profile(id="bike-25", speed_m_s=7, mode="bike")

    (metres, seconds), (expected_m, expected_s) = (
        metres_and_seconds(travel, places, profile) for profile in (fast, BIKE)
    )

    assert (metres.tolist(), seconds.tolist()) == (expected_m.tolist(), expected_s.tolist())


@needs_shared_data
def test_a_rural_district_is_measured_for_both_vehicles(tmp_path: Path) -> None:
    travel = NetworkTravel.from_extract(SHARED_DATA / "osm" / "north-bayreuth.osm.pbf", tmp_path)
    villages = [
        Place(id="Neudrossenfeld", latitude=50.0183, longitude=11.5012),
        Place(id="Ramsenthal", latitude=50.0081, longitude=11.5917),
        Place(id="Altenplos", latitude=49.9861, longitude=11.5083),
    ]

    for profile, slow, fast in ((BIKE, 3, 5), (VAN, 6, 20)):
        matrix, report = travel.measure(villages, profile)
        crow, _ = GeodesicTravel().measure(villages, Profile(id="crow", speed_m_s=1, detour_factor=1))
        apart = crow.distance_m > 0
        detour = matrix.distance_m[apart] / crow.distance_m[apart]
        speed = matrix.distance_m[apart] / matrix.duration_s[apart]

        assert report.complete
        assert ((detour > 1) & (detour < 2.5)).all()
        assert ((speed > slow) & (speed < fast)).all()


def test_the_command_line_tells_what_a_network_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = an_extract(tmp_path, NODES, [RING])
    cache = tmp_path / "cache"

    main(["network", str(file), "--cache", str(cache), "--json"])
    made = json.loads(capsys.readouterr().out)
    main(["network", str(file), "--cache", str(cache)])
    table = capsys.readouterr().out

    assert made["profiles"]["van"] == {"nodes": 1, "edges": 1, "km": 2.4, "largest_component": 1.0}
    assert (made["from_cache"], made["cache"]) == (False, str(cache / "town.osm.network.npz"))
    assert "© OpenStreetMap contributors" in table
    assert f"read from {cache}" in table


def test_a_plan_is_driven_by_road(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = an_extract(tmp_path, NODES, [RING])
    places = [a_place("hub", 400, 0), a_place("shop", 1000, 100), a_place("point", 1000, 200)]
    problem = tmp_path / "problem.json"
    problem.write_text(json.dumps(io.problem_to_json(replace(a_problem(places=places), matrices=()))))

    roads = ["--travel", f"network:{town}"]
    status = main(["solve", str(problem), "--progress", "--iterations", "5", *roads])

    plan = tmp_path / "plan.json"
    plan.write_text(capsys.readouterr().out.splitlines()[-1])
    (route,) = json.loads(plan.read_text())["solution"]["routes"]
    assert status == 0
    assert main(["check", str(problem), str(plan), *roads]) == 0
    assert main(["check", str(problem), str(plan)]) == 1
    # 600 m along the street, 200 m up, and back.
    assert route["distance_m"] == 2 * 800


@pytest.mark.parametrize("model", ["roads", "network", "network:", "osrm:", "geodesic:x"])
def test_an_unknown_travel_model_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    problem = tmp_path / "problem.json"
    problem.write_text(json.dumps(io.problem_to_json(a_problem())))

    assert main(["solve", str(problem), "--travel", model]) == 2
    assert json.loads(capsys.readouterr().out)["field"] == "travel"


def test_a_damaged_extract_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.osm.pbf").write_bytes(b"no map")

    status = main(["network", str(tmp_path / "bad.osm.pbf")])

    assert status == 2
    assert json.loads(capsys.readouterr().out)["field"] == "extract"
