"""However a run ends, none of its processes outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.parts import PROJECT

#: A loaded machine needs a while; an idle one is done in a fraction of it.
PATIENCE_S = 15.0

COMMAND = [sys.executable, "-m", "tests.deploy.fake_run"]


class Started:
    """A run that says it is ready, in a session of its own, as a terminal would have it."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={name: value for name, value in os.environ.items() if not _is_inherited(name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        if said != "ready\n":
            self.process.kill()
            pytest.fail(f"The run began with {said!r}")
        #: The front process, the worker, and whatever they started.
        self.pids = [int(pid) for pid in (folder / "pids").read_text().split()]

    def output(self) -> str:
        """Return what it says until its end."""
        return self.process.communicate(timeout=PATIENCE_S)[0]

    def left(self) -> list[int]:
        """Return the processes that are still there once they have had time to go."""
        deadline = time.monotonic() + PATIENCE_S
        while (alive := [pid for pid in self.pids if _is_alive(pid)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return alive


def _is_inherited(name: str) -> bool:
    """Tell whether a variable comes from the run of the tests: its servers, and the make that called it."""
    return name.endswith("_URL") or name in {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a run, and see to it that a failing test leaves nothing behind either."""
    runs: list[Started] = []

    def start_one(*command: str) -> Started:
        runs.append(Started(tmp_path, *command))
        return runs[-1]

    yield start_one
    for run in runs:
        for pid in run.pids:
            if _is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        run.process.kill()
        run.process.communicate()


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    """Return a Makefile whose recipe starts a run the way ours does."""
    path = tmp_path / "Makefile"
    path.write_text(f"run:\n\t@exec {' '.join(COMMAND)} --parent $$PPID steady {tmp_path}\n")
    return path


def test_the_run_under_test_consists_of_parts_and_stubborn_helpers(start: Start, tmp_path: Path) -> None:
    run = start(*COMMAND, "steady", str(tmp_path))

    # The front and the worker; two parts, each with a deaf child and that one's own child in another session.
    assert len(run.pids) == 2 + 2 * 3
    assert all(_is_alive(pid) for pid in run.pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_nothing(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    run = start(*COMMAND, "steady", str(tmp_path))

    os.killpg(run.process.pid, number)

    assert run.left() == []
    assert f"Stopped by {number.name}" in run.output()
    assert run.process.returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_runner_alone_leaves_nothing(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    run = start(*COMMAND, "steady", str(tmp_path))

    run.process.send_signal(number)

    assert run.left() == []
    assert run.process.wait(PATIENCE_S) == 128 + number


def test_the_failure_of_a_part_ends_all_others_and_is_told(start: Start, tmp_path: Path) -> None:
    run = start(*COMMAND, "failing", str(tmp_path))

    said = run.output()

    assert "third ended with exit status 3" in said
    assert "I have had enough" in said
    assert run.process.returncode == 1
    assert run.left() == []


@pytest.mark.parametrize("victim", [0, 1], ids=["front", "worker"])
def test_killing_either_process_of_the_runner_leaves_nothing(
    start: Start, tmp_path: Path, victim: int
) -> None:
    run = start(*COMMAND, "steady", str(tmp_path))

    os.kill(run.pids[victim], signal.SIGKILL)

    assert run.left() == []


@pytest.mark.parametrize("victim", [0, 1], ids=["front", "worker"])
def test_the_real_servers_do_not_outlive_a_killed_runner(start: Start, tmp_path: Path, victim: int) -> None:
    run = start(*COMMAND, "servers", str(tmp_path))

    os.kill(run.pids[victim], signal.SIGKILL)

    assert len(run.pids) > 2 + 2
    assert run.left() == []


def test_killing_make_leaves_nothing(start: Start, makefile: Path) -> None:
    run = start("make", "-f", str(makefile), "run")

    run.process.kill()

    assert run.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_of_make_leaves_nothing(
    start: Start, makefile: Path, number: signal.Signals
) -> None:
    run = start("make", "-f", str(makefile), "run")

    os.killpg(run.process.pid, number)

    assert run.left() == []
    assert run.process.wait(PATIENCE_S) != 0


def test_ending_make_alone_leaves_nothing(start: Start, makefile: Path) -> None:
    run = start("make", "-f", str(makefile), "run")

    run.process.terminate()

    assert run.left() == []


def test_a_run_whose_make_has_already_gone_does_not_begin(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    run = subprocess.run(
        [*COMMAND, "--parent", str(gone.pid), "steady", str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert run.returncode == 128 + signal.SIGTERM
