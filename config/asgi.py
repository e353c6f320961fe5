"""
The ASGI application: one server for everything.

The lockers' link waits long and often and runs as coroutines. Every other request is synchronous and runs, as
under WSGI, from beginning to end in one of a few threads, which keep their database connections; under
Django's own ASGI handler it would change threads at every middleware and open a connection of its own.
"""

import os
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
_wsgi: Any = get_wsgi_application()

from django.db import connection  # noqa: E402 - Django must be set up

from config import memory  # noqa: E402 - Django must be set up
from lockers.api.asgi import PREFIX, Channel, LinkHandler, Scope  # noqa: E402 - Django must be set up

#: On SQLite writers take turns, and a thread that computes would only hold up the one whose turn it is.
NUM_THREADS = 4 if connection.features.has_select_for_update else 1
_requests: Any = WSGIMiddleware(_wsgi, workers=NUM_THREADS)
_link: Any = LinkHandler()
memory.settle()


async def application(scope: Scope, receive: Channel, send: Channel) -> None:
    """Answer a request where it is answered best."""
    # A header's name with an underscore could pass for another one with a dash, such as X-Forwarded-Proto.
    scope["headers"] = [(name, value) for name, value in scope.get("headers", []) if b"_" not in name]
    await (_link if scope.get("path", "").startswith(PREFIX) else _requests)(scope, receive, send)
