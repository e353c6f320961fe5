"""The published contract of the locker link, read from its file: what a message must look like."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker

FILE = Path(__file__).parents[2] / "docs" / "locker-link.asyncapi.yaml"
FORMATS = FormatChecker(["uuid"])


@FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    try:
        return not isinstance(value, str) or bool(datetime.fromisoformat(value))
    except ValueError:
        return False


@cache
def document() -> Mapping[str, Any]:
    """Return the contract as it was written."""
    quickest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: Mapping[str, Any] = yaml.load(FILE.read_text(), Loader=quickest)  # noqa: S506 - both are safe
    return content


@cache
def messages() -> Mapping[str, Mapping[str, Any]]:
    """Return all messages by name, with whatever they refer to in its place."""
    found: Mapping[str, Mapping[str, Any]] = _resolved(document()["components"]["messages"])
    return found


@cache
def schema(name: str) -> Mapping[str, Any]:
    """Return what the payload of a message must be."""
    found: Mapping[str, Any] = _merged(messages()[name]["payload"])
    return found


def examples(name: str) -> list[dict[str, Any]]:
    """Return the examples of a message."""
    return [example["payload"] for example in messages()[name]["examples"]]


def tagged(tag: str) -> set[str]:
    """Return the names of the messages with a tag."""
    return {name for name, message in messages().items() if {"name": tag} in message["tags"]}


def name_of(envelope: Mapping[str, Any]) -> str:
    """Return which message an envelope means to be."""
    if "token" in envelope:
        return "provision"
    if "device_id" not in envelope and "action" in envelope:
        return "response"
    return str(envelope.get("event", envelope.get("action")))


def faults(name: str, payload: object) -> list[str]:
    """Return in which ways a payload is not what the contract says."""
    if name not in messages():
        return [f"no message is called {name}"]
    return [
        f"{name}{error.json_path[1:]}: {error.message}" for error in _validator(name).iter_errors(payload)
    ]


def faults_of_ours(envelope: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an envelope that we sealed."""
    return faults_in_saying(name_of(envelope), envelope)


def faults_in_saying(name: str, content: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a message of ours: we say nothing that is not written down."""
    if found := faults(name, content):
        return found
    return [f"{name}: {field} is not written down" for field in _unwritten(schema(name), content)]


def target(reference: str) -> Any:
    """Return what a reference points to."""
    found: Any = document()
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name), format_checker=FORMATS)


def _unwritten(part: Mapping[str, Any], value: object) -> Iterator[str]:
    """Yield the names in a value that its schema knows nothing of; of the closed ones it knows all."""
    if isinstance(value, list):
        for entry in value:
            yield from _unwritten(part.get("items", {}), entry)
    elif isinstance(value, dict) and "additionalProperties" not in part:
        known = dict(_properties(part))
        for name, inside in value.items():
            if name in known:
                yield from _unwritten(known[name], inside)
            else:
                yield name


def _properties(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from part.get("properties", {}).items()
    for choice in part.get("oneOf", ()):
        yield from _properties(choice)


def _resolved(node: Any) -> Any:
    """Return a part of the document with every reference replaced by what it means."""
    if isinstance(node, list):
        return [_resolved(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolved(target(node["$ref"]))
    whole = {name: _resolved(value) for name, value in node.items()}
    if isinstance(whole.get("pattern"), str):
        # To Python's ``re`` a line feed may follow ``$``; to ECMA-262 nothing may.
        whole["pattern"] = whole["pattern"].replace("$", r"\Z")
    return whole


def _merged(part: Any) -> Any:
    """Return a schema that means the same without ``allOf``, where that can be: it is checked faster."""
    if isinstance(part, list):
        return [_merged(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    own = {name: _merged(value) for name, value in part.items() if name != "allOf"}
    whole: dict[str, Any] = {}
    for piece in (*_merged(part.get("allOf", [])), own):
        for name, value in piece.items():
            if name == "required":
                whole[name] = [*whole.get(name, ()), *value]
            elif name == "properties":
                whole[name] = _merged_properties(whole.get(name, {}), value)
            elif name in whole and name not in {"description", "type"}:
                whole.setdefault("allOf", []).append({name: value})
            else:
                whole[name] = value
    return whole


def _merged_properties(some: Mapping[str, Any], others: Mapping[str, Any]) -> Mapping[str, Any]:
    both = {name: _merged({"allOf": [some[name], others[name]]}) for name in set(some) & set(others)}
    return {**some, **others, **both}
