"""Hints by Redis that a command waits, for a process that sends over MQTT."""

import logging
import time

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from lockers import wake

logger = logging.getLogger(__name__)


class Hints:
    """Waits for hints by Redis that a command waits; without Redis it waits all the same."""

    def __init__(self) -> None:
        self._redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1)
        self._hints = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def wait(self, timeout_s: float) -> None:
        """Wait for a hint, at most so long; hints that came at the same time count as one."""
        until_s = time.monotonic() + timeout_s
        try:
            if not self._hints.subscribed:
                self._hints.subscribe(wake.CHANNEL)
            while (left_s := until_s - time.monotonic()) > 0:
                if self._hints.get_message(timeout=left_s):
                    while self._hints.get_message(timeout=0):
                        pass
                    return
        except (RedisError, OSError) as error:
            logger.warning("no hints from Redis: %s", error)
            time.sleep(max(0.0, until_s - time.monotonic()))

    def close(self) -> None:
        """Let go of the connection."""
        self._hints.close()
        self._redis.close()
