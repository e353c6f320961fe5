"""The published contract: it is sound, its examples are genuine, and the code says and accepts the same."""

import ast
import base64
import copy
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

import lockers
from common.exceptions import InvalidTransition
from lockers import exceptions, link, wire
from lockers.api import urls, views
from lockers.device import connection, controller, https_link, keypad, mqtt_session
from lockers.device.allowlist import allowlist_in
from lockers.device.journal import REPORTS_KEPT
from lockers.exceptions import LinkError, MalformedMessage
from lockers.mqtt import topics
from lockers.services.keypad import Outcome
from lockers.states import (
    COLLECTION_WINDOW,
    COMMAND_LIFE,
    GAP_MAY_LAST,
    LIST_AGAIN_AFTER,
    LIST_EVERY,
    LIST_RENEWED_AFTER,
    MAX_REOPENINGS,
    DoorState,
    Purpose,
)
from lockers.throttle import LOCK_OUTS, WRONG_CODES_ALLOWED
from tests.lockers import contract
from tests.lockers.contract_strategies import messages_like, variants

#: The keys with which the examples are signed, as the contract says.
DEVICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SERVER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
REPORTS = sorted(contract.tagged("report"))
#: What reads each kind of message that a device says.
READERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "hello": link.hello_from,
    "heartbeat": link.heartbeat_from,
    "poll": link.known_commands,
    "code_entered": link.code_from,
    **dict.fromkeys(REPORTS, link.report_from),
}
ENVELOPES = sorted(name for name in contract.messages() if "sig" in contract.schema(name)["properties"])


# The file itself.


def references(node: Any) -> Iterator[str]:
    """Yield all references in a part of the document."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for entry in node:
            yield from references(entry)


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    wanted = set(references(contract.document()))
    for reference in wanted:
        contract.target(reference)

    components = contract.document()["components"]
    there = {f"#/components/{kind}/{name}" for kind, named in components.items() for name in named}
    there |= {
        f"#/channels/{channel}/messages/{name}"
        for channel, content in contract.document()["channels"].items()
        for name in content["messages"]
    }
    assert there - wanted - {f"#/components/messages/{name}" for name in ENVELOPES} == set()


def test_every_channel_is_used_by_an_operation_over_its_own_server() -> None:
    channels, used = contract.document()["channels"], set()
    for operation in contract.document()["operations"].values():
        assert operation["action"] in {"send", "receive"}
        for end in (operation, operation.get("reply", operation)):
            channel = end["channel"]["$ref"]
            used.add(channel.removeprefix("#/channels/"))
            assert all(message["$ref"].startswith(f"{channel}/messages/") for message in end["messages"])

    assert used == set(channels)
    for content in channels.values():
        [server] = content["servers"]
        beginning = {"https": "/", "mqtt": "locker/{deviceId}/", "basic": "locker/"}
        assert content["address"].startswith(beginning[server["$ref"].rsplit("/")[-1]])


@pytest.mark.parametrize("name", sorted(contract.messages()))
def test_a_message_has_a_sound_schema_and_examples_that_fit_it(name: str) -> None:
    message = contract.messages()[name]

    Draft202012Validator.check_schema(message["payload"])
    assert message["name"] == name
    assert contract.examples(name)
    assert [fault for example in contract.examples(name) for fault in contract.faults(name, example)] == []


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_example_is_signed_as_the_contract_says_and_is_named_by_its_fields(name: str) -> None:
    key = SERVER_KEY if name in contract.tagged("server") else DEVICE_KEY

    for example in contract.examples(name):
        fields = {field: value for field, value in example.items() if field != "sig"}
        signature = key.sign(b"dorfbote-link/1\n" + rfc8785.dumps(fields))
        assert example["sig"] == base64.b64encode(signature).decode()
        assert contract.name_of(example) == name
        assert contract.faults_of_ours(example) == []


def test_the_example_of_a_list_knows_the_codes_of_the_other_examples() -> None:
    list_key = base64.b64decode(contract.examples("provisioned")[0]["data"]["list_key"])
    typed, scanned = (example["data"] for example in contract.examples("code_entered"))
    [entry] = [
        entry
        for entry in contract.examples("put_allowlist")[0]["data"]["entries"]
        if entry["purpose"] == "collect"
    ]
    token = scanned["qr"].removeprefix("DB1.")

    assert entry["digest"] == hmac.new(list_key, typed["digits"].encode(), hashlib.sha256).hexdigest()
    assert entry["qr"] == hashlib.sha256(scanned["qr"].encode()).hexdigest()
    assert str(UUID(bytes=base64.urlsafe_b64decode(token + "=")[:16])) == entry["entry_id"]


# What the code says and knows.


def said_in(folder: str) -> set[str]:
    """Return the events and actions that the code in a folder, or a file, says."""
    found: set[str] = set()
    for node in _nodes_in(folder):
        if isinstance(node, ast.Call):
            found.update(_names_said(node))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "event":
            found.update(_words_in(node.value))
    return found


def _nodes_in(folder: str) -> Iterator[ast.AST]:
    root = Path(lockers.__file__).parent / folder
    for file in [root] if root.is_file() else sorted(root.glob("*.py")):
        yield from ast.walk(ast.parse(file.read_text()))


def _words_in(expression: ast.expr) -> Iterator[str]:
    """Yield the words that an expression may become."""
    chosen = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
    yield from (str(word.value) for word in chosen if isinstance(word, ast.Constant))


def _names_said(call: ast.Call) -> Iterator[str]:
    """Yield what a call says: by name, or as the kind of an answer, order or report."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function in {"answer", "order", "report"}:
        for argument in call.args[:2]:
            yield from _words_in(argument)
    for field in call.keywords:
        if (
            function in {"seal", "_numbered"}
            and field.arg in {"event", "action"}
            and isinstance(field.value, ast.Constant)
        ):
            yield "response" if field.arg == "action" else str(field.value.value)


def test_the_device_says_what_is_written_and_nothing_else() -> None:
    assert said_in("device") | {"provision"} == contract.tagged("device") & set(ENVELOPES)


def test_the_server_says_what_is_written_and_nothing_else() -> None:
    said = said_in("exchange.py") | said_in("api")

    assert said | {"open_compartment"} == contract.tagged("server") & set(ENVELOPES)


def test_the_server_takes_every_report_that_is_written_and_no_other() -> None:
    assert sorted(link._CONTENT) == REPORTS
    assert {*READERS, "provision"} == contract.tagged("device") & set(ENVELOPES)


def test_refusals_are_those_of_the_code() -> None:
    problem = contract.schema("problem")["properties"]
    codes = {error.code: status for error, status in views.STATUS.items()}

    assert set(problem["code"]["enum"]) == {*codes, "method-not-allowed"}
    assert set(problem["status"]["enum"]) == {*codes.values(), 405}
    table = re.findall(r"\| `([a-z-]+)` \| ([0-9]{3}) \|", contract.document()["info"]["description"])
    assert {code: int(status) for code, status in table} == {**codes, "method-not-allowed": 405}
    assert set(views.STATUS) == set(LinkError.__subclasses__())


def test_answers_to_codes_are_those_of_the_keypad() -> None:
    rules = (
        exceptions.CommandPending,
        exceptions.CompartmentUnavailable,
        InvalidTransition,
        exceptions.LockerOffline,
        exceptions.NoCompartmentAvailable,
        exceptions.NotDeposited,
        exceptions.ReopenLimitReached,
    )
    told = {outcome.value for outcome in Outcome} - {Outcome.CODE_OF_ANOTHER_LOCKER.value}

    outcomes = contract.schema("code_answered")["properties"]["data"]["properties"]["outcome"]["enum"]
    assert set(outcomes) == told | {rule.code for rule in rules}


def test_the_devices_reasons_not_to_obey_are_those_of_the_code() -> None:
    [refused] = [
        choice["properties"]["error_code"]
        for choice in contract.schema("response")["properties"]["data"]["oneOf"]
        if "error_code" in choice["properties"]
    ]
    words = {node.value for node in _nodes_in("device/controller.py") if isinstance(node, ast.Constant)}

    assert set(refused["examples"]) == {word for word in words if re.fullmatch(r"[A-Z_]{5,}", str(word))}


def test_numbers_and_names_are_those_of_the_code() -> None:
    command = contract.schema("open_compartment")["properties"]
    doors = contract.schema("compartments")["properties"]["data"]["properties"]["compartments"]["items"]
    batch = contract.schema("messages")["properties"]["messages"]
    known = contract.schema("poll")["properties"]["data"]["properties"]["known"]
    broker = contract.document()["servers"]["mqtt"]["bindings"]["mqtt"]
    description = contract.document()["info"]["description"]

    assert command["ttl_ms"]["maximum"] == controller.LONGEST_LIFE_MS == COMMAND_LIFE.total_seconds() * 1000
    assert set(command["data"]["properties"]["purpose"]["enum"]) == {purpose.value for purpose in Purpose}
    assert set(doors["properties"]["door_state"]["enum"]) <= {door.value for door in DoorState}
    assert batch["maxItems"] == known["maxItems"] == wire.MAX_BATCH
    assert broker["keepAlive"] == connection.KEEPALIVE_S
    assert wire.CONTEXT.decode().strip() in description
    assert f"{wire.MAX_BODY_BYTES:,} bytes" in description
    assert f"{wire.MAX_DEPTH} levels" in description


def test_topics_and_addresses_are_those_of_the_code() -> None:
    over: dict[str, list[str]] = {"mqtt": [], "https": [], "basic": []}
    for channel in contract.document()["channels"].values():
        over[channel["servers"][0]["$ref"].rsplit("/")[-1]].append(channel["address"])
    device = "{deviceId}"
    written = [re.compile(re.escape(topic).replace(r"\+", "[^/]+")) for topic in topics.written_by(device)]
    from_device = {topic for topic in over["mqtt"] if topic not in topics.read_by(device)}

    assert set(topics.read_by(device)) < set(over["mqtt"])
    assert all(any(topic.fullmatch(address) for topic in written) for address in from_device)
    assert all(any(topic.fullmatch(address) for address in from_device) for topic in written)
    assert set(over["https"]) == {f"/{pattern.pattern}" for pattern in urls.urlpatterns}
    assert set(over["basic"]) - set(over["mqtt"]) == {
        topics.REGISTRATIONS.replace("+", "{token}"),
        topics.registration_reply(device),
    }


@pytest.mark.parametrize("name", [*REPORTS, "hello", "heartbeat", "code_entered"])
def test_the_device_publishes_where_it_is_written(name: str) -> None:
    channels = contract.document()["channels"].values()
    addresses = [channel["address"] for channel in channels if name in channel["messages"]]

    [topic] = [address for address in addresses if address.startswith("locker/")]

    assert topic == f"locker/{{deviceId}}/{mqtt_session._topic_of(contract.examples(name)[0])}"


def test_the_page_for_people_knows_every_message_and_the_codes_figures() -> None:
    page = " ".join(contract.FILE.with_name("locker-link.md").read_text().split())
    hours = [str(round(lock_out / timedelta(hours=1))) for lock_out in LOCK_OUTS[1:]]

    assert [name for name in ENVELOPES if f"`{name}" not in page] == ["response"]
    for words in (
        f"and all of the list for {keypad.OUT_OF_TOUCH / timedelta(hours=1):g} hours",
        f"opened again {MAX_REOPENINGS} times within {COLLECTION_WINDOW / timedelta(minutes=1):g} minutes",
        f"gets no answer within {https_link.KEYPAD_TIMEOUT_S:g} s",
        f"lock the keypad for {LOCK_OUTS[0] / timedelta(minutes=1):g} minutes, then {hours[0]} hour, ",
        f", {hours[1]} hours, {hours[2]} hours each time",
        f"its last {REPORTS_KEPT:,} acknowledged reports",
        f"missing for {GAP_MAY_LAST.total_seconds():g} s",
        f"at most every {LIST_EVERY.total_seconds():g} s, again after {LIST_AGAIN_AFTER.total_seconds():g} s",
        f"a fresh one after {LIST_RENEWED_AFTER / timedelta(minutes=1):g} minutes",
    ):
        assert words in page
    assert "Five unknown codes" in page
    assert WRONG_CODES_ALLOWED == 5


def test_server_and_device_decide_by_the_same_figures() -> None:
    assert COLLECTION_WINDOW.total_seconds() == keypad.COLLECTION_WINDOW_S
    assert keypad.MAX_REOPENINGS == MAX_REOPENINGS
    assert mqtt_session.Rhythm().keypad_s == https_link.KEYPAD_TIMEOUT_S


# What the server accepts is what the contract accepts.


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_server_accepts_exactly_what_is_written(name: str) -> None:
    read = READERS[name]
    # That the connection is the present one was checked before the others are read.
    is_epoch_read = read in {link.hello_from, link.report_from}
    verdicts = Counter[bool]()

    @settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(messages_like(name, but_for={"sig", "kid"} if is_epoch_read else {"sig", "kid", "link_epoch"}))
    def accepts_the_same(message: dict[str, Any]) -> None:
        envelope = wire.read(json.dumps(message).encode())
        # A report may have become one of another kind.
        meant = contract.name_of(envelope) if read is link.report_from else name
        try:
            read(envelope)
        except MalformedMessage:
            is_accepted = False
        else:
            is_accepted = True
        is_known = read is not link.report_from or meant in REPORTS
        assert is_accepted == (is_known and contract.faults(meant, envelope) == [])
        verdicts[is_accepted] += 1

    accepts_the_same()

    assert min(verdicts[True], verdicts[False]) >= 3


# The device takes what is written too: what a list gets wrong would come back in reports that nobody takes.


def test_the_device_takes_exactly_the_lists_that_are_written() -> None:
    [example] = contract.examples("put_allowlist")
    verdicts = Counter[bool]()

    for data in variants(example["data"]):
        envelope = wire.read(json.dumps(example | {"data": data}).encode())
        is_written = contract.faults("put_allowlist", envelope) == []
        try:
            allowlist_in(envelope)
        except wire.BadEnvelope:
            is_taken = False
        else:
            is_taken = True
        assert is_taken == (is_written and is_of_known_goods(data)), data
        verdicts[is_taken] += 1

    assert min(verdicts[True], verdicts[False]) > 30


def is_of_known_goods(data: Mapping[str, Any]) -> bool:
    """Tell whether all codes are for goods that the list knows."""
    known = {claim["claim_id"] for claim in data["claims"]}
    return all(known.issuperset(entry["claims"]) for entry in data["entries"])


def test_the_contract_notices_a_field_that_is_not_written_down() -> None:
    [example] = contract.examples("open_compartment")

    assert contract.faults_of_ours(example | {"resident": "someone"}) == [
        "open_compartment: resident is not written down"
    ]
    assert contract.faults_of_ours(example | {"data": {**example["data"], "holder": 1}}) == [
        "open_compartment: holder is not written down"
    ]
    told = copy.deepcopy(contract.examples("put_allowlist")[0])
    told["data"]["entries"][1]["digits"] = "48291703"
    assert contract.faults_of_ours(told) == ["put_allowlist: digits is not written down"]
    assert contract.faults_of_ours(example | {"ttl_ms": 20_001}) != []
