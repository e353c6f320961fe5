"""What a dispatcher reads of a plan: bound or why not, reasons and remedies, prices, reserves of each run."""

from typing import Any

import pytest

from common import intents
from common.models import Intent
from lockers.sizes import Size, Temperature
from logistics.models import Plan
from logistics.services import plans
from tests.logistics.builders import Village, a_parcel, at, dispatcher
from tests.logistics.solving import SolverHere

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1"
#: Waiting for the next pool costs 30.00 EUR; the van goes there anyway, but handles another parcel twice.
SAVED_CENTS = 3_000 - 22


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)


def a_village_with_two_orders_for_one_door() -> Village:
    village = Village(compartments=[(Size.S, Temperature.AMBIENT)])
    for _ in range(2):
        village.order(a_parcel(Size.S))
    return village


def plan_of(village: Village, *, budget_s: float = 10.0) -> dict[str, Any]:
    """Return what a dispatcher sees of a computed plan."""
    plan = plans.ask(village.pool, budget_s=budget_s, at=at(8))
    for intent in Intent.objects.filter(kind="logistics.compute_plan"):
        intents.perform(intent.pk)
    answer = dispatcher(village.region).get(f"{API}/plans/{plan.pk}/")
    assert answer.data["state"] == "proposed"
    shown: dict[str, Any] = answer.json()
    return shown


def test_an_order_left_out_has_a_reason_and_a_remedy_that_names_the_village() -> None:
    village = a_village_with_two_orders_for_one_door()

    [left] = plan_of(village)["solution"]["left_out"]

    assert left["reason"] == "locker-full"
    assert left["sentence"] == "All suitable compartments of the accepted supply points are taken."
    [remedy] = left["remedies"]
    assert (
        remedy["sentence"] == f"One more S compartment in {village.supply_point.name} would save 29.78 EUR."
    )
    assert (remedy["kind"], remedy["saved_cents"]) == ("more-compartments", SAVED_CENTS)
    assert remedy["facts"]["place"] == f"locker:{village.supply_point.pk}"


def test_each_locker_and_vehicle_has_its_price() -> None:
    village = a_village_with_two_orders_for_one_door()

    locker, van = plan_of(village)["solution"]["prices"]

    assert (locker["kind"], locker["available"], locker["saved_cents"]) == ("compartments", 1, SAVED_CENTS)
    assert locker["sentence"] == f"One more S compartment in {village.supply_point.name} is worth 29.78 EUR."
    assert locker["shadow_cents"] > 0
    assert (van["kind"], van["vehicles"]) == ("vehicles", [str(village.shift.pk)])
    assert van["sentence"].startswith(f"One more vehicle like {village.shift.vehicle.name} is worth")


def test_each_run_has_its_cost_terms_its_load_profile_and_its_slack() -> None:
    village = Village()
    village.order(a_parcel(Size.S), a_parcel(Size.M, Temperature.CHILLED))

    [route] = plan_of(village)["solution"]["routes"]

    assert route["cost"]["fixed_cents"] == village.shift.vehicle.fixed_cost_cents
    assert (
        sum(cents for term, cents in route["cost"].items() if term != "total_cents")
        == (route["cost"]["total_cents"])
    )
    loaded, unloaded = route["stops"]
    assert loaded["load"] == route["max_load"]
    assert unloaded["load"]["chilled_cm3"] == 0
    assert 0 == unloaded["load_share"] < loaded["load_share"] == route["load_share"] <= 1
    assert 0 < route["slack_s"] == min(loaded["slack_s"], unloaded["slack_s"])


def test_a_bound_that_was_proven_is_shown_with_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SolverHere, "proves", True)
    village = Village()
    village.order()

    plan = plan_of(village)

    assert 0 < plan["lower_bound_cents"] <= plan["cost_cents"]
    assert plan["gap"] == (plan["cost_cents"] - plan["lower_bound_cents"]) / plan["cost_cents"]
    assert plan["bound_reason"]


@pytest.mark.parametrize(("most", "budget_s"), [(1, 10.0), (60, 1.0)])
def test_a_plan_that_is_too_large_for_a_proof_says_so(
    monkeypatch: pytest.MonkeyPatch, most: int, budget_s: float
) -> None:
    monkeypatch.setattr(SolverHere, "proves", True)
    monkeypatch.setattr(plans, "PROVABLE_ORDERS", most)
    village = a_village_with_two_orders_for_one_door()

    plan = plan_of(village, budget_s=budget_s)

    assert (plan["lower_bound_cents"], plan["gap"]) == (None, None)
    assert plan["bound_reason"] == "no bound computed: too large to prove anything within the time"


def test_a_plan_without_cost_has_no_gap() -> None:
    assert Plan().gap is None
    assert Plan(cost_cents=0, lower_bound_cents=0).gap == 0
