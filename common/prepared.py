"""
Queries that are composed once and asked often, each time with other values.

Django composes a query anew whenever it is asked. That takes longer than PostgreSQL needs for the answer, and
counts where people wait for a door and where many lockers report; decision 12 has the figures.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.constants import OnConflict

# Private to Django and unknown to its stubs: `tests/common/test_prepared.py` holds it to its word.
from django.db.models.query import get_related_populators  # type: ignore[attr-defined]
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

ModelT = TypeVar("ModelT", bound=models.Model)
T = TypeVar("T")
#: The field of a value, or in a list that of several.
Kind = models.Field[Any, Any] | list[models.Field[Any, Any]]


class Asked(models.Expression):
    """Stands in a prepared query for a value that is named when it is asked, or for several."""

    def __init__(self, name: str, field: Kind) -> None:
        self.is_many = isinstance(field, list)
        super().__init__(output_field=field[0] if isinstance(field, list) else field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Return a parameter, and what to put there."""
        return "%s", [self]

    def put(self, value: Any) -> Any:
        """Return a value as the database takes it."""
        if not self.is_many:
            return self.output_field.get_db_prep_value(value, connection)
        values = [self.output_field.get_db_prep_value(one, connection) for one in value]
        return values if connection.vendor == "postgresql" else json.dumps(values)


@models.ForeignObject.register_lookup
@models.Field.register_lookup
class Among(models.Lookup[Any]):
    """``in``, for several values that are named when a prepared query is asked."""

    lookup_name = "among"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Return the comparison, as SQLite understands it."""
        return self._compared("%s IN (SELECT value FROM json_each(%s))", compiler, connection)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Return the comparison, as PostgreSQL understands it."""
        return self._compared("%s = ANY(%s)", compiler, connection)

    def _compared(self, form: str, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        own, own_params = self.process_lhs(compiler, connection)
        others, params = self.process_rhs(compiler, connection)
        return form % (own, others), [*own_params, *params]


class Prepared(Generic[ModelT]):
    """
    A query for rows whose values are named when it is asked: ``Prepared(by_slug, slug=SlugField())``.

    Takes whatever a queryset of whole rows may say, ``select_related`` and annotations included, but no
    prefetching, and no values whose absence or number changes the query, as those of ``isnull`` and ``in``.
    For ``in`` there is ``among``: ``Prepared(by_ids, ids=[UUIDField()])`` for a query with ``pk__among=ids``.
    """

    def __init__(self, compose: Callable[..., models.QuerySet[ModelT]], **values: Kind) -> None:
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
    """A change of rows, prepared likewise: which rows, and what is set."""

    def __init__(
        self, compose: Callable[..., tuple[models.QuerySet[Any], dict[str, Any]]], **values: Kind
    ) -> None:
        self._compose = lambda: _Update(*compose(**_asked(values)))
        self._composed: dict[str, _Update] = {}

    def __call__(self, **values: Any) -> int:
        """Change the rows, and return how many."""
        return _of_this_database(self._composed, self._compose).make([values])

    def each(self, those: Sequence[Mapping[str, Any]]) -> int:
        """Make the change once for each of these values, and return how many rows were changed."""
        return _of_this_database(self._composed, self._compose).make(those) if those else 0


class PreparedInsert(Generic[ModelT]):
    """``bulk_create``, prepared likewise; where the database chooses the key, the rows do not learn it."""

    def __init__(self, model: type[ModelT], *, ignore_conflicts: bool = False) -> None:
        self._compose = lambda: _Insert(model, ignore_conflicts=ignore_conflicts)
        self._composed: dict[str, _Insert] = {}

    def __call__(self, *rows: ModelT) -> None:
        """Insert rows."""
        if rows:
            _of_this_database(self._composed, self._compose).make([vars(row) for row in rows])
        for row in rows:
            row._state.adding, row._state.db = False, connection.alias


def _asked(values: Mapping[str, Kind]) -> dict[str, Asked]:
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

    def run(self, cursor: Any, *those: Mapping[str, Any]) -> None:
        """Let a cursor execute it with each of these values."""
        given = [
            [one.put(values[one.name]) if isinstance(one, Asked) else one for one in self._params]
            for values in those
        ]
        if len(given) == 1:
            cursor.execute(self._sql, given[0])
        else:
            cursor.executemany(self._sql, given)


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


class _Change:
    """A statement that writes."""

    _statement: _Statement

    def make(self, those: Sequence[Mapping[str, Any]]) -> int:
        """Change the rows, and return how many."""
        with transaction.mark_for_rollback_on_error(), connection.cursor() as cursor:
            self._statement.run(cursor, *those)
            return int(cursor.rowcount)


class _Update(_Change):
    """What Django made of an update for one kind of database."""

    def __init__(self, queryset: models.QuerySet[Any], changes: dict[str, Any]) -> None:
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        self._statement = _Statement(*query.get_compiler(connection=connection).as_sql())


class _Insert(_Change):
    """What Django made of an insert for one kind of database."""

    def __init__(self, model: type[models.Model], *, ignore_conflicts: bool) -> None:
        fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
        asked = model(**{field.attname: Asked(field.attname, field) for field in fields})
        query: Any = InsertQuery(model, on_conflict=OnConflict.IGNORE if ignore_conflicts else None)
        query.insert_values(fields, [asked])
        [(sql, params)] = query.get_compiler(connection=connection).as_sql()
        self._statement = _Statement(sql, params)
