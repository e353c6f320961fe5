"""What the broker brings is put together as it can be taken: nobody overtakes themselves, many go at once."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from lockers.mqtt import topics
from lockers.mqtt.arrivals import Arrived, in_rounds

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
