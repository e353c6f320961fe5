"""A plan of two villages that is made in territories, and the work on it step by step."""

from typing import Any

import pytest

from common import intents
from common.models import Intent, IntentState
from logistics.models import Plan, Territory
from logistics.services import pools
from tests.logistics.builders import Village, a_resident, a_shift, a_shop, a_supply_point, an_order, at
from tests.logistics.solving import SolverHere

NUM_ORDERS = 6


def a_plan_of_two_villages(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Ask for a plan at the cut-off of a region with enough vans for two territories."""
    settings.PLAN_TERRITORY_ORDERS = 3
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)
    village = Village()
    for _ in range(5):
        a_shift(village.region)
    shop = a_shop(village.region, latitude=52.2)
    point = a_supply_point(village.region, latitude=52.2)
    resident = a_resident(village.region, supply_point=point)
    for _ in range(NUM_ORDERS // 2):
        village.order()
        an_order(shop=shop, resident=resident)
    pools.close(village.pool, at=at(9))
    return village.pool.plans.get()


def work(*kinds: str) -> int:
    """Do what waits, of some kinds or of all about plans, and return how much that was."""
    waiting = Intent.objects.filter(state=IntentState.WAITING, kind__contains="plan")
    mine = [
        one.pk for one in waiting.order_by("pk") if not kinds or one.kind.removeprefix("logistics.") in kinds
    ]
    for number in mine:
        intents.perform(number)
    return len(mine)


def work_on() -> None:
    """Do what waits until nothing does."""
    while work():
        pass


def divided() -> list[Territory]:
    """Return the first territories of the plan."""
    work("compute_plan")
    work("divide_plan")
    return list(Territory.objects.order_by("number"))


def asked(kind: str) -> list[Intent]:
    return list(Intent.objects.filter(kind=f"logistics.{kind}").order_by("pk"))


def delivered(document: dict[str, Any] | None) -> list[str]:
    """Return the orders that a result delivers."""
    return [
        delivery["order"]
        for route in (document or {})["solution"]["routes"]
        for stop in route["stops"]
        for delivery in stop["deliveries"]
    ]
