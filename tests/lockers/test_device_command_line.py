"""What people do at simulated lockers from the command line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lockers.device import __main__ as program
from lockers.device import keypad as device
from lockers.device.errands import DISPLAY, on_display
from lockers.device.hands import KeypadAnswer
from lockers.exceptions import (
    CommandPending,
    CompartmentUnavailable,
    LockerOffline,
    NoCompartmentAvailable,
    NotDeposited,
    ReopenLimitReached,
)
from lockers.services import keypad as server
from tests.lockers.small_server import LOCKER, a_simulator

Say = Callable[..., Awaitable[tuple[int | str | None, str]]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return what runs a command of the program, and returns its status and what it printed."""
    monkeypatch.setenv("LOCKERS_CONTROL", str(tmp_path / "control"))

    def run(words: tuple[str, ...]) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["device", *words])
        try:
            program.main()
        except SystemExit as end:
            return end.code
        raise AssertionError("the program has no status")

    async def say(*words: str) -> tuple[int | str | None, str]:
        status = await asyncio.to_thread(run, words)
        return status, capsys.readouterr().out.strip()

    return say


async def test_a_code_is_typed_and_the_display_answers(tmp_path: Path, say: Say) -> None:
    async with a_simulator(tmp_path):
        assert await say("keypad", "48291703") == (0, "Compartment 1 opens.")
        assert await say("keypad", "48291704", "--locker", "or") == (1, DISPLAY["code-unknown"])
        assert await say("keypad", "48291703", "--locker", "elsewhere") == (
            2,
            f"--locker is one of: {LOCKER}",
        )


async def test_doors_are_seen_to(tmp_path: Path, say: Say) -> None:
    async with a_simulator(tmp_path):
        assert await say("door", "1") == (0, "compartment 1 is closed and holds nothing")
        assert await say("door", "1", "take") == (2, "door 1 is closed")
        assert await say("door", "9") == (2, "there is no compartment 9")
        await say("fault", "forced", "compartment=1")
        assert await say("door", "1", "put", "bread", "eggs") == (
            0,
            "compartment 1 is open and holds bread, eggs",
        )
        await say("door", "1", "close")
        assert await say("door", "1", "done") == (0, "compartment 1 is closed and holds bread, eggs")
        await say("fault", "forced", "compartment=1")
        assert await say("door", "1", "take") == (
            0,
            "taken: bread, eggs\ncompartment 1 is open and holds nothing",
        )


async def test_faults_are_caused(tmp_path: Path, say: Say) -> None:
    async with a_simulator(tmp_path) as (server, hands):
        assert await say("fault", "jam", "compartment=1") == (0, "")
        server.open(1)
        assert not await hands.wait_open(LOCKER, 1, timeout_s=0.3)

        status, printed = await say("fault", "rust")
        assert (status, printed.startswith("a fault is one of jam, sensor,")) == (2, True)


async def test_without_a_simulator_that_is_said(tmp_path: Path, say: Say) -> None:
    assert await say("keypad", "48291703") == (2, f"no simulator listens at {tmp_path / 'control'}")


async def test_faults_from_the_start_are_read_before_anything_starts(tmp_path: Path, say: Say) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"fault": "tamper"}\n')
    simulate = ["simulate", "--base-url", "http://link", "--tokens", "none", "--state", str(tmp_path)]
    simulate += ["--control", str(tmp_path / "control"), "--script", str(script), "--fault"]

    assert await say(*simulate, "jam compartment=x") == ("jam: 'x' does not fit", "")


def test_the_display_has_words_for_every_answer() -> None:
    rules = (
        CommandPending,
        CompartmentUnavailable,
        LockerOffline,
        NoCompartmentAvailable,
        NotDeposited,
        ReopenLimitReached,
    )
    of_server = {outcome.value for outcome in server.Outcome} - {server.Outcome.CODE_OF_ANOTHER_LOCKER.value}

    assert set(DISPLAY) >= {outcome.value for outcome in device.Outcome} | of_server
    assert set(DISPLAY) >= {rule.code for rule in rules}


def test_the_display_says_how_many_compartments_are_left() -> None:
    answer = KeypadAnswer(outcome="opening", compartment=3, num_left=2)

    assert on_display(answer) == "Compartment 3 opens. Enter the code again for 2 more."


def test_the_display_tells_a_courier_to_look_before_goods_go_in() -> None:
    answer = KeypadAnswer(outcome="opening", compartment=3, num_left=0, is_deposit=True)

    assert on_display(answer).startswith("Compartment 3 opens. If anything lies in it, close the door")
