"""Background work of logistics, one service call each."""

from typing import Any

from celery import shared_task

from common import intents
from common.clock import now
from logistics.services import messages, plans, pools, territories


@intents.handles("logistics.compute_plan", queue="plan", one_transaction=False)
def compute_plan(claim: intents.Claim, /, **arguments: Any) -> None:
    """Compute a plan in a process of its own."""
    plans.compute(claim, plan_id=arguments["plan_id"])


@intents.handles("logistics.divide_plan", queue="plan", one_transaction=False, lease_s=120)
def divide_plan(claim: intents.Claim, /, **arguments: Any) -> None:
    """Divide a large region into territories."""
    territories.divide(claim, plan_id=arguments["plan_id"])


@intents.handles("logistics.plan_territory", queue="plan", one_transaction=False)
def plan_territory(claim: intents.Claim, /, **arguments: Any) -> None:
    """Plan a territory in a process of its own."""
    territories.plan_one(claim, territory_id=arguments["territory_id"])


@intents.handles("logistics.recombine_plan", queue="plan", one_transaction=False, lease_s=120)
def recombine_plan(claim: intents.Claim, /, **arguments: Any) -> None:
    """Make one plan of those of the territories."""
    territories.recombine(claim, plan_id=arguments["plan_id"], family=arguments["family"])


@intents.handles("logistics.send_messages", queue="notify")
def send_messages(claim: intents.Claim, /, **arguments: Any) -> None:
    """Send what residents are to be told."""
    messages.send(about=arguments["about"], subjects=arguments["subjects"], at=now())


@shared_task(name="logistics.sweep")
def sweep() -> None:
    """Do what has become due: close pools, give up on abandoned plans."""
    pools.close_due(at=now())
    territories.skip_abandoned(at=now())
    plans.fail_abandoned(at=now())
