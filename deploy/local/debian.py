"""Debian's packages for programs that a machine lacks: unpacked, not installed, so that nobody needs root."""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local.processes import dying_with_me

_TIMEOUT_S = 180.0
_SETTINGS = (
    # Nothing of the system's is written to, so nobody has to be kept away from it.
    "Debug::NoLocking=true",
    # As root, apt would download as a user to whom our folders may be closed.
    "APT::Sandbox::User=root",
    "APT::Install-Recommends=false",
    "Acquire::Retries=2",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
)


class PackageError(Exception):
    """A package could not be fetched or unpacked."""


def unpacked(package: str, packages: Path) -> Path:
    """
    Return the folder that holds a package and whatever it needs that the machine lacks.

    It is fetched once; others who want it meanwhile wait.

    Raises
    ------
    PackageError
        If it is not there and cannot be had.
    """
    folder = packages / package
    if not folder.exists():
        try:
            packages.mkdir(parents=True, exist_ok=True)
            with (packages / f"{package}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not folder.exists():
                    _fetch(package, folder, packages / f"{package}.part")
        except OSError as error:
            raise PackageError(str(error)) from error
    return folder


def libraries(folder: Path) -> str:
    """Return the folders of an unpacked package where the linker has to look, as ``LD_LIBRARY_PATH``."""
    own = sorted({str(library.parent) for library in folder.glob("**/lib/*/*.so*")})
    return os.pathsep.join([*own, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])


def _fetch(package: str, folder: Path, partial: Path) -> None:
    """Unpack beside the folder, which gets its name only when it is complete."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for archive in _download(package, partial):
            _run("dpkg-deb", "--extract", str(archive), str(partial / "root"))
        (partial / "root").rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(package: str, partial: Path) -> Sequence[Path]:
    """Fetch by the machine's lists of packages; by fresh ones if these do not know it or have grown old."""
    archives, lists = partial / "archives", partial / "lists"
    for folder in (archives, lists):
        (folder / "partial").mkdir(parents=True)
    settings = (*_SETTINGS, f"Dir::Cache::Archives={archives}")
    fresh = (*settings, f"Dir::State::Lists={lists}")
    # Even if it is installed: whoever asks could not use what is there.
    fetch = ("install", "--download-only", "--reinstall", package)
    try:
        _apt_get(settings, *fetch)
    except PackageError:
        _apt_get(fresh, "update")
        _apt_get(fresh, *fetch)
    return sorted(archives.glob("*.deb"))


def _apt_get(settings: Sequence[str], *arguments: str) -> None:
    options = [word for setting in settings for word in ("-o", setting)]
    _run("apt-get", "--quiet", "--assume-yes", *options, *arguments)


def _run(*command: str) -> None:
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
            timeout=_TIMEOUT_S,
            preexec_fn=dying_with_me(signal.SIGKILL),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{command[0]} did not work: {error}") from error
    if ran.returncode != 0:
        raise PackageError(f"{command[0]} failed: {' '.join(ran.stderr.split())}")
