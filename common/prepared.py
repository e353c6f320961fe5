"""
Queries that are composed once and asked often, each time with other values.

Django composes a query anew whenever it is asked. That takes longer than PostgreSQL needs for the answer, and
counts where people wait for a door and where many lockers report; decision 12 has the figures.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query import get_related_populators  # type: ignore[attr-defined]
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

ModelT = TypeVar("ModelT", bound=models.Model)
T = TypeVar("T")


class Asked(models.Expression):
    """Stands in a prepared query for a value that is named when it is asked."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Return a parameter, and what to put there."""
        return "%s", [self]

    def put(self, value: Any) -> Any:
        """Return a value as the database takes it."""
        return self.output_field.get_db_prep_value(value, connection)


class Prepared(Generic[ModelT]):
    """
    A query for rows whose values are named when it is asked: ``Prepared(by_slug, slug=SlugField())``.

    Takes whatever a queryset of whole rows may say, ``select_related`` and annotations included, but no
    prefetching, and no values whose absence or number changes the query, as those of ``isnull`` and ``in``.
    """

    def __init__(
        self, compose: Callable[..., models.QuerySet[ModelT]], **values: models.Field[Any, Any]
    ) -> None:
        self._compose = lambda: _Select(compose(**_asked(values)))
        self._composed: dict[str, _Select[ModelT]] = {}

    def all(self, **values: Any) -> list[ModelT]:
        """Return the rows as they are now."""
        return _of_this_database(self._composed, self._compose).rows(values)

    def get(self, **values: Any) -> ModelT:
        """
        Return the one row.

        Raises
        ------
        ObjectDoesNotExist, MultipleObjectsReturned
            As a queryset does.
        """
        rows = self.all(**values)
        if len(rows) != 1:
            raise self._composed[connection.vendor].refusal(len(rows))
        return rows[0]

    def first(self, **values: Any) -> ModelT | None:
        """Return the first of the rows as they are now; the query should not find many."""
        rows = self.all(**values)
        return rows[0] if rows else None


class PreparedUpdate:
    """A change of rows as ``Prepared`` finds them; what is set may depend on the values, too."""

    def __init__(
        self,
        compose: Callable[..., models.QuerySet[Any]],
        changes: Callable[..., dict[str, Any]],
        **values: models.Field[Any, Any],
    ) -> None:
        self._compose = lambda: _Update(compose(**_asked(values)), changes(**_asked(values)))
        self._composed: dict[str, _Update] = {}

    def __call__(self, **values: Any) -> int:
        """Change the rows, and return how many."""
        return _of_this_database(self._composed, self._compose).make(values)


def _asked(values: Mapping[str, models.Field[Any, Any]]) -> dict[str, Asked]:
    return {name: Asked(name, field) for name, field in values.items()}


def _of_this_database(composed: dict[str, T], compose: Callable[[], T]) -> T:
    known = composed.get(connection.vendor)
    if known is None:
        known = composed[connection.vendor] = compose()
    return known


class _Statement:
    """SQL, and where in it the values go."""

    def __init__(self, sql: str, params: Sequence[Any]) -> None:
        self._sql = sql
        self._params = params

    def run(self, cursor: Any, values: Mapping[str, Any]) -> None:
        """Let a cursor execute it."""
        given = [
            param.put(values[param.name]) if isinstance(param, Asked) else param for param in self._params
        ]
        cursor.execute(self._sql, given)


class _Select(Generic[ModelT]):
    """What Django made of a queryset for one kind of database: the statement, and how rows become objects."""

    def __init__(self, queryset: models.QuerySet[ModelT]) -> None:
        compiler = queryset.query.get_compiler(connection=connection)
        self._compiler = compiler
        self._statement = _Statement(*compiler.as_sql())
        columns = [column for column, *_ in compiler.select]
        own = compiler.klass_info["select_fields"]
        self._model: Any = queryset.model
        self._own = slice(own[0], own[-1] + 1)
        self._fields = [column.target.attname for column in columns[self._own]]
        self._related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)
        self._converters = compiler.get_converters(columns)

    def rows(self, values: Mapping[str, Any]) -> list[ModelT]:
        """Ask, and return the rows as objects."""
        with connection.cursor() as cursor:
            self._statement.run(cursor, values)
            found = cursor.fetchall()
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return [self._object(row) for row in found]

    def refusal(self, num_rows: int) -> Exception:
        """Return what a queryset raises that should have found one row."""
        kind = self._model.MultipleObjectsReturned if num_rows else self._model.DoesNotExist
        return cast("Exception", kind(f"{num_rows} rows of {self._model._meta.verbose_name}"))

    def _object(self, row: Sequence[Any]) -> ModelT:
        made: ModelT = self._model.from_db(connection.alias, self._fields, row[self._own])
        for relation in self._related:
            relation.populate(row, made)
        for name, position in self._compiler.annotation_col_map.items():
            setattr(made, name, row[position])
        return made


class _Update:
    """What Django made of an update for one kind of database."""

    def __init__(self, queryset: models.QuerySet[Any], changes: dict[str, Any]) -> None:
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        self._statement = _Statement(*query.get_compiler(connection=connection).as_sql())

    def make(self, values: Mapping[str, Any]) -> int:
        """Change the rows, and return how many."""
        with transaction.mark_for_rollback_on_error(), connection.cursor() as cursor:
            self._statement.run(cursor, values)
            return int(cursor.rowcount)
