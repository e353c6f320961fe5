"""Which faults come when follows from the seed, and what was harmed is brought back."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.probes import log_says
from deploy.local.supervisor import Part, Supervisor
from tests.faults.crew import Crew
from tests.faults.faults import KINDS, Log, schedule


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Return a supervisor of two parts that run for ever, each with a child."""
    with Supervisor(tmp_path / "log") as supervisor:
        for name in ("one", "other"):
            supervisor.start(Part(name=name, command=["sh", "-c", "sleep 60 & wait"]))
        yield supervisor


def pid_of(supervisor: Supervisor, name: str) -> int:
    """Return the number of a part's process."""
    return supervisor.process_of(name).pid


def test_the_same_seed_lets_the_same_faults_happen() -> None:
    assert schedule(seed=7, count=40) == schedule(seed=7, count=40)
    assert schedule(seed=7, count=40) != schedule(seed=8, count=40)


def test_every_kind_comes_before_any_comes_once_more() -> None:
    kinds = [kind for _, kind in schedule(seed=3, count=2 * len(KINDS))]

    assert Counter(kinds[: len(KINDS)]) == Counter(kinds[len(KINDS) :]) == Counter(list(KINDS))


def test_every_fault_is_told_with_its_moment_and_counted() -> None:
    told: list[str] = []
    log = Log(told.append)

    log.note("redis-emptied", "redis killed, restarted empty")

    assert (log.num_injected, len(told)) == (1, 1)
    assert told[0].endswith("  1  redis-emptied: redis killed, restarted empty")


async def test_what_was_killed_is_started_again_and_counts_as_harmed(supervisor: Supervisor) -> None:
    crew = Crew(supervisor, ["one", "other"])
    before = pid_of(supervisor, "one"), pid_of(supervisor, "other")

    async with crew.harming("one"):
        crew.kill("one")

    assert pid_of(supervisor, "one") != before[0]
    assert pid_of(supervisor, "other") == before[1]
    assert not crew.deserted


async def test_what_ends_by_itself_is_started_again_and_named(supervisor: Supervisor) -> None:
    crew = Crew(supervisor, ["one", "other"])
    watching = asyncio.create_task(crew.watch())
    before = pid_of(supervisor, "other")

    supervisor.process_of("other").terminate()
    async with asyncio.timeout(10):
        while pid_of(supervisor, "other") == before:
            await asyncio.sleep(0.02)
    watching.cancel()

    assert crew.deserted == {"other": 1}


async def test_what_does_not_end_when_asked_is_killed_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.crew.OBEYS_WITHIN_S", 0.3)
    with Supervisor(tmp_path / "log") as supervisor:
        stubborn = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
        supervisor.start(
            Part(name="deaf", command=["sh", "-c", stubborn], ready=log_says("deaf"), grace_s=0.1)
        )
        supervisor.start(Part(name="polite", command=["sleep", "60"]))
        crew = Crew(supervisor, ["deaf", "polite"])

        for name in ("deaf", "polite"):
            async with crew.harming(name):
                await crew.ask_to_end(name)

    assert crew.deaf == {"deaf": 1}


async def test_a_child_can_be_killed_alone(supervisor: Supervisor) -> None:
    crew = Crew(supervisor, ["one", "other"])
    process = supervisor.process_of("one")

    async with asyncio.timeout(10):
        while not crew.kill_child("one", which=random.Random(1).random()):
            await asyncio.sleep(0.02)
        await crew.ended("one")

    # The shell waited for its child.
    assert process.returncode == 0


async def test_what_was_frozen_goes_on_where_it_stood(supervisor: Supervisor) -> None:
    crew = Crew(supervisor, ["one", "other"])
    before = pid_of(supervisor, "one")

    async with crew.harming("one"):
        crew.freeze("one")
        crew.thaw("one")

    assert pid_of(supervisor, "one") == before
