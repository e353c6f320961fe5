"""Little towns as OpenStreetMap files: nodes named by letters, at metres east and north of a corner."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from optimizer.problem import VAN, Place, Profile
from optimizer.travel.network import NetworkTravel

Tags = dict[str, str]
Nodes = dict[str, tuple[float, float]]

#: The corner, in UTM zone 32, so that metres are metres of the map.
EAST, NORTH = 530_000.0, 5_770_000.0
TO_DEGREES = Transformer.from_crs("EPSG:25832", "EPSG:4326", always_xy=True)

RESIDENTIAL: Tags = {"highway": "residential"}
#: Two parallel streets of 1 km, joined at both ends; the upper one has a bend that lies on no crossing.
NODES: Nodes = {"A": (0, 0), "B": (1000, 0), "C": (1000, 200), "M": (500, 300), "D": (0, 200)}
RING = ("ABCMDA", RESIDENTIAL)


def degrees(x_m: float, y_m: float) -> tuple[float, float]:
    """Return the longitude and the latitude of a point of the town."""
    longitude, latitude = TO_DEGREES.transform(EAST + x_m, NORTH + y_m)
    return longitude, latitude


def a_place(name: str, x_m: float, y_m: float) -> Place:
    longitude, latitude = degrees(x_m, y_m)
    return Place(id=name, latitude=latitude, longitude=longitude)


def an_extract(
    folder: Path,
    nodes: Nodes,
    ways: Iterable[tuple[str, Tags]],
    node_tags: Mapping[str, Tags] | None = None,
) -> Path:
    """Write a town; a way is a text of letters, and letters without a node lie outside the extract."""
    root = ElementTree.Element("osm", version="0.6")
    for name, (x_m, y_m) in nodes.items():
        longitude, latitude = degrees(x_m, y_m)
        node = ElementTree.SubElement(
            root, "node", id=str(ord(name)), lon=f"{longitude:.9f}", lat=f"{latitude:.9f}", version="1"
        )
        _add_tags(node, (node_tags or {}).get(name, {}))
    for number, (names, tags) in enumerate(ways, start=1):
        way = ElementTree.SubElement(root, "way", id=str(number), version="1")
        for name in names:
            ElementTree.SubElement(way, "nd", ref=str(ord(name)))
        _add_tags(way, tags)
    file = folder / "town.osm"
    ElementTree.ElementTree(root).write(file)
    return file


def _add_tags(element: ElementTree.Element, tags: Tags) -> None:
    for key, value in tags.items():
        ElementTree.SubElement(element, "tag", k=key, v=value)


def a_network(folder: Path, *ways: tuple[str, Tags], nodes: Nodes | None = None) -> NetworkTravel:
    """Build a town, by default the ring of two streets."""
    return NetworkTravel.from_extract(an_extract(folder, nodes or NODES, ways or [RING]))


def an_area(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    """Return a rectangle of the town, in degrees."""
    corners = ((west, south), (east, south), (east, north), (west, north))
    return shapely.Polygon([degrees(x, y) for x, y in corners])


def metres_and_seconds(
    travel: NetworkTravel, places: list[Place], profile: Profile = VAN
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    matrix, _ = travel.measure(places, profile)
    return matrix.distance_m, matrix.duration_s
