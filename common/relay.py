"""The relay: hands the identifiers of open intents to Celery, and again when a message seems lost."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction

from common.models import Intent

#: A message this old counts as lost; sooner would double the queue behind a worker that is merely slow.
AGAIN_AFTER = timedelta(seconds=60)
BATCH = 200


def hand_out(publish: Callable[[int, str], None], *, at: datetime, is_long: Callable[[str], bool]) -> int:
    """
    Publish the open intents that have no fresh message, and return how many.

    ``publish`` takes the identifier and the queue; ``is_long`` tells whether a queue is so long that what
    was handed out before must not be handed out again yet. ``at`` is real time.
    """
    open_intents = Intent.objects.to_hand_out(at=at, again_after=AGAIN_AFTER)
    if not open_intents.exists():
        # Most passes find nothing; they should not take SQLite's one write lock to learn it.
        return 0
    with transaction.atomic():
        due = list(open_intents.order_by("pk").select_for_update(skip_locked=True)[:BATCH])
        chosen = [intent for intent in due if intent.handed_out_at is None or not is_long(intent.queue)]
        Intent.objects.filter(pk__in=[intent.pk for intent in chosen]).update(handed_out_at=at)
    for done, intent in enumerate(chosen):
        try:
            publish(intent.pk, intent.queue)
        except Exception:
            unsent = [left.pk for left in chosen[done:]]
            Intent.objects.filter(pk__in=unsent, handed_out_at=at).update(handed_out_at=None)
            raise
    return len(chosen)
