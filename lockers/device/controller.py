"""
The mind of a locker: what it does with each message, door movement and passing second.

It opens nothing late and nothing twice: a command must be of the present connection and within its deadline
on the monotonic clock, and is written down as seen, on disk, before the lock is driven.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeGuard
from uuid import uuid4

from lockers import wire
from lockers.device.doors import Doors
from lockers.device.hardware import Bare, Hardware, HardwareFailed, Housing, Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal, NotWritten
from lockers.device.keypad import Keypad, Opening, Outcome, is_scanned, is_typed
from lockers.device.messages import (
    Answer,
    accepted_in,
    answer_in,
    command_id_in,
    compartment_number_in,
    errand_in,
    is_whole,
)
from lockers.device.reporter import Reporter
from lockers.device.sensors import Sensors
from lockers.device.timekeeping import Calendar, ServerTime
from lockers.device.trust import Trust

logger = logging.getLogger(__name__)

#: No command may live longer, whatever it says.
LONGEST_LIFE_MS = 20_000
#: A command is named as known in polls for so long.
KNOWN_FOR_S = 60.0
#: How often the server's time is written down, for a start without network.
MARK_TIME_EVERY_S = 600.0
#: So many questions are remembered after they were settled.
QUESTIONS_KEPT = 64


class Controller:
    """
    Decides for one locker; all it touches is its journal and its hardware.

    ``keep_identity`` writes the identity to disk when the server's keys change; without it, new keys are
    known until the next start only.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        journal: Journal,
        hardware: Hardware,
        monotonic: Callable[[], float],
        wall_clock: Callable[[], datetime],
        housing: Housing | None = None,
        opening_time_s: float = 10.0,
        keep_identity: Callable[[Identity], None] = lambda identity: None,
    ) -> None:
        housing = housing or Bare()
        self._trust = Trust(identity, keep_identity)
        self._journal = journal
        self._hardware = hardware
        self._monotonic = monotonic
        self._booted_s = monotonic()
        self._server_time = ServerTime()
        self._reporter = Reporter(identity=identity, journal=journal, wall_clock=wall_clock)
        self._doors = Doors(
            hardware=hardware,
            housing=housing,
            reporter=self._reporter,
            monotonic=monotonic,
            opening_time_s=opening_time_s,
        )
        self._sensors = Sensors(housing=housing, reporter=self._reporter, monotonic=monotonic)
        self._calendar = Calendar(monotonic, journal.time)
        self._marked_s = self._booted_s
        known = journal.allowlist
        self._keypad = Keypad(
            list_key=identity.list_key,
            allowlist=known if known is not None and self.is_genuine(known) else None,
            journal=journal,
            hardware=hardware,
            calendar=self._calendar,
            monotonic=monotonic,
        )
        self._reporter.made = self._keypad.note_made
        self._known: dict[str, float] = {}
        #: Questions to the server that led to an opening, and those that the keypad settled without it.
        self._obeyed: dict[str, int] = {}
        self._settled: dict[str, int] = {}

    @property
    def identity(self) -> Identity:
        """Return who the device is, and whom it obeys now."""
        return self._trust.identity

    @property
    def is_greeted(self) -> bool:
        """Tell whether a server that is believed has answered the last greeting."""
        return self._trust.is_greeted

    @property
    def link_epoch(self) -> str:
        """Return the nonce of the present connection."""
        return self._reporter.link_epoch

    def boot(self) -> None:
        """
        Begin a life: say what became of the last one, and how the cabinet stands.

        Raises
        ------
        NotWritten
            If the disk is full; it may be tried again.
        """
        self._journal.begin_boot(f"{self._journal.num_boots + 1:08d}-{secrets.token_hex(8)}")
        before, last_seq = self._journal.after or (None, 0)
        self._reporter.report("booted", {"previous_boot_id": before, "previous_seq": last_seq})
        for command_id in self._journal.interrupted():
            self._respond(command_id, error_code="INTERRUPTED")
        self._doors.begin()
        self._sensors.look()

    def hello(self) -> wire.Envelope:
        """Return a greeting that begins a connection; commands of an earlier one are refused from now on."""
        self._reporter.begin_connection()
        greeting = self._reporter.seal(
            event="hello",
            data={
                "boot_id": self._journal.boot_id,
                "num_hellos": self._journal.begin_connection(),
                "list_version": self._keypad.list_version(obeyed=self.identity.server_keys),
            },
        )
        self._trust.begin_connection(greeting)
        return greeting

    def poll(self) -> wire.Envelope:
        """Return a request for commands; it names those that are in hand already."""
        self._known = self._still_known()
        return self._reporter.seal(event="poll", data={"known": list(self._known)})

    def heartbeat(self) -> wire.Envelope:
        """Return a sign of life, for links on which nothing else is said regularly."""
        return self._reporter.seal(
            event="heartbeat", data={"uptime_seconds": int(self._monotonic() - self._booted_s)}
        )

    def entered(self, code: str) -> wire.Envelope:
        """Return the question whether an entered code opens something; it is written down nowhere."""
        return self._reporter.seal(event="code_entered", data={"digits" if is_typed(code) else "qr": code})

    @property
    def knows_codes(self) -> bool:
        """Tell whether the locker has a list by which it can answer codes itself."""
        return self._keypad.has_list

    def answer_first(self, code: str) -> Answer | None:
        """
        Answer a code before the server is asked, if it must not be.

        As long as the server is behind on what was opened here by the list, the list decides what it can.
        Codes typed at a locked keypad go nowhere.
        """
        if is_typed(code) and self._keypad.is_locked():
            return Answer(outcome=Outcome.LOCKED_OUT)
        if not self._keypad.is_ahead():
            return None
        decision = self._keypad.decide(code)
        return self._open(decision) if isinstance(decision, Opening) else None

    def note_answer(self, answer: Answer) -> None:
        """Count what the server says to a typed code, should the next ones be tried without it."""
        if answer.outcome == Outcome.CODE_UNKNOWN:
            self._keypad.note_wrong()
        elif answer.outcome == Outcome.OPENING:
            self._keypad.forgive(None)

    def decide(self, code: str, *, instead_of: wire.Envelope | None = None) -> Answer:
        """
        Answer an entered code by the list, and open the door.

        ``instead_of`` is the question that the server did not answer in time; a command for it that comes
        later is not executed.
        """
        question = None if instead_of is None else str(instead_of["message_id"])
        if question in self._obeyed:
            number = self._obeyed[question]
            is_deposit = self._keypad.deposits_into(number)
            return Answer(outcome=Outcome.OPENING, compartment=number, is_deposit=is_deposit)
        if question is not None:
            _remember(self._settled, question, 0)
        if not is_typed(code) and not is_scanned(code):
            return Answer(outcome=Outcome.CODE_UNKNOWN)
        if is_typed(code) and self._keypad.is_locked():
            return Answer(outcome=Outcome.LOCKED_OUT)
        decision = self._keypad.decide(code)
        if isinstance(decision, Opening):
            return self._open(decision)
        if decision.outcome == Outcome.CODE_UNKNOWN and is_typed(code):
            self._reject()
        return decision

    def unreported(self) -> list[wire.Envelope]:
        """Return the oldest reports that the server has not acknowledged."""
        return self._journal.unreported()[: wire.MAX_BATCH]

    def has_unreported(self) -> bool:
        """Tell whether anything waits for the server's acknowledgement."""
        return self._journal.has_unreported()

    def hear(
        self, messages: Iterable[object], *, request: wire.Envelope, sent_s: float, received_s: float
    ) -> Answer | None:
        """Take the server's answer to a request, and do what it commands."""
        answer = None
        # A report may be sent again, and the answer to its first copy come when its second was sent.
        is_fresh = "seq" not in request
        for message in filter(self.is_genuine, messages):
            if is_fresh and message.get("in_reply_to") == request["message_id"]:
                self.learn_time(message, sent_s=sent_s, received_s=received_s)
            answer = self.take(message) or answer
        return answer

    def is_genuine(self, message: object) -> TypeGuard[wire.Envelope]:
        """Tell whether a message is the server's, and for this device."""
        return self._trust.is_genuine(message)

    def learn_time(self, answer: wire.Envelope, *, sent_s: float, received_s: float) -> None:
        """Learn the server's time from a genuine answer, given when we asked and when it arrived."""
        try:
            stamp = wire.parse_moment(answer.get("timestamp"))
        except wire.BadEnvelope as error:
            self._note_unreadable(error)
        else:
            self._server_time.learn(stamp, sent_s=sent_s, received_s=received_s)
            self._calendar.learn(stamp)

    def take(self, message: wire.Envelope) -> Answer | None:
        """
        Do what a genuine message says; of one that answers a typed code, return the answer.

        What cannot be read is ignored: a fault of the server must not stop a locker.
        """
        try:
            match message.get("action"):
                case "open_compartment":
                    self.execute(message)
                case "hello_accepted":
                    self._forget(accepted_in(message))
                    self._trust.follow(message)
                case "messages_accepted":
                    self._forget(accepted_in(message))
                case "put_allowlist":
                    self._keep_list(message)
                case "sync":
                    self._recall(accepted_in(message))
                case "code_answered":
                    return answer_in(message)
        except wire.BadEnvelope as error:
            self._note_unreadable(error)
        return None

    def execute(self, command: wire.Envelope) -> None:
        """
        Open a door, once and in time, or say why not; a repeated command gets its stored answer.

        Raises
        ------
        BadEnvelope
            If the command has no identity by which it could be answered.
        """
        command_id = command_id_in(command)
        self._known = {**self._still_known(), command_id: self._monotonic()}
        if self._journal.has_seen(command_id):
            self._repeat_answer(command_id)
            return
        number = compartment_number_in(command)
        if refusal := self._refusal(command, number):
            self._respond(command_id, error_code=refusal)
            return
        try:
            self._journal.remember_seen(command_id)
        except NotWritten:
            self._respond(command_id, error_code="DISK_FULL")
            return
        self._keypad.note_errand(command_id, *errand_in(command))
        self._drive(command, command_id, number)

    def door_moved(self, number: int, reading: Reading) -> None:
        """Take a movement of a door from its sensor."""
        self._doors.moved(number, reading)

    def button_pressed(self, number: int) -> None:
        """Take the word of who stands there that they are done: goods are in, or the compartment is empty."""
        event = "deposit_done" if self._keypad.deposits_into(number) else "collection_done"
        self._reporter.report(event, {"compartment_number": number})

    def tick(self) -> None:
        """Notice what did not happen in time, and how time passes."""
        self._journal.catch_up()
        self._doors.tick()
        self._keypad.tick()
        self._sensors.look()
        if self._monotonic() - self._marked_s >= MARK_TIME_EVERY_S:
            self._mark_time()

    def _refusal(self, command: wire.Envelope, number: int) -> str | None:
        if self._is_stale(command):
            return "STALE_EPOCH"
        if self._is_late(command):
            return "EXPIRED"
        if number not in self._hardware.compartments:
            return "UNKNOWN_COMPARTMENT"
        if command.get("request_id") in self._settled:
            return "SETTLED_AT_KEYPAD"
        claim_id, purpose = errand_in(command)
        if purpose != "operator" and self._keypad.is_in_other_use(number, claim_id):
            return "DOOR_IN_OTHER_USE"
        return None

    def _is_stale(self, command: wire.Envelope) -> bool:
        return bool(command.get("link_epoch") != self.link_epoch)

    def _is_late(self, command: wire.Envelope) -> bool:
        """Tell whether the deadline has passed; one that cannot be read has."""
        latest, ttl_ms = self._server_time.latest(self._monotonic()), command.get("ttl_ms")
        if latest is None or not is_whole(ttl_ms) or not 0 <= ttl_ms <= LONGEST_LIFE_MS:
            return True
        try:
            return latest > wire.parse_moment(command.get("expires_at"))
        except wire.BadEnvelope:
            return True

    def _drive(self, command: wire.Envelope, command_id: str, number: int) -> None:
        """Pulse the lock, unless writing to disk took longer than the command lives."""
        if self._is_late(command):
            self._respond(command_id, error_code="EXPIRED")
        elif self._pulse(command_id, number) and isinstance(command.get("request_id"), str):
            _remember(self._obeyed, command["request_id"], number)

    def _pulse(self, command_id: str, number: int) -> bool:
        """Drive a lock for a command that is on disk, report it, and tell whether the lock was driven."""
        was_open = self._hardware.reading(number) == Reading.OPEN
        try:
            self._hardware.pulse(number)
        except HardwareFailed:
            self._respond(command_id, error_code="HARDWARE_FAILED")
            return False
        self._respond(command_id)
        self._doors.pulsed(number, command_id, was_open=was_open)
        return True

    def _open(self, opening: Opening) -> Answer:
        """Open a door by a command of our own; that it was given is on disk before the lock is driven."""
        command_id = str(uuid4())
        told = {
            "entry_id": opening.entry.entry_id,
            "claim_id": opening.claim_id,
            "purpose": opening.entry.purpose,
            "compartment_number": opening.number,
        }
        try:
            self._reporter.report("code_accepted", told, transaction_id=command_id, begins=command_id)
        except NotWritten:
            return Answer(outcome=Outcome.HARDWARE_FAILED)
        self._keypad.forgive(opening.entry.entry_id)
        if not self._pulse(command_id, opening.number):
            return Answer(outcome=Outcome.HARDWARE_FAILED)
        return Answer(
            outcome=Outcome.OPENING,
            compartment=opening.number,
            num_left=opening.num_left,
            is_deposit=opening.entry.purpose == "deposit",
        )

    def _reject(self) -> None:
        """Count a wrong code, and report it for whoever asks why nothing opened."""
        lock_out = self._keypad.note_wrong()
        locked_s = None if lock_out is None else int(lock_out.total_seconds())
        self._reporter.report("code_rejected", {"locked_for_s": locked_s})

    def _keep_list(self, message: wire.Envelope) -> None:
        try:
            version = self._keypad.put(message, obeyed=self.identity.server_keys)
        except NotWritten:
            logger.warning("%s: a list of codes finds no room", self.identity.locker)
            return
        if version is not None:
            self._mark_time()
            self._reporter.report("allowlist_stored", {"version": version})

    def _recall(self, accepted: Mapping[str, int]) -> None:
        """Report again what the server misses, as far as it is still there, and where the doors stand."""
        for boot_id, seq in accepted.items():
            lost_through = self._journal.recall(boot_id, seq)
            if lost_through is not None:
                self._reporter.report("reports_lost", {"boot_id": boot_id, "through_seq": lost_through})
        self._doors.report_all()

    def _mark_time(self) -> None:
        self._marked_s = self._monotonic()
        contact, now = self._calendar.contact, self._calendar.now()
        if contact is not None and now is not None:
            self._journal.mark_time(contact, now)

    def _respond(self, command_id: str, *, error_code: str | None = None) -> None:
        data = {"result": "error", "error_code": error_code} if error_code else {"result": "success"}
        self._reporter.answer(command_id, data)

    def _repeat_answer(self, command_id: str) -> None:
        """Say again what became of a command, unless it is about to be said anyway."""
        stored = self._journal.answer_to(command_id)
        if stored is not None and not self._journal.is_unreported(stored):
            self._reporter.answer(command_id, stored["data"])

    def _forget(self, accepted: Mapping[str, int]) -> None:
        for boot_id, seq in accepted.items():
            self._journal.forget(boot_id, seq)

    def _still_known(self) -> dict[str, float]:
        now_s = self._monotonic()
        return {known: at_s for known, at_s in self._known.items() if now_s - at_s < KNOWN_FOR_S}

    def _note_unreadable(self, error: wire.BadEnvelope) -> None:
        logger.warning("%s: a message that cannot be read was ignored: %s", self.identity.locker, error)


def _remember(memory: dict[str, int], name: str, number: int) -> None:
    memory[name] = number
    while len(memory) > QUESTIONS_KEPT:
        del memory[next(iter(memory))]
