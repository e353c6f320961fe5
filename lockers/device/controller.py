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

from lockers import wire
from lockers.device.doors import Doors
from lockers.device.hardware import Hardware, HardwareFailed, Reading
from lockers.device.identity import Identity
from lockers.device.journal import Journal
from lockers.device.messages import (
    Answer,
    accepted_in,
    answer_in,
    command_id_in,
    compartment_number_in,
    is_whole,
)
from lockers.device.reporter import Reporter
from lockers.device.timekeeping import ServerTime

logger = logging.getLogger(__name__)

#: No command may live longer, whatever it says.
LONGEST_LIFE_MS = 20_000
#: A command is named as known in polls for so long.
KNOWN_FOR_S = 60.0


class Controller:
    """Decides for one locker; all it touches is its journal and its hardware."""

    def __init__(
        self,
        *,
        identity: Identity,
        journal: Journal,
        hardware: Hardware,
        monotonic: Callable[[], float],
        wall_clock: Callable[[], datetime],
        opening_time_s: float = 10.0,
    ) -> None:
        self.identity = identity
        self._journal = journal
        self._hardware = hardware
        self._monotonic = monotonic
        self._booted_s = monotonic()
        self._server_time = ServerTime()
        self._reporter = Reporter(identity=identity, journal=journal, wall_clock=wall_clock)
        self._doors = Doors(
            hardware=hardware, reporter=self._reporter, monotonic=monotonic, opening_time_s=opening_time_s
        )
        self._known: dict[str, float] = {}

    @property
    def link_epoch(self) -> str:
        """Return the nonce of the present connection."""
        return self._reporter.link_epoch

    def boot(self) -> None:
        """Begin a life: say what became of the last one, and where the doors stand."""
        before, last_seq = self._journal.boot_id, self._journal.last_seq
        self._journal.begin_boot(f"{self._journal.num_boots + 1:08d}-{secrets.token_hex(8)}")
        self._reporter.report(
            "booted", {"previous_boot_id": before, "previous_seq": last_seq if before else 0}
        )
        for command_id in self._journal.interrupted():
            self._respond(command_id, error_code="INTERRUPTED")
        self._doors.report_all()

    def hello(self) -> wire.Envelope:
        """Return a greeting that begins a connection; commands of an earlier one are refused from now on."""
        self._reporter.begin_connection()
        data = {"boot_id": self._journal.boot_id, "num_hellos": self._journal.begin_connection()}
        return self._reporter.seal(event="hello", data=data)

    def poll(self) -> wire.Envelope:
        """Return a request for commands; it names those that are in hand already."""
        self._known = self._still_known()
        return self._reporter.seal(event="poll", data={"known": list(self._known)})

    def heartbeat(self) -> wire.Envelope:
        """Return a sign of life, for links on which nothing else is said regularly."""
        return self._reporter.seal(
            event="heartbeat", data={"uptime_seconds": int(self._monotonic() - self._booted_s)}
        )

    def typed(self, digits: str) -> wire.Envelope:
        """Return the question whether typed digits open something; they are written down nowhere."""
        return self._reporter.seal(event="code_entered", data={"digits": digits})

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
        for message in filter(self.is_genuine, messages):
            if message.get("in_reply_to") == request["message_id"]:
                self.learn_time(message, sent_s=sent_s, received_s=received_s)
            answer = self.take(message) or answer
        return answer

    def is_genuine(self, message: object) -> TypeGuard[wire.Envelope]:
        """Tell whether a message is the server's, and for this device."""
        if not isinstance(message, dict) or message.get("device_id") != self.identity.device_id:
            logger.warning("%s: a message from elsewhere was ignored", self.identity.locker)
            return False
        try:
            wire.check(message, self.identity.server_keys[str(message.get("kid"))])
        except (KeyError, wire.BadEnvelope):
            logger.warning("%s: a forged message was ignored", self.identity.locker)
            return False
        return True

    def learn_time(self, answer: wire.Envelope, *, sent_s: float, received_s: float) -> None:
        """Learn the server's time from a genuine answer, given when we asked and when it arrived."""
        try:
            stamp = wire.parse_moment(answer.get("timestamp"))
        except wire.BadEnvelope as error:
            self._note_unreadable(error)
        else:
            self._server_time.learn(stamp, sent_s=sent_s, received_s=received_s)

    def take(self, message: wire.Envelope) -> Answer | None:
        """
        Do what a genuine message says; of one that answers a typed code, return the answer.

        What cannot be read is ignored: a fault of the server must not stop a locker.
        """
        try:
            match message.get("action"):
                case "open_compartment":
                    self.execute(message)
                case "hello_accepted" | "messages_accepted":
                    self._forget(accepted_in(message))
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
        self._journal.remember_seen(command_id)
        self._drive(command, command_id, number)

    def door_moved(self, number: int, reading: Reading) -> None:
        """Take a movement of a door from its sensor."""
        self._doors.moved(number, reading)

    def button_pressed(self, number: int) -> None:
        """Take the resident's word that a compartment is empty."""
        self._reporter.report("collection_done", {"compartment_number": number})

    def tick(self) -> None:
        """Notice what did not happen in time."""
        self._doors.tick()

    def _refusal(self, command: wire.Envelope, number: int) -> str | None:
        if self._is_stale(command):
            return "STALE_EPOCH"
        if self._is_late(command):
            return "EXPIRED"
        if number not in self._hardware.compartments:
            return "UNKNOWN_COMPARTMENT"
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
            return
        was_open = self._hardware.reading(number) == Reading.OPEN
        try:
            self._hardware.pulse(number)
        except HardwareFailed:
            self._respond(command_id, error_code="HARDWARE_FAILED")
            return
        self._respond(command_id)
        self._doors.pulsed(number, command_id, was_open=was_open)

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
