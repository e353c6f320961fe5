"""What a device reports, and what follows: facts of doors first, then what they mean for what is intended."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from django.db.models import F

from common import events
from lockers import signals
from lockers.alarms import ENDED_BY_CLOSING, LEFT_OPEN_AFTER, PULSE_EXPLAINS, AlarmKind, AlarmLevel
from lockers.models import Compartment, Device, DeviceEvent, Locker, LockerCode, OpenCommand, Reservation
from lockers.services import (
    alarms,
    allowlists,
    cabinets,
    claims,
    codes,
    keypad,
    reservations,
    rows,
    sensors,
)
from lockers.states import (
    COMMAND_TRANSITIONS,
    MAX_JAMS,
    CodeState,
    CommandState,
    CompartmentState,
    DoorState,
    Profile,
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
        self._real_at = event.received_at
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
            self._pulsed(command)
            return
        error = str(event.data["error_code"])
        to = _IN_DOUBT.get(error, CommandState.REFUSED)
        if _may_become(command, to):
            command.advance(to, reason=error.lower().replace("_", "-"))

    def _open_detected(self, event: DeviceEvent) -> None:
        command = self.rows.command(event)
        if command is not None:
            self._opened(command, CommandState(event.data["outcome"]), event.data["detection_ms"])

    def _open_failed(self, event: DeviceEvent) -> None:
        command = self.rows.command(event)
        is_jam = event.data["error_code"] == "DOOR_JAMMED"
        to = CommandState.JAMMED if is_jam else CommandState.UNVERIFIED
        if command is None or not _may_become(command, to):
            return
        self._pulsed(command)
        command.advance(to)
        compartment = self.rows.compartment_by_id(command.compartment_id)
        compartment.write(door=DoorState.JAMMED if is_jam else DoorState.UNKNOWN)
        if is_jam:
            self._end_alarms(compartment, ENDED_BY_CLOSING)
            self._jammed(command, compartment)

    def _closed(self, event: DeviceEvent) -> None:
        self._door_closed(self.rows.compartment(event.data["compartment_number"]))

    def _left_open(self, event: DeviceEvent) -> None:
        compartment = self.rows.compartment(event.data["compartment_number"])
        compartment.write(door=DoorState.LEFT_OPEN)
        self._end_alarms(compartment, {AlarmKind.JAMMED})
        self._raise_alarm(AlarmKind.LEFT_OPEN, compartment, open_s=int(LEFT_OPEN_AFTER.total_seconds()))

    def _uncommanded(self, event: DeviceEvent) -> None:
        compartment = self.rows.compartment(event.data["compartment_number"])
        self._opened_by_itself(compartment, event.data.get("milliseconds_since_last_relay_fire"))

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
                self._found_open(event, compartment)
            elif door == DoorState.CLOSED and compartment.door not in {DoorState.CLOSED, DoorState.JAMMED}:
                if compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}:
                    idle.append(compartment)
                else:
                    self._door_closed(compartment)
            elif door == DoorState.UNKNOWN and compartment.door != DoorState.UNKNOWN:
                compartment.write(door=DoorState.UNKNOWN)
        self._close_idle(idle)

    def _close_idle(self, compartments: list[Compartment]) -> None:
        """Write down closed doors behind which nobody does anything."""
        Compartment.objects.filter(pk__in=[one.pk for one in compartments]).update(door=DoorState.CLOSED)
        for compartment in compartments:
            compartment.door = DoorState.CLOSED
            self._end_alarms(compartment, ENDED_BY_CLOSING)

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
            self._doubt_goods(compartment, reservations.TWO_CLAIMS)
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

    # What follows.

    def _found_open(self, event: DeviceEvent, compartment: Compartment) -> None:
        """Ascribe an open door to the command that may have opened it, if there is one; it is amended."""
        if self._device.profile == Profile.BASIC:
            # It shows every opening in a snapshot, not only what happened while nobody could be told.
            lately = self._real_at - PULSE_EXPLAINS
            unclear = compartment.commands.filter(state__in=rows.UNCLEAR, expires_at__gte=lately)
            command = unclear.order_by("-created_at").first()
        else:
            command = rows.command_in_question(event, compartment)
        if command is not None:
            self._opened(command, CommandState.OPENED, None)
        elif compartment.door == DoorState.CLOSED:
            self._opened_by_itself(compartment, None)
        else:
            compartment.write(door=DoorState.OPEN)
            self._end_alarms(compartment, {AlarmKind.JAMMED})

    def _opened_by_itself(self, compartment: Compartment, since_pulse_ms: int | None) -> None:
        """Note a door that nobody was let in by; an empty compartment may now hold what nobody knows of."""
        is_empty = compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}
        compartment.write(door=DoorState.OPEN, verify_empty=is_empty or compartment.verify_empty)
        self._end_alarms(compartment, {AlarmKind.JAMMED})
        if since_pulse_ms is None or since_pulse_ms >= PULSE_EXPLAINS.total_seconds() * 1000:
            self._raise_alarm(AlarmKind.UNCOMMANDED_OPEN, compartment, since_pulse_ms=since_pulse_ms)

    def _pulsed(self, command: OpenCommand) -> None:
        """Note that the lock was driven: the deposit or collection that it was for has begun."""
        if not _may_become(command, CommandState.PULSED):
            return
        compartment = self.rows.compartment_by_id(command.compartment_id)
        if command.is_live or not compartment.commands.live().exists():
            command.advance(CommandState.PULSED)
        reservation = self.rows.reservation(command)
        if reservation is None:
            _unlock(compartment)
        elif reservation.compartment_id != compartment.pk:
            _unlock(compartment)
            self._opened_too_late(reservation, compartment)
            if command.purpose == Purpose.DEPOSIT:
                self._deposited_elsewhere(reservation)
        elif command.purpose == Purpose.DEPOSIT:
            self._begin_deposit(reservation, compartment)
        else:
            self._begin_collection(reservation, compartment)

    def _begin_deposit(self, reservation: Reservation, compartment: Compartment) -> None:
        if reservation.state == ReservationState.RESERVED:
            reservation.advance(ReservationState.DEPOSITING, opened_at=None, closed_at=None)
            _unlock(compartment, {CompartmentState.RESERVED: CompartmentState.DEPOSITING})
            return
        _unlock(compartment)
        if reservation.state == ReservationState.DEPOSITING:
            reservation.write(closed_at=None)
        elif reservation.state not in {ReservationState.DEPOSITED, ReservationState.COLLECTING}:
            self._opened_too_late(reservation, compartment)

    def _begin_collection(self, reservation: Reservation, compartment: Compartment) -> None:
        if reservation.state in {ReservationState.DEPOSITED, ReservationState.OVERDUE}:
            reservation.advance(
                ReservationState.COLLECTING,
                collecting_since=self._at,
                num_openings=1,
                opened_at=None,
                closed_at=None,
                confirmed_at=None,
            )
            _unlock(compartment, {CompartmentState.OCCUPIED: CompartmentState.COLLECTING})
            if reservation.code is not None and reservation.code.state == CodeState.ACTIVE:
                reservation.code.advance(CodeState.IN_USE)
            return
        _unlock(compartment)
        if reservation.state == ReservationState.COLLECTING:
            reservation.write(num_openings=reservation.num_openings + 1, closed_at=None, confirmed_at=None)
        else:
            self._opened_too_late(reservation, compartment)

    def _opened(self, command: OpenCommand, outcome: CommandState, detection_ms: int | None) -> None:
        compartment = self.rows.compartment_by_id(command.compartment_id)
        if _may_become(command, outcome):
            self._pulsed(command)
            command.advance(outcome, detection_ms=detection_ms)
        elif command.state != CommandState.OPENED or not self._numbers_what_it_says:
            return
        # A door may open once more after a pulse, for whoever stands there.
        compartment.write(door=DoorState.OPEN, num_jams=0)
        self._end_alarms(compartment, {AlarmKind.JAMMED})
        holder = self.rows.holder(compartment)
        is_somebody_elses = command.purpose == Purpose.OPERATOR
        if holder is not None and holder.state in _IN_PROGRESS and not is_somebody_elses:
            holder.write(opened_at=self._at, closed_at=None)

    @property
    def _numbers_what_it_says(self) -> bool:
        return self._device.profile == Profile.FULL

    def _door_closed(self, compartment: Compartment) -> None:
        compartment.write(door=DoorState.CLOSED)
        self._end_alarms(compartment, ENDED_BY_CLOSING)
        holder = self.rows.holder(compartment)
        if holder is not None and holder.state in _IN_PROGRESS:
            self._note_closed(holder)

    def _note_closed(self, reservation: Reservation) -> None:
        """Count a closed door, if it was open before, towards the end of a deposit or collection."""
        if reservation.opened_at is not None and reservations.note_closed(reservation, at=self._at):
            self.rows.forget()

    def _jammed(self, command: OpenCommand, compartment: Compartment) -> None:
        """
        Settle a door that did not move.

        A deposit that put nothing in yet gets another door; goods inside stay linked and the code good.
        """
        compartment.write(num_jams=compartment.num_jams + 1)
        reservation = self.rows.reservation(command)
        is_broken = compartment.num_jams >= MAX_JAMS
        if reservation is not None and reservation.state == ReservationState.DEPOSITING:
            if reservation.opened_at is None:
                claims.unbind(reservation)
            self._take_out_of_use(compartment, is_broken=is_broken)
            self._note_closed(reservation)
        elif reservation is not None and reservation.state == ReservationState.COLLECTING:
            if reservation.opened_at is None:
                reservations.back_to_deposited(reservation)
            self._note_closed(reservation)
        compartment.refresh_from_db()
        if is_broken and compartment.state != CompartmentState.OUT_OF_SERVICE:
            self._take_out_of_use(compartment, is_broken=True)
        self._record("door_jammed", compartment)
        self._raise_alarm(
            AlarmKind.JAMMED,
            compartment,
            level=AlarmLevel.DISPATCHER if is_broken else None,
            num_jams=compartment.num_jams,
        )
        signals.door_jammed.send(
            sender=Compartment,
            compartment=compartment,
            reservation=reservation,
            command=command,
            purpose=command.purpose,
            at=self._at,
        )
        self.rows.forget()

    def _take_out_of_use(self, compartment: Compartment, *, is_broken: bool) -> None:
        to = CompartmentState.OUT_OF_SERVICE if is_broken else CompartmentState.NEEDS_CHECK
        cabinets.demand_check(compartment, reason="door_jammed", at=self._at, to=to)

    def _opened_too_late(self, reservation: Reservation, compartment: Compartment) -> None:
        """Have a compartment checked whose door opened for someone who no longer had a claim to it."""
        if compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}:
            cabinets.demand_check(compartment, reason="opened_after_claim_ended", at=self._at)
            self.rows.forget()
            return
        holder = self.rows.holder(compartment)
        if holder is not None and holder.pk != reservation.pk:
            self._doubt_goods(compartment, reservations.TWO_CLAIMS)

    def _deposited_elsewhere(self, reservation: Reservation) -> None:
        """Doubt a deposit whose courier was let in to another door since, by what we did not know of."""
        has_begun = reservation.state in {ReservationState.DEPOSITING, ReservationState.DEPOSITED}
        if reservation.compartment is not None and has_begun:
            self._doubt_goods(reservation.compartment, reservations.TWO_DOORS)

    def _doubt_goods(self, compartment: Compartment, reason: str) -> None:
        """Have a compartment checked of which no word tells what lies there: nobody gets in before."""
        cabinets.demand_check(compartment, reason=reason, at=self._at)
        # Whatever else is wrong there, this is what counts.
        compartment.write(trouble=reason)
        self.rows.forget()

    def _raise_alarm(
        self, kind: AlarmKind, compartment: Compartment, *, level: AlarmLevel | None = None, **facts: Any
    ) -> None:
        alarms.raise_alarm(
            kind,
            device=self._device,
            compartment=compartment,
            level=level,
            facts=facts,
            at=self._at,
            real_at=self._real_at,
        )

    def _end_alarms(self, compartment: Compartment, kinds: Collection[AlarmKind]) -> None:
        """End alarms about a door; its row says whether there can be any."""
        alarms.end_at_door(compartment, kinds, at=self._at, real_at=self._real_at)

    def _record(self, kind: str, compartment: Compartment) -> None:
        locker = self._device.locker
        events.record(
            kind,
            scope=locker.namespace,
            at=self._at,
            locker=locker.slug,
            compartment=compartment.number,
            **self._device.label,
        )


def _may_become(command: OpenCommand, to: CommandState) -> bool:
    """Tell whether an answer adds to what is known; of two that disagree the stronger one stands."""
    return to in COMMAND_TRANSITIONS[CommandState(command.state)]


def _unlock(
    compartment: Compartment, moves: Mapping[CompartmentState, CompartmentState] = MappingProxyType({})
) -> None:
    """Note that a lock was driven; a compartment in one of the states that wait for it moves on."""
    is_shut = compartment.door in {DoorState.CLOSED, DoorState.UNKNOWN, DoorState.JAMMED}
    door = {"door": DoorState.UNLOCKING} if is_shut else {}
    to = moves.get(CompartmentState(compartment.state))
    if to is not None:
        compartment.advance(to, **door)
    elif door:
        compartment.write(**door)
