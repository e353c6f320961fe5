"""Business time stands while people act, and jumps when all of them wait."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cast.conductor import Conductor

SIX = datetime(2030, 1, 7, 6, tzinfo=UTC)
#: Real time passes too, but no test lasts so long.
A_MOMENT = timedelta(seconds=10)


@pytest.fixture
def conductor(tmp_path: Path) -> Conductor:
    conductor = Conductor(tmp_path / "clock.json", quantum=timedelta(minutes=20))
    conductor.jump(SIX)
    return conductor


def minutes_past_six(conductor: Conductor) -> int:
    return round((conductor.now() - SIX) / timedelta(minutes=1))


async def test_the_clock_jumps_to_the_next_moment_that_somebody_waits_for(conductor: Conductor) -> None:
    woken_at = []

    async def somebody() -> None:
        for minutes in (60, 600):
            await conductor.until(SIX + timedelta(minutes=minutes))
            woken_at.append(minutes_past_six(conductor))

    await conductor.play(somebody())

    assert woken_at == [60, 600]


async def test_time_stands_while_anybody_acts(conductor: Conductor) -> None:
    heard = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        heard.append(minutes_past_six(conductor))

    async def waiting() -> None:
        await conductor.until(SIX + timedelta(hours=5))
        heard.append(minutes_past_six(conductor))

    await conductor.play(waiting(), slow())

    assert heard == [0, 300]


async def test_those_whose_moments_are_near_act_together_and_never_too_early(conductor: Conductor) -> None:
    woken_at = []

    async def somebody(minutes: int) -> None:
        await conductor.until(SIX + timedelta(minutes=minutes))
        woken_at.append((minutes, minutes_past_six(conductor)))

    await conductor.play(*(somebody(minutes) for minutes in (30, 45, 50, 51)))

    # 50 is the last moment within 20 minutes of 30; 51 is not.
    assert woken_at == [(30, 50), (45, 50), (50, 50), (51, 51)]


async def test_what_is_due_within_the_quantum_is_done_in_one_go(conductor: Conductor) -> None:
    done_at = []

    async def busy() -> None:
        for minutes in (30, 35, 45):
            await conductor.until(SIX + timedelta(minutes=minutes))
            done_at.append(minutes_past_six(conductor))

    async def in_the_evening() -> None:
        await conductor.until(SIX + timedelta(hours=12))

    jumps_before = conductor.num_jumps
    await conductor.play(busy(), in_the_evening())

    assert done_at == [50, 50, 50]
    assert conductor.num_jumps - jumps_before == 2


async def test_a_moment_that_has_passed_is_not_waited_for(conductor: Conductor) -> None:
    async def somebody() -> None:
        await conductor.until(SIX - timedelta(hours=1))

    await conductor.play(somebody())

    assert conductor.now() - SIX < A_MOMENT


async def test_whoever_ends_early_does_not_hold_up_the_others(conductor: Conductor) -> None:
    async def nobody() -> None:
        return

    async def somebody() -> None:
        await conductor.until(SIX + timedelta(minutes=90))

    await conductor.play(nobody(), somebody(), nobody())

    assert minutes_past_six(conductor) == 90


async def test_a_play_without_actors_ends_at_once(conductor: Conductor) -> None:
    await conductor.play()

    assert conductor.now() - SIX < A_MOMENT


async def test_one_play_follows_another(conductor: Conductor) -> None:
    async def until(minutes: int) -> None:
        await conductor.until(SIX + timedelta(minutes=minutes))

    await conductor.play(until(10))
    await conductor.play(until(100), until(200))

    assert minutes_past_six(conductor) == 200


async def test_what_was_done_takes_effect_before_time_goes_on(conductor: Conductor) -> None:
    settled_at = []

    async def somebody() -> None:
        for minutes in (60, 600):
            await conductor.until(SIX + timedelta(minutes=minutes))

    async def settle() -> None:
        settled_at.append(minutes_past_six(conductor))

    await conductor.play(somebody(), settle=settle)

    assert settled_at == [0, 60, 600]


async def test_what_an_actor_raises_ends_the_play(conductor: Conductor) -> None:
    async def failing() -> None:
        raise RuntimeError("the van is on fire")

    async def waiting() -> None:
        await conductor.until(SIX + timedelta(days=1))

    with pytest.raises(ExceptionGroup) as failure:
        await conductor.play(waiting(), failing())
    assert failure.group_contains(RuntimeError, match="on fire")


def test_time_never_runs_backwards(conductor: Conductor) -> None:
    conductor.jump(SIX - timedelta(days=1))

    assert SIX <= conductor.now() < SIX + A_MOMENT
