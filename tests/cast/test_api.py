"""A careful client sends again what may have got lost, and nothing else."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.cast import api
from tests.cast.api import Network, Refused


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAUSES_S", (0.0, 0.0))


def answering(*answers: httpx.Response | Exception) -> tuple[list[httpx.Request], Network]:
    """Return a network on which these answers come one after another, and what was asked."""
    asked: list[httpx.Request] = []
    waiting: Iterator[httpx.Response | Exception] = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        given = next(waiting)
        if isinstance(given, Exception):
            raise given
        return given

    return asked, Network("http://server", transport=httpx.MockTransport(answer))


def a_problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(
        status,
        json={"code": code, "detail": "…"},
        headers={"Content-Type": "application/problem+json"},
    )


@pytest.mark.parametrize(
    "mishap",
    [
        lambda: httpx.ReadTimeout("no answer"),
        lambda: httpx.Response(503),
        lambda: a_problem(409, "command-pending"),
    ],
)
async def test_what_passes_is_sent_again_with_the_same_key(
    mishap: Callable[[], httpx.Response | Exception],
) -> None:
    asked, network = answering(mishap(), httpx.Response(201, json={"id": 1}))

    answer = await network.signed_in("token").post("orders/", {"note": ""}, key="key")

    assert answer == {"id": 1}
    assert [request.headers["Idempotency-Key"] for request in asked] == ["key", "key"]
    assert asked[0].url == "http://server/api/v1/orders/"
    assert asked[0].headers["Authorization"] == "Bearer token"


async def test_a_refusal_is_final_and_names_its_code() -> None:
    asked, network = answering(a_problem(409, "cutoff-passed"))

    with pytest.raises(Refused, match="cutoff-passed") as refusal:
        await network.signed_in("token").post("orders/1/cancel/")

    assert (refusal.value.status, refusal.value.code, len(asked)) == (409, "cutoff-passed", 1)


async def test_patience_has_an_end() -> None:
    _, network = answering(*(httpx.Response(500) for _ in range(3)))

    with pytest.raises(Refused, match="500"):
        await network.signed_in("token").get("runs/")


async def test_a_list_is_read_to_its_end() -> None:
    pages = (
        {"results": [1, 2], "next": "http://server/api/v1/orders/?cursor=2"},
        {"results": [3], "next": None},
    )
    asked, network = answering(*(httpx.Response(200, json=page) for page in pages))

    assert await network.signed_in("token").pages("orders/") == [1, 2, 3]
    assert [dict(request.url.params) for request in asked] == [{"page_size": "500"}, {"cursor": "2"}]
