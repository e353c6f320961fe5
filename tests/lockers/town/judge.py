"""Who judges a story: what the database believes, against what really happened and lies where."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from lockers import signals, wire
from lockers.models import Alarm, Compartment, Device, DeviceEvent, Locker, OpenCommand, Reservation
from lockers.states import LIVE, TROUBLE, CommandState, CompartmentState, DoorState, Purpose, ReservationState
from tests.lockers.town.cabinet import Cabinet, Door, Opening

#: Outcomes of a command that are possible if its lock was driven, and if it was not.
AFTER_A_PULSE = frozenset(CommandState) - {CommandState.REFUSED, CommandState.FAILED} - LIVE
WITHOUT_A_PULSE = frozenset({CommandState.REFUSED, CommandState.FAILED, CommandState.UNKNOWN})
#: Goods lie there for their resident, or nobody came for them in time.
HELD = frozenset({ReservationState.DEPOSITED, ReservationState.COLLECTING, ReservationState.OVERDUE})
UNDER_WAY = frozenset({CompartmentState.DEPOSITING, CompartmentState.COLLECTING})


@dataclass(slots=True)
class Findings:
    """What went wrong in a story, each with a word of what it was."""

    wrongly_free: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    double: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    num_deposits: int = 0
    num_collections: int = 0
    num_pulses: int = 0
    num_own_pulses: int = 0
    num_checks: int = 0

    @property
    def faults(self) -> list[str]:
        """Return what must never be."""
        kinds = (self.wrongly_free, self.lost, self.double, self.late, self.strange, self.forgotten)
        return sorted(set().union(*kinds))


class Question:
    """A query that is composed once, for it is asked after every step."""

    def __init__(self, rows: QuerySet[Any], *fields: str) -> None:
        self._statement = rows.values_list(*fields).query.sql_with_params()

    def ask(self) -> list[tuple[Any, ...]]:
        """Return the rows as they are now."""
        with connection.cursor() as cursor:
            cursor.execute(*self._statement)
            return list(cursor.fetchall())


class Judge:
    """Watches one locker, and knows nothing of how the services come to what they say."""

    def __init__(self, cabinet: Cabinet, locker: Locker, device: Device) -> None:
        self._cabinet, self._locker, self._device = cabinet, locker, device
        doors = Compartment.objects.filter(locker=locker)
        self._free = Question(Compartment.objects.free().filter(locker=locker), "number", "verify_empty")
        self._doors = Question(doors, "number", "door")
        self._pulses: Counter[str] = Counter()
        #: Commands that the device gave itself, and the door that they were for.
        self._own: dict[str, int] = {}
        self._reported: set[tuple[str, int]] = set()
        self._announced: Counter[tuple[str, UUID]] = Counter()
        self.delivered: set[UUID] = set()
        self.in_hand: set[UUID] = set()
        #: Lay behind a door that sprang open for a collection: whether they are still there, a look tells.
        self._exposed: set[UUID] = set()
        #: Found by a courier, who said so.
        self._seen: set[UUID] = set()
        #: Put where nobody can know of them before the device says that its door opened.
        self._untold: set[UUID] = set()
        #: Put behind a door that opened by itself: whether anything was, a look tells.
        self._strays: dict[UUID, Opening] = {}
        #: How the door had opened out of which they were taken.
        self._taken_at: dict[UUID, Opening] = {}
        #: Doors that opened by themselves while the device was off, and stood open when it started: only a
        #: guess can tell that none of the commands opened them that the power failed in.
        self._found_open: set[int] = set()
        self.found = Findings()
        signals.reservation_deposited.connect(self._note_deposited)
        signals.reservation_collected.connect(self._note_collected)

    @property
    def num_pulses(self) -> int:
        """Return how often any lock was driven."""
        return self._pulses.total()

    # What is said and done.

    def offered(self, command: wire.Envelope, *, at: datetime) -> None:
        """Note that the server gives a command out of its hands."""
        self._device.refresh_from_db(fields=["link_epoch"])
        is_late = at > wire.parse_moment(command["expires_at"])
        if is_late or command["link_epoch"] != self._device.link_epoch:
            self.found.late.add(f"command {command['transaction_id']} was given out late or to nobody")

    def pulsed(self, number: int, command_id: str, purpose: str, link_epoch: str, *, at: datetime) -> None:
        """Note that a lock is about to be driven."""
        self._pulses[command_id] += 1
        door = self._cabinet[number]
        if purpose == Purpose.COLLECT and not door.is_jammed:
            self._exposed |= set(door.goods)
        command = OpenCommand.objects.select_related("compartment").filter(pk=command_id).first()
        door.is_own_opening = command is None
        if command is None:
            self._own[command_id] = number
        elif command.compartment.number != number:
            self.found.strange.add(f"door {number} was pulsed by a command for another one")
        elif at > command.expires_at or link_epoch != command.link_epoch:
            self.found.late.add(f"command {command_id} was carried out after its deadline or connection")
        elif command.compartment.commands.live().count() > 1:
            self.found.double.add(f"door {number} was pulsed while another command for it was pending")

    def starting(self) -> None:
        """Note that the device starts."""
        for door in self._cabinet:
            if door.is_open and door.opening.is_by_itself and not door.opening.is_noticed:
                self._found_open.add(door.number)

    def reported(self, batch: list[wire.Envelope]) -> None:
        """Note what the device wants the server to know."""
        self._reported |= {(report["boot_id"], report["seq"]) for report in batch}

    def put(self, door: Door, goods: UUID, *, is_told: bool) -> None:
        """Note that goods were put behind a door; if the device opened it alone, nobody knows yet."""
        door.goods.append(goods)
        self.delivered.add(goods)
        if not is_told:
            self._untold.add(goods)
        if door.opening.is_by_itself:
            self._strays[goods] = door.opening

    def is_told(self, goods: UUID) -> bool:
        """Tell whether the server can know behind which door goods were put, as soon as somebody says so."""
        return goods not in self._untold

    def taken(self, door: Door, own: set[UUID], *, but_leaves: bool) -> None:
        """Note what a resident found, who takes everything, or leaves something that nobody knows of."""
        mine = own & set(door.goods)
        if not mine and not own & self.in_hand:
            self.found.lost.add(f"a resident found nothing of {own} behind door {door.number}")
        if others := set(door.goods) - own - self._exposed:
            self.found.strange.add(f"a resident found {others} behind door {door.number}")
        self.cleared(door)
        if but_leaves:
            door.goods += mine

    def cleared(self, door: Door) -> None:
        """Note that somebody took everything out."""
        self.in_hand |= set(door.goods)
        self._taken_at |= dict.fromkeys(door.goods, door.opening)
        door.goods.clear()

    def returned(self, door: Door, goods: UUID) -> None:
        """Note that a resident put something back; nobody can know before the device says that it opened."""
        door.goods.append(goods)
        self.in_hand.discard(goods)
        self._exposed.add(goods)
        self._untold.add(goods)

    def found_goods(self, door: Door) -> None:
        """Note that a courier was sent to a door behind which something lies; now it is known."""
        if unexpected := set(door.goods) - self._exposed - self._untold - self._strays.keys():
            self.found.strange.add(f"a courier found {unexpected} behind door {door.number}")
        self._seen |= set(door.goods)

    def look(self, *, is_all_told: bool) -> None:
        """Compare what is believed with how it is; all of it only where all that happened was told."""
        for number, verify_empty in self._free.ask():
            door = self._cabinet[number]
            goods = set(door.goods) - self._unknowable(verify_empty=verify_empty)
            if goods - (set() if is_all_told else self._untold):
                self.found.wrongly_free.add(f"door {number} is free and holds {goods}")
        if is_all_told:
            self.found.strange.update(self._wrong_doors())
            self._untold.clear()

    def _unknowable(self, *, verify_empty: bool) -> set[UUID]:
        """
        Return what may lie behind a free door.

        Into a door to be verified the next who comes looks; of an opening that no device saw nobody knows.
        """
        unseen = {goods for goods, opening in self._strays.items() if not opening.is_noticed}
        to_verify = self._exposed | self._strays.keys() if verify_empty else set()
        return (unseen | to_verify) - self._seen

    def _note_deposited(self, reservation: Reservation, **_: Any) -> None:
        self._announced["deposited", reservation.pk] += 1

    def _note_collected(self, reservation: Reservation, **_: Any) -> None:
        self._announced["collected", reservation.pk] += 1

    # Once everything was said and done.

    def conclude(self) -> Findings:
        """Judge how everything stands in the end, and return all that was found."""
        self.look(is_all_told=True)
        self.found.lost.update(self._lost_reports(), self._lost_goods())
        self.found.double.update(self._doubles())
        self.found.strange.update(self._wrong_commands())
        self.found.forgotten.update(self._forgotten())
        self.found.num_deposits, self.found.num_collections = len(self.delivered), len(self.in_hand)
        self.found.num_pulses, self.found.num_own_pulses = self.num_pulses, len(self._own)
        return self.found

    def leave(self) -> None:
        """Hear no more of what is announced."""
        signals.reservation_deposited.disconnect(self._note_deposited)
        signals.reservation_collected.disconnect(self._note_collected)

    def _lost_reports(self) -> Iterator[str]:
        rows = DeviceEvent.objects.filter(device=self._device)
        stored = {(boot_id, seq): at for boot_id, seq, at in rows.values_list("boot_id", "seq", "applied_at")}
        yield from (f"report {place} was not kept" for place in self._reported - stored.keys())
        yield from (f"report {place} had no effect" for place, at in stored.items() if at is None)

    def _lost_goods(self) -> Iterator[str]:
        """Find goods of which nobody knows where they lie, and claims to goods that are not there."""
        claims = {claim.reference: claim for claim in self._claims()}
        for compartment in self._doors_in_use():
            door = self._cabinet[compartment.number]
            for goods in set(door.goods) - self._unknowable(verify_empty=compartment.verify_empty):
                claim = claims[goods]
                is_theirs = claim.compartment_id == compartment.pk
                if not is_theirs or claim.state not in HELD | {ReservationState.DEPOSITING}:
                    yield f"{goods} lies behind door {door.number}, but its claim is {claim.state}"
        for claim in claims.values():
            if claim.state == ReservationState.COLLECTED:
                if claim.reference not in self.in_hand | self._exposed:
                    yield f"{claim.reference} is collected, but nobody could have it"
            elif claim.state in HELD and claim.compartment.state not in TROUBLE:
                is_there = claim.reference in self._cabinet[claim.compartment.number].goods
                if not is_there and not self._may_be_out(claim):
                    yield f"{claim.reference} is {claim.state} and not behind its door"

    def _may_be_out(self, claim: Reservation) -> bool:
        """
        Tell whether the resident has it without anyone's knowledge.

        Nobody was let in to them: the door opened by itself, or another had left it open. Or no sensor saw it
        open, or the collection is not over.
        """
        if claim.reference not in self.in_hand:
            return False
        opening = self._taken_at[claim.reference]
        is_let_in = claim.reference in self._exposed and not opening.is_by_itself
        return not is_let_in or not opening.is_noticed or claim.state == ReservationState.COLLECTING

    def _doubles(self) -> Iterator[str]:
        yield from (f"{times} pulses for {one}" for one, times in self._pulses.items() if times > 1)
        announced = self._announced.items()
        yield from (f"{who} was {what} {times} times" for (what, who), times in announced if times > 1)

    def _wrong_doors(self) -> Iterator[str]:
        """Find doors that do not stand as is believed; of one with a broken sensor nobody can know."""
        for number, believed in self._doors.ask():
            door = self._cabinet[number]
            if not door.is_blind and door.is_open != (believed in {DoorState.OPEN, DoorState.LEFT_OPEN}):
                yield f"door {number} is open: {door.is_open}, believed {believed}"

    def _wrong_commands(self) -> Iterator[str]:
        commands = OpenCommand.objects.filter(device=self._device).select_related("compartment")
        known = {str(command.pk): command for command in commands}
        for command_id, number in self._own.items():
            if command_id not in known or known[command_id].compartment.number != number:
                yield f"door {number} was pulsed by {command_id}, and nobody knows of it"
        for command_id, command in known.items():
            possible = AFTER_A_PULSE if self._pulses[command_id] else WITHOUT_A_PULSE
            if command.compartment.number in self._found_open and not self._pulses[command_id]:
                possible |= {CommandState.OPENED}
            if command.state not in possible:
                yield f"command {command_id} is {command.state}, pulsed {self._pulses[command_id]} times"

    def _forgotten(self) -> Iterator[str]:
        """Find what waits for somebody, while nobody is called."""
        calling = set(Alarm.objects.open().filter(locker=self._locker).values_list("compartment", flat=True))
        for compartment in self._doors_in_use():
            if self._cabinet[compartment.number].is_open and compartment.pk not in calling:
                yield f"door {compartment.number} stands open, and nobody is called"
            elif compartment.state in UNDER_WAY and compartment.pk not in calling:
                yield f"door {compartment.number} is {compartment.state} for ever, and nobody is called"

    def _doors_in_use(self) -> QuerySet[Compartment]:
        """Return the compartments into which nobody is called to look: of the others a look will tell."""
        return Compartment.objects.filter(locker=self._locker).exclude(state__in=TROUBLE)

    def _claims(self) -> Any:
        return Reservation.objects.filter(locker=self._locker).select_related("compartment")
