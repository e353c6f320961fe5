"""The base of everything that a caller may do wrong."""

from typing import Any, ClassVar


class DomainError(Exception):
    """
    A rule of the domain forbids what was asked.

    Subclasses give a stable ``code`` for programs and a ``message`` for people; the keywords given on
    raising fill the message and travel along as facts.
    """

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.message.format(**facts))


class InvalidTransition(DomainError):
    """The table of states has no such move."""

    code = "invalid-transition"
    message = "A {present} {thing} cannot become {wanted}."


class IdempotencyKeyReused(DomainError):
    """The key belongs to another request."""

    code = "idempotency-key-reused"
    message = "This Idempotency-Key was used for a different request."


class IdempotencyKeyMissing(DomainError):
    """The request may not be made without a key."""

    code = "idempotency-key-missing"
    message = "This request needs an Idempotency-Key header of 1 to 255 characters."
