"""``make test`` runs the suites on both databases and says what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import suites
from deploy.local.guard import Interruption
from deploy.local.parts import PROJECT
from deploy.local.servers import MissingServerError
from deploy.local.supervisor import Supervisor

SUITE = """
import os
import pytest

def test_anywhere():
    print("ran on", os.environ["DATABASE_URL"].partition(":")[0])

@pytest.mark.proof
def test_often():
    print("tried as", os.environ.get("PROOFS"), "on", os.environ["DATABASE_URL"].partition(":")[0])

@pytest.mark.postgres
@pytest.mark.skipif(not os.environ["DATABASE_URL"].startswith("postgres"), reason="needs PostgreSQL")
def test_races(): pass
"""

Start = Callable[[Supervisor, Path], str]


def _missing(_supervisor: Supervisor, _directory: Path) -> str:
    raise MissingServerError("none found")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with one suite, whose servers are there in name only."""
    folder = tmp_path / "tests" / "common"
    folder.mkdir(parents=True)
    (folder / "test_suite.py").write_text(SUITE)
    settings = "markers =\n  postgres\n  proof\naddopts = -s -p no:cacheprovider\n"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}")
    monkeypatch.setattr(suites, "PROJECT", tmp_path)
    monkeypatch.setattr(suites, "VAR", tmp_path / "var")
    # In processes of their own the tests would print to nobody.
    monkeypatch.setattr(suites, "PROCESSES", "0")
    monkeypatch.setattr(suites, "start_redis", lambda _supervisor, _directory: "redis://r:1/0")
    monkeypatch.setattr(suites, "start_postgres", lambda _supervisor, _directory: "postgres://p/p")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


def test_each_test_runs_on_its_databases(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert suites.test([], Interruption(), no_skips=True) == 0

    said = capfd.readouterr().out
    assert said.index("ran on sqlite") < said.index("ran on postgres")
    assert "2 passed, 1 deselected" in said
    assert "3 passed" in said
    assert said.count("tried as None") == 2
    assert list((project / "var").iterdir()) == []


def test_a_proof_is_tried_at_length_on_one_database(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "tests" / "lockers").mkdir()
    other = project / "tests" / "lockers" / "test_town.py"
    other.write_text(SUITE)
    monkeypatch.setattr(suites, "ON_POSTGRES", ("tests/common", "tests/lockers"))
    monkeypatch.setattr(suites, "SQLITE_WILL_DO", ("tests/lockers/test_town.py",))

    assert suites.prove([], Interruption()) == 0

    said = capfd.readouterr().out
    assert "ran on" not in said
    assert said.count("tried as long") == 2
    assert said.index("tried as long on sqlite") < said.index("tried as long on postgres")


def test_proofs_without_postgres_are_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "start_postgres", _missing)

    assert suites.prove([], Interruption()) == 1


def test_without_postgres_its_tests_are_skipped_by_name(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "start_postgres", _missing)

    assert suites.test([], Interruption(), no_skips=False) == 0

    said = "".join(capfd.readouterr())
    assert "PostgreSQL is missing" in said
    assert "test_races (Skipped: needs PostgreSQL)" in said


@pytest.mark.parametrize("server", ["start_redis", "start_postgres"])
def test_a_strict_run_fails_without_a_server_even_if_no_test_asked_for_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setattr(suites, server, _missing)

    assert suites.test(["-k", "anywhere"], Interruption(), no_skips=True) == 1


@pytest.mark.parametrize(
    ("statuses", "verdict"), [([0, 0], 0), ([0, 5], 0), ([5, 0], 0), ([5, 5], 5), ([5, 1], 1), ([0, 2], 2)]
)
def test_only_a_run_in_which_nothing_ran_fails_for_want_of_tests(statuses: list[int], verdict: int) -> None:
    assert suites._verdict(statuses) == verdict
