"""JSON that our database and our pages can hold."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """JSON without NUL characters and lone surrogates, which no database stores and no page shows."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """
        Return the parsed body.

        Raises
        ------
        ParseError
            If the body is not JSON, is nested too deeply, or holds text that cannot be stored.
        """
        try:
            data = super().parse(stream, media_type, parser_context)
            _refuse_unstorable(data)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        return data


def _refuse_unstorable(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ParseError("Text may not contain NUL characters or lone surrogates.")
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item)
