"""
SQLite for several processes at once: whoever wants to write waits in the kernel's line for its turn.

SQLite itself lets a waiting writer sleep and look again, up to a tenth of a second at a time and in no order,
so that a busy machine idles while some writers starve for seconds. Here a transaction first takes an advisory
lock on a file beside the database; the next in line is woken the moment the lock is free. The lock ends with
its process, however that ends.
"""

import fcntl
from pathlib import Path
from typing import IO, Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """
    A connection that stands in line before it begins a transaction.

    The methods are the hooks at which Django itself begins and ends transactions; its type stubs do not know
    them, hence the ignored types.
    """

    _turn: IO[bytes] | None = None

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
