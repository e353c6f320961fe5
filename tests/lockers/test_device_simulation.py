"""
Thousands of seeds of bad luck: nothing late, double or lost, and each protection is needed for that.

What the services and the database add is tried in ``test_town``.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from lockers import wire
from lockers.device import journal
from lockers.device.controller import Controller
from lockers.device.journal import Journal, Record
from lockers.device.messages import Answer
from tests.lockers.device_run import Run
from tests.lockers.judgement import Verdict
from tests.lockers.server_model import ServerModel
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


# Devices of which each lacks one protection.


class IgnoresDeadlines(Controller):
    def _is_late(self, command: wire.Envelope) -> bool:
        return False


class LooksAtTheDeadlineOnce(Controller):
    """Trusts that writing to disk took no time."""

    def _drive(self, command: wire.Envelope, command_id: str, number: int) -> None:
        self._is_late = lambda command: False  # type: ignore[method-assign]
        try:
            super()._drive(command, command_id, number)
        finally:
            del self._is_late


class TrustsItsWallClock(Controller):
    def _is_late(self, command: wire.Envelope) -> bool:
        return self._reporter._wall_clock() > wire.parse_moment(command["expires_at"])


class TakesAnswersForFresh(Controller):
    """Believes that it is as late as an answer says when it arrives, however long it was under way."""

    def learn_time(self, answer: wire.Envelope, *, sent_s: float, received_s: float) -> None:
        super().learn_time(answer, sent_s=received_s, received_s=received_s)


class IgnoresConnections(Controller):
    def _is_stale(self, command: wire.Envelope) -> bool:
        return False


class ForgetsWhatTheKeypadSettled(Controller):
    """Executes a command for a code that it has answered by itself meanwhile."""

    def _refusal(self, command: wire.Envelope, number: int) -> str | None:
        return super()._refusal({**command, "request_id": None}, number)


class ForgetsWhatItObeyed(Controller):
    """Answers a code by itself although it has executed the server's command for it."""

    def decide(self, code: str, *, instead_of: wire.Envelope | None = None) -> Answer:
        self._obeyed.clear()
        return super().decide(code, instead_of=instead_of)


class ForgetsCommands(Journal):
    """Does not know a command when it comes again."""

    def has_seen(self, command_id: str) -> bool:
        return False


class WritesTooLate(Journal):
    """Remembers a command only once it is answered, and so after the pulse."""

    def remember_seen(self, command_id: str) -> None:
        pass


class RemembersInMemory(Journal):
    """Knows a command when it comes again, until the power goes."""

    def remember_seen(self, command_id: str) -> None:
        self._take({"is": "seen", "command_id": command_id})


class PulsesThoughTheDiskIsFull(Journal):
    def remember_seen(self, command_id: str) -> None:
        self._write([{"is": "seen", "command_id": command_id}])


class ReportsOnce(Journal):
    """Does not wait for the server to accept what it was sent."""

    def unreported(self) -> list[Record]:
        reports = super().unreported()
        for report in reports:
            self.forget(report["boot_id"], report["seq"])
        return reports


class ForgetsTooMuch(Journal):
    """Forgets more than the server accepted."""

    def forget(self, boot_id: str, seq: int) -> None:
        super().forget(boot_id, seq + 3)


class ReportsFromMemory(Journal):
    """Has reports on disk only when it happens to be written anew."""

    def report(self, envelope: Record, *, answers: str | None = None, begins: str | None = None) -> None:
        answered = {} if answers is None else {"command_id": answers}
        self._take({"is": "report", "envelope": envelope, **answered})


class KeepsInterruptionsToItself(Journal):
    def interrupted(self) -> list[str]:
        return []


class DoesNotSayWhatCameBefore(Journal):
    """Lets the server take the reports of a new boot before it has those of the last one."""

    def _last_place(self) -> None:
        return None


class NamesABootThatSaidNothing(Journal):
    """Lets the server wait for a boot that had nothing to tell, instead of the one before."""

    def _last_place(self) -> tuple[str, int] | None:
        return None if self.boot_id is None else (self.boot_id, self.last_seq)


class DoesNotLookAtItsDoors(Controller):
    """Does not say after a start where the doors stand."""

    def boot(self) -> None:
        self._doors.report_all = lambda: None  # type: ignore[method-assign]
        super().boot()


# Servers that lack one.


class AcceptsWithGaps(ServerModel):
    """Accepts a report although one before it is missing."""

    def receive(self, batch: Iterable[wire.Envelope]) -> Mapping[str, int]:
        reports = sorted(batch, key=lambda report: int(report["seq"]))
        super().receive(reports)
        return {report["boot_id"]: report["seq"] for report in reports}


class TakesReportsTwice(ServerModel):
    """Lets a report that comes again have its effect again."""

    def receive(self, batch: Iterable[wire.Envelope]) -> Mapping[str, int]:
        reports = list(batch)
        for report in reports:
            if report["seq"] <= self._applied.get(report["boot_id"], 0):
                self._apply(report)
        return super().receive(reports)


class TakesBootsAsTheyCome(ServerModel):
    def _follows(self, boot_id: str) -> bool:
        return True


def verdicts(*lacking: type, **chances: Any) -> Iterator[Verdict]:
    """Play seeds, as many as anybody asks for, with parts that lack a protection."""
    kinds = {Controller: "mind", Journal: "memory", ServerModel: "server"}
    parts: dict[str, Any] = {
        name: part for part in lacking for kind, name in kinds.items() if issubclass(part, kind)
    }
    return (Run(seed, **parts, **chances).verdict() for seed in PATIENCE)


def test_the_code_that_signs_and_keeps_to_the_contract_does_nothing_wrong_either() -> None:
    assert [fault for seed in range(5) for fault in Run(seed).verdict().faults] == []


@pytest.mark.proof
@pytest.mark.usefixtures("swift")
def test_nothing_is_late_or_double_or_lost_whatever_happens() -> None:
    num_pulses = num_reports = num_boots = 0
    for seed in SEEDS:
        verdict = Run(seed).verdict()
        assert verdict.faults == [], f"seed {seed}"
        num_pulses += verdict.num_pulses
        num_reports += verdict.num_reports
        num_boots += verdict.num_boots

    assert num_pulses > 2 * len(SEEDS)
    assert num_boots > 2 * len(SEEDS)
    assert num_reports > 20 * len(SEEDS)


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
