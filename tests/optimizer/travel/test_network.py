"""Ways by road: the fastest ones, around closed areas, and what cannot be reached."""

import heapq
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from optimizer import io
from optimizer.__main__ import main
from optimizer.checks import ProblemError
from optimizer.problem import BIKE, NO_WAY, VAN, Place, Profile, Zone
from optimizer.travel import extract, graph
from optimizer.travel.graph import projection
from optimizer.travel.model import GeodesicTravel, areas_of
from optimizer.travel.network import NetworkTravel
from tests.optimizer.builders import a_problem
from tests.optimizer.shared_data import SHARED_DATA, needs_shared_data
from tests.optimizer.town import RESIDENTIAL, Nodes, Tags, a_place, an_extract, degrees

#: Two parallel streets of 1 km, joined at both ends; the upper one has a bend that lies on no crossing.
NODES: Nodes = {"A": (0, 0), "B": (1000, 0), "C": (1000, 200), "M": (500, 300), "D": (0, 200)}
RING = ("ABCMDA", RESIDENTIAL)


def a_network(folder: Path, *ways: tuple[str, Tags], nodes: Nodes | None = None) -> NetworkTravel:
    return NetworkTravel.from_extract(an_extract(folder, nodes or NODES, ways or [RING]))


def an_area(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    """A rectangle of the town, in degrees."""
    corners = ((west, south), (east, south), (east, north), (west, north))
    return shapely.Polygon([degrees(x, y) for x, y in corners])


def metres_and_seconds(
    travel: NetworkTravel, places: list[Place], profile: Profile = VAN
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    matrix, _ = travel.measure(places, profile)
    return matrix.distance_m, matrix.duration_s


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


def test_if_everything_is_closed_nothing_is_reached(tmp_path: Path) -> None:
    travel = a_network(tmp_path).closing({"van": [an_area(-50, -9, 2000, 2000)]})
    places = [a_place("a", 0, -40), a_place("b", 1000, -40)]

    _, report = travel.measure(places, VAN)

    assert report.off_road == ("a", "b")
    assert not any(line.by_road for line in travel.path(places, VAN))


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


def a_random_town(folder: Path, random: Random) -> NetworkTravel:
    """A crooked grid of 5 by 5 crossings, some streets missing, some one-way, with bends between."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXY"
    nodes: Nodes = {
        name: (300 * (i % 5) + random.uniform(-90, 90), 300 * (i // 5) + random.uniform(-90, 90))
        for i, name in enumerate(letters)
    }
    ways: list[tuple[str, Tags]] = []
    for i, name in enumerate(letters):
        for j in (i + 1 if i % 5 < 4 else 25, i + 5):
            if j < 25 and random.random() < 0.85:
                bend = chr(0x400 + len(nodes))
                (one_x, one_y), (other_x, other_y) = nodes[name], nodes[letters[j]]
                x, y = (one_x + other_x) / 2, (one_y + other_y) / 2
                nodes[bend] = x + random.uniform(-60, 60), y + random.uniform(-60, 60)
                oneway = random.choice([{}, {}, {"oneway": "yes"}, {"oneway": "-1"}])
                speed = {"maxspeed": str(random.randrange(10, 60, 5))}
                ways.append((name + bend + letters[j], {"highway": "tertiary"} | oneway | speed))
    return NetworkTravel.from_extract(an_extract(folder, nodes, ways))


def seconds_by_hand(network: extract.RoadNetwork, places: list[Place]) -> list[list[float]]:
    """Durations over the bare segments, by the textbook: no edges, no batches, no weights of two parts."""
    x, y = projection().transform(network.longitude, network.latitude)
    segments = [
        (int(t), int(h), shapely.LineString([(x[t], y[t]), (x[h], y[h])]), f, b, m)
        for t, h, f, b, m in zip(
            network.tail,
            network.head,
            network.forward_kmh / 3.6,
            network.backward_kmh / 3.6,
            network.length_m,
            strict=True,
        )
    ]
    arcs: dict[int, list[tuple[int, float]]] = {}

    def add(tail: int, head: int, metres: float, speed: float, walk_m: float) -> None:
        if metres < 0.1:  # At a crossing no direction is forbidden.
            arcs.setdefault(tail, []).append((head, walk_m / 1.4))
        elif speed > 0:
            arcs.setdefault(tail, []).append((head, metres / speed + walk_m / 1.4))

    for tail, head, _, forward, backward, metres in segments:
        add(tail, head, metres, forward, 0)
        add(head, tail, metres, backward, 0)
    on_segment: dict[int, list[tuple[float, int, float]]] = {}
    for number, place in enumerate(places, start=len(x)):
        point = shapely.Point(*projection().transform(place.longitude, place.latitude))
        nearest = min(range(len(segments)), key=lambda s: segments[s][2].distance(point))
        tail, head, line, forward, backward, metres = segments[nearest]
        share, walk_m = line.project(point, normalized=True), line.distance(point)
        add(number, head, (1 - share) * metres, forward, walk_m)
        add(number, tail, share * metres, backward, walk_m)
        add(tail, number, share * metres, forward, walk_m)
        add(head, number, (1 - share) * metres, backward, walk_m)
        for other_share, other, other_walk_m in on_segment.get(nearest, []):
            (a, first), (b, last) = sorted([(share, number), (other_share, other)])
            add(first, last, (b - a) * metres, forward, walk_m + other_walk_m)
            add(last, first, (b - a) * metres, backward, walk_m + other_walk_m)
        on_segment.setdefault(nearest, []).append((share, number, walk_m))
    targets = range(len(x), len(x) + len(places))
    return [[_dijkstra(arcs, source).get(target, np.inf) for target in targets] for source in targets]


def _dijkstra(arcs: dict[int, list[tuple[int, float]]], source: int) -> dict[int, float]:
    known: dict[int, float] = {}
    queue = [(0.0, source)]
    while queue:
        seconds, node = heapq.heappop(queue)
        if node not in known:
            known[node] = seconds
            for head, more in arcs.get(node, []):
                heapq.heappush(queue, (seconds + more, head))
    return known


@pytest.mark.parametrize("seed", range(8))
def test_tables_equal_those_of_a_plain_search(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "SEARCH_BYTES", 4_000)  # Several batches.
    random = Random(seed)
    travel = replace(a_random_town(tmp_path, random), max_walk_m=5_000)
    places = [a_place(str(i), random.uniform(-50, 1250), random.uniform(-50, 1250)) for i in range(15)]

    metres, seconds = metres_and_seconds(travel, places)

    expected = np.array(seconds_by_hand(travel.networks["van"], places))
    np.fill_diagonal(expected, 0)
    assert seconds == pytest.approx(np.ceil(expected), abs=1)
    crow_m, _ = GeodesicTravel().measure(places, Profile(id="crow", speed_m_s=1, detour_factor=1))
    assert (metres >= crow_m.distance_m - 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_closed_area_makes_no_way_faster(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    travel = a_random_town(tmp_path, random)
    places = [a_place(str(i), random.uniform(-50, 1250), random.uniform(-50, 1250)) for i in range(12)]
    area = an_area(500, 300, 700, 900)
    closing = travel.closing({"van": [area]})

    _, before = metres_and_seconds(travel, places)
    _, after = metres_and_seconds(closing, places)

    # Nobody is sent to another road than before who lives outside the area and a walk away from it.
    far = [i for i, p in enumerate(places) if area.distance(shapely.Point(p.longitude, p.latitude)) > 0.003]
    same = np.ix_(far, far)
    assert (after[same] >= before[same]).all()
    drawn = [line.points[1:-1] for line in closing.path(places, VAN) if line.by_road]
    lines = [shapely.LineString([point[::-1] for point in points]) for points in drawn if len(points) > 1]
    assert lines
    assert not shapely.intersects(area.buffer(-1e-6), lines).any()


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

    status = main(["solve", str(problem), "--progress", "--iterations", "5", "--travel", f"network:{town}"])

    (route,) = json.loads(capsys.readouterr().out.splitlines()[-1])["solution"]["routes"]
    assert status == 0
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
