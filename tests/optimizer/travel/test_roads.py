"""Who may use a way, in which direction, and how fast."""

import pytest

from optimizer.travel.roads import BIKE, VAN, is_blocked, limit_kmh, speeds_kmh

Tags = dict[str, str]
ROAD = {"highway": "residential"}


def usable(rules_name: str, tags: Tags) -> tuple[bool, bool]:
    forward, backward = speeds_kmh({"bike": BIKE, "van": VAN}[rules_name], tags)
    return forward > 0, backward > 0


@pytest.mark.parametrize(
    ("tags", "bike", "van"),
    [
        ({"highway": "residential"}, True, True),
        ({"highway": "motorway"}, False, True),
        ({"highway": "trunk"}, False, True),
        ({"highway": "primary", "motorroad": "yes"}, False, True),
        ({"highway": "cycleway"}, True, False),
        ({"highway": "path"}, False, False),
        ({"highway": "path", "bicycle": "designated"}, True, False),
        ({"highway": "footway", "bicycle": "yes"}, True, False),
        ({"highway": "footway"}, False, False),
        ({"highway": "steps", "bicycle": "yes"}, False, False),
        ({"highway": "construction"}, False, False),
        ({"highway": "pedestrian", "area": "yes", "bicycle": "yes"}, False, False),
        ({"highway": "track"}, False, False),
        ({"highway": "track", "tracktype": "grade2"}, True, False),
        ({"highway": "track", "surface": "asphalt"}, True, False),
        ({"highway": "track", "tracktype": "grade5", "bicycle": "yes"}, False, False),
        ({"highway": "track", "motor_vehicle": "destination"}, False, True),
        ({"highway": "track", "motor_vehicle": "agricultural"}, False, False),
        ({"highway": "track", "access": "yes"}, False, False),
        ({"highway": "residential", "smoothness": "horrible"}, False, False),
    ],
)
def test_each_vehicle_has_its_own_ways(tags: Tags, bike: bool, van: bool) -> None:
    assert usable("bike", tags)[0] == bike
    assert usable("van", tags)[0] == van


@pytest.mark.parametrize(
    ("access", "bike", "van"),
    [
        ({"access": "private"}, False, False),
        ({"access": "no"}, False, False),
        ({"access": "no", "bicycle": "yes"}, True, False),
        ({"access": "destination"}, True, True),
        ({"vehicle": "delivery"}, True, True),
        ({"vehicle": "agricultural;forestry"}, False, False),
        ({"vehicle": "agricultural;destination"}, True, True),
        ({"motor_vehicle": "no"}, True, False),
        ({"motor_vehicle": "no", "goods": "delivery"}, True, True),
        ({"bicycle": "no"}, False, True),
        ({"bicycle": "use_sidepath"}, False, True),
        ({"access": "unknown"}, True, True),
    ],
)
def test_the_most_specific_tag_says_who_may_pass(access: Tags, bike: bool, van: bool) -> None:
    assert usable("bike", ROAD | access) == (bike, bike)
    assert usable("van", ROAD | access) == (van, van)


@pytest.mark.parametrize(
    ("tags", "bike", "van"),
    [
        ({"oneway": "yes"}, (True, False), (True, False)),
        ({"oneway": "-1"}, (False, True), (False, True)),
        ({"oneway": "no", "junction": "roundabout"}, (True, True), (True, True)),
        ({"junction": "roundabout"}, (True, False), (True, False)),
        ({"highway": "motorway"}, (False, False), (True, False)),
        ({"oneway": "reversible"}, (False, False), (False, False)),
        ({"oneway": "yes", "oneway:bicycle": "no"}, (True, True), (True, False)),
        ({"oneway": "yes", "cycleway": "opposite_lane"}, (True, True), (True, False)),
        ({"oneway": "yes", "cycleway:left:oneway": "-1"}, (True, True), (True, False)),
        ({"oneway:bicycle": "yes"}, (True, False), (True, True)),
        ({"oneway:bicycle": "yes", "cycleway:left": "opposite"}, (True, False), (True, True)),
        ({"vehicle:backward": "no", "bicycle:backward": "yes"}, (True, True), (True, False)),
    ],
)
def test_one_way_streets_are_one_way_unless_bikes_may_go_against_them(
    tags: Tags, bike: tuple[bool, bool], van: tuple[bool, bool]
) -> None:
    assert usable("bike", ROAD | tags) == bike
    assert usable("van", ROAD | tags) == van


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ("50", 50),
        ("50 km/h", 50),
        ("30 mph", pytest.approx(48.28, abs=0.01)),
        ("DE:urban", 50),
        ("DE:rural", 100),
        ("DE:zone:30", 30),
        ("DE:zone30", 30),
        ("walk", 7),
        ("none", 130),
        ("70;50", 50),
        ("signals", None),
        ("fast", None),
    ],
)
def test_limits_are_read_as_they_are_written(text: str, kmh: float | None) -> None:
    assert limit_kmh(text) == kmh


def test_vans_drive_somewhat_below_the_limit_of_a_main_road_and_never_above_that_of_a_street() -> None:
    assert speeds_kmh(VAN, {"highway": "primary", "maxspeed": "100"}) == (80, 80)
    assert speeds_kmh(VAN, {"highway": "primary", "maxspeed:forward": "50"}) == (40, 65)
    assert speeds_kmh(VAN, {"highway": "primary", "maxspeed": "signals", "source:maxspeed": "DE:urban"}) == (
        40,
        40,
    )
    assert speeds_kmh(VAN, {"highway": "residential", "maxspeed": "100"}) == (25, 25)
    assert speeds_kmh(VAN, {"highway": "residential", "maxspeed": "10"}) == (10, 10)


def test_bikes_are_slowed_by_bad_ground_and_by_walkers_but_quickened_by_no_limit() -> None:
    (good, _), (bad, _) = (
        speeds_kmh(BIKE, {"highway": "tertiary", "surface": surface})
        for surface in ("asphalt", "cobblestone")
    )
    shared, alone = (
        speeds_kmh(BIKE, {"highway": "footway", "bicycle": value})[0] for value in ("yes", "designated")
    )

    assert bad < good == speeds_kmh(BIKE, {"highway": "tertiary", "maxspeed": "100"})[0]
    assert shared == 7 < alone
    assert speeds_kmh(BIKE, ROAD | {"bicycle": "dismount"}) == (4, 4)


@pytest.mark.parametrize(
    ("tags", "bike", "van"),
    [
        ({"barrier": "bollard"}, False, True),
        ({"barrier": "cycle_barrier"}, True, True),
        ({"barrier": "gate"}, False, False),
        ({"barrier": "gate", "access": "private"}, True, True),
        ({"barrier": "bollard", "motor_vehicle": "destination"}, False, False),
        ({"barrier": "lift_gate", "motor_vehicle": "forestry"}, False, True),
    ],
)
def test_a_barrier_stops_whom_it_is_for(tags: Tags, bike: bool, van: bool) -> None:
    assert is_blocked(BIKE, tags) == bike
    assert is_blocked(VAN, tags) == van
