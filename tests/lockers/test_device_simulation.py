"""Hundreds of seeds of bad luck: no late pulse, no double one, and each protection is needed for that."""

from collections.abc import Iterator
from itertools import islice

import pytest

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.journal import Journal
from tests.lockers.simulation import Run, Verdict

SEEDS = range(200)


def verdicts(mind: type[Controller] = Controller, memory: type[Journal] = Journal) -> Iterator[Verdict]:
    """Play all seeds, as far as anybody asks."""
    return (Run(seed, mind, memory).verdict() for seed in SEEDS)


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


class IgnoresConnections(Controller):
    def _is_stale(self, command: wire.Envelope) -> bool:
        return False


class ForgetsCommands(Journal):
    """Does not know a command when it comes again."""

    def has_seen(self, command_id: str) -> bool:
        return False


class WritesTooLate(Journal):
    """Remembers a command only once it is answered, and so after the pulse."""

    def remember_seen(self, command_id: str) -> None:
        pass


def test_nothing_opens_late_or_twice_or_after_a_reconnect() -> None:
    played = list(verdicts())

    assert [verdict for verdict in played if verdict.late or verdict.double or verdict.stale] == []
    assert sum(verdict.pulses for verdict in played) > len(SEEDS)


@pytest.mark.parametrize("mind", [IgnoresDeadlines, LooksAtTheDeadlineOnce])
def test_without_the_deadline_doors_open_late(mind: type[Controller]) -> None:
    assert any(verdict.late for verdict in verdicts(mind))


def test_without_the_epoch_commands_outlive_their_connection() -> None:
    assert any(verdict.stale for verdict in verdicts(IgnoresConnections))


def test_without_the_memory_of_seen_commands_doors_open_twice() -> None:
    assert any(verdict.double for verdict in verdicts(memory=ForgetsCommands))


def test_with_a_memory_written_after_the_pulse_a_power_cut_opens_doors_twice() -> None:
    """The epoch would hide it, so it is switched off too: each layer must hold by itself."""
    assert any(verdict.double for verdict in verdicts(IgnoresConnections, WritesTooLate))


def test_the_memory_alone_prevents_double_openings_without_the_epoch() -> None:
    assert not any(verdict.double for verdict in islice(verdicts(IgnoresConnections), 100))
