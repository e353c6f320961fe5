"""The database notes what was committed, however often and by whom."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from common.clock import real_now
from common.models import Intent, IntentState
from tests.faults import trace

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _noting(transactional_db: None) -> Iterator[None]:
    trace.install()
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION faults_note CASCADE")
        cursor.execute("DROP TABLE faults_trace")


def an_intent(key: str = "one") -> Intent:
    """Return an intent that waits."""
    moment = real_now()
    return Intent.objects.create(kind="any", queue="any", key=key, not_before=moment, created_at=moment)


def test_every_write_of_a_watched_column_is_noted_in_its_order() -> None:
    intent = an_intent()
    for state in (IntentState.CLAIMED, IntentState.DONE, IntentState.DONE):
        Intent.objects.filter(pk=intent.pk).update(state=state)

    noted = trace.changes()["intent"]

    assert [(change.before, change.after) for change in noted] == [
        ("waiting", "claimed"),
        ("claimed", "done"),
        ("done", "done"),
    ]
    assert trace.times(noted) == {str(intent.pk): 3}
    assert trace.times(noted, to=IntentState.DONE) == {str(intent.pk): 1}


def test_what_was_rolled_back_never_was() -> None:
    intent = an_intent()
    with transaction.atomic():
        Intent.objects.filter(pk=intent.pk).update(state=IntentState.DONE)
        transaction.set_rollback(True)

    assert "intent" not in trace.changes()


def test_other_columns_are_of_no_interest() -> None:
    intent = an_intent()
    Intent.objects.filter(pk=intent.pk).update(attempts=3)

    assert "intent" not in trace.changes()
