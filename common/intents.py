"""
Intents: what must follow a transaction is a row written in it, so that no crash can lose it.

``ask`` writes the row, ``perform`` does the work: it claims the row by one conditional UPDATE, acts, and
finishes under its own token. A second delivery of the message finds nothing to claim.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol
from uuid import UUID, uuid4

from django.db import models, transaction
from django.db.models import F

from common.clock import real_now
from common.models import Intent, IntentState
from common.prepared import Prepared, PreparedInsert, PreparedUpdate

logger = logging.getLogger(__name__)

#: After so many claims without success an intent is dead and waits for a person.
MAX_ATTEMPTS = 5
RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (1, 5, 30, 120, 600))


class LeaseLost(Exception):
    """Someone else has claimed the row since."""


class Handler(Protocol):
    """Does the work of one kind of intent; its arguments are identifiers, or lists of them."""

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
    together: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on intents until the lease ends."""

    intent_ids: Sequence[int]
    token: UUID
    lease: timedelta
    max_attempts: int = MAX_ATTEMPTS

    def extend(self) -> None:
        """
        Keep the lease for another while.

        Raises
        ------
        LeaseLost
            If the lease ran out and someone else claimed a row.
        """
        if self._mine().update(lease_until=real_now() + self.lease) != len(self.intent_ids):
            raise LeaseLost

    def finish(self) -> None:
        """
        Mark the work as done; inside the transaction of its effect, so that both or neither stand.

        Raises
        ------
        LeaseLost
            If someone else claimed a row since.
        """
        if _FINISH(ids=self.intent_ids, token=self.token, at=real_now()) != len(self.intent_ids):
            raise LeaseLost

    def let_go(self) -> None:
        """Give the rows back as if they had not been claimed."""
        self._mine().update(state=IntentState.WAITING, token=None, attempts=F("attempts") - 1)

    def fail(self, error: str) -> None:
        """Give the one row back for another attempt, or up when it has had enough of them."""
        [intent_id] = self.intent_ids
        attempts = Intent.objects.values_list("attempts", flat=True).get(pk=intent_id)
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
        return Intent.objects.filter(pk__in=self.intent_ids, token=self.token, state=IntentState.CLAIMED)


_ASK = PreparedInsert(Intent, ignore_conflicts=True)
_BY_IDS = Prepared(
    lambda ids: Intent.objects.filter(pk__among=ids).order_by("pk"), ids=[models.BigAutoField()]
)
_CLAIM = PreparedUpdate(
    lambda ids, at, token, lease_until, most: (
        Intent.objects.filter(pk__among=ids, attempts__lt=most).claimable(at=at),
        {
            "state": IntentState.CLAIMED,
            "token": token,
            "lease_until": lease_until,
            "attempts": F("attempts") + 1,
        },
    ),
    ids=[models.BigAutoField()],
    at=models.DateTimeField(),
    token=models.UUIDField(),
    lease_until=models.DateTimeField(),
    most=models.PositiveSmallIntegerField(),
)
_FINISH = PreparedUpdate(
    lambda ids, token, at: (
        Intent.objects.filter(pk__among=ids, token=token, state=IntentState.CLAIMED),
        {"state": IntentState.DONE, "done_at": at, "token": None},
    ),
    ids=[models.BigAutoField()],
    token=models.UUIDField(),
    at=models.DateTimeField(),
)
_kinds: dict[str, Kind] = {}


def handles(
    name: str,
    *,
    queue: str,
    lease_s: float = 30,
    one_transaction: bool = True,
    max_attempts: int = MAX_ATTEMPTS,
    together: int = 1,
) -> Callable[[Handler], Handler]:
    """
    Register the handler of a kind of intent.

    With ``one_transaction`` the handler runs in the transaction that also finishes the intent; without, it
    runs outside and calls ``claim.finish()`` itself in the transaction that stores its result. After
    ``max_attempts`` claims without success an intent waits for a person. With ``together``, up to so many
    intents are worked on in one transaction, and the handler gets each argument as a list; if it fails, each
    of them is worked on by itself.
    """

    def register(handler: Handler) -> Handler:
        if name in _kinds:
            raise ValueError(f"Two handlers for intents of kind {name}")
        lease = timedelta(seconds=lease_s)
        _kinds[name] = Kind(name, queue, lease, handler, one_transaction, max_attempts, together)
        return handler

    return register


def ask(kind: str, *, key: str, not_before: datetime | None = None, **arguments: Any) -> None:
    """Write an intent in the present transaction; a key that was asked before changes nothing."""
    ask_all(kind, {key: arguments}, not_before=not_before)


def ask_all(
    kind: str, arguments: Mapping[str, Mapping[str, Any]], *, not_before: datetime | None = None
) -> None:
    """Write intents of one kind by their keys, as ``ask`` does."""
    moment = real_now()
    _ASK(
        *(
            Intent(
                kind=kind,
                queue=_kinds[kind].queue,
                key=f"{kind}:{key}",
                arguments=of_one,
                not_before=not_before or moment,
                created_at=moment,
            )
            for key, of_one in arguments.items()
        )
    )


def joint_kinds() -> Iterator[Kind]:
    """Yield the kinds of which several intents are worked on together."""
    return (kind for kind in _kinds.values() if kind.together > 1)


def in_messages(intents: Iterable[Intent]) -> Iterator[Sequence[Intent]]:
    """Yield those that may share a message, for they are worked on together, in the order of the first."""
    by_kind: dict[str, list[Intent]] = {}
    for intent in intents:
        by_kind.setdefault(intent.kind, []).append(intent)
    for kind, alike in by_kind.items():
        left = iter(alike)
        while chunk := list(islice(left, _kinds[kind].together)):
            yield chunk


def give_up(intents: Iterable[Intent], *, at: datetime) -> set[int]:
    """Mark those as dead whose last worker ended without a word, and return their identifiers."""
    exhausted = {
        intent.pk
        for intent in intents
        if intent.state == IntentState.CLAIMED and intent.attempts >= _kinds[intent.kind].max_attempts
    }
    if exhausted:
        left = Intent.objects.filter(pk__in=exhausted, state=IntentState.CLAIMED, lease_until__lt=at)
        left.update(
            state=IntentState.DEAD, token=None, last_error="The worker ended before its work was done."
        )
    return exhausted


def perform(*intent_ids: int) -> None:
    """Claim intents and do their work; where there is nothing to claim, do nothing."""
    for together in in_messages(_BY_IDS.all(ids=intent_ids)):
        _perform(_kinds[together[0].kind], together)


def _perform(kind: Kind, together: Sequence[Intent]) -> None:
    claim = _claim([intent.pk for intent in together], kind)
    if claim is None:
        return
    try:
        _work(kind, claim, [intent.arguments for intent in together if intent.pk in claim.intent_ids])
    except LeaseLost:
        logger.warning("intents %s: lease lost, someone else works on them", claim.intent_ids)
    except Exception as error:  # any failure is counted on the row, and the row is tried again
        if len(claim.intent_ids) == 1:
            logger.exception("intent %s (%s) failed", claim.intent_ids[0], kind.name)
            claim.fail(f"{type(error).__name__}: {error}")
            return
        logger.warning("intents %s (%s) failed together: %r", claim.intent_ids, kind.name, error)
        claim.let_go()
        for intent in together:
            _perform(kind, [intent])


def _claim(intent_ids: Sequence[int], kind: Kind) -> Claim | None:
    token, moment = uuid4(), real_now()
    num_claimed = _CLAIM(
        ids=intent_ids, at=moment, token=token, lease_until=moment + kind.lease, most=kind.max_attempts
    )
    if num_claimed < len(intent_ids):
        intent_ids = [intent.pk for intent in _BY_IDS.all(ids=intent_ids) if intent.token == token]
    claim = Claim(intent_ids=intent_ids, token=token, lease=kind.lease, max_attempts=kind.max_attempts)
    return claim if intent_ids else None


def _work(kind: Kind, claim: Claim, arguments: Sequence[Mapping[str, Any]]) -> None:
    handed = arguments[0]
    if kind.together > 1:
        handed = {name: [of_one[name] for of_one in arguments] for name in handed}
    if not kind.one_transaction:
        kind.handler(claim, **handed)
        return
    with transaction.atomic():
        kind.handler(claim, **handed)
        claim.finish()
