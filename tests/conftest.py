"""What all tests share: which database they run on, and the moments of an ordinary day."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests of locks and races on SQLite, which cannot show a missing lock."""
    if settings.DATABASES["default"]["ENGINE"] != "config.sqlite":
        return
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL (DATABASE_URL)"))


@pytest.fixture
def dawn() -> datetime:
    """Six in the morning of a working day in Hameln, well before the cut-off."""
    return datetime(2026, 11, 24, 6, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture
def noon() -> datetime:
    """Noon of the same day, in UTC."""
    return datetime(2026, 11, 24, 11, tzinfo=UTC)
