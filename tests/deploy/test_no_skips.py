"""Skipped tests are named, and fail the run if that is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.parts import PROJECT

SUITE = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no broker")
def test_needs_a_broker(): pass

@pytest.mark.shared_data
@pytest.mark.skip(reason="no instances")
def test_needs_instances(): pass

@pytest.mark.xfail
def test_is_known_to_fail(): raise AssertionError
"""


def run_pytest(folder: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a suite of its own, far from this project's settings."""
    (folder / "test_suite.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = shared_data\n")
    plugins = ["-p", "no:cacheprovider", "-p", "deploy.local.no_skips"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "--rootdir", str(folder), str(folder)],
        cwd=PROJECT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_skipped_test_is_named_with_its_reason(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SUITE)

    assert "test_needs_a_broker (Skipped: no broker)" in run.stdout
    assert run.returncode == pytest.ExitCode.OK


def test_a_skipped_test_fails_the_run_if_asked(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SUITE, "--no-skips")

    assert "which fails this run" in run.stdout
    assert run.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_module_that_skips_itself_fails_the_run_too(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_other.py").write_text("def test_runs(): pass")

    run = run_pytest(
        tmp_path,
        "import pytest\npytest.importorskip('no_such_module')",
        *("--no-skips", "-p", "xdist", "-n", processes),
    )

    assert run.stdout.count("test_suite.py (Skipped: could not import") == 1
    assert run.returncode != pytest.ExitCode.OK


def test_shared_data_may_be_absent(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SUITE, "--no-skips", "-k", "not broker")

    assert "test_needs_instances (Skipped: no instances)" in run.stdout
    assert run.returncode == pytest.ExitCode.OK
