"""
Each protection switched off by itself: the judgement that finds nothing with it finds a fault without it.

Each story has more of the bad luck that its protection is for. ``make proofs`` plays more of the same bad
luck with every protection in place.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.journal import Journal
from lockers.link import Report
from lockers.models import Compartment, Device, DeviceBoot, DeviceEvent, OpenCommand, Reservation
from lockers.services import cabinets, claims, commands, doors, inbox, reports, reservations, sweeps
from lockers.sizes import Size
from lockers.states import COMMAND_LIFE, OFFERABLE, CommandState, CompartmentState, Purpose, Transport
from tests.lockers.town.judge import Findings
from tests.lockers.town.luck import Luck
from tests.lockers.town.played import played
from tests.proofs import tries

pytestmark = pytest.mark.django_db

Patch = pytest.MonkeyPatch
#: Within so many seeds one shows that a protection is missing.
PATIENCE = range(12)
#: So many show that with it there is no harm.
SEEDS = range(tries("PROTECTED_SEEDS", short=1, long=20))
#: A courier's word that never comes, and a network that dies for a quarter of an hour over an open door.
LOST_IN_THE_DARK = Luck(
    darkness_at_the_door=1,
    dark_s=[900],
    sweep=0.15,
    pause_s=[300],
    short_claim=1,
    lost_word=1,
    deposit_code=0,
)
#: A resident leaves something behind, and somebody else is sent to the door.
LEFT_BEHIND = Luck(leaves_something=1, no_button=1, sweep=0.15, pause_s=[700], deposit_code=0)


@pytest.fixture(autouse=True)
def what_is_said_keeps_to_the_contract() -> None:
    """Leave the contract to ``test_town``: here the same is said thousands of times."""


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What is switched off, the bad luck that it is for, and the kinds of faults that follow."""

    name: str
    luck: Luck
    faults: Sequence[str]
    off: Callable[[Patch], None] = lambda patch: None
    #: What the story is played with; without the protection, and always.
    town: dict[str, Any] = field(default_factory=dict)
    always: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def without(owner: object, name: str, instead: Callable[..., object] = nothing) -> Callable[[Patch], None]:
    """Return what replaces a function."""
    return lambda patch: patch.setattr(owner, name, instead)


# The inbox.


def as_they_come(patch: Patch) -> None:
    """Let reports take effect in the order in which they arrive."""

    def apply(device_id: UUID, *, at: datetime) -> None:
        device = Device.objects.select_related("locker").get(pk=device_id)
        waiting = DeviceEvent.objects.filter(device=device, applied_at=None)
        _take(device, waiting.order_by("pk"), at=at)
        waiting.update(applied_at=at)

    patch.setattr(inbox, "apply", apply)


def as_often_as_they_come(patch: Patch) -> None:
    """Let reports take effect again that were received again."""
    receive = inbox.receive_all

    def receive_again(batches: Mapping[UUID, Sequence[Report]], *, real_at: datetime) -> Any:
        repeated = [report.message_id for batch in batches.values() for report in batch]
        done = DeviceEvent.objects.filter(message_id__in=repeated).exclude(applied_at=None)
        again = list(done.exclude(kind="code_accepted").order_by("boot_id", "seq"))
        answer = receive(batches, real_at=real_at)
        for device in Device.objects.select_related("locker").filter(pk__in=batches):
            _take(device, again, at=real_at)
        return answer

    patch.setattr(inbox, "receive_all", receive_again)


def _take(device: Device, events: Iterable[DeviceEvent], *, at: datetime) -> None:
    cabinets.lock(device.locker_id)
    scene = reports.Scene(device, at=at)
    for event in events:
        inbox._take_or_pass_by(scene, event)


def gaps_count_as_filled(patch: Patch) -> None:
    """Acknowledge and apply what is there, whatever is missing before it."""

    def advance(boot: DeviceBoot, ahead: Collection[int]) -> bool:
        before, boot.accepted_seq = boot.accepted_seq, max([boot.accepted_seq, *ahead])
        return boot.accepted_seq != before

    patch.setattr(inbox, "_advance", advance)


# Commands.


def two_at_a_time(patch: Patch) -> None:
    """Give a command for a door of which another one is waited for."""

    def create(
        compartment: Compartment,
        device: Device,
        purpose: Purpose,
        reservation: Reservation | None,
        *,
        real_at: datetime,
        request_id: UUID | None = None,
    ) -> OpenCommand:
        return OpenCommand.objects.create(
            compartment=compartment,
            device=device,
            reservation=reservation,
            purpose=purpose,
            link_epoch=device.link_epoch,
            request_id=request_id,
            created_at=real_at,
            expires_at=real_at + COMMAND_LIFE,
        )

    patch.setattr(commands, "_create", create)
    patch.setattr(commands, "settle_overdue", nothing)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_live_command_per_compartment")


def hand_out_anything(patch: Patch) -> None:
    """Hand out commands of earlier connections, and such whose time is over."""

    def hand_out(device: Device, *, real_at: datetime, except_for: frozenset[UUID]) -> list[OpenCommand]:
        waiting = OpenCommand.objects.filter(device=device, state__in=OFFERABLE).exclude(pk__in=except_for)
        offered = list(waiting.select_related("compartment"))
        waiting.update(state=CommandState.SENT)
        return offered

    patch.setattr(commands, "hand_out", hand_out)


def silence_is_refusal(patch: Patch) -> None:
    """Take it for certain that what was not answered was not done."""

    def settle_overdue(waiting: QuerySet[OpenCommand], *, real_at: datetime) -> None:
        overdue = waiting.filter(state__in=OFFERABLE, expires_at__lt=real_at)
        overdue.update(state=CommandState.REFUSED)

    patch.setattr(commands, "settle_overdue", settle_overdue)


# Goods.


def no_word_needed(patch: Patch) -> None:
    """Call goods deposited as soon as the door is closed."""
    complete = reservations._complete_deposit

    def complete_without(reservation: Reservation, *, at: datetime) -> bool:
        reservation.confirmed_at = reservation.confirmed_at or at
        return complete(reservation, at=at)

    patch.setattr(reservations, "_complete_deposit", complete_without)


def no_opening_needed(patch: Patch) -> None:
    """Call goods collected at the end of the window, even if nobody saw the door open."""
    complete = reservations.complete_collection

    def complete_without(reservation: Reservation, *, at: datetime) -> bool:
        if reservation.collection_is_over(at=at):
            reservation.opened_at = reservation.opened_at or at
            reservation.closed_at = reservation.closed_at or at
        return complete(reservation, at=at)

    patch.setattr(reservations, "complete_collection", complete_without)


def not_empty_is_free(patch: Patch) -> None:
    """Give the next courier the door that the last one found not to be empty."""
    demand = cabinets.demand_check

    def demand_check(compartment: Compartment, *, reason: str, **how: Any) -> None:
        if reason == claims.ReleaseReason.NOT_EMPTY:
            compartment.advance(CompartmentState.FREE)
        else:
            demand(compartment, reason=reason, **how)

    patch.setattr(cabinets, "demand_check", demand_check)


def surely_empty(patch: Patch) -> None:
    """Take a compartment for empty, though nobody said so."""
    advance = Compartment.advance

    def advance_without(compartment: Compartment, to: CompartmentState, **changes: Any) -> bool:
        return advance(
            compartment, to, **{name: value for name, value in changes.items() if name != "verify_empty"}
        )

    patch.setattr(Compartment, "advance", advance_without)


# The device.


class IgnoresDeadlines(Controller):
    """Carries out commands whose time is over."""

    def _is_late(self, command: wire.Envelope) -> bool:
        return False


class IgnoresConnections(Controller):
    """Carries out commands of earlier connections."""

    def _is_stale(self, command: wire.Envelope) -> bool:
        return False


class ForgetsCommands(Journal):
    """Does not remember what was carried out."""

    def has_seen(self, command_id: str) -> bool:
        """Claim that every command is new."""
        return False


PROTECTIONS = [
    Protection(
        name="reports take effect in their order",
        off=as_they_come,
        luck=Luck(darkness_at_the_door=0.8, dark_s=[20], delay=0.3),
        faults=["strange", "forgotten"],
    ),
    Protection(
        name="each report takes effect once",
        off=as_often_as_they_come,
        luck=Luck(doubling=1, delay=0.7, second_thoughts=0.8, deposit_code=0, impatience=0.5),
        faults=["strange"],
    ),
    Protection(
        name="nothing behind a gap takes effect",
        off=gaps_count_as_filled,
        luck=Luck(loss=0.5, delay=0.5),
        faults=["lost"],
    ),
    Protection(
        name="a new life waits for the reports of the one before",
        off=without(inbox, "_follows", lambda *_: True),
        luck=Luck(
            loss=0.3,
            power_cut=0.03,
            old_reports_wait=0.9,
            second_thoughts=0.5,
            sweep=0,
            deposit_code=0,
            door_left_open=0.3,
        ),
        faults=["strange", "forgotten"],
    ),
    Protection(
        name="who ends a claim in doubt has the door checked",
        off=without(claims, "_may_hold_goods", lambda reservation: False),
        luck=LOST_IN_THE_DARK,
        faults=["wrongly_free"],
    ),
    Protection(
        name="a half-confirmed deposit is checked",
        off=without(sweeps, "doubt"),
        luck=Luck(lost_word=1, pause_s=[700]),
        faults=["forgotten"],
    ),
    Protection(
        name="goods behind a door that nobody saw open are there",
        off=no_opening_needed,
        luck=Luck(
            stuck=0.8, darkness_after_an_answer=0.8, dark_s=[700], sweep=0.15, pause_s=[650], deposit_code=0
        ),
        faults=["lost"],
    ),
    Protection(
        name="a door that opens for an ended claim is checked",
        off=without(doors.Doors, "_opened_too_late"),
        luck=Luck(puts_back=1, delay=0.6, sweep=0, deposit_code=0),
        faults=["wrongly_free"],
    ),
    Protection(
        name="only commands of this connection are handed out in time",
        off=hand_out_anything,
        luck=Luck(loss=0.4, new_connection=0.4, sweep=0),
        faults=["late"],
        always={"transport": Transport.HTTPS},
    ),
    Protection(
        name="a door has one live command",
        off=two_at_a_time,
        luck=Luck(delay=0.5, impatience=0.5),
        faults=["double"],
    ),
    Protection(
        name="no door is taken away while it is being opened",
        off=without(claims, "refuse_while_opening"),
        luck=Luck(darkness_at_the_door=1, dark_s=[100], cancelled_claim=0.4, lost_word=1, deposit_code=0),
        faults=["wrongly_free"],
    ),
    Protection(
        name="what was sent and not answered is unknown",
        off=silence_is_refusal,
        luck=LOST_IN_THE_DARK,
        faults=["wrongly_free"],
    ),
    Protection(
        name="what is sent is marked before",
        off=without(commands, "claim", lambda command: True),
        luck=LOST_IN_THE_DARK,
        faults=["wrongly_free"],
        always={"transport": Transport.MQTT},
    ),
    Protection(
        name="a command in the answer to a code is claimed first",
        off=without(commands, "claim", lambda command: True),
        luck=Luck(
            darkness_at_the_door=1,
            dark_s=[900],
            sweep=0.3,
            pause_s=[40],
            cancelled_claim=0.3,
            lost_word=1,
            deposit_code=1,
        ),
        faults=["wrongly_free"],
        always={"transport": Transport.HTTPS},
    ),
    Protection(
        name="goods are there once the courier says so",
        off=no_word_needed,
        luck=Luck(second_thoughts=0.7),
        faults=["lost"],
    ),
    Protection(
        name="a door that was not empty is checked",
        off=not_empty_is_free,
        luck=LEFT_BEHIND,
        faults=["wrongly_free"],
    ),
    Protection(
        name="a door is doubted that nobody called empty",
        off=surely_empty,
        luck=LEFT_BEHIND,
        faults=["wrongly_free"],
    ),
    Protection(
        name="a device keeps to deadlines",
        luck=Luck(delay=0.8, sweep=0.2, pause_s=[15], deposit_code=0),
        faults=["late"],
        town={"mind": IgnoresDeadlines},
    ),
    Protection(
        name="a device obeys its present connection only",
        luck=Luck(delay=0.6, new_connection=0.5),
        faults=["late"],
        town={"mind": IgnoresConnections},
    ),
    Protection(
        name="a device remembers what it carried out",
        luck=Luck(doubling=1),
        faults=["double"],
        town={"memory": ForgetsCommands},
    ),
]


def story_of(protection: Protection, seed: int, **town: Any) -> Findings:
    """Play the bad luck that a protection is for, at a single door."""
    return played(seed, protection.luck, steps=40, sizes=[Size.S], **protection.always, **town)


@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
def test_without_the_protection_there_is_harm(protection: Protection, monkeypatch: Patch) -> None:
    protection.off(monkeypatch)

    found = (story_of(protection, seed, **protection.town) for seed in PATIENCE)
    assert any(getattr(story, kind) for story in found for kind in protection.faults)


@pytest.mark.proof
@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
def test_with_the_protection_there_is_none(protection: Protection) -> None:
    assert [fault for seed in SEEDS for fault in story_of(protection, seed).faults] == []
