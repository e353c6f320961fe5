"""What lies between device and server: messages come late, twice, in any order, or not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from common.exceptions import DomainError
from lockers import exchange, link, wire
from lockers.device.messages import Answer
from lockers.services import commands
from lockers.states import Transport
from tests.lockers.town.box import Box, World
from tests.lockers.town.judge import Judge
from tests.lockers.town.luck import Luck

DAWN = datetime.fromisoformat("2026-11-24T06:00:00+00:00")
#: A device says so often that it is there.
HEARTBEAT_S = 15
#: With so many messages on their way, it does not report again.
MANY = 8
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Saying:
    """Envelopes on their way to the server."""

    what: str
    envelopes: list[wire.Envelope]
    sent_s: float
    life: int


@dataclass(frozen=True, slots=True)
class Hearing:
    """An envelope on its way to the device, and what it answers, if anything."""

    envelope: wire.Envelope
    request: Saying | None = None


class Network:
    """Carries envelopes between one box and the server."""

    def __init__(self, world: World, luck: Luck, box: Box, judge: Judge, transport: Transport) -> None:
        self._world, self._luck, self._dice = world, luck, world.dice
        self._box, self._judge = box, judge
        self._transport = transport
        self._to_server: list[Saying] = []
        self._to_device: list[Hearing] = []
        self._dark_until_s = -1.0
        self._greeted_epoch, self._spoke_s = "", 0.0
        self._answered: dict[str, Answer] = {}
        #: The server was told something, or asked to open something.
        self.has_news = self.has_commands = False

    @property
    def is_dark(self) -> bool:
        """Tell whether nothing comes through at present."""
        return self._world.now_s < self._dark_until_s

    def die(self) -> None:
        """Let nothing through for a while, though doors go on being used."""
        self._dark_until_s = self._world.now_s + self._dice.choice(self._luck.dark_s)

    def recover(self) -> None:
        """Let everything through again."""
        self._dark_until_s = -1.0

    # The device speaks.

    def greet(self) -> None:
        """Begin a connection."""
        if greeting := self._box.do(self._box.controller.hello):
            self._say("hello", [greeting])

    def live(self) -> None:
        """Say hello where that is due, or give a sign of life; over HTTPS it asks for commands."""
        mind, is_poll = self._box.controller, self._transport == Transport.HTTPS
        if self._greeted_epoch != mind.link_epoch or self._world.chance(self._luck.new_connection):
            self.greet()
            return
        is_due = self._world.now_s - self._spoke_s > HEARTBEAT_S or (is_poll and self.has_commands)
        if is_due and (said := self._box.do(mind.poll if is_poll else mind.heartbeat)):
            self._say("poll" if is_poll else "heartbeat", [said])

    def report(self) -> None:
        """Send all reports, in several batches."""
        batch = self._box.do(self._box.controller.unreported) or []
        self._judge.reported(batch)
        if self._world.chance(self._luck.old_reports_wait):
            batch = [report for report in batch if report["boot_id"] == batch[-1]["boot_id"]]
        while batch and len(self._to_server) < MANY:
            size = self._dice.choice([1, 1, 1, len(batch)])
            self._say("report", batch[:size])
            batch = batch[size:]

    def enter(self, code: str) -> int | None:
        """Type a code; return the door that the keypad shows, if one is to open."""
        mind = self._box.controller
        answer = question = None
        if not self.is_dark:
            answer = self._box.do(mind.answer_first, code)
            if answer is None and (question := self._box.do(mind.entered, code)):
                self._say("code", [question])
                self.carry()
                answer = self._answered.get(question["message_id"])
                if answer is not None:
                    self._box.do(mind.note_answer, answer)
        if answer is None and mind.knows_codes:
            answer = self._box.do(mind.decide, code, instead_of=question)
        return answer.compartment if answer is not None else None

    def _say(self, what: str, envelopes: list[wire.Envelope]) -> None:
        self._spoke_s = self._world.now_s
        if self.is_dark and (what != "report" or self._dice.random() < 0.5):
            return
        saying = Saying(what, envelopes, self._box.uptime_s(), self._box.num_lives)
        self._to_server += [saying] * self._num_copies()

    def _num_copies(self) -> int:
        if self._world.chance(self._luck.loss):
            return 0
        return 2 if self._world.chance(self._luck.doubling) else 1

    # Messages on their way.

    def carry(self) -> None:
        """Bring what is on its way, in any order; some of it another time."""
        if self.is_dark:
            return
        for saying in self._due(self._to_server):
            self._serve(saying)
        for hearing in self._due(self._to_device):
            self._bring(hearing)

    def _due(self, on_the_way: list[M]) -> list[M]:
        """Take from what is on its way what arrives now."""
        self._dice.shuffle(on_the_way)
        num_late = sum(self._world.chance(self._luck.delay) for _ in on_the_way)
        due = on_the_way[num_late:]
        del on_the_way[num_late:]
        return due

    def _bring(self, hearing: Hearing) -> None:
        """Let the device hear a message; the network may die over a door that it opens."""
        pulses, request = self._judge.num_pulses, hearing.request
        # A new life knows nothing of what an earlier one asked.
        is_awaited = request is not None and request.life == self._box.num_lives
        question = request.envelopes[-1] if request and is_awaited else {"message_id": ""}
        answer = self._box.do(
            self._box.controller.hear,
            [hearing.envelope],
            request=question,
            sent_s=request.sent_s if request else 0.0,
            received_s=self._box.uptime_s(),
        )
        if answer is not None:
            self._answered[question["message_id"]] = answer
        if self._judge.num_pulses > pulses and self._world.chance(self._luck.darkness_at_the_door):
            self.die()

    # The server answers.

    def offer(self, at: datetime) -> None:
        """Send over MQTT the commands that wait at the server, and the list of codes if it is news."""
        self.has_commands = False
        if self._transport == Transport.MQTT and not self.is_dark:
            for command in commands.claim_unsent(real_at=at):
                self._send(link.unlock(command, at=at), at=at)
            for envelope in exchange.lists_due(Transport.MQTT):
                self._send(envelope, at=at)

    def _send(self, envelope: wire.Envelope, *, at: datetime) -> None:
        if envelope["action"] == "open_compartment":
            self._judge.offered(envelope, at=at)
        self._to_device += [Hearing(envelope)] * self._num_copies()

    def _serve(self, saying: Saying) -> None:
        self._world.now_s += (
            0.01 if self._world.is_calm else self._dice.choices([0.01, 0.1, 3], weights=[10, 5, 1])[0]
        )
        at = DAWN + timedelta(seconds=self._world.now_s)
        try:
            answer, *asides = self._answers(saying, at=at)
        except DomainError:
            return
        if not self._world.chance(self._luck.loss):
            self._to_device.append(Hearing(answer, saying))
        for envelope in asides:
            self._send(envelope, at=at)

    def _answers(self, saying: Saying, *, at: datetime) -> list[wire.Envelope]:
        [*_, envelope] = saying.envelopes
        match saying.what:
            case "hello":
                answer = exchange.hello(envelope, transport=self._transport)
                self._greeted_epoch = envelope["link_epoch"]
            case "heartbeat":
                return list(exchange.heartbeat(envelope))
            case "poll":
                device, waiting = exchange.begin_poll(envelope)
                answer = link.answer(device, "poll_answered", to=envelope["message_id"], at=at)
                return [answer, *waiting]
            case "code":
                said = exchange.enter_code(envelope)
                unlock = [] if said.command is None else [link.unlock(said.command, at=at)]
                return [said.answer, *unlock]
            case _:
                answer = exchange.take_reports(saying.envelopes)
                self.has_news = True
                if "event" not in envelope and self._world.chance(self._luck.darkness_after_an_answer):
                    self.die()
        return [answer]
