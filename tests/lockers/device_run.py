"""
A locker's mind under a bad network, power cuts, slow and full disks: one seed is one run, played and judged.

The real controller and journal run over a log in memory and a cabinet of three doors, against a model of the
server.
"""

import hashlib
import heapq
import hmac
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal, NotWritten
from tests.lockers.judgement import Account, Verdict, verdict_on
from tests.lockers.server_model import Command, ServerModel
from tests.lockers.simulation import Cabinet, Disk, PowerCut, World

EPOCH = datetime(2026, 11, 24, 11, tzinfo=UTC)
SERVER_KEY, DEVICE_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KID = wire.key_id(SERVER_KEY.public_key())
DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
#: How far the device's quartz may run off; less than the controller allows for.
QUARTZ_ERROR = 3e-4
LIFE_S = 20.0
#: Who stands before the keypad does not wait longer for the server.
KEYPAD_S = 4.0
CODE, LIST_KEY = "48291703", b"k" * 32
GOODS = "a40ef80e-5e2e-4bd4-8d5b-7f3a8a1a31b7"


class Run:
    """One seed: a server that gives commands, a device that obeys, and all the bad luck in between."""

    device: Controller

    def __init__(
        self,
        seed: int,
        mind: type[Controller] = Controller,
        memory: type[Journal] = Journal,
        server: type[ServerModel] = ServerModel,
        *,
        chance_of_cut_at_pulse: float = 0.1,
    ) -> None:
        self._dice = random.Random(seed)
        self.world = World(self._dice, chance_of_cut_at_pulse=chance_of_cut_at_pulse)
        self._disk = Disk(self.world)
        self._cabinet = Cabinet(self)
        self._server = server(Cabinet.compartments)
        self._mind, self._memory = mind, memory
        self._skew = timedelta(seconds=self._dice.uniform(-90_000, 90_000))
        self._quartz = 1 + self._dice.uniform(-QUARTZ_ERROR, QUARTZ_ERROR)
        self._clock_is_off = timedelta()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._is_on = False
        self._num_boots = 0
        #: What the device sent in this life, and when it did so last.
        self._asked: dict[str, tuple[wire.Envelope, float]] = {}
        self._commands: dict[str, wire.Envelope] = {}
        self._num_lists = 0
        self._questions: set[str] = set()
        #: Reports that were made and must arrive; those made without room on the disk, if the power stays.
        self._made: dict[str, wire.Envelope] = {}
        self._unwritten: list[wire.Envelope] = []

    def verdict(self, steps: int = 60) -> Verdict:
        """Play the run, let everything come to rest, and judge it."""
        for _ in range(steps):
            if self._is_on:
                self._step()
            else:
                self._boot()
        self._come_to_rest()
        return self._judge()

    # Time, and what comes with it.

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after a while."""
        heapq.heappush(self._coming, (self.world.now_s + seconds, next(self._numbers), act))

    def on_device(self, act: Callable[[], object]) -> None:
        """Let the device do something, if it has power; it may lose it on the way."""
        if not self._is_on:
            return
        try:
            act()
        except PowerCut:
            self._is_on = False
            self._unwritten.clear()

    def _pass(self, seconds: float) -> None:
        until_s = self.world.now_s + seconds
        while self._coming and self._coming[0][0] <= until_s:
            at_s, _, act = heapq.heappop(self._coming)
            self.world.now_s = max(self.world.now_s, at_s)
            act()
        self.world.now_s = max(self.world.now_s, until_s)

    # What happens.

    def _step(self) -> None:
        self._pass(self._dice.expovariate(0.5))
        happening = self._dice.choices(
            (
                self._command,
                self._poll,
                self._report,
                self._hello,
                self._tick,
                self._people,
                self._enter,
                self._trouble,
                self._darkness,
            ),
            weights=(5, 8, 5, 2, 4, 5, 3, 3, 1),
        )[0]
        happening()

    def _boot(self) -> None:
        self._pass(self._dice.uniform(1, 15))
        self.world.disk_is_full &= self._dice.random() < 0.5
        started_s = self.world.now_s
        self.device = self._mind(
            identity=Identity(
                device_id=DEVICE_ID,
                locker="dorf",
                key=DEVICE_KEY,
                server_keys={KID: SERVER_KEY.public_key()},
                list_key=LIST_KEY,
            ),
            journal=self._memory(self._disk),
            hardware=self._cabinet,
            monotonic=lambda: (self.world.now_s - started_s) * self._quartz,
            wall_clock=lambda: EPOCH + timedelta(seconds=self.world.now_s) + self._clock_is_off,
        )
        self._watch()
        self._is_on = True
        self._asked.clear()
        try:
            self.on_device(self.device.boot)
        except NotWritten:
            self._is_on = False
            return
        self._num_boots += 1
        self._hello()

    def _watch(self) -> None:
        """Note which command is in hand, and which reports are made."""
        pulse, note_made = self.device._pulse, self.device._reporter.made

        def watched(command_id: str, number: int) -> bool:
            self._cabinet.in_hand = command_id
            return pulse(command_id, number)

        def made(report: wire.Envelope) -> None:
            note_made(report)
            self._unwritten.append(report)
            if not self.world.disk_is_full:
                self._made |= {one["message_id"]: one for one in self._unwritten}
                self._unwritten.clear()

        self.device._pulse = watched  # type: ignore[method-assign]
        self.device._reporter.made = made

    def _hello(self) -> None:
        self.on_device(lambda: self._say(self.device.hello(), self._hear_hello))

    def _poll(self) -> None:
        self.on_device(lambda: self._say(self.device.poll(), self._hear_poll))

    def _report(self) -> None:
        """Send all that is unreported, in batches and out of order."""
        self.on_device(self._send_all)

    def _send_all(self) -> None:
        batch = self.device.unreported()
        while batch:
            size = self._dice.randint(1, len(batch))
            self._send(batch[:size])
            batch = batch[size:]

    def _send(self, batch: list[wire.Envelope]) -> None:
        some = self._dice.sample(batch, len(batch))
        self._asked[some[-1]["message_id"]] = some[-1], self.device._monotonic()
        self._carry(lambda: self._hear_reports(some))

    def _tick(self) -> None:
        self.on_device(self.device.tick)

    def _people(self) -> None:
        """Let somebody close a door, or force one."""
        number = self._dice.choice(Cabinet.compartments)
        self._cabinet.move(number, is_open=self._dice.random() < 0.1)

    def _enter(self) -> None:
        """Let somebody type the code, as the links do it: the server is asked, and not waited for long."""
        if self.device.knows_codes and self._dice.random() < 0.3:
            self.on_device(lambda: self._decide(None))
            return
        question, life = self.device.entered(CODE), self.device

        def give_up() -> None:
            if life is self.device and question["message_id"] in self._asked:
                self.on_device(lambda: self._decide(question))

        self._say(question, self._hear_code)
        self.later(KEYPAD_S, give_up)

    def _decide(self, question: wire.Envelope | None) -> None:
        self._cabinet.question = None if question is None else str(question["message_id"])
        try:
            self.device.decide(CODE, instead_of=question)
        finally:
            self._cabinet.question = None

    def _trouble(self) -> None:
        """Let something break, or be mended."""
        number = self._dice.choice(Cabinet.compartments)
        match self._dice.randrange(4):
            case 0:
                self._cabinet.doors[number].is_jammed ^= True
            case 1:
                lies = [None, None, Reading.UNKNOWN, Reading.OPEN]
                self._cabinet.break_sensor(number, self._dice.choice(lies))
            case 2:
                self.world.disk_is_full ^= True
            case 3:
                self._clock_is_off = timedelta(days=self._dice.uniform(-400, 400))

    def _darkness(self) -> None:
        """Let time pass in which nobody hears anybody."""
        self._pass(self._dice.choice([15, 40, 200]))

    def _command(self, **fields: object) -> None:
        """Give a command; it is pushed to the device, and offered to each poll."""
        at = self._server_time()
        command_id = str(UUID(int=self._dice.getrandbits(128), version=4))
        envelope = {
            "action": "open_compartment",
            "device_id": DEVICE_ID,
            "transaction_id": command_id,
            "link_epoch": self._server.link_epoch,
            "expires_at": wire.moment(at + timedelta(seconds=LIFE_S)),
            "data": {"compartment_number": self._dice.choice(Cabinet.compartments)},
            **fields,
        }
        self._commands[command_id] = envelope
        self._server.commands[command_id] = Command(envelope)
        if self._dice.random() < 0.5:
            self._give(envelope)

    # The network.

    def _say(self, message: wire.Envelope, hear: Callable[[wire.Envelope], None]) -> None:
        self._asked[message["message_id"]] = message, self.device._monotonic()
        self._carry(lambda: hear(message))

    def _carry(self, arrive: Callable[[], None]) -> None:
        """Carry a message: late, twice, much later again, or not at all."""
        if self.world.is_calm:
            self.later(0.01, arrive)
            return
        for _ in range(self._dice.choices((0, 1, 2), weights=(2, 6, 2))[0]):
            self.later(self._dice.choice((0.01, 0.05, 0.3, 5, 19, 30)), arrive)

    def _hear_hello(self, hello: wire.Envelope) -> None:
        if self._server.greet(hello):
            self._answer(hello, "hello_accepted", accepted={})
            self._list()

    def _hear_poll(self, poll: wire.Envelope) -> None:
        if poll["link_epoch"] != self._server.link_epoch:
            return
        self._answer(poll, "poll_answered")
        for command_id, command in self._commands.items():
            if command_id not in poll["data"]["known"]:
                self._give(command)

    def _hear_code(self, question: wire.Envelope) -> None:
        """Let the code open the second door, if the question belongs to the present connection; once."""
        if question["link_epoch"] == self._server.link_epoch:
            data = {"compartment_number": 2, "claim_id": GOODS, "purpose": "collect"}
            if question["message_id"] not in self._questions:
                self._questions.add(question["message_id"])
                self._command(request_id=question["message_id"], data=data)
            self._answer(question, "code_answered", outcome="opening", compartment_number=2, num_left=0)

    def _list(self) -> None:
        """Send a list that knows of goods behind the second door, and of the code that opens it."""
        self._num_lists += 1
        boot_id, seq = self._server.last
        digest = hmac.new(LIST_KEY, CODE.encode(), hashlib.sha256).hexdigest()
        claim = {"claim_id": GOODS, "state": "here", "compartment_number": 2, "num_openings": 0, "doors": [2]}
        entry = {
            "entry_id": GOODS,
            "purpose": "collect",
            "digest": digest,
            "qr": digest,
            "not_after": wire.moment(self._server_time() + timedelta(days=1)),
            "claims": [GOODS],
            "one_visit": False,
        }
        as_of = {"boot_id": boot_id, "seq": seq}
        data = {"version": self._num_lists, "as_of": as_of, "claims": [claim], "entries": [entry]}
        self._tell({"action": "put_allowlist", "device_id": DEVICE_ID, "data": data})

    def _hear_reports(self, batch: list[wire.Envelope]) -> None:
        self._answer(batch[-1], "messages_accepted", accepted=self._server.receive(batch))

    def _give(self, command: wire.Envelope) -> None:
        """Send a command of the present connection that is still to be had."""
        left = wire.parse_moment(command["expires_at"]) - self._server_time()
        if left > timedelta() and command["link_epoch"] == self._server.link_epoch:
            self._tell(command | {"ttl_ms": min(20_000, left // timedelta(milliseconds=1))})

    def _answer(self, to: wire.Envelope, action: str, **data: object) -> None:
        reply_to = to["message_id"]
        self._tell({"action": action, "device_id": DEVICE_ID, "in_reply_to": reply_to, "data": data})

    def _tell(self, fields: wire.Envelope) -> None:
        sealed = wire.seal(fields, key=SERVER_KEY, kid=KID, timestamp=self._server_time())
        self._carry(lambda: self.on_device(lambda: self._hear(sealed)))

    def _hear(self, message: wire.Envelope) -> None:
        now_s = self.device._monotonic()
        reply_to = str(message.get("in_reply_to"))
        request, sent_s = self._asked.get(reply_to, ({"message_id": ""}, now_s))
        if self.device.hear([message], request=request, sent_s=sent_s, received_s=now_s):
            self._asked.pop(reply_to, None)

    def _server_time(self, now_s: float | None = None) -> datetime:
        return EPOCH + self._skew + timedelta(seconds=self.world.now_s if now_s is None else now_s)

    # The end.

    def _come_to_rest(self) -> None:
        """Mend everything, and let all be said and done."""
        self.world.is_calm, self.world.disk_is_full = True, False
        for number, door in self._cabinet.doors.items():
            door.is_jammed = False
            self._cabinet.break_sensor(number, None)
        for _ in range(4):
            if not self._is_on:
                self._boot()
            # Longer than anything is under way, and than a door is watched.
            self._pass(31)
            self._tick()
            self._hello()
            self._pass(1)
            self._report()
            self._pass(1)

    def _judge(self) -> Verdict:
        account = Account(
            server=self._server,
            pulses=self._cabinet.pulses,
            must_arrive=self._disk.written | self._made,
            server_time=self._server_time,
            is_open={number: door.is_open for number, door in self._cabinet.doors.items()},
            is_all_told=not self.device.has_unreported(),
            num_boots=self._num_boots,
        )
        return verdict_on(account)
