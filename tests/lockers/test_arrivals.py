"""What the broker brings is put together as it can be taken: nobody overtakes themselves, many go at once."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from pytest_django import Settings

from lockers.mqtt import topics
from lockers.mqtt.arrivals import Arrived, in_rounds
from lockers.mqtt.gateway import Gateway

REPORT, HEARTBEAT, HELLO = "compartment_closed", "heartbeat", "hello"


def arrived(device: str, mid: int, event: str = REPORT) -> Arrived:
    """Return a message of a device."""
    return Arrived(
        topic=topics.compartments(device),
        envelope={"kid": device, "event": event},
        unsigned=None,
        is_kept=False,
        mid=mid,
        connection=1,
    )


def test_reports_of_several_devices_go_together_and_so_do_heartbeats() -> None:
    batch = [
        arrived("a", 1),
        arrived("b", 2),
        arrived("a", 3),
        arrived("b", 4, HEARTBEAT),
        arrived("c", 5, HEARTBEAT),
        arrived("b", 6),
        arrived("d", 7, HELLO),
        arrived("e", 8, HEARTBEAT),
    ]

    rounds = [[[one.mid for one in turn] for turn in together] for together in in_rounds(batch)]

    assert rounds == [[[1, 3], [2]], [[5], [8]], [[7]], [[4]], [[6]]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([REPORT, HEARTBEAT, HELLO]))))
def test_each_message_comes_once_and_no_device_s_own_order_changes(said: list[tuple[str, str]]) -> None:
    batch = [arrived(device, mid, event) for mid, (device, event) in enumerate(said)]

    rounds = list(in_rounds(batch))

    taken = [one for together in rounds for turn in together for one in turn]
    for device in "abc":
        own = [one for one in batch if one.topic == topics.compartments(device)]
        assert [one for one in taken if one.topic == topics.compartments(device)] == own
    for together in rounds:
        senders = [turn[0].topic for turn in together]
        assert len(senders) == len(set(senders))
        kinds = {(one.is_report, one.is_heartbeat) for one in chain.from_iterable(together)}
        assert len(kinds) == 1
        assert len(together) == 1 or kinds != {(False, False)}


@pytest.mark.parametrize(
    ("granted", "is_heard"),
    [(["Granted QoS 1", "Granted QoS 1"], True), (["Granted QoS 1", "Not authorized"], False)],
)
def test_devices_can_be_heard_once_the_broker_has_granted_every_subscription(
    settings: Settings, granted: list[str], is_heard: bool
) -> None:
    settings.MQTT_URL = "mqtts://dorfbote:secret@broker.example.org:8883"
    link = Gateway("one")
    reasons = [ReasonCode(PacketTypes.SUBACK, name) for name in granted]

    link._on_subscribe(link._client, None, 1, reasons, None)

    assert link._is_heard.is_set() == is_heard
