"""A hint must never hold up an opening, whatever has become of Redis."""

import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from lockers import wake

HINTS = 20


@pytest.fixture
def no_hints() -> None:
    """Let hints be sent, which all other tests of lockers do without."""


@pytest.fixture(autouse=True)
def _as_after_a_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wake._Pause, "until_s", 0.0)
    wake._redis.cache_clear()
    yield
    wake._redis.cache_clear()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_redis_that_hangs_costs_one_short_wait_and_then_nothing(
    silent_server: str, settings: Settings
) -> None:
    settings.REDIS_URL = silent_server
    began_s = time.monotonic()

    for _ in range(HINTS):
        wake.device(uuid4())

    assert wake.TIMEOUT_S <= time.monotonic() - began_s < HINTS * wake.TIMEOUT_S / 2


def test_a_redis_that_is_dead_is_not_asked_again_and_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"

    for _ in range(HINTS):
        wake.device(uuid4())

    assert len(caplog.records) == 1
