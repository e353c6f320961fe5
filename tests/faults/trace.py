"""
What the database itself notes of every change that counts: triggers of PostgreSQL, which no code of ours can
forget to call. A change that is rolled back is not noted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import connection

#: What is watched, by its name in the trace: table and column.
WATCHED: Mapping[str, tuple[str, str]] = {
    "event": ("lockers_deviceevent", "applied_at"),
    "intent": ("common_intent", "state"),
    "message": ("logistics_message", "sent_at"),
    "command": ("lockers_opencommand", "state"),
    "reservation": ("lockers_reservation", "state"),
    "compartment": ("lockers_compartment", "state"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write of a watched column; it may have left the value as it was."""

    row: str
    before: str | None
    after: str | None


def install() -> None:
    """Let the database note from now on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE faults_trace"
            " (id bigserial PRIMARY KEY, what text, row_id text, before text, after text)"
        )
        cursor.execute(
            """
            CREATE FUNCTION faults_note() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO faults_trace (what, row_id, before, after) VALUES
                    (TG_ARGV[0], NEW.id::text, to_jsonb(OLD) ->> TG_ARGV[1], to_jsonb(NEW) ->> TG_ARGV[1]);
                RETURN NULL;
            END $$
            """
        )
        for what, (table, column) in WATCHED.items():
            cursor.execute(
                f"CREATE TRIGGER faults_{what} AFTER UPDATE OF {column} ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION faults_note('{what}', '{column}')"
            )


def changes() -> Mapping[str, list[Change]]:
    """Return all changes by what was watched; those of one row in their order."""
    found: dict[str, list[Change]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute("SELECT what, row_id, before, after FROM faults_trace ORDER BY id")
        for what, *change in cursor.fetchall():
            found[what].append(Change(*change))
    return found


def times(noted: Iterable[Change], *, to: str | None = None) -> Counter[str]:
    """Count by row how often a value was written; with ``to``, how often that one took another's place."""
    return Counter(
        change.row for change in noted if to is None or (change.after == to and change.before != to)
    )
