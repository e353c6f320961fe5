"""Whom a device believes: the server's keys, which change without anyone's coming to the locker."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeGuard

from lockers import wire
from lockers.device.identity import Identity
from lockers.device.messages import server_keys_in

logger = logging.getLogger(__name__)


class Trust:
    """
    Holds an identity, whose server keys change only by the first answer to the device's last greeting.

    ``keep`` writes an identity to disk. While the disk takes nothing, new keys are obeyed all the same, and
    written with the next greeting.
    """

    def __init__(self, identity: Identity, keep: Callable[[Identity], None]) -> None:
        self.identity = identity
        self._keep = keep
        self._is_kept = True
        self._greeting: str | None = None

    def begin_connection(self, greeting: wire.Envelope) -> None:
        """Expect an answer to a greeting; those to earlier ones come too late."""
        self._greeting = str(greeting["message_id"])

    @property
    def is_greeted(self) -> bool:
        """Tell whether a server that is believed has answered the last greeting."""
        return self._greeting is None

    def is_genuine(self, message: object) -> TypeGuard[wire.Envelope]:
        """Tell whether a message is the server's, and for this device."""
        if not isinstance(message, dict) or message.get("device_id") != self.identity.device_id:
            logger.warning("%s: a message from elsewhere was ignored", self.identity.locker)
            return False
        try:
            wire.check(message, self.identity.server_keys[str(message.get("kid"))])
        except (KeyError, wire.BadEnvelope):
            logger.warning("%s: a forged message was ignored", self.identity.locker)
            return False
        return True

    def follow(self, answer: wire.Envelope) -> None:
        """
        Obey from now on the keys that a genuine answer names, if it is the one that is expected.

        Raises
        ------
        BadEnvelope
            If they cannot be read, or the key that signed the answer is not among them.
        """
        if self._greeting is None or answer.get("in_reply_to") != self._greeting:
            return
        self._greeting = None
        keys = server_keys_in(answer)
        if keys is None:
            return
        if answer["kid"] not in keys:
            raise wire.BadEnvelope("keys among which its own is not")
        if keys != self.identity.server_keys or not self._is_kept:
            self._obey(replace(self.identity, server_keys=keys))

    def _obey(self, changed: Identity) -> None:
        self.identity = changed
        try:
            self._keep(changed)
        except OSError as error:
            self._is_kept = False
            logger.warning("%s: the server's keys could not be written down: %s", changed.locker, error)
        else:
            self._is_kept = True
            logger.info("%s: obeys the keys %s", changed.locker, ", ".join(sorted(changed.server_keys)))
