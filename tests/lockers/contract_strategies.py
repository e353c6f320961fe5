"""Messages for Hypothesis, made from the published contract: right ones, and ones that are slightly wrong."""

import copy
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from hypothesis import strategies as st

from tests.lockers import contract

NUMBERS = (0, 1, -1, 1.0, 1.5, -601, 901, 1_000, 3_600_001, 20_001, 2**53 - 1, 2**53, 10**30)
WORDS = (
    "",
    "0",
    "1",
    "open",
    "OPEN",
    "open\n",
    "success",
    "DOOR_JAMMED",
    "mains",
    "hello",
    "Ω",
    "\ud800",
    "\0",
)
NAMES = (
    "00000001-0123456789abcdef",
    "00000001-0123456789ABCDEF",
    "00000001-0123456789abcdef\n",
    "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1",
    "6B0F4B5E-6AD9-4F6C-9D4C-0D3F4FB0A0A1",
    "6b0f4b5e6ad94f6c9d4c0d3f4fb0a0a1",
    "{6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1}",
    "６b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1",
    "abcdefghijklmnop",
    "open_compartment",
)
MOMENTS = (
    "2026-11-24T11:00:00Z",
    "2026-11-24T11:00:00",
    "2026-11-24 11:00:00Z",
    "2026-11-24T24:00:00Z",
    "2026-02-30T11:00:00Z",
    "2026-W48-2T11:00:00Z",
    "20261124T110000Z",
    "0001-01-01T00:00:00+23:59",
)
NESTED: tuple[Any, ...] = ([], {}, [[]], ["open"], {"": None}, {"compartment_number": 1})
ANYTHING = (None, True, False, *NUMBERS, *WORDS, *NAMES, *MOMENTS, *NESTED)
ODD = st.sampled_from(ANYTHING).map(copy.deepcopy)
ADDED = st.sampled_from(["action", "event", "more", "error_code", "transaction_id", "compartment_number"])


@st.composite
def messages_like(draw: st.DrawFn, name: str, *, but_for: Collection[str]) -> dict[str, Any]:
    """Return messages that keep to the contract, or miss it in a place or two, but not in some fields."""
    message: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(contract.examples(name))))
    if "data" in contract.schema(name)["properties"]:
        message["data"] = draw(fitting(contract.schema(name)["properties"]["data"]))
    for _ in range(draw(st.integers(0, 2))):
        found = [place for place in places(message) if place[0] is not message or place[1] not in but_for]
        holder, at = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[at] = draw(ODD)
            case "remove":
                del holder[at]
            case "add" if isinstance(holder, dict):
                holder[draw(ADDED)] = draw(ODD)
            case _:
                holder.append(draw(ODD))
    return message


def variants(whole: Any) -> Iterator[Any]:
    """Yield a value with each of its parts taken out, and replaced by whatever is odd."""
    for number, _ in enumerate(places(whole)):
        for odd in ANYTHING:
            replaced = copy.deepcopy(whole)
            holder, at = _place(replaced, number)
            holder[at] = copy.deepcopy(odd)
            yield replaced
        shortened = copy.deepcopy(whole)
        holder, at = _place(shortened, number)
        del holder[at]
        yield shortened


def fitting(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a schema accepts."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "oneOf" in schema:
        rest = {name: value for name, value in schema.items() if name not in {"oneOf", "type"}}
        return st.one_of([fitting({**rest, **choice}) for choice in schema["oneOf"]])
    kinds = schema.get("type", "object")
    return st.one_of([_of_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the place of every value: what holds it, and its name or number there."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, name
        if isinstance(value, (dict, list)):
            yield from places(value)


def _place(node: Any, number: int) -> tuple[Any, Any]:
    return next(islice(places(node), number, None))


def _of_kind(kind: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "string":
            return st.from_regex(schema["pattern"])
        case "array":
            return st.lists(fitting(schema["items"]), max_size=5)
        case _:
            required = set(schema.get("required", ()))
            fields = {name: fitting(value) for name, value in schema.get("properties", {}).items()}
            return st.fixed_dictionaries(
                {name: value for name, value in fields.items() if name in required},
                optional={name: value for name, value in fields.items() if name not in required},
            )
