"""A client for tests as Open-Locker's contract describes it: MQTT 3.1.1, QoS 1, a session that is kept."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from queue import Queue
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.lockers import contract

PATIENCE_S = 10.0
#: What this release asks for of the boards, in the order in which it hashes them; older ones ask for nothing.
HARDWARE = ("adapter_type", "channel_count", "feedback_type")


class OpenLocker:
    """
    One client: registers with a token, then drives a cabinet whose doors open at once.

    Attributes
    ----------
    told
        The commands that came, in their order.
    pulses
        The transactions for which a lock was driven.
    doors
        Where the doors stand, by number; empty until the client was told of them.
    jammed
        Doors that do not open.
    access
        Where the broker is, and the account with which it asks for its own.
    """

    def __init__(self, environment: Mapping[str, str], access: Mapping[str, Any], token: str) -> None:
        self._environment = environment
        self.access = access
        self._token = token
        self._account: tuple[str, str] | None = None
        self._locker = ""
        self._finished: set[str] = set()
        self._delivered: dict[str, int] = {}
        self._client: Client | None = None
        self._published: MQTTMessageInfo | None = None
        self.told: list[dict[str, Any]] = []
        self.pulses: list[str] = []
        self.doors: dict[int, str] = {}
        self.jammed: set[int] = set()

    @property
    def identity(self) -> str:
        """Whose topics it has."""
        return self._locker

    def qos_of(self, transaction_id: str) -> int:
        """Return how a command was delivered."""
        return self._delivered[transaction_id]

    # The account.

    def register(self, *, client_id: str | None = None) -> Mapping[str, Any]:
        """Ask for an account, and return the answer."""
        name = client_id or self.access["client_id"]
        answers: Queue[MQTTMessage] = Queue()
        client = self._new_client(self.access["username"], self.access["password"])
        client.on_message = lambda _client, _data, message: answers.put(message)
        try:
            self._connect(client)
            self._subscribe(client, f"locker/provisioning/reply/{name}")
            wish = {"message_id": str(uuid4()), "client_id": name, "timestamp": _now()}
            client.publish(f"locker/register/{self._token}", json.dumps(wish), qos=1)
            answer: dict[str, Any] = json.loads(answers.get(timeout=PATIENCE_S).payload)
        finally:
            self._disconnect(client)
        if answer["status"] == "success":
            assert contract.faults_in_saying("basic_welcome", answer) == []
            self._account = answer["data"]["mqtt_user"], answer["data"]["mqtt_password"]
            self._locker = answer["data"].get("locker_uuid", answer["data"]["mqtt_user"])
        else:
            assert contract.faults_in_saying("basic_rejection", answer) == []
        return answer

    # The connection.

    def __enter__(self) -> Self:
        assert self._account is not None
        self._client = client = self._new_client(*self._account)
        will = {"message_id": str(uuid4()), "timestamp": _now(), "status": "offline", "reason": "lost"}
        assert contract.faults("basic_connection", will) == []
        client.will_set(f"locker/{self._locker}/state/connection", json.dumps(will), qos=1)
        client.on_message = self._on_message
        self._connect(client)
        self._subscribe(client, f"locker/{self._locker}/command")
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._disconnect(self._client)
            self._client = None

    def vanish(self) -> None:
        """Lose the connection without a word: the broker publishes the will, and keeps the session."""
        assert self._client is not None
        client, self._client = self._client, None
        sock = client.socket()
        assert sock is not None
        client.loop_stop()
        sock.close()

    # What it says by itself.

    def beat(self) -> None:
        """Show life."""
        self.say("state/heartbeat", "basic_heartbeat", uptime_seconds=12)

    def move(self, number: int, state: str) -> None:
        """Let a door move, as the sensors see it."""
        self.doors[number] = state
        self._snapshot()

    def say(self, kind: str, name: str, *, retain: bool = False, **fields: Any) -> dict[str, Any]:
        """Publish a message on one of the device's topics, and return it."""
        content = {"message_id": str(uuid4()), "timestamp": _now(), **fields}
        assert contract.faults(name, content) == []
        self.publish(kind, json.dumps(content), retain=retain)
        return content

    def publish(self, kind: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish anything on one of the device's topics."""
        assert self._client is not None
        topic = f"locker/{self._locker}/{kind}"
        self._published = self._client.publish(topic, payload, qos=1, retain=retain)

    def is_heard_by_the_broker(self) -> None:
        """Wait until the broker has all that was published."""
        assert self._published is not None
        self._published.wait_for_publish(PATIENCE_S)

    # What it does when it is told.

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        command: dict[str, Any] = json.loads(message.payload)
        self.told.append(command)
        self._delivered[command["transaction_id"]] = message.qos
        if command["transaction_id"] in self._finished:
            return
        self._finished.add(command["transaction_id"])
        if command["action"] == "apply_config":
            self._apply(command)
        else:
            self._open(command)

    def _apply(self, command: Mapping[str, Any]) -> None:
        assert contract.faults_in_saying("basic_apply_config", command) == []
        if _hash(command["data"]) != command["data"]["config_hash"]:
            self._answer(command, "basic_config_response", result="error", error_code="INVALID_CONFIG")
            return
        self.doors = {row["compartment_number"]: "closed" for row in command["data"]["compartments"]}
        self._snapshot()
        applied = command["data"]["config_hash"]
        self._answer(command, "basic_config_response", result="success", applied_config_hash=applied)

    def _open(self, command: Mapping[str, Any]) -> None:
        assert contract.faults_in_saying("basic_open_compartment", command) == []
        number, transaction = command["data"]["compartment_number"], command["transaction_id"]
        if number not in self.doors:
            error = "COMPARTMENT_NOT_FOUND" if self.doors else "RUNTIME_CONFIG_NOT_APPLIED"
            self._answer(command, "basic_open_response", result="error", error_code=error, message="no")
            return
        self.pulses.append(transaction)
        self._answer(command, "basic_open_response", result="success")
        about = {"compartment_number": number, "transaction_id": transaction}
        if number in self.jammed:
            about |= {"outcome": "door_jammed", "error_code": "DOOR_JAMMED"}
            self.say("event", "basic_open_failed", event="compartment_open_failed", data=about)
            return
        about |= {"outcome": "opened", "detection_ms": 500}
        self.say("event", "basic_open_detected", event="compartment_open_detected", data=about)
        self.move(number, "open")

    def _answer(self, command: Mapping[str, Any], name: str, **fields: Any) -> None:
        about = {"action": command["action"], "transaction_id": command["transaction_id"]}
        self.say("response", name, type="command_response", **about, **fields)

    def _snapshot(self) -> None:
        rows = [
            {"compartment_number": number, "door_state": state}
            for number, state in sorted(self.doors.items())
        ]
        self.say("state/compartments", "basic_compartments", retain=True, compartments=rows)

    def _new_client(self, username: str, password: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self.access["client_id"],
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.tls_set(ca_certs=self._environment["MQTT_CA_FILE"])
        client.username_pw_set(username, password)
        answers: Queue[bool] = Queue()
        client.user_data_set(answers)
        client.on_connect = lambda *told: answers.put(told[3].is_failure)
        client.on_subscribe = lambda *told: answers.put(told[3][0].is_failure)
        return client

    def _connect(self, client: Client) -> None:
        address = urlsplit(self._environment["MQTT_URL"])
        client.connect(str(address.hostname), int(address.port or 0))
        client.loop_start()
        if client.user_data_get().get(timeout=PATIENCE_S):
            raise ConnectionRefusedError(self.access["client_id"])

    def _subscribe(self, client: Client, topic: str) -> None:
        client.subscribe(topic, qos=1)
        is_refused: bool = client.user_data_get().get(timeout=PATIENCE_S)
        assert not is_refused, topic

    def _disconnect(self, client: Client) -> None:
        client.disconnect()
        client.loop_stop()


def until(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        threading.Event().wait(0.02)


def _hash(data: Mapping[str, Any]) -> str:
    """Hash a wiring in the way that this release does."""
    names: Sequence[str] = ("compartment_number", "slaveId", "address")
    rows = sorted(data["compartments"], key=lambda row: int(row["compartment_number"]))
    ordered = [{name: row[name] for name in names} for row in rows]
    asked = {name: data[name] for name in HARDWARE if name in data}
    hashed: Any = {**asked, "compartments": ordered} if asked else ordered
    return hashlib.sha256(json.dumps(hashed, separators=(",", ":")).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
