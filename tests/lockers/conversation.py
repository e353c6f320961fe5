"""What a device and the model of its server say to each other, over a line that delays, doubles and loses."""

import hashlib
import hmac
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.controller import Controller
from lockers.states import TROUBLE, Purpose, ReservationState
from tests.lockers.server_claims import Claims
from tests.lockers.server_model import ServerModel
from tests.lockers.simulation import World

EPOCH = datetime(2026, 11, 24, 11, tzinfo=UTC)
SERVER_KEY, DEVICE_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KID = wire.key_id(SERVER_KEY.public_key())
DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
LIST_KEY = b"k" * 32
LIFE_S = 20.0
Line = tuple[Sequence[float], Sequence[int]]
#: Lines: how long a message may take, and how often it arrives never, once or twice.
FAIR = (0.01, 0.01, 0.05, 0.05, 0.3, 0.3, 2, 30), (1, 8, 1)
BAD = (0.01, 0.05, 0.3, 5, 19, 30), (2, 6, 2)
ECHOING = (0.01, 0.05, 0.3, 5, 19, 30), (0, 1, 4)
#: Bundles, and the codes of their residents.
CODES = {str(UUID(int=0xA40EF80E << 96 | number)): f"482917{number:02d}" for number in range(12)}


class Ends(Protocol):
    """Where both ends of the line are: the world, the device, and when something happens."""

    world: World
    device: Controller

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after a while."""

    def on_device(self, act: Callable[[], object]) -> None:
        """Let the device do something, if it has power."""


class Conversation:
    """One line, with what the device asked and what the server commanded over it."""

    def __init__(self, ends: Ends, dice: random.Random, server: ServerModel, line: Line | None) -> None:
        self._ends = ends
        self._dice = dice
        self._server = server
        self._skew = timedelta(seconds=dice.uniform(-90_000, 90_000))
        self._num_lists = 0
        chosen: Line = line or dice.choice((FAIR, BAD))
        self._delays_s, self._copies = chosen
        #: What the device sent in this life, and when it did so last.
        self._asked: dict[str, tuple[wire.Envelope, float]] = {}

    def server_time(self, now_s: float | None = None) -> datetime:
        """Return what the server's clock says."""
        passed_s = self._ends.world.now_s if now_s is None else now_s
        return EPOCH + self._skew + timedelta(seconds=passed_s)

    def carry(self, arrive: Callable[[], None]) -> None:
        """Carry a message: late, twice, much later again, or not at all."""
        if self._ends.world.is_calm:
            self._ends.later(0.01, arrive)
            return
        for _ in range(self._dice.choices((0, 1, 2), weights=self._copies)[0]):
            self._ends.later(self._dice.choice(self._delays_s), arrive)

    # What the device says.

    def begin_life(self) -> None:
        """Forget what the device asked before it lost power."""
        self._asked.clear()

    def waits_for(self, question: wire.Envelope) -> bool:
        """Tell whether a question of this life has got no answer."""
        return question["message_id"] in self._asked

    def hello(self) -> None:
        """Greet the server."""
        self._say(self._ends.device.hello(), self._hear_hello)

    def poll(self) -> None:
        """Ask for commands."""
        self._say(self._ends.device.poll(), self._hear_poll)

    def enter(self, code: str) -> wire.Envelope:
        """Ask whether a code opens something, and return the question."""
        question = self._ends.device.entered(code)
        self._say(question, self._hear_code)
        return question

    def report(self) -> None:
        """Send all that is unreported, in batches and out of order."""
        batch = self._ends.device.unreported()
        while batch:
            size = self._dice.randint(1, len(batch))
            self._send(batch[:size])
            batch = batch[size:]

    def _send(self, batch: list[wire.Envelope]) -> None:
        some = self._dice.sample(batch, len(batch))
        self._note_asked(some[-1])
        self.carry(lambda: self._hear_reports(some))

    def _say(self, message: wire.Envelope, hear: Callable[[wire.Envelope], None]) -> None:
        self._note_asked(message)
        self.carry(lambda: hear(message))

    def _note_asked(self, message: wire.Envelope) -> None:
        self._asked[message["message_id"]] = message, self._ends.device._monotonic()

    # What the server hears, and says.

    def command(self, number: int, name: str | None, purpose: Purpose, **fields: object) -> None:
        """Give a command; it may be pushed to the device, and is offered to each poll."""
        self._server.pass_time(self._ends.world.now_s)
        command_id = str(UUID(int=self._dice.getrandbits(128), version=4))
        envelope = {
            "action": "open_compartment",
            "device_id": DEVICE_ID,
            "transaction_id": command_id,
            "link_epoch": self._server.link_epoch,
            "expires_at": wire.moment(self.server_time() + timedelta(seconds=LIFE_S)),
            "data": {"compartment_number": number, "claim_id": name, "purpose": purpose.value},
            **fields,
        }
        self._server.command(envelope)
        if self._dice.random() < 0.6:
            self._give(envelope)

    def _hear_hello(self, hello: wire.Envelope) -> None:
        if self._server.greet(hello):
            self._answer(hello, "hello_accepted", accepted={})
            self._list()

    def _hear_poll(self, poll: wire.Envelope) -> None:
        if poll["link_epoch"] != self._server.link_epoch:
            return
        self._answer(poll, "poll_answered")
        for command_id, envelope in self._server.given.items():
            if command_id not in poll["data"]["known"]:
                self._give(envelope)
        if self._dice.random() < 0.2:
            self._list()

    def _hear_code(self, question: wire.Envelope) -> None:
        """Let a code open the door of its goods, if the question belongs to the present connection; once."""
        if question["link_epoch"] != self._server.link_epoch:
            return
        name = next(name for name, code in CODES.items() if code == question["data"]["digits"])
        asked = question["message_id"]
        self._server.hear_once(asked, lambda: self._open_for(name, asked))
        made = next((one for one in self._server.given.values() if one.get("request_id") == asked), None)
        number = None if made is None else made["data"]["compartment_number"]
        outcome = "opening" if made else "code-not-active"
        self._answer(question, "code_answered", outcome=outcome, compartment_number=number, num_left=0)

    def _open_for(self, name: str, asked: str) -> None:
        door = self._server.claims.to_collect(name)
        if door is not None:
            self.command(door.number, name, Purpose.COLLECT, request_id=asked)

    def _list(self) -> None:
        """Send a list of what lies where after the last report, and of the codes that open it."""
        self._num_lists += 1
        boot_id, seq = self._server.last
        claims = self._server.claims
        held = [*claims.expected(), *claims.present()]
        data = {
            "version": self._num_lists,
            "as_of": {"boot_id": boot_id, "seq": seq},
            "claims": [_told(name, claims) for name in held],
            "entries": [self._entry(name) for name in held],
        }
        self._tell({"action": "put_allowlist", "device_id": DEVICE_ID, "data": data})

    def _entry(self, name: str) -> wire.Envelope:
        digest = _digest(CODES[name])
        return {
            "entry_id": name,
            "purpose": "collect",
            "digest": digest,
            "qr": digest,
            "not_after": wire.moment(self.server_time() + timedelta(days=1)),
            "claims": [name],
            "one_visit": False,
        }

    def _hear_reports(self, batch: list[wire.Envelope]) -> None:
        self._answer(batch[-1], "messages_accepted", accepted=self._server.receive(batch))

    def _give(self, command: wire.Envelope) -> None:
        """Send a command of the present connection that is still to be had."""
        left = wire.parse_moment(command["expires_at"]) - self.server_time()
        if left > timedelta() and command["link_epoch"] == self._server.link_epoch:
            self._server.hand_out(command["transaction_id"])
            self._tell(command | {"ttl_ms": min(20_000, left // timedelta(milliseconds=1))})

    def _answer(self, to: wire.Envelope, action: str, **data: object) -> None:
        reply_to = to["message_id"]
        self._tell({"action": action, "device_id": DEVICE_ID, "in_reply_to": reply_to, "data": data})

    def _tell(self, fields: wire.Envelope) -> None:
        sealed = wire.seal(fields, key=SERVER_KEY, kid=KID, timestamp=self.server_time())
        self.carry(lambda: self._ends.on_device(lambda: self._hear(sealed)))

    def _hear(self, message: wire.Envelope) -> None:
        device = self._ends.device
        now_s = device._monotonic()
        reply_to = str(message.get("in_reply_to"))
        request, sent_s = self._asked.get(reply_to, ({"message_id": ""}, now_s))
        if device.hear([message], request=request, sent_s=sent_s, received_s=now_s):
            self._asked.pop(reply_to, None)


def _told(name: str, claims: Claims) -> wire.Envelope:
    """Return what a list says of goods: behind a door that waits for a check nobody gets to them."""
    claim = claims.by_name[name]
    state, num_openings = "expected", 0
    is_usable = claim.door is not None and claim.door.intent not in TROUBLE
    is_over = claim.state == ReservationState.COLLECTING and claims.is_over(claim)
    if claim.state == ReservationState.DEPOSITING:
        state, num_openings = "depositing", int(claim.opened_s is not None)
    elif claim.state != ReservationState.RESERVED and is_usable and not (is_over and claim.opened_s):
        state, num_openings = "here", claim.num_openings
    is_somewhere = claim.door is not None and state != "expected"
    return {
        "claim_id": name,
        "state": state,
        "compartment_number": claim.door.number if claim.door is not None and is_somewhere else None,
        "num_openings": num_openings,
        "doors": [],
    }


@cache
def _digest(code: str) -> str:
    return hmac.new(LIST_KEY, code.encode(), hashlib.sha256).hexdigest()
