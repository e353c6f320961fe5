"""
Who judges a run: by what people know, what cabinets hold, what devices wrote down and what the database has.

Nothing is asked of the code under test. A finding is *lost* if something that was accepted, reported or put
down had no effect or is gone, *double* if it had more than one, *late* if a lock was driven too late or in
a later connection than its command's, and *strange* if it is a fault of another sort.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from lockers import states

#: What a claim may be while its goods are somewhere.
COLLECTED, CANCELLED = "collected", "cancelled"
HELD = frozenset({"depositing", "deposited", "collecting", "overdue"})
#: A command whose lock was driven cannot be called so, once everything was reported.
NOT_DRIVEN = frozenset({"created", "sent", "refused"})
OPEN_DOORS = frozenset({"open", "left_open"})

#: What may follow what, by what it is the state of.
TRANSITIONS: Mapping[str, Mapping[Any, frozenset[Any]]] = {
    "command": states.COMMAND_TRANSITIONS,
    "reservation": states.RESERVATION_TRANSITIONS,
    "compartment": states.COMPARTMENT_TRANSITIONS,
}

Place = tuple[str, int]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the database has it."""

    id: str
    key: str
    num_parcels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Something that a device wrote down to report it."""

    device: str
    boot_id: str
    seq: int
    message_id: str

    def __str__(self) -> str:
        return f"report {self.boot_id}:{self.seq} of {self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Report):
    """A report as the database has it, and how often it took effect."""

    times_applied: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A lock that was driven; ``expires_at`` is ``None`` if the device gave itself the command."""

    place: Place
    at: datetime
    command: str
    expires_at: datetime | None
    is_stale: bool = False

    def __str__(self) -> str:
        return f"pulse of {self.place} at {self.at:%H:%M:%S.%f} for command {self.command}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An intent or a message: how it stands, and how often it was done."""

    name: str
    is_done: bool
    times_done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of a state as the database saw it."""

    thing: str
    row: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A compartment as the database has it, beside the cabinet."""

    place: Place
    state: str
    believed: str
    verify_empty: bool
    goods: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A bundle: where people know its goods to be, and the state of its claim; ``door`` only behind one."""

    goods: str
    state: str
    door: Place | None = None
    with_resident: bool = False
    is_given_up: bool = False
    is_over: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known when a run has come to rest."""

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    num_parcels: Mapping[str, int] = field(default_factory=dict)
    orders: Sequence[Order] = ()
    reports: Sequence[Report] = ()
    stored: Sequence[Stored] = ()
    pulses: Sequence[Pulse] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    works: Sequence[Work] = ()
    moves: Sequence[Move] = ()
    doors: Sequence[Door] = ()
    bundles: Sequence[Claimed] = ()
    accounts: frozenset[str] = frozenset()
    in_service: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, each in a sentence."""

    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def all(self) -> Iterator[tuple[str, str]]:
        """Yield all of them, with their sort."""
        for sort in ("lost", "double", "late", "strange"):
            for sentence in getattr(self, sort):
                yield sort, sentence


def judge(evidence: Evidence) -> Findings:
    """Return everything that is wrong."""
    findings = Findings()
    _judge_orders(evidence, findings)
    _judge_reports(evidence, findings)
    _judge_pulses(evidence, findings)
    _judge_works(evidence, findings)
    _judge_moves(evidence, findings)
    _judge_doors(evidence, findings)
    _judge_bundles(evidence, findings)
    _judge_accounts(evidence, findings)
    return findings


def _judge_orders(evidence: Evidence, findings: Findings) -> None:
    by_key = _grouped((order.key, order) for order in evidence.orders)
    existing = {order.id for order in evidence.orders}
    for key, answers in evidence.answers.items():
        found = by_key.get(key, [])
        if not answers:
            findings.lost.append(f"order {key} never got an answer")
        if len(set(answers)) > 1:
            findings.double.append(f"order {key} got several answers: {answers}")
        if len(found) > 1:
            findings.double.append(f"order {key} exists {len(found)} times")
        if set(answers) - existing:
            findings.lost.append(f"order {key} was accepted and does not exist")
        if any(order.num_parcels != evidence.num_parcels[key] for order in found):
            findings.lost.append(f"order {key} does not have the parcels that were listed")


def _judge_reports(evidence: Evidence, findings: Findings) -> None:
    stored = {(one.device, one.boot_id, one.seq): one for one in evidence.stored}
    numbered = _grouped(((one.device, one.boot_id, one.seq), one.message_id) for one in evidence.reports)
    for report in evidence.reports:
        place = report.device, report.boot_id, report.seq
        if len(set(numbered[place])) > 1:
            findings.double.append(f"{report}: two reports have this number")
        elif place not in stored or stored[place].message_id != report.message_id:
            findings.lost.append(f"{report} was written down and never kept")
    for kept in evidence.stored:
        if kept.times_applied != 1:
            sort = findings.double if kept.times_applied else findings.lost
            sort.append(f"{kept} took effect {kept.times_applied} times")
        if kept.problem:
            findings.strange.append(f"{kept} could not take its effect: {kept.problem}")


def _judge_pulses(evidence: Evidence, findings: Findings) -> None:
    times = Counter(pulse.command for pulse in evidence.pulses)
    for pulse in evidence.pulses:
        if pulse.is_stale:
            findings.late.append(f"{pulse}, which was of an earlier connection")
        if pulse.expires_at is not None and pulse.at > pulse.expires_at:
            findings.late.append(f"{pulse}, {pulse.at - pulse.expires_at} after its deadline")
        if evidence.commands.get(pulse.command, "created") in NOT_DRIVEN:
            state = evidence.commands.get(pulse.command, "unknown to us")
            findings.lost.append(f"{pulse}, which is {state}")
    findings.double.extend(f"command {name}: {number} pulses" for name, number in times.items() if number > 1)


def _judge_works(evidence: Evidence, findings: Findings) -> None:
    for work in evidence.works:
        if not work.is_done:
            findings.lost.append(f"{work.name} was never done")
        if work.times_done > 1:
            findings.double.append(f"{work.name} was done {work.times_done} times")


def _judge_moves(evidence: Evidence, findings: Findings) -> None:
    for move in evidence.moves:
        if move.after not in TRANSITIONS[move.thing][move.before]:
            findings.strange.append(f"{move.thing} {move.row} became {move.after}, which was {move.before}")


def _judge_doors(evidence: Evidence, findings: Findings) -> None:
    for door in evidence.doors:
        if door.goods and door.state in {"free", "reserved"} and not door.verify_empty:
            findings.lost.append(f"{door.place} is {door.state}, but {', '.join(door.goods)} lies there")
        if door.is_open != (door.believed in OPEN_DOORS):
            seen = "open" if door.is_open else "closed"
            findings.lost.append(f"the door of {door.place} is {seen}, but is said to be {door.believed}")


def _judge_bundles(evidence: Evidence, findings: Findings) -> None:
    lies = _grouped((goods, door.place) for door in evidence.doors for goods in door.goods)
    for bundle in evidence.bundles:
        places, expected = lies.get(bundle.goods, []), [bundle.door] if bundle.door else []
        if len(places) > len(expected):
            findings.double.append(f"bundle {bundle.goods} lies in {places}, expected in {expected}")
        elif places != expected:
            findings.lost.append(
                f"bundle {bundle.goods} is gone: it lies in {places}, expected in {expected}"
            )
        if not bundle.is_over:
            findings.lost.append(f"bundle {bundle.goods} is in limbo: {bundle.state}")
        elif not _agrees(bundle):
            findings.lost.append(f"the claim of bundle {bundle.goods} is {bundle.state}: {bundle}")


def _agrees(bundle: Claimed) -> bool:
    if bundle.with_resident:
        return bundle.state == COLLECTED
    if bundle.is_given_up:
        return bundle.state == CANCELLED
    return bundle.state in HELD if bundle.door else bundle.state not in HELD


def _judge_accounts(evidence: Evidence, findings: Findings) -> None:
    for device in evidence.in_service - evidence.accounts:
        findings.lost.append(f"device {device} was admitted, and the broker does not know it")
    for device in evidence.accounts - evidence.in_service:
        findings.lost.append(f"device {device} was expelled, and the broker still knows it")


def _grouped(pairs: Iterable[tuple[K, V]]) -> Mapping[K, list[V]]:
    groups: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups
