"""Problem details (RFC 9457): the one shape of every error."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.response import Response


class FieldErrorSerializer(serializers.Serializer[Any]):
    """One fault of one field."""

    pointer = serializers.CharField(help_text="JSON pointer to the field.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, for programs (``code``) and for people (``detail``)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; programs decide by it.")
    detail = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; one of them has a name that serializers use themselves."""
        return super().get_fields() | {"errors": FieldErrorSerializer(many=True, required=False)}


def problem(*, status: int, code: str, title: str, detail: str, errors: list[Any] | None = None) -> Response:
    """Return a response in the shape of RFC 9457."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status, content_type="application/problem+json")


def problem_schema(description: str) -> OpenApiResponse:
    """Return the OpenAPI entry of an answer that is a problem."""
    return OpenApiResponse(response=ProblemSerializer, description=description)
