"""What a device reports, and which rows each report is about; what follows of doors is in ``doors``."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from django.db.models import F

from common import events
from lockers.alarms import ENDED_BY_CLOSING, LEFT_OPEN_AFTER, AlarmKind
from lockers.models import Compartment, Device, DeviceEvent, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import (
    allowlists,
    cabinets,
    claims,
    codes,
    keypad,
    reservations,
    rows,
    sensors,
)
from lockers.services.doors import Doors, may_become
from lockers.states import (
    CommandState,
    CompartmentState,
    DoorState,
    Purpose,
    ReservationState,
)

#: Error codes of a device that leave open whether the door was pulsed; with all others it was not.
_IN_DOUBT: Mapping[str, CommandState] = {
    "INTERRUPTED": CommandState.UNKNOWN,
    "HARDWARE_FAILED": CommandState.FAILED,
}
_NOT_OF_DOORS = frozenset({"booted", "allowlist_stored", "tamper", "temperature", "power"})
_IN_PROGRESS = frozenset({ReservationState.DEPOSITING, ReservationState.COLLECTING})


class Scene:
    """
    One locker while its device's reports take effect, in their order; the locker is locked.

    ``at`` is business time; for alarms, a report counts from the real moment at which it was received.
    """

    def __init__(self, device: Device, *, at: datetime) -> None:
        self._device = device
        self._at = at
        self._real_at: datetime
        self.rows = rows.Rows(device)
        self._doors = Doors(device, self.rows, at=at)
        #: Whether doors may stand otherwise than before.
        self.touches_doors = False
        self._has_decided_alone = False
        self._effects: Mapping[str, Callable[[DeviceEvent], None]] = {
            "booted": lambda event: None,
            "compartments": self._snapshot,
            "response": self._responded,
            "compartment_open_detected": self._open_detected,
            "compartment_open_failed": self._open_failed,
            "compartment_uncommanded_open": self._uncommanded,
            "compartment_closed": self._closed,
            "compartment_left_open": self._left_open,
            "collection_done": self._done,
            "deposit_done": self._deposit_done,
            "code_accepted": self._opened_by_list,
            "code_rejected": self._code_rejected,
            "allowlist_stored": self._list_stored,
            "reports_lost": self._reports_lost,
            "tamper": partial(self._sensed, sensors.note_tamper),
            "temperature": partial(self._sensed, sensors.note_temperature),
            "power": partial(self._sensed, sensors.note_power),
        }

    @property
    def locker(self) -> Locker:
        """The locker that it is about."""
        return self._device.locker

    @property
    def touches_claims(self) -> bool:
        """Whether claims or codes may stand otherwise than before."""
        return self._has_decided_alone or self.rows.have_claims

    def take(self, event: DeviceEvent) -> None:
        """Let one report take effect."""
        self._real_at = self._doors.real_at = event.received_at
        self.touches_doors |= event.kind not in _NOT_OF_DOORS
        self._effects[event.kind](event)

    def forget(self) -> None:
        """Read everything anew: a report took no effect after all."""
        self.rows.forget()

    # What each report says.

    def _responded(self, event: DeviceEvent) -> None:
        command = self.rows.command(event)
        if command is None:
            return
        if event.data["result"] == "success":
            self._doors.pulsed(command)
            return
        error = str(event.data["error_code"])
        to = _IN_DOUBT.get(error, CommandState.REFUSED)
        if may_become(command, to):
            command.advance(to, reason=error.lower().replace("_", "-"))

    def _open_detected(self, event: DeviceEvent) -> None:
        command = self.rows.command(event)
        if command is not None:
            self._doors.opened(command, CommandState(event.data["outcome"]), event.data["detection_ms"])

    def _open_failed(self, event: DeviceEvent) -> None:
        command = self.rows.command(event)
        is_jam = event.data["error_code"] == "DOOR_JAMMED"
        to = CommandState.JAMMED if is_jam else CommandState.UNVERIFIED
        if command is None or not may_become(command, to):
            return
        self._doors.pulsed(command)
        command.advance(to)
        compartment = self.rows.compartment_by_id(command.compartment_id)
        compartment.write(door=DoorState.JAMMED if is_jam else DoorState.UNKNOWN)
        if is_jam:
            self._doors.end_alarms(compartment, ENDED_BY_CLOSING)
            self._doors.jammed(command, compartment)

    def _closed(self, event: DeviceEvent) -> None:
        self._doors.closed(self.rows.compartment(event.data["compartment_number"]))

    def _left_open(self, event: DeviceEvent) -> None:
        compartment = self.rows.compartment(event.data["compartment_number"])
        compartment.write(door=DoorState.LEFT_OPEN)
        self._doors.end_alarms(compartment, {AlarmKind.JAMMED})
        self._doors.raise_alarm(AlarmKind.LEFT_OPEN, compartment, open_s=int(LEFT_OPEN_AFTER.total_seconds()))

    def _uncommanded(self, event: DeviceEvent) -> None:
        compartment = self.rows.compartment(event.data["compartment_number"])
        self._doors.opened_by_itself(compartment, event.data.get("milliseconds_since_last_relay_fire"))

    def _sensed(self, note: Callable[..., None], event: DeviceEvent) -> None:
        note(self._device, event.data, at=self._at, real_at=self._real_at)

    def _snapshot(self, event: DeviceEvent) -> None:
        """Take the doors as they are; what moved unreported is settled as if it had been reported."""
        told = event.data["compartments"]
        self.rows.read_compartments({row["compartment_number"] for row in told})
        idle: list[Compartment] = []
        for row in told:
            compartment = self.rows.compartment(row["compartment_number"])
            door = DoorState(row["door_state"])
            if door == DoorState.OPEN and compartment.door not in {DoorState.OPEN, DoorState.LEFT_OPEN}:
                self._doors.found_open(event, compartment)
            elif door == DoorState.CLOSED and compartment.door not in {DoorState.CLOSED, DoorState.JAMMED}:
                if compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}:
                    idle.append(compartment)
                else:
                    self._doors.closed(compartment)
            elif door == DoorState.UNKNOWN and compartment.door != DoorState.UNKNOWN:
                compartment.write(door=DoorState.UNKNOWN)
        self._close_idle(idle)

    def _close_idle(self, compartments: list[Compartment]) -> None:
        """Write down closed doors behind which nobody does anything."""
        Compartment.objects.filter(pk__in=[one.pk for one in compartments]).update(door=DoorState.CLOSED)
        for compartment in compartments:
            compartment.door = DoorState.CLOSED
            self._doors.end_alarms(compartment, ENDED_BY_CLOSING)

    def _done(self, event: DeviceEvent) -> None:
        holder = self.rows.holder(self.rows.compartment(event.data["compartment_number"]))
        if holder is not None and holder.state == ReservationState.COLLECTING:
            reservations.note_done(holder, at=self._at)
            self.rows.forget()

    def _deposit_done(self, event: DeviceEvent) -> None:
        holder = self.rows.holder(self.rows.compartment(event.data["compartment_number"]))
        if holder is not None and holder.state == ReservationState.DEPOSITING:
            reservations.confirm_locked_deposit(holder, at=self._at)
            self.rows.forget()

    def _opened_by_list(self, event: DeviceEvent) -> None:
        """Note that the device decided by its list: a command of its own, as if we had given it."""
        self._has_decided_alone = True
        data, command_id = event.data, event.transaction_id
        compartment = self.rows.compartment(data["compartment_number"])
        purpose = Purpose(data["purpose"])
        found = Reservation.objects.filter(pk=data["claim_id"], locker=self._device.locker)
        reservation = found.select_related("code", "deposit_code").first()
        if reservation is not None:
            self.rows.attend(reservation)
            if purpose == Purpose.DEPOSIT:
                self._bind_as_done(reservation, compartment)
        # Nobody waits for its outcome; what the device reports of it amends it.
        OpenCommand.objects.create(
            pk=command_id,
            compartment=compartment,
            device=self._device,
            reservation=reservation,
            purpose=purpose,
            state=CommandState.UNKNOWN,
            reason="decided-by-locker",
            created_at=self._real_at,
            expires_at=self._real_at,
        )
        # The device decides alone until a list says that we know: it is to come at once.
        Device.objects.filter(pk=self._device.pk).update(
            num_own_decisions=F("num_own_decisions") + 1, list_sent_at=None
        )
        code = LockerCode.objects.live().filter(pk=data["entry_id"]).select_related("on_behalf_of").first()
        if code is not None and purpose == Purpose.COLLECT:
            codes.begin_visit(code, at=self._at)

    def _bind_as_done(self, reservation: Reservation, compartment: Compartment) -> None:
        """Follow the device, which gave a claim a door; the one that it had before did not serve."""
        if reservation.compartment_id == compartment.pk:
            return
        if reservation.state == ReservationState.DEPOSITED and reservation.compartment is not None:
            # The courier's word came first, and of which of the two doors it spoke nobody knows.
            for door in (reservation.compartment, compartment):
                cabinets.demand_check(door, reason=reservations.TWO_DOORS, at=self._at)
            return
        if reservation.state not in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
            return
        if reservation.compartment is not None:
            given_up = reservation.compartment
            claims.unbind(reservation)
            if given_up.state in {CompartmentState.RESERVED, CompartmentState.DEPOSITING}:
                cabinets.demand_check(given_up, reason="given_up_at_keypad", at=self._at)
        holder = self.rows.holder(compartment)
        if holder is not None and holder.state == ReservationState.RESERVED:
            claims.unbind(holder)
            commands_to_come = compartment.commands.filter(reservation=holder, state=CommandState.CREATED)
            commands_to_come.update(state=CommandState.REFUSED, reason="door-in-other-use")
        elif holder is not None:
            self._doors.doubt_goods(compartment, reservations.TWO_CLAIMS)
            return
        if compartment.state == CompartmentState.FREE:
            compartment.advance(CompartmentState.RESERVED)
        reservation.compartment = compartment
        reservation.save(update_fields=["compartment"])

    def _code_rejected(self, event: DeviceEvent) -> None:
        keypad.note_refusal(self._device.locker, outcome=keypad.Outcome.CODE_UNKNOWN, at=self._at)

    def _list_stored(self, event: DeviceEvent) -> None:
        allowlists.confirm(self._device, event.data["version"])

    def _reports_lost(self, event: DeviceEvent) -> None:
        """Note that the device has forgotten what we never received; its doors tell what came of it."""
        locker = self._device.locker
        events.record("device_reports_lost", scope=locker.namespace, at=self._at, locker=locker.slug)
