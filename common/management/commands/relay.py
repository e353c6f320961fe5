"""``manage.py relay``: hands open intents to the workers until it is stopped."""

import logging
import signal
import threading
from collections.abc import Sequence
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.db.utils import OperationalError
from kombu.exceptions import OperationalError as BrokerUnreachable
from redis.exceptions import RedisError

from common.clock import real_now
from common.relay import hand_out
from common.tasks import perform

logger = logging.getLogger(__name__)

IDLE_S = 0.05
UNREACHABLE_S = 1.0


class Command(BaseCommand):
    """Hand open intents to the workers."""

    help = "Hand open intents to the workers until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """Loop until told to stop; an unreachable broker or database is tried again each second."""
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stopped.set())
        self.stdout.write("relay ready")
        self.stdout.flush()
        pause_s = 0.0
        while not stopped.wait(pause_s):
            pause_s = self._pass()

    def _pass(self) -> float:
        try:
            return 0.0 if hand_out(self._publish, at=real_now(), length=self._length) else IDLE_S
        except (BrokerUnreachable, RedisError, OperationalError) as error:
            logger.warning("relay: %s", error)
            close_old_connections()
            return UNREACHABLE_S

    def _publish(self, intent_ids: Sequence[int], queue: str) -> None:
        perform.apply_async(kwargs={"intent_ids": intent_ids}, queue=queue, expires=300)

    def _length(self, queue: str) -> int:
        with current_app.connection_or_acquire() as connection:
            redis: Any = connection.default_channel
            return int(redis.client.llen(queue))
