"""OpenAPI: every operation names the problems it may answer with."""

from typing import Any, Literal

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.openapi import AutoSchema

from common.api.problems import ProblemSerializer

_ALWAYS = {
    "400": "The input has the wrong form.",
    "401": "No valid credentials.",
    "403": "Not for this role.",
}
_WITH_OBJECT = {"404": "No such object, or not yours."}
_WITH_BODY = {
    "409": "The state of things does not allow it.",
    "415": "Not JSON.",
    "422": "A rule forbids it.",
}


class ProblemAwareSchema(AutoSchema):
    """Adds the problem answers that every operation shares."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        possible = dict(_ALWAYS)
        if "{" in self.path:
            possible |= _WITH_OBJECT
        if self.method not in {"GET", "DELETE"}:
            possible |= _WITH_BODY
        for status, description in possible.items():
            bodies.setdefault(status, self._problem(status) | {"description": description})
        return bodies

    def _problem(self, status: str) -> dict[str, Any]:
        write: Any = self._get_response_for_code
        answer: dict[str, Any] = write(ProblemSerializer, status, media_types=["application/problem+json"])
        return answer


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """Tells that our bearer tokens are used as Knox's are."""

    target_class = "common.api.authentication.TokenAuthentication"
