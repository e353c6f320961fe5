"""
A locker's mind under a bad network, power cuts, slow and full disks: one seed is one run, played and judged.

The real controller and journal run over a log in memory and a cabinet of three doors, into which people put
goods, against a model of the server.
"""

import heapq
import random
from collections.abc import Callable
from datetime import timedelta
from itertools import count

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal, NotWritten
from lockers.device.keypad import Opening
from lockers.device.messages import Answer, errand_in
from lockers.states import Purpose
from tests.lockers.conversation import (
    DEVICE_ID,
    DEVICE_KEY,
    EPOCH,
    KID,
    LIST_KEY,
    SERVER_KEY,
    Conversation,
    Line,
)
from tests.lockers.judgement import Account, Verdict, goods_in_free, verdict_on
from tests.lockers.server_claims import Claims
from tests.lockers.server_model import ServerModel
from tests.lockers.simulation import Cabinet, Disk, PowerCut, World
from tests.lockers.visitors import Visitors

#: How far the device's quartz may run off; less than the controller allows for.
QUARTZ_ERROR = 3e-4
#: Who stands before the keypad does not wait longer for the server.
KEYPAD_S = 4.0
#: After so long, everything has fallen due.
IN_THE_END_S = 20_000.0


class Run:
    """One seed: people who want doors, a server that commands, a device that obeys, and all the bad luck."""

    device: Controller

    def __init__(
        self,
        seed: int,
        mind: type[Controller] = Controller,
        memory: type[Journal] = Journal,
        server: type[ServerModel] = ServerModel,
        claims: type[Claims] = Claims,
        *,
        chance_of_cut_at_pulse: float = 0.1,
        line: Line | None = None,
    ) -> None:
        self._dice = random.Random(seed)
        self.world = World(self._dice, chance_of_cut_at_pulse=chance_of_cut_at_pulse)
        self._disk = Disk(self.world)
        self._cabinet = Cabinet(self)
        self._server = server(Cabinet.compartments, claims)
        self._line = Conversation(self, self._dice, self._server, line)
        self._visitors = Visitors(self, self._dice, self._cabinet, self._server, self._line)
        self._visitors.put_first(2)
        self._mind, self._memory = mind, memory
        self._quartz = 1 + self._dice.uniform(-QUARTZ_ERROR, QUARTZ_ERROR)
        self._clock_is_off = timedelta()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._is_on = False
        self._num_boots = 0
        #: Reports that were made and must arrive; those made without room on the disk, if the power stays.
        self._made: dict[str, wire.Envelope] = {}
        self._unwritten: list[wire.Envelope] = []
        self._wrongly_free: dict[str, None] = {}

    def verdict(self, steps: int = 60) -> Verdict:
        """Play the run, let everything come to rest, and judge it."""
        for _ in range(steps):
            if self._is_on:
                self._step()
            else:
                self._boot()
            self._look()
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

    def door_opened(self, number: int, command_id: str) -> None:
        """Let whoever waits for a door that opens do what they came for."""
        self._visitors.door_opened(number, command_id)
        if self._dice.random() < 0.5:
            self.later(0.1, self._report)

    def _pass(self, seconds: float) -> None:
        until_s = self.world.now_s + seconds
        while self._coming and self._coming[0][0] <= until_s:
            at_s, _, act = heapq.heappop(self._coming)
            self._reach(at_s)
            act()
            self._look()
        self._reach(until_s)

    def _reach(self, at_s: float) -> None:
        self.world.now_s = max(self.world.now_s, at_s)
        self._server.pass_time(self.world.now_s)

    def _look(self) -> None:
        """Compare what is free with what lies where."""
        goods = {number: door.goods for number, door in self._cabinet.doors.items()}
        self._wrongly_free |= dict.fromkeys(goods_in_free(self._server, goods))

    # What happens.

    def _step(self) -> None:
        self._pass(self._dice.expovariate(0.5))
        happening = self._dice.choices(
            (
                self._command,
                self._visitors.bring,
                self._visitors.fetch,
                self._office,
                self._poll,
                self._report,
                self._hello,
                self._tick,
                self._people,
                self._enter,
                self._trouble,
                self._darkness,
            ),
            weights=(1, 7, 2, 1, 9, 5, 2, 4, 4, 3, 2, 1),
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
        self._line.begin_life()
        try:
            self.on_device(self.device.boot)
        except NotWritten:
            self._is_on = False
            return
        self._num_boots += 1
        self._hello()

    def _watch(self) -> None:
        """Note which command is in hand, for whom the device opens by itself, and which reports are made."""
        pulse, open_alone = self.device._pulse, self.device._open
        note_made, standing_there = self.device._reporter.made, ""

        def alone(opening: Opening) -> Answer:
            nonlocal standing_there
            standing_there = opening.claim_id
            return open_alone(opening)

        def watched(command_id: str, number: int) -> bool:
            self._cabinet.in_hand = command_id
            command = self._server.given.get(command_id)
            errand = (standing_there, "collect") if command is None else errand_in(command)
            self._visitors.expect(command_id, *errand)
            return pulse(command_id, number)

        def made(report: wire.Envelope) -> None:
            note_made(report)
            self._unwritten.append(report)
            if not self.world.disk_is_full:
                self._made |= {one["message_id"]: one for one in self._unwritten}
                self._unwritten.clear()

        self.device._pulse = watched  # type: ignore[method-assign]
        self.device._open = alone  # type: ignore[method-assign]
        self.device._reporter.made = made

    def _command(self) -> None:
        """Let an operator open some door, whatever is going on there."""
        self._line.command(self._dice.choice(Cabinet.compartments), None, Purpose.OPERATOR)

    def _office(self) -> None:
        """Let goods not come, or somebody look into a compartment."""
        self._dice.choice((self._visitors.cancel, self._visitors.look))()

    def _hello(self) -> None:
        self.on_device(self._line.hello)

    def _poll(self) -> None:
        self.on_device(self._line.poll)

    def _report(self) -> None:
        self.on_device(self._line.report)

    def _tick(self) -> None:
        self.on_device(self.device.tick)

    def _people(self) -> None:
        """Let somebody close a door, or force one."""
        number = self._dice.choice(Cabinet.compartments)
        self._cabinet.move(number, is_open=self._dice.random() < 0.1)

    def _enter(self) -> None:
        """Let somebody type the code, as the links do it: the server is asked, and not waited for long."""
        code = self._visitors.code()
        if self.device.knows_codes and self._dice.random() < 0.3:
            self.on_device(lambda: self._decide(code, None))
            return
        life, question = self.device, self._line.enter(code)

        def give_up() -> None:
            if life is self.device and self._line.waits_for(question):
                self.on_device(lambda: self._decide(code, question))

        self.later(KEYPAD_S, give_up)

    def _decide(self, code: str, question: wire.Envelope | None) -> None:
        self._cabinet.question = None if question is None else str(question["message_id"])
        try:
            self.device.decide(code, instead_of=question)
        finally:
            self._cabinet.question = None

    def _trouble(self) -> None:
        """Let something break, or be mended."""
        number = self._dice.choice(Cabinet.compartments)
        match self._dice.randrange(5):
            case 0:
                self._cabinet.doors[number].is_jammed ^= True
            case 1:
                lies = [None, None, Reading.UNKNOWN, Reading.OPEN]
                self._cabinet.break_sensor(number, self._dice.choice(lies))
            case 2:
                self.world.disk_is_full ^= True
            case 3:
                self._clock_is_off = timedelta(days=self._dice.uniform(-400, 400))
            case 4:
                self._cabinet.doors[number].has_no_current ^= True

    def _darkness(self) -> None:
        """Let time pass in which nobody hears anybody."""
        self._pass(self._dice.choice([15, 40, 200, 700]))

    # The end.

    def _come_to_rest(self) -> None:
        """Mend everything, and let all be said and done."""
        self.world.is_calm, self.world.disk_is_full = True, False
        for number, door in self._cabinet.doors.items():
            door.is_jammed = door.has_no_current = False
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
        self._pass(IN_THE_END_S)

    def _judge(self) -> Verdict:
        account = Account(
            server=self._server,
            pulses=self._cabinet.pulses,
            must_arrive=self._disk.written | self._made,
            server_time=self._line.server_time,
            is_open={number: door.is_open for number, door in self._cabinet.doors.items()},
            wrongly_free=self._wrongly_free,
            is_all_told=not self.device.has_unreported(),
            num_boots=self._num_boots,
        )
        return verdict_on(account)
