"""
The inbox: every report of a device is kept once, and takes effect in the order in which it was made.

Reports of many devices that arrive together are kept together, and take effect together: what a transaction
costs is shared, the more the busier it gets.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import (
    BigAutoField,
    BigIntegerField,
    CharField,
    DateTimeField,
    Exists,
    F,
    OuterRef,
    Q,
    UUIDField,
)

from common import intents
from common.exceptions import DomainError
from common.prepared import Prepared, PreparedInsert, PreparedUpdate
from lockers.link import Report
from lockers.models import Device, DeviceBoot, DeviceEvent, Locker, Reservation
from lockers.services import devices, reports, rows
from lockers.states import GAP_MAY_LAST, SYNC_EVERY

#: Intent that asks for new reports of devices to take effect.
APPLY = "lockers.apply_events"
#: Of so many devices at most at once; their lockers are locked meanwhile.
APPLIED_TOGETHER = 20

_Take = Callable[[reports.Scene, DeviceEvent], None]

_DEVICES = Prepared(
    lambda devices: Device.objects.select_for_update(no_key=True).filter(pk__among=devices).order_by("pk"),
    devices=[UUIDField()],
)
_LOCKERS = Prepared(
    lambda devices: (
        Locker.objects.select_for_update(no_key=True, of=["self"])
        .filter(devices__pk__among=devices)
        .order_by("pk")
    ),
    devices=[UUIDField()],
)
_KEEP = PreparedInsert(DeviceEvent)
_BOOTS = Prepared(
    lambda devices, names: DeviceBoot.objects.filter(device__among=devices, boot_id__among=names),
    devices=[UUIDField()],
    names=[CharField()],
)
_BEHIND = Prepared(
    lambda devices: (
        DeviceBoot.objects.filter(device__among=devices, applied_seq__lt=F("accepted_seq"))
        .select_related("device")
        .order_by("device__locker", "device", "boot_id")
    ),
    devices=[UUIDField()],
)
_BETWEEN = Prepared(
    lambda device, boot, after, through: DeviceEvent.objects.filter(
        device=device, boot_id=boot, seq__gt=after, seq__lte=through
    ).order_by("seq"),
    device=UUIDField(),
    boot=CharField(),
    after=BigIntegerField(),
    through=BigIntegerField(),
)
_ACCEPT = PreparedUpdate(
    lambda boot, through: (DeviceBoot.objects.filter(pk=boot), {"accepted_seq": through}),
    boot=BigAutoField(),
    through=BigIntegerField(),
)
_APPLY_THROUGH = PreparedUpdate(
    lambda boot, through: (DeviceBoot.objects.filter(pk=boot), {"applied_seq": through}),
    boot=BigAutoField(),
    through=BigIntegerField(),
)
_APPLIED = PreparedUpdate(
    lambda events, at: (DeviceEvent.objects.filter(pk__among=events), {"applied_at": at}),
    events=[BigAutoField()],
    at=DateTimeField(),
)
_IS_CLAIMED = Exists(Reservation.objects.holding().filter(locker=OuterRef("pk")))
_COUNT_UP = PreparedUpdate(
    lambda claims, doors: (
        Locker.objects.filter(Q(pk__among=claims) | Q(_IS_CLAIMED, pk__among=doors)),
        {"revision": F("revision") + 1},
    ),
    claims=[UUIDField()],
    doors=[UUIDField()],
)


def receive(device: Device, batch: Sequence[Report], *, real_at: datetime) -> Mapping[str, int]:
    """Keep a batch of reports of one device, as ``receive_all`` does."""
    return receive_all({device.pk: batch}, real_at=real_at)[device.pk]


@transaction.atomic(savepoint=False)
def receive_all(
    batches: Mapping[UUID, Sequence[Report]], *, real_at: datetime
) -> Mapping[UUID, Mapping[str, int]]:
    """
    Keep a batch of reports of each device, and ask for them to take effect.

    What was received before changes nothing. Returns, for each device and each boot in its batch, the number
    up to which nothing is missing: the device may forget those.
    """
    locked = {device.pk: device for device in _DEVICES.all(devices=batches)}
    boots = _boots(batches)
    intakes = [_Intake(locked[device_id], batch, boots[device_id]) for device_id, batch in batches.items()]
    heard = [intake for intake in intakes if intake.fresh]
    _KEEP(*(row for intake in heard for row in intake.rows(real_at=real_at)))
    _ask_to_apply(heard)
    present = [intake.device for intake in heard if intake.is_of_present_connection]
    devices.hear_all(present, real_at=real_at)
    advanced = [boot for intake in heard for boot in intake.advance()]
    _ACCEPT.each([{"boot": boot.pk, "through": boot.accepted_seq} for boot in advanced])
    for intake in intakes:
        intake.note_what_is_missing(real_at=real_at)
    return {intake.device.pk: intake.accepted for intake in intakes}


def apply(device_id: UUID, *, at: datetime) -> int:
    """Let a device's reports take effect, as ``apply_all`` does."""
    return apply_all([device_id], at=at)


@transaction.atomic(savepoint=False)
def apply_all(device_ids: Collection[UUID], *, at: datetime) -> int:
    """
    Let reports of devices take effect, in sequence, up to the first that is missing; return how many did.

    ``at`` is business time.
    """
    # The lockers' locks keep two callers apart; what is received meanwhile asks again.
    lockers = {locker.pk: locker for locker in _LOCKERS.all(devices=device_ids)}
    behind = _behind(device_ids, lockers)
    waiting = _waiting([boot for boots in behind for boot in boots])
    scenes = [reports.Scene(boots[0].device, at=at) for boots in behind]
    rows.read_ahead(
        [
            (scene.rows, [event for boot in boots for event in waiting[boot.pk]])
            for scene, boots in zip(scenes, behind, strict=True)
        ]
    )
    applied = [
        boot
        for scene, boots in zip(scenes, behind, strict=True)
        for boot in _apply_device(scene, boots, waiting)
    ]
    _note_changes(scenes)
    return _note_applied(applied, waiting, at=at)


def ask_for_missing(device: Device, *, real_at: datetime) -> bool:
    """Note that a device is asked for what is missing; tell whether that is due, for some time or again."""
    if device.gap_since is None or device.gap_since > real_at - GAP_MAY_LAST:
        return False
    lately = Q(sync_sent_at__gt=real_at - SYNC_EVERY)
    return bool(Device.objects.filter(pk=device.pk).exclude(lately).update(sync_sent_at=real_at))


def missing_after(device: Device) -> Mapping[str, int]:
    """Return, for each boot of which reports are missing, the number up to which they are there."""
    gaps = {}
    for boot in device.boots.order_by("boot_id"):
        if _kept_beyond(boot):
            gaps[boot.boot_id] = boot.accepted_seq
        if boot.applied_seq < boot.accepted_seq and boot.applied_seq == 0:
            first = _waiting([boot])[boot.pk][0]
            before = first.data.get("previous_boot_id") if first.kind == "booted" else None
            if before is not None and not _follows(first, boot, []):
                known = device.boots.filter(boot_id=before).first()
                gaps[before] = 0 if known is None else known.accepted_seq
    return gaps


class _Intake:
    """One device's batch while it is being received; the device is locked."""

    def __init__(self, device: Device, batch: Sequence[Report], boots: Mapping[str, DeviceBoot]) -> None:
        self.device = device
        self._boots = boots
        # Where nothing is missing, nothing was kept beyond it.
        self._ahead: dict[str, set[int]] = {
            boot_id: _kept_beyond(boot) if device.gap_since else set() for boot_id, boot in boots.items()
        }
        fresh = {(report.boot_id, report.seq): report for report in batch if self._is_fresh(report)}
        self.fresh = list(fresh.values())

    @property
    def newest(self) -> tuple[str, int]:
        """Boot and number of the latest report."""
        return max((report.boot_id, report.seq) for report in self.fresh)

    @property
    def is_of_present_connection(self) -> bool:
        """Tell whether something new was said in the device's present connection."""
        return any(report.link_epoch == self.device.link_epoch for report in self.fresh)

    @property
    def accepted(self) -> Mapping[str, int]:
        """The number, for each boot, up to which nothing is missing."""
        return {boot_id: boot.accepted_seq for boot_id, boot in self._boots.items()}

    def rows(self, *, real_at: datetime) -> Iterator[DeviceEvent]:
        """Return what to keep."""
        return (_row(self.device, report, real_at=real_at) for report in self.fresh)

    def advance(self) -> Iterator[DeviceBoot]:
        """Count what is new, and yield the boots of which less is missing than before."""
        for report in self.fresh:
            self._ahead[report.boot_id].add(report.seq)
        for boot_id, boot in self._boots.items():
            if _advance(boot, self._ahead[boot_id]):
                yield boot

    def note_what_is_missing(self, *, real_at: datetime) -> None:
        """Note since when reports are missing, and give those up that the device no longer has."""
        for report in self.fresh:
            if report.kind == "reports_lost":
                _give_up(self.device, str(report.data["boot_id"]), int(report.data["through_seq"]))
        has_gap = any(
            max(self._ahead[boot_id], default=0) > boot.accepted_seq for boot_id, boot in self._boots.items()
        )
        _note_gap(self.device, has_gap, real_at)

    def _is_fresh(self, report: Report) -> bool:
        is_kept = report.seq in self._ahead[report.boot_id]
        return not is_kept and report.seq > self._boots[report.boot_id].accepted_seq


def _ask_to_apply(intakes: Iterable[_Intake]) -> None:
    intents.ask_all(
        APPLY,
        {
            "{}:{}:{}".format(intake.device.pk, *intake.newest): {"device_id": str(intake.device.pk)}
            for intake in intakes
        },
    )


def _give_up(device: Device, boot_id: str, through: int) -> None:
    """Wait no longer for reports that the device has no more."""
    boot, _ = DeviceBoot.objects.get_or_create(device=device, boot_id=boot_id)
    if boot.accepted_seq < through:
        boot.accepted_seq = through
        _advance(boot, _kept_beyond(boot))
        boot.save(update_fields=["accepted_seq"])


def _note_gap(device: Device, has_gap: bool, real_at: datetime) -> None:
    """Note since when reports are missing, so that the device is asked for them."""
    if has_gap and device.gap_since is None:
        Device.objects.filter(pk=device.pk).update(gap_since=real_at)
    elif not has_gap and device.gap_since is not None and not missing_after(device):
        Device.objects.filter(pk=device.pk).update(gap_since=None)


def _boots(batches: Mapping[UUID, Sequence[Report]]) -> Mapping[UUID, Mapping[str, DeviceBoot]]:
    """Return the boots that the batches name, by device and name."""
    wanted = {device_id: {report.boot_id for report in batch} for device_id, batch in batches.items()}
    names = set().union(*wanted.values())
    boots: dict[UUID, dict[str, DeviceBoot]] = {device_id: {} for device_id in batches}
    for boot in _BOOTS.all(devices=batches, names=names):
        if boot.boot_id in wanted[boot.device_id]:
            boots[boot.device_id][boot.boot_id] = boot
    for device_id, of_device in wanted.items():
        for boot_id in of_device - boots[device_id].keys():
            boots[device_id][boot_id] = DeviceBoot.objects.create(device_id=device_id, boot_id=boot_id)
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


def _advance(boot: DeviceBoot, ahead: Collection[int]) -> bool:
    """Count up to where nothing is missing, and tell whether that is further than before."""
    before = boot.accepted_seq
    while boot.accepted_seq + 1 in ahead:
        boot.accepted_seq += 1
    return boot.accepted_seq != before


def _behind(device_ids: Collection[UUID], lockers: Mapping[UUID, Locker]) -> Collection[Sequence[DeviceBoot]]:
    """Return, for each device, the boots of which reports wait, oldest first."""
    behind: dict[UUID, list[DeviceBoot]] = defaultdict(list)
    for boot in _BEHIND.all(devices=device_ids):
        boot.device.locker = lockers[boot.device.locker_id]
        behind[boot.device_id].append(boot)
    return behind.values()


def _waiting(boots: Sequence[DeviceBoot]) -> Mapping[int, Sequence[DeviceEvent]]:
    """Return the reports that wait, by boot and in their order."""
    return {
        boot.pk: _BETWEEN.all(
            device=boot.device_id, boot=boot.boot_id, after=boot.applied_seq, through=boot.accepted_seq
        )
        for boot in boots
    }


def _follows(first: DeviceEvent, boot: DeviceBoot, applied: Sequence[DeviceBoot]) -> bool:
    """Tell whether all of the boot before has taken effect, as far as the device remembers one."""
    before = first.data.get("previous_boot_id") if first.kind == "booted" else None
    if before is None:
        return True
    earlier = DeviceBoot.objects.filter(device=boot.device_id, boot_id__lt=boot.boot_id)
    previous = earlier.order_by("boot_id").last()
    if previous is None or previous.boot_id != before:
        return bool(first.data["previous_seq"] == 0)
    by_now = previous.accepted_seq if previous in applied else previous.applied_seq
    return by_now >= int(first.data["previous_seq"])


def _apply_device(
    scene: reports.Scene, boots: Sequence[DeviceBoot], waiting: Mapping[int, Sequence[DeviceEvent]]
) -> Sequence[DeviceBoot]:
    """Let reports take effect, all in one go as long as our rules can place every one of them."""
    try:
        with transaction.atomic():
            return _apply_boots(scene, boots, waiting, _take)
    except DomainError:
        scene.forget()
        return _apply_boots(scene, boots, waiting, _take_or_pass_by)


def _apply_boots(
    scene: reports.Scene,
    boots: Sequence[DeviceBoot],
    waiting: Mapping[int, Sequence[DeviceEvent]],
    take: _Take,
) -> Sequence[DeviceBoot]:
    """Let reports of one device take effect, and return the boots of which they did."""
    applied: list[DeviceBoot] = []
    for boot in boots:
        events = waiting[boot.pk]
        if boot.applied_seq == 0 and events and not _follows(events[0], boot, applied):
            _note_gap(boot.device, True, events[0].received_at)
            break
        for event in events:
            take(scene, event)
        applied.append(boot)
    return applied


def _take(scene: reports.Scene, event: DeviceEvent) -> None:
    scene.take(event)


def _take_or_pass_by(scene: reports.Scene, event: DeviceEvent) -> None:
    """Let one report take effect; one that our rules cannot place is kept with the reason and passed by."""
    try:
        with transaction.atomic():
            scene.take(event)
    except DomainError as error:
        scene.forget()
        event.problem = str(error)[:200]
        event.save(update_fields=["problem"])


def _note_changes(scenes: Sequence[reports.Scene]) -> None:
    """
    Note which lockers' lists of codes may have to be made anew.

    A door as such matters to the list only where somebody may have to be given another one.
    """
    claims = {scene.locker.pk for scene in scenes if scene.touches_claims}
    doors = {scene.locker.pk for scene in scenes if scene.touches_doors}
    if not claims | doors:
        return
    _COUNT_UP(claims=claims, doors=doors)


def _note_applied(
    applied: Sequence[DeviceBoot], waiting: Mapping[int, Sequence[DeviceEvent]], *, at: datetime
) -> int:
    """Note which reports took effect, and return how many did."""
    done = [event for boot in applied for event in waiting[boot.pk]]
    _APPLIED(events=[event.pk for event in done], at=at)
    # What the device no longer has counts as applied.
    _APPLY_THROUGH.each([{"boot": boot.pk, "through": boot.accepted_seq} for boot in applied])
    return len(done)
