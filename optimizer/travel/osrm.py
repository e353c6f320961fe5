"""
Travel by a server of the Open Source Routing Machine (OSRM), with geodesics if it does not answer.

A server is asked again when it cannot be reached, is busy or broken. What it refuses, or does not answer in
the end, is replaced as a whole: a matrix is either by road or by geodesics, never half of each, and its
report says which and why.

References
----------
.. [1] OSRM, *HTTP API*, services ``table`` and ``route``.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import numpy as np
from numpy.typing import NDArray

from optimizer import checks
from optimizer.problem import Place, Profile, TravelMatrix
from optimizer.travel.model import (
    MAX_WALK_M,
    OSM_ATTRIBUTION,
    WALKING_M_S,
    GeodesicTravel,
    Line,
    TravelReport,
    by_road,
    report_of,
    straight,
    whole_matrix,
)

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: Answers that may be different next time: too early or many requests, broken or overloaded servers.
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
#: Longest wait that a server may ask for, in seconds.
LONGEST_WAIT_S = 10.0
#: Characters of a coordinate and its index in a request, at most.
COORDINATE_CHARS = 32
#: Servers refuse longer request lines; 8 kB is usual.
LONGEST_URL = 7_000


class OsrmError(Exception):
    """The server did not answer, or what it answered makes no sense."""


class NoRoute(OsrmError):
    """The server knows no way along the places."""


@dataclass(frozen=True, kw_only=True)
class OsrmTravel:
    """
    Tables and lines of an OSRM server.

    Such a server is made for one profile and ignores the name in the request: for bikes and vans there are
    two, so that the address should hold ``{profile}`` or be given for each.

    Parameters
    ----------
    url
        Address of the server, such as ``http://osrm-{profile}:5000``.
    max_coordinates
        Most places in one request; the server's ``--max-table-size`` (100 unless set).
    attempts
        How often a request is made, at least 1.
    timeout_s
        Longest wait for one answer.
    patience_s
        Longest wait for all answers that a table needs, or the lines of a route.
    backoff_s
        Wait before the second attempt; it doubles with each further one.
    max_walk_m
        Places farther from any road are not reached.
    sleep, clock
        Waits some seconds; tells them.

    Raises
    ------
    ProblemError
        If the address is not HTTP, or a number makes no sense.
    """

    url: str
    max_coordinates: int = 100
    attempts: int = 3
    timeout_s: float = 5.0
    patience_s: float = 120.0
    backoff_s: float = 0.5
    max_walk_m: float = MAX_WALK_M
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        checks.require(_is_http(self.url), "url", f"must be an address with http(s), is {self.url}")
        checks.whole("max_coordinates", self.max_coordinates, least=2, most=LONGEST_URL // COORDINATE_CHARS)
        checks.whole("attempts", self.attempts, least=1, most=100)
        checks.number("timeout_s", self.timeout_s, least=0.001, most=600)
        checks.number("patience_s", self.patience_s, least=0, most=36_000)
        checks.number("backoff_s", self.backoff_s, least=0, most=600)
        checks.number("max_walk_m", self.max_walk_m, least=0, most=100_000)

    def measure(self, places: Sequence[Place], profile: Profile) -> tuple[TravelMatrix, TravelReport]:
        """
        Return the travel matrix of a profile, by geodesics if the server fails, and what is missing.

        Returns
        -------
        tuple
            The matrix, of shape ``(len(places), len(places))``, and the report.
        """
        try:
            with self._talk() as talk:
                metres, seconds, off_road = self._tables(talk, places, profile)
        except OsrmError as error:
            matrix, report = GeodesicTravel().measure(places, profile)
            return matrix, replace(report, fallback=f"OSRM: {error}")
        matrix = whole_matrix(places, profile, metres, seconds)
        found = report_of(matrix, places, model="osrm", attribution=OSM_ATTRIBUTION, off_road=off_road)
        return matrix, found

    def path(self, places: Sequence[Place], profile: Profile) -> tuple[Line, ...]:
        """Return the lines along a sequence of places, straight where the server knows no way."""
        size = self.max_coordinates
        chunks = [places[at : at + size] for at in range(0, max(len(places) - 1, 0), size - 1)]
        lines: list[Line] = []
        with self._talk() as talk:
            for number, chunk in enumerate(chunks):
                try:
                    lines += self._lines(talk, chunk, profile)
                except OsrmError as error:
                    logger.warning("Lines of profile %s are straight: OSRM: %s", profile.id, error)
                    rest = places[number * (size - 1) :]
                    return (*lines, *GeodesicTravel().path(rest, profile))
        return tuple(lines)

    def closing(self, areas: Mapping[str, Sequence["BaseGeometry"]]) -> "OsrmTravel":
        """Return the model itself: which roads are closed is up to the server."""
        return self

    def _tables(
        self, talk: "_Talk", places: Sequence[Place], profile: Profile
    ) -> tuple[Floats, Floats, list[int]]:
        """Return metres, seconds and the places off the road, asking block by block."""
        tables, walks_m = np.full((2, len(places), len(places)), np.inf), np.zeros(len(places))
        for rows, columns in _blocks(len(places), self.max_coordinates):
            both, options = _table_request(places, rows, columns)
            answer = self._ask(talk, "table", profile, both, options)
            for table, name in zip(tables, ("distances", "durations"), strict=True):
                table[np.ix_(rows, columns)] = _table(answer, name, (len(rows), len(columns)))
            walks_m[rows] = _walks_m(answer, len(rows))
        off_road = np.flatnonzero(walks_m > self.max_walk_m)
        tables[:, off_road, :] = tables[:, :, off_road] = np.inf
        on_foot_m = walks_m[:, None] + walks_m
        return tables[0] + on_foot_m, tables[1] + on_foot_m / WALKING_M_S, off_road.tolist()

    def _lines(self, talk: "_Talk", places: Sequence[Place], profile: Profile) -> list[Line]:
        """Return the lines between places; those without a way are found by halving the sequence."""
        options = {"overview": "false", "steps": "true", "geometries": "geojson"}
        try:
            answer = self._ask(talk, "route", profile, places, options)
        except NoRoute:
            if len(places) == 2:
                return [straight(*places)]
            half = len(places) // 2
            parts = (places[: half + 1], places[half:])
            return [line for part in parts for line in self._lines(talk, part, profile)]
        points = _points(answer, len(places) - 1)
        return [
            by_road(here, leg, there) for (here, there), leg in zip(pairwise(places), points, strict=True)
        ]

    @contextmanager
    def _talk(self) -> Iterator["_Talk"]:
        with httpx.Client() as client:
            yield _Talk(client, self.clock() + self.patience_s, self.clock)

    def _ask(
        self,
        talk: "_Talk",
        service: str,
        profile: Profile,
        places: Sequence[Place],
        options: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the answer to a request, made several times if it must be."""
        base = self.url.rstrip("/").replace("{profile}", profile.known_as)
        positions = ";".join(f"{place.longitude:.6f},{place.latitude:.6f}" for place in places)
        query = urlencode(options, safe=";,")
        url = f"{base}/{service}/v1/{profile.known_as}/{positions}?{query}"
        reason, wait_s = "", self.backoff_s
        for attempt in range(self.attempts):
            if attempt:
                self.sleep(min(wait_s, talk.left_s))
            wait_s = self.backoff_s * 2**attempt
            if talk.left_s <= 0:
                raise OsrmError(f"no complete answer in {self.patience_s:g} s")
            try:
                response = talk.client.get(url, timeout=min(self.timeout_s, talk.left_s))
            except httpx.RequestError as error:
                reason = f"{type(error).__name__} {error}".rstrip()
                continue
            if response.status_code not in WORTH_ANOTHER_TRY:
                return _content(response)
            reason = f"status {response.status_code}"
            wait_s = max(wait_s, _asked_wait_s(response))
        raise OsrmError(f"no answer in {self.attempts} attempts, at last {reason}")


@dataclass(frozen=True, slots=True)
class _Talk:
    """A connection to the server, for as long as there is patience."""

    client: httpx.Client
    latest_s: float
    clock: Callable[[], float]

    @property
    def left_s(self) -> float:
        return max(0.0, self.latest_s - self.clock())


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url.replace("{profile}", "profile"))
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _asked_wait_s(response: httpx.Response) -> float:
    """Return how long the server asks to wait, within reason."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT_S) if text.isdecimal() else 0.0


def _content(response: httpx.Response) -> dict[str, Any]:
    """Return what a server says, if it says that all is well."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise OsrmError(f"status {response.status_code} without JSON")
    if content.get("code") in ("NoRoute", "NoSegment"):
        raise NoRoute(str(content.get("message") or content["code"]))
    if content.get("code") != "Ok":
        reason = f"status {response.status_code}: {content.get('code')} {content.get('message', '')}"
        raise OsrmError(reason.rstrip())
    return content


def _blocks(num_places: int, most: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield rows and columns of blocks that cover a table, with at most so many coordinates in each."""
    num_parts = 1 if num_places <= most else math.ceil(num_places / (most // 2))
    parts = [part.tolist() for part in np.array_split(np.arange(num_places), num_parts)]
    for rows, columns in product(parts, parts):
        if rows != columns or len(rows) > 1:
            yield rows, columns


def _table_request(
    places: Sequence[Place], rows: Sequence[int], columns: Sequence[int]
) -> tuple[list[Place], dict[str, str]]:
    """Return the coordinates and the options of a request for a block."""
    options = {"annotations": "duration,distance"}
    if rows == columns:
        return [places[index] for index in rows], options
    split, total = len(rows), len(rows) + len(columns)
    options["sources"] = ";".join(map(str, range(split)))
    options["destinations"] = ";".join(map(str, range(split, total)))
    return [places[index] for index in (*rows, *columns)], options


def _table(answer: Mapping[str, Any], name: str, shape: tuple[int, int]) -> Floats:
    """Return a table of an answer; without a way it is infinite."""
    try:
        table = np.array(answer[name], dtype=float)  # None becomes NaN.
    except (KeyError, TypeError, ValueError) as error:
        raise OsrmError(f"an answer without {name}") from error
    if table.shape != shape or (table < 0).any():
        raise OsrmError(f"an answer with senseless {name}")
    return np.where(np.isnan(table), np.inf, table)


def _walks_m(answer: Mapping[str, Any], count: int) -> Floats:
    """Return how far the sources lie from the road; nothing if the server does not tell."""
    try:
        return np.array([waypoint["distance"] for waypoint in answer["sources"]], dtype=float).reshape(count)
    except (KeyError, TypeError, ValueError):
        return np.zeros(count)


def _points(answer: Mapping[str, Any], num_legs: int) -> list[list[tuple[float, float]]]:
    """Return the points of each leg of a route as latitudes and longitudes."""
    try:
        legs = [
            [(float(latitude), float(longitude)) for longitude, latitude in chain.from_iterable(lines)]
            for lines in (
                [step["geometry"]["coordinates"] for step in leg["steps"]]
                for leg in answer["routes"][0]["legs"]
            )
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise OsrmError("an answer without a route") from error
    if len(legs) != num_legs:
        raise OsrmError(f"a route with {len(legs)} legs, not {num_legs}")
    return legs
