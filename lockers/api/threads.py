"""
Database work on behalf of coroutines, in a few threads that keep their connections.

Django's own bridge gives every request a thread, and with it a connection, of its own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connection

#: On SQLite writers take turns, and a thread that computes would only hold up the one whose turn it is.
NUM_THREADS = 4 if connection.features.has_select_for_update else 1

P = ParamSpec("P")
R = TypeVar("R")

_pool = ThreadPoolExecutor(max_workers=NUM_THREADS, thread_name_prefix="link")


async def run(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Do synchronous work in one of the threads."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(_connected, work, *args, **kwargs))


def _connected(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    close_old_connections()
    return work(*args, **kwargs)
