"""The device's end of the link over MQTT: what it says, and what it makes of what it hears."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.connection import PIPELINED
from lockers.device.link import Refused, Unreachable
from tests.lockers.mqtt_bench import (
    CALM,
    DEVICE,
    IMPATIENT,
    KID,
    OTHER,
    SERVER_KEY,
    BrokerProcess,
    Server,
    a_device,
    a_pair,
    becomes,
)


async def test_a_device_greets_and_sends_heartbeats(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await becomes(lambda: len(server.heard("heartbeat")) >= 3)

    topics = [topic for topic, _ in server.said]
    heartbeat = server.heard("heartbeat", "/state/heartbeat")[-1]
    assert topics[0] == f"locker/{DEVICE}/event"
    assert server.said[0][1]["data"]["num_hellos"] == 1
    assert len(server.heard("hello")) == 1
    assert heartbeat["link_epoch"] == device.controller.link_epoch
    assert heartbeat["data"]["uptime_seconds"] in range(60)
    assert not {"boot_id", "seq"} & heartbeat.keys()
    assert server.heard("booted", "/event")
    assert server.heard("compartments", "/state/compartments")


async def test_a_device_that_stops_says_so(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with Server(admitted) as server:
        async with a_device(admitted, tmp_path):
            pass
        await becomes(lambda: server.heard("offline", "/state/connection"))

    assert [message["reason"] for message in server.heard("offline")] == ["shutdown"]


async def test_of_a_device_that_is_cut_off_the_broker_says_so(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        device.network.cut(0.5, half_open=False)
        await becomes(lambda: server.heard("offline"))
        assert len(server.heard("hello")) == 1

        await becomes(lambda: len(server.heard("hello")) == 2)

    assert server.heard("offline")[0]["reason"] == "connection_lost"


async def test_a_broker_that_restarts_is_greeted_anew_as_soon_as_it_is_back(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        loop = asyncio.get_running_loop()
        began_s, away_s = loop.time(), 0.5
        device.network.restart_broker(away_s)
        await becomes(lambda: server.heard("offline"))
        await becomes(lambda: len(server.heard("hello")) == 2)
        assert loop.time() - began_s >= away_s

        await server.send(server.command())
        await becomes(lambda: server.results)
        # A report that the server is slow to accept may come twice.
        assert set(server.results) == {"success"}


async def test_a_command_in_time_pulses_once_and_is_reported(admitted: BrokerProcess, tmp_path: Path) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await server.send(server.command())
        await becomes(lambda: server.results)

    assert (device.locks.pulses, server.results) == ([1], ["success"])


async def test_a_repeated_command_is_answered_again_and_pulses_no_more(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        command = server.command()
        for number in (1, 2):
            await server.send(command)
            await becomes(lambda: len(server.results) >= number)  # noqa: B023
            await becomes(lambda: not device.controller.has_unreported())

    assert (device.locks.pulses, server.results) == ([1], ["success", "success"])


async def test_a_command_of_another_connection_or_after_its_deadline_is_refused(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        await server.send(server.command(link_epoch="another-connection"))
        await server.send(server.command(lives_s=-5))
        await becomes(lambda: len(server.results) == 2)

    assert (device.locks.pulses, server.results) == ([], ["STALE_EPOCH", "EXPIRED"])


async def test_reports_are_said_again_in_their_order_until_they_are_accepted(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.accepts = False
        server.said.clear()
        device.report(3)
        await becomes(lambda: len(server.reports) >= 6)
        server.accepts = True
        await becomes(lambda: not device.controller.has_unreported())

    assert server.reports[:3] == server.reports[3:6] == sorted(set(server.reports))


async def test_no_more_reports_are_under_way_than_a_batch_holds(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        server.accepts = False
        server.said.clear()
        device.report(wire.MAX_BATCH + 50)
        await becomes(lambda: len(server.reports) == wire.MAX_BATCH)
        await asyncio.sleep(0.3)
        assert len(server.reports) == wire.MAX_BATCH

        await server.answer(None, "messages_accepted", accepted=dict([server.reports[-1]]))
        await becomes(lambda: len(server.reports) == wire.MAX_BATCH + 50)

    assert server.reports == sorted(set(server.reports))


async def test_a_burst_of_reports_does_not_hold_up_commands_and_codes(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.accepts = False
        device.report(wire.MAX_BATCH)
        await becomes(lambda: len(server.reports) > PIPELINED)
        await server.send(server.command())
        answer = await device.link.enter("12345678")

        assert len(server.reports) < wire.MAX_BATCH
        assert (answer.outcome, answer.compartment) == ("opening", 1)
        await becomes(lambda: device.locks.pulses == [1, 1])


async def test_after_a_broker_has_gone_the_device_greets_anew_and_nothing_is_lost(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        before = server.epoch
        admitted.stop()
        device.report(5)
        await asyncio.sleep(0.3)
        admitted.start()
        async with Server(admitted, boots=server.boots) as later:
            await becomes(lambda: not device.controller.has_unreported())

    assert later.epoch != before
    assert len(set(later.reports)) == 5


async def test_a_server_that_falls_silent_makes_the_device_connect_anew(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        server.is_silent = True
        await becomes(lambda: len(server.heard("hello")) >= 3)
        device.report()
        server.is_silent = False
        await becomes(lambda: not device.controller.has_unreported())
        await server.send(server.command())
        await becomes(lambda: device.locks.pulses)

    epochs = [message["link_epoch"] for message in server.heard("hello")]
    assert len(set(epochs)) == len(epochs)


async def test_a_device_whose_connection_is_not_known_greets_anew_on_the_same_one(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        server.refusal = "stale-epoch"
        await becomes(lambda: len(server.heard("hello")) >= 2)
        server.refusal = ""
        await device.link.until_connected()
        await server.send(server.command())
        await becomes(lambda: device.locks.pulses)

        assert not server.heard("offline")


async def test_a_report_that_is_refused_for_its_connection_makes_the_device_greet_anew(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        server.accepts = False
        device.report()
        await becomes(lambda: server.heard("collection_done"))
        await server.answer(server.heard("collection_done")[0], "refused", code="stale-epoch")
        await becomes(lambda: len(server.heard("hello")) == 2)
        await becomes(lambda: len(server.heard("collection_done")) == 2)


async def test_a_refusal_of_nothing_that_was_asked_changes_nothing(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path) as (server, _):
        await server.answer(server.heard("hello")[0], "refused", code="stale-epoch")
        num_heartbeats = len(server.heard("heartbeat"))
        await becomes(lambda: len(server.heard("heartbeat")) >= num_heartbeats + 2)

        assert len(server.heard("hello")) == 1


async def test_typed_codes_are_answered_refused_or_left_without_an_answer(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=replace(CALM, keypad_s=1.0)) as (server, device):
        answer = await device.link.enter("12345678")
        assert (answer.outcome, answer.compartment, answer.num_left) == ("opening", 1, 0)
        await becomes(lambda: device.locks.pulses == [1])

        server.refusal = "malformed-message"
        with pytest.raises(Refused, match="malformed-message"):
            await device.link.enter("00000000")
        server.is_silent = True
        with pytest.raises(Unreachable):
            await device.link.enter("12345678")


async def test_what_is_forged_odd_or_no_message_at_all_is_ignored(
    admitted: BrokerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_pair(admitted, tmp_path) as (server, device):
        genuine = server.command()
        strange = [
            {**genuine, "transaction_id": str(uuid4())},
            {**genuine, "kid": "unknown"},
            {**genuine, "sig": None},
            server.command(device_id=OTHER),
            server.seal("messages_accepted", data={"accepted": {"1": "all"}}),
            server.seal("messages_accepted", data=None),
            server.seal("code_answered", in_reply_to=["secret"]),
            server.seal("open_compartment", transaction_id=7),
            server.seal("dance"),
            wire.seal({"device_id": DEVICE}, key=SERVER_KEY, kid=KID, timestamp=datetime.now(UTC)),
            b"",
            b"\xff\x00",
            b"[" * 100_000,
            b'["secret"]',
            b"null",
            b"x" * (wire.MAX_BODY_BYTES + 1),
        ]
        for message in strange:
            for topic in ("command", "answer"):
                await server.send(message, on=topic)
        await server.send(genuine)
        await becomes(lambda: server.results)

        assert (device.locks.pulses, server.results) == ([1], ["success"])
        assert len(server.heard("hello")) == 1
    assert "secret" not in caplog.text


async def test_forged_answers_to_a_greeting_count_for_nothing(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with (
        Server(admitted, is_silent=True) as server,
        a_device(admitted, tmp_path, is_to_connect=False) as device,
    ):
        await becomes(lambda: server.heard("hello"))
        forged = wire.seal(
            {
                "action": "hello_accepted",
                "device_id": DEVICE,
                "in_reply_to": server.heard("hello")[0]["message_id"],
                "data": {"accepted": {}},
            },
            key=Ed25519PrivateKey.generate(),
            kid=KID,
            timestamp=datetime.now(UTC),
        )
        await server.send(forged, on="answer")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await device.link.until_connected()
