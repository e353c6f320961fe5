"""One UPDATE decides who makes a move: the pattern under every row that has a state."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ObjectDoesNotExist
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
        if sources and self._update(changes, only_in=sources):
            return True
        self.refresh_from_db()
        if self.state != to:
            raise InvalidTransition(thing=self._meta.verbose_name, present=self.state, wanted=to.value)
        return False

    def write(self, **changes: Any) -> None:
        """
        Write fields that no table of states governs; the caller has locked what guards the row.

        Raises
        ------
        ObjectDoesNotExist
            If the row is gone.
        """
        if not self._update(changes):
            raise ObjectDoesNotExist(f"{self._meta.verbose_name} {self.pk} is gone")

    def _update(self, changes: Mapping[str, Any], *, only_in: Sequence[str] = ()) -> bool:
        """
        Write plain values into the row, if its state is one of those named, and tell whether it was.

        Composed by hand: every door moves a dozen rows while its locker waits for the lock, and Django takes
        six times as long to compose the same statement.
        """
        table, connection = self._meta, connections[router.db_for_write(type(self), instance=self)]
        quote = connection.ops.quote_name
        fields = {field.name: field for field in table.concrete_fields}
        written = ", ".join(f"{quote(fields[name].column)} = %s" for name in changes)
        values = [fields[name].get_db_prep_save(value, connection) for name, value in changes.items()]
        statement = (
            f"UPDATE {quote(table.db_table)} SET {written} "  # noqa: S608 - names are the model's own
            f"WHERE {quote(table.pk.column)} = %s"
        )
        if only_in:
            statement += f" AND {quote('state')} IN ({', '.join(['%s'] * len(only_in))})"
        with connection.cursor() as cursor:
            cursor.execute(statement, [*values, table.pk.get_db_prep_value(self.pk, connection), *only_in])
            if cursor.rowcount != 1:
                return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


def is_closed(transitions: Mapping[StateT, frozenset[StateT]], states: type[StateT]) -> bool:
    """Tell whether a table names every state and leads to known states only."""
    known = set(states)
    return set(transitions) == known and all(targets <= known for targets in transitions.values())
