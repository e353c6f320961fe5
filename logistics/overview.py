"""The overview of a day: figures, runs, and a map drawn as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from logistics import selectors
from logistics.models import Hub, Municipality, Pool, Run, Shop, Stop, StopKind, SupplyPoint

WIDTH = 900
#: ETRS89 / UTM zone 32N, the projection of German surveyors for this longitude.
_TO_METRES = Transformer.from_crs("EPSG:4326", "EPSG:25832", always_xy=True)
#: Colours that differ in lightness too; dashes tell bikes from vans without colour.
_COLOURS = ("#1b5e8c", "#a4312a", "#2e7031", "#7a4a9e", "#8a5a00", "#00707a", "#b0287d", "#4d4d4d")


@dataclass(frozen=True, slots=True)
class Frame:
    """Turns degrees into pixels of the map."""

    west: float
    north: float
    scale: float
    height: int

    @classmethod
    def around(cls, shapes: Iterable[BaseGeometry]) -> "Frame":
        """Return a frame that holds all shapes."""
        corners = np.array([_metres(x, y) for shape in shapes for x, y in _corners(shape)])
        (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
        scale = WIDTH / (east - west)
        return cls(west, north, scale, round((north - south) * scale))

    def pixel(self, longitude: float, latitude: float) -> tuple[float, float]:
        """Return where a place is drawn."""
        x, y = _metres(longitude, latitude)
        return round((x - self.west) * self.scale, 1), round((self.north - y) * self.scale, 1)


def _metres(longitude: float, latitude: float) -> tuple[float, float]:
    x, y = _TO_METRES.transform(longitude, latitude)
    return float(x), float(y)


def _corners(shape: BaseGeometry) -> Sequence[tuple[float, float]]:
    west, south, east, north = shape.bounds
    return [(west, south), (east, north), (west, north), (east, south)]


def newest_day() -> dict[str, Any] | None:
    """Return what the overview shows of the newest pool that has runs, or of the newest at all."""
    pools = Pool.objects.select_related("region").order_by("-created_at")
    pool = pools.filter(runs__isnull=False).first() or pools.first()
    if pool is None:
        return None
    runs = list(
        pool.runs.select_related("vehicle")
        .prefetch_related("stops__hub", "stops__shop", "stops__supply_point")
        .order_by("letter")
    )
    return {
        "pool": pool,
        "books": selectors.day_of(pool),
        "runs": [_row(run, colour) for run, colour in zip(runs, cycle(_COLOURS), strict=False)],
        "map": _map(pool, runs),
    }


def _row(run: Run, colour: str) -> dict[str, Any]:
    stops = [stop for stop in run.stops.all() if stop.kind in {StopKind.SHOP, StopKind.SUPPLY_POINT}]
    done = sum(stop.state == "done" for stop in stops)
    return {
        "run": run,
        "colour": colour,
        "num_stops": len(stops),
        "num_done": done,
        "distance_km": run.distance_m / 1000,
        "cost_euro": run.cost_cents / 100,
    }


def _map(pool: Pool, runs: Sequence[Run]) -> dict[str, Any] | None:
    municipalities = list(Municipality.objects.filter(region=pool.region_id))
    if not municipalities:
        return None
    shapes = [(municipality.name, municipality.as_shape()) for municipality in municipalities]
    frame = Frame.around(shape for _, shape in shapes)
    return {
        "width": WIDTH,
        "height": frame.height,
        "municipalities": [_outline(name, shape, frame) for name, shape in shapes],
        "points": [
            _dot(point, frame) for point in SupplyPoint.objects.filter(municipality__in=municipalities)
        ],
        "shops": [_dot(shop, frame) for shop in Shop.objects.filter(municipality__in=municipalities)],
        "hubs": [_dot(hub, frame) for hub in Hub.objects.filter(region=pool.region_id)],
        "routes": [_line(run, colour, frame) for run, colour in zip(runs, cycle(_COLOURS), strict=False)],
    }


def _outline(name: str, shape: BaseGeometry, frame: Frame) -> dict[str, Any]:
    polygons = getattr(shape, "geoms", [shape])
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    path = " ".join(
        "M" + " ".join("{},{}".format(*frame.pixel(x, y)) for x, y in ring.coords) + "Z" for ring in rings
    )
    inside = shape.representative_point()
    x, y = frame.pixel(inside.x, inside.y)
    return {"name": name, "path": path, "x": x, "y": y}


def _dot(place: Hub | Shop | SupplyPoint, frame: Frame) -> dict[str, Any]:
    x, y = frame.pixel(place.longitude, place.latitude)
    return {"name": place.name, "x": x, "y": y}


def _line(run: Run, colour: str, frame: Frame) -> dict[str, Any]:
    stops: Sequence[Stop] = list(run.stops.all())
    pixels = [frame.pixel(stop.place.longitude, stop.place.latitude) for stop in stops]
    return {
        "letter": run.letter,
        "colour": colour,
        "is_bike": run.vehicle.kind == "bike",
        "points": " ".join(f"{x},{y}" for x, y in pixels),
    }
