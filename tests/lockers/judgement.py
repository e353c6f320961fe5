"""What went wrong in a run of a device: pulses that should not be, reports without effect or with two."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockers import wire
from lockers.states import CommandState, DoorState
from tests.lockers.server_model import ServerModel
from tests.lockers.simulation import Pulse

#: States that say that the lock was driven.
DRIVEN = frozenset(
    {
        CommandState.PULSED,
        CommandState.OPENED,
        CommandState.ALREADY_OPEN,
        CommandState.JAMMED,
        CommandState.UNVERIFIED,
    }
)
OPEN = frozenset({DoorState.OPEN, DoorState.LEFT_OPEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What really happened in a run, and what the server knows of it."""

    server: ServerModel
    pulses: Sequence[Pulse]
    must_arrive: Mapping[str, wire.Envelope]
    server_time: Callable[[float], datetime]
    is_open: Mapping[int, bool]
    is_all_told: bool
    num_boots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What went wrong, each with a word of what it was, and how much was tried."""

    late: list[str]
    double: list[str]
    stale: list[str]
    lost: list[str]
    wrong: list[str]
    num_pulses: int
    num_reports: int
    num_boots: int

    @property
    def faults(self) -> list[str]:
        """Return all of them."""
        return [*self.late, *self.double, *self.stale, *self.lost, *self.wrong]


def verdict_on(account: Account) -> Verdict:
    """Judge a run that has come to rest."""
    return Verdict(
        late=list(_late(account)),
        double=list(_double(account)),
        stale=list(_stale(account)),
        lost=list(_lost(account)),
        wrong=[*account.server.complaints, *_disagreements(account)],
        num_pulses=len(account.pulses),
        num_reports=len(account.must_arrive),
        num_boots=account.num_boots,
    )


def _commanded(account: Account) -> Iterator[tuple[Pulse, wire.Envelope]]:
    """Yield the pulses that the server commanded, each with its command."""
    for pulse in account.pulses:
        command = account.server.commands.get(pulse.command_id)
        if command is not None and "expires_at" in command.envelope:
            yield pulse, command.envelope


def _late(account: Account) -> Iterator[str]:
    for pulse, command in _commanded(account):
        deadline = wire.parse_moment(command["expires_at"])
        if (over := account.server_time(pulse.at_s) - deadline).total_seconds() > 0:
            yield f"{pulse.command_id} was executed {over} too late"


def _stale(account: Account) -> Iterator[str]:
    for pulse, command in _commanded(account):
        if pulse.link_epoch != command["link_epoch"]:
            yield f"{pulse.command_id} was executed in a later connection"


def _double(account: Account) -> Iterator[str]:
    for command_id, times in Counter(pulse.command_id for pulse in account.pulses).items():
        if times > 1:
            yield f"{command_id} was executed {times} times"
    questions = [pulse.question for pulse in account.pulses if pulse.question is not None]
    questions += [command["request_id"] for _, command in _commanded(account) if "request_id" in command]
    for question, times in Counter(questions).items():
        if times > 1:
            yield f"the code of {question} was obeyed {times} times"
    for name, times in account.server.effects.items():
        if times > 1:
            yield f"report {name} had {times} effects"


def _lost(account: Account) -> Iterator[str]:
    for name, report in account.must_arrive.items():
        if not account.server.effects[name]:
            yield f"report {report['boot_id']}, {report['seq']} had no effect"


def _disagreements(account: Account) -> Iterator[str]:
    """Compare what the server believes with what there is."""
    pulsed = Counter(pulse.command_id for pulse in account.pulses)
    for command_id, command in account.server.commands.items():
        is_known = command.state != CommandState.UNKNOWN
        if is_known and (command.state in DRIVEN) != (pulsed[command_id] > 0):
            yield f"{command_id} is {command.state} and was executed {pulsed[command_id]} times"
    for command_id in pulsed.keys() - account.server.commands.keys():
        yield f"{command_id} was executed, and the server never heard of it"
    for number, is_open in account.is_open.items():
        if (account.server.doors[number] in OPEN) != is_open:
            yield f"door {number} is open: {is_open}, believed {account.server.doors[number]}"
    if not account.is_all_told:
        yield "there is something left to report"
