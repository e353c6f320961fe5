"""Locker codes: issued, shown again, ended."""

import base64
import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from common import events
from common.exceptions import InvalidTransition
from lockers.exceptions import CodeNotRevealable, NoCodeLeft
from lockers.models import CodeMask, LockerCode
from lockers.states import LIVE_CODES, CodeState

DIGITS = 8
#: Draws until a code is two places away from all others; with a thousand live codes one in 1,400 is refused.
ATTEMPTS = 20

_Draft = tuple[LockerCode, list[CodeMask]]


def issue(*, namespace: str, holder: UUID, occasion: UUID, valid_until: datetime, at: datetime) -> LockerCode:
    """Give a holder the code for an occasion, as ``issue_all`` does."""
    issued = issue_all(
        namespace=namespace, holders=[holder], occasion=occasion, valid_until=valid_until, at=at
    )
    return issued[holder]


@transaction.atomic
def issue_all(
    *, namespace: str, holders: Collection[UUID], occasion: UUID, valid_until: datetime, at: datetime
) -> dict[UUID, LockerCode]:
    """
    Give each holder the code for an occasion; those that live already are returned.

    Raises
    ------
    NoCodeLeft
        If no codes far enough from all others were found.
    """
    present = {"namespace": namespace, "holder__in": holders, "occasion": occasion, "state__in": LIVE_CODES}
    for _ in range(ATTEMPTS):
        issued = {code.holder: code for code in LockerCode.objects.filter(**present)}
        missing = [holder for holder in holders if holder not in issued]
        if not missing:
            return issued
        drafts = [
            _draft(
                LockerCode(
                    namespace=namespace,
                    holder=holder,
                    occasion=occasion,
                    valid_until=valid_until,
                    issued_at=at,
                )
            )
            for holder in missing
        ]
        try:
            with transaction.atomic():
                _store(_far_apart(namespace, drafts))
        except IntegrityError:
            continue  # Someone issued such a code, or one for such a holder, at the same moment.
    raise NoCodeLeft(namespace=namespace)


def reveal(code: LockerCode, *, reason: str, at: datetime) -> str:
    """
    Return the digits, to print or send them; each time is recorded.

    Raises
    ------
    CodeNotRevealable
        If the code is no longer valid.
    """
    if not code.is_live:
        raise CodeNotRevealable(state=code.state)
    events.record("code_revealed", scope=code.namespace, at=at, code=str(code.pk), reason=reason)
    return _safe().decrypt(code.sealed.encode()).decode()


@transaction.atomic
def revoke(code: LockerCode, *, at: datetime) -> None:
    """Make a code worthless; what it would open stays closed until another code is issued."""
    end(code, CodeState.REVOKED, at=at)


@transaction.atomic
def end(code: LockerCode, to: CodeState, *, at: datetime) -> None:
    """End a code and wipe what could tell its digits."""
    if code.advance(to, ended_at=at, digest="", sealed=""):
        CodeMask.objects.filter(code=code).delete()


def end_if_used_up(code: LockerCode, *, at: datetime) -> None:
    """End a code that has nothing left to open: used if it ever opened something, else expired."""
    code.refresh_from_db()
    if not code.is_live or code.reservations.awaiting_collection().exists():
        return
    end(code, CodeState.USED if code.state == CodeState.IN_USE else CodeState.EXPIRED, at=at)


def sweep(*, at: datetime) -> None:
    """End the codes whose time is over, except while someone collects."""
    for code in LockerCode.objects.live().filter(valid_until__lt=at):
        if code.reservations.filter(state="collecting").exists():
            continue
        try:
            end(code, CodeState.EXPIRED, at=at)
        except InvalidTransition:
            continue  # It was used up at the same moment.


def find(*, namespace: str, digits: str) -> LockerCode | None:
    """Return the live code with these digits."""
    return LockerCode.objects.live().filter(namespace=namespace, digest=_digest(namespace, digits)).first()


def draw() -> str:
    """Draw eight digits that nobody can guess."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def _draft(code: LockerCode) -> _Draft:
    """Draw digits for a code, and mask each of its places."""
    digits = draw()
    code.digest = _digest(code.namespace, digits)
    code.sealed = _safe().encrypt(digits.encode()).decode()
    return code, [
        CodeMask(
            code=code,
            namespace=code.namespace,
            position=position,
            digest=_digest(code.namespace, f"{digits[:position]}*{digits[position + 1 :]}"),
        )
        for position in range(DIGITS)
    ]


def _far_apart(namespace: str, drafts: Sequence[_Draft]) -> list[_Draft]:
    """Return the drafts that are two places away from all live codes and from each other."""
    by_position: dict[int, list[str]] = defaultdict(list)
    for mask in (mask for _, masks in drafts for mask in masks):
        by_position[mask.position].append(mask.digest)
    near = Q()
    for position, digests in by_position.items():
        near |= Q(position=position, digest__in=digests)
    taken = set(CodeMask.objects.filter(near, namespace=namespace).values_list("position", "digest"))
    kept = []
    for code, masks in drafts:
        places = {(mask.position, mask.digest) for mask in masks}
        if not places & taken:
            kept.append((code, masks))
            taken |= places
    return kept


def _store(drafts: Sequence[_Draft]) -> None:
    LockerCode.objects.bulk_create(code for code, _ in drafts)
    CodeMask.objects.bulk_create((mask for _, masks in drafts for mask in masks), batch_size=500)


def _digest(namespace: str, text: str) -> str:
    return hmac.new(_pepper(), f"{namespace}\0{text}".encode(), hashlib.sha256).hexdigest()


@cache
def _pepper() -> bytes:
    return base64.b64decode(settings.LOCKER_CODE_PEPPER)


@cache
def _safe() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.LOCKER_CODE_KEYS])
