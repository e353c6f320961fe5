"""
A server as the contract wants it, in memory: what it keeps, what it accepts, and what it believes of doors.

It moves commands and doors by the tables of the real one, and complains of a move that they do not allow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lockers import wire
from lockers.states import COMMAND_TRANSITIONS, DOOR_TRANSITIONS, CommandState, DoorState

Place = tuple[str, int]

_SHUT = frozenset({DoorState.CLOSED, DoorState.UNKNOWN, DoorState.JAMMED})
_ERRORS = {"INTERRUPTED": CommandState.UNKNOWN, "HARDWARE_FAILED": CommandState.FAILED}


@dataclass(slots=True)
class Command:
    """An attempt to open a door, and all that its device said of it."""

    envelope: wire.Envelope
    state: CommandState = CommandState.SENT
    said: set[CommandState] = field(default_factory=set)

    @property
    def number(self) -> int:
        """Return the door."""
        return int(self.envelope["data"]["compartment_number"])


class ServerModel:
    """The server's side of one locker."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.doors = dict.fromkeys(numbers, DoorState.UNKNOWN)
        self.commands: dict[str, Command] = {}
        self.link_epoch = ""
        self.num_hellos = 0
        #: How often each report had an effect, by its message.
        self.effects: Counter[str] = Counter()
        self.complaints: list[str] = []
        #: The last report that had an effect.
        self.last: Place = ("", 0)
        self._kept: dict[Place, wire.Envelope] = {}
        self._accepted: dict[str, int] = {}
        self._applied: dict[str, int] = {}

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
        data = report["data"]
        match report.get("event"):
            case None:
                self._answered(report["transaction_id"], data)
            case "compartment_open_detected":
                self._settle(report["transaction_id"], CommandState(data["outcome"]), DoorState.OPEN)
            case "compartment_open_failed" if data["error_code"] == "DOOR_JAMMED":
                self._settle(report["transaction_id"], CommandState.JAMMED, DoorState.JAMMED)
            case "compartment_open_failed":
                self._settle(report["transaction_id"], CommandState.UNVERIFIED, DoorState.UNKNOWN)
            case "code_accepted":
                # The device gave itself a command.
                self.commands[report["transaction_id"]] = Command(report)
            case "compartments":
                for row in data["compartments"]:
                    self._move_door(row["compartment_number"], DoorState(row["door_state"]))
            case "compartment_uncommanded_open":
                self._move_door(data["compartment_number"], DoorState.OPEN)
            case "compartment_closed":
                self._move_door(data["compartment_number"], DoorState.CLOSED)
            case "compartment_left_open":
                self._move_door(data["compartment_number"], DoorState.LEFT_OPEN)

    def _answered(self, command_id: str, data: Mapping[str, str]) -> None:
        if data["result"] == "success":
            number = self._move_command(command_id, CommandState.PULSED)
            if self.doors.get(number) in _SHUT:
                self._move_door(number, DoorState.UNLOCKING)
        else:
            self._move_command(command_id, _ERRORS.get(data["error_code"], CommandState.REFUSED))

    def _settle(self, command_id: str, to: CommandState, door: DoorState) -> None:
        number = self._move_command(command_id, to)
        if number:
            self._move_door(number, door)

    def _move_command(self, command_id: str, to: CommandState) -> int:
        """Move a command, and return its door; 0 if nobody knows it."""
        command = self.commands.get(command_id)
        if command is None:
            self.complaints.append(f"{command_id} became {to}, and nobody gave it")
            return 0
        if to in command.said:
            return command.number
        if to not in COMMAND_TRANSITIONS[command.state]:
            self.complaints.append(f"a command that is {command.state} became {to}")
        command.said.add(to)
        command.state = to
        return command.number

    def _move_door(self, number: int, to: DoorState) -> None:
        present = self.doors[number]
        if to != present and to not in DOOR_TRANSITIONS[present]:
            self.complaints.append(f"a door that is {present} became {to}")
        self.doors[number] = to
