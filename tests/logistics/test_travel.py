"""Plans with the travel that an installation names: roads, a server, geodesics where neither can be had."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from logistics import planning, travel
from logistics.models import Hub, Plan, Shop, SupplyPoint, Zone
from logistics.services import plans
from logistics.states import PlanState
from optimizer.travel.model import OSM_ATTRIBUTION
from tests.logistics.builders import Village, at, dispatcher
from tests.logistics.dividing import a_plan_of_two_villages, work_on
from tests.logistics.solving import SolverHere, computed
from tests.optimizer.town import NODES, RING, an_area, an_extract, degrees

pytestmark = pytest.mark.django_db(transaction=True)
#: Nobody listens there.
NO_SERVER = "osrm:http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)


@pytest.fixture
def village() -> Village:
    """A village at three corners of the ring: hub, shop 1000 m to the east, locker 200 m north of that."""
    village = Village()
    for kind, corner in ((Hub, "A"), (Shop, "B"), (SupplyPoint, "C")):
        longitude, latitude = degrees(*NODES[corner])
        kind.objects.update(longitude=longitude, latitude=latitude)
    village.order()
    return village


@pytest.fixture
def roads(tmp_path: Path, settings: Any) -> Path:
    """The extract that plans are made with."""
    file = an_extract(tmp_path, NODES, [RING])
    settings.TRAVEL_URL = f"network:{file}"
    return file


def metres(plan: Plan) -> int:
    """Return how far the only run goes."""
    [route] = (plan.solution or {})["routes"]
    return int(route["distance_m"])


def test_plans_are_of_geodesics_unless_told_otherwise(village: Village) -> None:
    plan = computed(village)

    assert plan.travel == [{"profile": "van-50000", "model": "geodesic", "attribution": "", "missing": ""}]


@pytest.mark.usefixtures("roads")
def test_a_plan_by_road_says_so_and_can_be_released(village: Village) -> None:
    plan = computed(village)

    # To the shop, to the locker, and home the same way.
    assert metres(plan) == pytest.approx(2_400, abs=3)
    [shown] = dispatcher(village.region).get(f"/api/v1/plans/{plan.pk}/").json()["travel"]
    assert shown == {
        "profile": "van-50000",
        "model": "network",
        "attribution": OSM_ATTRIBUTION,
        "missing": "",
    }
    plans.release(plan, at=at(9, 10))
    plan.refresh_from_db()
    assert plan.state == PlanState.RELEASED


@pytest.mark.usefixtures("roads")
def test_vehicles_drive_around_a_zone_that_is_closed_to_them(village: Village) -> None:
    area = an_area(490, -10, 510, 10).__geo_interface__
    Zone.objects.create(region=village.region, name="Markt", area=area, forbidden_kinds=["van"])

    plan = computed(village)

    # By the northern street to the shop and home; the locker is next to the shop.
    assert metres(plan) == pytest.approx((200 + 2 * 510 + 200) + 200 + (2 * 510 + 200), abs=5)


def test_a_new_extract_is_read(village: Village, roads: Path) -> None:
    first = computed(village)
    an_extract(roads.parent, NODES | {"M": (500, 0)}, [("ABC", RING[1]), ("CMA", RING[1])])
    os.utime(roads, (2e9, 2e9))

    assert first.state == PlanState.PROPOSED
    problem, _ = travel.measured(planning.problem_of(village.pool), lambda: None)

    [matrix] = problem.matrices
    assert matrix.distance_m.max() < 1_050


@pytest.mark.parametrize("name", ["network:/nowhere/town.osm.pbf", "network:README.md"])
def test_without_its_roads_a_plan_fails_and_says_why(village: Village, settings: Any, name: str) -> None:
    settings.TRAVEL_URL = name

    plan = computed(village)

    assert plan.state == PlanState.FAILED
    assert plan.error.startswith("There are no roads to plan with: ")


def test_where_a_server_does_not_answer_geodesics_stand_in_and_the_plan_says_so(
    village: Village, settings: Any
) -> None:
    by_geodesics = metres(computed(village))
    settings.TRAVEL_URL = NO_SERVER

    plans.ask(village.pool, budget_s=1, at=at(9, 5))
    work_on()

    plan = village.pool.plans.latest("created_at")
    assert metres(plan) == by_geodesics
    [about] = plan.travel
    assert about["missing"].startswith("geodesics stand in: OSRM: no answer in 3 attempts")


def test_whoever_waits_for_a_server_is_called_meanwhile(
    village: Village, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAVEL_URL = NO_SERVER
    monkeypatch.setattr(travel, "CALL_S", 0.1)
    calls: list[None] = []

    _, [report] = travel.measured(planning.problem_of(village.pool), lambda: calls.append(None))

    assert report.fallback
    assert calls


@pytest.mark.usefixtures("roads")
def test_territories_are_planned_by_road(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[set[str]] = []

    class Watched(SolverHere):
        def __init__(self, problem: dict[str, Any], **more: Any) -> None:
            measured.append({matrix["profile"] for matrix in problem["matrices"]})
            super().__init__(problem, **more)

    plan = a_plan_of_two_villages(settings, monkeypatch)
    for kind, north_m in ((Hub, 0), (Shop, 0), (SupplyPoint, 200)):
        for east_m, place in enumerate(kind.objects.order_by("latitude"), start=1):
            longitude, latitude = degrees(300 * east_m, north_m)
            kind.objects.filter(pk=place.pk).update(longitude=longitude, latitude=latitude)
    monkeypatch.setattr("logistics.services.plans.SolverProcess", Watched)

    work_on()

    plan.refresh_from_db()
    assert (plan.state, plan.num_left_out) == (PlanState.PROPOSED, 0)
    assert len(measured) == plan.territories.count() + 1 > 2
    assert all(profiles == {"van-50000"} for profiles in measured)
    assert {about["model"] for about in plan.travel} == {"network"}


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("geodesic", True),
        ("osrm:http://osrm-{profile}:5000", True),
        ("network:README.md", True),
        ("", False),
        ("roads", False),
        ("network:", False),
        ("network:/nowhere/town.osm.pbf", False),
        ("osrm:ftp://osrm", False),
    ],
)
def test_a_travel_model_that_does_not_exist_is_refused(settings: Any, name: str, is_known: bool) -> None:
    settings.TRAVEL_URL = name

    assert ("logistics.E001" not in {fault.id for fault in run_checks()}) == is_known
