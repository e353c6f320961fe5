"""
Accounts of devices at the broker, kept by Mosquitto's dynamic security plugin.

Each device has an account and a role of its own name; the role holds the device's own topics and no others.
Every call may be repeated: what is already so changes nothing.
"""

import json
import queue
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from paho.mqtt.client import Client, MQTTMessage

from lockers.mqtt import client as mqtt
from lockers.mqtt import topics

_CONTROL = "$CONTROL/dynamic-security/v1"
TIMEOUT_S = 10.0
_QOS = 1


class BrokerError(Exception):
    """The broker could not be reached, or did not do what it was told."""


def admit(device_id: UUID, password: str) -> None:
    """
    Let a device log in, publish and listen on its own topics.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses.
    """
    name = str(device_id)
    _carry_out(
        [
            {"command": "createRole", "rolename": name, "acls": list(_rights(name))},
            {
                "command": "createClient",
                "username": name,
                # Whoever has its password can use no other: two devices never take each other's place.
                "clientid": name,
                "password": password,
                "roles": [{"rolename": name}],
            },
        ],
        harmless="already exists",
    )


def expel(device_id: UUID) -> None:
    """
    Take a device's account away, and end its connection.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses.
    """
    name = str(device_id)
    _carry_out(
        [{"command": "deleteClient", "username": name}, {"command": "deleteRole", "rolename": name}],
        harmless="not found",
    )


def _rights(name: str) -> Iterable[Mapping[str, Any]]:
    for topic in topics.written_by(name):
        yield {"acltype": "publishClientSend", "topic": topic, "allow": True}
    for topic in topics.read_by(name):
        yield {"acltype": "publishClientReceive", "topic": topic, "allow": True}
        yield {"acltype": "subscribeLiteral", "topic": topic, "allow": True}


def _carry_out(commands: Sequence[Mapping[str, Any]], *, harmless: str) -> None:
    """Let the plugin carry out commands; an error whose text holds ``harmless`` is none."""
    with _Session() as session:
        for said in session.ask(commands):
            error = said.get("error")
            if error and harmless not in error.lower():
                raise BrokerError(f"{said.get('command')}: {error}")


class _Session:
    """A short connection, for one exchange with the plugin."""

    def __init__(self) -> None:
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = mqtt.new_client(f"accounts-{uuid4().hex[:12]}")
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.put("")
        self._client.on_message = self._on_message

    def __enter__(self) -> "_Session":
        host, port = mqtt.place()
        try:
            self._client.connect(host, port, mqtt.KEEPALIVE_S)
        except OSError as error:
            raise BrokerError(f"the broker cannot be reached: {error}") from error
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, commands: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        """Yield what the plugin says to each command; others' answers come this way, too."""
        mark = uuid4().hex
        marked = [{**command, "correlationData": mark} for command in commands]
        num_missing = len(commands)
        try:
            if refusal := self._ready.get(timeout=TIMEOUT_S):
                raise BrokerError(refusal)
            self._client.publish(_CONTROL, json.dumps({"commands": marked}), qos=_QOS)
            while num_missing:
                for said in json.loads(self._answers.get(timeout=TIMEOUT_S))["responses"]:
                    if said.get("correlationData") == mark:
                        num_missing -= 1
                        yield said
        except queue.Empty as error:
            raise BrokerError("the broker does not answer") from error

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._ready.put(f"the broker refuses us: {reason}")
        else:
            client.subscribe(f"{_CONTROL}/response", qos=_QOS)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._answers.put(bytes(message.payload))
