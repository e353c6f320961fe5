"""
What the link process does: takes what devices publish, answers, and sends the commands that wait.

Messages are acknowledged to the broker after what they say is committed. Those of one device are taken in
the order in which they came; any number of processes share the devices' messages among them.
"""

import json
import logging
import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from common.clock import real_now
from lockers import dialect, exchange, link, wire
from lockers.exceptions import LinkError, MalformedMessage, StaleEpoch
from lockers.models import OpenCommand
from lockers.mqtt import basic, topics
from lockers.mqtt import client as mqtt
from lockers.mqtt.arrivals import Arrived, Turn, Waiting, at_hand, in_rounds, read
from lockers.mqtt.hints import Hints
from lockers.services import basic as basic_devices
from lockers.services import commands, devices
from lockers.states import Profile, Transport

logger = logging.getLogger(__name__)

#: How many messages the broker may send ahead of our acknowledgements.
WINDOW = 1_000
#: How often the database is asked for commands, should hints be lost.
LOOK_EVERY_S = 1.0
DATABASE_AGAIN_AFTER_S = 0.5
QOS = 1


class Gateway:
    """Serves devices over one connection to the broker, until it is stopped."""

    def __init__(self, name: str, *, group: str = "link") -> None:
        self._group = group
        self._stopped = threading.Event()
        self._is_heard = threading.Event()
        self._num_connections = 0
        #: Basic devices whose kept snapshot was asked for in the present connection.
        self._caught_up: set[str] = set()
        self._arrived: Waiting = queue.SimpleQueue()
        self._client = mqtt.new_client(name, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(min_delay=1, max_delay=5)

    def run(self, *, ready: Callable[[], None]) -> None:
        """Connect and serve; ``ready`` is called once devices can be heard. Returns after ``stop``."""
        host, port = mqtt.place()
        # What was not acknowledged when we go is not kept for us: devices say it again, to whoever is there.
        properties = _properties(PacketTypes.CONNECT, ReceiveMaximum=WINDOW, SessionExpiryInterval=0)
        self._client.connect_async(host, port, mqtt.KEEPALIVE_S, clean_start=True, properties=properties)
        threads = [
            threading.Thread(target=self._take, name="take"),
            threading.Thread(target=self._send, name="send"),
        ]
        self._client.loop_start()
        for thread in threads:
            thread.start()
        while not self._stopped.is_set() and not self._is_heard.wait(0.1):
            pass
        if not self._stopped.is_set():
            ready()
        self._stopped.wait()
        self._arrived.put(None)
        for thread in threads:
            thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def stop(self) -> None:
        """Let ``run`` come to its end; what was taken is still committed and acknowledged."""
        self._stopped.set()

    # The connection, on the client's own thread.

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            logger.error("the broker refuses us: %s", reason)
            return
        self._num_connections += 1
        options = SubscribeOptions(qos=QOS)
        wanted = [*topics.FROM_DEVICES, *([topics.REGISTRATIONS] if basic_devices.are_on() else [])]
        self._caught_up.clear()
        client.subscribe([(f"$share/{self._group}/{topic}", options) for topic in wanted])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: Sequence[Any], _properties: Any
    ) -> None:
        if refused := [reason for reason in reasons if reason.is_failure]:
            logger.error("the broker refuses a subscription: %s", refused[0])
            return
        logger.info("the broker hands on what devices say")
        self._is_heard.set()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._stopped.is_set():
            logger.warning("no connection to the broker: %s", reason)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._arrived.put(read(message, self._num_connections))

    # What devices say, on a thread of its own: the more waits, the more is taken at once.

    def _take(self) -> None:
        while (first := self._arrived.get()) is not None:
            self._take_batch([first, *at_hand(self._arrived)])
        connection.close()

    def _take_batch(self, batch: Sequence[Arrived]) -> None:
        for together in in_rounds(batch):
            if not self._is_settled(together):
                return
            for arrived in chain.from_iterable(together):
                # An earlier connection's messages are not this one's to acknowledge; they come again.
                if arrived.connection == self._num_connections:
                    self._client.ack(arrived.mid, QOS)

    def _is_settled(self, together: Sequence[Turn]) -> bool:
        """Take what devices said, trying again while the database is away; tell whether it was taken."""
        while not self._stopped.is_set():
            try:
                self._take_together(together)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away: %s", error)
                connection.close()
                self._stopped.wait(DATABASE_AGAIN_AFTER_S)
            except Exception:
                if len(together) > 1:
                    # One of them is to blame; the others are taken.
                    return all(self._is_settled([turn]) for turn in together)
                # A fault of ours: the device says it again, and others are served meanwhile.
                logger.exception("a message could not be taken")
                return True
            else:
                return True
        return False

    def _take_together(self, together: Sequence[Turn]) -> None:
        if together[0][0].is_report:
            self._take_reports([_envelopes(turn) for turn in together])
            return
        if together[0][0].is_heartbeat:
            self._take_heartbeats([envelope for turn in together for envelope in _envelopes(turn)])
            return
        [[arrived]] = together
        device_id = topics.device_of(arrived.topic)
        if arrived.topic == topics.connection(device_id):
            _take_farewell(device_id)
        elif arrived.unsigned is not None:
            self._take_unsigned(arrived, arrived.unsigned)
        elif arrived.envelope is not None:
            self._take_alone(arrived.envelope)

    def _take_unsigned(self, arrived: Arrived, content: dialect.Content) -> None:
        whose = topics.device_of(arrived.topic)
        if arrived.is_kept and whose not in self._caught_up:
            return
        try:
            said = basic.take(arrived.topic, content, is_kept=arrived.is_kept)
        except LinkError as error:
            # The topic of a registration holds a token, and is written down nowhere.
            logger.warning("refused an unsigned message of %s: %s", whose, error.code)
            return
        if said is not None:
            self._publish(said)
        if arrived.topic == topics.heartbeat(whose):
            self._catch_up(whose)

    def _catch_up(self, device_id: str) -> None:
        """Ask once for the snapshot that the broker kept: only it tells what was said before we came."""
        if device_id not in self._caught_up:
            self._caught_up.add(device_id)
            topic = topics.compartments(device_id)
            self._client.subscribe(topic, options=SubscribeOptions(qos=QOS))
            self._client.unsubscribe(topic)

    def _take_alone(self, envelope: wire.Envelope) -> None:
        try:
            self._alone[str(envelope["event"])](self, envelope)
        except LinkError as error:
            self._refuse(envelope, error)

    def _take_reports(self, batches: Sequence[Sequence[wire.Envelope]]) -> None:
        for batch, said in zip(batches, exchange.take_all_reports(batches), strict=True):
            if not isinstance(said, LinkError):
                self._answer(said)
            elif len(batch) == 1:
                self._refuse(batch[0], said)
            else:
                # One of them is to blame; the others are taken.
                for envelope in batch:
                    self._take_reports([[envelope]])

    def _take_heartbeats(self, envelopes: Sequence[wire.Envelope]) -> None:
        for envelope, said in zip(envelopes, exchange.all_heartbeats(envelopes), strict=True):
            if isinstance(said, LinkError):
                self._refuse(envelope, said)
            else:
                for answer in said:
                    self._answer(answer)

    def _take_hello(self, envelope: wire.Envelope) -> None:
        self._answer(exchange.hello(envelope, transport=Transport.MQTT))

    def _take_code(self, envelope: wire.Envelope) -> None:
        said = exchange.enter_code(envelope)
        if said.command is not None:
            self._unlock(said.command, at=real_now())
        self._answer(said.answer)

    _alone: Mapping[str, Callable[["Gateway", wire.Envelope], None]] = {
        "hello": _take_hello,
        "code_entered": _take_code,
    }

    def _refuse(self, envelope: wire.Envelope, error: LinkError) -> None:
        logger.warning("refused a message of %s: %s", envelope.get("kid"), error.code)
        if isinstance(error, (StaleEpoch, MalformedMessage)):
            refusal = exchange.refusal(envelope, error)
            if refusal is not None:
                self._answer(refusal)

    def _answer(self, answer: wire.Envelope) -> None:
        self._client.publish(topics.answer(answer["device_id"]), _compact(answer), qos=QOS)

    # What we say by ourselves, on a thread of its own.

    def _send(self) -> None:
        hints = Hints()
        while not self._stopped.is_set():
            hints.wait(LOOK_EVERY_S)
            if not self._client.is_connected():
                continue
            try:
                for command in commands.claim_unsent(real_at=real_now()):
                    self._unlock(command, at=real_now())
                for codes in exchange.lists_due(Transport.MQTT):
                    self._answer(codes)
            except (OperationalError, InterfaceError) as error:
                logger.warning("cannot look for commands: %s", error)
                connection.close()
        hints.close()
        connection.close()

    def _unlock(self, command: OpenCommand, *, at: datetime) -> None:
        if command.device.profile == Profile.BASIC:
            if (said := basic.unlock(command, at=at)) is not None:
                self._publish(said)
            return
        left_s = math.ceil((command.expires_at - at).total_seconds())
        if left_s <= 0:
            return
        sent = self._client.publish(
            topics.command(command.device_id),
            _compact(link.unlock(command, at=at)),
            qos=QOS,
            properties=_properties(PacketTypes.PUBLISH, MessageExpiryInterval=left_s),
        )
        if sent.rc != MQTT_ERR_SUCCESS:
            logger.warning("command %s waits for the broker", command.pk)

    def _publish(self, said: basic.Publication) -> None:
        properties = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=said.life_s)
        self._client.publish(said.topic, _compact(said.content), qos=said.qos, properties=properties)


def _envelopes(turn: Turn) -> Sequence[wire.Envelope]:
    return [arrived.envelope for arrived in turn if arrived.envelope is not None]


def _take_farewell(device_id: str) -> None:
    """Take the broker's word that a device has gone; nobody signed it, so it is but a hint."""
    with suppress(ValueError):
        devices.suspect(UUID(device_id), real_at=real_now())


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))
