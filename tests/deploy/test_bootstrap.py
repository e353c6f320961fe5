"""The environment is made once, mended when the lock file changes, and made anew after an interruption."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.local import bootstrap
from deploy.local.parts import PROJECT

#: The interpreter that our own environment was made from.
OUTSIDE = Path(sys.executable).resolve()


class Project:
    """A copy of the set-up with a lock file of one tiny package, and an index of just that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        (folder / "requirements").mkdir()
        shutil.copytree(PROJECT / "deploy", folder / "deploy")
        self.lock("1.0")

    def lock(self, version: str, digest: str | None = None) -> None:
        """List the package in this version."""
        wheel = a_wheel(self.wheels, version)
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.folder / "requirements" / "dev.txt").write_text(f"parcel=={version} --hash=sha256:{digest}\n")

    def leave_environment(self, *, python: Path) -> Path:
        """Leave an environment of old, and return something that was in it."""
        folder = self.folder / ".venv" / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(python)
        left = folder / "half-installed"
        left.touch()
        return left

    def begin(self) -> subprocess.Popen[str]:
        """Start the set-up, out of reach of any network and of any uv."""
        return subprocess.Popen(
            [str(OUTSIDE), "-m", "deploy.local.bootstrap"],
            cwd=self.folder,
            env={
                "PATH": os.defpath,
                "HOME": str(self.folder),
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheels),
                "PIP_CONFIG_FILE": os.devnull,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def set_up(self) -> tuple[int, str]:
        """Return the set-up's exit status and what it said."""
        process = self.begin()
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def installed(self) -> str:
        """Return the version of the package that the environment holds."""
        script = "from importlib.metadata import version; print(version('parcel'))"
        command = [str(self.folder / ".venv" / "bin" / "python"), "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def a_wheel(folder: Path, version: str) -> Path:
    """Return a package that holds nothing but its name."""
    path = folder / f"parcel-{version}-py3-none-any.whl"
    about = f"parcel-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("parcel.py", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: parcel\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        names = ["parcel.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD"]
        wheel.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in names))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose environment has not been made."""
    return Project(tmp_path)


def test_a_second_run_has_nothing_to_do(project: Project) -> None:
    status, said = project.set_up()
    assert status == 0, said
    assert project.installed() == "1.0"

    assert project.set_up() == (0, "")


def test_a_changed_lock_file_is_followed_without_a_new_environment(project: Project) -> None:
    project.set_up()
    witness = project.folder / ".venv" / "witness"
    witness.touch()

    project.lock("2.0")
    status, said = project.set_up()

    assert status == 0, said
    assert project.installed() == "2.0"
    assert witness.exists()


def test_what_an_interrupted_set_up_left_is_made_anew(project: Project) -> None:
    left = project.leave_environment(python=OUTSIDE)
    (project.folder / ".venv" / ".set-up-started").touch()

    status, said = project.set_up()

    assert status == 0, said
    assert project.installed() == "1.0"
    assert not left.exists()


def test_an_environment_whose_python_has_gone_is_made_anew(project: Project) -> None:
    left = project.leave_environment(python=Path("/no/such/python"))

    status, said = project.set_up()

    assert status == 0, said
    assert project.installed() == "1.0"
    assert not left.exists()


def test_an_environment_that_was_moved_or_belongs_to_another_python_is_made_anew(project: Project) -> None:
    left = project.leave_environment(python=OUTSIDE)
    (project.folder / ".venv" / ".set-up").write_text("Python 3.11.0 in /elsewhere/.venv\n")

    status, said = project.set_up()

    assert status == 0, said
    assert project.installed() == "1.0"
    assert not left.exists()


def test_a_package_that_is_not_the_locked_one_is_refused(project: Project) -> None:
    project.lock("1.0", digest="0" * 64)

    status, said = project.set_up()

    assert status == 1
    assert "Could not install" in said
    assert not (project.folder / ".venv" / ".set-up").exists()


def test_of_two_runs_at_once_one_waits_for_the_other(project: Project) -> None:
    both = [project.begin(), project.begin()]

    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("Setting up" in text for text in said) == [False, True]
    assert project.installed() == "1.0"


def test_a_python_that_is_too_old_can_read_why() -> None:
    source = (PROJECT / "deploy" / "local" / "bootstrap.py").read_text()

    assert ast.parse(source, feature_version=(3, 7))


def a_python(folder: Path, says: str) -> Path:
    """Return a program that stands for an interpreter and says how long its work took."""
    program = folder / f"python-{len(list(folder.iterdir()))}"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    return program


def test_an_interpreter_that_is_clearly_quicker_is_preferred(tmp_path: Path) -> None:
    own, quicker, slower = (a_python(tmp_path, f"echo {seconds}") for seconds in (1.0, 0.6, 2.0))

    assert bootstrap.quickest([own, slower, quicker]) == quicker


@pytest.mark.parametrize("says", ["echo 0.9", "echo no figure", "exit 1"])
def test_otherwise_the_interpreter_that_was_called_is_used(tmp_path: Path, says: str) -> None:
    own = a_python(tmp_path, "echo 1.0")

    assert bootstrap.quickest([own, a_python(tmp_path, says)]) == own
    assert bootstrap.quickest([own, tmp_path / "none"]) == own
