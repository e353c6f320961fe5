"""Background work of logistics, one service call each."""

from typing import Any

from celery import shared_task

from common import intents
from common.clock import now
from logistics.services import messages, plans, pools


@intents.handles("logistics.compute_plan", queue="plan", one_transaction=False)
def compute_plan(claim: intents.Claim, /, **arguments: Any) -> None:
    """Compute a plan in a process of its own."""
    plans.compute(claim, plan_id=arguments["plan_id"])


@intents.handles("logistics.send_messages", queue="notify")
def send_messages(claim: intents.Claim, /, **arguments: Any) -> None:
    """Send what residents are to be told."""
    messages.send(about=arguments["about"], subjects=arguments["subjects"], at=now())


@shared_task(name="logistics.sweep")
def sweep() -> None:
    """Do what has become due: close pools, give up on abandoned plans."""
    pools.close_due(at=now())
    plans.fail_abandoned(at=now())
