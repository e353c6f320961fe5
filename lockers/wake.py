"""
Hints that a device has something to fetch.

A hint travels by Redis and may be lost; whoever waits looks into the database now and then. A Redis that is
dead or hangs costs a fifth of a second once, then hints are left out for a while.
"""

import logging
import time
from functools import cache
from uuid import UUID

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

CHANNEL = "dorfbote:lockers:wake"
TIMEOUT_S = 0.2
PAUSE_AFTER_FAILURE_S = 5.0


class _Pause:
    """Until when no hints are sent, on the monotonic clock."""

    until_s = 0.0


def device(device_id: UUID) -> None:
    """Hint that a command waits for a device; never fails, never blocks for long."""
    if time.monotonic() < _Pause.until_s:
        return
    try:
        _redis().publish(CHANNEL, str(device_id))
    except (RedisError, OSError) as error:
        _Pause.until_s = time.monotonic() + PAUSE_AFTER_FAILURE_S
        logger.warning("no hint for device %s: %s", device_id, error)


@cache
def _redis() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
