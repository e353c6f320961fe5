"""
The mind of a locker: what it does with each message, door movement and passing second.

It opens nothing late and nothing twice: a command must be of the present connection and within its deadline
on the monotonic clock, and is written down as seen, on disk, before the lock is driven.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockers import wire
from lockers.device.hardware import Hardware, HardwareFailed, Reading
from lockers.device.journal import Journal
from lockers.device.timekeeping import ServerTime

logger = logging.getLogger(__name__)

#: No command may live longer, whatever it says.
LONGEST_LIFE_MS = 20_000
#: A command is named as known in polls for so long.
KNOWN_FOR_S = 60.0
#: A door that opens so long after a pulse opens because of it.
PULSE_EXPLAINS_S = 30.0
LEFT_OPEN_AFTER_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a device finds its MQTT broker, and how it logs in."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device is, whom it obeys, and its broker if the server named one."""

    device_id: str
    locker: str
    key: Ed25519PrivateKey
    server_keys: Mapping[str, Ed25519PublicKey]
    broker: Broker | None = None


@dataclass(slots=True, kw_only=True)
class Pulse:
    """The last time a lock was driven."""

    command_id: str
    at_s: float
    is_settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server answered to a typed code."""

    outcome: str
    compartment: int | None
    num_left: int


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
        self.link_epoch = _nonce()
        self._journal = journal
        self._hardware = hardware
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._opening_time_s = opening_time_s
        self._booted_s = monotonic()
        self._server_time = ServerTime()
        self._known: dict[str, float] = {}
        self._pulses: dict[int, Pulse] = {}
        self._open_since_s: dict[int, float] = {}

    def boot(self) -> None:
        """Begin a life: say what became of the last one, and where the doors stand."""
        before, last_seq = self._journal.boot_id, self._journal.last_seq
        self._journal.begin_boot(f"{self._journal.num_boots + 1:08d}-{secrets.token_hex(8)}")
        self._report("booted", {"previous_boot_id": before, "previous_seq": last_seq if before else 0})
        for command_id in self._journal.interrupted():
            self._respond(command_id, error_code="INTERRUPTED")
        self._report("compartments", {"compartments": list(self._snapshot())})

    def hello(self) -> wire.Envelope:
        """Return a greeting that begins a connection; commands of an earlier one are refused from now on."""
        self.link_epoch = _nonce()
        data = {"boot_id": self._journal.boot_id, "num_hellos": self._journal.begin_connection()}
        return self._seal(event="hello", data=data)

    def poll(self) -> wire.Envelope:
        """Return a request for commands; it names those that are in hand already."""
        self._known = self._still_known()
        return self._seal(event="poll", data={"known": list(self._known)})

    def heartbeat(self) -> wire.Envelope:
        """Return a sign of life, for links on which nothing else is said regularly."""
        return self._seal(event="heartbeat", data={"uptime_seconds": int(self._monotonic() - self._booted_s)})

    def typed(self, digits: str) -> wire.Envelope:
        """Return the question whether typed digits open something; they are written down nowhere."""
        return self._seal(event="code_entered", data={"digits": digits})

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
                    self._forget(_accepted_in(message))
                case "code_answered":
                    return _answer_in(message)
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
        command_id = _command_id_in(command)
        self._known = {**self._still_known(), command_id: self._monotonic()}
        if self._journal.has_seen(command_id):
            self._repeat_answer(command_id)
            return
        number = _compartment_number_in(command)
        if refusal := self._refusal(command, number):
            self._respond(command_id, error_code=refusal)
            return
        self._journal.remember_seen(command_id)
        self._drive(command, command_id, number)

    def door_moved(self, number: int, reading: Reading) -> None:
        """Take a movement of a door from its sensor."""
        now_s = self._monotonic()
        if reading == Reading.OPEN:
            self._open_since_s[number] = now_s
            self._door_opened(number, now_s)
        elif reading == Reading.CLOSED:
            self._open_since_s.pop(number, None)
            self._report("compartment_closed", {"compartment_number": number})

    def button_pressed(self, number: int) -> None:
        """Take the resident's word that a compartment is empty."""
        self._report("collection_done", {"compartment_number": number})

    def tick(self) -> None:
        """Notice what did not happen in time: doors that did not open, doors that were not closed."""
        now_s = self._monotonic()
        for number, pulse in self._pulses.items():
            if not pulse.is_settled and now_s - pulse.at_s >= self._opening_time_s:
                pulse.is_settled = True
                jammed = self._hardware.reading(number) == Reading.CLOSED
                self._report(
                    "compartment_open_failed",
                    {
                        "compartment_number": number,
                        "error_code": "DOOR_JAMMED" if jammed else "SENSOR_UNKNOWN",
                    },
                    transaction_id=pulse.command_id,
                )
        for number, since_s in list(self._open_since_s.items()):
            if now_s - since_s >= LEFT_OPEN_AFTER_S:
                del self._open_since_s[number]
                self._report("compartment_left_open", {"compartment_number": number})

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
        if latest is None or not _is_whole(ttl_ms) or not 0 <= ttl_ms <= LONGEST_LIFE_MS:
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
        self._pulses[number] = Pulse(command_id=command_id, at_s=self._monotonic(), is_settled=was_open)
        self._respond(command_id)
        if was_open:
            self._report_opened(number, command_id, outcome="already_open", detection_ms=0)

    def _door_opened(self, number: int, now_s: float) -> None:
        pulse = self._pulses.get(number)
        since_s = None if pulse is None else now_s - pulse.at_s
        if pulse is not None and since_s is not None and since_s < PULSE_EXPLAINS_S:
            pulse.is_settled = True
            self._report_opened(
                number, pulse.command_id, outcome="opened", detection_ms=round(since_s * 1000)
            )
            return
        self._report(
            "compartment_uncommanded_open",
            {
                "compartment_number": number,
                "milliseconds_since_last_relay_fire": None if since_s is None else round(since_s * 1000),
            },
        )

    def _report_opened(self, number: int, command_id: str, *, outcome: str, detection_ms: int) -> None:
        self._report(
            "compartment_open_detected",
            {"compartment_number": number, "outcome": outcome, "detection_ms": detection_ms},
            transaction_id=command_id,
        )

    def _respond(self, command_id: str, *, error_code: str | None = None) -> None:
        data = {"result": "error", "error_code": error_code} if error_code else {"result": "success"}
        self._answer(command_id, data)

    def _answer(self, command_id: str, data: Mapping[str, Any]) -> None:
        envelope = self._seal(
            action="open_compartment",
            transaction_id=command_id,
            boot_id=self._journal.boot_id,
            seq=self._journal.last_seq + 1,
            data=data,
        )
        self._journal.report([envelope], answers=command_id)

    def _repeat_answer(self, command_id: str) -> None:
        """Say again what became of a command, unless it is about to be said anyway."""
        stored = self._journal.answer_to(command_id)
        if stored is not None and not self._journal.is_unreported(stored):
            self._answer(command_id, stored["data"])

    def _report(self, event: str, data: Mapping[str, Any], *, transaction_id: str | None = None) -> None:
        fields = {} if transaction_id is None else {"transaction_id": transaction_id}
        envelope = self._seal(
            event=event, boot_id=self._journal.boot_id, seq=self._journal.last_seq + 1, data=data, **fields
        )
        self._journal.report([envelope])

    def _snapshot(self) -> Iterable[Mapping[str, Any]]:
        for number in self._hardware.compartments:
            yield {"compartment_number": number, "door_state": self._hardware.reading(number).value}

    def _seal(self, **fields: Any) -> wire.Envelope:
        return wire.seal(
            {"link_epoch": self.link_epoch, **fields},
            key=self.identity.key,
            kid=self.identity.device_id,
            timestamp=self._wall_clock(),
        )

    def _forget(self, accepted: Mapping[str, int]) -> None:
        for boot_id, seq in accepted.items():
            self._journal.forget(boot_id, seq)

    def _still_known(self) -> dict[str, float]:
        now_s = self._monotonic()
        return {known: at_s for known, at_s in self._known.items() if now_s - at_s < KNOWN_FOR_S}

    def _note_unreadable(self, error: wire.BadEnvelope) -> None:
        logger.warning("%s: a message that cannot be read was ignored: %s", self.identity.locker, error)


def _data_in(message: wire.Envelope) -> Mapping[str, Any]:
    data = message.get("data")
    if not isinstance(data, dict):
        raise wire.BadEnvelope("no data")
    return data


def _command_id_in(command: wire.Envelope) -> str:
    try:
        return str(UUID(command["transaction_id"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise wire.BadEnvelope("no transaction_id") from error


def _compartment_number_in(command: wire.Envelope) -> int:
    """Return the number of the door to open; 0, which none has, if there is no number."""
    data = command.get("data")
    number = data.get("compartment_number") if isinstance(data, dict) else None
    return number if _is_whole(number) else 0


def _accepted_in(message: wire.Envelope) -> Mapping[str, int]:
    accepted = _data_in(message).get("accepted")
    if not isinstance(accepted, dict) or not all(_is_whole(seq) for seq in accepted.values()):
        raise wire.BadEnvelope("no numbers of accepted reports")
    return accepted


def _answer_in(message: wire.Envelope) -> Answer:
    data = _data_in(message)
    outcome, compartment = data.get("outcome"), data.get("compartment_number")
    num_left = data.get("num_left")
    if not isinstance(outcome, str) or not (compartment is None or _is_whole(compartment)):
        raise wire.BadEnvelope("no answer to a code")
    return Answer(outcome=outcome, compartment=compartment, num_left=num_left if _is_whole(num_left) else 0)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _nonce() -> str:
    return secrets.token_hex(16)
