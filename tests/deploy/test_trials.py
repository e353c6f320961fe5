"""A trial has a folder and a process of its own, and is asked only for what somebody wished."""

import signal
from pathlib import Path

import pytest

from deploy.local import trials
from deploy.local.guard import Interruption
from deploy.local.supervisor import Part
from deploy.local.trials import Trial


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "VAR", tmp_path / "var")


def _let_the_run_be(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    def the_run(directory: Path, trial: Trial) -> Part:
        return Part(name=trial.name, command=["sh", "-c", script], directory=directory, passes_through=True)

    monkeypatch.setattr(trials, "_the_run", the_run)


def test_a_good_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_the_run_be(monkeypatch, "touch journal; exit 0")

    assert trials.hold(Trial("faults", {}), Interruption()) == 0

    assert list((tmp_path / "var").iterdir()) == []


def test_a_run_that_lost_something_fails_and_its_folder_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_the_run_be(monkeypatch, "touch journal; exit 1")

    assert trials.hold(Trial("faults", {}), Interruption()) == 1

    [folder] = (tmp_path / "var").iterdir()
    assert (folder / "journal").exists()


def test_the_run_is_told_only_what_was_asked_for_and_may_clear_up(tmp_path: Path) -> None:
    asked = trials._the_run(tmp_path, Trial("faults", {"seed": "7", "faults": None}))

    assert list(asked.command[1:]) == ["-m", "tests.faults", "--run-dir", str(tmp_path), "--seed", "7"]
    assert (asked.stop_signal, asked.passes_through) == (signal.SIGINT, True)
