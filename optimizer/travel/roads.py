"""
Which ways of OpenStreetMap a kind of vehicle may use, in which direction, and how fast.

A way has a speed for each direction; 0 means that the vehicle may not or cannot go there. Opening hours of
roads, turn restrictions, ferries and hills are not looked at. Roads for residents and deliveries are open
to both vehicles, even to pass through.

References
----------
.. [1] OpenStreetMap Wiki, *Key:access*, *Key:oneway*, *Key:maxspeed*, *Key:tracktype*, *Key:barrier*.
.. [2] Profiles ``car.lua`` and ``bicycle.lua`` of OSRM, their speeds by class and surface.
.. [3] Straßenverkehrs-Ordnung: § 3 limits, § 18 motor roads, Anlage 2 No. 18-22 (cyclists at walking pace
       where a footway is opened to them) and Anlage 3 No. 12 (traffic-calmed areas).
.. [4] Pedal Me (2020), *Why cargo bikes?*: 15.0 and 16.4 km/h on the move in central and inner London.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

Tags = Mapping[str, str]

#: Values of access keys that let a delivery vehicle in, and those that even name it.
DESIGNATED = ("designated", "official")
OPEN = ("yes", "permissive", "destination", "delivery", "customers", "public", "permit", *DESIGNATED)
#: Walking pace in traffic law, in km/h: the upper end of what German courts read it as.
WALKING_KMH = 7.0
#: Pushing a laden bike, in km/h; our estimate.
PUSHING_KMH = 4.0
#: Limits that German law implies, in km/h; 130 is recommended where there is none [3]_.
IMPLIED_KMH = {
    "walk": WALKING_KMH,
    "living_street": WALKING_KMH,
    "bicycle_road": 30.0,
    "urban": 50.0,
    "rural": 100.0,
    "trunk": 100.0,
    "motorway": 130.0,
    "none": 130.0,
}
#: Values of ``smoothness`` that stop both vehicles.
IMPASSABLE = {"horrible": 0.0, "very_horrible": 0.0, "impassable": 0.0}
KMH_PER_MPH = 1.609344


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What a kind of vehicle may use; speeds in km/h.

    Parameters
    ----------
    access_keys
        Keys that open or close a way, the most specific first.
    open_kmh
        Speed on classes of ways that are open unless a tag closes them.
    permitted_kmh, designated_kmh
        Speed on classes that are closed unless a tag permits the vehicle or is even meant for it.
    proven_classes
        Classes that need, besides, a tag that tells of their surface or permits the vehicle.
    raised_classes
        Classes where traffic flows at ``limit_share`` of a tagged limit; elsewhere a limit only lowers.
    most_kmh
        For keys that describe the surface, the speed that each value allows; 0 is impassable.
    oneway_keys
        Keys that rule the direction, the most specific first.
    contraflow
        Whether cycleways against the traffic count.
    barriers
        Values of ``barrier`` that stop the vehicle.
    """

    access_keys: tuple[str, ...]
    open_kmh: Mapping[str, float]
    permitted_kmh: Mapping[str, float] = field(default_factory=dict)
    designated_kmh: Mapping[str, float] = field(default_factory=dict)
    proven_classes: tuple[str, ...] = ()
    raised_classes: tuple[str, ...] = ()
    limit_share: float = 1.0
    most_kmh: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    oneway_keys: tuple[str, ...] = ("oneway",)
    contraflow: bool = False
    motor_roads: bool = True
    barriers: tuple[str, ...] = ()


#: What no vehicle passes.
BARRIERS = (
    "cycle_barrier",
    "debris",
    "fence",
    "full-height_turnstile",
    "hedge",
    "horse_stile",
    "jersey_barrier",
    "kissing_gate",
    "log",
    "motorcycle_barrier",
    "stile",
    "turnstile",
    "wall",
)

#: A laden cargo bike with a motor in flat to hilly land: 4.5 m/s on good roads, near [4]_; the relations
#: between surfaces follow [2]_, the rest is our estimate. Grade 4 and worse shakes goods out of their boxes.
BIKE = Rules(
    access_keys=("cargo_bike", "bicycle", "vehicle", "access"),
    open_kmh={
        "primary": 17.0,
        "primary_link": 17.0,
        "secondary": 17.0,
        "secondary_link": 17.0,
        "tertiary": 17.0,
        "tertiary_link": 17.0,
        "unclassified": 17.0,
        "residential": 16.0,
        "road": 15.0,
        "cycleway": 17.0,
        "track": 15.0,
        "service": 12.0,
        "living_street": 10.0,
    },
    permitted_kmh={"path": 13.0, "bridleway": 9.0, "footway": WALKING_KMH, "pedestrian": WALKING_KMH},
    designated_kmh={"path": 15.0, "footway": 13.0, "pedestrian": 10.0},
    proven_classes=("track",),
    most_kmh={
        "surface": {
            "paving_stones": 15.0,
            "compacted": 14.0,
            "fine_gravel": 13.0,
            "concrete:lanes": 12.0,
            "wood": 10.0,
            "metal": 10.0,
            "sett": 10.0,
            "unpaved": 10.0,
            "gravel": 9.0,
            "ground": 9.0,
            "grass_paver": 8.0,
            "pebblestone": 8.0,
            "cobblestone": 8.0,
            "unhewn_cobblestone": 6.0,
            "dirt": 8.0,
            "earth": 8.0,
            "grass": 0.0,
            "mud": 0.0,
            "sand": 0.0,
            "woodchips": 0.0,
        },
        "tracktype": {"grade1": 16.0, "grade2": 13.0, "grade3": 9.0, "grade4": 0.0, "grade5": 0.0},
        "smoothness": {"bad": 10.0, "very_bad": 6.0} | IMPASSABLE,
    },
    oneway_keys=("oneway:bicycle", "oneway"),
    contraflow=True,
    motor_roads=False,
    barriers=BARRIERS,
)

#: A van up to 3.5 t. Motorways, main roads, residential streets and surfaces follow [2]_, which also drives
#: at 0.8 of a limit; secondary, tertiary and unclassified roads are quicker than there, as most of a rural
#: district's lie outside villages (our estimate).
VAN = Rules(
    access_keys=("goods", "motorcar", "motor_vehicle", "vehicle", "access"),
    open_kmh={
        "motorway": 90.0,
        "motorway_link": 45.0,
        "trunk": 85.0,
        "trunk_link": 40.0,
        "primary": 65.0,
        "primary_link": 30.0,
        "secondary": 60.0,
        "secondary_link": 25.0,
        "tertiary": 50.0,
        "tertiary_link": 20.0,
        "unclassified": 40.0,
        "residential": 25.0,
        "road": 25.0,
        "service": 12.0,
        "living_street": WALKING_KMH,
    },
    permitted_kmh={"track": 20.0, "cycleway": 10.0, "pedestrian": WALKING_KMH, "path": WALKING_KMH},
    raised_classes=("motorway", "trunk", "primary", "secondary", "tertiary", "unclassified"),
    limit_share=0.8,
    most_kmh={
        "surface": {
            "compacted": 80.0,
            "fine_gravel": 80.0,
            "paving_stones": 60.0,
            "concrete:lanes": 40.0,
            "sett": 40.0,
            "unpaved": 40.0,
            "gravel": 40.0,
            "ground": 40.0,
            "dirt": 40.0,
            "grass": 40.0,
            "grass_paver": 40.0,
            "pebblestone": 40.0,
            "cobblestone": 30.0,
            "unhewn_cobblestone": 20.0,
            "earth": 20.0,
            "sand": 20.0,
            "mud": 0.0,
        },
        "tracktype": {"grade1": 60.0, "grade2": 40.0, "grade3": 30.0, "grade4": 15.0, "grade5": 0.0},
        "smoothness": {"bad": 40.0, "very_bad": 20.0} | IMPASSABLE,
    },
    barriers=(*BARRIERS, "block", "bollard", "bus_trap", "chain", "planter", "sump_buster"),
)

#: The vehicles that the road network knows, by the name of their profile.
VEHICLES: Mapping[str, Rules] = {"bike": BIKE, "van": VAN}

#: First parts of the keys that the functions below look at; whatever else is tagged changes nothing.
RELEVANT_KEYS = frozenset(
    ("area", "cycleway", "highway", "junction", "maxspeed", "motorroad", "oneway", "source", "zone")
).union(*((*rules.access_keys, *rules.most_kmh) for rules in VEHICLES.values()))


def is_relevant(key: str) -> bool:
    """Tell whether a key of a way may change its speeds."""
    return key.partition(":")[0] in RELEVANT_KEYS


def speeds_kmh(rules: Rules, tags: Tags) -> tuple[float, float]:
    """
    Return how fast a vehicle goes along a way and against it.

    Returns
    -------
    tuple
        ``(forward, backward)`` in km/h; 0 where it may not or cannot go.
    """
    if tags.get("area") == "yes" or (tags.get("motorroad") == "yes" and not rules.motor_roads):
        return 0.0, 0.0
    forward, backward = _directions(rules, tags)
    return (
        _speed_kmh(rules, tags, "forward") if forward else 0.0,
        _speed_kmh(rules, tags, "backward") if backward else 0.0,
    )


def is_blocked(rules: Rules, tags: Tags) -> bool:
    """Tell whether a node on a way stops a vehicle, by what stands there or by whom it lets through."""
    key, values = _access(rules, tags, "forward")
    if key is None:
        return tags.get("barrier") in rules.barriers
    return not _any(values, OPEN)


def limit_kmh(text: str) -> float | None:
    """
    Return the speed that a value of ``maxspeed`` allows, the least if there are several.

    Returns
    -------
    float or None
        In km/h; ``None`` where the value says nothing, such as ``signals``.
    """
    limits = [limit for part in text.split(";") if (limit := _one_limit_kmh(part.strip())) is not None]
    return min(limits, default=None)


@lru_cache(maxsize=1024)
def _one_limit_kmh(text: str) -> float | None:
    if number := re.fullmatch(r"(\d+(?:\.\d+)?) ?(mph|km/h|kmh|kph)?", text):
        return float(number[1]) * (KMH_PER_MPH if number[2] == "mph" else 1.0)
    name = re.sub(r"^[A-Z]{2}:", "", text)
    if zone := re.fullmatch(r"(?:zone:?)?(\d+)", name):
        return float(zone[1])
    return IMPLIED_KMH.get(name)


def _speed_kmh(rules: Rules, tags: Tags, direction: str) -> float:
    highway = tags.get("highway", "")
    key, values = _access(rules, tags, direction)
    if key is not None and not _any(values, OPEN):
        may_push = "dismount" in values and (highway in rules.open_kmh or highway in rules.permitted_kmh)
        return PUSHING_KMH if may_push else 0.0
    permitted = key is not None and key != "access"
    speed = _class_kmh(rules, highway, values if permitted else ())
    if highway in rules.proven_classes and not permitted and not _any(tags, rules.most_kmh):
        return 0.0
    most = [rules.most_kmh[key].get(tags[key], speed) for key in rules.most_kmh if key in tags]
    return min([_within_limit_kmh(rules, tags, direction, speed), *most])


def _class_kmh(rules: Rules, highway: str, permissions: tuple[str, ...]) -> float:
    """Return the speed on a class of ways, 0 unless it is open or permitted."""
    if highway in rules.open_kmh:
        return rules.open_kmh[highway]
    if highway in rules.designated_kmh and _any(permissions, DESIGNATED):
        return rules.designated_kmh[highway]
    return rules.permitted_kmh.get(highway, 0.0) if permissions else 0.0


def _within_limit_kmh(rules: Rules, tags: Tags, direction: str, speed: float) -> float:
    """Return the speed under the limit that is tagged, if any is."""
    keys = (f"maxspeed:{direction}", "maxspeed", "zone:maxspeed", "maxspeed:type", "source:maxspeed")
    limits = (limit_kmh(tags[key]) for key in keys if key in tags)
    limit = next((limit for limit in limits if limit is not None), None)
    if limit is None:
        return speed
    if tags.get("highway") in rules.raised_classes:
        return rules.limit_share * limit
    return min(speed, limit)


def _access(rules: Rules, tags: Tags, direction: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the most specific key that says who may pass, and its values."""
    for key in rules.access_keys:
        text = tags.get(f"{key}:{direction}") or tags.get(key) or "unknown"
        if text != "unknown":
            return key, tuple(part.strip() for part in text.split(";"))
    return None, ()


def _directions(rules: Rules, tags: Tags) -> tuple[bool, bool]:
    """Return whether one-way rules let a vehicle go along a way and against it."""
    is_round = tags.get("junction") in ("roundabout", "circular") or tags.get("highway") == "motorway"
    rule = next((tags[key] for key in rules.oneway_keys if key in tags), "yes" if is_round else "no")
    forward = rule not in ("-1", "reverse", "reversible")
    backward = rule not in ("yes", "true", "1", "reversible")
    if rules.contraflow and "oneway:bicycle" not in tags and _has_contraflow(tags):
        return True, True
    return forward, backward


def _has_contraflow(tags: Tags) -> bool:
    """Tell whether bikes may go against a one-way road."""
    if tags.get("bicycle:backward") in OPEN:
        return True
    for key in ("cycleway", "cycleway:left", "cycleway:right", "cycleway:both"):
        if tags.get(key, "").startswith("opposite") or tags.get(f"{key}:oneway") in ("no", "-1"):
            return True
    return False


def _any(values: Iterable[str], among: Iterable[str]) -> bool:
    return not set(values).isdisjoint(among)
