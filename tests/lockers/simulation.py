"""
A locker's mind under a lossy link, power cuts and slow disks, in virtual time: seeded, and fast.

The real controller and journal run over a log in memory and locks that only count. Time passes where the
real world takes it: on the wire, on the disk, between events.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal, Record

EPOCH = datetime(2026, 11, 24, 11, tzinfo=UTC)
SERVER_KEY, DEVICE_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KID = wire.key_id(SERVER_KEY.public_key())
DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
#: How far the device's quartz may run off; less than the controller allows for.
QUARTZ_ERROR = 3e-4


class PowerCut(Exception):
    """The device lost power at this very point."""


@dataclass
class World:
    """What really happens: time, power, and every pulse with the command that caused it."""

    dice: random.Random
    now_s: float = 0.0
    pulses: list[tuple[str, float]] = field(default_factory=list)

    chance_of_cut: float = 0.02
    chance_of_slow_disk: float = 0.05
    is_calm: bool = False

    def maybe_cut(self, chance: float | None = None) -> None:
        if not self.is_calm and self.dice.random() < (self.chance_of_cut if chance is None else chance):
            raise PowerCut


class Disk:
    """A log in memory; a write may be slow, and the power may go before or after it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: list[Record] = []

    def read(self) -> list[Record]:
        return list(self.records)

    def append(self, records: Sequence[Record]) -> None:
        self._world.maybe_cut()
        slow = self._world.dice.random() < self._world.chance_of_slow_disk
        self._world.now_s += self._world.dice.uniform(1, 25) if slow else 0.001
        self.records += records
        self._world.maybe_cut()

    def rewrite(self, records: Sequence[Record]) -> None:
        self.records = list(records)


class Locks:
    """Three doors; pulses are counted for the command in hand."""

    compartments = (1, 2, 3)

    def __init__(self, world: World) -> None:
        self._world = world
        self.in_hand = ""

    def pulse(self, compartment: int) -> None:
        self._world.maybe_cut()
        self._world.pulses.append((self.in_hand, self._world.now_s))
        self._world.maybe_cut(0.1)

    def reading(self, compartment: int) -> Reading:
        return Reading.CLOSED


@dataclass
class Verdict:
    """What went wrong in one run, and how much was tried."""

    late: int
    double: int
    stale: int
    pulses: int


class Run:
    """One seed: a server that gives commands, a device that obeys, and all the bad luck in between."""

    def __init__(
        self, seed: int, mind: type[Controller] = Controller, memory: type[Journal] = Journal
    ) -> None:
        self._dice = random.Random(seed)
        self._world = World(self._dice)
        self._disk = Disk(self._world)
        self._locks = Locks(self._world)
        self._mind, self._memory = mind, memory
        self._skew = timedelta(seconds=self._dice.uniform(-90_000, 90_000))
        self._quartz = 1 + self._dice.uniform(-QUARTZ_ERROR, QUARTZ_ERROR)
        self._epoch = ""
        self._commands: dict[str, wire.Envelope] = {}
        self._taped: list[list[wire.Envelope]] = []
        self._stale = 0

    def verdict(self, steps: int = 60) -> Verdict:
        """Play the run and judge it."""
        is_dead = True
        for _ in range(steps):
            try:
                self._boot() if is_dead else self._step()
                is_dead = False
            except PowerCut:
                is_dead = True
        pulsed = Counter(command_id for command_id, _ in self._world.pulses)
        late = sum(
            self._server_time(at_s) > wire.parse_moment(self._commands[command_id]["expires_at"])
            for command_id, at_s in self._world.pulses
        )
        double = sum(number - 1 for number in pulsed.values())
        return Verdict(late=late, double=double, stale=self._stale, pulses=len(self._world.pulses))

    def _step(self) -> None:
        self._world.now_s += self._dice.expovariate(0.5)
        happening = self._dice.choices(
            ["command", "poll", "replay", "hello", "report", "tick"], weights=[4, 8, 5, 2, 3, 1]
        )[0]
        getattr(self, f"_{happening}")()

    def _boot(self) -> None:
        self._world.now_s += self._dice.uniform(1, 15)
        started_s = self._world.now_s
        run = self

        class Watched(self._mind):  # type: ignore[misc, name-defined]
            def _drive(self, command: wire.Envelope, command_id: str, number: int) -> None:
                run._locks.in_hand = command_id
                before = len(run._world.pulses)
                try:
                    super()._drive(command, command_id, number)
                finally:
                    if len(run._world.pulses) > before and command["link_epoch"] != self.link_epoch:
                        run._stale += 1

        self._device = Watched(
            identity=Identity(
                device_id=DEVICE_ID,
                locker="dorf",
                key=DEVICE_KEY,
                server_keys={KID: SERVER_KEY.public_key()},
            ),
            journal=self._memory(self._disk),
            hardware=self._locks,
            monotonic=lambda: (self._world.now_s - started_s) * self._quartz,
            wall_clock=lambda: EPOCH,
        )
        self._device.boot()
        self._hello()

    def _hello(self) -> None:
        greeting = self._device.hello()
        self._epoch = greeting["link_epoch"]
        self._exchange(greeting, [self._answer(greeting, "hello_accepted", accepted={})])

    def _command(self) -> None:
        at = self._server_time(self._world.now_s)
        command_id = str(uuid4())
        self._commands[command_id] = {
            "action": "open_compartment",
            "device_id": DEVICE_ID,
            "transaction_id": command_id,
            "link_epoch": self._epoch,
            "expires_at": wire.moment(at + timedelta(seconds=20)),
            "data": {"compartment_number": self._dice.choice(Locks.compartments)},
        }

    def _poll(self) -> None:
        request = self._device.poll()
        at = self._server_time(self._world.now_s)
        known = set(request["data"]["known"])
        offered = [
            self._seal({**command, "ttl_ms": min(20_000, int((expires - at).total_seconds() * 1000))})
            for command_id, command in self._commands.items()
            if (expires := wire.parse_moment(command["expires_at"])) > at
            and command["link_epoch"] == self._epoch
            and command_id not in known
        ]
        self._exchange(request, [self._answer(request, "poll_answered"), *offered])

    def _replay(self) -> None:
        if self._taped:
            self._hear(self._device.poll(), self._dice.choice(self._taped[-6:]), sent_s=self._now())

    def _report(self) -> None:
        batch = self._device.unreported()
        if batch:
            accepted = {entry["boot_id"]: entry["seq"] for entry in batch}
            self._exchange(batch[-1], [self._answer(None, "messages_accepted", accepted=accepted)])

    def _tick(self) -> None:
        self._device.tick()

    def _exchange(self, request: wire.Envelope, messages: list[wire.Envelope]) -> None:
        """Carry an answer to the device: late, twice, or not at all."""
        self._taped.append(messages)
        sent_s = self._now()
        self._world.now_s += self._dice.choice([0.01, 0.05, 0.3, 5, 19, 30])
        for _ in range(self._dice.choices([0, 1, 2], weights=[2, 6, 2])[0]):
            self._hear(request, messages, sent_s=sent_s)

    def _hear(self, request: wire.Envelope, messages: list[wire.Envelope], *, sent_s: float) -> None:
        self._device.hear(messages, request=request, sent_s=sent_s, received_s=self._now())

    def _answer(self, request: wire.Envelope | None, action: str, **data: object) -> wire.Envelope:
        reply_to = request and request["message_id"]
        return self._seal({"action": action, "device_id": DEVICE_ID, "in_reply_to": reply_to, "data": data})

    def _seal(self, fields: wire.Envelope) -> wire.Envelope:
        return wire.seal(fields, key=SERVER_KEY, kid=KID, timestamp=self._server_time(self._world.now_s))

    def _server_time(self, now_s: float) -> datetime:
        return EPOCH + self._skew + timedelta(seconds=now_s)

    def _now(self) -> float:
        return float(self._device._monotonic())
