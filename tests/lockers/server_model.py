"""
A server as the contract wants it, in memory: what it keeps, what it accepts, and what it makes of reports.

It moves commands, doors and compartments by the tables of the real one, and complains of a move that they do
not allow.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lockers import wire
from lockers.states import COMMAND_TRANSITIONS, CommandState, DoorState, Purpose
from tests.lockers import compartment_rows
from tests.lockers.server_claims import Claims

Place = tuple[str, int]

_ERRORS = {"INTERRUPTED": CommandState.UNKNOWN, "HARDWARE_FAILED": CommandState.FAILED}


@dataclass(slots=True)
class Command:
    """An attempt to open a door as the rules know it, and all that its device said of it."""

    envelope: wire.Envelope
    attempt: compartment_rows.Command
    state: CommandState = CommandState.SENT
    said: set[CommandState] = field(default_factory=set)


class ServerModel:
    """The server's side of one locker."""

    def __init__(self, numbers: Iterable[int], claims: type[Claims] = Claims) -> None:
        self.claims = claims(numbers)
        self.commands: dict[str, Command] = {}
        #: Those that the device did not give itself.
        self.given: dict[str, wire.Envelope] = {}
        self.link_epoch = ""
        self.num_hellos = 0
        #: How often each report had an effect, by its message.
        self.effects: Counter[str] = Counter()
        self.complaints = self.claims.complaints
        #: The last report that had an effect.
        self.last: Place = ("", 0)
        self._heard: set[str] = set()
        self._kept: dict[Place, wire.Envelope] = {}
        self._accepted: dict[str, int] = {}
        self._applied: dict[str, int] = {}

    def pass_time(self, now_s: float) -> None:
        """Let everything fall due."""
        self.claims.now_s = now_s
        self.claims.sweep()

    def command(self, envelope: wire.Envelope) -> None:
        """Keep a command that is to be handed out."""
        data = envelope["data"]
        claim = None if data["claim_id"] is None else self.claims.by_name[data["claim_id"]]
        door = self.claims.door(data["compartment_number"])
        attempt = self.claims.command(door, claim, Purpose(data["purpose"]))
        self.commands[envelope["transaction_id"]] = Command(envelope, attempt)
        self.given[envelope["transaction_id"]] = envelope

    def hand_out(self, command_id: str) -> None:
        """Note that a command leaves the server's hands: it may be executed, whatever is heard of it."""
        attempt = self.commands[command_id].attempt
        if attempt.state == CommandState.CREATED:
            attempt.state = CommandState.SENT

    def hear_once(self, name: str, act: Callable[[], None]) -> None:
        """Act on what somebody asks for or says, however often it arrives."""
        if name not in self._heard:
            self._heard.add(name)
            act()

    def greet(self, hello: wire.Envelope) -> bool:
        """Begin a connection, unless a later one has begun; tell whether the greeting is good."""
        num_hellos = hello["data"]["num_hellos"]
        if num_hellos > self.num_hellos:
            self.num_hellos, self.link_epoch = num_hellos, hello["link_epoch"]
        return bool(self.link_epoch == hello["link_epoch"])

    def receive(self, batch: Iterable[wire.Envelope]) -> Mapping[str, int]:
        """Keep reports, let them take effect, and return up to which number of each boot none is missing."""
        boots = set()
        for report in batch:
            boots.add(report["boot_id"])
            kept = self._kept.setdefault((report["boot_id"], report["seq"]), report)
            if kept["message_id"] != report["message_id"]:
                self.complaints.append(f"two reports are {report['boot_id']}, {report['seq']}")
        for boot_id in boots:
            self._accepted[boot_id] = self._complete(boot_id)
        self._apply_all()
        return {boot_id: self._accepted[boot_id] for boot_id in boots}

    def _complete(self, boot_id: str) -> int:
        seq = self._accepted.get(boot_id, 0)
        while (boot_id, seq + 1) in self._kept:
            seq += 1
        return seq

    def _apply_all(self) -> None:
        for boot_id in sorted(self._accepted):
            if not self._follows(boot_id):
                return
            for seq in range(self._applied.get(boot_id, 0) + 1, self._accepted[boot_id] + 1):
                self._apply(self._kept[boot_id, seq])
                self._applied[boot_id] = seq

    def _follows(self, boot_id: str) -> bool:
        """Tell whether the boot before has been told to its end."""
        first = self._kept.get((boot_id, 1))
        before = None if first is None else first["data"]["previous_boot_id"]
        if before is None:
            return first is not None
        return self._applied.get(before, 0) >= int(first["data"]["previous_seq"]) if first else False

    def _apply(self, report: wire.Envelope) -> None:
        place = (report["boot_id"], report["seq"])
        if place < self.last:
            self.complaints.append(f"{place} had an effect after {self.last}")
        self.last = max(place, self.last)
        self.effects[report["message_id"]] += 1
        data, command_id = report["data"], str(report.get("transaction_id"))
        match report.get("event"):
            case None:
                self._answered(command_id, data)
            case "compartment_open_detected":
                outcome = CommandState(data["outcome"])
                self._follow(command_id, outcome, lambda attempt: self.claims.opened(attempt, outcome))
            case "compartment_open_failed" if data["error_code"] == "DOOR_JAMMED":
                self._follow(command_id, CommandState.JAMMED, self.claims.jammed)
            case "compartment_open_failed":
                self._follow(command_id, CommandState.UNVERIFIED, self.claims.unverified)
            case "code_accepted":
                # The device gave itself a command.
                made = self.claims.decided_by_device(data["claim_id"], data["compartment_number"])
                self.commands[command_id] = Command(report, made)
            case "compartments":
                rows = data["compartments"]
                self.claims.snapshot(
                    {row["compartment_number"]: DoorState(row["door_state"]) for row in rows}
                )
            case _ if "compartment_number" in data:
                self._moved(report["event"], self.claims.door(data["compartment_number"]))

    def _moved(self, event: str, door: compartment_rows.Door) -> None:
        match event:
            case "compartment_uncommanded_open":
                self.claims.opened_by_itself(door)
            case "compartment_closed":
                self.claims.closed(door)
            case "compartment_left_open":
                self.claims.show(door, DoorState.LEFT_OPEN)
            case "collection_done":
                self.claims.button(door)
            case "deposit_done":
                self.claims.deposit_button(door)

    def _answered(self, command_id: str, data: Mapping[str, str]) -> None:
        if data["result"] == "success":
            self._follow(command_id, CommandState.PULSED, self.claims.pulsed)
        else:
            to = _ERRORS.get(data["error_code"], CommandState.REFUSED)
            self._follow(command_id, to, lambda attempt: self.claims.refused(attempt, to))

    def _follow(
        self, command_id: str, to: CommandState, effect: Callable[[compartment_rows.Command], None]
    ) -> None:
        """Note what the device says of a command, and do what follows from it."""
        command = self.commands.get(command_id)
        if command is None:
            self.complaints.append(f"{command_id} became {to}, and nobody gave it")
            return
        if to not in command.said:
            if to not in COMMAND_TRANSITIONS[command.state]:
                self.complaints.append(f"a command that is {command.state} became {to}")
            command.said.add(to)
            command.state = to
        effect(command.attempt)
