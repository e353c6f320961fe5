"""Writers of one SQLite file stand in line: all get their turn, and a turn ends however its holder ends."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.db.utils import load_backend

from common.models import Intent
from lockers.models import LockerCode, OpenCommand, Reservation
from lockers.states import CommandState
from logistics.models import Message

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 11, 24, 11, tzinfo=UTC)

WRITER = """
import sys
from tests.config.test_sqlite import connect
connection = connect(sys.argv[1])
connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
print("in turn", flush=True)
sys.stdin.read()
"""


def connect(file: str, *, patience_s: float = 20) -> Any:
    """Return a connection of its own to a file, as another process would have."""
    settings = connections["default"].settings_dict | {
        "NAME": file,
        "ENGINE": "config.sqlite",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": patience_s},
        "CONN_MAX_AGE": 0,
    }
    return load_backend("config.sqlite").DatabaseWrapper(settings)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A database with one counter."""
    name = str(tmp_path / "turns.sqlite3")
    connection = connect(name)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (value INTEGER)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    connection.close()
    return name


def count_up(file: str, times: int) -> None:
    """Read and write in one transaction, again and again."""
    connection = connect(file)
    for _ in range(times):
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM counter")
            value = cursor.fetchone()[0]
            cursor.execute("UPDATE counter SET value = %s", [value + 1])
        connection.commit()
        connection.set_autocommit(True)
    connection.close()


def counted_by(file: str, number: int, write: Callable[[str, int], None], times: int) -> int:
    """Let a number of writers write at the same time, and return what the counter says then."""
    writers = [threading.Thread(target=write, args=(file, times)) for _ in range(number)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with connect(file).cursor() as cursor:
        cursor.execute("SELECT value FROM counter")
        return int(cursor.fetchone()[0])


def test_many_writers_lose_nothing_and_none_is_refused(file: str) -> None:
    assert counted_by(file, 8, count_up, times=25) == 8 * 25


def add_up(file: str, times: int) -> None:
    """Write in single statements, where SQLite itself would not wait a moment."""
    connection = connect(file, patience_s=0)
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute("UPDATE counter SET value = value + 1")
    connection.close()


def add_twos(file: str, times: int) -> None:
    """Write by one statement with several values at a time."""
    connection = connect(file, patience_s=0)
    with connection.cursor() as cursor:
        for _ in range(times // 2):
            cursor.executemany("UPDATE counter SET value = value + %s", [(1,), (1,)])
    connection.close()


@pytest.mark.parametrize("add", [add_up, add_twos])
def test_single_statements_stand_in_line_too(file: str, add: Callable[[str, int], None]) -> None:
    assert counted_by(file, 6, add, times=50) == 6 * 50


@pytest.mark.parametrize(
    "rows",
    [
        Intent.objects.to_hand_out(at=MOMENT, lost_before=MOMENT - timedelta(minutes=1)),
        OpenCommand.objects.filter(state=CommandState.SENT, expires_at__lt=MOMENT),
        LockerCode.objects.live().filter(valid_until__lt=MOMENT),
        Reservation.objects.expired(at=MOMENT),
        Reservation.objects.overdue(at=MOMENT),
        Message.objects.filter(kind="ready", subject__in=[uuid4()], sent_at=None),
    ],
    ids=lambda rows: rows.model.__name__,
)
def test_what_is_looked_for_all_day_is_found_without_reading_everything(rows: QuerySet[Any]) -> None:
    assert "SCAN" not in rows.explain()


def test_a_transaction_that_is_rolled_back_gives_its_turn_away(file: str) -> None:
    first = connect(file)
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    first.rollback()
    first.set_autocommit(True)

    count_up(file, 1)


def test_a_process_that_is_killed_gives_its_turn_away(file: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup(){WRITER}", file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in turn\n"
    waiting = threading.Thread(target=count_up, args=(file, 1))
    waiting.start()
    waiting.join(timeout=0.3)
    assert waiting.is_alive()

    holder.kill()
    holder.communicate()
    waiting.join(timeout=10)

    assert not waiting.is_alive()
