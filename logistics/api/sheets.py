"""The sheet of a locker as a table to print: one line per door, with columns to tick and to write in."""

import csv
import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rest_framework.renderers import BaseRenderer
from rest_framework.utils.encoders import JSONEncoder

COLUMNS = (
    "compartment",
    "size",
    "temperature",
    "height",
    "state",
    "door",
    # A basic device opens a door late or not at all, and takes no codes.
    "locker_profile",
    "bundle",
    "parcels",
    "since",
    "hold_until",
    # Empty: whoever compares the sheet with the cabinet ticks one or writes into the other.
    "as_listed",
    "difference",
)

_SHOWN = ("size", "temperature", "height", "state", "door", "locker_profile")


class SheetCSVRenderer(BaseRenderer):
    """The sheet as CSV; a refusal stays what it is."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the table, in which every cell is ours: no text of people, and so no formula."""
        if "compartments" not in data:
            return json.dumps(data, cls=JSONEncoder).encode()
        table = StringIO()
        lines = csv.DictWriter(table, COLUMNS, restval="")
        lines.writeheader()
        lines.writerows(_line(compartment) for compartment in data["compartments"])
        return table.getvalue().encode()


def _line(compartment: Mapping[str, Any]) -> dict[str, Any]:
    content = compartment["content"] or {}
    return {
        "compartment": compartment["number"],
        **{name: compartment[name] for name in _SHOWN},
        "bundle": content.get("bundle", ""),
        "parcels": " ".join(parcel["sticker"] for parcel in content.get("parcels", ())),
        "since": compartment["trouble_since"] or content.get("since", ""),
        "hold_until": content.get("hold_until", ""),
    }
