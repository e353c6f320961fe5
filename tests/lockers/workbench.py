"""A locker and its server on one bench: real device code, real services, one clock, a cable to pull."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import exchange, keys, link, tokens, wire
from lockers.device.cabinet import Cabinet
from lockers.device.controller import Controller
from lockers.device.identity import Identity
from lockers.device.journal import FileLog, Journal
from lockers.device.messages import Answer
from lockers.exceptions import StaleEpoch
from lockers.models import Device, Locker, LockerCode
from lockers.services import commands, devices, inbox, sweeps
from lockers.states import Transport


class Workbench:
    """One locker; its device speaks only while the cable is in."""

    def __init__(
        self, locker: Locker, directory: Path, monkeypatch: pytest.MonkeyPatch, at: datetime
    ) -> None:
        self.locker = locker
        self.at = at
        self.is_connected = False
        self.journal_file = directory / "journal.jsonl"
        self._cabinet_file = directory / "cabinet.json"
        self._springs: list[Callable[[], None]] = []
        monkeypatch.setattr(exchange, "now", lambda: self.at)
        monkeypatch.setattr(exchange, "real_now", lambda: self.at)
        key = Ed25519PrivateKey.generate()
        device = devices.provision(
            token=devices.issue_token(locker, real_at=at),
            public_key=wire.public_text(key.public_key()),
            at=at,
            real_at=at,
        )
        self._identity = Identity(
            device_id=str(device.pk),
            locker=locker.slug,
            key=key,
            server_keys={keys.server_kid(): keys.server_key().public_key()},
            list_key=tokens.list_key(device.pk),
        )
        self.boot()
        self.connect()

    @property
    def row(self) -> Device:
        """Return the device as the server knows it."""
        return Device.objects.get(pk=self._identity.device_id)

    def boot(self) -> None:
        """Switch the device on, without network."""
        self.is_connected = False
        booted_at = self.at
        self._now_s: Callable[[], float] = lambda: (self.at - booted_at).total_seconds()
        numbers = list(self.locker.compartments.values_list("number", flat=True))
        self.cabinet = Cabinet(numbers, spring=self._springs.append, file=self._cabinet_file)
        self.device = Controller(
            identity=self._identity,
            journal=Journal(FileLog(self.journal_file)),
            hardware=self.cabinet,
            monotonic=self._now_s,
            wall_clock=lambda: datetime(2024, 2, 29, tzinfo=self.at.tzinfo),
        )
        self.device.boot()
        self.cabinet.moved = self.device.door_moved

    def pass_time(self, **time: float) -> None:
        """Let time pass; while connected, the device keeps in touch."""
        self.at += timedelta(**time)
        self.device.tick()
        if self.is_connected:
            self.converse()

    def pull_cable(self) -> None:
        """Cut the device off."""
        self.is_connected = False

    def connect(self) -> None:
        """Plug the cable in; the device greets, reports, and hears what it should know."""
        self.greet()
        self.converse()

    def greet(self) -> None:
        """Plug the cable in; the device greets, and says no more yet."""
        self.is_connected = True
        hello = self.device.hello()
        self._hear(hello, [exchange.hello(hello, transport=Transport.HTTPS)])

    def converse(self) -> None:
        """Exchange all there is to say."""
        for _ in range(4):
            self.report()
            self.at += timedelta(seconds=6)
            self.poll()

    def report(self) -> None:
        """Report, and let it take effect."""
        oldest = None
        while (batch := self.device.unreported()) and batch[0] != oldest:
            oldest = batch[0]
            self._hear(batch[-1], [exchange.take_reports(batch)])
            inbox.apply(self.row.pk, at=self.at)

    def poll(self) -> None:
        """Ask for what waits, and obey."""
        request = self.device.poll()
        try:
            _, waiting = exchange.begin_poll(request)
        except StaleEpoch:
            self.connect()
        else:
            self._hear(request, waiting)

    def enter(self, code: str) -> Answer:
        """Type or scan a code, as a link would carry it."""
        first = self.device.answer_first(code) if self.is_connected else self.device.decide(code)
        if first is not None:
            self._let_spring()
            return first
        question = self.device.entered(code)
        said = exchange.enter_code(question)
        unlock = [] if said.command is None else [link.unlock(said.command, at=self.at)]
        answer = self._hear(question, [said.answer, *unlock])
        assert answer is not None
        self.device.note_answer(answer)
        self.report()
        return answer

    def sweep(self) -> None:
        """Let the server look for what is due."""
        commands.sweep(real_at=self.at)
        devices.sweep(at=self.at, real_at=self.at)
        sweeps.sweep(at=self.at)

    def put(self, number: int, goods: str, *, is_done: bool = True) -> None:
        """Put goods behind an open door, close it and say so."""
        self.cabinet.put(number, [goods])
        self.cabinet.close(number)
        if is_done:
            self.device.button_pressed(number)

    def take(self, number: int) -> list[str]:
        """Take everything from behind an open door, close it and say so."""
        goods = self.cabinet.take(number)
        self.cabinet.close(number)
        self.device.button_pressed(number)
        return goods

    def _hear(self, request: wire.Envelope, messages: list[wire.Envelope]) -> Answer | None:
        now_s = self._now_s()
        answer = self.device.hear(messages, request=request, sent_s=now_s, received_s=now_s)
        self._let_spring()
        return answer

    def _let_spring(self) -> None:
        """Let the doors move whose locks were driven."""
        while self._springs:
            self._springs.pop(0)()


@contextmanager
def offline(bench: Workbench) -> Iterator[Workbench]:
    """Pull the cable for a while."""
    bench.pull_cable()
    yield bench
    bench.connect()


def qr_of(code: LockerCode | None) -> str:
    """Return what a code's QR says."""
    assert code is not None
    return tokens.qr_token(code.pk)
