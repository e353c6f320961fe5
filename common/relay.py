"""The relay: hands the identifiers of open intents to Celery, and again when a message seems lost."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import chain

from django.db import transaction
from django.db.models import BigAutoField, CharField, DateTimeField, F

from common import intents
from common.models import Intent
from common.prepared import Prepared, PreparedUpdate

#: A message this old counts as lost; sooner would double the queue behind a worker that is merely slow.
AGAIN_AFTER = timedelta(seconds=60)
#: Where nothing is queued nothing can be doubled: what nobody works on by now went with a worker or a broker.
AGAIN_AFTER_IF_IDLE = timedelta(seconds=15)
#: Into a queue longer than this nothing is put a second time.
LONG_QUEUE = 1000
BATCH = 200
#: With so many messages before them in their queue, intents that are worked on together wait here for others.
FEW = 2

_ANY_OPEN = Prepared(
    lambda at, lost_before: Intent.objects.to_hand_out(at=at, lost_before=lost_before).only("pk")[:1],
    at=DateTimeField(),
    lost_before=DateTimeField(),
)
_DUE = Prepared(
    lambda at, lost_before, gathering: (
        Intent.objects.to_hand_out(at=at, lost_before=lost_before)
        .exclude(handed_out_at=None, kind__among=gathering)
        .order_by(F("handed_out_at").asc(nulls_first=True), "pk")
        .select_for_update(skip_locked=True)[:BATCH]
    ),
    at=DateTimeField(),
    lost_before=DateTimeField(),
    gathering=[CharField()],
)
_HAND_OUT = PreparedUpdate(
    lambda intents, at: (Intent.objects.filter(pk__among=intents), {"handed_out_at": at}),
    intents=[BigAutoField()],
    at=DateTimeField(),
)


def hand_out(
    publish: Callable[[Sequence[int], str], None], *, at: datetime, length: Callable[[str], int]
) -> int:
    """
    Publish the open intents that have no fresh message, and return how many.

    ``publish`` takes the identifiers that go into one message, and the queue; ``length`` tells how many
    messages wait in a queue. ``at`` is real time.
    """
    moments = {"at": at, "lost_before": at - AGAIN_AFTER_IF_IDLE}
    if _ANY_OPEN.first(**moments) is None:
        # Most passes find nothing; they should not take SQLite's one write lock to learn it.
        return 0
    length = cache(length)
    gathering = [kind.name for kind in intents.joint_kinds() if length(kind.queue) >= FEW]
    with transaction.atomic():
        due = _DUE.all(**moments, gathering=gathering)
        given_up = intents.give_up(due, at=at)
        chosen = [
            intent
            for intent in due
            if intent.pk not in given_up and _needs_message(intent, at=at, length=length)
        ]
        _HAND_OUT(intents=[intent.pk for intent in chosen], at=at)
    messages = [[intent.pk for intent in alike] for alike in intents.in_messages(chosen)]
    queue_of = {intent.pk: intent.queue for intent in chosen}
    for done, message in enumerate(messages):
        try:
            publish(message, queue_of[message[0]])
        except Exception:
            unsent = list(chain.from_iterable(messages[done:]))
            Intent.objects.filter(pk__in=unsent, handed_out_at=at).update(handed_out_at=None)
            raise
    return len(chosen)


def _needs_message(intent: Intent, *, at: datetime, length: Callable[[str], int]) -> bool:
    """Tell whether an intent has no message yet, or none any more as far as anybody can tell."""
    if intent.handed_out_at is None:
        return True
    num_waiting = length(intent.queue)
    is_old = intent.handed_out_at < at - AGAIN_AFTER
    return num_waiting == 0 or (is_old and num_waiting <= LONG_QUEUE)
