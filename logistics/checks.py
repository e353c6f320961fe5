"""What `check` refuses."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from optimizer.checks import ProblemError
from optimizer.travel import named


@register
def travel_is_known(**_: Any) -> list[CheckMessage]:
    """Refuse a travel model that does not exist, or whose extract is missing."""
    try:
        named.check(settings.TRAVEL_URL)
    except ProblemError as error:
        return [Error(f"TRAVEL_URL: {error}.", id="logistics.E001")]
    return []
