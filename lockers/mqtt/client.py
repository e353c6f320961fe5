"""Connections of the server's own account to the broker: MQTT 5 over TLS, host names always checked."""

import socket
import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from lockers.services.broker import DEFAULT_PORT

KEEPALIVE_S = 15


def new_client(name: str, *, manual_ack: bool = False) -> Client:
    """Return a client with our account; it is not connected yet."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=manual_ack,
    )
    address = urlsplit(settings.MQTT_URL)
    client.username_pw_set(unquote(address.username or ""), unquote(address.password or ""))
    client.on_socket_open = _send_at_once
    client.tls_set_context(ssl.create_default_context(cafile=settings.MQTT_CA_FILE or None))
    return client


def place() -> tuple[str, int]:
    """Return host and port of the broker."""
    address = urlsplit(settings.MQTT_URL)
    return address.hostname or "localhost", address.port or DEFAULT_PORT


def _send_at_once(_client: Client, _data: Any, connection: Any) -> None:
    """Let small messages go out without waiting for more."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
