"""Long-polls that wait without a thread or a database connection: one watcher per process wakes them."""

import asyncio
import contextlib
import logging
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DatabaseError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.clock import real_now
from lockers import wake
from lockers.api import threads
from lockers.models import OpenCommand
from lockers.services import allowlists

logger = logging.getLogger(__name__)

#: How often the database is asked on behalf of all that wait, should hints be lost.
LOOK_EVERY_S = 1.0
RECONNECT_AFTER_S = 2.0


class Watcher:
    """Knows the polls that wait in this process, and wakes them: by hints, and once a second by looking."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._called: dict[str, asyncio.Event] = {}
        self._work: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def waiting(self, device_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when there may be something for a device; take it before looking."""
        called = self._called.setdefault(device_id, asyncio.Event())
        self._waiting[device_id] += 1
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._watch())
        try:
            yield called
        finally:
            self._waiting[device_id] -= 1
            if not self._waiting[device_id]:
                del self._waiting[device_id], self._called[device_id]

    def _call(self, device_id: str) -> None:
        if called := self._called.get(device_id):
            called.set()

    async def _watch(self) -> None:
        hints = asyncio.create_task(self._listen())
        try:
            while self._waiting:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    expected = await threads.run(_expected, list(self._waiting))
                except DatabaseError as error:
                    logger.warning("cannot look for commands: %s", error)
                    continue
                for device_id in expected:
                    self._call(device_id)
        finally:
            hints.cancel()

    async def _listen(self) -> None:
        # Ends by itself when nobody waits: a connection that is being made may swallow a cancellation.
        while self._waiting:
            try:
                async with (
                    Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1) as redis,
                    redis.pubsub(ignore_subscribe_messages=True) as hints,
                ):
                    await hints.subscribe(wake.CHANNEL)
                    while self._waiting:
                        if hint := await hints.get_message(timeout=LOOK_EVERY_S):
                            self._call(hint["data"].decode())
            except (RedisError, OSError) as error:
                logger.warning("no hints from Redis: %s", error)
                await asyncio.sleep(RECONNECT_AFTER_S)


def watcher() -> Watcher:
    """Return the watcher of the running event loop."""
    return _watchers.setdefault(asyncio.get_running_loop(), Watcher())


_watchers: WeakKeyDictionary[AbstractEventLoop, Watcher] = WeakKeyDictionary()


def _expected(device_ids: list[str]) -> set[str]:
    """Return the devices for which commands wait, or a list of codes."""
    at = real_now()
    offerable = OpenCommand.objects.offerable(at=at).filter(device__in=device_ids)
    behind = allowlists.due(real_at=at).filter(pk__in=device_ids)
    found = [*offerable.values_list("device_id", flat=True), *behind.values_list("pk", flat=True)]
    return {str(device_id) for device_id in found}
