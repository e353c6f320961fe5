"""The device's own code against the real link: from the token to the empty compartment, and faults."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from common import intents
from common.clock import real_now
from common.models import Event, Intent, IntentState
from lockers import wire
from lockers.alarms import AlarmKind
from lockers.api import threads, waiting
from lockers.api.asgi import LinkHandler
from lockers.device.control import Control
from lockers.device.controller import Controller
from lockers.device.hands import LONGEST_LINE, Hands, HandsError
from lockers.device.link import LinkKind
from lockers.device.simulator import Fleet
from lockers.models import Compartment, Device, DeviceEvent, Locker, OpenCommand, Reservation
from lockers.services import allowlists, codes, commands, devices, reservations
from lockers.sizes import Size
from lockers.states import CommandState, CompartmentState, DoorState, ReservationState
from tests.lockers.conftest import a_code, a_device, a_locker, a_reservation, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_one_thread")]


@pytest.fixture(params=LinkKind)
def kind(request: pytest.FixtureRequest) -> Iterator[LinkKind]:
    """Return what carries the envelopes, with a link process beside it where one is needed."""
    chosen: LinkKind = request.param
    if chosen == LinkKind.HTTPS:
        yield chosen
        return
    request.getfixturevalue("broker_of_tests")
    with serving():
        yield chosen


@asynccontextmanager
async def a_village(directory: Path, kind: LinkKind) -> AsyncIterator[tuple[Locker, Hands]]:
    """Run one simulated locker of two compartments, with workers that apply what it reports."""
    locker, token = await threads.run(_set_up)
    fleet = Fleet(
        base_url="http://link",
        directory=directory,
        opening_time_s=0.3,
        link=kind,
        ca_file=Path(settings.MQTT_CA_FILE) if kind == LinkKind.MQTT else None,
        transport=httpx.ASGITransport(app=LinkHandler()),  # type: ignore[arg-type]
    )
    path = directory / "control"
    server = await asyncio.start_unix_server(Control(fleet).serve, path=str(path), limit=LONGEST_LINE)
    working = asyncio.create_task(_work())
    try:
        async with Hands(path) as hands:
            await hands.add(locker.slug, token)
            # A new device says first that it has started, then how its doors stand.
            await becomes(lambda: not locker.compartments.filter(door=DoorState.UNKNOWN).exists())
            yield locker, hands
    finally:
        await fleet.close()
        working.cancel()
        server.close()


def _set_up() -> tuple[Locker, str]:
    locker = a_locker((Size.S, Size.S))
    return locker, devices.issue_token(locker, real_at=real_now())


async def _work() -> None:
    while True:
        await threads.run(_perform_all)
        await asyncio.sleep(0.05)


def _perform_all() -> None:
    for intent in Intent.objects.filter(state=IntentState.WAITING):
        intents.perform(intent.pk)


async def becomes(is_so: Callable[[], Any]) -> None:
    """Wait until something is so in the database."""
    async with asyncio.timeout(10):
        while not await threads.run(is_so):
            await asyncio.sleep(0.05)


def _claim(locker: Locker) -> tuple[Reservation, str]:
    code = a_code(real_now())
    reservation = a_reservation(locker, real_now(), code=code)
    return reservation, codes.reveal(code, reason="test", at=real_now())


def _open(reservation: Reservation) -> tuple[OpenCommand, int]:
    command = commands.open_for_deposit(reservation, at=real_now(), real_at=real_now())
    return command, command.compartment.number


def _state(reservation: Reservation) -> str:
    return Reservation.objects.get(pk=reservation.pk).state


def _occupied(locker: Locker) -> list[bool]:
    """Return, door by door, whether goods lie there by our books."""
    states = locker.compartments.order_by("number").values_list("state", flat=True)
    return [state == CompartmentState.OCCUPIED for state in states]


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for commands often; hints are off."""
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.05)


async def test_goods_go_in_and_come_out_and_the_books_equal_the_cabinet(
    tmp_path: Path, kind: LinkKind
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, digits = await threads.run(_claim, locker)
        assert (await hands.keypad(locker.slug, digits)).outcome == "code-not-active"

        _, number = await threads.run(_open, reservation)
        assert await hands.wait_open(locker.slug, number, timeout_s=5)
        await hands.put(locker.slug, number, ["bread", "eggs"])
        await hands.close(locker.slug, number)
        await threads.run(reservations.confirm_deposit, reservation, at=real_now())
        await becomes(lambda: _state(reservation) == ReservationState.DEPOSITED)
        occupied = await threads.run(_occupied, locker)
        found = (await hands.contents(locker.slug))[locker.slug]
        assert occupied == [bool(door.goods) for door in found]

        answer = await hands.keypad(locker.slug, digits)
        assert (answer.is_opening, answer.compartment) == (True, number)
        assert await hands.wait_open(locker.slug, number, timeout_s=5)
        assert await hands.take(locker.slug, number) == ["bread", "eggs"]
        await hands.close(locker.slug, number)
        await hands.done(locker.slug, number)
        await becomes(lambda: _state(reservation) == ReservationState.COLLECTED)

        assert await threads.run(Compartment.objects.filter(state=CompartmentState.FREE).count) == 2
        assert not await threads.run(DeviceEvent.objects.exclude(problem="").exists)


async def test_with_the_network_dead_goods_go_in_and_come_out_and_the_books_follow(
    tmp_path: Path, kind: LinkKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowlists, "LIST_EVERY", timedelta(milliseconds=100))
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, digits = await threads.run(_claim, locker)
        deposit_digits = await threads.run(_give_deposit_code, reservation)
        await becomes(lambda: _knows(locker, num_codes=2))
        await hands.cut(locker.slug, 600)

        opened = await hands.keypad(locker.slug, deposit_digits)
        assert opened.is_opening and opened.compartment is not None
        number = opened.compartment
        assert await hands.wait_open(locker.slug, number, timeout_s=5)
        await hands.put(locker.slug, number, ["bread", "eggs"])
        await hands.close(locker.slug, number)
        await hands.done(locker.slug, number)
        answer = await hands.keypad(locker.slug, digits)
        assert (answer.is_opening, answer.compartment) == (True, number)
        assert await hands.wait_open(locker.slug, number, timeout_s=5)
        assert await hands.take(locker.slug, number) == ["bread", "eggs"]
        await hands.close(locker.slug, number)
        await hands.done(locker.slug, number)
        assert await threads.run(_state, reservation) == ReservationState.RESERVED

        await hands.cut(locker.slug, 0)
        await becomes(lambda: _state(reservation) == ReservationState.COLLECTED)
        assert not await threads.run(DeviceEvent.objects.exclude(problem="").exists)


def _give_deposit_code(reservation: Reservation) -> str:
    codes.issue_for_deposits([reservation], at=real_now())
    assert reservation.deposit_code is not None
    return codes.reveal(reservation.deposit_code, reason="test", at=real_now())


def _knows(locker: Locker, *, num_codes: int) -> bool:
    """Tell whether the device has confirmed a list with so many codes."""
    device = Device.objects.select_related("locker").get(locker=locker)
    told = Event.objects.filter(kind="codes_listed").order_by("pk").last()
    is_current = 0 < device.list_version == device.list_confirmed
    return is_current and told is not None and told.facts["num_codes"] == num_codes


async def test_a_jammed_door_is_noticed_and_another_one_opened(tmp_path: Path, kind: LinkKind) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, _ = await threads.run(_claim, locker)
        await hands.jam(locker.slug, 1)

        command, number = await threads.run(_open, reservation)
        assert number == 1
        await becomes(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.JAMMED)

        _, number = await threads.run(_open, reservation)
        assert number == 2
        assert await hands.wait_open(locker.slug, 2, timeout_s=5)


async def test_the_simulator_refuses_what_is_impossible(tmp_path: Path, kind: LinkKind) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        with pytest.raises(HandsError, match="door 1 is closed"):
            await hands.put(locker.slug, 1, ["bread"])
        with pytest.raises(HandsError, match="no compartment 9"):
            await hands.done(locker.slug, 9)
        with pytest.raises(HandsError, match="unknown or missing"):
            await hands.close("nowhere", 1)
        assert not await hands.wait_open(locker.slug, 1, timeout_s=0.05)


async def test_a_poll_whose_client_is_gone_claims_nothing_and_a_waiting_one_is_woken() -> None:
    key = Ed25519PrivateKey.generate()
    locker, device = await threads.run(_connect, key)
    reservation, _ = await threads.run(_claim, locker)
    await _poll(device, key, hang_up_after_s=0.2)
    command, _ = await threads.run(_open, reservation)
    await _poll(device, key, hang_up_after_s=0.0)
    waiting_poll = asyncio.create_task(_poll(device, key))

    messages = await asyncio.wait_for(waiting_poll, 5)

    assert [message.get("transaction_id") for message in messages[1:]] == [str(command.pk)]
    assert not waiting.watcher()._waiting


def _connect(key: Ed25519PrivateKey) -> tuple[Locker, Device]:
    locker = a_locker((Size.S,))
    return locker, a_device(locker, real_now(), key=key)


async def _poll(
    device: Device, key: Ed25519PrivateKey, *, hang_up_after_s: float | None = None
) -> list[wire.Envelope]:
    """Poll as a server process sees it; hanging up is what a connection that breaks looks like."""
    fields = {"event": "poll", "link_epoch": device.link_epoch, "data": {}}
    body = json.dumps(wire.seal(fields, key=key, kid=str(device.pk), timestamp=real_now())).encode()
    sent: list[Any] = []
    has_asked = False

    async def receive() -> dict[str, Any]:
        nonlocal has_asked
        if not has_asked:
            has_asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.sleep(60 if hang_up_after_s is None else hang_up_after_s)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/link/poll/",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "query_string": b"",
    }
    await LinkHandler()(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    messages: list[wire.Envelope] = json.loads(content)["messages"] if content else []
    return messages


async def test_a_command_that_is_late_when_it_is_fetched_opens_nothing(
    tmp_path: Path, kind: LinkKind
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, _ = await threads.run(_claim, locker)

        def open_in_the_past() -> None:
            commands.open_for_deposit(reservation, at=real_now(), real_at=real_now() - timedelta(seconds=21))

        await threads.run(open_in_the_past)

        assert not await hands.wait_open(locker.slug, 1, timeout_s=0.5)


async def test_what_sensors_notice_by_themselves_reaches_those_who_must_act(
    tmp_path: Path, kind: LinkKind
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        await hands.inflict(locker.slug, "forced", compartment=1)
        await becomes(lambda: _alarms(locker) == {AlarmKind.UNCOMMANDED_OPEN})

        await hands.inflict(locker.slug, "tamper")
        await hands.inflict(locker.slug, "temperature", zone="chilled", celsius=None)
        await hands.inflict(locker.slug, "power", source="battery", percent=15)
        await becomes(lambda: len(_alarms(locker)) == 4)

        await hands.close(locker.slug, 1)
        await hands.inflict(locker.slug, "tamper", on=False)
        await hands.inflict(locker.slug, "temperature", zone="chilled", celsius=5)
        await hands.inflict(locker.slug, "power", source="mains")
        await becomes(lambda: not _alarms(locker))


def _alarms(locker: Locker) -> set[str]:
    return set(locker.alarms.open().values_list("kind", flat=True))


async def test_a_command_in_whose_pulse_the_power_goes_is_settled_by_where_the_door_stands(
    tmp_path: Path, kind: LinkKind
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, _ = await threads.run(_claim, locker)
        await hands.inflict(locker.slug, "reboot", moment="in_pulse", seconds=0.2)

        command, number = await threads.run(_open, reservation)
        await becomes(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.OPENED)

        [door] = [door for door in (await hands.contents())[locker.slug] if door.compartment == number]
        assert (door.is_open, door.num_openings) == (True, 1)
        assert not await threads.run(DeviceEvent.objects.exclude(problem="").exists)


async def test_a_command_that_a_full_disk_refuses_is_refused_for_good(
    tmp_path: Path, kind: LinkKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[wire.Envelope] = []
    refuse = Controller.execute

    def execute(device: Controller, command: wire.Envelope) -> None:
        refuse(device, command)
        arrived.append(command)

    monkeypatch.setattr(Controller, "execute", execute)
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, _ = await threads.run(_claim, locker)
        await hands.inflict(locker.slug, "disk")
        command, number = await threads.run(_open, reservation)
        await becomes(lambda: arrived)

        await hands.inflict(locker.slug, "disk", full=False)
        await becomes(lambda: OpenCommand.objects.get(pk=command.pk).state == CommandState.REFUSED)
        assert (await threads.run(OpenCommand.objects.get, pk=command.pk)).reason == "disk-full"
        await threads.run(_open, reservation)
        assert await hands.wait_open(locker.slug, number, timeout_s=5)


async def test_in_a_network_that_doubles_and_shuffles_everything_happens_once(
    tmp_path: Path, kind: LinkKind
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        reservation, digits = await threads.run(_claim, locker)
        await hands.inflict(locker.slug, "messages", doubled=0.5, shuffled=0.5)
        _, number = await threads.run(_open, reservation)
        assert await hands.wait_open(locker.slug, number, timeout_s=8)
        await hands.put(locker.slug, number, ["bread"])
        await hands.close(locker.slug, number)
        await threads.run(reservations.confirm_deposit, reservation, at=real_now())
        await becomes(lambda: _state(reservation) == ReservationState.DEPOSITED)

        assert (await hands.keypad(locker.slug, digits)).is_opening
        assert await hands.wait_open(locker.slug, number, timeout_s=8)
        await hands.take(locker.slug, number)
        await hands.close(locker.slug, number)
        await hands.done(locker.slug, number)
        await becomes(lambda: _state(reservation) == ReservationState.COLLECTED)

        assert [door.num_openings for door in (await hands.contents())[locker.slug]] == [2, 0]
        assert not await threads.run(DeviceEvent.objects.exclude(problem="").exists)
