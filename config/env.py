"""Every setting that may differ between installations, read from the environment."""

from pathlib import Path
from typing import Any

import environ

PROJECT_ROOT = Path(__file__).resolve().parent.parent

env = environ.Env()


def database() -> dict[str, Any]:
    """
    Return Django's database settings for ``DATABASE_URL``.

    SQLite writes ahead and takes its write lock when a transaction begins: with the default, deferred
    locking, concurrent writers fail with "database is locked" instead of waiting for each other. How they
    wait is told in ``config.sqlite``.
    """
    settings: dict[str, Any] = env.db_url(
        "DATABASE_URL", default=f"sqlite:///{PROJECT_ROOT / 'var' / 'dorfbote.sqlite3'}"
    )
    if settings["ENGINE"] == "django.db.backends.sqlite3":
        settings["ENGINE"] = "config.sqlite"
        settings["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # Every savepoint has a name of its own and would push out a statement that comes again.
            "cached_statements": 1000,
            # Pages are read where they lie: whatever another process wrote empties a connection's own cache.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=268435456;",
        }
        settings["TEST"] = {"NAME": settings["NAME"]}
    else:
        settings["CONN_HEALTH_CHECKS"] = True
        limits = {
            "statement_timeout": "15s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "30s",
        }
        settings["OPTIONS"] = {
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            "server_side_binding": True,
            "prepare_threshold": 3,
        }
    settings["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)
    return settings
