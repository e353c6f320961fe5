"""
The test suite on SQLite, then whatever touches locks, races and queues on PostgreSQL.

Proofs are tests that try a rule many times: shortly among all tests, at length by themselves.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.guard import Interruption
from deploy.local.parts import PROJECT, VAR
from deploy.local.report import reported, say
from deploy.local.servers import MissingServerError, start_postgres, start_redis
from deploy.local.supervisor import Part, Supervisor

#: The folders whose tests run on PostgreSQL too.
ON_POSTGRES = ("tests/common", "tests/lockers", "tests/logistics", "tests/faults", "tests/e2e")
#: Of these, what touches no database, or none that others write to at the same time.
SQLITE_WILL_DO = (
    "tests/faults/test_faults.py",
    "tests/faults/test_judge.py",
    "tests/faults/test_proxy.py",
    "tests/faults/test_settling.py",
    "tests/faults/test_witness.py",
    "tests/lockers/test_arrivals.py",
    "tests/lockers/test_basic_contract.py",
    "tests/lockers/test_contract.py",
    "tests/lockers/test_device.py",
    "tests/lockers/test_device_command_line.py",
    "tests/lockers/test_device_disk.py",
    "tests/lockers/test_device_faults.py",
    "tests/lockers/test_device_mqtt.py",
    "tests/lockers/test_device_mqtt_network.py",
    "tests/lockers/test_device_network.py",
    "tests/lockers/test_device_simulation.py",
    "tests/lockers/test_forgeries.py",
    "tests/lockers/test_protections.py",
    "tests/lockers/test_rare_stories.py",
    "tests/lockers/test_town.py",
    "tests/lockers/test_wire.py",
)
#: Tests of each suite that run at the same time; ``-n 0`` among the arguments lets a debugger in.
PROCESSES = str(os.cpu_count() or 1)
PLUGINS = ("-p", "xdist", "-p", "deploy.local.no_skips")
_NOTHING_CHOSEN = 5


@dataclass(frozen=True, slots=True)
class _Servers:
    """What a machine has; None stands for what it lacks."""

    redis_url: str | None
    postgres_url: str | None


Suites = Callable[[Supervisor, Path, _Servers, Sequence[str]], list[int]]


def test(arguments: Sequence[str], interruption: Interruption, *, no_skips: bool) -> int:
    """Run the suites with real servers; where skips count as failures, so does a missing server."""
    return _with_servers(_suites, arguments, interruption, no_skips=no_skips)


def prove(arguments: Sequence[str], interruption: Interruption) -> int:
    """Run the long forms of all proofs, each on one database."""
    return _with_servers(_proofs, arguments, interruption, no_skips=True)


def _with_servers(
    suites: Suites, arguments: Sequence[str], interruption: Interruption, *, no_skips: bool
) -> int:
    VAR.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="test-", dir=VAR))
    strictness = ["--no-skips"] if no_skips else []

    def run() -> int:
        with Supervisor(directory / "log", interruption) as supervisor:
            servers = _Servers(
                redis_url=_had("Redis", lambda: start_redis(supervisor, directory)),
                postgres_url=_had("PostgreSQL", lambda: start_postgres(supervisor, directory)),
            )
            status = _verdict(suites(supervisor, directory, servers, [*strictness, *arguments]))
        return 1 if no_skips and None in {servers.redis_url, servers.postgres_url} else status

    try:
        return reported(run)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _proofs(supervisor: Supervisor, directory: Path, servers: _Servers, options: Sequence[str]) -> list[int]:
    """Run the long forms and return how each ended; they need both databases."""
    if servers.postgres_url is None:
        return [1]
    long = ["-m", "proof", "--durations=10", *options]
    sqlite, postgres = (urls | {"PROOFS": "long"} for urls in _databases(directory, servers))
    return [
        _pytest(supervisor, "SQLite", [*long, *SQLITE_WILL_DO], sqlite),
        _pytest(supervisor, "PostgreSQL", [*long, *_on_postgres()], postgres),
    ]


def _suites(supervisor: Supervisor, directory: Path, servers: _Servers, options: Sequence[str]) -> list[int]:
    """Run the suites and return how each ended."""
    sqlite, postgres = _databases(directory, servers)
    if servers.postgres_url is None:
        # Tests that need it take part, to be skipped by name.
        return [_pytest(supervisor, "SQLite", options, sqlite)]
    chosen = any(word.startswith("tests") for word in options)
    return [
        _pytest(supervisor, "SQLite", ["-m", "not postgres", *options], sqlite),
        _pytest(supervisor, "PostgreSQL", [*options, *([] if chosen else _on_postgres())], postgres),
    ]


def _databases(directory: Path, servers: _Servers) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environments of the tests on SQLite, and on PostgreSQL if there is one."""
    redis = {"REDIS_URL": servers.redis_url} if servers.redis_url else {}
    sqlite = redis | {"DATABASE_URL": f"sqlite:///{directory / 'tests.sqlite3'}"}
    return sqlite, redis | ({"DATABASE_URL": servers.postgres_url} if servers.postgres_url else {})


def _on_postgres() -> list[str]:
    paths = [path for path in ON_POSTGRES if (PROJECT / path).exists()]
    return [*paths, *(f"--ignore={path}" for path in SQLITE_WILL_DO)]


def _had(name: str, start: Callable[[], str]) -> str | None:
    try:
        return start()
    except MissingServerError as missing:
        say(f"{name} is missing, and its tests will be skipped: {missing}")
        return None


def _pytest(supervisor: Supervisor, name: str, options: Sequence[str], environment: Mapping[str, str]) -> int:
    say(f"== pytest on {name}")
    part = Part(
        name=f"pytest-{name.lower()}",
        command=[sys.executable, "-m", "pytest", *PLUGINS, "-n", PROCESSES, *options],
        environment=environment,
        directory=PROJECT,
        passes_through=True,
        stop_signal=signal.SIGINT,
    )
    return supervisor.run(part)[0]


def _verdict(statuses: Sequence[int]) -> int:
    """Return the first failure; that a suite had nothing to run is one only if none had."""
    ran = [status for status in statuses if status != _NOTHING_CHOSEN]
    failures = [abs(status) for status in ran if status != 0]
    return failures[0] if failures else 0 if ran else _NOTHING_CHOSEN
