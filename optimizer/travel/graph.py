"""
The roads of one vehicle as a graph: where a place lies on them, and the fastest ways between places.

An *edge* is a piece of way between two crossings or ends of ways; its *line* is drawn in UTM zone 32, which
measures Germany to 0.1 %, its length is that of the ellipsoid. A *spot* is the point of an edge nearest to a
place. Edges give one *arc* for each direction that is open; spots are nodes with arcs to and from the ends
of their edges, and between each other where they share an edge. On foot from a spot to its place and back
counts in all of them.

Arcs weigh ``t · 2^25 + d``, *t* in milliseconds and *d* in decimetres. Such sums are exact in 64-bit floats
up to 74 hours and 3355 km, so that one search by Dijkstra's algorithm gives both the shortest time and the
distance of the way that takes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from shapely.ops import substring

from optimizer.travel.extract import RoadNetwork
from optimizer.travel.model import WALKING_M_S

if TYPE_CHECKING:
    from pyproj import Transformer

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: A spot nearer to the end of its edge lies at the crossing.
AT_END_M = 0.1
#: Bytes of distances that one search may fill.
SEARCH_BYTES = 64 * 2**20
_TIME_UNIT = 2.0**25


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """
    Where places lie on the roads.

    Parameters
    ----------
    place
        Indices of the places that have a spot, in order.
    edge, along_m, walk_m
        Edge of each, position along its line, and the way on foot from there to the place.
    """

    place: Indices
    edge: Indices
    along_m: Floats
    walk_m: Floats

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """
    Parts of edges that are driven in one direction.

    Parameters
    ----------
    tail, head
        Nodes from which and to which each leads.
    edge, begin_m, end_m
        The edge, and between which positions along its line it is driven.
    walk_m
        On foot at either end.
    """

    tail: Indices
    head: Indices
    edge: Indices
    begin_m: Floats
    end_m: Floats
    walk_m: Floats

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Arcs":
        return Arcs(*(getattr(self, field.name)[chosen] for field in fields(self)))


def joined(parts: Sequence[Arcs]) -> Arcs:
    """Return the arcs of all parts, one after another."""
    columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Arcs))
    return Arcs(*columns)


class RoadGraph:
    """
    Crossings, edges and where they run.

    Parameters
    ----------
    network
        Roads of the vehicle.
    """

    def __init__(self, network: RoadNetwork) -> None:
        x, y = projection().transform(network.longitude, network.latitude)
        tail, head = network.tail, network.head
        first, last = _edges(tail, head, network.way)
        self.num_edges = len(first)
        nodes, ends = np.unique(np.concatenate([tail[first], head[last]]), return_inverse=True)
        self.num_nodes = len(nodes)
        self.tail, self.head = ends[: len(first)], ends[len(first) :]
        self.length_m = np.add.reduceat(network.length_m, first) if len(first) else np.empty(0)
        self.kmh = np.stack([network.forward_kmh[first], network.backward_kmh[first]])
        points = np.insert(tail, last + 1, head[last])
        owner = np.repeat(np.arange(len(first)), last - first + 2)
        lines = shapely.linestrings(np.stack([x[points], y[points]], axis=1), indices=owner)
        self.lines: NDArray[np.object_] = np.asarray(lines, dtype=object)
        self.line_m: Floats = np.asarray(shapely.length(self.lines))
        self._tree = shapely.STRtree(self.lines)
        self._arcs = self._driveable(
            joined([self._whole_edges(forward=True), self._whole_edges(forward=False)])
        )

    def spots(self, longitude: Floats, latitude: Floats, max_walk_m: float) -> Spots:
        """Return the nearest points on roads, for those places that have one within a walk."""
        x, y = projection().transform(longitude, latitude)
        place = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        points = np.asarray(shapely.points(np.asarray(x)[place], np.asarray(y)[place]), dtype=object)
        (asked, edge), walk_m = self._tree.query_nearest(
            points, max_distance=max_walk_m, return_distance=True, all_matches=False
        )
        along_m = np.asarray(shapely.line_locate_point(self.lines[edge], points[asked]))
        line_m = self.line_m[edge]
        at_tail, at_head = along_m < AT_END_M, along_m > line_m - AT_END_M
        return Spots(place[asked], edge, np.where(at_tail, 0.0, np.where(at_head, line_m, along_m)), walk_m)

    def search(self, spots: Spots) -> "Search":
        """Return a search for ways between spots."""
        arcs = joined([self._arcs, self._driveable(self._access(spots))])
        return Search(self, spots, arcs, self._weights(arcs))

    def line(self, arcs: Arcs) -> Floats:
        """
        Return the line along successive arcs.

        Returns
        -------
        numpy.ndarray
            Latitudes and longitudes, of shape ``(num_points, 2)``.
        """
        parts = [
            shapely.get_coordinates(substring(self.lines[edge], begin, end))
            for edge, begin, end in zip(arcs.edge, arcs.begin_m, arcs.end_m, strict=True)
        ]
        x, y = np.concatenate(parts).T
        longitude, latitude = projection().transform(x, y, direction="INVERSE")
        return np.stack([latitude, longitude], axis=1)

    def _whole_edges(self, *, forward: bool) -> Arcs:
        edge, nothing = np.arange(self.num_edges), np.zeros(self.num_edges)
        if forward:
            return Arcs(self.tail, self.head, edge, nothing, self.line_m, nothing)
        return Arcs(self.head, self.tail, edge, self.line_m, nothing, nothing)

    def _access(self, spots: Spots) -> Arcs:
        """Return the arcs between spots and the ends of their edges, and between spots of one edge."""
        node = self.num_nodes + np.arange(len(spots))
        tail, head, line_m = self.tail[spots.edge], self.head[spots.edge], self.line_m[spots.edge]
        start, along_m, walk_m = np.zeros(len(spots)), spots.along_m, spots.walk_m
        here, there = np.nonzero(spots.edge[:, None] == spots.edge)
        here, there = here[here != there], there[here != there]
        both_m = walk_m[here] + walk_m[there]
        return joined(
            [
                Arcs(node, head, spots.edge, along_m, line_m, walk_m),
                Arcs(node, tail, spots.edge, along_m, start, walk_m),
                Arcs(tail, node, spots.edge, start, along_m, walk_m),
                Arcs(head, node, spots.edge, line_m, along_m, walk_m),
                Arcs(node[here], node[there], spots.edge[here], along_m[here], along_m[there], both_m),
            ]
        )

    def _driveable(self, arcs: Arcs) -> Arcs:
        """Leave out arcs against a one-way edge; no length has no direction."""
        return arcs[(self._kmh(arcs) > 0) | (arcs.begin_m == arcs.end_m)]

    def _kmh(self, arcs: Arcs) -> Floats:
        is_backward = (arcs.end_m < arcs.begin_m).astype(np.intp)
        return np.asarray(self.kmh[is_backward, arcs.edge])

    def _weights(self, arcs: Arcs) -> Floats:
        share = np.abs(arcs.end_m - arcs.begin_m) / np.maximum(self.line_m[arcs.edge], 1e-9)
        metres = share * self.length_m[arcs.edge]
        seconds = metres * 3.6 / np.maximum(self._kmh(arcs), 1.0) + arcs.walk_m / WALKING_M_S
        milliseconds = np.maximum(np.rint(seconds * 1000), 1.0)
        return np.asarray(milliseconds * _TIME_UNIT + np.rint((metres + arcs.walk_m) * 10))


class Search:
    """
    Fastest ways between spots.

    Parameters
    ----------
    arcs, weights
        Arcs between crossings and spots; spots are numbered after the crossings.
    """

    def __init__(self, graph: RoadGraph, spots: Spots, arcs: Arcs, weights: Floats) -> None:
        order = np.lexsort((weights, arcs.head, arcs.tail))
        tail, head = arcs.tail[order], arcs.head[order]
        is_best = np.append(True, (tail[1:] != tail[:-1]) | (head[1:] != head[:-1]))[: len(order)]
        self._arcs = arcs[order[is_best]]
        num_nodes = graph.num_nodes + len(spots)
        begins = np.searchsorted(self._arcs.tail, np.arange(num_nodes + 1)).astype(np.int32)
        ends = self._arcs.head.astype(np.int32)
        self._matrix = csr_array((weights[order[is_best]], ends, begins), shape=(num_nodes, num_nodes))
        self._graph = graph
        self._spots = graph.num_nodes + np.arange(len(spots))

    def tables(self) -> tuple[Floats, Floats]:
        """
        Return metres and seconds from each spot (row) to each (column), infinite where there is no way.

        Searches run in batches, so that memory stays bounded however many spots there are.
        """
        batch = max(1, SEARCH_BYTES // (8 * (self._matrix.shape[0] + 1)))
        weights = np.concatenate(
            [np.empty((0, len(self._spots)))]
            + [
                dijkstra(self._matrix, indices=self._spots[at : at + batch])[:, self._spots]
                for at in range(0, len(self._spots), batch)
            ]
        )
        is_known = np.isfinite(weights)
        milliseconds, decimetres = np.divmod(np.where(is_known, weights, 0.0), _TIME_UNIT)
        return np.where(is_known, decimetres / 10, np.inf), np.where(is_known, milliseconds / 1000, np.inf)

    def line(self, here: int, there: int) -> Floats | None:
        """Return the line of the fastest way between two spots, as `RoadGraph.line` does, if there is one."""
        source, target = self._spots[here], self._spots[there]
        _, before = dijkstra(self._matrix, indices=source, return_predecessors=True)
        if before[target] < 0:
            return None
        nodes = [target]
        while nodes[-1] != source:
            nodes.append(before[nodes[-1]])
        nodes.reverse()
        driven = [self._arc(tail, head) for tail, head in pairwise(nodes)]
        return self._graph.line(self._arcs[np.array(driven)])

    def _arc(self, tail: int, head: int) -> int:
        begin, end = self._matrix.indptr[tail], self._matrix.indptr[tail + 1]
        return int(begin + np.searchsorted(self._matrix.indices[begin:end], head))


@lru_cache(maxsize=1)
def projection() -> "Transformer":
    """Return the projection from longitude and latitude to UTM zone 32."""
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", "EPSG:25832", always_xy=True)


def _edges(
    tail: NDArray[np.int32], head: NDArray[np.int32], way: NDArray[np.int32]
) -> tuple[Indices, Indices]:
    """
    Return the first and the last segment of each edge.

    Two segments of a way belong to one edge if they meet where no other segment does.
    """
    num_nodes = max(tail.max(initial=-1), head.max(initial=-1)) + 1
    degree = np.bincount(tail, minlength=num_nodes) + np.bincount(head, minlength=num_nodes)
    goes_on = (way[1:] == way[:-1]) & (tail[1:] == head[:-1]) & (degree[tail[1:]] == 2)
    first = np.flatnonzero(np.append(True, ~goes_on)[: len(tail)])
    return first, np.append(first[1:], len(tail))[: len(first)] - 1
