"""Travel by the roads of an OpenStreetMap extract, around areas that are closed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from optimizer import checks
from optimizer.problem import Place, Profile, TravelMatrix
from optimizer.travel.closures import without
from optimizer.travel.extract import RoadNetwork, load
from optimizer.travel.graph import RoadGraph, Spots
from optimizer.travel.model import (
    MAX_WALK_M,
    OSM_ATTRIBUTION,
    Line,
    TravelReport,
    by_road,
    coordinates,
    report_of,
    straight,
    whole_matrix,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkTravel:
    """
    Fastest ways by road, with the way on foot between the road and each place.

    Speeds are those of the roads, by :mod:`optimizer.travel.roads`; the mean speed and the detour factor of a
    profile are not used. A place is reached from the nearest point of an open road. What closed areas
    cut off stays where it is: places there are unreachable, and not served from across the closed road.

    Parameters
    ----------
    networks
        By what profiles are known as.
    closed
        For each profile areas in longitude and latitude: no way leads through them, no place inside is
        reached.
    max_walk_m
        Places farther from any road that the profile may use are not reached.

    Raises
    ------
    ProblemError
        If the longest walk is shorter than a metre.
    """

    networks: Mapping[str, RoadNetwork]
    closed: Mapping[str, Sequence[BaseGeometry]] = field(default_factory=dict)
    max_walk_m: float = MAX_WALK_M
    _graphs: dict[tuple[RoadNetwork, tuple[BaseGeometry, ...]], RoadGraph] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        checks.number("max_walk_m", self.max_walk_m, least=1, most=100_000)

    @classmethod
    def from_extract(cls, file: str | Path, cache_dir: str | Path | None = None) -> "NetworkTravel":
        """Return the model of an extract; see `optimizer.travel.extract.load` for parameters and errors."""
        return cls(networks=load(file, cache_dir).networks)

    def closing(self, areas: Mapping[str, Sequence[BaseGeometry]]) -> "NetworkTravel":
        """Return the model with more areas closed, as for roadworks or by `travel.model.areas_of`."""
        profiles = {*self.closed, *areas}
        return replace(self, closed={p: (*self.closed.get(p, ()), *areas.get(p, ())) for p in profiles})

    def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
        """
        Return the travel matrix of a profile, and the places and pairs without a way.

        Returns
        -------
        tuple
            The matrix, of shape ``(len(places), len(places))``, and the report.

        Raises
        ------
        ProblemError
            If there is no network for the profile.
        """
        graph, inside = self._graph(profile), self._closed(places, profile)
        spots = self._spots(places, graph, inside)
        reached = np.ix_(spots.place, spots.place)
        metres, seconds = np.full((2, len(places), len(places)), np.inf)
        metres[reached], seconds[reached] = graph.search(spots).tables()
        matrix = whole_matrix(places, profile, metres, seconds)
        missing = np.setdiff1d(np.arange(len(places)), spots.place)
        return matrix, report_of(
            matrix,
            places,
            model="network",
            attribution=OSM_ATTRIBUTION,
            off_road=missing[~inside[missing]].tolist(),
            closed=np.flatnonzero(inside).tolist(),
        )

    def path(self, places: Sequence[Place], profile: Profile) -> tuple[Line, ...]:
        """
        Return the lines along a sequence of places, straight where there is no way.

        Raises
        ------
        ProblemError
            If there is no network for the profile.
        """
        graph = self._graph(profile)
        spots = self._spots(places, graph, self._closed(places, profile))
        return tuple(self._lines(places, graph, spots))

    def _graph(self, profile: Profile) -> RoadGraph:
        """Return the open roads of a profile; models that differ in what is closed share their graphs."""
        checks.known("profiles", profile.known_as, self.networks)
        key = self.networks[profile.known_as], tuple(self.closed.get(profile.id, ()))
        if key not in self._graphs:
            self._graphs[key] = RoadGraph(without(*key))
        return self._graphs[key]

    def _lines(self, places: Sequence[Place], graph: RoadGraph, spots: Spots) -> Iterator[Line]:
        search, spot = graph.search(spots), {int(place): s for s, place in enumerate(spots.place)}
        for (h, here), (t, there) in pairwise(enumerate(places)):
            line = search.line(spot[h], spot[t]) if h in spot and t in spot else None
            if (here.latitude, here.longitude) == (there.latitude, there.longitude):
                yield by_road(here, (), there)
            else:
                yield straight(here, there) if line is None else by_road(here, line.tolist(), there)

    def _spots(self, places: Sequence[Place], graph: RoadGraph, inside: NDArray[np.bool_]) -> Spots:
        latitude, longitude = coordinates(places)
        return graph.spots(np.where(inside, np.nan, longitude), latitude, self.max_walk_m)

    def _closed(self, places: Sequence[Place], profile: Profile) -> NDArray[np.bool_]:
        """Tell which places lie inside an area that is closed to the profile, or on its border."""
        latitude, longitude = coordinates(places)
        points = shapely.points(longitude, latitude)
        inside = np.zeros(len(places), dtype=bool)
        for area in self.closed.get(profile.id, ()):
            inside |= shapely.intersects(area, points)
        return inside
