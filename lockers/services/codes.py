"""Locker codes: issued, shown again, ended."""

import base64
import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from uuid import UUID, uuid4

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from common import events
from common.exceptions import InvalidTransition
from lockers import tokens
from lockers.exceptions import CodeNotRevealable, NoCodeLeft
from lockers.models import CodeMask, Locker, LockerCode, Reservation
from lockers.services import cabinets
from lockers.states import (
    LIVE_CODES,
    OPENING_CODES,
    WITHIN_REACH,
    CodeState,
    Purpose,
    ReservationState,
)

DIGITS = 8
#: Draws until a code is two places away from all others; with a thousand live codes one in 1,400 is refused.
ATTEMPTS = 20

#: By which states a new code comes to stand as the one that it replaces.
_WAYS: Mapping[CodeState, Sequence[CodeState]] = {
    CodeState.ISSUED: (),
    CodeState.ACTIVE: (CodeState.ACTIVE,),
    CodeState.IN_USE: (CodeState.ACTIVE, CodeState.IN_USE),
    CodeState.FROZEN: (CodeState.FROZEN,),
}

_Draft = tuple[LockerCode, list[CodeMask]]


def issue(*, namespace: str, holder: UUID, occasion: UUID, valid_until: datetime, at: datetime) -> LockerCode:
    """Give a holder the code for an occasion, as ``issue_all`` does."""
    issued = issue_all(
        namespace=namespace, holders=[holder], occasion=occasion, valid_until=valid_until, at=at
    )
    return issued[holder]


@transaction.atomic
def issue_all(
    *,
    namespace: str,
    holders: Collection[UUID],
    occasion: UUID,
    valid_until: datetime,
    at: datetime,
    purpose: Purpose = Purpose.COLLECT,
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
                    purpose=purpose,
                    # A courier's code opens doors as soon as it is known.
                    state=CodeState.ACTIVE if purpose == Purpose.DEPOSIT else CodeState.ISSUED,
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


@transaction.atomic
def issue_for_deposits(reservations: Sequence[Reservation], *, at: datetime) -> None:
    """
    Give claims the codes with which a courier opens a door for each at the keypad, until they expire.

    Raises
    ------
    NoCodeLeft
        If no codes far enough from all others were found.
    """
    cabinets.lock_all({reservation.locker_id for reservation in reservations})
    alike: dict[tuple[str, datetime], list[Reservation]] = defaultdict(list)
    for reservation in reservations:
        if reservation.deposit_code_id is None:
            alike[reservation.locker.namespace, reservation.expires_at].append(reservation)
    for (namespace, expires_at), claims in alike.items():
        issued = issue_all(
            namespace=namespace,
            holders=[claim.pk for claim in claims],
            occasion=uuid4(),
            valid_until=expires_at,
            at=at,
            purpose=Purpose.DEPOSIT,
        )
        for claim in claims:
            claim.deposit_code = issued[claim.pk]
        Reservation.objects.bulk_update(claims, ["deposit_code"], batch_size=200)


@transaction.atomic
def issue_for_helper(code: LockerCode, *, helper: UUID, at: datetime) -> LockerCode:
    """
    Give somebody a code that collects the goods of another one, once; it dies with that one at the latest.

    Raises
    ------
    InvalidTransition
        If the code is a helper's itself, or no longer valid.
    NoCodeLeft
        If no code far enough from all others was found.
    """
    lock_lockers(code)
    code = LockerCode.objects.select_for_update(no_key=True).get(pk=code.pk)
    if code.on_behalf_of_id is not None or code.purpose != Purpose.COLLECT or not code.is_live:
        raise InvalidTransition(thing="code", present=code.state, wanted="shared")
    issued = issue(
        namespace=code.namespace,
        holder=helper,
        occasion=code.occasion,
        valid_until=code.valid_until,
        at=at,
    )
    issued.on_behalf_of = code
    issued.save(update_fields=["on_behalf_of"])
    if issued.state == CodeState.ISSUED and code.state in OPENING_CODES:
        issued.advance(CodeState.ACTIVE)
    events.record("helper_code_issued", scope=code.namespace, at=at, code=str(code.pk), helper=str(issued.pk))
    return issued


def begin_visit(code: LockerCode, *, at: datetime) -> None:
    """Note that a helper came; the code is good for this visit only."""
    if code.on_behalf_of_id is not None and code.state == CodeState.ACTIVE:
        code.advance(CodeState.IN_USE)
        events.record("opened_by_helper", scope=code.namespace, at=at, helper=str(code.pk))


def activate(code: LockerCode) -> None:
    """Let a code and those of its helpers open doors, now that goods lie behind one."""
    if code.state == CodeState.ISSUED:
        code.advance(CodeState.ACTIVE)
        for helper in code.helpers.filter(state=CodeState.ISSUED):
            helper.advance(CodeState.ACTIVE)


def freeze(code: LockerCode) -> None:
    """Let a code, and with it those of its helpers, open nothing for now; ``lock_lockers`` went before."""
    if code.state in OPENING_CODES:
        code.advance(CodeState.FROZEN)


def thaw(code: LockerCode) -> None:
    """Let a frozen code open doors again, and those of its helpers; ``lock_lockers`` went before."""
    if code.state != CodeState.FROZEN:
        return
    begun = {ReservationState.COLLECTING, ReservationState.COLLECTED}
    was_used = code.reservations.filter(state__in=begun).exists()
    code.advance(CodeState.IN_USE if was_used else CodeState.ACTIVE)
    for helper in code.helpers.filter(state=CodeState.ISSUED):
        helper.advance(CodeState.ACTIVE)


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
    return digits_of(code)


def digits_of(code: LockerCode) -> str:
    """Return a live code's digits, for lockers; to people they are shown by ``reveal``, which is recorded."""
    return _safe().decrypt(code.sealed.encode()).decode()


@transaction.atomic
def revoke(code: LockerCode, *, at: datetime) -> None:
    """Make a code worthless; what it would open stays closed until another code is issued."""
    lock_lockers(code)
    end(code, CodeState.REVOKED, at=at)


@transaction.atomic
def replace(code: LockerCode, *, by: UUID, at: datetime) -> LockerCode:
    """
    Revoke a resident's code and give its holder another one for what it would still open; as far as it was.

    The codes of its helpers end with it. A locker out of touch takes the old one until it hears of this.

    Raises
    ------
    InvalidTransition
        If the code is a helper's or a courier's, or no longer valid.
    NoCodeLeft
        If no code far enough from all others was found.
    """
    lock_lockers(code)
    code = LockerCode.objects.select_for_update(no_key=True).get(pk=code.pk)
    if code.on_behalf_of_id is not None or code.purpose != Purpose.COLLECT or not code.is_live:
        raise InvalidTransition(thing="code", present=code.state, wanted="replaced")
    way = _WAYS[CodeState(code.state)]
    end(code, CodeState.REVOKED, at=at)
    issued = issue(
        namespace=code.namespace,
        holder=code.holder,
        occasion=code.occasion,
        valid_until=code.valid_until,
        at=at,
    )
    for state in way:
        issued.advance(state)
    code.reservations.holding().update(code=issued)
    facts = {"code": str(code.pk), "successor": str(issued.pk), "by": str(by)}
    events.record("code_replaced", scope=code.namespace, at=at, **facts)
    return issued


@transaction.atomic
def end(code: LockerCode, to: CodeState, *, at: datetime) -> None:
    """End a code and wipe what could tell its digits; the codes of its helpers end with it."""
    if not code.advance(to, ended_at=at, digest="", sealed=""):
        return
    CodeMask.objects.filter(code=code).delete()
    if code.on_behalf_of_id is None:
        for helper in code.helpers.live():
            end(helper, _end_of(helper), at=at)


def end_deposit(reservation: Reservation, *, at: datetime) -> None:
    """End the code for a deposit that is done, or will not be made."""
    code = reservation.deposit_code
    if code is not None and code.is_live:
        end(code, _end_of(code), at=at)


def end_if_used_up(code: LockerCode, *, at: datetime) -> None:
    """
    End a code that has nothing left to open: used if it ever opened something, else expired.

    A helper's code ends with the first visit: once nothing that lay there is left.
    """
    code.refresh_from_db()
    if not code.is_live:
        return
    if not code.reservations.awaiting_collection().exists():
        end(code, _end_of(code), at=at)
    elif not code.reservations.filter(state__in=WITHIN_REACH).exists():
        for helper in code.helpers.filter(state=CodeState.IN_USE):
            end(helper, CodeState.USED, at=at)


def _end_of(code: LockerCode) -> CodeState:
    return CodeState.USED if code.state == CodeState.IN_USE else CodeState.EXPIRED


def sweep(*, at: datetime) -> None:
    """End the codes whose time is over, except while someone collects."""
    for code in LockerCode.objects.live().filter(valid_until__lt=at).select_related("on_behalf_of"):
        if code.principal.reservations.filter(state=ReservationState.COLLECTING).exists():
            continue
        with suppress(InvalidTransition):  # It was used up at the same moment.
            _expire(code, at=at)


@transaction.atomic
def _expire(code: LockerCode, *, at: datetime) -> None:
    lock_lockers(code)
    end(code, CodeState.EXPIRED, at=at)


def lock_lockers(code: LockerCode) -> None:
    """Lock the lockers that know a code; they are to hear that it changes."""
    claims = Q(reservations__code=code.principal.pk) | Q(reservations__deposit_code=code.pk)
    cabinets.lock_all(Locker.objects.filter(claims).values_list("pk", flat=True).distinct())


def find(*, namespace: str, entered: str) -> LockerCode | None:
    """Return the live code with these digits, or the one that a QR token proves to know."""
    live = LockerCode.objects.live().select_related("on_behalf_of").filter(namespace=namespace)
    if is_scanned(entered):
        code_id = tokens.code_in(entered)
        return None if code_id is None else live.filter(pk=code_id).first()
    return live.filter(digest=_digest(namespace, entered)).first()


def is_scanned(entered: str) -> bool:
    """Tell whether a code was scanned rather than typed."""
    return entered.startswith(tokens.QR_PREFIX)


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
