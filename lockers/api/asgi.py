"""The link without the middleware of pages, some of which holds a thread for as long as a poll waits."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response

Scope = dict[str, Any]
Channel = Callable[..., Awaitable[Any]]

PREFIX = "/api/v1/link/"


class LinkHandler(ASGIHandler):
    """Serves the link's addresses; to be given the requests whose path begins with ``PREFIX``."""

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        """Answer without the thread that Django would hold for every request, however long it waits."""
        await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load none: requests go straight to their view, and a client that hangs up ends it."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
