"""A story: seeded dice decide who comes next, what arrives, and what goes wrong."""

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.exceptions import DomainError
from lockers import keys, tokens, wire
from lockers.device.controller import Controller
from lockers.device.identity import Identity
from lockers.device.journal import Journal
from lockers.models import Compartment, Device, LockerCode, Reservation
from lockers.services import claims, codes, commands, devices, inbox, sweeps
from lockers.sizes import Size
from lockers.states import TROUBLE, WITHIN_REACH, ReservationState, Transport
from tests.lockers.conftest import a_code, a_locker, a_reservation
from tests.lockers.town import people
from tests.lockers.town.box import Box, World
from tests.lockers.town.cabinet import Cabinet
from tests.lockers.town.judge import Findings, Judge
from tests.lockers.town.luck import EVERYDAY, Luck
from tests.lockers.town.network import DAWN, Network

SIZES = (Size.S, Size.S, Size.M, Size.L)
#: So many people are about at the same time.
CROWD = 4


class Town:
    """One seed of a story; ``present`` is the one that is played."""

    present: ClassVar["Town"]

    def __init__(
        self,
        seed: int,
        luck: Luck = EVERYDAY,
        *,
        sizes: Sequence[Size] = SIZES,
        transport: Transport | None = None,
        mind: type[Controller] = Controller,
        memory: type[Journal] = Journal,
    ) -> None:
        Town.present = self
        self.luck = luck
        self.world = World(
            random.Random(seed), chance_of_cut=luck.power_cut, chance_of_slow_disk=luck.slow_disk
        )
        self._dice = self.world.dice
        self._sizes = sizes
        self._locker = a_locker(sizes)
        key = Ed25519PrivateKey.generate()
        self._device = self._provisioned(key)
        self.cabinet = Cabinet(len(sizes))
        self.judge = Judge(self.cabinet, self._locker, self._device)
        identity = Identity(
            device_id=str(self._device.pk),
            locker=self._locker.slug,
            key=key,
            server_keys={keys.server_kid(): keys.server_key().public_key()},
            list_key=tokens.list_key(self._device.pk),
        )
        self.box = Box(self.world, luck, self.cabinet, identity, self, mind=mind, memory=memory)
        transport = transport or self._dice.choice(list(Transport))
        self.network = Network(self.world, luck, self.box, self.judge, transport)
        #: What goes on, by the bundle or the door that it is about.
        self._visits: dict[UUID | int, people.Visit] = {}
        self._codes: list[LockerCode] = []
        self._claims: list[UUID] = []

    def _provisioned(self, key: Ed25519PrivateKey) -> Device:
        return devices.provision(
            token=devices.issue_token(self._locker, real_at=self.now()),
            public_key=wire.public_text(key.public_key()),
            at=self.now(),
            real_at=self.now(),
        )

    def now(self) -> datetime:
        """Return the present moment, for servers and people alike."""
        return DAWN + timedelta(seconds=self.world.now_s)

    def pulsed(self, number: int, command_id: str, purpose: str, link_epoch: str) -> None:
        """Let the judge know that a lock is about to be driven."""
        self.judge.pulsed(number, command_id, purpose, link_epoch, at=self.now())

    def play(self, steps: int = 60) -> Findings:
        """Play the story, let everything come to rest, and judge it."""
        try:
            self._begin()
            for _ in range(steps):
                self.world.now_s += self._dice.expovariate(0.7)
                self._mishap()
                self._act()
                self._look()
                if self.judge.found.faults:
                    break
            self._come_to_rest()
            return self.judge.conclude()
        finally:
            self.judge.leave()

    def _look(self) -> None:
        is_told = self.box.is_on and not self.box.controller.has_unreported() and not self.network.has_news
        self.judge.look(is_all_told=is_told and self.cabinet.is_settled)

    # What happens.

    def _begin(self) -> None:
        """Begin on a good day: the device is connected, and for each door there is a bundle."""
        for _ in self._sizes:
            self._list_bundle()
        self.world.is_calm = True
        self._boot()
        self._breathe()
        self._breathe()
        self.world.is_calm = False

    def _act(self) -> None:
        if not self.box.is_on and self._dice.random() < 0.3:
            self._boot()
        if self.world.chance(self.luck.sweep):
            # A sensor takes a moment, but not so long.
            self.cabinet.settle()
            self.world.now_s += self._dice.choice(self.luck.pause_s)
            self._sweep()
        self._somebody_moves()
        if self.network.has_commands or self._dice.random() < 0.6:
            self._breathe()

    def _boot(self) -> None:
        self.judge.starting()
        self.box.boot()
        self.network.greet()

    def _breathe(self) -> None:
        """Let what is waiting arrive, be done, reported and applied, as far as the network lets it."""
        if self.box.is_on:
            self.network.live()
        self.network.carry()
        self.network.offer(self.now())
        self.network.carry()
        self.cabinet.settle()
        if self.box.is_on:
            self.box.do(self.box.controller.tick)
            self.network.report()
        self.network.carry()
        if self.network.has_news:
            inbox.apply(self._device.pk, at=self.now())
            self.network.has_news = False

    def _sweep(self) -> None:
        at = self.now()
        commands.sweep(real_at=at)
        devices.sweep(at=at, real_at=at)
        sweeps.sweep(at=at)
        sweeps.sweep_alarms(at=at, real_at=at)
        codes.sweep(at=at)

    def _mishap(self) -> None:
        door = self.cabinet[self._dice.choice(self.cabinet.compartments)]
        if self.world.chance(self.luck.darkness):
            self.network.die()
        if self.world.chance(self.luck.jam):
            door.is_jammed = not door.is_jammed
        if self.world.chance(self.luck.blind_sensor) and not door.is_open:
            door.is_blind = True
        if self.world.chance(self.luck.opens_by_itself) and door.is_abandoned:
            self.cabinet.spring(door, by_itself=True)
        if self.world.chance(self.luck.cancelled_claim):
            self._cancel_one()
        if self.world.chance(self.luck.blocked_door):
            people.block(self, self._compartment(door.number))

    def _cancel_one(self) -> None:
        claim = self._one_in(ReservationState.RESERVED)
        with suppress(DomainError):
            if claim is not None:
                claims.cancel(claim, at=self.now())

    # Who comes.

    def _somebody_moves(self) -> None:
        """Let somebody else come, if there is room, and those who are here go on."""
        if len(self._visits) < CROWD:
            self._somebody_comes()
        for what in list(self._visits):
            if self._dice.random() < 0.6 and next(self._visits[what], "is over") == "is over":
                del self._visits[what]

    def _somebody_comes(self) -> None:
        doors = [door for door in self.cabinet if door.is_open and door.is_abandoned]
        match self._dice.choices(["claim", "door", "check", "list"], weights=[8, 4, 2, 1])[0]:
            case "claim":
                self._somebody_comes_for_a_bundle()
            case "door" if doors:
                door = self._dice.choice(doors)
                self._visits.setdefault(door.number, people.close(self, door))
            case "check":
                self._somebody_checks()
            case "list":
                self._list_bundle()

    def _somebody_comes_for_a_bundle(self) -> None:
        """Let somebody come who has a reason to: the goods are still to be brought, or to be had."""
        claim = self._one_in(ReservationState.RESERVED, ReservationState.DEPOSITING, *WITHIN_REACH)
        if claim is None:
            self._list_bundle()
        elif claim.reference in self._visits:
            return
        elif claim.reference not in self.judge.delivered:
            self._visits[claim.reference] = people.deliver(self, claim)
        elif claim.state not in WITHIN_REACH:
            is_said = self.judge.is_told(claim.reference) or self.world.chance(self.luck.word_by_phone)
            if is_said and claim.confirmed_at is None and not self.world.chance(self.luck.lost_word):
                people.say_deposited(self, claim)
        elif claim.reference not in self.judge.in_hand:
            self._visits[claim.reference] = people.collect(self, claim)

    def _somebody_checks(self) -> None:
        waiting = Compartment.objects.filter(locker=self._locker, state__in=TROUBLE)
        numbers = [one.number for one in waiting if not self.cabinet[one.number].is_taken]
        if numbers:
            number = self._dice.choice(numbers)
            self._visits.setdefault(number, people.check(self, self._compartment(number)))

    def _list_bundle(self) -> None:
        """Let a bundle claim a place; now and then its resident awaits others already."""
        at = self.now()
        code = self._dice.choice(self._codes) if self._codes and self._dice.random() < 0.3 else None
        if code is None or not LockerCode.objects.live().filter(pk=code.pk).exists():
            code = a_code(at)
            self._codes.append(code)
        lives = self.luck.short_life if self.world.chance(self.luck.short_claim) else self.luck.long_life
        size = self._dice.choice(self._sizes)
        with suppress(DomainError):
            claim = a_reservation(self._locker, at, code=code, size=size, expires_in=lives)
            self._claims.append(claim.pk)
            if self._dice.random() < self.luck.deposit_code:
                codes.issue_for_deposits([claim], at=at)

    def _one_in(self, *states: ReservationState) -> Reservation | None:
        """Return a claim in one of these states; the dice, not the database, decide which."""
        found = Reservation.objects.select_related("compartment", "code", "deposit_code", "locker")
        by_id = found.filter(state__in=states).in_bulk(self._claims)
        known = [by_id[one] for one in self._claims if one in by_id]
        return self._dice.choice(known) if known else None

    def _compartment(self, number: int) -> Compartment:
        return Compartment.objects.select_related("locker").get(locker=self._locker, number=number)

    # The end.

    def _come_to_rest(self) -> None:
        """Mend everything, let everyone go home, and let all be said, carried, applied and settled."""
        self.world.is_calm = True
        self.network.recover()
        for visit in self._visits.values():
            visit.close()
        self.cabinet.settle()
        for door in self.cabinet:
            self.cabinet.mend(door)
        if not self.box.is_on:
            self._boot()
        for wait in (60, 700, self.luck.long_life.total_seconds(), 700, 60, 60):
            self.world.now_s += wait
            self._breathe()
            self._breathe()
            self._sweep()
            self._breathe()
            self._look()
