"""The rows that a device's reports are about, each read once; of several devices, all at once."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from django.db.models import BigAutoField, PositiveSmallIntegerField, Q, UUIDField

from common.prepared import Prepared
from lockers.exceptions import UnknownCompartment
from lockers.models import Compartment, Device, DeviceEvent, OpenCommand, Reservation
from lockers.states import HOLDING, LIVE, CommandState

#: Reports of a door that say so without a command, and those of them that matter to who has goods behind it.
_OF_DOORS = frozenset(
    {
        "compartment_uncommanded_open",
        "compartment_closed",
        "compartment_left_open",
        "collection_done",
        "deposit_done",
    }
)
_OF_GOODS = frozenset({"compartment_closed", "collection_done", "deposit_done"})
#: Commands that may have opened a door without anyone's knowledge; one that was never sent has not.
UNCLEAR = LIVE - {CommandState.CREATED} | {CommandState.UNKNOWN}

_COMMANDS = OpenCommand.objects.select_related(
    "compartment", "reservation__code", "reservation__deposit_code"
)
_COMMAND = Prepared(
    lambda command, device: _COMMANDS.filter(pk=command, device=device),
    command=UUIDField(),
    device=UUIDField(),
)
_DOORS = Prepared(
    lambda lockers, numbers: Compartment.objects.filter(locker__among=lockers, number__among=numbers),
    lockers=[UUIDField()],
    numbers=[PositiveSmallIntegerField()],
)
_HOLDERS = Prepared(
    lambda compartments: (
        Reservation.objects.holding()
        .select_related("code", "deposit_code")
        .filter(compartment__among=compartments)
    ),
    compartments=[BigAutoField()],
)


class Rows:
    """
    The rows of one locker while its device's reports take effect; the locker is locked.

    They are kept: claims and compartments change under the locker's lock only, and commands by moves, of
    which the table lets one win.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        #: Whether a claim was among them.
        self.have_claims = False
        self._compartments: dict[int, Compartment] = {}
        self._reservations: dict[UUID, Reservation] = {}
        self._commands: dict[UUID, OpenCommand] = {}
        self._without_holder: set[int] = set()

    def forget(self) -> None:
        """Read everything anew from now on."""
        self._compartments.clear()
        self._reservations.clear()
        self._commands.clear()
        self._without_holder.clear()

    def command(self, event: DeviceEvent) -> OpenCommand | None:
        """Return the command of this device that a report answers."""
        wanted = event.transaction_id
        if wanted is None:
            return None
        if wanted not in self._commands:
            command = _COMMAND.first(command=wanted, device=self.device.pk)
            if command is None:
                return None
            self._commands[wanted] = command
            if command.compartment_id not in self._compartments:
                self.keep(command.compartment)
            if command.reservation is not None and command.reservation.pk not in self._reservations:
                self.attend(command.reservation)
        return self._commands[wanted]

    def compartment(self, number: int) -> Compartment:
        """
        Return a compartment by its number.

        Raises
        ------
        UnknownCompartment
            If the locker has none of that number.
        """
        for known in self._compartments.values():
            if known.number == number:
                return known
        found = _DOORS.first(lockers=[self.device.locker_id], numbers=[number])
        if found is None:
            raise UnknownCompartment(locker=self.device.locker.name, number=number)
        return self.keep(found)

    def compartment_by_id(self, compartment_id: int) -> Compartment:
        """Return a compartment of this locker."""
        known = self._compartments.get(compartment_id)
        return known or self.keep(Compartment.objects.get(pk=compartment_id))

    def read_compartments(self, numbers: Collection[int]) -> None:
        """Read several compartments at once."""
        known = {compartment.number for compartment in self._compartments.values()}
        for found in _DOORS.all(lockers=[self.device.locker_id], numbers=set(numbers) - known):
            self.keep(found)

    def reservation(self, command: OpenCommand) -> Reservation | None:
        """Return the claim for which a door was to open."""
        if command.reservation_id is None:
            return None
        if command.reservation_id not in self._reservations:
            found = Reservation.objects.select_related("code", "deposit_code").get(pk=command.reservation_id)
            self.attend(found)
        return self._reservations[command.reservation_id]

    def holder(self, compartment: Compartment) -> Reservation | None:
        """Return the claim that has a compartment."""
        for known in self._reservations.values():
            if known.compartment_id == compartment.pk and known.state in HOLDING:
                return known
        if compartment.pk in self._without_holder:
            return None
        found = _HOLDERS.first(compartments=[compartment.pk])
        return found and self.attend(found)

    def keep(self, compartment: Compartment) -> Compartment:
        """Keep a compartment that was read."""
        compartment.locker = self.device.locker
        self._compartments[compartment.pk] = compartment
        return compartment

    def attend(self, reservation: Reservation) -> Reservation:
        """Keep a claim that was read."""
        self.have_claims = True
        if reservation.compartment_id is not None:
            reservation.compartment = self.compartment_by_id(reservation.compartment_id)
        self._reservations[reservation.pk] = reservation
        return reservation

    def note_no_holder(self, compartment: Compartment) -> None:
        """Keep that no claim has a compartment."""
        self._without_holder.add(compartment.pk)


def command_in_question(event: DeviceEvent, compartment: Compartment) -> OpenCommand | None:
    """
    Return the command that may have opened a door which a snapshot of a full device finds open.

    It is the last one that the device spoke of since it last said how this door stands: what it drove before,
    that snapshot has shown; and as long as it has not spoken of a command, it has not driven the lock for it.
    """
    unclear = compartment.commands.filter(state__in=UNCLEAR)
    before = Q(boot_id__lt=event.boot_id) | Q(boot_id=event.boot_id, seq__lt=event.seq)
    tells = Q(kind__in=["compartments", "reports_lost"]) | Q(transaction_id__in=unclear.values("pk"))
    earlier = DeviceEvent.objects.filter(before, tells, device=event.device_id)
    for word in earlier.order_by("-boot_id", "-seq").iterator(chunk_size=20):
        if word.transaction_id is not None:
            return unclear.filter(pk=word.transaction_id).first()
        if word.kind == "reports_lost":
            # It may have spoken of any of them.
            return unclear.order_by("-created_at").first()
        if any(row["compartment_number"] == compartment.number for row in word.data["compartments"]):
            return None
    return None


def read_ahead(those: Sequence[tuple[Rows, Sequence[DeviceEvent]]]) -> None:
    """Read at once the doors, and who has goods behind them, of which reports of several devices tell."""
    num_scenes = Counter(rows.device.locker_id for rows, _ in those)
    # Of two devices of one locker, the second is to see what the first has changed.
    those = [(rows, events) for rows, events in those if num_scenes[rows.device.locker_id] == 1]
    doors, goods = _numbers(those, _OF_DOORS), _numbers(those, _OF_GOODS)
    if not doors:
        return
    rows_of = {rows.device.locker_id: rows for rows, _ in those}
    found_doors = _DOORS.all(lockers=doors, numbers=set().union(*doors.values()))
    compartments = [
        rows_of[found.locker_id].keep(found)
        for found in found_doors
        if found.number in doors[found.locker_id]
    ]
    asked = [one for one in compartments if one.number in goods.get(one.locker_id, ())]
    holders = _HOLDERS.all(compartments=[compartment.pk for compartment in asked])
    held = {found.compartment_id: found for found in holders}
    for compartment in asked:
        rows = rows_of[compartment.locker_id]
        if compartment.pk in held:
            rows.attend(held[compartment.pk])
        else:
            rows.note_no_holder(compartment)


def _numbers(
    those: Iterable[tuple[Rows, Sequence[DeviceEvent]]], kinds: frozenset[str]
) -> Mapping[UUID, set[int]]:
    named = {
        rows.device.locker_id: {event.data["compartment_number"] for event in events if event.kind in kinds}
        for rows, events in those
    }
    return {locker: numbers for locker, numbers in named.items() if numbers}
