"""
One locker, its people and all their bad luck, in virtual time: the real device over a simulated cabinet, the
real services over a database, and between them a network that loses, doubles and delays.

What really lies behind each door is known here, so that what the database believes can be judged by it.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.exceptions import DomainError
from lockers import exchange, keys, link, wire
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal
from lockers.models import Compartment, DeviceEvent, OpenCommand, Reservation
from lockers.services import claims, codes, commands, devices, inbox, reservations, sweeps
from lockers.services.claims import ReleaseReason
from lockers.sizes import Size
from lockers.states import ReservationState, Transport
from tests.lockers.conftest import a_code, a_locker, a_reservation, digits_of
from tests.lockers.simulation import Disk, PowerCut, World

DAWN = datetime(2026, 11, 24, 6, tzinfo=UTC)
SIZES = (Size.S, Size.S, Size.M, Size.L)
#: Claims and goods outlive a story, but for the few that shall not.
LONG, SHORT = timedelta(hours=8), timedelta(minutes=4)


@dataclass(slots=True)
class Door:
    """One door and what lies behind it."""

    is_open: bool = False
    is_jammed: bool = False
    goods: list[UUID] = field(default_factory=list)


class Doors:
    """Four doors that spring open when pulsed, unless they jam or the power goes."""

    compartments = tuple(range(1, len(SIZES) + 1))

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_number = {number: Door() for number in self.compartments}
        self.moved: Callable[[int, Reading], None] = lambda number, reading: None
        self._sprung: list[int] = []

    def pulse(self, compartment: int) -> None:
        """Drive a lock; the power may go just before or just after."""
        self._world.maybe_cut()
        door = self.by_number[compartment]
        if not door.is_jammed and not door.is_open:
            door.is_open = True
            self._sprung.append(compartment)
        self._world.maybe_cut(0.05)

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor says; a door that has just been pulsed takes a moment."""
        is_open = self.by_number[compartment].is_open and compartment not in self._sprung
        return Reading.OPEN if is_open else Reading.CLOSED

    def settle(self) -> None:
        """Let the sensors see what sprang open."""
        sprung, self._sprung = self._sprung, []
        for number in sprung:
            if self.by_number[number].is_open:
                self.moved(number, Reading.OPEN)

    def close(self, number: int) -> None:
        """Push a door shut."""
        self.settle()
        if self.by_number[number].is_open:
            self.by_number[number].is_open = False
            self.moved(number, Reading.CLOSED)


@dataclass(frozen=True, slots=True)
class Findings:
    """What went wrong in a story, each with a word of what it was."""

    wrongly_free: list[str]
    lost: list[str]
    double: list[str]
    late: list[str]
    strange: list[str]
    num_deposits: int
    num_collections: int

    @property
    def faults(self) -> list[str]:
        """Return all of them."""
        return [*self.wrongly_free, *self.lost, *self.double, *self.late, *self.strange]


class Town:
    """One seed of a story; ``present`` is the one that is played."""

    present: ClassVar["Town"]

    def __init__(self, seed: int, mind: type[Controller] = Controller) -> None:
        Town.present = self
        self.dice = random.Random(seed)
        self._world = World(self.dice, chance_of_cut=0.003, chance_of_slow_disk=0.01)
        self._disk = Disk(self._world)
        self._doors = Doors(self._world)
        self._mind = mind
        self._key = Ed25519PrivateKey.generate()
        self._to_server: list[tuple[str, list[wire.Envelope]]] = []
        self._to_device: list[tuple[wire.Envelope | None, float, wire.Envelope]] = []
        self._reported: dict[tuple[str, int], wire.Envelope] = {}
        self._pulses: Counter[str] = Counter()
        self._late: list[str] = []
        self._wrongly_free: set[str] = set()
        self._strange: set[str] = set()
        self._num_deposits = 0
        self._num_dark_steps = 0
        self._is_calm = False
        self._is_on = False
        self._locker = a_locker(SIZES)
        token = devices.issue_token(self._locker, real_at=self.now())
        public_key = wire.public_text(self._key.public_key())
        self._device = devices.provision(
            token=token, public_key=public_key, at=self.now(), real_at=self.now()
        )

    def now(self) -> datetime:
        """Return the present moment, for servers and people alike."""
        return DAWN + timedelta(seconds=self._world.now_s)

    def play(self, steps: int = 100) -> Findings:
        """Play the story, let everything come to rest, and judge it."""
        for _ in SIZES:
            self._list()
        for _ in range(steps):
            self._world.now_s += self.dice.expovariate(0.4)
            self._try(self._act if self._is_on else self._boot)
            self._num_dark_steps = max(0, self._num_dark_steps - 1)
            if self._is_on and not self._num_dark_steps and self.dice.random() < 0.6:
                self._try(self._go_round)
            self._look()
        self._come_to_rest()
        return self._findings()

    # What happens.

    def _act(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (5, self._carry),
            (4, self._send_commands),
            (4, self._report),
            (3, self._work),
            (2, self._heartbeat),
            (1, self._hello),
            (2, self._mind_now.tick),
            (2, self._list),
            (8, self._courier_comes),
            (8, self._resident_comes),
            (2, self._doors.settle),
            (3, self._someone_closes),
            (1, self._sweep),
            (1, self._something_breaks),
            (1, self._network_dies),
        ]
        weights, choices = zip(*acts, strict=True)
        self.dice.choices(choices, weights=weights)[0]()

    def _go_round(self) -> None:
        """Let the network have a good moment: what is waiting arrives, is done, reported and applied."""
        self._world.now_s += 0.2
        self._device.refresh_from_db()
        if self._device.link_epoch == self._mind_now.link_epoch:
            self._heartbeat()
        else:
            self._hello()
        self._carry()
        self._send_commands()
        self._carry()
        self._doors.settle()
        self._report()
        self._carry()
        self._work()

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except PowerCut:
            self._is_on = False
            self._doors.moved = lambda number, reading: None
            self._to_device.clear()

    def _boot(self) -> None:
        self._world.now_s += self.dice.uniform(1, 15)
        started_s = self._world.now_s
        self._mind_now = self._mind(
            identity=Identity(
                device_id=str(self._device.pk),
                locker=self._locker.slug,
                key=self._key,
                server_keys={keys.server_kid(): keys.server_key().public_key()},
            ),
            journal=Journal(self._disk),
            hardware=Watched(self),
            monotonic=lambda: self._world.now_s - started_s,
            wall_clock=lambda: DAWN - timedelta(days=1),
        )
        self._doors.settle()
        self._mind_now.boot()
        self._doors.moved = self._mind_now.door_moved
        self._is_on = True
        self._hello()

    def _hello(self) -> None:
        self._say("hello", [self._mind_now.hello()])

    def _heartbeat(self) -> None:
        self._say("heartbeat", [self._mind_now.heartbeat()])

    def _report(self) -> None:
        batch = self._mind_now.unreported()
        self._reported |= {(report["boot_id"], report["seq"]): report for report in batch}
        while batch:
            size = self.dice.randint(1, len(batch))
            self._say("report", batch[:size])
            batch = batch[size:]

    def _say(self, what: str, envelopes: list[wire.Envelope]) -> None:
        """Give messages to the network, which loses some and doubles others."""
        self._to_server += [(what, envelopes)] * self._num_copies()

    def _num_copies(self) -> int:
        """Return how often a message arrives."""
        if self._is_calm:
            return 1
        return 0 if self._num_dark_steps else self.dice.choices([0, 1, 2], weights=[2, 7, 1])[0]

    def _carry(self) -> None:
        """Carry what waits in the network, in any order, both ways."""
        self.dice.shuffle(self._to_server)
        waiting, self._to_server = self._to_server, []
        for what, envelopes in waiting:
            self._serve(what, envelopes)
        self.dice.shuffle(self._to_device)
        while self._to_device:
            request, sent_s, message = self._to_device.pop()
            self._mind_now.hear(
                [message],
                request=request or {"message_id": ""},
                sent_s=sent_s,
                received_s=self._mind_now._monotonic(),
            )

    def _serve(self, what: str, envelopes: list[wire.Envelope]) -> None:
        sent_s = self._mind_now._monotonic()
        self._world.now_s += 0.01 if self._is_calm else self.dice.choice([0.01, 0.05, 0.3, 5])
        try:
            if what == "hello":
                answer = exchange.hello(envelopes[0], transport=Transport.MQTT)
            elif what == "heartbeat":
                answer = exchange.heartbeat(envelopes[0])[0]
            elif what == "code":
                answer = exchange.enter_code(envelopes[0]).answer
            else:
                answer = exchange.take_reports(envelopes)
        except DomainError:
            return
        if self._is_calm or self.dice.random() < 0.8:
            self._to_device.append((envelopes[-1], sent_s, answer))

    def _send_commands(self) -> None:
        for command in commands.claim_unsent(real_at=self.now()):
            sealed = link.unlock(command, at=self.now())
            self._to_device += [(None, 0.0, sealed)] * self._num_copies()

    def _work(self) -> None:
        """Let a worker apply what was reported."""
        inbox.apply(self._device.pk, at=self.now())

    def _sweep(self) -> None:
        self._world.now_s += self.dice.choice([1, 30, 400, 700])
        commands.sweep(real_at=self.now())
        devices.sweep(at=self.now(), real_at=self.now())
        sweeps.sweep(at=self.now())
        codes.sweep(at=self.now())

    def _list(self) -> None:
        """Let a bundle claim a place."""
        expires_in = self.dice.choice([LONG, LONG, SHORT])
        code = a_code(self.now(), lives=timedelta(days=2))
        size = self.dice.choice(SIZES)
        self._quietly(
            lambda: a_reservation(self._locker, self.now(), code=code, size=size, expires_in=expires_in)
        )

    def _courier_comes(self) -> None:
        """Ask for a door; once it stands open put the goods in, close it and say so; or half of it."""
        claim = self._one_in({ReservationState.RESERVED, ReservationState.DEPOSITING})
        if claim is None:
            return
        if self._open_door_for(claim) is None and not self._lies_inside(claim):
            self._quietly(lambda: commands.open_for_deposit(claim, at=self.now(), real_at=self.now()))
            self._wait_before_the_door()
        door = self._open_door_for(claim)
        if door is not None and not self._lies_inside(claim):
            if door.goods:
                self._finds_goods(claim)
                return
            door.goods.append(claim.reference)
            self._num_deposits += 1
            if self.dice.random() < 0.85:
                self._doors.close(self._number_of(claim))
        if self._lies_inside(claim) and not self._num_dark_steps and self.dice.random() < 0.9:
            self._quietly(lambda: reservations.confirm_deposit(claim, at=self.now()))

    def _wait_before_the_door(self) -> None:
        """Let a command reach the door, or not; the network may die just then."""
        if self.dice.random() < 0.85:
            self._send_commands()
            self._carry()
            self._doors.settle()
        if self.dice.random() < 0.15:
            self._network_dies()

    def _finds_goods(self, claim: Reservation) -> None:
        """Say that a door is not empty; it may be so only where nobody gave a word that it is."""
        assert claim.compartment is not None
        if not claim.compartment.verify_empty:
            self._strange.add("a courier found goods of someone else")
        self._doors.close(claim.compartment.number)
        self._quietly(lambda: claims.release_door(claim, reason=ReleaseReason.NOT_EMPTY, at=self.now()))

    def _resident_comes(self) -> None:
        """Open by code or from afar; take everything, close the door, press the button; or not."""
        claim = self._one_in({ReservationState.DEPOSITED, ReservationState.COLLECTING})
        if claim is None or claim.compartment is None:
            return
        if self._open_door_for(claim) is None:
            if self.dice.random() < 0.5 and claim.code is not None and claim.code.is_live:
                digits = digits_of(claim.code, self.now())
                self._say("code", [self._mind_now.entered(digits)])
                self._carry()
            else:
                self._quietly(lambda: commands.open_for_collection(claim, at=self.now(), real_at=self.now()))
            self._wait_before_the_door()
        door = self._open_door_for(claim)
        if door is None:
            return
        if any(goods != claim.reference for goods in door.goods):
            self._strange.add("a resident found goods of someone else")
        door.goods.clear()
        self._doors.close(claim.compartment.number)
        if self.dice.random() < 0.6:
            self._mind_now.button_pressed(claim.compartment.number)

    def _someone_closes(self) -> None:
        for number, door in self._doors.by_number.items():
            if door.is_open and self.dice.random() < 0.5:
                self._doors.close(number)

    def _something_breaks(self) -> None:
        door = self._doors.by_number[self.dice.choice(Doors.compartments)]
        door.is_jammed = not door.is_jammed
        self._world.maybe_cut(0.3)

    def _network_dies(self) -> None:
        """Let nothing through for a while, though doors go on being used."""
        self._num_dark_steps = self.dice.choice([3, 8, 15])
        self._doors.settle()
        self._sweep()

    def _one_in(self, states: set[ReservationState]) -> Reservation | None:
        found = list(
            Reservation.objects.filter(locker=self._locker, state__in=states).select_related(
                "compartment", "code"
            )
        )
        return self.dice.choice(found) if found else None

    def _open_door_for(self, claim: Reservation) -> Door | None:
        """Return the open door that people take for this claim's: the one that they were told."""
        if claim.compartment is None:
            return None
        door = self._doors.by_number[claim.compartment.number]
        return door if door.is_open else None

    def _lies_inside(self, claim: Reservation) -> bool:
        return any(claim.reference in door.goods for door in self._doors.by_number.values())

    def _number_of(self, claim: Reservation) -> int:
        assert claim.compartment is not None
        return claim.compartment.number

    def _quietly(self, act: Callable[[], object]) -> None:
        try:
            act()
        except DomainError:
            return

    # Judgement.

    def pulsed(self, command: OpenCommand | None, command_id: str) -> None:
        """Note that a lock was driven for a command."""
        self._pulses[command_id] += 1
        if command is not None and self.now() > command.expires_at:
            self._late.append(command_id)

    def _look(self) -> None:
        """Compare the doors that are called empty with what lies behind them."""
        for compartment in Compartment.objects.free().filter(locker=self._locker, verify_empty=False):
            goods = self._doors.by_number[compartment.number].goods
            if goods:
                self._wrongly_free.add(f"{compartment.number} holds {goods} and is free")

    def _come_to_rest(self) -> None:
        """Mend everything and let all be said, carried and applied."""
        self._num_dark_steps = 0
        self._is_calm = self._world.is_calm = True
        for door in self._doors.by_number.values():
            door.is_jammed = False
        if not self._is_on:
            self._boot()
        for _ in range(6):
            self._doors.settle()
            self._hello()
            self._carry()
            for _ in range(20):
                self._report()
                self._carry()
            self._work()
            self._look()
            self._world.now_s += 60

    def _findings(self) -> Findings:
        stored = {
            (event.boot_id, event.seq): event for event in DeviceEvent.objects.filter(device=self._device)
        }
        lost = [f"report {place} was not kept" for place in self._reported.keys() - stored.keys()]
        lost += [f"report {place} had no effect" for place, event in stored.items() if not event.applied_at]
        for compartment in Compartment.objects.filter(locker=self._locker):
            seen = self._doors.by_number[compartment.number].is_open
            believed = compartment.door in {"open", "left_open"}
            if seen != believed:
                self._strange.add(f"door {compartment.number} is open: {seen}, believed {compartment.door}")
        return Findings(
            wrongly_free=sorted(self._wrongly_free),
            lost=lost,
            double=[f"{command}: {times} pulses" for command, times in self._pulses.items() if times > 1],
            late=self._late,
            strange=sorted(self._strange),
            num_deposits=self._num_deposits,
            num_collections=Reservation.objects.filter(
                locker=self._locker, state=ReservationState.COLLECTED
            ).count(),
        )


class Watched:
    """The doors as the device drives them, with a note of what for."""

    compartments = Doors.compartments

    def __init__(self, town: Town) -> None:
        self._town = town

    def pulse(self, compartment: int) -> None:
        """Note the command in hand, and pulse."""
        command_id = list(self._town._mind_now._journal._seen)[-1]
        self._town.pulsed(OpenCommand.objects.filter(pk=command_id).first(), command_id)
        self._town._doors.pulse(compartment)

    def reading(self, compartment: int) -> Reading:
        """Return what the sensor says."""
        return self._town._doors.reading(compartment)
