"""Road networks with areas closed: roads are open up to the border of an area, and end there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from optimizer.travel.extract import RoadNetwork

#: Shares of a segment nearer to its ends than this are its ends.
_NOTHING = 1e-9


def without(network: RoadNetwork, areas: Sequence[BaseGeometry]) -> RoadNetwork:
    """
    Return a network without what lies in closed areas.

    Parameters
    ----------
    network
        All roads of a vehicle.
    areas
        In longitude and latitude.
    """
    for area in areas:
        if not area.is_empty:
            network = _without(network, area)
    return network


def _without(network: RoadNetwork, area: BaseGeometry) -> RoadNetwork:
    """Cut the segments that meet an area, and put what is left of each in its place."""
    met = _met(network, area)
    left, begin, end = _remainders(_lines(network, met), area)
    cut, kept = met[left], np.setdiff1d(np.arange(len(network.tail)), met)
    new_tail, new_head = begin > _NOTHING, end < 1 - _NOTHING
    share = np.concatenate([begin[new_tail], end[new_head]])
    of = np.concatenate([cut[new_tail], cut[new_head]])
    tail, head = network.tail[cut], network.head[cut]
    tail[new_tail], head[new_head] = np.split(len(network.longitude) + np.arange(len(of)), [new_tail.sum()])
    segments = np.concatenate([kept, cut])
    order = np.lexsort((np.append(np.zeros(len(kept)), begin), segments))
    return replace(
        network,
        longitude=np.append(network.longitude, _between(network.longitude, network, of, share)),
        latitude=np.append(network.latitude, _between(network.latitude, network, of, share)),
        tail=np.append(network.tail[kept], tail)[order],
        head=np.append(network.head[kept], head)[order],
        way=network.way[segments][order],
        length_m=np.append(network.length_m[kept], network.length_m[cut] * (end - begin))[order],
        forward_kmh=network.forward_kmh[segments][order],
        backward_kmh=network.backward_kmh[segments][order],
    )


def _remainders(
    lines: NDArray[np.object_], area: BaseGeometry
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return what lies outside an area: the line, and the shares of it between which each piece runs."""
    parts, owner = shapely.get_parts(shapely.difference(lines, area), return_index=True)
    ends = [shapely.get_point(parts, index) for index in (0, -1)]
    shares = [np.asarray(shapely.line_locate_point(lines[owner], end, normalized=True)) for end in ends]
    begin, end = np.minimum(*shares), np.maximum(*shares)
    is_some = end - begin > _NOTHING
    return owner[is_some], begin[is_some], end[is_some]


def _met(network: RoadNetwork, area: BaseGeometry) -> NDArray[np.intp]:
    """Return the segments that an area meets, its border included."""
    west, south, east, north = area.bounds
    longitudes = network.longitude[network.tail], network.longitude[network.head]
    latitudes = network.latitude[network.tail], network.latitude[network.head]
    near = np.flatnonzero(
        (np.maximum(*longitudes) >= west)
        & (np.minimum(*longitudes) <= east)
        & (np.maximum(*latitudes) >= south)
        & (np.minimum(*latitudes) <= north)
    )
    shapely.prepare(area)
    is_met = np.asarray(shapely.intersects(area, _lines(network, near)), dtype=bool)
    return np.asarray(near[is_met], dtype=np.intp)


def _lines(network: RoadNetwork, segments: NDArray[np.intp]) -> NDArray[np.object_]:
    ends = np.stack([network.tail[segments], network.head[segments]], axis=1)
    lines = shapely.linestrings(np.stack([network.longitude[ends], network.latitude[ends]], axis=2))
    return np.asarray(lines, dtype=object)


def _between(
    values: NDArray[np.float64],
    network: RoadNetwork,
    segments: NDArray[np.intp],
    share: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return a coordinate at a share of the way from tail to head."""
    tails, heads = values[network.tail[segments]], values[network.head[segments]]
    return np.asarray(tails + share * (heads - tails))
