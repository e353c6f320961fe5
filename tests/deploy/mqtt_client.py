"""An MQTT client for tests: every call waits for the broker's answer."""

import json
from collections.abc import Mapping
from queue import Queue
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE_S = 10.0
CONTROL = "$CONTROL/dynamic-security/v1"
#: Reason codes of MQTT 5.
SUCCESS, GRANTED, NOBODY_LISTENS, NOT_AUTHORIZED, THROWN_OUT = 0, 1, 16, 135, 152


class Connection:
    """
    One connection to a broker, closed when the context is left.

    Parameters
    ----------
    environment
        Where the broker is, and whose certificates are trusted.
    username, password
        Those of the environment's URL if none are given.

    Attributes
    ----------
    accepted
        The reason code of the answer to the wish to connect.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        username: str | None = None,
        password: str | None = None,
        *,
        client_id: str = "",
    ) -> None:
        address = urlsplit(environment["MQTT_URL"])
        self._host, self._port = str(address.hostname), int(address.port or 0)
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.tls_set(ca_certs=environment["MQTT_CA_FILE"])
        self._client.username_pw_set(username or address.username, password or address.password)
        self._answers: Queue[int] = Queue()
        self._messages: Queue[tuple[str, bytes]] = Queue()
        self._ends: Queue[int] = Queue()
        # Among what these are told the reason is always the fourth.
        self._client.on_connect = lambda *told: self._answers.put(told[3].value)
        self._client.on_publish = lambda *told: self._answers.put(told[3].value)
        self._client.on_subscribe = lambda *told: self._answers.put(told[3][0].value)
        self._client.on_disconnect = lambda *told: self._ends.put(told[3].value)
        self._client.on_message = lambda *told: self._messages.put((told[2].topic, told[2].payload))

    def __enter__(self) -> Self:
        self._client.connect(self._host, self._port)
        self._client.loop_start()
        self.accepted = self._answer()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> int:
        """Return the reason code of the answer to a subscription."""
        self._client.subscribe(topic, qos=1)
        return self._answer()

    def publish(self, topic: str, payload: str = "") -> int:
        """Return the reason code of the answer to a message."""
        self._client.publish(topic, payload, qos=1)
        return self._answer()

    def send(self, topic: str, payload: str, *, qos: int, life_s: int | None = None) -> None:
        """Publish a message that the broker keeps for so long, if it does; its answer is not asked for."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if life_s is not None:
            properties.MessageExpiryInterval = life_s
        self._client.publish(topic, payload, qos=qos, properties=properties).wait_for_publish(PATIENCE_S)

    def message(self, within_s: float = PATIENCE_S) -> tuple[str, bytes]:
        """Return the next message's topic and payload."""
        return self._messages.get(timeout=within_s)

    def end(self) -> int:
        """Return the reason code with which the broker ended the connection."""
        return self._ends.get(timeout=PATIENCE_S)

    def _answer(self) -> int:
        return self._answers.get(timeout=PATIENCE_S)


class Administration(Connection):
    """A connection of our own account that makes and deletes those of devices."""

    def __enter__(self) -> Self:
        super().__enter__()
        assert self.subscribe(f"{CONTROL}/response") == GRANTED
        return self

    def do(self, command: str, **arguments: Any) -> None:
        """Give a command and see that it was carried out."""
        self.publish(CONTROL, json.dumps({"commands": [{"command": command, **arguments}]}))
        _, payload = self.message()
        assert json.loads(payload) == {"responses": [{"command": command}]}

    def make_device(self, name: str, password: str) -> None:
        """Make an account that says and hears what a locker's device does, under its own name only."""
        says = ("event", "response", "state/+")
        acls = [("publishClientSend", kind) for kind in says]
        for kind in ("command", "answer"):
            acls += [("subscribeLiteral", kind), ("publishClientReceive", kind)]
        self.do(
            "createRole",
            rolename=name,
            acls=[
                {"acltype": acl_type, "topic": f"locker/{name}/{kind}", "priority": 0, "allow": True}
                for acl_type, kind in acls
            ],
        )
        self.do("createClient", username=name, clientid=name, password=password, roles=[{"rolename": name}])
