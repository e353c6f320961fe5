"""The inbox: every report of a device is kept once, and takes effect in the order in which it was made."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from common import intents
from common.exceptions import DomainError
from lockers.link import Report
from lockers.models import Device, DeviceBoot, DeviceEvent, Locker
from lockers.services import devices, reports

#: Intent that asks for new reports of a device to take effect.
APPLY = "lockers.apply_events"


@transaction.atomic
def receive(device: Device, batch: Sequence[Report], *, real_at: datetime) -> Mapping[str, int]:
    """
    Keep a batch of reports, and ask for them to take effect; what was received before changes nothing.

    Returns, for each boot in the batch, the number up to which nothing is missing: the device may forget
    those.
    """
    device = Device.objects.select_for_update(no_key=True).get(pk=device.pk)
    boots = _boots(device, batch)
    ahead = {boot.boot_id: _kept_beyond(boot) for boot in boots.values()}
    fresh = {
        (report.boot_id, report.seq): report
        for report in batch
        if report.seq > boots[report.boot_id].accepted_seq and report.seq not in ahead[report.boot_id]
    }
    DeviceEvent.objects.bulk_create(_row(device, report, real_at=real_at) for report in fresh.values())
    if fresh:
        newest = max(fresh)
        intents.ask(APPLY, key=f"{device.pk}:{newest[0]}:{newest[1]}", device_id=str(device.pk))
        if any(report.link_epoch == device.link_epoch for report in fresh.values()):
            devices.hear(device, real_at=real_at)
    for boot_id, seq in fresh:
        ahead[boot_id].add(seq)
    for boot in boots.values():
        _note_accepted(boot, ahead[boot.boot_id])
    for report in fresh.values():
        if report.kind == "reports_lost":
            _give_up(device, str(report.data["boot_id"]), int(report.data["through_seq"]))
    has_gap = any(max(ahead[boot.boot_id], default=0) > boot.accepted_seq for boot in boots.values())
    _note_gap(device, has_gap, real_at)
    return {boot.boot_id: boot.accepted_seq for boot in boots.values()}


@transaction.atomic
def apply(device_id: UUID, *, at: datetime) -> int:
    """
    Let a device's reports take effect, in sequence, up to the first that is missing; return how many did.

    ``at`` is business time.
    """
    locker = Locker.objects.select_for_update(of=("self",), no_key=True).get(devices=device_id)
    scene: reports.Scene | None = None
    applied = 0
    # The locker's lock keeps two callers apart; what is received meanwhile asks again.
    boots = DeviceBoot.objects.filter(device=device_id, applied_seq__lt=F("accepted_seq"))
    for boot in boots.select_related("device").order_by("boot_id"):
        boot.device.locker = locker
        waiting = list(_waiting(boot))
        if boot.applied_seq == 0 and waiting and not _follows(waiting[0], boot):
            _note_gap(boot.device, True, waiting[0].received_at)
            break
        scene = scene or reports.Scene(boot.device, at=at)
        if any(event.kind != "allowlist_stored" for event in waiting):
            Locker.objects.filter(pk=locker.pk).update(revision=F("revision") + 1)
        _apply_all(scene, waiting)
        applied += len(waiting)
        DeviceEvent.objects.filter(pk__in=[event.pk for event in waiting]).update(applied_at=at)
        # What the device no longer has counts as applied.
        boot.applied_seq = boot.accepted_seq
        boot.save(update_fields=["applied_seq"])
    return applied


def missing_after(device: Device) -> Mapping[str, int]:
    """Return, for each boot of which reports are missing, the number up to which they are there."""
    gaps = {}
    for boot in device.boots.order_by("boot_id"):
        if _kept_beyond(boot):
            gaps[boot.boot_id] = boot.accepted_seq
        if boot.applied_seq < boot.accepted_seq and boot.applied_seq == 0:
            first = _waiting(boot)[0]
            before = first.data.get("previous_boot_id") if first.kind == "booted" else None
            if before is not None and not _follows(first, boot):
                known = device.boots.filter(boot_id=before).first()
                gaps[before] = 0 if known is None else known.accepted_seq
    return gaps


def _give_up(device: Device, boot_id: str, through: int) -> None:
    """Wait no longer for reports that the device has no more."""
    boot, _ = DeviceBoot.objects.get_or_create(device=device, boot_id=boot_id)
    if boot.accepted_seq < through:
        boot.accepted_seq = through
        boot.save(update_fields=["accepted_seq"])
        _note_accepted(boot, _kept_beyond(boot))


def _note_gap(device: Device, has_gap: bool, real_at: datetime) -> None:
    """Note since when reports are missing, so that the device is asked for them."""
    if has_gap and device.gap_since is None:
        Device.objects.filter(pk=device.pk).update(gap_since=real_at)
    elif not has_gap and device.gap_since is not None and not missing_after(device):
        Device.objects.filter(pk=device.pk).update(gap_since=None)


def _boots(device: Device, batch: Iterable[Report]) -> dict[str, DeviceBoot]:
    wanted = {report.boot_id for report in batch}
    boots = {boot.boot_id: boot for boot in device.boots.filter(boot_id__in=wanted)}
    for boot_id in wanted - set(boots):
        boots[boot_id] = DeviceBoot.objects.create(device=device, boot_id=boot_id)
    return boots


def _row(device: Device, report: Report, *, real_at: datetime) -> DeviceEvent:
    return DeviceEvent(
        device=device,
        boot_id=report.boot_id,
        seq=report.seq,
        message_id=report.message_id,
        transaction_id=report.transaction_id,
        kind=report.kind,
        data=report.data,
        reported_at=report.reported_at,
        received_at=real_at,
    )


def _kept_beyond(boot: DeviceBoot) -> set[int]:
    """Return the numbers of the reports that were kept although one before them is missing."""
    kept = DeviceEvent.objects.filter(
        device_id=boot.device_id, boot_id=boot.boot_id, seq__gt=boot.accepted_seq
    )
    return set(kept.values_list("seq", flat=True))


def _note_accepted(boot: DeviceBoot, ahead: Collection[int]) -> None:
    accepted = boot.accepted_seq
    while accepted + 1 in ahead:
        accepted += 1
    if accepted != boot.accepted_seq:
        boot.accepted_seq = accepted
        boot.save(update_fields=["accepted_seq"])


def _waiting(boot: DeviceBoot) -> QuerySet[DeviceEvent]:
    return DeviceEvent.objects.filter(
        device=boot.device_id, boot_id=boot.boot_id, seq__gt=boot.applied_seq, seq__lte=boot.accepted_seq
    ).order_by("seq")


def _follows(first: DeviceEvent, boot: DeviceBoot) -> bool:
    """Tell whether all of the boot before has taken effect, as far as the device remembers one."""
    before = first.data.get("previous_boot_id") if first.kind == "booted" else None
    if before is None:
        return True
    earlier = DeviceBoot.objects.filter(device=boot.device_id, boot_id__lt=boot.boot_id)
    previous = earlier.order_by("boot_id").last()
    if previous is None or previous.boot_id != before:
        return bool(first.data["previous_seq"] == 0)
    return previous.applied_seq >= int(first.data["previous_seq"])


def _apply_all(scene: reports.Scene, waiting: Sequence[DeviceEvent]) -> None:
    """Let reports take effect, all in one go as long as our rules can place every one of them."""
    try:
        with transaction.atomic():
            for event in waiting:
                scene.take(event)
    except DomainError:
        scene.forget()
        for event in waiting:
            _apply_one(scene, event)


def _apply_one(scene: reports.Scene, event: DeviceEvent) -> None:
    """Let one report take effect; one that our rules cannot place is kept with the reason and passed by."""
    try:
        with transaction.atomic():
            scene.take(event)
    except DomainError as error:
        scene.forget()
        event.problem = str(error)[:200]
        event.save(update_fields=["problem"])
