"""
The mind of a locker: what it does with each message, door movement and passing second.

It opens nothing late and nothing twice: a command must be of the present connection and within its deadline
on the monotonic clock, and is written down as seen, on disk, before the lock is driven.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
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
class Identity:
    """Who a device is, and whom it obeys."""

    device_id: str
    locker: str
    key: Ed25519PrivateKey
    server_keys: Mapping[str, Ed25519PublicKey]


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
        now_s = self._monotonic()
        self._known = {known: at_s for known, at_s in self._known.items() if now_s - at_s < KNOWN_FOR_S}
        return self._seal(event="poll", data={"known": list(self._known)})

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
        self, messages: Iterable[wire.Envelope], *, request: wire.Envelope, sent_s: float, received_s: float
    ) -> Answer | None:
        """Take the server's answer to a request, and do what it commands."""
        answer = None
        for message in messages:
            if not self._is_genuine(message):
                continue
            if message.get("in_reply_to") == request["message_id"]:
                stamp = wire.parse_moment(message["timestamp"])
                self._server_time.learn(stamp, sent_s=sent_s, received_s=received_s)
            match message["action"]:
                case "open_compartment":
                    self.execute(message)
                case "hello_accepted" | "messages_accepted":
                    for boot_id, seq in message["data"]["accepted"].items():
                        self._journal.forget(boot_id, seq)
                case "code_answered":
                    data = message["data"]
                    answer = Answer(
                        outcome=data["outcome"],
                        compartment=data["compartment_number"],
                        num_left=data["num_left"],
                    )
        return answer

    def execute(self, command: wire.Envelope) -> None:
        """Open a door, once and in time, or say why not; a repeated command gets its stored answer."""
        command_id = str(UUID(command["transaction_id"]))
        self._known[command_id] = self._monotonic()
        if self._journal.has_seen(command_id):
            self._repeat_answer(command_id)
            return
        number = command["data"]["compartment_number"]
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
        latest = self._server_time.latest(self._monotonic())
        if latest is None or command["ttl_ms"] > LONGEST_LIFE_MS:
            return True
        return latest > wire.parse_moment(command["expires_at"])

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

    def _is_genuine(self, message: wire.Envelope) -> bool:
        key = self.identity.server_keys.get(str(message.get("kid")))
        if key is None or message.get("device_id") != self.identity.device_id:
            logger.warning("%s: a message from elsewhere was ignored", self.identity.locker)
            return False
        try:
            wire.check(message, key)
        except wire.BadEnvelope:
            logger.warning("%s: a forged message was ignored", self.identity.locker)
            return False
        return True


def _nonce() -> str:
    return secrets.token_hex(16)
