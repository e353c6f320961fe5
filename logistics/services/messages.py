"""What residents are told, each thing once; what may come about again, each time anew."""

import logging
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from common import intents
from logistics.models import Bundle, Message, Order

logger = logging.getLogger(__name__)


def tell_planned(bundles: Iterable[Bundle], *, at: datetime) -> None:
    """Tell residents that goods are on their way, where they will lie, and that a code is ready."""
    _tell([(bundle.resident_id, bundle.pk) for bundle in bundles], kind="planned", at=at)


def tell_ready(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that goods can be collected."""
    _tell([(bundle.resident_id, bundle.pk)], kind="ready", at=at)


def tell_overdue(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that the time to collect has passed."""
    _tell([(bundle.resident_id, bundle.pk)], kind="overdue", at=at)


def tell_moved(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that goods will lie elsewhere than was said; the same code opens them there."""
    _tell_again(bundle, kind="moved", at=at)


def tell_out_of_reach(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that the compartment is out of order, and that goods and code wait until it is back."""
    _tell_again(bundle, kind="out_of_reach", at=at)


def tell_within_reach(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that goods can be collected again, and until when."""
    _tell_again(bundle, kind="within_reach", at=at)


def tell_new_code(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that another code opens the goods from now on, and the one before nothing."""
    _tell_again(bundle, kind="new_code", at=at)


def tell_missing(bundle: Bundle, *, at: datetime) -> None:
    """Tell a resident that the goods are not where they should be."""
    _tell([(bundle.resident_id, bundle.pk)], kind="missing", at=at)


def tell_deferred(order: Order, *, at: datetime) -> None:
    """Tell a resident that an order waits for the next pool."""
    _tell([(order.resident_id, order.pk)], kind="deferred", at=at)


def send(*, about: str, subjects: list[str], at: datetime) -> None:
    """Hand messages over to the channel; those sent before are left alone."""
    sent = Message.objects.filter(kind=about, subject__in=subjects, sent_at=None).update(sent_at=at)
    logger.info("%s messages of kind %s sent", sent, about)


@transaction.atomic(savepoint=False)
def _tell_again(bundle: Bundle, *, kind: str, at: datetime) -> None:
    """Tell a resident what may come about more than once, each time anew."""
    Message.objects.update_or_create(
        resident_id=bundle.resident_id,
        kind=kind,
        subject=bundle.pk,
        defaults={"created_at": at, "sent_at": None},
    )
    key = f"{kind}:{bundle.pk}:{at.isoformat()}"
    intents.ask("logistics.send_messages", key=key, about=kind, subjects=[str(bundle.pk)])


@transaction.atomic(savepoint=False)
def _tell(about: list[tuple[UUID, UUID]], *, kind: str, at: datetime) -> None:
    if not about:
        return
    Message.objects.bulk_create(
        (
            Message(resident_id=resident, kind=kind, subject=subject, created_at=at)
            for resident, subject in about
        ),
        ignore_conflicts=True,
    )
    subjects = sorted(str(subject) for _, subject in about)
    intents.ask("logistics.send_messages", key=f"{kind}:{subjects[0]}", about=kind, subjects=subjects)
