"""
Thousands of seeds of bad luck: nothing late, double, lost or wrongly free, and each protection is needed.

What the services and the database add is tried in ``test_town``.
"""

from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import Any

import pytest

from lockers import wire
from lockers.device import journal
from lockers.device.controller import Controller
from lockers.device.journal import Journal
from tests.lockers.conversation import ECHOING
from tests.lockers.device_run import Run
from tests.lockers.judgement import Verdict
from tests.lockers.server_claims import Claims
from tests.lockers.server_model import ServerModel
from tests.lockers.unprotected import (
    AcceptsWithGaps,
    ActsOnEveryCopy,
    DoesNotLookAtItsDoors,
    DoesNotSayWhatCameBefore,
    EndsClaimsWhileOpening,
    ForgetsCommands,
    ForgetsTooMuch,
    ForgetsWhatItObeyed,
    ForgetsWhatTheKeypadSettled,
    FreesAtSilence,
    FreesHalfADeposit,
    FreesWhatJammed,
    HandsOutUnnoticed,
    IgnoresConnections,
    IgnoresDeadlines,
    KeepsInterruptionsToItself,
    LooksAtTheDeadlineOnce,
    NamesABootThatSaidNothing,
    PulsesThoughTheDiskIsFull,
    RemembersInMemory,
    ReportsFromMemory,
    ReportsOnce,
    SaysFailedAfterThePulse,
    SaysRefusedAfterThePulse,
    TakesAnswersForFresh,
    TakesBootsAsTheyCome,
    TakesReportsTwice,
    TrustsItsWallClock,
    WritesTooLate,
)
from tests.proofs import tries

SEEDS = range(tries("DEVICE_SEEDS", short=300, long=20_000))
#: Within so many, one shows that a protection is missing.
PATIENCE = range(3_000)


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave signatures out, which are proved elsewhere, and compact journals often."""
    numbers = count()

    def seal(fields: Mapping[str, Any], *, timestamp: Any, kid: str, **_: object) -> wire.Envelope:
        stamp = {"timestamp": wire.moment(timestamp), "kid": kid, "sig": ""}
        return {"message_id": str(next(numbers)), **fields, **stamp}

    monkeypatch.setattr(wire, "seal", seal)
    monkeypatch.setattr(wire, "check", lambda envelope, key: None)
    monkeypatch.setattr(journal, "COMPACT_AFTER_RECORDS", 40)


def verdicts(*lacking: type, **chances: Any) -> Iterator[Verdict]:
    """Play seeds, as many as anybody asks for, with parts that lack a protection."""
    kinds = {Controller: "mind", Journal: "memory", ServerModel: "server", Claims: "claims"}
    parts: dict[str, Any] = {
        name: part for part in lacking for kind, name in kinds.items() if issubclass(part, kind)
    }
    return (Run(seed, **parts, **chances).verdict() for seed in PATIENCE)


def test_the_code_that_signs_and_keeps_to_the_contract_does_nothing_wrong_either() -> None:
    assert [fault for seed in range(5) for fault in Run(seed).verdict().faults] == []


@pytest.mark.proof
@pytest.mark.usefixtures("swift")
def test_nothing_is_late_or_double_or_lost_or_wrongly_free_whatever_happens() -> None:
    num_pulses = num_reports = num_boots = num_deposits = num_collections = 0
    for seed in SEEDS:
        verdict = Run(seed).verdict()
        assert verdict.faults == [], f"seed {seed}"
        num_pulses += verdict.num_pulses
        num_reports += verdict.num_reports
        num_boots += verdict.num_boots
        num_deposits += verdict.num_deposits
        num_collections += verdict.num_collections

    assert num_pulses > 2 * len(SEEDS)
    assert num_boots > 2 * len(SEEDS)
    assert num_reports > 20 * len(SEEDS)
    assert num_deposits > len(SEEDS) / 6
    assert num_collections > len(SEEDS) / 2


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize(
    "mind", [IgnoresDeadlines, LooksAtTheDeadlineOnce, TrustsItsWallClock, TakesAnswersForFresh]
)
def test_without_a_deadline_that_holds_doors_open_late(mind: type[Controller]) -> None:
    assert any(verdict.late for verdict in verdicts(mind))


@pytest.mark.usefixtures("swift")
def test_without_the_epoch_commands_outlive_their_connection() -> None:
    assert any(verdict.stale for verdict in verdicts(IgnoresConnections))


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize(
    "lacking", [ForgetsCommands, ForgetsWhatTheKeypadSettled, ForgetsWhatItObeyed, TakesReportsTwice]
)
def test_without_the_memory_of_what_was_done_it_is_done_twice(lacking: type) -> None:
    assert any(verdict.double for verdict in verdicts(lacking))


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize("memory", [WritesTooLate, RemembersInMemory])
def test_with_a_memory_that_is_not_on_disk_before_the_pulse_a_power_cut_opens_doors_twice(
    memory: type[Journal],
) -> None:
    """The epoch would hide it, so it is switched off too: each layer must hold by itself."""
    found = verdicts(IgnoresConnections, memory, chance_of_cut_at_pulse=0.6)

    assert any(verdict.double for verdict in found)


@pytest.mark.usefixtures("swift")
def test_the_memory_alone_prevents_double_openings_without_the_epoch() -> None:
    found = verdicts(IgnoresConnections, chance_of_cut_at_pulse=0.6)

    assert not any(verdict.double for verdict, _ in zip(found, range(100), strict=False))


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize("lacking", [ReportsOnce, ForgetsTooMuch, ReportsFromMemory, AcceptsWithGaps])
def test_without_patience_for_the_other_side_reports_are_lost(lacking: type) -> None:
    assert any(verdict.lost for verdict in verdicts(lacking))


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize(
    ("lacking", "complaint"),
    [
        (PulsesThoughTheDiskIsFull, "was executed 1 times"),
        (KeepsInterruptionsToItself, "was executed 1 times"),
        (DoesNotSayWhatCameBefore, "had an effect after"),
        (NamesABootThatSaidNothing, "had an effect after"),
        (TakesBootsAsTheyCome, "had an effect after"),
        (DoesNotLookAtItsDoors, "is open"),
    ],
)
def test_without_the_whole_truth_the_server_believes_what_is_not(lacking: type, complaint: str) -> None:
    assert any(complaint in word for verdict in verdicts(lacking) for word in verdict.wrong)


@pytest.mark.usefixtures("swift")
@pytest.mark.parametrize(
    "lacking",
    [
        SaysRefusedAfterThePulse,
        HandsOutUnnoticed,
        FreesAtSilence,
        EndsClaimsWhileOpening,
        FreesWhatJammed,
        FreesHalfADeposit,
    ],
)
def test_without_care_a_compartment_is_free_in_which_goods_lie(lacking: type) -> None:
    assert any(verdict.wrongly_free for verdict in verdicts(lacking))


@pytest.mark.usefixtures("swift")
def test_hardware_that_fails_after_the_pulse_leaves_no_free_compartment_with_goods() -> None:
    some = islice(verdicts(SaysFailedAfterThePulse), len(SEEDS))

    assert [fault for verdict in some for fault in verdict.wrongly_free] == []


@pytest.mark.usefixtures("swift")
def test_without_the_memory_of_what_was_said_an_echo_frees_a_compartment_with_goods() -> None:
    assert any(verdict.wrongly_free for verdict in verdicts(ActsOnEveryCopy, line=ECHOING))


@pytest.mark.usefixtures("swift")
def test_after_a_power_cut_a_device_that_forgets_what_it_drove_makes_compartments_wrongly_free() -> None:
    found = verdicts(RemembersInMemory, chance_of_cut_at_pulse=0.6)

    assert any(verdict.wrongly_free for verdict in found)
