"""
Accounts of devices at the broker, kept by Mosquitto's dynamic security plugin.

Each device has an account and a role of its own name; the role holds the device's own topics and no others.
A basic device to come has an account to ask for that one, bound to the same client identifier.
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
from lockers.services import broker

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
    rights = _rights(writes=topics.written_by(name), reads=topics.read_by(name))
    _create(name, password, client_id=name, rights=rights)


def admit_newcomer(identity: UUID) -> None:
    """
    Let a basic device to come log in, ask for its account and read the answer, and nothing else.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses.
    """
    rights = _rights(writes=[topics.REGISTRATIONS], reads=[topics.registration_reply(identity)])
    password = broker.newcomer_password(identity)
    _create(broker.newcomer_name(identity), password, client_id=str(identity), rights=rights)


def expel(device_id: UUID) -> None:
    """
    Take a device's account away, and end its connection.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses.
    """
    _delete(str(device_id))


def expel_newcomer(identity: UUID) -> None:
    """
    Take away the account with which a basic device asked for its own.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses.
    """
    _delete(broker.newcomer_name(identity))


def _create(name: str, password: str, *, client_id: str, rights: Sequence[Mapping[str, Any]]) -> None:
    _carry_out(
        [
            {"command": "createRole", "rolename": name, "acls": rights},
            {
                "command": "createClient",
                "username": name,
                # Whoever has its password can use no other: two devices never take each other's place.
                "clientid": client_id,
                "password": password,
                "roles": [{"rolename": name}],
            },
        ],
        harmless="already exists",
    )


def _delete(name: str) -> None:
    _carry_out(
        [{"command": "deleteClient", "username": name}, {"command": "deleteRole", "rolename": name}],
        harmless="not found",
    )


def _rights(*, writes: Sequence[str], reads: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    may_send = [("publishClientSend", topic) for topic in writes]
    may_hear = [(right, topic) for topic in reads for right in ("publishClientReceive", "subscribeLiteral")]
    return [{"acltype": right, "topic": topic, "allow": True} for right, topic in [*may_send, *may_hear]]


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
