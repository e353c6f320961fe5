"""Locker codes: issued, shown again, ended."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from functools import cache
from uuid import UUID

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import IntegrityError, transaction

from common import events
from common.exceptions import InvalidTransition
from lockers.exceptions import CodeNotRevealable, NoCodeLeft
from lockers.models import CodeMask, LockerCode
from lockers.states import LIVE_CODES, CodeState

DIGITS = 8
#: Draws until a code is two places away from all others; with a thousand live codes one in 1,400 is refused.
ATTEMPTS = 20


@transaction.atomic
def issue(*, namespace: str, holder: UUID, occasion: UUID, valid_until: datetime, at: datetime) -> LockerCode:
    """
    Give a holder the code for an occasion; one that lives already is returned.

    Raises
    ------
    NoCodeLeft
        If no code far enough from all others was found.
    """
    present = {"namespace": namespace, "holder": holder, "occasion": occasion, "state__in": LIVE_CODES}
    for _ in range(ATTEMPTS):
        known = LockerCode.objects.filter(**present).first()
        if known is not None:
            return known
        code = LockerCode(
            namespace=namespace, holder=holder, occasion=occasion, valid_until=valid_until, issued_at=at
        )
        try:
            with transaction.atomic():
                _store(code, draw())
        except IntegrityError:
            continue  # Too near to another code, or someone issued this holder's code at the same moment.
        return code
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


def _store(code: LockerCode, digits: str) -> None:
    code.digest = _digest(code.namespace, digits)
    code.sealed = _safe().encrypt(digits.encode()).decode()
    code.save(force_insert=True)
    CodeMask.objects.bulk_create(
        CodeMask(
            code=code,
            namespace=code.namespace,
            position=position,
            digest=_digest(code.namespace, f"{digits[:position]}*{digits[position + 1 :]}"),
        )
        for position in range(DIGITS)
    )


def _digest(namespace: str, text: str) -> str:
    return hmac.new(_pepper(), f"{namespace}\0{text}".encode(), hashlib.sha256).hexdigest()


@cache
def _pepper() -> bytes:
    return base64.b64decode(settings.LOCKER_CODE_PEPPER)


@cache
def _safe() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.LOCKER_CODE_KEYS])
