"""What `check --deploy` refuses."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security, deploy=True)
def business_time_is_real(**_: Any) -> list[CheckMessage]:
    """Refuse a clock that can be steered."""
    if not settings.CLOCK_FILE:
        return []
    return [
        Error(
            "CLOCK_FILE lets business time be steered.",
            hint="It is for demos; remove it from the environment.",
            id="common.E001",
        )
    ]
