"""What happened, for the people who follow the day."""

from datetime import datetime
from typing import Any

from common.models import Event
from common.prepared import PreparedInsert

_INSERT = PreparedInsert(Event)


def record(kind: str, *, scope: str, at: datetime, **facts: Any) -> None:
    """Note that something happened; facts are numbers and identifiers, never personal data."""
    _INSERT(Event(kind=kind, scope=scope, at=at, facts=facts))
