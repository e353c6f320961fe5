"""
The lists by which lockers know codes without us: made from claims and codes, sent until confirmed.

A list names codes by digests under the device's own key, claims by their identity, and doors; no names, no
digits. It says up to which report the device's word is known in it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from common import clock, events
from lockers import fitting, tokens, wire
from lockers.models import Compartment, Device, Locker, LockerCode, Reservation
from lockers.services import codes
from lockers.states import (
    LIST_AGAIN_AFTER,
    LIST_EVERY,
    LIST_RENEWED_AFTER,
    CodeState,
    CompartmentState,
    LinkState,
    Purpose,
    ReservationState,
)

#: Codes that a list names: those that open something now, and those that will.
LISTED = frozenset({CodeState.ISSUED, CodeState.ACTIVE, CodeState.IN_USE})
_UNDER_WAY = {CompartmentState.OCCUPIED, CompartmentState.COLLECTING}


@dataclass(frozen=True, slots=True)
class Content:
    """What a list says, and what tells it from another."""

    entries: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    digest: str


def due(*, real_at: datetime) -> QuerySet[Device]:
    """Return the devices online that may be behind on their list."""
    is_behind = (
        Q(list_version=0)
        | Q(locker__revision__gt=F("list_revision"))
        | Q(list_confirmed__lt=F("list_version"))
    )
    was_left_alone = Q(list_sent_at=None) | Q(list_sent_at__lt=real_at - LIST_EVERY)
    return Device.objects.full().filter(is_behind, was_left_alone, state=LinkState.ONLINE)


def is_due(device: Device, *, real_at: datetime) -> bool:
    """Tell, without a query, whether a device may be behind; ``device.locker`` was read with it."""
    is_behind = (
        device.list_version == 0
        or device.locker.revision > device.list_revision
        or device.list_confirmed < device.list_version
    )
    return is_behind and (device.list_sent_at is None or device.list_sent_at < real_at - LIST_EVERY)


@transaction.atomic
def next_message(device: Device, *, at: datetime, real_at: datetime) -> Mapping[str, Any] | None:
    """
    Return what to tell a device that may be behind; nothing if it knows, or has just been told.

    While somebody else works on the locker nothing is said either: it is about to change, and is asked again.
    """
    unlocked = Locker.objects.select_for_update(no_key=True, skip_locked=True)
    locker = unlocked.filter(pk=device.locker_id).first()
    if locker is None:
        return None
    device = Device.objects.select_for_update(no_key=True).get(pk=device.pk)
    device.locker = locker
    if not is_due(device, real_at=real_at):
        return None
    content = _content(device, at=at)
    is_news = content.digest != device.list_digest or _is_stale(device, real_at=real_at)
    device.list_revision = locker.revision
    if not is_news and (
        device.list_confirmed == device.list_version
        or (device.list_sent_at is not None and device.list_sent_at > real_at - LIST_AGAIN_AFTER)
    ):
        device.save(update_fields=["list_revision"])
        return None
    if is_news:
        device.list_version += 1
        device.list_digest = content.digest
        events.record(
            "codes_listed",
            scope=locker.namespace,
            at=at,
            locker=locker.slug,
            version=device.list_version,
            num_codes=len(content.entries),
        )
    device.list_sent_at = real_at
    device.save(update_fields=["list_version", "list_digest", "list_revision", "list_sent_at"])
    return {
        "version": device.list_version,
        "as_of": _as_of(device),
        "claims": content.claims,
        "entries": content.entries,
    }


def confirm(device: Device, version: int) -> None:
    """Note which version a device keeps."""
    Device.objects.filter(pk=device.pk, list_confirmed__lt=version, list_version__gte=version).update(
        list_confirmed=version
    )


def may_act_alone(locker: Locker) -> bool:
    """Tell whether a locker may still follow a list that says something else than one made now would."""
    told = Device.objects.full().in_service().filter(locker=locker, list_version__gt=0)
    is_behind = Q(list_confirmed__lt=F("list_version")) | Q(list_revision__lt=F("locker__revision"))
    return told.filter(is_behind | ~Q(state=LinkState.ONLINE)).exists()


def _is_stale(device: Device, *, real_at: datetime) -> bool:
    sent_at = device.list_sent_at
    return device.list_confirmed == device.list_version and (
        sent_at is None or sent_at < real_at - LIST_RENEWED_AFTER
    )


def _as_of(device: Device) -> dict[str, Any]:
    applied = device.boots.filter(applied_seq__gt=0).order_by("boot_id").last()
    return {"boot_id": applied.boot_id if applied else "", "seq": applied.applied_seq if applied else 0}


def _content(device: Device, *, at: datetime) -> Content:
    held = list(
        Reservation.objects.holding()
        .filter(locker=device.locker_id)
        .exclude(state=ReservationState.OVERDUE)
        .select_related("compartment", "code", "deposit_code")
        .order_by("pk")
    )
    doors = _doors_for(device.locker, [one for one in held if one.state in _TO_COME])
    claims = [_claim(reservation, doors[reservation.pk], at=at) for reservation in held]
    entries = [*_deposit_entries(device, held), *_collection_entries(device, held)]
    told = json.dumps([device.num_own_decisions, claims, entries], sort_keys=True)
    return Content(entries, claims, hashlib.sha256(told.encode()).hexdigest())


_TO_COME = frozenset({ReservationState.RESERVED, ReservationState.DEPOSITING})


def _claim(reservation: Reservation, doors: Sequence[int], *, at: datetime) -> dict[str, Any]:
    compartment = reservation.compartment
    state, num_openings = "expected", 0
    if reservation.state == ReservationState.DEPOSITING:
        state, num_openings = "depositing", int(reservation.opened_at is not None)
    elif reservation.state in {ReservationState.DEPOSITED, ReservationState.COLLECTING}:
        # Behind a door that waits for a check, nobody gets to the goods.
        is_open = compartment is not None and compartment.state in _UNDER_WAY
        if is_open and not (reservation.opened_at and reservation.collection_is_over(at=at)):
            state, num_openings = "here", reservation.num_openings if reservation.collecting_since else 0
    is_somewhere = compartment is not None and state != "expected"
    return {
        "claim_id": str(reservation.pk),
        "state": state,
        "compartment_number": compartment.number if compartment is not None and is_somewhere else None,
        "num_openings": num_openings,
        "doors": list(doors),
    }


def _deposit_entries(device: Device, held: Iterable[Reservation]) -> list[dict[str, Any]]:
    return [
        _entry(device, reservation.deposit_code, Purpose.DEPOSIT, [reservation], one_visit=False)
        for reservation in held
        if reservation.state in _TO_COME
        and reservation.deposit_code is not None
        and reservation.deposit_code.state in LISTED
    ]


def _collection_entries(device: Device, held: Iterable[Reservation]) -> list[dict[str, Any]]:
    goods: dict[LockerCode, list[Reservation]] = defaultdict(list)
    for reservation in held:
        if reservation.code is not None and reservation.code.state in LISTED:
            goods[reservation.code].append(reservation)
    helpers = LockerCode.objects.filter(on_behalf_of__in=goods, state__in=LISTED).order_by("pk")
    own = [_entry(device, code, Purpose.COLLECT, of, one_visit=False) for code, of in goods.items()]
    principals = {code.pk: code for code in goods}
    shared = [
        _entry(device, helper, Purpose.COLLECT, goods[principals[helper.on_behalf_of_id]], one_visit=True)
        for helper in helpers
        if helper.on_behalf_of_id in principals
    ]
    return [*own, *shared]


def _entry(
    device: Device, code: LockerCode, purpose: Purpose, goods: Iterable[Reservation], *, one_visit: bool
) -> dict[str, Any]:
    return {
        "entry_id": str(code.pk),
        "purpose": purpose.value,
        "digest": tokens.list_digest(device.pk, codes.digits_of(code)),
        "qr": tokens.qr_digest(code.pk),
        "not_after": wire.moment(clock.real_moment(code.valid_until)),
        "claims": [str(reservation.pk) for reservation in goods],
        "one_visit": one_visit,
    }


def _doors_for(locker: Locker, coming: Sequence[Reservation]) -> dict[Any, list[int]]:
    """
    Return, for each claim to come, the doors that a courier may use for it, the best first.

    No two claims are given the same door in the first place; the doors that nobody is given are what all of
    them may try when the first does not serve.
    """
    doors: dict[Any, list[int]] = defaultdict(list)
    if not coming:
        return doors
    free = fitting.in_order(Compartment.objects.free().filter(locker=locker))
    waiting = [claim for claim in coming if claim.state == ReservationState.RESERVED]
    for claim in waiting:
        if claim.compartment is not None:
            doors[claim.pk].append(claim.compartment.number)
    unbound = [claim for claim in waiting if claim.compartment is None]
    while unbound:
        claim = unbound.pop(0)
        chosen = fitting.choose(claim, free, unbound)
        if chosen is not None:
            free.remove(chosen)
            doors[claim.pk].append(chosen.number)
    for claim in coming:
        doors[claim.pk] += [door.number for door in free if fitting.fits(claim, door)]
    return doors
