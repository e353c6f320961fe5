"""One UPDATE decides who makes a move: the pattern under every row that has a state."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db import models

from common.exceptions import InvalidTransition

StateT = TypeVar("StateT", bound=models.TextChoices)
Transitions = Mapping[StateT, frozenset[StateT]]


class Stateful(models.Model):
    """A row that moves between the states of one table."""

    #: The ways from each state to the next.
    TRANSITIONS: ClassVar[Mapping[Any, frozenset[Any]]]

    state: "models.CharField[str, str]"

    class Meta:
        abstract = True

    def advance(self, to: models.TextChoices, **changes: Any) -> bool:
        """
        Move to another state and write the fields that change with it.

        One ``UPDATE`` limited to the states that may become ``to`` decides: of concurrent callers exactly one
        makes the move, and is told so by ``True``.

        Raises
        ------
        InvalidTransition
            If the table has no way from the row's state to ``to``.
        """
        sources = [state for state, targets in self.TRANSITIONS.items() if to in targets]
        manager = type(self)._base_manager
        mine: dict[str, Any] = {"pk": self.pk, "state__in": sources}
        rows = manager.filter(**mine).update(state=to, **changes)
        if rows == 1:
            for name, value in ({"state": to.value} | changes).items():
                setattr(self, name, value)
            return True
        self.refresh_from_db()
        if self.state != to:
            raise InvalidTransition(thing=self._meta.verbose_name, present=self.state, wanted=to.value)
        return False


def is_closed(transitions: Mapping[StateT, frozenset[StateT]], states: type[StateT]) -> bool:
    """Tell whether a table names every state and leads to known states only."""
    known = set(states)
    return set(transitions) == known and all(targets <= known for targets in transitions.values())
