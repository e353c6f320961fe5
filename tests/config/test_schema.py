"""The API describes itself completely, and from our own files."""

from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from logistics.api.urls import urlpatterns


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The OpenAPI description."""
    generator: Any = SchemaGenerator
    described: dict[str, Any] = generator().get_schema(public=True)
    return described


def test_every_address_of_the_api_is_described(schema: dict[str, Any]) -> None:
    assert len(schema["paths"]) == len(urlpatterns)


def test_every_operation_names_its_problems(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert {"400", "401", "403"} <= set(answers), f"{method} {path}"
            if "{" in path:
                assert "404" in answers, f"{method} {path}"


@pytest.mark.django_db
def test_the_documentation_asks_no_foreign_host(client: Client) -> None:
    html = client.get("/api/docs/").content.decode()

    assert 'src="http' not in html
    assert 'href="http' not in html
