"""Builders for lockers; they go through the services, so that no test starts from what cannot be."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connections
from pytest_django import Settings

from deploy.local.broker import broker_server
from deploy.local.servers import MissingServerError
from lockers import exchange, signals, wake, wire
from lockers.api import threads
from lockers.exceptions import LinkError
from lockers.link import Report
from lockers.models import Compartment, Device, Locker, LockerCode, OpenCommand, Reservation
from lockers.mqtt.gateway import Gateway
from lockers.services import cabinets, claims, codes, commands, devices, inbox, reservations
from lockers.sizes import Height, Size, Temperature
from lockers.states import CompartmentState, DoorState, ReservationState, Transport
from tests.lockers import contract
from tests.lockers.mqtt_bench import BrokerProcess, a_broker

NAMESPACE = "hameln-pyrmont"
_numbers = count(1)


@pytest.fixture(autouse=True)
def no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send no hints to Redis: nothing may depend on them."""
    monkeypatch.setattr(wake, "device", lambda device_id: None)


@pytest.fixture(autouse=True)
def what_is_said_keeps_to_the_contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold against the published contract what our code seals, and what the server accepts."""
    faults: list[str] = []

    def is_sealed(seal: Callable[..., wire.Envelope]) -> Callable[..., wire.Envelope]:
        def sealed(*args: Any, **kwargs: Any) -> wire.Envelope:
            envelope = seal(*args, **kwargs)
            # What tests seal by themselves may be as wrong as they like.
            if sys._getframe(1).f_globals["__name__"].startswith("lockers."):
                faults.extend(contract.faults_of_ours(envelope))
            return envelope

        return sealed

    def is_accepted(act: Callable[..., Any]) -> Callable[..., Any]:
        def accepted(said: wire.Envelope, /, **kwargs: Any) -> Any:
            answer = act(said, **kwargs)
            faults.extend(contract.faults(contract.name_of(said), said))
            return answer

        return accepted

    def are_accepted(act: Callable[..., Any]) -> Callable[..., Any]:
        def accepted(all_said: Any, /) -> Any:
            answers = act(all_said)
            for said, answer in zip(all_said, answers, strict=True):
                for envelope in () if isinstance(answer, LinkError) else _each(said):
                    faults.extend(contract.faults(contract.name_of(envelope), envelope))
            return answers

        return accepted

    monkeypatch.setattr(wire, "seal", is_sealed(wire.seal))
    for name in ("provision", "hello", "begin_poll", "enter_code"):
        monkeypatch.setattr(exchange, name, is_accepted(getattr(exchange, name)))
    for name in ("all_heartbeats", "take_all_reports"):
        monkeypatch.setattr(exchange, name, are_accepted(getattr(exchange, name)))
    yield
    assert faults[:5] == []


def _each(said: Any) -> Sequence[wire.Envelope]:
    return said if isinstance(said, list) else [said]


@pytest.fixture
def in_test_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the link's database work see the test's transaction."""

    async def run(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await sync_to_async(work, thread_sensitive=True)(*args, **kwargs)

    monkeypatch.setattr(threads, "run", run)


@pytest.fixture
def in_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the link's database work happen in one thread that lets go of its connection at the end."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        monkeypatch.setattr(threads, "_pool", pool)
        yield
        pool.submit(connections.close_all).result()


@pytest.fixture(scope="session")
def broker_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Return where a real broker is that runs as long as the tests."""
    try:
        with broker_server(tmp_path_factory.mktemp("broker")) as environment:
            yield environment
    except MissingServerError as missing:
        pytest.skip(f"needs Mosquitto: {missing}")


@pytest.fixture
def broker_of_tests(broker_environment: Mapping[str, str], settings: Settings) -> Mapping[str, str]:
    """Let the code find the broker."""
    settings.MQTT_URL = broker_environment["MQTT_URL"]
    settings.MQTT_CA_FILE = broker_environment["MQTT_CA_FILE"]
    return broker_environment


@pytest.fixture
def basic_devices_on(settings: Settings) -> None:
    """Let this installation take basic devices."""
    settings.BASIC_DEVICES = True
    settings.MQTT_URL = settings.MQTT_URL or "mqtts://dorfbote:secret@broker.example.org:8883"


@contextmanager
def serving(number: int = 1) -> Iterator[None]:
    """Let link processes run, as threads."""
    gateways = [Gateway(f"link-{uuid4().hex}") for _ in range(number)]
    ready = Barrier(number + 1)

    def run(one: Gateway) -> None:
        try:
            one.run(ready=lambda: (ready.wait(10), None)[1])
        finally:
            connections.close_all()

    processes = [Thread(target=run, args=(one,)) for one in gateways]
    for process in processes:
        process.start()
    try:
        ready.wait(10)
        yield
    finally:
        for one in gateways:
            one.stop()
        for process in processes:
            process.join()


def a_locker(
    sizes: Sequence[Size] = (Size.S, Size.M, Size.L),
    *,
    temperature: Temperature = Temperature.AMBIENT,
    heights: Sequence[Height] = (),
) -> Locker:
    """Return a locker with compartments of these sizes, numbered from 1."""
    heights = heights or [Height.REACHABLE] * len(sizes)
    return cabinets.install(
        slug=f"dorf-{next(_numbers)}",
        name="Haverbeck",
        namespace=NAMESPACE,
        compartments=[
            cabinets.CompartmentSpec(number=number, size=size, temperature=temperature, height=height)
            for number, (size, height) in enumerate(zip(sizes, heights, strict=True), start=1)
        ],
    )


def a_code(
    at: datetime,
    *,
    holder: UUID | None = None,
    occasion: UUID | None = None,
    lives: timedelta = timedelta(days=2),
) -> LockerCode:
    """Return a code that was just issued."""
    return codes.issue(
        namespace=NAMESPACE,
        holder=holder or uuid4(),
        occasion=occasion or uuid4(),
        valid_until=at + lives,
        at=at,
    )


def digits_of(code: LockerCode, at: datetime) -> str:
    """Return a code's digits."""
    return codes.reveal(code, reason="test", at=at)


def a_reservation(
    locker: Locker,
    at: datetime,
    *,
    size: Size = Size.S,
    temperature: Temperature = Temperature.AMBIENT,
    code: LockerCode | None = None,
    low_door: bool = False,
    expires_in: timedelta = timedelta(hours=8),
) -> Reservation:
    """Return a claim to a class of compartments."""
    return claims.reserve(
        locker=locker,
        size=size,
        temperature=temperature,
        reference=uuid4(),
        code=code or a_code(at),
        expires_at=at + expires_in,
        low_door=low_door,
    )


def bound(reservation: Reservation) -> Compartment:
    """Give a claim its door, and return it."""
    claims.lock(reservation)
    return claims.bind(reservation)


@dataclass(slots=True)
class Cabinet:
    """A device as the server sees it: what it reports takes effect at once."""

    device: Device
    at: datetime
    boot_id: str = "00000001-0123456789abcdef"
    seq: int = 0
    sent: list[Report] = field(default_factory=list)

    def report(self, kind: str, transaction_id: UUID | None = None, /, **data: Any) -> Report:
        """Return the next report without sending it."""
        self.seq += 1
        report = Report(
            message_id=uuid4(),
            transaction_id=transaction_id,
            boot_id=self.boot_id,
            seq=self.seq,
            link_epoch=self.device.link_epoch,
            kind=kind,
            data=data,
            reported_at=self.at,
        )
        self.sent.append(report)
        return report

    def say(self, *batch: Report) -> None:
        """Send reports and let them take effect."""
        inbox.receive(self.device, batch, real_at=self.at)
        inbox.apply(self.device.pk, at=self.at)

    def opens(self, command: OpenCommand) -> None:
        """Report that a lock was driven and its door opened."""
        number = command.compartment.number
        self.say(
            self.report("response", command.pk, result="success"),
            self.report(
                "compartment_open_detected",
                command.pk,
                compartment_number=number,
                outcome="opened",
                detection_ms=20,
            ),
        )

    def jams(self, command: OpenCommand) -> None:
        """Report that a lock was driven, but its door did not move."""
        self.say(
            self.report("response", command.pk, result="success"),
            self.report(
                "compartment_open_failed",
                command.pk,
                compartment_number=command.compartment.number,
                error_code="DOOR_JAMMED",
            ),
        )

    def closes(self, command: OpenCommand) -> None:
        """Report a closed door."""
        self.say(self.report("compartment_closed", compartment_number=command.compartment.number))

    def done(self, command: OpenCommand) -> None:
        """Report that the resident pressed the button."""
        self.say(self.report("collection_done", compartment_number=command.compartment.number))


def a_device(locker: Locker, at: datetime, *, key: Ed25519PrivateKey | None = None) -> Device:
    """Return a device in service that greeted just now."""
    token = devices.issue_token(locker, real_at=at)
    public_key = wire.public_text((key or Ed25519PrivateKey.generate()).public_key())
    device = devices.provision(token=token, public_key=public_key, at=at, real_at=at)
    devices.greet(
        device, link_epoch="epoch-of-the-first-hello", num_hellos=1, transport=Transport.HTTPS, real_at=at
    )
    return device


def a_cabinet(locker: Locker, at: datetime) -> Cabinet:
    """Return a connected device whose doors are closed."""
    cabinet = Cabinet(device=a_device(locker, at), at=at)
    numbers = locker.compartments.values_list("number", flat=True)
    cabinet.say(
        cabinet.report("booted", previous_boot_id=None, previous_seq=0),
        cabinet.report(
            "compartments",
            compartments=[{"compartment_number": number, "door_state": "closed"} for number in numbers],
        ),
    )
    return cabinet


def deposited(reservation: Reservation, cabinet: Cabinet) -> Reservation:
    """Let a courier open, deposit, close and confirm."""
    command = commands.open_for_deposit(reservation, at=cabinet.at, real_at=cabinet.at)
    cabinet.opens(command)
    cabinet.closes(command)
    reservations.confirm_deposit(reservation, at=cabinet.at)
    reservation.refresh_from_db()
    return reservation


def state_of(reservation: Reservation) -> ReservationState:
    """Return a reservation's state as stored."""
    return ReservationState(Reservation.objects.values_list("state", flat=True).get(pk=reservation.pk))


def compartment_of(locker: Locker, number: int) -> Compartment:
    """Return a compartment as stored."""
    return Compartment.objects.get(locker=locker, number=number)


def intent_of(locker: Locker, number: int) -> CompartmentState:
    """Return what a compartment is meant for."""
    return CompartmentState(compartment_of(locker, number).state)


def door_of(locker: Locker, number: int) -> DoorState:
    """Return what the device says of a door."""
    return DoorState(compartment_of(locker, number).door)


@dataclass(slots=True)
class Ear:
    """What was announced of alarms, in the order in which it was."""

    heard: list[tuple[str, str]] = field(default_factory=list)

    def said(self, what: str) -> int:
        """Return how often alarms were raised, escalated or ended."""
        return [said for said, _ in self.heard].count(what)


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Listen to what is announced of alarms."""
    ear = Ear()

    def listener(what: str) -> Callable[..., None]:
        return lambda alarm, **_: ear.heard.append((what, str(alarm.kind)))

    all_of_them = [
        (signals.alarm_raised, listener("raised")),
        (signals.alarm_escalated, listener("escalated")),
        (signals.alarm_ended, listener("ended")),
    ]
    for signal, listen in all_of_them:
        signal.connect(listen)
    try:
        yield ear
    finally:
        for signal, listen in all_of_them:
            signal.disconnect(listen)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Return a running broker that knows nobody but ourselves."""
    with a_broker(tmp_path / "broker") as process:
        yield process


@pytest.fixture
def admitted(broker: BrokerProcess) -> BrokerProcess:
    """Return a running broker that lets the device in."""
    broker.admit()
    return broker
