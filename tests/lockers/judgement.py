"""What went wrong in a run of a device: pulses, reports, and goods where nothing should be."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from lockers import wire
from lockers.states import CommandState, CompartmentState, DoorState, ReservationState
from tests.lockers.compartment_rows import Claim
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
    wrongly_free: Iterable[str]
    is_all_told: bool
    num_boots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What went wrong, each with a word of what it was, and how much was tried."""

    late: list[str]
    double: list[str]
    stale: list[str]
    lost: list[str]
    wrongly_free: list[str]
    wrong: list[str]
    num_pulses: int
    num_reports: int
    num_boots: int
    num_deposits: int
    num_collections: int

    @property
    def faults(self) -> list[str]:
        """Return all of them."""
        return [*self.late, *self.double, *self.stale, *self.lost, *self.wrongly_free, *self.wrong]


def verdict_on(account: Account) -> Verdict:
    """Judge a run that has come to rest."""
    return Verdict(
        late=list(_late(account)),
        double=list(_double(account)),
        stale=list(_stale(account)),
        lost=list(_lost(account)),
        wrongly_free=list(account.wrongly_free),
        wrong=[*account.server.complaints, *_disagreements(account)],
        num_pulses=len(account.pulses),
        num_reports=len(account.must_arrive),
        num_boots=account.num_boots,
        num_deposits=account.server.claims.announced["deposited"],
        num_collections=account.server.claims.announced["collected"],
    )


def goods_in_free(server: ServerModel, goods: Mapping[int, Set[str]]) -> Iterator[str]:
    """
    Compare the compartments that are free with what lies there.

    Of goods whose resident was let in, and said nothing, nobody can know whether they were taken: whoever
    comes next is told to look.
    """
    claims = server.claims
    for door in claims.doors:
        if door.intent == CompartmentState.FREE and (there := goods[door.number]):
            unsaid = {name for name in there if _ended_without_a_word(claims.by_name[name])}
            if not (door.verify_empty and there == unsaid):
                yield f"compartment {door.number} is free, and there lies {sorted(there)}"


def _ended_without_a_word(claim: Claim) -> bool:
    return claim.state == ReservationState.COLLECTED and claim.word_s is None


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
    for door in account.server.claims.doors:
        is_open = account.is_open[door.number]
        if (door.shows in OPEN) != is_open:
            yield f"door {door.number} is open: {is_open}, believed {door.shows}"
    if not account.is_all_told:
        yield "there is something left to report"
