"""The process says whether it lives, and whether it can serve."""

import pytest
from django.test import Client
from pytest_django import Settings


def test_a_living_process_answers_without_asking_anyone(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_without_redis_requests_can_still_be_served(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
