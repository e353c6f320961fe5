"""How a device comes to a broker over MQTT, and what becomes of it when the network fails."""

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from deploy.local.certificates import certify_localhost
from lockers import wire
from lockers.device import identity
from lockers.device.control import Control
from lockers.device.hands import Hands, HandsError
from lockers.device.identity import Identity
from lockers.device.link import LinkKind, Unreachable
from lockers.device.simulator import Fleet
from tests.lockers.mqtt_bench import (
    CALM,
    DEVICE,
    IMPATIENT,
    KID,
    SERVER_KEY,
    BrokerProcess,
    Server,
    a_device,
    a_pair,
    becomes,
)


async def test_a_device_that_is_not_yet_admitted_tries_until_it_is(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async with Server(broker) as server, a_device(broker, tmp_path, is_to_connect=False) as device:
        await asyncio.sleep(0.3)
        assert not server.said

        await asyncio.to_thread(broker.admit)
        async with asyncio.timeout(20):
            await device.link.until_connected()


async def test_a_broker_that_the_device_has_no_reason_to_trust_learns_nothing(
    admitted: BrokerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certify_localhost(tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    async with Server(admitted) as server, a_device(admitted, tmp_path, trust=trust, is_to_connect=False):
        await becomes(lambda: "certificate verify failed" in caplog.text)

        assert not server.said


async def test_what_was_under_way_when_the_network_fell_silent_arrives_late(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=CALM) as (server, device):
        device.network.cut(0.4, half_open=True)
        device.report()
        await server.send(server.command(lives_s=10))
        await server.send(server.command(lives_s=0.2))
        await asyncio.sleep(0.2)
        assert (device.locks.pulses, server.heard("collection_done")) == ([], [])

        await becomes(lambda: len(server.results) == 2)

        assert (device.locks.pulses, server.results) == ([1], ["success", "EXPIRED"])
        assert len(server.heard("hello")) == 1
        assert server.heard("collection_done")


async def test_a_network_that_stays_silent_is_noticed_by_a_heartbeat(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async with a_pair(admitted, tmp_path, rhythm=IMPATIENT) as (server, device):
        command = server.command()
        device.network.cut(1.5, half_open=True)
        await server.send(command)
        await becomes(lambda: device.controller.link_epoch != server.epoch or device.link._session is None)
        assert not server.heard("offline")
        device.report()

        await becomes(lambda: len(server.heard("hello")) == 2)
        await becomes(lambda: not device.controller.has_unreported())

        # The command waits for the connection that is no more.
        assert device.locks.pulses == []


async def test_a_fleet_is_brought_into_service_over_https_and_then_speaks_mqtt(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    names = [str(uuid4()) for _ in range(3)]

    async def provision(request: httpx.Request) -> httpx.Response:
        name = json.loads(request.content)["token"]
        await asyncio.to_thread(broker.admit, name)
        return _provisioned(name, mqtt=asdict(broker.account(name)))

    async with Server(broker) as server:
        fleet = a_fleet(broker, tmp_path, provision)
        for name in names:
            await fleet.add(name, name)
        assert [message["kid"] for message in server.heard("hello")] == names
        await fleet.close()
        await becomes(lambda: len(server.heard("offline")) == 3)

        again = a_fleet(broker, tmp_path, _nobody_answers)
        await again.add(names[0], "")
        assert [message["kid"] for message in server.heard("hello")] == [*names, names[0]]
        await again.close()


async def test_a_locker_older_than_the_broker_asks_once_more_where_it_is(
    admitted: BrokerProcess, tmp_path: Path
) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=asdict(admitted.account()))

    directory = tmp_path / "fleet" / "dorf"
    directory.mkdir(parents=True)
    who = Identity(device_id=DEVICE, locker="dorf", key=identity.make_key(directory), server_keys={})
    identity.keep(directory, who, [1])

    fleet = a_fleet(admitted, tmp_path, provision)
    async with Server(admitted) as server:
        await fleet.add("dorf", "token")
        await fleet.close()

    assert len(server.heard("hello")) == 1


async def test_scripts_can_cut_the_network_of_a_locker(admitted: BrokerProcess, tmp_path: Path) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=asdict(admitted.account()))

    fleet = a_fleet(admitted, tmp_path, provision)
    control = await asyncio.start_unix_server(Control(fleet).serve, path=str(tmp_path / "control"))
    async with Server(admitted) as server, Hands(tmp_path / "control") as hands:
        await hands.add("dorf", "token")
        with pytest.raises(HandsError, match="unknown or missing"):
            await hands.cut("nowhere", 1)

        await hands.cut("dorf", 0.2)
        await becomes(lambda: server.heard("offline"))
        await becomes(lambda: len(server.heard("hello")) == 2)

        await fleet.close()
    control.close()


async def test_a_locker_cannot_speak_mqtt_if_the_server_has_no_broker(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    async def provision(request: httpx.Request) -> httpx.Response:
        return _provisioned(DEVICE, mqtt=None)

    with pytest.raises(Unreachable, match="names no broker"):
        await a_fleet(broker, tmp_path, provision).add("dorf", "token")


def a_fleet(
    broker: BrokerProcess,
    directory: Path,
    answers: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]],
) -> Fleet:
    """Return a fleet that speaks MQTT, and the server's part of HTTPS by a function."""
    return Fleet(
        base_url="http://link",
        directory=directory / "fleet",
        opening_time_s=1.0,
        link=LinkKind.MQTT,
        ca_file=Path(broker.environment["MQTT_CA_FILE"]),
        transport=httpx.MockTransport(answers),
    )


def _provisioned(name: str, *, mqtt: object) -> httpx.Response:
    data = {
        "locker": name,
        "compartments": [1],
        "server_keys": {KID: wire.public_text(SERVER_KEY.public_key())},
        "mqtt": mqtt,
    }
    fields = {"action": "provisioned", "device_id": name, "in_reply_to": None, "data": data}
    answer = wire.seal(fields, key=SERVER_KEY, kid=KID, timestamp=datetime.now(UTC))
    return httpx.Response(200, json={"messages": [answer]})


async def _nobody_answers(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody")
