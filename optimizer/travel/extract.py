"""
Road networks out of an extract of OpenStreetMap, kept in a cache file.

A network is made for each vehicle of :data:`optimizer.travel.roads.VEHICLES`. It holds *segments*, straight
pieces of way between two neighbouring nodes, in the order of the ways they come from; and only those of the
largest strongly connected component, so that every segment can be reached from every other one and left
again. A node where something bars the vehicle becomes one end for each way that meets there.
"""

import hashlib
import json
import logging
import tempfile
import time
import zipfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from optimizer.checks import ProblemError
from optimizer.travel.roads import VEHICLES, is_blocked, is_relevant, speeds_kmh

if TYPE_CHECKING:
    import osmium.osm

logger = logging.getLogger(__name__)

#: Goes up whenever cache files or the making of networks change.
FORMAT = 1
_ARRAYS = ("longitude", "latitude", "tail", "head", "way", "length_m", "forward_kmh", "backward_kmh")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoadNetwork:
    """
    The roads of one vehicle.

    Parameters
    ----------
    longitude, latitude
        Of nodes, in degrees; shape ``(num_nodes,)``.
    tail, head
        Nodes at the ends of each segment; shape ``(num_segments,)``.
    way
        Way of each segment; segments of a way follow each other.
    length_m
        Length of each segment on the ellipsoid, in metres.
    forward_kmh, backward_kmh
        Speed from tail to head and from head to tail, 0 if the segment is closed that way; equal within a
        way.
    share
        Length of this component over the length of all roads that the vehicle may use, 0 to 1.
    """

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    tail: NDArray[np.int32]
    head: NDArray[np.int32]
    way: NDArray[np.int32]
    length_m: NDArray[np.float64]
    forward_kmh: NDArray[np.float64]
    backward_kmh: NDArray[np.float64]
    share: float

    @property
    def km(self) -> float:
        """Length of all roads, in kilometres."""
        return float(self.length_m.sum()) / 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extract:
    """
    The networks of an extract, and how they came here.

    Parameters
    ----------
    networks
        By the name of the vehicle.
    cache
        File that holds them; ``None`` if it could not be written.
    from_cache
        Whether they were read from it rather than from the extract.
    """

    networks: Mapping[str, RoadNetwork]
    cache: Path | None
    from_cache: bool
    seconds: float


def load(file: str | Path, cache_dir: str | Path | None = None) -> Extract:
    """
    Return the networks of an extract, from the cache if it holds them.

    Parameters
    ----------
    file
        Extract in any format that osmium reads, nodes before ways.
    cache_dir
        Where the cache file lies; next to the extract by default.

    Raises
    ------
    OSError
        If the extract cannot be read.
    ProblemError
        If it holds no OpenStreetMap data, or no road that a vehicle may use.
    """
    begun, file = time.monotonic(), Path(file)
    key = _key(file)
    cache = Path(cache_dir or file.parent) / f"{file.name}.network.npz"
    cached = _read_cache(cache, key)
    networks = cached or build(file)
    is_stored = cached is not None or _write_cache(cache, key, networks)
    return Extract(
        networks=networks,
        cache=cache if is_stored else None,
        from_cache=cached is not None,
        seconds=time.monotonic() - begun,
    )


def build(file: Path) -> dict[str, RoadNetwork]:
    """Return the networks of an extract, read anew."""
    ways = _read(file)
    return {name: _network(ways, name) for name in VEHICLES}


@dataclass(slots=True)
class _Ways:
    """
    Ways as they are read: nodes along all of them, with a break wherever a way ends.

    ``breaks`` are positions in the other arrays at which a new way begins, ``speeds`` has a row
    ``(forward, backward)`` for each vehicle and way, in km/h.
    """

    node: "array[int]" = field(default_factory=lambda: array("q"))
    longitude: "array[float]" = field(default_factory=lambda: array("d"))
    latitude: "array[float]" = field(default_factory=lambda: array("d"))
    breaks: "array[int]" = field(default_factory=lambda: array("q"))
    speeds: list[tuple[tuple[float, float], ...]] = field(default_factory=list)
    blocked: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in VEHICLES})


def _read(file: Path) -> _Ways:
    import osmium

    barriers, highways = osmium.filter.KeyFilter("barrier"), osmium.filter.KeyFilter("highway")
    barriers.enable_for(osmium.osm.NODE)
    highways.enable_for(osmium.osm.WAY)
    ways = _Ways()
    try:
        things = osmium.FileProcessor(file, osmium.osm.NODE | osmium.osm.WAY).with_locations()
        for thing in things.with_filter(barriers).with_filter(highways):
            if isinstance(thing, osmium.osm.Node):
                _add_barrier(ways, thing.id, dict(thing.tags))
            elif isinstance(thing, osmium.osm.Way):
                _add_way(ways, thing)
    except RuntimeError as error:
        raise ProblemError("extract", f"is not OpenStreetMap data ({error})") from error
    return ways


def _add_barrier(ways: _Ways, node: int, tags: Mapping[str, str]) -> None:
    for name, rules in VEHICLES.items():
        if is_blocked(rules, tags):
            ways.blocked[name].add(node)


def _add_way(ways: _Ways, way: "osmium.osm.Way") -> None:
    """Add a way that some vehicle may use; where nodes lie outside the extract, it falls into pieces."""
    speeds = _speeds(tuple((tag.k, tag.v) for tag in way.tags if is_relevant(tag.k)))
    if not any(map(any, speeds)):
        return
    is_new = True
    for node in way.nodes:
        if not node.location.valid():
            is_new = True
            continue
        if is_new:
            ways.breaks.append(len(ways.node))
            ways.speeds.append(speeds)
            is_new = False
        ways.node.append(node.ref)
        ways.longitude.append(node.lon)
        ways.latitude.append(node.lat)


@lru_cache(maxsize=100_000)
def _speeds(tags: tuple[tuple[str, str], ...]) -> tuple[tuple[float, float], ...]:
    """Return the speeds of all vehicles; most ways share their tags with many others."""
    return tuple(speeds_kmh(rules, dict(tags)) for rules in VEHICLES.values())


def _network(ways: _Ways, name: str) -> RoadNetwork:
    """Return the segments of the ways that a vehicle may use, in one strongly connected component."""
    vehicle = list(VEHICLES).index(name)
    kmh = np.array([speeds[vehicle] for speeds in ways.speeds], dtype=float).reshape(-1, 2)
    node = np.array(ways.node, dtype=np.int64)
    way = np.repeat(np.arange(len(kmh)), np.diff(np.append(np.array(ways.breaks, dtype=np.int64), len(node))))
    is_segment = (way[:-1] == way[1:]) & (node[:-1] != node[1:]) & kmh[way[:-1]].any(axis=1)
    at = np.flatnonzero(is_segment)
    if not len(at):
        raise ProblemError("extract", f"holds no road that a {name} may use")
    tail, head = _ends(node, at, ways.blocked[name])
    longitude, latitude = np.empty((2, max(tail.max(), head.max()) + 1))
    for end, position in ((tail, at), (head, at + 1)):
        longitude[end] = np.array(ways.longitude)[position]
        latitude[end] = np.array(ways.latitude)[position]
    network = RoadNetwork(
        longitude=longitude,
        latitude=latitude,
        tail=tail,
        head=head,
        way=way[at].astype(np.int32),
        length_m=_lengths_m(longitude, latitude, tail, head),
        forward_kmh=kmh[way[at], 0],
        backward_kmh=kmh[way[at], 1],
        share=1.0,
    )
    return _largest_component(network)


def _ends(
    node: NDArray[np.int64], at: NDArray[np.int64], blocked: set[int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the nodes at both ends of the segments; a blocked node gets a number for each way into it."""
    is_blocked = np.isin(node, np.fromiter(blocked, dtype=np.int64))
    unused = node.max() + 1
    tail = np.where(is_blocked[at], unused + 2 * at, node[at])
    head = np.where(is_blocked[at + 1], unused + 2 * at + 1, node[at + 1])
    _, number = np.unique(np.concatenate([tail, head]), return_inverse=True)
    return number[: len(at)].astype(np.int32), number[len(at) :].astype(np.int32)


def _lengths_m(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    tail: NDArray[np.int32],
    head: NDArray[np.int32],
) -> NDArray[np.float64]:
    from pyproj import Geod

    _, _, lengths = Geod(ellps="WGS84").inv(longitude[tail], latitude[tail], longitude[head], latitude[head])
    return np.asarray(lengths, dtype=float)


def _largest_component(network: RoadNetwork) -> RoadNetwork:
    """Keep the strongly connected component with the longest roads."""
    forward, backward = network.forward_kmh > 0, network.backward_kmh > 0
    tails = np.concatenate([network.tail[forward], network.head[backward]])
    heads = np.concatenate([network.head[forward], network.tail[backward]])
    num_nodes = len(network.longitude)
    graph = csr_array((np.ones(len(tails), dtype=np.int8), (tails, heads)), shape=(num_nodes, num_nodes))
    _, component = connected_components(graph, directed=True, connection="strong")
    inside = component[network.tail] == component[network.head]
    lengths = np.bincount(component[network.tail[inside]], weights=network.length_m[inside])
    kept = inside & (component[network.tail] == lengths.argmax()) if len(lengths) else inside
    nodes, number = np.unique(np.concatenate([network.tail[kept], network.head[kept]]), return_inverse=True)
    half = len(number) // 2
    return RoadNetwork(
        longitude=network.longitude[nodes],
        latitude=network.latitude[nodes],
        tail=number[:half].astype(np.int32),
        head=number[half:].astype(np.int32),
        way=network.way[kept],
        length_m=network.length_m[kept],
        forward_kmh=network.forward_kmh[kept],
        backward_kmh=network.backward_kmh[kept],
        share=float(network.length_m[kept].sum() / network.length_m.sum()),
    )


def _key(file: Path) -> str:
    """Return what a cache must have been made from: the extract, the rules, and this module."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(f"{FORMAT} {VEHICLES!r}".encode())
    return digest.hexdigest()


def _read_cache(file: Path, key: str) -> dict[str, RoadNetwork] | None:
    """Return the networks in a cache file; ``None`` if it is missing, outdated or damaged."""
    try:
        with np.load(file, allow_pickle=False) as cache:
            about = json.loads(str(cache["about"]))
            if about["key"] != key:
                return None
            return {
                name: RoadNetwork(share=share, **{field: cache[f"{name}.{field}"] for field in _ARRAYS})
                for name, share in about["shares"].items()
            }
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        logger.warning("The road network in %s is unusable and made anew: %s", file, error)
        return None


def _write_cache(file: Path, key: str, networks: Mapping[str, RoadNetwork]) -> bool:
    """Write a cache file at one stroke, and tell whether that went well."""
    about = json.dumps({"key": key, "shares": {name: network.share for name, network in networks.items()}})
    arrays = {
        f"{name}.{field}": getattr(network, field) for name, network in networks.items() for field in _ARRAYS
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=file.name, delete=False) as draft:
            try:
                np.savez(draft, allow_pickle=False, about=np.array(about), **arrays)
                draft.close()
                Path(draft.name).chmod(0o644)  # Drafts are private; other users may read the cache.
                Path(draft.name).replace(file)
            except BaseException:
                Path(draft.name).unlink()
                raise
    except OSError as error:
        logger.warning("The road network is not kept, each run will make it anew: %s", error)
        return False
    return True
