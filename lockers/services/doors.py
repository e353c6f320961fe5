"""What follows when doors are driven, open, close or jam: first the fact, then what it means for goods."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from common import events
from lockers import signals
from lockers.alarms import ENDED_BY_CLOSING, PULSE_EXPLAINS, AlarmKind, AlarmLevel
from lockers.models import Compartment, Device, DeviceEvent, OpenCommand, Reservation
from lockers.services import alarms, cabinets, claims, reservations, rows
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

_IN_PROGRESS = frozenset({ReservationState.DEPOSITING, ReservationState.COLLECTING})


class Doors:
    """
    The doors of one locker while its device's reports take effect; the locker is locked.

    ``at`` is business time; ``real_at``, which alarms go by, is when the present report was received.
    """

    def __init__(self, device: Device, known: rows.Rows, *, at: datetime) -> None:
        self._device = device
        self._rows = known
        self._at = at
        self.real_at: datetime

    def found_open(self, event: DeviceEvent, compartment: Compartment) -> None:
        """Ascribe an open door to the command that may have opened it, if there is one; it is amended."""
        if self._device.profile == Profile.BASIC:
            # It shows every opening in a snapshot, not only what happened while nobody could be told.
            lately = self.real_at - PULSE_EXPLAINS
            unclear = compartment.commands.filter(state__in=rows.UNCLEAR, expires_at__gte=lately)
            command = unclear.order_by("-created_at").first()
        else:
            command = rows.command_in_question(event, compartment)
        if command is not None:
            self.opened(command, CommandState.OPENED, None)
        elif compartment.door == DoorState.CLOSED:
            self.opened_by_itself(compartment, None)
        else:
            compartment.write(door=DoorState.OPEN)
            self.end_alarms(compartment, {AlarmKind.JAMMED})

    def opened_by_itself(self, compartment: Compartment, since_pulse_ms: int | None) -> None:
        """Note a door that nobody was let in by; an empty compartment may now hold what nobody knows of."""
        is_empty = compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}
        compartment.write(door=DoorState.OPEN, verify_empty=is_empty or compartment.verify_empty)
        self.end_alarms(compartment, {AlarmKind.JAMMED})
        if since_pulse_ms is None or since_pulse_ms >= PULSE_EXPLAINS.total_seconds() * 1000:
            self.raise_alarm(AlarmKind.UNCOMMANDED_OPEN, compartment, since_pulse_ms=since_pulse_ms)

    def pulsed(self, command: OpenCommand) -> None:
        """Note that the lock was driven: the deposit or collection that it was for has begun."""
        if not may_become(command, CommandState.PULSED):
            return
        compartment = self._rows.compartment_by_id(command.compartment_id)
        if command.is_live or not compartment.commands.live().exists():
            command.advance(CommandState.PULSED)
        reservation = self._rows.reservation(command)
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

    def opened(self, command: OpenCommand, outcome: CommandState, detection_ms: int | None) -> None:
        compartment = self._rows.compartment_by_id(command.compartment_id)
        if may_become(command, outcome):
            self.pulsed(command)
            command.advance(outcome, detection_ms=detection_ms)
        elif command.state != CommandState.OPENED or not self._numbers_what_it_says:
            return
        # A door may open once more after a pulse, for whoever stands there.
        compartment.write(door=DoorState.OPEN, num_jams=0)
        self.end_alarms(compartment, {AlarmKind.JAMMED})
        holder = self._rows.holder(compartment)
        is_somebody_elses = command.purpose == Purpose.OPERATOR
        if holder is not None and holder.state in _IN_PROGRESS and not is_somebody_elses:
            holder.write(opened_at=self._at, closed_at=None)

    @property
    def _numbers_what_it_says(self) -> bool:
        return self._device.profile == Profile.FULL

    def closed(self, compartment: Compartment) -> None:
        compartment.write(door=DoorState.CLOSED)
        self.end_alarms(compartment, ENDED_BY_CLOSING)
        holder = self._rows.holder(compartment)
        if holder is not None and holder.state in _IN_PROGRESS:
            self._note_closed(holder)

    def _note_closed(self, reservation: Reservation) -> None:
        """Count a closed door, if it was open before, towards the end of a deposit or collection."""
        if reservation.opened_at is not None and reservations.note_closed(reservation, at=self._at):
            self._rows.forget()

    def jammed(self, command: OpenCommand, compartment: Compartment) -> None:
        """
        Settle a door that did not move.

        A deposit that put nothing in yet gets another door; goods inside stay linked and the code good.
        """
        compartment.write(num_jams=compartment.num_jams + 1)
        reservation = self._rows.reservation(command)
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
        self.raise_alarm(
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
        self._rows.forget()

    def _take_out_of_use(self, compartment: Compartment, *, is_broken: bool) -> None:
        to = CompartmentState.OUT_OF_SERVICE if is_broken else CompartmentState.NEEDS_CHECK
        cabinets.demand_check(compartment, reason="door_jammed", at=self._at, to=to)

    def _opened_too_late(self, reservation: Reservation, compartment: Compartment) -> None:
        """Have a compartment checked whose door opened for someone who no longer had a claim to it."""
        if compartment.state in {CompartmentState.FREE, CompartmentState.RESERVED}:
            cabinets.demand_check(compartment, reason="opened_after_claim_ended", at=self._at)
            self._rows.forget()
            return
        holder = self._rows.holder(compartment)
        if holder is not None and holder.pk != reservation.pk:
            self.doubt_goods(compartment, reservations.TWO_CLAIMS)

    def _deposited_elsewhere(self, reservation: Reservation) -> None:
        """Doubt a deposit whose courier was let in to another door since, by what we did not know of."""
        has_begun = reservation.state in {ReservationState.DEPOSITING, ReservationState.DEPOSITED}
        if reservation.compartment is not None and has_begun:
            self.doubt_goods(reservation.compartment, reservations.TWO_DOORS)

    def doubt_goods(self, compartment: Compartment, reason: str) -> None:
        """Have a compartment checked of which no word tells what lies there: nobody gets in before."""
        cabinets.demand_check(compartment, reason=reason, at=self._at)
        # Whatever else is wrong there, this is what counts.
        compartment.write(trouble=reason)
        self._rows.forget()

    def raise_alarm(
        self, kind: AlarmKind, compartment: Compartment, *, level: AlarmLevel | None = None, **facts: Any
    ) -> None:
        alarms.raise_alarm(
            kind,
            device=self._device,
            compartment=compartment,
            level=level,
            facts=facts,
            at=self._at,
            real_at=self.real_at,
        )

    def end_alarms(self, compartment: Compartment, kinds: Collection[AlarmKind]) -> None:
        """End alarms about a door; its row says whether there can be any."""
        alarms.end_at_door(compartment, kinds, at=self._at, real_at=self.real_at)

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


def may_become(command: OpenCommand, to: CommandState) -> bool:
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
