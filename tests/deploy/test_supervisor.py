"""Parts start in order, are waited for, watched, and stopped in reverse."""

import signal
import sys
import time
from pathlib import Path

import pytest

from deploy.local.guard import Interruption
from deploy.local.probes import free_port, http_answers, log_says
from deploy.local.supervisor import Part, PartError, Ready, StopRequestedError, Supervisor, at_once


def a_part(
    name: str, script: str, *, ready: Ready = at_once, within_s: float = 10.0, grace_s: float = 5.0
) -> Part:
    """Return a part that runs a shell script."""
    return Part(
        name=name, command=["sh", "-c", script], ready=ready, ready_within_s=within_s, grace_s=grace_s
    )


def test_a_part_starts_only_when_the_one_before_it_is_ready(tmp_path: Path) -> None:
    slow = a_part("slow", f"sleep 0.3; touch {tmp_path}/there; echo here; sleep 60", ready=log_says("here"))
    next_one = a_part("next", f"ls {tmp_path}/there && echo seen; sleep 60", ready=log_says("seen"))

    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(slow)
        supervisor.start(next_one)


def test_parts_of_one_stage_start_side_by_side(tmp_path: Path) -> None:
    # Each waits for the other; one after the other they would wait for ever.
    left = a_part("left", f"touch {tmp_path}/l; until [ -e {tmp_path}/r ]; do sleep 0.02; done")
    right = a_part("right", f"touch {tmp_path}/r; until [ -e {tmp_path}/l ]; do sleep 0.02; done")

    with Supervisor(tmp_path / "log") as supervisor:
        assert supervisor.run(left, right) == [0, 0]


def test_a_part_that_answers_by_http_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    server = Part(
        name="server",
        command=[sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
        directory=tmp_path,
        ready=http_answers(port, "/"),
    )

    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(server)

        assert http_answers(port, "/")(tmp_path)
    assert not http_answers(port, "/")(tmp_path)


def test_a_part_that_never_answers_is_named(tmp_path: Path) -> None:
    silent = a_part("silent", "sleep 60", ready=log_says("hello"), within_s=0.2)

    with (
        pytest.raises(PartError, match=r"silent did not answer within 0\.2 s"),
        Supervisor(tmp_path / "log") as supervisor,
    ):
        supervisor.start(silent)


def test_a_part_that_dies_before_it_answers_is_named_with_its_last_words(tmp_path: Path) -> None:
    dying = a_part("dying", "echo my last words; exit 7", ready=log_says("never"))

    with pytest.raises(PartError) as raised, Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(dying)

    assert "dying ended with exit status 7" in raised.value.report()
    assert "my last words" in raised.value.report()


def test_a_part_that_dies_while_another_runs_to_its_end_is_named(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(a_part("mortal", "sleep 0.2; kill -9 $$"))

        with pytest.raises(PartError, match="mortal was ended by SIGKILL"):
            supervisor.run(a_part("long", "sleep 60"))


def test_a_part_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    absent = Part(name="absent", command=[str(tmp_path / "no-such-program")])

    with (
        pytest.raises(PartError, match="absent could not be started"),
        Supervisor(tmp_path / "log") as supervisor,
    ):
        supervisor.start(absent)


def test_a_preparation_that_fails_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(PartError, match="bad ended with exit status 4"),
        Supervisor(tmp_path / "log") as supervisor,
    ):
        supervisor.complete(a_part("good", "exit 0"), a_part("bad", "exit 4"))


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    script = "trap 'echo {0} >> {1}; exit' TERM; echo ready; while :; do sleep 0.02; done"
    with Supervisor(tmp_path / "log") as supervisor:
        for name in ("database", "web"):
            supervisor.start(a_part(name, script.format(name, notes), ready=log_says("ready")))

    assert notes.read_text().split() == ["web", "database"]


def test_a_part_that_does_not_obey_is_killed_after_its_grace(tmp_path: Path) -> None:
    deaf = a_part("deaf", "trap '' TERM; echo ready; sleep 60", ready=log_says("ready"), grace_s=0.2)

    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(deaf)
        began = time.monotonic()

    assert 0.2 <= time.monotonic() - began < 5


def test_a_signal_ends_the_wait_for_a_part(tmp_path: Path) -> None:
    interruption = Interruption()
    interruption(signal.SIGTERM, None)

    with pytest.raises(StopRequestedError), Supervisor(tmp_path / "log", interruption) as supervisor:
        supervisor.start(a_part("silent", "sleep 60", ready=log_says("hello")))


def test_only_the_first_signal_counts() -> None:
    interruption = Interruption()

    interruption(signal.SIGINT, None)
    interruption(signal.SIGTERM, None)

    assert interruption.signal is signal.SIGINT


def test_a_part_gets_its_own_environment_on_top_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "ours")
    part = Part(name="part", command=["sh", "-c", "echo $OURS $ITS"], environment={"ITS": "its"})

    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.complete(part)

    assert (tmp_path / "log" / "part.log").read_text() == "ours its\n"
