"""The public API as a careful client uses it: what may have got lost on the way is sent again."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

#: Seconds before each further attempt.
PAUSES_S = (0.2, 0.3, 0.5, 1.0, 2.0, 4.0)
#: Refusals that pass by themselves: the door is being opened at this moment.
PASSING = frozenset({"command-pending"})
MAX_AT_ONCE = 10
LARGEST_PAGE = 500


class Refused(Exception):
    """The API said no; ``code`` is its stable word for why."""

    def __init__(self, request: str, status: int, code: str, detail: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"{request}: {status} {code} {detail}")


class Network:
    """The way to one server, shared by everyone."""

    def __init__(self, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/api/v1/",
            timeout=30.0,
            # The server hangs up after five seconds.
            limits=httpx.Limits(max_connections=MAX_AT_ONCE, keepalive_expiry=4.0),
            transport=transport,
            trust_env=False,
        )
        self._room = asyncio.Semaphore(MAX_AT_ONCE)
        #: Requests so far by method and how they ended.
        self.num_requests: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def signed_in(self, token: str) -> "Api":
        """Return the API as the holder of a token sees it."""
        return Api(self, token)

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, again if no answer came or the server says that it is its own fault."""
        for pause_s in (*PAUSES_S, None):
            try:
                async with self._room:
                    response = await self._http.request(method, path, **request)
            except httpx.TransportError:
                self.num_requests["unanswered"] += 1
                if pause_s is None:
                    raise
            else:
                self.num_requests[f"{method} {response.status_code}"] += 1
                if pause_s is None or not _passes(response):
                    return response
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")


class Api:
    """What one person may ask."""

    def __init__(self, network: Network, token: str) -> None:
        self._network = network
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **params: Any) -> Any:
        """Read one object."""
        return await self._ask("GET", path, params=params)

    async def pages(self, path: str, **params: Any) -> list[Any]:
        """Read a list to its end."""
        answer = await self.get(path, page_size=LARGEST_PAGE, **params)
        rows = list(answer["results"])
        while answer["next"]:
            answer = await self._ask("GET", answer["next"])
            rows += answer["results"]
        return rows

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """Ask for something to be done; with a key it is done once, however often it is sent."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self._ask("POST", path, json=body, headers=headers)

    async def post_twice(self, path: str, body: Any) -> tuple[Any, Any]:
        """Send a request twice at the same moment under one key, as a telephone with a bad network does."""
        key = str(uuid4())
        first, second = await asyncio.gather(self.post(path, body, key=key), self.post(path, body, key=key))
        return first, second

    async def patch(self, path: str, body: Any) -> Any:
        """Change an object."""
        return await self._ask("PATCH", path, json=body)

    async def _ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **rest: Any
    ) -> Any:
        response = await self._network.send(method, path, headers=self._headers | (headers or {}), **rest)
        if response.is_success:
            return response.json() if response.content else None
        raise Refused(f"{method} {path}", response.status_code, _code(response), _detail(response))


def _passes(response: httpx.Response) -> bool:
    return response.status_code >= 500 or (response.is_client_error and _code(response) in PASSING)


def _code(response: httpx.Response) -> str:
    return str(_problem(response).get("code", "no-code"))


def _detail(response: httpx.Response) -> str:
    return str(_problem(response).get("detail", ""))


def _problem(response: httpx.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    content = response.json()
    return content if isinstance(content, dict) else {}
