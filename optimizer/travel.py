"""Places to metres and seconds, by one of several models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from optimizer.problem import Place, Problem, Profile, TravelMatrix


class TravelModel(Protocol):
    """Whatever knows how far apart places are for a profile."""

    def matrix(self, places: Sequence[Place], profile: Profile) -> TravelMatrix:
        """Return distances and durations between all places, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class GeodesicTravel:
    """
    Length of the geodesic times a detour factor, at the profile's mean speed.

    Lengths are on the WGS 84 ellipsoid [1]_ and rounded to metres; durations are rounded up, so that equal
    coordinates are 0 apart and nothing else is.

    References
    ----------
    .. [1] Karney, C. F. F. (2013). Algorithms for geodesics. *Journal of Geodesy*, 87, 43-55.
           https://doi.org/10.1007/s00190-012-0578-z
    """

    def matrix(self, places: Sequence[Place], profile: Profile) -> TravelMatrix:
        """
        Return the travel matrix of a profile.

        Returns
        -------
        TravelMatrix
            Of shape ``(len(places), len(places))``.
        """
        road_m = self._geodesics_m(places) * profile.detour_factor
        return TravelMatrix(
            profile=profile.id,
            distance_m=np.rint(road_m).astype(np.int64),
            duration_s=np.ceil(road_m / profile.speed_m_s).astype(np.int64),
        )

    @staticmethod
    def _geodesics_m(places: Sequence[Place]) -> NDArray[np.float64]:
        from pyproj import Geod  # Slow to import, and not needed where matrices are given.

        latitudes = np.array([place.latitude for place in places], dtype=float)
        longitudes = np.array([place.longitude for place in places], dtype=float)
        rows, columns = np.triu_indices(len(places), k=1)
        _, _, lengths = Geod(ellps="WGS84").inv(
            longitudes[rows], latitudes[rows], longitudes[columns], latitudes[columns]
        )
        table = np.zeros((len(places), len(places)))
        table[rows, columns] = table[columns, rows] = lengths
        return table


def with_matrices(problem: Problem, model: TravelModel | None = None) -> Problem:
    """Return the problem with a matrix for every profile; given ones are kept, geodesics fill the rest."""
    model = model or GeodesicTravel()
    known = {matrix.profile: matrix for matrix in problem.matrices}
    if all(profile.id in known for profile in problem.profiles):
        return problem
    matrices = [known.get(p.id) or model.matrix(problem.places, p) for p in problem.profiles]
    return replace(problem, matrices=tuple(matrices))


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

    points = shapely.points([(place.longitude, place.latitude) for place in problem.places])
    for zone in problem.zones:
        inside = shapely.intersects(shapely.make_valid(shapely.Polygon(zone.ring)), points)
        for profile in zone.forbidden_profiles:
            closed[profile] |= inside
    return closed
