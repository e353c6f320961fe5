"""Tables of random towns, beside a search written as plainly as possible."""

import heapq
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import shapely

from optimizer.problem import VAN, Place, Profile
from optimizer.travel import extract, graph
from optimizer.travel.graph import projection
from optimizer.travel.model import GeodesicTravel
from optimizer.travel.network import NetworkTravel
from tests.optimizer.town import (
    Nodes,
    Tags,
    a_place,
    an_area,
    an_extract,
    metres_and_seconds,
)


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
