"""One UPDATE decides who makes a move: the pattern under every row that has a state."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from django.db import connections, models, router

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
        sources = [str(state) for state, targets in self.TRANSITIONS.items() if to in targets]
        changes = {"state": to.value} | changes
        if self._update_where_state_in(sources, changes):
            for name, value in changes.items():
                setattr(self, name, value)
            return True
        self.refresh_from_db()
        if self.state != to:
            raise InvalidTransition(thing=self._meta.verbose_name, present=self.state, wanted=to.value)
        return False

    def _update_where_state_in(self, sources: Sequence[str], changes: Mapping[str, Any]) -> bool:
        """
        Write plain values into the row if its state is one of some, and tell whether it was.

        Composed by hand: every door moves a dozen rows while its locker waits for the lock, and Django takes
        six times as long to compose the same statement.
        """
        if not sources:
            return False
        table, connection = self._meta, connections[router.db_for_write(type(self), instance=self)]
        quote = connection.ops.quote_name
        fields = {field.name: field for field in table.concrete_fields}
        written = ", ".join(f"{quote(fields[name].column)} = %s" for name in changes)
        allowed = ", ".join(["%s"] * len(sources))
        values = [fields[name].get_db_prep_save(value, connection) for name, value in changes.items()]
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(table.db_table)} SET {written} "  # noqa: S608 - names are the model's own
                f"WHERE {quote(table.pk.column)} = %s AND {quote('state')} IN ({allowed})",
                [*values, table.pk.get_db_prep_value(self.pk, connection), *sources],
            )
            return bool(cursor.rowcount == 1)


def is_closed(transitions: Mapping[StateT, frozenset[StateT]], states: type[StateT]) -> bool:
    """Tell whether a table names every state and leads to known states only."""
    known = set(states)
    return set(transitions) == known and all(targets <= known for targets in transitions.values())
