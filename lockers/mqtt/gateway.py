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
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from redis import Redis
from redis.exceptions import RedisError

from common.clock import real_now
from lockers import dialect, exchange, link, wake, wire
from lockers.exceptions import LinkError, MalformedMessage, StaleEpoch
from lockers.models import OpenCommand
from lockers.mqtt import basic, topics
from lockers.mqtt import client as mqtt
from lockers.services import basic as basic_devices
from lockers.services import commands, devices
from lockers.states import Profile, Transport

logger = logging.getLogger(__name__)

#: On SQLite writers take turns, and a second one would only wait.
NUM_TAKERS = 2 if connection.features.has_select_for_update else 1
#: How many messages the broker may send ahead of our acknowledgements.
WINDOW = 1_000
#: How often the database is asked for commands, should hints be lost.
LOOK_EVERY_S = 1.0
DATABASE_AGAIN_AFTER_S = 0.5
QOS = 1


#: Events that are taken one by one; all others are numbered reports, taken together.
_ALONE = frozenset({"hello", "heartbeat", "code_entered"})


@dataclass(frozen=True, slots=True)
class Arrived:
    """
    A message as the broker brought it.

    ``envelope`` is what a full device may have signed, ``unsigned`` what a basic one may have said, and
    neither is there if its sender cannot have said it. ``is_kept`` tells what the broker had kept.
    """

    topic: str
    envelope: wire.Envelope | None
    unsigned: dialect.Content | None
    is_kept: bool
    mid: int
    connection: int

    @property
    def is_report(self) -> bool:
        """Tell whether it may be taken together with others."""
        return self.envelope is not None and str(self.envelope.get("event")) not in _ALONE


class Gateway:
    """Serves devices over one connection to the broker, until it is stopped."""

    def __init__(self, name: str, *, group: str = "link") -> None:
        self._group = group
        self._stopped = threading.Event()
        self._is_heard = threading.Event()
        self._num_connections = 0
        #: Basic devices whose kept snapshot was asked for in the present connection.
        self._caught_up: set[str] = set()
        self._arrived: Sequence[queue.SimpleQueue[Arrived | None]] = [
            queue.SimpleQueue() for _ in range(NUM_TAKERS)
        ]
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
            threading.Thread(target=self._take, args=(waiting,), name=f"take-{number}")
            for number, waiting in enumerate(self._arrived)
        ]
        threads.append(threading.Thread(target=self._send, name="send"))
        self._client.loop_start()
        for thread in threads:
            thread.start()
        while not self._stopped.is_set() and not self._is_heard.wait(0.1):
            pass
        if not self._stopped.is_set():
            ready()
        self._stopped.wait()
        for waiting in self._arrived:
            waiting.put(None)
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

    def _on_subscribe(self, *_: Any) -> None:
        logger.info("the broker hands on what devices say")
        self._is_heard.set()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._stopped.is_set():
            logger.warning("no connection to the broker: %s", reason)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        arrived = _read(message, self._num_connections)
        taker = hash(topics.device_of(message.topic)) % len(self._arrived)
        self._arrived[taker].put(arrived)

    # What devices say, on threads of its own.

    def _take(self, waiting: "queue.SimpleQueue[Arrived | None]") -> None:
        while (first := waiting.get()) is not None:
            batch = [first, *_at_hand(waiting)]
            self._take_batch(batch)
        connection.close()

    def _take_batch(self, batch: Sequence[Arrived]) -> None:
        for together in _in_turns(batch):
            if not self._is_settled(together):
                return
            for arrived in together:
                # An earlier connection's messages are not this one's to acknowledge; they come again.
                if arrived.connection == self._num_connections:
                    self._client.ack(arrived.mid, QOS)

    def _is_settled(self, together: Sequence[Arrived]) -> bool:
        """Take messages of one device, trying again while the database is away; tell whether it did."""
        while not self._stopped.is_set():
            try:
                close_old_connections()
                self._take_together(together)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away: %s", error)
                connection.close()
                self._stopped.wait(DATABASE_AGAIN_AFTER_S)
            except Exception:
                # A fault of ours: the device says it again, and others are served meanwhile.
                logger.exception("a message could not be taken")
                return True
            else:
                return True
        return False

    def _take_together(self, together: Sequence[Arrived]) -> None:
        topic = together[0].topic
        device_id = topics.device_of(topic)
        if topic == topics.connection(device_id):
            _take_farewell(device_id)
            return
        if together[0].unsigned is not None:
            self._take_unsigned(together[0], together[0].unsigned)
            return
        envelopes = [arrived.envelope for arrived in together if arrived.envelope is not None]
        if len(envelopes) == 1:
            self._take_envelope(envelopes[0])
        elif envelopes:
            self._take_reports(envelopes)

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

    def _take_envelope(self, envelope: wire.Envelope) -> None:
        act = self._acts.get(str(envelope.get("event")), Gateway._take_report)
        try:
            act(self, envelope)
        except LinkError as error:
            self._refuse(envelope, error)

    def _take_reports(self, envelopes: Sequence[wire.Envelope]) -> None:
        try:
            self._answer(exchange.take_reports(envelopes))
        except LinkError:
            # One of them is to blame; the others are taken.
            for envelope in envelopes:
                self._take_envelope(envelope)

    def _take_report(self, envelope: wire.Envelope) -> None:
        self._answer(exchange.take_reports([envelope]))

    def _take_hello(self, envelope: wire.Envelope) -> None:
        self._answer(exchange.hello(envelope, transport=Transport.MQTT))

    def _take_heartbeat(self, envelope: wire.Envelope) -> None:
        for answer in exchange.heartbeat(envelope):
            self._answer(answer)

    def _take_code(self, envelope: wire.Envelope) -> None:
        said = exchange.enter_code(envelope)
        if said.command is not None and commands.claim(said.command):
            self._unlock(said.command, at=real_now())
        self._answer(said.answer)

    #: What is not a numbered report.
    _acts: Mapping[str, Callable[["Gateway", wire.Envelope], None]] = {
        "hello": _take_hello,
        "heartbeat": _take_heartbeat,
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
        hints = _Hints()
        while not self._stopped.is_set():
            hints.wait(LOOK_EVERY_S)
            if not self._client.is_connected():
                continue
            try:
                close_old_connections()
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


class _Hints:
    """Waits for hints by Redis that a command waits; without Redis it waits all the same."""

    def __init__(self) -> None:
        self._redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1)
        self._hints = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def wait(self, timeout_s: float) -> None:
        """Wait for a hint, at most so long; hints that came at the same time count as one."""
        until_s = time.monotonic() + timeout_s
        try:
            if not self._hints.subscribed:
                self._hints.subscribe(wake.CHANNEL)
            while (left_s := until_s - time.monotonic()) > 0:
                if self._hints.get_message(timeout=left_s):
                    while self._hints.get_message(timeout=0):
                        pass
                    return
        except (RedisError, OSError) as error:
            logger.warning("no hints from Redis: %s", error)
            time.sleep(max(0.0, until_s - time.monotonic()))

    def close(self) -> None:
        """Let go of the connection."""
        self._hints.close()
        self._redis.close()


def _read(message: MQTTMessage, connection: int) -> Arrived:
    """Return what arrived: an envelope only of the device that alone may publish there."""
    try:
        content = wire.read(bytes(message.payload))
    except wire.BadEnvelope:
        content = None
    is_object = isinstance(content, dict)
    is_envelope = is_object and content.get("kid") == topics.device_of(message.topic)
    is_unsigned = is_object and not content.keys() & {"kid", "sig"} and basic_devices.are_on()
    return Arrived(
        topic=message.topic,
        envelope=content if is_envelope else None,
        unsigned=content if is_unsigned else None,
        is_kept=message.retain,
        mid=message.mid,
        connection=connection,
    )


def _at_hand(waiting: "queue.SimpleQueue[Arrived | None]") -> Iterator[Arrived]:
    """Yield what waits already, as much as one batch holds."""
    for _ in range(wire.MAX_BATCH - 1):
        try:
            arrived = waiting.get_nowait()
        except queue.Empty:
            return
        if arrived is None:
            waiting.put(None)
            return
        yield arrived


def _in_turns(batch: Sequence[Arrived]) -> Iterator[Sequence[Arrived]]:
    """Yield what can be taken at once: reports of one device together, in the order in which they came."""
    by_device: dict[str, list[Arrived]] = defaultdict(list)
    for arrived in batch:
        by_device[topics.device_of(arrived.topic)].append(arrived)
    for of_one in by_device.values():
        for is_report, together in groupby(of_one, key=lambda arrived: arrived.is_report):
            if is_report:
                yield list(together)
            else:
                yield from ([alone] for alone in together)


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
