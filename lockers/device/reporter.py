"""The voice of a locker: seals each message, and keeps what it reports until the server has it."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from lockers import wire
from lockers.device.identity import Identity
from lockers.device.journal import Journal


class Reporter:
    """Seals messages in the name of a device; reports get their number and are on disk once made."""

    def __init__(self, *, identity: Identity, journal: Journal, wall_clock: Callable[[], datetime]) -> None:
        self.link_epoch = _nonce()
        self._identity = identity
        self._journal = journal
        self._wall_clock = wall_clock
        #: Told of every report once it is on disk.
        self.made: Callable[[wire.Envelope], None] = lambda report: None

    def begin_connection(self) -> None:
        """Draw the nonce of a new connection."""
        self.link_epoch = _nonce()

    def seal(self, **fields: Any) -> wire.Envelope:
        """Return a signed message of the present connection."""
        return wire.seal(
            {"link_epoch": self.link_epoch, **fields},
            key=self._identity.key,
            kid=self._identity.device_id,
            timestamp=self._wall_clock(),
        )

    def report(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        transaction_id: str | None = None,
        begins: str | None = None,
    ) -> None:
        """Report something that happened; ``begins`` names a command that the device gives itself by it."""
        fields = {} if transaction_id is None else {"transaction_id": transaction_id}
        envelope = self._numbered(event=event, data=data, **fields)
        self._journal.report(envelope, begins=begins)
        self.made(envelope)

    def answer(self, command_id: str, data: Mapping[str, Any]) -> None:
        """Report what became of a command; the answer is kept, should the command come again."""
        envelope = self._numbered(action="open_compartment", transaction_id=command_id, data=data)
        self._journal.report(envelope, answers=command_id)
        self.made(envelope)

    def _numbered(self, **fields: Any) -> wire.Envelope:
        return self.seal(boot_id=self._journal.boot_id, seq=self._journal.last_seq + 1, **fields)


def _nonce() -> str:
    return secrets.token_hex(16)
