"""Packages are fetched once, whoever asks, and are either complete or not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.debian import PackageError, libraries, unpacked
from deploy.local.parts import PROJECT

#: Puts one package into the folder that it is told, if the lists know any; each call is noted.
APT_GET = """#!/bin/sh
echo "$*" >> "$NOTES/apt-get"
case "$*" in
*update*) touch "$NOTES/updated"; exit 0;;
esac
if [ -e "$NOTES/old" ] && ! [ -e "$NOTES/updated" ]; then echo "E: Unable to locate package" >&2; exit 100; fi
archives=$(echo "$*" | sed 's/.*Dir::Cache::Archives=\\([^ ]*\\).*/\\1/')
touch "$archives/teapot_1.deb"
sleep 0.2
"""
DPKG_DEB = """#!/bin/sh
mkdir -p "$3/usr/lib/here"
touch "$3/usr/lib/here/libtea.so.1"
if [ -e "$NOTES/broken" ]; then echo "unexpected end of file" >&2; exit 2; fi
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where stand-ins for Debian's tools note what they do, and are told what goes wrong."""
    programs, notes = tmp_path / "bin", tmp_path / "notes"
    for folder in (programs, notes):
        folder.mkdir()
    for name, script in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(notes))
    return notes


def _num_calls(notes: Path) -> int:
    return len((notes / "apt-get").read_text().splitlines())


def test_a_package_is_fetched_once(notes: Path, tmp_path: Path) -> None:
    folder = unpacked("teapot", tmp_path / "packages")

    assert unpacked("teapot", tmp_path / "packages") == folder
    assert libraries(folder).split(":")[0] == str(folder / "usr/lib/here")
    assert _num_calls(notes) == 1


def test_two_who_want_it_at_the_same_time_get_the_same(notes: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from deploy.local.debian import unpacked\n"
        "print(unpacked('teapot', Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "packages")]

    both = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [one.communicate(timeout=30)[0] for one in both] == [f"{tmp_path}/packages/teapot\n"] * 2
    assert _num_calls(notes) == 1


def test_lists_that_do_not_know_the_package_are_renewed(notes: Path, tmp_path: Path) -> None:
    (notes / "old").touch()

    assert unpacked("teapot", tmp_path / "packages").is_dir()
    assert _num_calls(notes) == 3


def test_what_is_half_unpacked_does_not_stay(notes: Path, tmp_path: Path) -> None:
    (notes / "broken").touch()

    with pytest.raises(PackageError, match="dpkg-deb failed: unexpected end of file"):
        unpacked("teapot", tmp_path / "packages")

    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["teapot.lock"]


def test_what_a_killed_run_left_half_unpacked_is_done_anew(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "packages/teapot.part/root/leftover").mkdir(parents=True)

    folder = unpacked("teapot", tmp_path / "packages")

    assert [path.name for path in folder.iterdir()] == ["usr"]


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PackageError, match="apt-get did not work"):
        unpacked("teapot", tmp_path / "packages")
