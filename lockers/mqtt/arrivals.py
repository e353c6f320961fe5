"""What the broker brings: messages of devices, read, and put together as they can be taken."""

import queue
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from paho.mqtt.client import MQTTMessage

from lockers import dialect, wire
from lockers.mqtt import topics
from lockers.services import basic

#: Events that are taken one by one; all but these and heartbeats are numbered reports.
_ALONE = frozenset({"hello", "code_entered"})


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
    def is_heartbeat(self) -> bool:
        """Tell whether it may be taken together with those of other devices."""
        return self.envelope is not None and self.envelope.get("event") == "heartbeat"

    @property
    def is_report(self) -> bool:
        """Tell whether it may be taken together with others of this device and of other devices."""
        if self.envelope is None or self.is_heartbeat:
            return False
        return str(self.envelope.get("event")) not in _ALONE


#: Messages of one device that are taken together, in the order in which they came.
Turn = Sequence[Arrived]
#: Where messages wait to be taken; nothing more comes after ``None``.
Waiting = queue.SimpleQueue[Arrived | None]


def read(message: MQTTMessage, connection: int) -> Arrived:
    """Return what arrived: an envelope only of the device that alone may publish there."""
    try:
        content = wire.read(bytes(message.payload))
    except wire.BadEnvelope:
        content = None
    is_object = isinstance(content, dict)
    is_envelope = is_object and content.get("kid") == topics.device_of(message.topic)
    is_unsigned = is_object and not content.keys() & {"kid", "sig"} and basic.are_on()
    return Arrived(
        topic=message.topic,
        envelope=content if is_envelope else None,
        unsigned=content if is_unsigned else None,
        is_kept=message.retain,
        mid=message.mid,
        connection=connection,
    )


def at_hand(waiting: Waiting) -> Iterator[Arrived]:
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


def in_rounds(batch: Sequence[Arrived]) -> Iterator[Sequence[Turn]]:
    """Yield what can be taken at once: reports of several devices, their heartbeats, or a message alone."""
    by_device: dict[str, list[Arrived]] = defaultdict(list)
    for arrived in batch:
        by_device[topics.device_of(arrived.topic)].append(arrived)
    for turns in zip_longest(*map(_in_turns, by_device.values())):
        reports = [turn for turn in turns if turn and turn[0].is_report]
        heartbeats = [turn for turn in turns if turn and turn[0].is_heartbeat]
        yield from (together for together in (reports, heartbeats) if together)
        yield from ([turn] for turn in turns if turn and not (turn[0].is_report or turn[0].is_heartbeat))


def _in_turns(of_one: Sequence[Arrived]) -> Iterator[Turn]:
    for is_report, together in groupby(of_one, key=lambda arrived: arrived.is_report):
        if is_report:
            yield list(together)
        else:
            yield from ([alone] for alone in together)
