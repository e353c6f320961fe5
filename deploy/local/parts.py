"""The parts of a day: what is started, in which order, with which environment."""

import base64
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from deploy.local.probes import free_port, http_answers, log_says
from deploy.local.supervisor import Part, Ready, at_once

PROJECT = Path(__file__).resolve().parents[2]
VAR = PROJECT / "var"
#: What a person may want to open, below the address of the server.
PAGES: Mapping[str, str] = {"The day": "/", "API": "/api/docs/", "Administration": "/admin/"}
#: Seconds that the solver gets for a day, if no other number is asked for.
PLAN_BUDGET_S = "5"
#: Python threads of one process take turns; more processes than cores would, too.
WEB_PROCESSES = min(2, os.cpu_count() or 1)
#: Real seconds after which a door that stays shut counts as jammed.
OPENING_TIME_S = "1"


@dataclass(frozen=True, slots=True)
class Run:
    """One day's folder, port and environment."""

    directory: Path
    port: int
    environment: Mapping[str, str]

    @property
    def base_url(self) -> str:
        """Return where the day's server answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def has_broker(self) -> bool:
        """Tell whether the lockers speak MQTT."""
        return bool(self.environment.get("MQTT_URL"))

    @property
    def lockers_socket(self) -> str:
        """Return where people reach the simulated lockers; relative, for names of sockets must be short."""
        return os.path.relpath(self.directory / "lockers.sock", PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a person may ask of the play; what is not asked for is left to the cast."""

    seeds: str | None = None
    orders: str | None = None
    plan_budget_s: str | None = None
    link: str | None = None
    is_demo: bool = False

    def options(self) -> list[str]:
        """Return the wishes as the cast's command-line options."""
        wishes = {"--seeds": self.seeds, "--orders": self.orders, "--plan-budget": self.plan_budget_s}
        asked = [word for option, value in wishes.items() if value for word in (option, value)]
        return [*asked, "--demo"] if self.is_demo else asked


def a_run(
    directory: Path,
    redis_url: str,
    plan_budget_s: str | None = None,
    broker: Mapping[str, str] = MappingProxyType({}),
    *,
    database_url: str | None = None,
) -> Run:
    """
    Give a run its port, its secrets and its database, and note them in the run's folder.

    ``broker`` is the environment in which a broker is found; without one the lockers speak HTTPS. The
    database is a file of its own unless another one is named.
    """
    port = free_port()
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "DATABASE_URL": database_url or f"sqlite:///{directory / 'dorfbote.sqlite3'}",
        "REDIS_URL": redis_url,
        "CLOCK_FILE": str(directory / "clock.json"),
        "PLAN_BUDGET_S": plan_budget_s or PLAN_BUDGET_S,
        "SWEEP_INTERVAL_S": "1",
        "STATIC_ROOT": str(directory / "static"),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "LOCKER_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "LOCKER_MQTT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "LOCKER_CODE_PEPPER": base64.b64encode(secrets.token_bytes(32)).decode(),
        "LOCKER_TOKEN_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "LOCKER_CODE_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "PYTHONUNBUFFERED": "1",
        # Every part is a Python process: without compiled files each compiles everything again as it starts.
        "PYTHONDONTWRITEBYTECODE": "",
        **broker,
    }
    note = directory / "environment"
    note.touch(mode=0o600)
    note.write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    return Run(directory=directory, port=port, environment=environment)


def preparations(run: Run) -> Sequence[Part]:
    """Return what has to be done, side by side, before anything serves."""
    return (
        python(run, "migrate", "manage.py", "migrate", "--noinput"),
        python(run, "collectstatic", "manage.py", "collectstatic", "--noinput"),
    )


def services(run: Run) -> Sequence[Part]:
    """Return what runs, side by side, for as long as the day lasts."""
    return (
        web(run),
        worker(run, "events", queues="events", slots=1),
        worker(run, "work", queues="plan,notify,housekeeping", slots=3),
        beat(run),
        relay(run),
        *([link(run)] if run.has_broker else []),
        _lockers(run),
    )


def play(run: Run, day: Day) -> Part:
    """Return the cast that plays the day against the server, as real clients would."""
    return python(
        run,
        "play",
        *("-m", "tests.cast", "play", "--base-url", run.base_url, "--run-dir", str(run.directory)),
        *("--control", run.lockers_socket, *day.options()),
        passes_through=True,
    )


def web(run: Run, *, processes: int = WEB_PROCESSES) -> Part:
    """Return the server of pages, API and locker link."""
    return python(
        run,
        "web",
        *("-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(run.port)),
        *("--no-access-log", "--timeout-graceful-shutdown", "2", "--workers", str(processes)),
        ready=http_answers(run.port, "/healthz"),
        # Ends its own processes when asked, and would leave them behind if it were killed.
        death_signal=signal.SIGTERM,
    )


def worker(run: Run, name: str, *, queues: str, slots: int, pool: str = "threads") -> Part:
    """Return a worker that serves queues with so many threads or processes."""
    return python(
        run,
        f"worker-{name}",
        *("-m", "celery", "-A", "config", "worker", "-n", f"{name}@%h", "-Q", queues, "-l", "INFO"),
        *("-P", pool, "-c", str(slots), "--without-gossip", "--without-mingle"),
        ready=log_says(rf"{name}@\S+ ready"),
    )


def beat(run: Run) -> Part:
    """Return what ticks."""
    schedule = str(run.directory / "beat-schedule")
    return python(
        run,
        "beat",
        *("-m", "celery", "-A", "config", "beat", "-s", schedule, "-l", "INFO", "--pidfile="),
        ready=log_says("beat: Starting"),
    )


def relay(run: Run) -> Part:
    """Return what hands intents to the workers."""
    return python(run, "relay", "manage.py", "relay")


def link(run: Run, name: str = "link") -> Part:
    """Return a server of the lockers that speak MQTT."""
    return python(run, name, "manage.py", "locker_link", ready=log_says("locker link ready"))


def _lockers(run: Run) -> Part:
    """Return the simulated lockers; the cast brings them into service day by day."""
    state = run.directory / "lockers"
    state.mkdir(parents=True, exist_ok=True)
    tokens = state / "tokens.json"
    tokens.write_text("[]")
    return python(
        run,
        "lockers",
        *("-m", "lockers.device", "simulate", "--base-url", run.base_url, "--tokens", str(tokens)),
        *("--state", str(state), "--control", run.lockers_socket, "--opening-time", OPENING_TIME_S),
        *_link_options(run),
        ready=log_says("lockers ready"),
    )


def _link_options(run: Run) -> Sequence[str]:
    if not run.has_broker:
        return ()
    ca_file = run.environment.get("MQTT_CA_FILE")
    return ("--link", "mqtt", *(("--ca-file", ca_file) if ca_file else ()))


def python(
    run: Run,
    name: str,
    *arguments: str,
    ready: Ready = at_once,
    passes_through: bool = False,
    death_signal: signal.Signals = signal.SIGKILL,
) -> Part:
    """Return a Python program of the project."""
    return Part(
        name=name,
        command=(sys.executable, *arguments),
        directory=PROJECT,
        environment=run.environment,
        ready=ready,
        passes_through=passes_through,
        stop_signal=signal.SIGINT if passes_through else signal.SIGTERM,
        death_signal=death_signal,
    )
