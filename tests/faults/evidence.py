"""Gathers what is known of a run: from files beside the devices, from the cabinets, and row by row."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count

from common.models import Intent, IntentState
from lockers.device.hands import Door as Seen
from lockers.models import Compartment, Device, DeviceEvent, OpenCommand, Reservation
from logistics.models import Message
from logistics.models import Order as OrderRow
from tests.faults import trace, witness
from tests.faults.bundles import NAMESPACE, Bundle, Place
from tests.faults.judge import TRANSITIONS, Claimed, Door, Evidence, Move, Order, Pulse, Report, Stored, Work
from tests.faults.orders import Listed

#: The broker's account of our own.
OURS = "dorfbote"


def gather(
    run_directory: Path, bundles: Sequence[Bundle], listed: Listed, contents: Mapping[str, Sequence[Seen]]
) -> Evidence:
    """Gather all evidence; ``contents`` is what the cabinets hold, by locker."""
    folders = [trail.parent for trail in run_directory.glob(f"fleet-*/*/{witness.TRAIL}")]
    noted = trace.changes()
    in_service = frozenset(str(pk) for pk in Device.objects.in_service().values_list("pk", flat=True))
    return Evidence(
        answers=listed.answers,
        num_parcels=listed.num_parcels,
        orders=list(_orders(listed)),
        # What a device had not reported when it was retired, nobody wants to know any more.
        reports=[one for folder in folders for one in reports(folder) if one.device in in_service],
        stored=[one for one in _stored(noted["event"]) if one.device in in_service],
        pulses=[pulse for folder in folders for pulse in pulses(folder)],
        commands={str(pk): state for pk, state in OpenCommand.objects.values_list("pk", "state")},
        moves=[
            Move(thing=thing, row=change.row, before=str(change.before), after=str(change.after))
            for thing in TRANSITIONS
            for change in noted[thing]
            if change.before != change.after
        ],
        works=[*_intents(noted["intent"]), *_messages(noted["message"])],
        doors=list(_doors(contents)),
        bundles=list(_bundles(bundles)),
        accounts=_accounts(run_directory / "mosquitto" / "accounts.json"),
        in_service=in_service,
    )


def unreported(folder: Path) -> int:
    """Return how many reports in a device's journal wait for the server, as anybody may read it."""
    reported: list[tuple[str, int]] = []
    acknowledged: dict[str, int] = {}
    for record in _lines(folder / witness.TRAIL):
        if record["is"] == "report":
            reported.append((record["envelope"]["boot_id"], record["envelope"]["seq"]))
        elif record["is"] == "acknowledged":
            acknowledged[record["boot_id"]] = record["seq"]
    return sum(seq > acknowledged.get(boot_id, 0) for boot_id, seq in reported)


def _orders(listed: Listed) -> Iterator[Order]:
    rows = OrderRow.objects.filter(note__in=list(listed.answers)).annotate(num_parcels=Count("parcels"))
    for pk, key, num_parcels in rows.values_list("pk", "note", "num_parcels"):
        yield Order(id=str(pk), key=key, num_parcels=num_parcels)


def reports(folder: Path) -> Iterator[Report]:
    for record in _lines(folder / witness.TRAIL):
        if record["is"] == "report":
            said = record["envelope"]
            yield Report(
                device=said["kid"], boot_id=said["boot_id"], seq=said["seq"], message_id=said["message_id"]
            )


def _stored(noted: Iterable[trace.Change]) -> Iterator[Stored]:
    applied = trace.times(noted)
    for row in DeviceEvent.objects.all():
        yield Stored(
            device=str(row.device_id),
            boot_id=row.boot_id,
            seq=row.seq,
            message_id=str(row.message_id),
            times_applied=applied[str(row.pk)],
            problem=row.problem,
        )


def pulses(folder: Path) -> Iterator[Pulse]:
    """Yield each time that a device drove a lock."""
    for line in _lines(folder / witness.PULSES):
        expires_at = line.get("expires_at")
        yield Pulse(
            place=(folder.name, line["compartment"]),
            at=datetime.fromisoformat(line["at"]),
            command=str(line["command"]),
            expires_at=expires_at and datetime.fromisoformat(expires_at),
            is_stale=line.get("is_stale", False),
        )


def _intents(noted: Sequence[trace.Change]) -> Iterator[Work]:
    done = trace.times(noted, to=IntentState.DONE)
    for row in Intent.objects.all():
        yield Work(name=str(row), is_done=row.state == IntentState.DONE, times_done=done[str(row.pk)])


def _messages(noted: Sequence[trace.Change]) -> Iterator[Work]:
    sent = trace.times(noted)
    for row in Message.objects.all():
        yield Work(name=f"message {row}", is_done=row.sent_at is not None, times_done=sent[str(row.pk)])


def _doors(contents: Mapping[str, Sequence[Seen]]) -> Iterator[Door]:
    found = {(slug, door.compartment): door for slug, doors in contents.items() for door in doors}
    for row in Compartment.objects.filter(locker__namespace=NAMESPACE).select_related("locker"):
        place = row.locker.slug, row.number
        if place in found:
            yield Door(
                place=place,
                state=row.state,
                believed=row.door,
                verify_empty=row.verify_empty,
                goods=found[place].goods,
                is_open=found[place].is_open,
            )


def _bundles(bundles: Iterable[Bundle]) -> Iterator[Claimed]:
    states = dict(Reservation.objects.values_list("reference", "state"))
    for bundle in bundles:
        is_behind_door = bundle.place == Place.DOOR and bundle.number is not None
        yield Claimed(
            goods=bundle.goods,
            state=states.get(bundle.reference, "missing"),
            door=(bundle.site.slug, bundle.number) if is_behind_door and bundle.number else None,
            with_resident=bundle.place == Place.RESIDENT,
            is_given_up=bundle.is_given_up,
            is_over=bundle.is_over,
        )


def _accounts(file: Path) -> frozenset[str]:
    return frozenset(client["username"] for client in json.loads(file.read_text())["clients"]) - {OURS}


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file that is being written: the last one may not be there yet."""
    if file.exists():
        for line in file.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)
