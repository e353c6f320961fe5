"""Places to metres and seconds, by one of several models, each saying what it could not do."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from optimizer.problem import NO_WAY, Place, Problem, Profile, TravelMatrix, Zone

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

logger = logging.getLogger(__name__)

#: Who must be named wherever figures or lines that come from OpenStreetMap are shown.
OSM_ATTRIBUTION = "© OpenStreetMap contributors, ODbL 1.0"
#: On foot between road and place, in m/s: about 5 km/h (our estimate).
WALKING_M_S = 1.4
#: Places farther from any road are not reached, unless a model is told otherwise.
MAX_WALK_M = 500.0
#: Most pairs of places that a report names; it counts all of them.
NAMED_PAIRS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TravelReport:
    """
    What a model could not do for one profile.

    Parameters
    ----------
    model
        The model that made the matrix: ``geodesic``, ``network`` or ``osrm``.
    attribution
        Whom to name next to the figures; empty if nobody.
    off_road
        Places too far from any road that the profile may use; there is no way to or from them.
    closed
        Places inside an area that is closed to the profile; there is no way to or from them either.
    num_unreachable, unreachable
        Pairs of other places without a way from the first to the second: how many, and the first of them.
    fallback
        Why geodesics stand in for the model that was asked; empty if they do not.
    """

    profile: str
    model: str
    attribution: str = ""
    off_road: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    num_unreachable: int = 0
    unreachable: tuple[tuple[str, str], ...] = ()
    fallback: str = ""

    @property
    def complete(self) -> bool:
        """Whether there is a way between all places, from the model that was asked."""
        return not (self.off_road or self.closed or self.num_unreachable or self.fallback)

    @property
    def sentence(self) -> str:
        """What is missing, for people and logs; empty if nothing is."""
        shortcomings = (
            f"geodesics stand in: {self.fallback}" if self.fallback else "",
            f"no road near {', '.join(self.off_road)}" if self.off_road else "",
            f"{', '.join(self.closed)} in a closed area" if self.closed else "",
            self._without_way() if self.num_unreachable else "",
        )
        return "; ".join(text for text in shortcomings if text)

    def _without_way(self) -> str:
        named = ", ".join(f"{here} to {there}" for here, there in self.unreachable[:3])
        more = ", …" if self.num_unreachable > 3 else ""
        return f"no way between {self.num_unreachable} pairs of places ({named}{more})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    The line from one place to the next.

    Parameters
    ----------
    points
        ``(latitude, longitude)`` in degrees, both places included.
    by_road
        Whether the line follows roads; otherwise it is straight, because there is no way or none is known.
    """

    points: tuple[tuple[float, float], ...]
    by_road: bool


class TravelModel(Protocol):
    """Whatever knows how far apart places are for a profile, and the lines between them."""

    def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
        """Return distances and durations between all places, in their order, and what is missing."""
        ...

    def path(self, places: Sequence[Place], profile: Profile) -> tuple[Line, ...]:
        """Return the lines along a sequence of places, one less than there are places."""
        ...

    def closing(self, areas: Mapping[str, Sequence["BaseGeometry"]]) -> "TravelModel":
        """
        Return the model with areas closed, in longitude and latitude, by the profiles they are closed to.

        A model that cannot lead around them is returned as it is.
        """
        ...


@dataclass(frozen=True, slots=True)
class GeodesicTravel:
    """
    Length of the geodesic times a detour factor, at the profile's mean speed.

    Lengths are on the WGS 84 ellipsoid [1]_.

    References
    ----------
    .. [1] Karney, C. F. F. (2013). Algorithms for geodesics. *Journal of Geodesy*, 87, 43-55.
           https://doi.org/10.1007/s00190-012-0578-z
    """

    def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
        """
        Return the travel matrix of a profile; there is always a way.

        Returns
        -------
        tuple
            The matrix, of shape ``(len(places), len(places))``, and the report.
        """
        road_m = self._geodesics_m(places) * profile.detour_factor
        matrix = whole_matrix(places, profile, road_m, road_m / profile.speed_m_s)
        return matrix, TravelReport(profile=profile.id, model="geodesic")

    def path(self, places: Sequence[Place], profile: Profile) -> tuple[Line, ...]:
        """Return straight lines."""
        return tuple(straight(here, there) for here, there in pairwise(places))

    def closing(self, areas: Mapping[str, Sequence["BaseGeometry"]]) -> "GeodesicTravel":
        """Return the model itself."""
        return self

    @staticmethod
    def _geodesics_m(places: Sequence[Place]) -> NDArray[np.float64]:
        from pyproj import Geod  # Slow to import, and not needed where matrices are given.

        latitudes, longitudes = coordinates(places)
        rows, columns = np.triu_indices(len(places), k=1)
        _, _, lengths = Geod(ellps="WGS84").inv(
            longitudes[rows], latitudes[rows], longitudes[columns], latitudes[columns]
        )
        table = np.zeros((len(places), len(places)))
        table[rows, columns] = table[columns, rows] = lengths
        return table


def prepare(problem: Problem, model: TravelModel | None = None) -> tuple[Problem, tuple[TravelReport, ...]]:
    """
    Return the problem with a matrix for every profile, and what the model says about those it made.

    Parameters
    ----------
    problem
        With or without matrices; given ones are kept.
    model
        Asked for the profiles without a matrix, with zones closed to them; geodesics by default. What it
        could not do is logged, too.
    """
    known = {matrix.profile: matrix for matrix in problem.matrices}
    missing = [profile for profile in problem.profiles if profile.id not in known]
    if not missing:
        return problem, ()
    model = (model or GeodesicTravel()).closing(areas_of(problem.zones))
    reports = []
    for profile in missing:
        known[profile.id], report = model.measure(problem.places, profile)
        reports.append(report)
        if not report.complete:
            logger.warning("Travel of profile %s (%s): %s", profile.id, report.model, report.sentence)
    matrices = tuple(known[profile.id] for profile in problem.profiles)
    return replace(problem, matrices=matrices), tuple(reports)


def with_matrices(problem: Problem, model: TravelModel | None = None) -> Problem:
    """Return the problem as `prepare` does, for those who need no report."""
    return prepare(problem, model)[0]


def whole_matrix(
    places: Sequence[Place],
    profile: Profile,
    distance_m: NDArray[np.float64],
    duration_s: NDArray[np.float64],
) -> TravelMatrix:
    """
    Return real numbers, infinite where there is no way, as the travel matrix of a profile.

    Both tables have the shape ``(len(places), len(places))``. Distances are rounded to metres and durations
    up to seconds; equal coordinates are 0 apart and nothing else is. What takes more seconds or metres than
    any quantity may have is no way either.
    """
    apart = _apart(places)
    no_way = apart & ~((distance_m < NO_WAY - 1) & (duration_s < NO_WAY - 1))
    metres = np.maximum(np.rint(np.where(no_way, 0.0, distance_m)), 1.0)
    seconds = np.maximum(np.ceil(np.where(no_way, 0.0, duration_s)), 1.0)
    return TravelMatrix(
        profile=profile.id,
        distance_m=np.where(no_way, NO_WAY, np.where(apart, metres, 0)).astype(np.int64),
        duration_s=np.where(no_way, NO_WAY, np.where(apart, seconds, 0)).astype(np.int64),
    )


def report_of(
    matrix: TravelMatrix,
    places: Sequence[Place],
    *,
    model: str,
    attribution: str,
    off_road: Sequence[int] = (),
    closed: Sequence[int] = (),
) -> TravelReport:
    """Report the pairs without a way in a matrix, besides those of places off the road or closed."""
    no_way = matrix.distance_m >= NO_WAY
    for index in (*off_road, *closed):
        no_way[index, :] = no_way[:, index] = False
    pairs = np.argwhere(no_way)
    return TravelReport(
        profile=matrix.profile,
        model=model,
        attribution=attribution,
        off_road=tuple(places[index].id for index in off_road),
        closed=tuple(places[index].id for index in closed),
        num_unreachable=len(pairs),
        unreachable=tuple((places[i].id, places[j].id) for i, j in pairs[:NAMED_PAIRS]),
    )


def straight(here: Place, there: Place) -> Line:
    """Return the straight line between two places."""
    points = ((here.latitude, here.longitude), (there.latitude, there.longitude))
    return Line(points=points, by_road=False)


def by_road(here: Place, points: Sequence[tuple[float, float]], there: Place) -> Line:
    """Return the line between two places along points on the road, with the ways on foot at both ends."""
    inner = [(round(latitude, 6), round(longitude, 6)) for latitude, longitude in points]
    every = [(here.latitude, here.longitude), *inner, (there.latitude, there.longitude)]
    moved = tuple(point for before, point in pairwise(every) if point != before)
    return Line(points=(every[0], *(moved or every[-1:])), by_road=True)


def coordinates(places: Sequence[Place]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes in degrees."""
    latitudes = np.array([place.latitude for place in places], dtype=float)
    longitudes = np.array([place.longitude for place in places], dtype=float)
    return latitudes, longitudes


def _apart(places: Sequence[Place]) -> NDArray[np.bool_]:
    """Tell which pairs of places have different coordinates."""
    latitudes, longitudes = coordinates(places)
    differ = (latitudes[:, None] != latitudes) | (longitudes[:, None] != longitudes)
    return np.asarray(differ, dtype=bool)


def areas_of(zones: Sequence[Zone]) -> Mapping[str, tuple["BaseGeometry", ...]]:
    """
    Return for each profile the areas that zones forbid it, for models that can close them to traffic.

    Returns
    -------
    dict
        Polygons in longitude and latitude.
    """
    areas: dict[str, tuple[BaseGeometry, ...]] = {}
    for zone in zones:
        import shapely  # Slow to import, and not needed where there are no zones.

        area = shapely.make_valid(shapely.Polygon(zone.ring))
        for profile in zone.forbidden_profiles:
            areas[profile] = (*areas.get(profile, ()), area)
    return areas


def forbidden(problem: Problem) -> dict[str, NDArray[np.bool_]]:
    """
    Tell for each profile which places lie in a zone that it may not serve.

    A place on the border of a zone lies inside.

    Returns
    -------
    dict
        For each profile an array of shape ``(len(problem.places),)``.
    """
    closed = {profile.id: np.zeros(len(problem.places), dtype=bool) for profile in problem.profiles}
    if not problem.zones:
        return closed
    import shapely  # Slow to import, and not needed where there are no zones.

    latitudes, longitudes = coordinates(problem.places)
    points = shapely.points(longitudes, latitudes)
    for profile, areas in areas_of(problem.zones).items():
        for area in areas:
            closed[profile] |= shapely.intersects(area, points)
    return closed
