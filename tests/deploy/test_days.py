"""A day prepares, serves, plays and clears up; a demo stays."""

import signal
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.local import days
from deploy.local.guard import Interruption
from deploy.local.parts import Day, Run, a_run, play, services
from deploy.local.supervisor import Part, StopRequestedError, Supervisor


def a_part(name: str, script: str, run: Run, *, passes_through: bool = False) -> Part:
    """Return a part that runs a shell script with the run's environment."""
    return Part(
        name=name,
        command=["sh", "-c", script],
        directory=run.directory,
        environment=run.environment,
        passes_through=passes_through,
    )


@pytest.fixture(autouse=True)
def _a_small_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a day consist of a note, a sleep and an empty play."""
    monkeypatch.setattr(days, "VAR", tmp_path / "var")
    monkeypatch.setattr(days, "start_redis", lambda _supervisor, _directory: "redis://nowhere:1/0")
    _let(
        monkeypatch,
        preparation="touch prepared",
        service="test -e prepared && exec sleep 60",
        the_play="exit 0",
    )


def _let(
    monkeypatch: pytest.MonkeyPatch,
    *,
    the_play: str,
    preparation: str = "true",
    service: str = "exec sleep 60",
) -> None:
    def prepared(run: Run) -> Sequence[Part]:
        return [a_part("preparation", preparation, run)]

    def served(run: Run) -> Sequence[Part]:
        return [a_part("service", service, run)]

    def played(run: Run, _wishes: Day) -> Part:
        return a_part("play", the_play, run, passes_through=True)

    monkeypatch.setattr(days, "preparations", prepared)
    monkeypatch.setattr(days, "services", served)
    monkeypatch.setattr(days, "play", played)


def test_a_day_that_went_well_leaves_no_folder(tmp_path: Path) -> None:
    assert days.day(Day(), Interruption()) == 0

    assert list((tmp_path / "var").iterdir()) == []


def test_a_day_ends_as_its_play_does_and_its_logs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _let(monkeypatch, the_play="echo the books do not balance; exit 9")

    assert days.day(Day(), Interruption()) == 9

    [folder] = (tmp_path / "var").iterdir()
    said = "".join(capfd.readouterr())
    assert "the books do not balance" in said
    assert f"kept in {folder / 'log'}" in said


def test_a_day_whose_service_dies_fails_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _let(monkeypatch, service="echo out of memory; sleep 0.2; exit 5", the_play="exec sleep 60")

    assert days.day(Day(), Interruption()) == 1

    said = "".join(capfd.readouterr())
    assert "service ended with exit status 5" in said
    assert "out of memory" in said


def test_a_demo_serves_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    interruption = Interruption()

    def ctrl_c(_supervisor: Supervisor) -> None:
        interruption(signal.SIGINT, None)
        raise StopRequestedError(signal.SIGINT)

    monkeypatch.setattr(Supervisor, "stay", ctrl_c)

    assert days.demo(Day(), interruption, stay=True) == 0
    assert "Ctrl-C ends it" in "".join(capfd.readouterr())


def test_a_demo_starts_afresh(tmp_path: Path) -> None:
    old = tmp_path / "var" / "demo" / "old"
    old.mkdir(parents=True)

    assert days.demo(Day(), Interruption(), stay=False) == 0

    assert not old.exists()


def test_a_second_demo_is_refused_while_one_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "var").mkdir()

    with days._only_one(tmp_path / "var" / "demo.lock") as alone:
        assert alone
        assert days.demo(Day(), Interruption(), stay=False) == 1

    assert "Another demo is running" in "".join(capfd.readouterr())


def test_the_secrets_of_a_run_are_its_own_and_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    one, other = a_run(tmp_path, "redis://r:1/0"), a_run(tmp_path / "other", "redis://r:1/0")

    for name in ("SECRET_KEY", "LOCKER_SIGNING_KEY", "LOCKER_CODE_PEPPER", "LOCKER_CODE_KEYS"):
        assert one.environment[name] != other.environment[name]
    assert stat.S_IMODE((tmp_path / "environment").stat().st_mode) == 0o600


def test_the_play_is_told_only_what_was_asked_for(tmp_path: Path) -> None:
    run = a_run(tmp_path, "redis://r:1/0")

    asked = play(run, Day(seeds="1-20", orders="20")).command

    assert list(asked[-4:]) == ["--seeds", "1-20", "--orders", "20"]
    assert "--plan-budget" not in asked


def test_every_service_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = [part.name for part in services(a_run(tmp_path, "redis://r:1/0"))]

    assert len(set(names)) == len(names)


def test_nothing_follows_the_last_line_of_the_play(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _let(monkeypatch, the_play="echo '{}'; exit 1")

    days.day(Day(), Interruption())

    assert capfd.readouterr().out == "{}\n"
