"""
SQLite for several processes at once: whoever wants to write waits in the kernel's line for its turn.

SQLite itself lets a waiting writer sleep and look again, up to a tenth of a second at a time and in no order,
so that a busy machine idles while some writers starve for seconds. Here a transaction, and a statement that
writes outside of one, first takes an advisory lock on a file beside the database; the next in line is woken
the moment the lock is free. The lock ends with its process, however that ends.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.db.backends.sqlite3 import base

_WRITES = ("INSERT", "UPDATE", "DELETE")


class Cursor(base.SQLiteCursorWrapper):
    """A cursor that stands in line with a statement that writes outside of a transaction."""

    def __init__(self, connection: sqlite3.Connection, database: "DatabaseWrapper") -> None:
        super().__init__(connection)
        self._database = database

    def execute(self, query: Any, params: Any = None) -> Any:
        """Execute a statement, in its turn."""
        if self._database.has_turn or not query.startswith(_WRITES):
            return super().execute(query, params)
        with self._database.turn():
            return super().execute(query, params)

    def executemany(self, query: Any, param_list: Any) -> Any:
        """Execute a statement several times, in its turn."""
        if self._database.has_turn or not query.startswith(_WRITES):
            return super().executemany(query, param_list)
        with self._database.turn():
            return super().executemany(query, param_list)


class DatabaseWrapper(base.DatabaseWrapper):
    """
    A connection that stands in line before it writes.

    The methods are the hooks at which Django itself begins and ends transactions; its type stubs do not know
    them, hence the ignored types.
    """

    _turn: IO[bytes] | None = None

    @property
    def has_turn(self) -> bool:
        """Tell whether it is this connection's turn to write."""
        return self._turn is not None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until it is this connection's turn to write, and keep it meanwhile."""
        self._wait_for_turn()
        try:
            yield
        finally:
            self._end_turn()

    def create_cursor(self, name: Any = None) -> Any:
        """Return a cursor that stands in line as well."""
        return self.connection.cursor(factory=lambda connection: Cursor(connection, self))

    def _start_transaction_under_autocommit(self) -> None:
        self._wait_for_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> Any:
        try:
            return super()._commit()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _wait_for_turn(self) -> None:
        if self._turn is None and not self.is_in_memory_db():
            # Each connection opens the file for itself: locks of one opening never wait for each other.
            self._turn = Path(f"{self.settings_dict['NAME']}.turn").open("ab")  # noqa: SIM115 - closing gives the turn away
            fcntl.flock(self._turn, fcntl.LOCK_EX)

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.close()
            self._turn = None
