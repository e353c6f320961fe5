"""Tables and lines of a routing server, which may be slow, broken, choosy or gone."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
import shapely

from optimizer import io
from optimizer.__main__ import main
from optimizer.checks import ProblemError
from optimizer.problem import BIKE, NO_WAY, VAN, Place
from optimizer.travel import osrm
from optimizer.travel.model import GeodesicTravel
from optimizer.travel.osrm import OsrmTravel
from tests.optimizer.builders import a_problem

Point = tuple[float, float]


def places_in_a_row(count: int) -> list[Place]:
    return [Place(id=f"p{i}", latitude=52 + i / 1000, longitude=9 + i * i / 10_000) for i in range(count)]


def metres(here: Point, there: Point) -> float:
    """The roads of the server: longer uphill (to the north) than down, and never by chance right."""
    return 1e5 * (abs(here[0] - there[0]) + abs(here[1] - there[1])) * (1.5 if here[1] < there[1] else 1)


class Server(ThreadingHTTPServer):
    """A routing server of three metres a second that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        #: Statuses of the next answers; 0 hangs up without one.
        self.failures: list[int] = []
        self.cut_off: set[Point] = set()
        self.off_road: set[Point] = set()
        self.answer: Any = None
        self.most = 100
        self.broken_after = 1_000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def table(self, points: list[Point], options: dict[str, list[str]]) -> dict[str, Any]:
        sources, destinations = (
            [points[int(i)] for i in options[name][0].split(";")] if name in options else points
            for name in ("sources", "destinations")
        )
        if len(points) > self.most:
            return {"code": "TooBig", "message": "Too many table coordinates"}
        distances = [
            [None if {here, there} & self.cut_off else metres(here, there) for there in destinations]
            for here in sources
        ]
        durations = [[value and value / 3 for value in row] for row in distances]
        waypoints = [{"distance": 800.0 if point in self.off_road else 0.0} for point in sources]
        return {"code": "Ok", "distances": distances, "durations": durations, "sources": waypoints}

    def route(self, points: list[Point]) -> dict[str, Any]:
        if self.cut_off & set(points):
            return {"code": "NoRoute", "message": "Impossible route between points"}
        legs = [
            {
                "steps": [
                    {"geometry": {"coordinates": [here, bend]}},
                    {"geometry": {"coordinates": [bend, there]}},
                ]
            }
            for here, there in pairwise(points)
            for bend in [(here[0], there[1])]
        ]
        return {"code": "Ok", "routes": [{"legs": legs}]}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.failures:
            status = self.server.failures.pop(0)
            if status:
                self.send_error(status)
            else:
                self.close_connection = True
            return
        url = urlsplit(self.path)
        _, service, _, _, coordinates = url.path.split("/")
        points = [(float(x), float(y)) for x, y in (text.split(",") for text in coordinates.split(";"))]
        answer = self.server.answer
        if len(self.server.asked) > self.server.broken_after:
            answer = {"code": "Odd"}
        if answer is None:
            is_table = service == "table"
            answer = self.server.table(points, parse_qs(url.query)) if is_table else self.server.route(points)
        content = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
        self.send_response(200 if b'"Ok"' in content else 400)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def waits() -> list[float]:
    """Seconds that the model would have waited."""
    return []


@pytest.fixture
def model(server: Server, waits: list[float]) -> OsrmTravel:
    return OsrmTravel(url=server.url, sleep=waits.append)


def expected_m(places: list[Place]) -> list[list[int]]:
    points = [(round(place.longitude, 6), round(place.latitude, 6)) for place in places]
    return [[round(metres(here, there)) for there in points] for here in points]


def test_the_server_measures_distances_and_durations(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(5)

    matrix, report = model.measure(places, BIKE)

    assert matrix.distance_m.tolist() == expected_m(places)
    assert matrix.duration_s == pytest.approx(matrix.distance_m / 3, abs=1)
    assert (report.complete, report.model) == (True, "osrm")
    assert "OpenStreetMap" in report.attribution
    (asked,) = server.asked
    assert asked.startswith("/table/v1/bike/9.000000,52.000000;9.000100,52.001000;")
    assert "annotations=duration,distance" in asked


@pytest.mark.parametrize(("count", "most"), [(23, 10), (11, 10), (21, 2), (10, 10), (101, 100)])
def test_large_tables_are_asked_for_in_blocks(
    server: Server, model: OsrmTravel, count: int, most: int
) -> None:
    places = places_in_a_row(count)
    server.most = most

    matrix, report = replace(model, max_coordinates=most).measure(places, BIKE)

    assert report.fallback == ""
    assert matrix.distance_m.tolist() == expected_m(places)
    assert (len(server.asked) > 1) == (count > most)


def test_no_request_is_longer_than_servers_take(server: Server, model: OsrmTravel) -> None:
    far = [Place(id=str(i), latitude=-52 - i / 1e5, longitude=-109 - i / 1e5) for i in range(218)]
    server.most = 218

    _, report = replace(model, max_coordinates=218).measure(far, BIKE)

    assert report.fallback == ""
    assert max(map(len, server.asked)) < 8_000


def test_pairs_without_a_way_are_reported_and_not_guessed(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(3)
    server.cut_off = {(places[1].longitude, places[1].latitude)}

    matrix, report = model.measure(places, BIKE)

    assert matrix.distance_m[1].tolist() == matrix.duration_s[1].tolist() == [NO_WAY, 0, NO_WAY]
    assert matrix.distance_m[0, 2] < NO_WAY
    assert report.num_unreachable == 4
    assert ("p0", "p1") in report.unreachable


def test_a_place_far_from_any_road_is_reported_and_not_guessed(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(3)
    server.off_road = {(places[2].longitude, places[2].latitude)}

    matrix, report = model.measure(places, BIKE)
    near, _ = replace(model, max_walk_m=800).measure(places, BIKE)

    assert (report.off_road, report.num_unreachable) == (("p2",), 0)
    assert matrix.distance_m[0, 2] == NO_WAY
    # The walk of 800 m takes 572 s, by 1.4 m/s.
    road_m = expected_m(places)[0][2]
    assert near.distance_m[0, 2] == road_m + 800
    assert near.duration_s[0, 2] == pytest.approx(road_m / 3 + 572, abs=1)


@pytest.mark.parametrize("failure", [0, 429, 500, 503])
def test_a_server_that_fails_for_a_while_is_asked_again(
    server: Server, model: OsrmTravel, waits: list[float], failure: int
) -> None:
    places = places_in_a_row(3)
    server.failures = [failure, failure]

    matrix, report = model.measure(places, BIKE)

    assert (len(server.asked), report.complete) == (3, True)
    assert matrix.distance_m.tolist() == expected_m(places)
    assert waits == [0.5, 1.0]


def test_one_block_that_fails_makes_the_whole_table_geodesic_and_says_so(
    server: Server, model: OsrmTravel
) -> None:
    places = places_in_a_row(12)
    geodesics, _ = GeodesicTravel().measure(places, BIKE)
    server.broken_after = 3

    matrix, report = replace(model, max_coordinates=10).measure(places, BIKE)

    assert len(server.asked) == 4
    assert np.array_equal(matrix.distance_m, geodesics.distance_m)
    assert np.array_equal(matrix.duration_s, geodesics.duration_s)
    assert (report.complete, report.model) == (False, "geodesic")
    assert report.sentence == "geodesics stand in: OSRM: status 400: Odd"


def test_a_server_that_stays_broken_is_given_up(server: Server, model: OsrmTravel) -> None:
    server.failures = [503] * 10

    _, report = model.measure(places_in_a_row(3), BIKE)

    assert len(server.asked) == 3
    assert report.fallback == "OSRM: no answer in 3 attempts, at last status 503"


def test_a_server_that_is_gone_is_given_up(model: OsrmTravel, server: Server, waits: list[float]) -> None:
    server.shutdown()
    server.server_close()

    _, report = model.measure(places_in_a_row(3), BIKE)

    assert "no answer in 3 attempts, at last ConnectError" in report.fallback
    assert waits == [0.5, 1.0]


def test_a_server_may_ask_for_a_longer_wait_within_reason() -> None:
    waits = {
        text: osrm._asked_wait_s(httpx.Response(429, headers={"Retry-After": text}))
        for text in ("7", "900", "Wed, 21 Oct 2026 07:28:00 GMT")
    }

    assert list(waits.values()) == [7, 10, 0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b'["Ok"]',
        {"code": "TooBig", "message": "Too many table coordinates"},
        {"code": "Ok"},
        {"code": "Ok", "distances": [[0]], "durations": [[0]]},
        {"code": "Ok", "distances": [[0, 1], [1]], "durations": [[0, 1], [1, 0]]},
        {"code": "Ok", "distances": [[0, -1], [1, 0]], "durations": [[0, 1], [1, 0]]},
        {"code": "Ok", "distances": [[0, "far"], [1, 0]], "durations": [[0, 1], [1, 0]]},
    ],
)
def test_an_answer_that_makes_no_sense_is_asked_for_once_and_not_believed(
    server: Server, model: OsrmTravel, answer: object
) -> None:
    server.answer = answer

    _, report = model.measure(places_in_a_row(2), BIKE)

    assert report.fallback != ""
    assert len(server.asked) == 1


def test_profiles_may_have_servers_and_names_of_their_own(server: Server, waits: list[float]) -> None:
    model = OsrmTravel(url=server.url + "/{profile}", sleep=waits.append)

    model.measure(places_in_a_row(2), replace(VAN, id="van-50", mode="driving"))

    assert server.asked[0].startswith("/driving/table/v1/driving/")


def test_a_table_takes_no_longer_than_there_is_patience(server: Server, waits: list[float]) -> None:
    seconds = iter(range(100))
    model = OsrmTravel(
        url=server.url, max_coordinates=2, patience_s=10, sleep=waits.append, clock=lambda: next(seconds)
    )

    matrix, report = model.measure(places_in_a_row(20), BIKE)

    assert report.fallback == "OSRM: no complete answer in 10 s"
    assert 0 < len(server.asked) < 10
    by_geodesics, _ = GeodesicTravel().measure(places_in_a_row(20), BIKE)
    assert matrix.duration_s.tolist() == by_geodesics.duration_s.tolist()


def test_a_server_that_is_gone_is_waited_for_no_longer_than_there_is_patience(
    server: Server, waits: list[float]
) -> None:
    server.failures = [503] * 100
    model = OsrmTravel(
        url=server.url, attempts=100, patience_s=0.2, backoff_s=60, sleep=waits.append, clock=lambda: 0.0
    )

    model.measure(places_in_a_row(2), BIKE)

    assert set(waits) == {0.2}


def test_what_is_closed_is_up_to_the_server(model: OsrmTravel) -> None:
    assert model.closing({"bike": [shapely.box(8, 51, 10, 53)]}) is model


def test_lines_follow_the_road_through_every_place(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(8)

    lines = replace(model, max_coordinates=4).path(places, BIKE)

    assert len(server.asked) == 3
    assert all(line.by_road for line in lines)
    for line, (here, there) in zip(lines, pairwise(places), strict=True):
        assert line.points == (
            (here.latitude, here.longitude),
            (there.latitude, here.longitude),
            (there.latitude, there.longitude),
        )


def test_only_lines_without_a_way_are_straight(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(6)
    server.cut_off = {(places[3].longitude, places[3].latitude)}

    lines = model.path(places, BIKE)

    assert [line.by_road for line in lines] == [True, True, False, False, True]
    assert lines[2].points == ((52.002, 9.0004), (52.003, 9.0009))


def test_lines_after_the_server_broke_are_straight(server: Server, model: OsrmTravel) -> None:
    places = places_in_a_row(8)
    server.broken_after = 1

    lines = replace(model, max_coordinates=4).path(places, BIKE)

    assert [line.by_road for line in lines] == [True] * 3 + [False] * 4
    assert lines[3].points[0] == (places[3].latitude, places[3].longitude)


def test_without_a_server_lines_are_straight_and_a_warning_is_logged(
    server: Server, model: OsrmTravel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.failures = [500] * 3

    lines = model.path(places_in_a_row(6), BIKE)

    assert [line.by_road for line in lines] == [False] * 5
    assert "Lines of profile bike are straight" in caplog.text


def test_a_line_through_one_place_or_none_asks_nobody(server: Server, model: OsrmTravel) -> None:
    assert model.path([], BIKE) == model.path(places_in_a_row(1), BIKE) == ()
    assert server.asked == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://osrm"),
        ("url", "http://"),
        ("url", "http://osrm:port"),
        ("max_coordinates", 1),
        ("max_coordinates", 1_000),
        ("attempts", 0),
        ("timeout_s", 0),
        ("backoff_s", -1),
        ("max_walk_m", -1),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: Any) -> None:
    settings: dict[str, Any] = {"url": "http://osrm:5000"} | {field: value}

    with pytest.raises(ProblemError) as refusal:
        OsrmTravel(**settings)

    assert refusal.value.field == field


def test_the_command_line_asks_the_server_and_plans_on_if_it_is_gone(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problem = tmp_path / "problem.json"
    problem.write_text(json.dumps(io.problem_to_json(replace(a_problem(), matrices=()))))
    command = ["solve", str(problem), "--json", "--iterations", "5", "--travel", f"osrm:{server.url}"]

    assert main(command) == 0
    assert {asked.split("/")[3] for asked in server.asked} == {"bike", "van"}
    server.failures = [400] * 10
    assert main(command) == 0
    assert "geodesics stand in: OSRM: status 400" in caplog.text
