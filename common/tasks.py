"""Background work of the foundation: the one task through which every intent is worked on."""

from collections.abc import Sequence
from datetime import timedelta

from celery import shared_task
from knox.models import get_token_model

from common import intents
from common.clock import real_now
from common.models import Intent, IntentState, RememberedAnswer

#: How long answers and finished intents are kept.
KEEP_ANSWERS = timedelta(hours=24)
KEEP_DONE_INTENTS = timedelta(days=7)


@shared_task(name="common.perform")
def perform(*, intent_ids: Sequence[int]) -> None:
    """Work on intents; a second delivery of the message finds nothing to claim."""
    intents.perform(*intent_ids)


@shared_task(name="common.purge")
def purge() -> None:
    """Delete what has outlived its purpose."""
    moment = real_now()
    get_token_model().objects.filter(expiry__lt=moment).delete()
    RememberedAnswer.objects.filter(created_at__lt=moment - KEEP_ANSWERS).delete()
    Intent.objects.filter(state=IntentState.DONE, done_at__lt=moment - KEEP_DONE_INTENTS).delete()
