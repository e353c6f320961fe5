"""The dialect of basic devices: the code reads and says what the published contract has, and nothing else."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings

from lockers import dialect, wire
from lockers.exceptions import MalformedMessage
from lockers.models import Compartment, OpenCommand
from lockers.states import BASIC_HEARTBEAT_INTERVAL, BASIC_REACHABLE_FOR, COMMAND_LIFE
from lockers.wiring import Lock, Wiring
from tests.lockers import contract
from tests.lockers.contract_strategies import messages_like

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
#: What reads each kind of message; the last one is unsigned with full devices too, and is not read.
READERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "basic_registration": dialect.registration_from,
    "basic_heartbeat": dialect.heartbeat_from,
    "basic_compartments": partial(dialect.snapshot_from, of=range(1, 1000)),
    "basic_open_response": dialect.response_from,
    "basic_config_response": dialect.response_from,
    "basic_open_detected": dialect.event_from,
    "basic_open_failed": dialect.event_from,
    "basic_uncommanded_open": dialect.event_from,
}
MEANT = {
    "open_compartment": "basic_open_response",
    "apply_config": "basic_config_response",
    "compartment_open_detected": "basic_open_detected",
    "compartment_open_failed": "basic_open_failed",
    "compartment_uncommanded_open": "basic_uncommanded_open",
}
WIRING = Wiring.usual([1, 2])


def test_every_message_of_a_basic_device_is_read() -> None:
    said = contract.tagged("basic") & contract.tagged("device")

    assert {*READERS, "basic_connection"} == said


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_is_read_is_exactly_what_is_written(name: str) -> None:
    read = READERS[name]
    verdicts = Counter[bool]()

    @settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(messages_like(name, but_for=()))
    def reads_the_same(message: dict[str, Any]) -> None:
        content = wire.read(json.dumps(message).encode())
        meant = _meant(content, name)
        try:
            read(content)
        except MalformedMessage:
            is_read = False
        else:
            is_read = True
        assert is_read == (bool(meant) and contract.faults(meant, content) == [])
        verdicts[is_read] += 1

    reads_the_same()

    assert min(verdicts[True], verdicts[False]) >= 3


def _meant(content: Mapping[str, Any], name: str) -> str:
    """Return which message it is now: a response or an event may have become one of another kind, or none."""
    for read, field in ((dialect.response_from, "action"), (dialect.event_from, "event")):
        if READERS[name] is read:
            return MEANT.get(str(content.get(field)), "")
    return name


@pytest.mark.parametrize("name", sorted(READERS))
def test_fields_that_nobody_knows_are_passed_over_and_not_kept(name: str) -> None:
    for example in contract.examples(name):
        more = example | {"traceparent": "00-0-0-00", "sensors": [1]}
        if "data" in more:
            more["data"] = more["data"] | {"sensors": [1]}

        assert READERS[name](more) == READERS[name](example)


def test_what_a_basic_device_is_told_is_written_down() -> None:
    command = OpenCommand(pk=uuid4(), compartment=Compartment(number=7))
    newer = Wiring(locks=WIRING.locks, hardware={"adapter_type": "rs485_lock_board", "channel_count": 8})

    for name, content in (
        ("basic_open_compartment", dialect.unlock(command, at=NOON)),
        ("basic_apply_config", dialect.apply_config(WIRING, at=NOON)),
        ("basic_apply_config", dialect.apply_config(newer, at=NOON)),
        ("basic_rejection", dialect.rejection("no", at=NOON)),
        (
            "basic_welcome",
            dialect.welcome(username=str(command.pk), password="p", locker_uuid=command.pk, at=NOON),
        ),
    ):
        assert contract.faults_in_saying(name, content) == []


def test_an_unlock_names_its_command_and_nothing_that_an_unmodified_client_does_not_know() -> None:
    command = OpenCommand(pk=uuid4(), compartment=Compartment(number=7))

    said = dialect.unlock(command, at=NOON)

    assert {name: value for name, value in said.items() if name != "message_id"} == {
        "transaction_id": str(command.pk),
        "action": "open_compartment",
        "timestamp": "2026-11-24T11:00:00.000Z",
        "data": {"compartment_number": 7},
    }


def test_older_clients_hash_the_list_alone_and_newer_ones_what_they_asked_for_before_it() -> None:
    told = (
        '[{"compartment_number":1,"slaveId":1,"address":0},{"compartment_number":2,"slaveId":1,"address":1}]'
    )
    newer = Wiring(
        locks=tuple(reversed(WIRING.locks)),
        hardware={"feedback_type": "door_closing", "adapter_type": "rs485_lock_board"},
    )
    asked = '{"adapter_type":"rs485_lock_board","feedback_type":"door_closing","compartments":' + told + "}"

    assert WIRING.digest() == hashlib.sha256(told.encode()).hexdigest()
    assert newer.digest() == hashlib.sha256(asked.encode()).hexdigest()
    older, other = contract.examples("basic_apply_config")
    assert (older["data"]["config_hash"], other["data"]["config_hash"]) == (WIRING.digest(), newer.digest())


def test_the_usual_wiring_goes_on_with_the_next_board_after_eight() -> None:
    locks = Wiring.usual(range(1, 11)).locks

    assert [(lock.compartment_number, lock.board, lock.channel) for lock in locks[6:]] == [
        (7, 1, 6),
        (8, 1, 7),
        (9, 2, 0),
        (10, 2, 1),
    ]


@pytest.mark.parametrize(
    "places", [{1: (1, 0)}, {1: (1, 0), 2: (1, 0)}, {1: (1, 0), 3: (1, 1)}, {1: (1, 0), 2: (1, 1), 3: (1, 2)}]
)
def test_a_wiring_gives_every_compartment_a_lock_of_its_own(places: dict[int, tuple[int, int]]) -> None:
    locks = [
        Lock(compartment_number=number, board=board, channel=channel)
        for number, (board, channel) in places.items()
    ]

    assert not Wiring(locks=locks, hardware={}).fits([1, 2])
    assert WIRING.fits([2, 1])


def test_a_wiring_is_stored_and_read_back() -> None:
    newer = Wiring(locks=WIRING.locks, hardware={"channel_count": 8})

    assert Wiring.stored(json.loads(json.dumps(newer.as_stored()))) == Wiring(
        locks=list(WIRING.locks), hardware={"channel_count": 8}
    )


@pytest.mark.parametrize(
    ("error", "kind", "kept"),
    [
        ("COMPARTMENT_NOT_FOUND", "response", "COMPARTMENT_NOT_FOUND"),
        ("SHUTTING_DOWN", "response", "SHUTTING_DOWN"),
        ("MODBUS_ERROR", "response", "INTERRUPTED"),
        ("TIMEOUT", "response", "INTERRUPTED"),
        ("UNKNOWN_ERROR", "response", "INTERRUPTED"),
        ("OF_TOMORROW", "response", "INTERRUPTED"),
        ("DOOR_JAMMED", "compartment_open_failed", "DOOR_JAMMED"),
    ],
)
def test_an_error_that_may_follow_a_pulse_leaves_the_outcome_open(error: str, kind: str, kept: str) -> None:
    _, example = contract.examples("basic_open_response")

    said = dialect.response_from(example | {"error_code": error})

    assert isinstance(said, dialect.Said)
    assert (said.kind, said.data["error_code"]) == (kind, kept)


def test_numbers_of_the_contract_are_those_of_the_code() -> None:
    config = contract.schema("basic_apply_config")["properties"]["data"]["properties"]
    operations = contract.document()["operations"]
    named = set(re.findall(r"`([A-Z_]+)`", contract.messages()["basic_open_response"]["summary"]))
    fleeting = contract.document()["components"]["operationTraits"]["fleeting"]["bindings"]["mqtt"]

    assert config["heartbeat_interval_seconds"]["const"] == BASIC_HEARTBEAT_INTERVAL.total_seconds()
    assert f"last {BASIC_REACHABLE_FOR.seconds} seconds" in operations["open_basic_door"]["summary"]
    assert named == dialect.REFUSALS | {"DOOR_JAMMED"}
    assert (fleeting["qos"], fleeting["messageExpiryInterval"]) == (0, COMMAND_LIFE.total_seconds())
