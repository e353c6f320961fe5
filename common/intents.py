"""
Intents: what must follow a transaction is a row written in it, so that no crash can lose it.

``ask`` writes the row, ``perform`` does the work: it claims the row by one conditional UPDATE, acts, and
finishes under its own token. A second delivery of the message finds nothing to claim.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from django.db import models, transaction

from common.clock import real_now
from common.models import Intent, IntentState

logger = logging.getLogger(__name__)

#: After so many claims without success an intent is dead and waits for a person.
MAX_ATTEMPTS = 5
RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (1, 5, 30, 120, 600))


class LeaseLost(Exception):
    """Someone else has claimed the row since."""


class Handler(Protocol):
    """Does the work of one kind of intent; its arguments are identifiers."""

    def __call__(self, claim: "Claim", /, **arguments: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """How intents of one kind are worked on."""

    name: str
    queue: str
    lease: timedelta
    handler: Handler
    one_transaction: bool
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one intent until the lease ends."""

    intent_id: int
    token: UUID
    lease: timedelta
    max_attempts: int = MAX_ATTEMPTS

    def extend(self) -> None:
        """
        Keep the lease for another while.

        Raises
        ------
        LeaseLost
            If the lease ran out and someone else claimed the row.
        """
        if not self._mine().update(lease_until=real_now() + self.lease):
            raise LeaseLost

    def finish(self) -> None:
        """
        Mark the work as done; inside the transaction of its effect, so that both or neither stand.

        Raises
        ------
        LeaseLost
            If someone else claimed the row since.
        """
        if not self._mine().update(state=IntentState.DONE, done_at=real_now(), token=None):
            raise LeaseLost

    def fail(self, error: str) -> None:
        """Give the row back for another attempt, or up when it has had enough of them."""
        attempts = Intent.objects.values_list("attempts", flat=True).get(pk=self.intent_id)
        dead = attempts >= self.max_attempts
        delay = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
        self._mine().update(
            state=IntentState.DEAD if dead else IntentState.WAITING,
            not_before=real_now() + delay,
            handed_out_at=None,
            token=None,
            last_error=error[:2000],
        )

    def _mine(self) -> models.QuerySet[Intent]:
        return Intent.objects.filter(pk=self.intent_id, token=self.token, state=IntentState.CLAIMED)


_kinds: dict[str, Kind] = {}


def handles(
    name: str,
    *,
    queue: str,
    lease_s: float = 30,
    one_transaction: bool = True,
    max_attempts: int = MAX_ATTEMPTS,
) -> Callable[[Handler], Handler]:
    """
    Register the handler of a kind of intent.

    With ``one_transaction`` the handler runs in the transaction that also finishes the intent; without, it
    runs outside and calls ``claim.finish()`` itself in the transaction that stores its result. After
    ``max_attempts`` claims without success an intent waits for a person.
    """

    def register(handler: Handler) -> Handler:
        if name in _kinds:
            raise ValueError(f"Two handlers for intents of kind {name}")
        _kinds[name] = Kind(name, queue, timedelta(seconds=lease_s), handler, one_transaction, max_attempts)
        return handler

    return register


def ask(kind: str, *, key: str, not_before: datetime | None = None, **arguments: Any) -> None:
    """Write an intent in the present transaction; a key that was asked before changes nothing."""
    moment = real_now()
    Intent.objects.bulk_create(
        [
            Intent(
                kind=kind,
                queue=_kinds[kind].queue,
                key=f"{kind}:{key}",
                arguments=arguments,
                not_before=not_before or moment,
                created_at=moment,
            )
        ],
        ignore_conflicts=True,
    )


def perform(intent_id: int) -> None:
    """Claim an intent and do its work; if there is nothing to claim, do nothing."""
    intent = Intent.objects.filter(pk=intent_id).first()
    if intent is None:
        return
    kind = _kinds[intent.kind]
    claim = _claim(intent_id, kind)
    if claim is None:
        return
    try:
        _work(kind, claim, intent.arguments)
    except LeaseLost:
        logger.warning("intent %s: lease lost, someone else works on it", intent_id)
    except Exception as error:  # any failure is counted on the row, and the row is tried again
        logger.exception("intent %s (%s) failed", intent_id, kind.name)
        claim.fail(f"{type(error).__name__}: {error}")


def _claim(intent_id: int, kind: Kind) -> Claim | None:
    claim = Claim(intent_id=intent_id, token=uuid4(), lease=kind.lease, max_attempts=kind.max_attempts)
    moment = real_now()
    claimed = (
        Intent.objects.claimable(at=moment)
        .filter(pk=intent_id)
        .update(
            state=IntentState.CLAIMED,
            token=claim.token,
            lease_until=moment + kind.lease,
            attempts=models.F("attempts") + 1,
        )
    )
    return claim if claimed else None


def _work(kind: Kind, claim: Claim, arguments: Mapping[str, Any]) -> None:
    if not kind.one_transaction:
        kind.handler(claim, **arguments)
        return
    with transaction.atomic():
        kind.handler(claim, **arguments)
        claim.finish()
