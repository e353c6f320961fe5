"""What is compiled is kept for one version of the code."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

PACKAGE = Path(__file__).parents[2] / "optimizer"


def cache_dir_of(package: Path, **environment: str) -> str:
    """Return where a copy of the package keeps what is compiled."""
    code = "from numba import config; import optimizer.compiled; print(config.CACHE_DIR)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.parametrize(
    "name", sorted(str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py") if "@compiled" in f.read_text())
)
def test_a_change_of_any_compiled_file_is_compiled_anew(tmp_path: Path, name: str) -> None:
    package = tmp_path / "optimizer"
    copytree(PACKAGE, package, ignore=lambda *_: ["__pycache__"])

    first = cache_dir_of(package)

    assert Path(first).parent == package / "__pycache__"
    assert cache_dir_of(package) == first
    changed = package / name
    changed.write_text(changed.read_text() + "\n")
    assert cache_dir_of(package) != first


def test_whoever_runs_it_may_name_another_folder(tmp_path: Path) -> None:
    found = cache_dir_of(PACKAGE, NUMBA_CACHE_DIR=str(tmp_path))

    assert Path(found).parent == tmp_path
